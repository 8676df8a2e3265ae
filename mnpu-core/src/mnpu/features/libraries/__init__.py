"""Other libraries' indicators as features: their columns under their own names, computed by them."""
