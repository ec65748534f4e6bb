"""CAN under the protocols that were published, and a simulation of when it can help."""
