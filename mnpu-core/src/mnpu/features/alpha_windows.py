"""The words in which `alpha158` is written: windows that are short at the start and skip what is missing, in numpy.

``x`` is float64 (T, A), NaN where there is no bar, and a window has the last w rows of it, the present one included.
A value comes from the bars that are there; it is NaN where there is none, or one where a deviation needs two. This is
what the loops of `alpha_loops` are held to, and not what runs: it spells each window out in full.
"""

from __future__ import annotations

import textwrap

import numpy as np

from mnpu.features.alpha_loops import LARGEST, TINY, WINDOWS
from mnpu.features.api import View
from mnpu.features.trailing import delayed

__all__ = ["FLAT", "FLAT_PRICE", "TINY", "WINDOWS", "Bars", "docstring", "finite"]

#: A deviation that is not above this is none: of logarithms and ratios, as published.
FLAT = 2e-5
#: The same of prices, as a part of their mean: what rounding leaves of prices that do not move.
FLAT_PRICE = 1e-9


class Bars:
    """Fields of a view from row ``first`` on, NaN where not finite; ``vwap`` is the mean of the four prices."""

    def __init__(self, view: View, *, first: int = 0) -> None:
        self._view, self._first = view, first

    def __getattr__(self, field: str) -> np.ndarray:
        if field == "vwap":  # stores hold none
            values = (self.open + self.high + self.low + self.close) / 4.0
        else:
            values = finite(self._view[field][self._first :])
        setattr(self, field, values)
        return values


def docstring(what: str, formula: str, notes: str, published: str) -> str:
    """The docstring of a column, from which its documentation is made."""
    told = textwrap.fill(f"{notes} Source: Qlib's {published} (Yang et al. 2020, arXiv:2009.11189).".strip(), 110)
    formula = formula.strip().removesuffix(".")
    return f"{what}.\n\nReturns\n-------\nvalues : ndarray (T, A)\n    {formula}.\n\nNotes\n-----\n{told}\n"


def finite(values: np.ndarray) -> np.ndarray:
    """The values row by row in memory, NaN where they are infinite or would be as a float32."""
    return np.ascontiguousarray(np.where(np.abs(values) <= LARGEST, values, np.nan))


def change(x: np.ndarray) -> np.ndarray:
    """Difference from the row before."""
    return x - delayed(x, 1)


def log_volumes(close: np.ndarray, volume: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of close and ln(volume + 1), both NaN where one is."""
    return _pairs(close, np.log(volume + 1.0))


def log_ratios(close: np.ndarray, volume: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of close over the close before and ln(volume over the volume before + 1), both NaN where one is."""
    return _pairs(close / delayed(close, 1), np.log(volume / delayed(volume, 1) + 1.0))


def weighted_moves(close: np.ndarray, volume: np.ndarray) -> np.ndarray:
    """Size of each bar's return, times its volume."""
    return finite(np.abs(close / delayed(close, 1) - 1.0) * volume)


def _pairs(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    there = np.isfinite(finite(x) + finite(y))
    return np.where(there, x, np.nan), np.where(there, y, np.nan)


def windows(x: np.ndarray, w: int) -> np.ndarray:
    """The last w rows at each row, (T, A, w), oldest first; NaN before the first row."""
    before = np.full((w - 1, *x.shape[1:]), np.nan)
    return np.lib.stride_tricks.sliding_window_view(np.concatenate([before, x]), w, axis=0)


def count(x: np.ndarray, w: int) -> np.ndarray:
    """Number of bars that are there."""
    return np.sum(~np.isnan(windows(x, w)), axis=-1)


def total(x: np.ndarray, w: int) -> np.ndarray:
    """Sum."""
    return _sum(windows(x, w))


def mean(x: np.ndarray, w: int) -> np.ndarray:
    """Mean."""
    return total(x, w) / count(x, w)


def share(x: np.ndarray, event: np.ndarray, w: int) -> np.ndarray:
    """Share of the bars that are there at which ``event`` holds."""
    return mean(np.where(np.isnan(x), np.nan, event), w)


def rises(x: np.ndarray, w: int) -> np.ndarray:
    """Sum of the rises of x over the sum of all its moves."""
    return total(np.maximum(change(x), 0.0), w) / (total(np.abs(change(x)), w) + TINY)


def falls(x: np.ndarray, w: int) -> np.ndarray:
    """Sum of the falls of x over the sum of all its moves."""
    return rises(-x, w)


def deviation(x: np.ndarray, w: int) -> np.ndarray:
    """Standard deviation, ddof 1; of a single bar NaN."""
    return np.sqrt(_sum(_about_mean(x, w) ** 2) / (count(x, w) - 1.0))


def highest(x: np.ndarray, w: int) -> np.ndarray:
    """Largest value."""
    return np.fmax.reduce(windows(x, w), axis=-1)


def lowest(x: np.ndarray, w: int) -> np.ndarray:
    """Smallest value."""
    return np.fmin.reduce(windows(x, w), axis=-1)


def place_of_highest(x: np.ndarray, close: np.ndarray, w: int) -> np.ndarray:
    """Row of the largest value, the first of equal ones; the window's oldest bar, one with a close, is in row 1."""
    seen = windows(x, w)
    there = ~np.isnan(seen)
    oldest = np.argmax(there | ~np.isnan(windows(close, w)), axis=-1)
    place = np.argmax(np.where(there, seen, -np.inf), axis=-1) - oldest + 1.0
    return np.where(there.any(axis=-1), place, np.nan)


def place_of_lowest(x: np.ndarray, close: np.ndarray, w: int) -> np.ndarray:
    """Row of the smallest value, counted alike."""
    return place_of_highest(-x, close, w)


def quantile(x: np.ndarray, w: int, level: float) -> np.ndarray:
    """Quantile, interpolated between the two values around it."""
    ascending = np.sort(windows(x, w), axis=-1)  # NaN comes last
    at = np.maximum((count(x, w) - 1.0) * level, 0.0)[..., None]
    below = np.floor(at).astype(np.intp)
    lower = np.take_along_axis(ascending, below, axis=-1)
    upper = np.take_along_axis(ascending, np.minimum(below + 1, w - 1), axis=-1)
    return np.where(at > below, lower + (upper - lower) * (at - below), lower)[..., 0]


def rank(x: np.ndarray, w: int) -> np.ndarray:
    """Share of the values that are not above the newest one, of those equal to it the middle one."""
    newest = x[..., None]
    below, equal = np.sum(windows(x, w) < newest, axis=-1), np.sum(windows(x, w) == newest, axis=-1)
    return np.where(np.isnan(x), np.nan, (below + 0.5 * (equal + 1)) / count(x, w))


def slope(x: np.ndarray, w: int) -> np.ndarray:
    """Rise of the least-squares line through the values, for each row."""
    _, time_squares, products = _about_means(x, _rows(x), w)
    return products / time_squares


def newest_above_line(x: np.ndarray, w: int) -> np.ndarray:
    """How far the newest value lies above that line."""
    time = _rows(x)
    seen = np.where(np.isnan(x), np.nan, time)
    return x - mean(x, w) - slope(x, w) * (time - mean(seen, w))


def fit(x: np.ndarray, w: int) -> np.ndarray:
    """Share of the variance that the line explains; NaN where there is none."""
    squares, time_squares, products = _about_means(x, _rows(x), w)
    flat = squares <= (count(x, w) - 1.0) * (FLAT_PRICE * mean(x, w)) ** 2
    return np.where(flat, np.nan, products * products / (squares * time_squares))


def correlation(x: np.ndarray, y: np.ndarray, w: int, *, price: bool = False) -> np.ndarray:
    """Correlation over the bars that have both values; NaN where one of them does not vary."""
    x_squares, y_squares, products = _about_means(x, y, w)
    x_flat = FLAT_PRICE * np.abs(mean(x, w)) if price else FLAT
    free = count(x, w) - 1.0
    flat = (x_squares <= free * x_flat**2) | (y_squares <= free * FLAT**2)
    return np.where(flat, np.nan, products / np.sqrt(x_squares * y_squares))


def _sum(seen: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(seen).all(axis=-1), np.nan, np.nansum(seen, axis=-1))


def _about_mean(x: np.ndarray, w: int) -> np.ndarray:
    """Distances of all values from their mean, (T, A, w); exactly 0 where they are all the same."""
    below_highest = windows(x, w) - highest(x, w)[..., None]
    return below_highest - (_sum(below_highest) / count(x, w))[..., None]


def _about_means(x: np.ndarray, y: np.ndarray, w: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums of squares of x and of y, and of products, about their means, over the bars that have an x."""
    dx, dy = _about_mean(x, w), _about_mean(np.where(np.isnan(x), np.nan, y), w)
    return _sum(dx * dx), _sum(dy * dy), _sum(dx * dy)


def _rows(x: np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.arange(len(x), dtype=float)[:, None], x.shape)
