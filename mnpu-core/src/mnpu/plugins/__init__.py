"""The seam: how plugins are found, listed, described, checked and built."""
