"""A number that was measured, with its unit."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Metric"]


@dataclass(frozen=True)
class Metric:
    """A number with its unit; ``value`` is None, with a ``reason``, where it is undefined. ``se`` if known."""

    name: str
    value: float | None
    unit: str
    se: float | None = None
    reason: str = ""
