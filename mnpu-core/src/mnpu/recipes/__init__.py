"""Recipes that ship with MNPU; `mnpu init` copies them next to a new store."""
