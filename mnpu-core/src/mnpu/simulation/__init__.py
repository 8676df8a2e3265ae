"""Simulation: what the positions would have earned, after costs."""
