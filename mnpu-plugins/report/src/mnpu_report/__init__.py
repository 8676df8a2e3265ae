"""HTML report for MNPU."""
