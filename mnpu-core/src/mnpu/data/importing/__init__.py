"""Files of others as rows of a store: read, given both clocks, checked, and taken in or put into quarantine."""
