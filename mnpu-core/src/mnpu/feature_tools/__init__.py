"""Tools that look at the features of a pipeline: statistics, pictures, and what a fitted network makes of each."""
