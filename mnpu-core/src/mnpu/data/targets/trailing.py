"""How much a symbol moved lately, as known at each decision: the yardstick of targets that are relative to it."""

from __future__ import annotations

import numpy as np

from mnpu.data.actions import bar_returns
from mnpu.types import Panel

__all__ = ["trailing_volatility"]


def trailing_volatility(panel: Panel, *, window: int) -> np.ndarray:
    """Standard deviation of the total returns of the last ``window`` bars up to each decision, a bar, (T, A).

    Parameters
    ----------
    panel : Panel
    window : int
        Bars, at least 2.

    Returns
    -------
    volatility : float64 ndarray (T, A)
        ``ddof=1``, not annualised. NaN in the first ``window`` rows, where fewer than half of the returns are known,
        and where nothing moved: nothing can be measured by it there.
    """
    returns = bar_returns(panel)
    finite = np.isfinite(returns)
    known = np.where(finite, returns, 0.0)
    count = _sum_of_last(finite.astype(float), window)
    mean = _sum_of_last(known, window) / np.maximum(count, 1.0)
    squares = np.zeros(returns.shape)
    for k in range(window):  # two passes: one over sums of squares would lose what is left of them
        rows = slice(k, None), slice(None, len(returns) - k)
        squares[rows[0]] += np.where(finite[rows[1]], (known[rows[1]] - mean[rows[0]]) ** 2, 0.0)
    enough = count >= max(window / 2, 2.0)
    enough[:window] = False
    volatility = np.sqrt(squares / np.maximum(count - 1.0, 1.0))
    return np.where(enough & (volatility > 0), volatility, np.nan)


def _sum_of_last(values: np.ndarray, window: int) -> np.ndarray:
    """Sum over the last ``window`` rows up to each, added up anew for each row: a far value leaves no rounding."""
    total = np.zeros(values.shape)
    for k in range(window):
        total[k:] += values[: len(values) - k]
    return total
