"""A plugin that was written for a newer API."""
