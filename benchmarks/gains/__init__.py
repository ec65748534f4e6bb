"""Run directories from public data, to measure gains on."""
