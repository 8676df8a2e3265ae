"""Sweeps: many trials of one recipe along axes, through the engine, each counted once in the ledger."""

from __future__ import annotations

from mnpu.sweep.definition import Definition, load_sweep

__all__ = ["Definition", "load_sweep"]
