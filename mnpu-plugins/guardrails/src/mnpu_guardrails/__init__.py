"""Risk guardrails for MNPU."""
