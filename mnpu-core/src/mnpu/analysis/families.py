"""Columns by their family, so that a permutation can take a whole family's information away at once."""

from __future__ import annotations

from collections.abc import Sequence

from mnpu.types import FeatureSpec

__all__ = ["families"]


def families(specs: Sequence[FeatureSpec]) -> list[tuple[str, tuple[str, ...]]]:
    """The columns of each feature source, ``price`` or ``macro``, in the order in which the sources first come."""
    found: dict[str, list[str]] = {}
    for spec in specs:
        found.setdefault(spec.source, []).append(spec.name)
    return [(source, tuple(names)) for source, names in found.items()]
