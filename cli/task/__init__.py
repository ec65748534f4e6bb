"""From arguments to loaded files, and from results to written ones."""
