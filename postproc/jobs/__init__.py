"""Blocks of rows: engines that compute them, outputs, journals, locks."""
