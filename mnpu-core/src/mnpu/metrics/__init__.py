"""Metrics: one definition per number, with its unit, and a reason where it is undefined."""
