"""State-space backbones for MNPU."""
