"""A plugin that claims names which core has taken."""
