"""Devil's Advocate: what it gains, and how much of that the devil adds."""
