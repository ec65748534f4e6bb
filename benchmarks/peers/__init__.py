"""Other packages beside this project, on the same rows."""
