"""DataFrames of pandas, polars and Arrow as arguments, and results that come out as such."""
