"""Coverage of the intervals of every metric, in simulation."""
