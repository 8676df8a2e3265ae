"""Validators: what data must satisfy before a pipeline may use it."""
