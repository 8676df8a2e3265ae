"""Contributions of single bars, added up to a compound return.

Sums of bars do not compound, so each bar's contribution is scaled. Carino's factors (1999) do so smoothly: with
``k_t = ln(1 + R_t) / R_t`` and ``k`` the same of the whole period, ``R = sum_t R_t k_t / k`` exactly, for each part as
for the total. The method of money weighs each bar with the capital it began with: ``R = sum_t R_t V_t`` with
``V_t = prod_{s<t} (1 + R_s)``; it also works for an account that was lost.

Source: D. Carino, Combining attribution effects over time, Journal of Performance Measurement 3(4), 1999.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

__all__ = ["Linking", "factors", "factors_of_excess", "linked"]

Linking = Literal["carino", "money"]


def linked(parts: np.ndarray, total: np.ndarray, *, method: Linking = "carino") -> np.ndarray:
    """Contribution of each part (K,) to ``prod(1 + total) - 1``, from its contributions to each bar.

    Parameters
    ----------
    parts : float64 ndarray (T, K)
        Sum to ``total`` in each bar.
    total : float64 ndarray (T,)
        Simple returns.
    method : {"carino", "money"}
        Where a bar lost everything, or nearly, money is used in any case: the logarithm of nothing is not a number.
    """
    return factors(total, method=method) @ parts


def factors(total: np.ndarray, *, method: Linking = "carino") -> np.ndarray:
    """What each bar's contributions are multiplied by, (T,), so that they add up to the compound return."""
    if method == "money" or (1.0 + total <= 1e-6).any():
        return np.concatenate([[1.0], np.cumprod(1.0 + total)[:-1]])
    logs = np.log1p(total)
    return _ratio(logs, total) / _ratio(logs.sum(keepdims=True), np.expm1(logs.sum(keepdims=True)))


def factors_of_excess(total: np.ndarray, benchmark: np.ndarray) -> np.ndarray:
    """The same for arithmetic excess: ``sum_t (R_t - B_t) f_t`` is the difference of the two compound returns.

    Notes
    -----
    ``k_t = (ln(1 + R_t) - ln(1 + B_t)) / (R_t - B_t)``; where both are equal, ``1 / (1 + R_t)``. NaN where either lost
    everything.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ours, theirs = np.log1p(total), np.log1p(benchmark)
        whole = np.array([np.expm1(ours.sum())]), np.array([np.expm1(theirs.sum())])
        found = _slope(ours, theirs, total, benchmark) / _slope(np.log1p(whole[0]), np.log1p(whole[1]), *whole)
    return np.where(np.isfinite(found).all(), found, np.nan)


def _ratio(logs: np.ndarray, returns: np.ndarray) -> np.ndarray:
    """``ln(1 + r) / r``, 1 at zero."""
    small = np.abs(returns) < 1e-12
    return np.where(small, 1.0, logs / np.where(small, 1.0, returns))


def _slope(ours: np.ndarray, theirs: np.ndarray, total: np.ndarray, benchmark: np.ndarray) -> np.ndarray:
    apart = total - benchmark
    same = np.abs(apart) < 1e-9  # the difference of two logarithms would be rounding
    return np.where(same, 1.0 / (1.0 + (total + benchmark) / 2), (ours - theirs) / np.where(same, 1.0, apart))
