"""Policies: from a forecast to the book that one would like to hold."""
