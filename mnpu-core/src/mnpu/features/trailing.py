"""Sums, moments and extremes over trailing windows, each value from the bars of its own window and no other.

No running total is carried through history, so a value does not depend on where the data begins: cutting the data
short, before or after, leaves every other value equal to the last bit. That costs little, because a window of w
bars is merged from blocks of 1, 2, 4, ... bars in about 2 log2(w) passes over the array.

In every function here ``values`` is float64 (T, ...), the result has the same shape, and a NaN makes every window
that holds it NaN. The first ``window - 1`` rows, whose windows are not full, are NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = [
    "delayed",
    "trailing_max",
    "trailing_mean",
    "trailing_min",
    "trailing_moments",
    "trailing_std",
    "trailing_sum",
]

State = tuple[np.ndarray, ...]
Merge = Callable[[State, int, State, int], State]


def delayed(values: np.ndarray, bars: int) -> np.ndarray:
    """The value ``bars`` bars ago: NaN in the first ``bars`` rows, ``bars >= 0``."""
    if bars < 0:
        raise ValueError(f"bars is {bars}, expected 0 or more: a feature may look back, never ahead")
    past = np.full(values.shape, np.nan)
    past[bars:] = values[: max(len(values) - bars, 0)]
    return past


def trailing_sum(values: np.ndarray, window: int) -> np.ndarray:
    """Sum of the last ``window`` bars, the present one included."""
    return _fold((values,), window, lambda old, _n, new, _m: (old[0] + new[0],))[0]


def trailing_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean of the last ``window`` bars, the present one included."""
    return trailing_sum(values, window) / window


def trailing_max(values: np.ndarray, window: int) -> np.ndarray:
    """Largest of the last ``window`` bars, the present one included."""
    return _fold((values,), window, lambda old, _n, new, _m: (np.maximum(old[0], new[0]),))[0]


def trailing_min(values: np.ndarray, window: int) -> np.ndarray:
    """Smallest of the last ``window`` bars, the present one included."""
    return _fold((values,), window, lambda old, _n, new, _m: (np.minimum(old[0], new[0]),))[0]


def trailing_moments(values: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean, and sum of squared deviations from it, of the last ``window`` bars.

    Blocks are merged by the pairwise update of Chan, Golub & LeVeque (1983): nothing cancels, and a constant window
    has deviations of exactly zero.
    """
    mean, squares = _fold((values, np.where(np.isnan(values), np.nan, 0.0)), window, _merge_moments)
    return mean, squares


def trailing_std(values: np.ndarray, window: int, *, ddof: int = 1) -> np.ndarray:
    """Standard deviation of the last ``window`` bars; ``window > ddof``."""
    return np.sqrt(trailing_moments(values, window)[1] / (window - ddof))


def _merge_moments(old: State, n: int, new: State, m: int) -> State:
    (mean_old, squares_old), (mean_new, squares_new) = old, new
    gap = mean_new - mean_old
    mean = mean_old + gap * (m / (n + m))
    return mean, squares_old + squares_new + gap * gap * (n * m / (n + m))


def _fold(leaf: State, window: int, merge: Merge) -> State:
    """Merge ``window`` consecutive bars: blocks of 2^j bars ending at t, joined from the newest to the oldest."""
    if window < 1:
        raise ValueError(f"window is {window}, expected at least one bar")
    block, size = leaf, 1
    joined, length = None, 0
    while True:
        if window & size:
            joined = block if joined is None else merge(_delayed(block, length), size, joined, length)
            length += size
        if size * 2 > window:
            break
        block, size = merge(_delayed(block, size), size, block, size), size * 2
    assert joined is not None  # window >= 1 has at least one bit
    return joined if window > 1 else tuple(np.array(part, dtype=float) for part in joined)


def _delayed(state: State, bars: int) -> State:
    return tuple(delayed(part, bars) for part in state)
