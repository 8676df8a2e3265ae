"""How the learning rate moves over the steps of a fit: a factor for every step."""

from __future__ import annotations

import math

__all__ = ["factor"]

#: Part of the steps over which `one_cycle` rises, where ``warmup_steps`` does not say it.
RISE = 0.3


def factor(schedule: str, step: int, *, total: int, warmup: int = 0) -> float:
    """What the learning rate of a step is multiplied by.

    Parameters
    ----------
    schedule : str
        ``constant``, ``cosine`` (Loshchilov and Hutter 2017, one period), ``linear`` or ``one_cycle`` (Smith and Topin
        2019: up along a cosine and down to nothing along another, from a 25th).
    step : int
        From 0.
    total : int
        Steps of the whole fit.
    warmup : int, default=0
        Steps over which the factor rises in a line to 1; the first is not zero. For ``one_cycle`` the length of its
        rise, 0 for three tenths of all steps.

    Returns
    -------
    factor : float
        Between 0 and 1. ``cosine`` and ``linear`` would reach zero in the step after the last.
    """
    if schedule == "one_cycle":
        rise = min(warmup or round(RISE * total), total)
        if step < rise:
            return 1 / 25 + (1 - 1 / 25) * _up(step / rise)
        return 1 - _up((step - rise) / max(total - rise, 1))
    if step < warmup:
        return (step + 1) / warmup
    done = min((step - warmup) / max(total - warmup, 1), 1.0)
    if schedule == "cosine":
        return 1 - _up(done)
    return 1 - done if schedule == "linear" else 1.0


def _up(done: float) -> float:
    """From 0 to 1 along half a cosine."""
    return (1 - math.cos(math.pi * done)) / 2
