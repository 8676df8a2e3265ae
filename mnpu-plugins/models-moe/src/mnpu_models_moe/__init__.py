"""Sparse mixture-of-experts backbones for MNPU."""
