"""Mean-variance books within bounds, by following the critical line.

``max mean w - w C w / 2`` with ``sum |w| <= gross`` and ``|w| <= cap`` (and ``w >= 0``). As the price of gross falls
from where nothing is worth holding, the book moves along straight lines from one corner to the next, where a symbol
enters, leaves, or reaches its cap; it ends where the gross is used up, or where it costs nothing. Source: Markowitz
(1956); without caps it is the lasso's path (Osborne, Presnell and Turlach, 2000). The factor of the symbols between
their bounds is grown and cut, never built anew, and every book is checked against the conditions of an optimum.
"""

from __future__ import annotations

import numpy as np

from mnpu.data.compiled import compiled
from mnpu.errors import DataError
from mnpu.policies import _bounded_loops as loops

__all__ = ["best_book", "violation"]

TOLERANCE = 1e-8  #: Of the conditions of an optimum, relative to the largest mean.
NUDGES = (0.0, 1e-10, 1e-9)  #: Relative changes of the means that part symbols which tie.
MANY = 32  #: Corners after which the book without bounds is tried.
_GOLDEN = 0.6180339887498949


def best_book(mean: np.ndarray, cov: np.ndarray, *, gross: float, cap: float, long_only: bool) -> np.ndarray:
    """The book that maximises ``mean w - w cov w / 2`` within its bounds.

    Parameters
    ----------
    mean : float64 ndarray (A,)
    cov : float64 ndarray (A, A)
        Positive definite.
    gross, cap : float
        Most that absolute weights sum to, and the largest of them.
    long_only : bool

    Returns
    -------
    weights : float64 ndarray (A,)

    Raises
    ------
    DataError
        If no book fulfils the conditions of an optimum, which means that ``cov`` is not positive definite.
    """
    if (mean <= 0.0).all() if long_only else not mean.any():
        return np.zeros_like(mean)
    for nudge in NUDGES:
        nudged = mean * (1.0 + nudge * (_GOLDEN * np.arange(len(mean)) % 1.0))
        weights = _critical_line(nudged, cov, gross, cap, long_only)
        if violation(weights, mean, cov, gross=gross, cap=cap, long_only=long_only) <= TOLERANCE:
            return weights
    raise DataError(
        f"no best book of {len(mean)} symbols was found", where="policy", expected="a positive definite covariance"
    )


def violation(
    weights: np.ndarray, mean: np.ndarray, cov: np.ndarray, *, gross: float, cap: float, long_only: bool
) -> float:
    """How far a book is from the Karush-Kuhn-Tucker conditions, over the largest mean; infinite if out of bounds.

    With a price of gross p >= 0: what is held between its bounds has a gradient of p towards its sign, what is at its
    cap one of at least p, what is not held one of at most p, and p is zero unless the gross is used up.
    """
    size, scale = np.abs(weights), np.abs(mean).max()
    slack = 1e-9 * max(gross, cap)
    if not np.isfinite(weights).all() or size.sum() > gross + slack or size.max() > cap + slack:
        return np.inf
    if long_only and (weights < -slack).any():
        return np.inf
    gradient, held, full = mean - cov @ weights, size > 0.0, size >= cap - slack
    outward = np.where(held, np.sign(weights) * gradient, gradient if long_only else np.abs(gradient))
    between = held & ~full
    least = max(float(outward[~held].max(initial=0.0)), 0.0)
    price = float(outward[between].mean()) if between.any() else least
    if size.sum() < gross - slack:
        price = 0.0
    wrong = [
        np.abs(outward[between] - price).max(initial=0.0),
        (price - outward[held & full]).max(initial=0.0),
        (outward[~held] - price).max(initial=0.0),
        -price,
    ]
    return float(max(wrong) / scale)


def _critical_line(mean: np.ndarray, cov: np.ndarray, gross: float, cap: float, long_only: bool) -> np.ndarray:
    """Follow the path of corners to its end; NaN where it does not end."""
    n, k = len(mean), 0
    factor, order = np.zeros((n, n)), np.zeros(n, np.int64)
    state, side, weights, slope, move = np.zeros(n, np.int64), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    gradient = mean.copy()
    price = float(mean.max() if long_only else np.abs(mean).max())
    append, remove = compiled(loops.factor_append), compiled(loops.factor_remove)
    direction, next_corner = compiled(loops.direction), compiled(loops.next_corner)
    for corner in range(20 * n + 100):
        if corner == MANY:  # the path is long where the bounds hardly bind: perhaps they do not at all
            unbounded = np.linalg.solve(cov, mean)
            size = np.abs(unbounded)
            if size.max() <= cap and size.sum() <= gross and not (long_only and (unbounded < 0).any()):
                return np.asarray(unbounded)
        direction(factor, cov, order, k, side, move, slope)
        fall, symbol, kind, way = next_corner(weights, gradient, slope, move, state, side, price, gross, cap, long_only)
        price -= fall
        weights += fall * move
        gradient -= fall * slope
        if symbol < 0:
            return _settled(mean, cov, gross, price, state, side, weights)
        if kind in (1, 4):
            append(factor, cov, order, k, symbol)
            k, state[symbol], side[symbol] = k + 1, 1, way
        else:
            remove(factor, order, k, int(np.flatnonzero(order[:k] == symbol)[0]))
            k, state[symbol] = k - 1, 0 if kind == 2 else 2
            weights[symbol] = 0.0 if kind == 2 else cap * way
            side[symbol] = 0.0 if kind == 2 else way
    return np.full(n, np.nan)


def _settled(
    mean: np.ndarray,
    cov: np.ndarray,
    gross: float,
    price: float,
    state: np.ndarray,
    side: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """The last corner, solved anew for the symbols between their bounds, so that no rounding of the path is left."""
    free, full = np.flatnonzero(state == 1), np.flatnonzero(state == 2)
    if not len(free):
        return weights
    right = np.column_stack([mean[free] - cov[np.ix_(free, full)] @ weights[full], side[free]])
    without, per_price = np.linalg.solve(cov[np.ix_(free, free)], right).T
    final = 0.0
    if price > 0.0:
        final = max((side[free] @ without - (gross - np.abs(weights[full]).sum())) / (side[free] @ per_price), 0.0)
    settled = weights.copy()
    settled[free] = without - final * per_price
    return settled
