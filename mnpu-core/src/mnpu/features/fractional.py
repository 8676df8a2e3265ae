"""Fractional differences: stationary, and yet with a memory of the level (López de Prado 2018, chapter 5)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from mnpu.errors import ConfigError
from mnpu.features.api import View, feature
from mnpu.features.recursive import by_blocks
from mnpu.features.windows import weighted_sum

Order = Annotated[float, Field(gt=0.0, le=2.0)]
Threshold = Annotated[float, Field(ge=1e-6, le=0.1)]

#: Widest window.
MOST = 20_000


@cache
def _weights(order: float, threshold: float) -> np.ndarray:
    """Of the present bar, the one before, ..., while they are at least ``threshold``."""
    found = [1.0]
    while len(found) <= MOST:
        following = -found[-1] * (order - len(found) + 1) / len(found)
        if abs(following) < threshold:
            break
        found.append(following)
    weights = np.array(found)
    weights.flags.writeable = False
    return weights


def _bars(params: Mapping[str, Any]) -> int:
    bars = len(_weights(float(params["order"]), float(params["threshold"])))
    if bars > MOST:
        raise ConfigError(
            f"order {params['order']} needs more than {MOST} weights above {params['threshold']}",
            expected="a larger threshold",
        )
    return bars


@feature(fields=("close",), scale_free=False, warmup=_bars, unit="log currency", tags=("fractional",))
def fractional_difference(view: View, *, order: Order = 0.4, threshold: Threshold = 1e-4) -> np.ndarray:
    """Fractional difference of the log close, with a window of fixed width.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    order : float, default=0.4
        Order of the difference, between 0 and 2; 1 is the return, less keeps more memory.
    threshold : float, default=1e-4
        Weights smaller than this are left out, which decides the width of the window.

    Returns
    -------
    difference : ndarray (T, A)
        ``sum(w_k ln(close[t - k]))``, w_0 = 1, ``w_k = -w_(k-1) (order - k + 1) / k`` down to ``threshold``; log
        currency.

    Notes
    -----
    NaN: before the window of weights is full; a missing bar until it leaves the window. Not scale-free: the weights do
    not add up to zero, so the level is in it.
    Source: López de Prado (2018), chapter 5.5, fixed-width window fractional differencing.
    """
    weights = _weights(order, threshold)
    return by_blocks(view, len(weights) - 1, lambda close: weighted_sum(_logs(close), weights), "close")


@feature(fields=("close",), warmup=_bars, unit="fraction", tags=("fractional",))
def fractional_return(view: View, *, order: Order = 0.4, threshold: Threshold = 1e-4) -> np.ndarray:
    """Fractional difference of the log close relative to that of the window's oldest bar.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    order : float, default=0.4
        Order of the difference, between 0 and 2; 1 is the return, less keeps more memory.
    threshold : float, default=1e-4
        Weights smaller than this are left out, which decides the width of the window.

    Returns
    -------
    difference : ndarray (T, A)
        ``sum(w_k ln(close[t - k] / close[t - K]))``, w as in `fractional_difference`, K the window's oldest bar; a
        fraction.

    Notes
    -----
    NaN: before the window of weights is full; a missing bar until it leaves the window.
    Source: López de Prado (2018), chapter 5.5, fixed-width window fractional differencing; the level taken out.
    """
    weights = _weights(order, threshold)
    centred = weights.copy()
    centred[-1] -= weights.sum()
    return by_blocks(view, len(weights) - 1, lambda close: weighted_sum(_logs(close), centred), "close")


def _logs(close: np.ndarray) -> np.ndarray:
    return np.log(np.where(close > 0, close, np.nan))
