"""Functions of a trailing window that look at each of its bars; a NaN makes every window that holds it NaN.

``values`` is float64 (T, A), the result has its shape, NaN in rows whose windows are not full. Each value is computed
from its own window in one order, so cutting the data anywhere changes no bit of it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mnpu.data.compiled import compiled
from mnpu.features import window_loops
from mnpu.features.trailing import flat

__all__ = ["spectrum", "trailing_place", "weighted_sum"]


def trailing_place(values: np.ndarray, window: int) -> np.ndarray:
    """Share of the ``window`` bars before each that lie below it, equal ones counted half: 0 to 1."""
    out = np.empty(values.shape)
    compiled(window_loops.place)(flat(values), window, out)
    return out / window


def weighted_sum(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``sum(weights[k] * values[t - k])``."""
    out = np.empty(values.shape)
    compiled(window_loops.weighted)(flat(values), np.ascontiguousarray(weights, dtype=float), out)
    return out


def spectrum(values: np.ndarray, window: int, lowest: int, highest: int) -> np.ndarray:
    """Squared amplitude of the last ``window`` bars at ``lowest`` to ``highest`` cycles in the window, (K, T, A)."""
    cosines, sines = _waves(window, lowest, highest)
    out = np.empty((len(cosines), *values.shape))
    compiled(window_loops.spectrum)(flat(values), cosines, sines, 0, out)
    return out


@lru_cache(maxsize=64)
def _waves(window: int, lowest: int, highest: int) -> tuple[np.ndarray, np.ndarray]:
    angle = 2 * np.pi * np.outer(np.arange(lowest, highest + 1), np.arange(window)) / window
    return np.cos(angle), np.sin(angle)
