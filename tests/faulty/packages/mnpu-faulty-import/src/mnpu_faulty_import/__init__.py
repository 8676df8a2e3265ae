"""A plugin that raises when it is imported."""
