"""Quantile levels of a head: checked once, and where a normal distribution has them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from mnpu.nn.checks import refuse
from mnpu.types import LEVELS, levels_are_sound

__all__ = ["LEVELS", "checked_levels", "normal_quantiles", "softplus_inverse"]


def checked_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """``levels`` as floats; a ConfigError unless increasing in (0, 1), symmetric around 0.5, which is one of them."""
    levels = tuple(float(level) for level in levels)
    if not levels_are_sound(levels):
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
