"""A plugin that implements a hook which does not exist."""
