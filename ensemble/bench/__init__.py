"""Every method on every run directory, with shifts of the class frequencies."""
