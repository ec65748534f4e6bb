"""Benchmarks: speed and memory against reference loops, accuracy on real predictions."""
