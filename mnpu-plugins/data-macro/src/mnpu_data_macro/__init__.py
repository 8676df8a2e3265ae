"""Macroeconomic features for MNPU, joined by the moment each value became known."""
