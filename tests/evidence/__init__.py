"""Evidence that forecasters find what was planted and nothing where nothing is: many seeds, committed rows."""
