"""Gains in accuracy on real predictions, as they come and under label shift."""
