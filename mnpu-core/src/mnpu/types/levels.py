"""Quantile levels: the usual ones, and what makes a set of them sound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

__all__ = ["LEVELS", "levels_are_sound"]

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)  #: Of a head or a forecaster that is not told otherwise.


def levels_are_sound(levels: Sequence[float]) -> bool:
    """Whether ``levels`` are strictly increasing in (0, 1) and symmetric around 0.5, which is one of them."""
    increasing = all(a < b for a, b in pairwise(levels))
    inside = all(0 < level < 1 for level in levels)
    symmetric = all(math.isclose(a + b, 1, abs_tol=1e-9) for a, b in zip(levels, reversed(levels), strict=True))
    return increasing and inside and symmetric and 0.5 in levels
