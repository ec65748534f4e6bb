"""CAN on rows that stay in their file, read block by block."""
