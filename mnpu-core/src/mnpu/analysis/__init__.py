"""Analysis of a finished result: where the return came from, when, how much money it bears, and what would break it.

Pure functions. `replay` takes a result with its prices and gives what all others read; no one of them writes anything.
"""
