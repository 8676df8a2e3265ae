"""Quantile levels of a head: checked once, and where a normal distribution has them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist

from mnpu.nn.checks import refuse

__all__ = ["LEVELS", "checked_levels", "normal_quantiles", "softplus_inverse"]

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)


def checked_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """``levels`` as floats; a ConfigError unless increasing in (0, 1), symmetric around 0.5, which is one of them."""
    levels = tuple(float(level) for level in levels)
    increasing = all(a < b for a, b in pairwise(levels))
    inside = all(0 < level < 1 for level in levels)
    symmetric = all(math.isclose(a + b, 1, abs_tol=1e-9) for a, b in zip(levels, reversed(levels), strict=True))
    if not (increasing and inside and symmetric and 0.5 in levels):
        raise refuse(
            "head.levels",
            list(levels),
            expected="strictly increasing levels between 0 and 1, symmetric around 0.5, which is one of them",
            next_step="Remove the setting to use the default.",
        )
    return levels


def normal_quantiles(levels: Sequence[float]) -> list[float]:
    """Quantiles of the standard normal distribution at ``levels``."""
    return [NormalDist().inv_cdf(level) for level in levels]


def softplus_inverse(value: float) -> float:
    """The number whose softplus is ``value`` > 0."""
    return math.log(math.expm1(value))
