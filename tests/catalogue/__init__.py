"""The benchmark catalogue: a sweep of model families over markets and seeds, its rows, and its page."""
