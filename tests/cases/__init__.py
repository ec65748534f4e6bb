"""Files of other tools, tried on the command line as a new user would."""
