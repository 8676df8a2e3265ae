"""Data: the store, calendars, point-in-time panels, labels, folds, scaling and windows."""
