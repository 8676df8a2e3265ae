"""Shrunk covariances of past returns.

Sources: Ledoit and Wolf (2004a), "A well-conditioned estimator for large-dimensional covariance matrices" (identity
target); Ledoit and Wolf (2004b), "Honey, I shrunk the sample covariance matrix" (constant-correlation target). The
intensity is the papers' own estimate; every sum over pairs is taken as a product of sums over symbols where it can be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

__all__ = ["MIN_PRESENT", "Shrink", "past_covariances", "shrunk_covariance"]

Shrink = Literal["constant_correlation", "identity"]

MIN_PRESENT = 0.8  #: A symbol with fewer of the window's returns has no covariance.
STILL = 1e-14  #: Variance per bar below which a price does not move.


def shrunk_covariance(deviations: np.ndarray, shrink: Shrink) -> tuple[np.ndarray, float]:
    """Covariance of columns, drawn towards a target by the estimated best share.

    Parameters
    ----------
    deviations : float64 ndarray (n, A)
        Returns less their means, each column with some variance, no NaN.
    shrink : {"constant_correlation", "identity"}
        The target: every pair correlated as the mean pair, or the mean variance and no covariance.

    Returns
    -------
    covariance : float64 ndarray (A, A)
        Of one bar, with divisor n.
    intensity : float
        Share of the target, from 0 to 1.
    """
    n, n_assets = deviations.shape
    sample = deviations.T @ deviations / n
    if n_assets == 1:
        return sample, 0.0
    variance = np.diag(sample).copy()
    # sum over pairs of the variance of each entry of n x the sample covariance
    squares = np.square(deviations)
    pi = float(np.square(squares.sum(axis=1)).sum() / n - sample.ravel() @ sample.ravel())
    if shrink == "identity":
        target, rho = np.diag(np.full(n_assets, variance.mean())), 0.0
    else:
        scale = np.sqrt(variance)
        correlations = (1.0 / scale) @ sample @ (1.0 / scale) - n_assets
        mean_correlation = correlations / (n_assets * (n_assets - 1))
        target = mean_correlation * np.outer(scale, scale)
        np.fill_diagonal(target, variance)
        rho = _of_target(deviations, squares, sample, scale, mean_correlation)
    apart = (target - sample).ravel()
    gamma = float(apart @ apart)
    intensity = min(max((pi - rho) / n / gamma, 0.0), 1.0) if gamma > 0 else 0.0
    target *= intensity
    sample *= 1.0 - intensity
    target += sample
    return target, intensity


def _of_target(
    deviations: np.ndarray, squares: np.ndarray, sample: np.ndarray, scale: np.ndarray, mean_correlation: float
) -> float:
    """Covariances of the entries of the constant-correlation target with those of the sample, summed (2004b, p. 14)."""
    n, variance = len(deviations), np.square(scale)
    diagonal = float(np.square(squares).sum() / n - np.square(variance).sum())
    # theta_ij = mean((x_i^2 - s_ii)(x_i x_j - s_ij)), weighted by scale_j / scale_i over all pairs i != j
    every = float(((squares * deviations) @ (1.0 / scale)) @ (deviations @ scale) / n)
    every -= float(scale @ (sample @ scale))
    return diagonal + mean_correlation * (every - diagonal)


def past_covariances(
    returns: np.ndarray, usable: np.ndarray, *, window: int, shrink: Shrink
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """For each row, the shrunk covariance of the symbols that can be held, from the last ``window`` returns alone.

    Parameters
    ----------
    returns : float64 ndarray (T, A)
    usable : bool ndarray (T, A)
        Where a symbol may be held.
    window : int
    shrink : Shrink

    Yields
    ------
    row : int
    columns : int ndarray (K,)
        Usable symbols with four fifths of their returns and some variance, at least one.
    covariance : float64 ndarray (K, K)
        Of one bar.

    Notes
    -----
    NaN: a missing return counts as the mean, and the others of its symbol count for more, so that its variance is
    that of the returns that are there.
    """
    known = np.isfinite(returns)
    for row in range(window - 1, len(returns)):
        rows = slice(row - window + 1, row + 1)
        columns = np.flatnonzero(usable[row] & (known[rows].sum(axis=0) >= MIN_PRESENT * window))
        if not len(columns):
            continue
        there = known[rows][:, columns]
        past, count = np.where(there, returns[rows][:, columns], 0.0), there.sum(axis=0)
        around = np.where(there, past - past.sum(axis=0) / count, 0.0)
        moves = np.square(around).sum(axis=0) / count > STILL
        columns, around = columns[moves], around[:, moves] * np.sqrt(window / count[moves])
        if len(columns):
            yield row, columns, shrunk_covariance(around, shrink)[0]
