"""Texts as they were published, and sums over those that were known at a decision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mnpu.data.clock import utc

__all__ = ["Texts", "decayed_sum", "window_sum"]


@dataclass(frozen=True)
class Texts:
    """The N texts of a series, in the order in which they became known.

    Attributes
    ----------
    series : str
    knowledge_time : DatetimeIndex (N,)
        Publication, not decreasing.
    symbol : int (N,)
        Index of the symbol that each is about, -1 for the market or a symbol that is not among the view's.
    text : object (N,)
    value : float64 (N,)
        1 for a mention.
    """

    series: str
    knowledge_time: pd.DatetimeIndex
    symbol: np.ndarray
    text: np.ndarray
    value: np.ndarray

    def __len__(self) -> int:
        return len(self.value)


def decayed_sum(
    decisions: pd.DatetimeIndex, known: pd.DatetimeIndex, values: np.ndarray, half_life: pd.Timedelta
) -> np.ndarray:
    """At each decision, the sum of ``value * 0.5 ** (age / half_life)`` over what was known by then, (T,).

    Parameters
    ----------
    decisions : DatetimeIndex (T,)
    known : DatetimeIndex (N,)
        When each value became known, not decreasing; equality is visible.
    values : float64 (N,)
        NaN counts as nothing.
    half_life : Timedelta
    """
    at, when, life = utc(decisions).asi8, utc(known).asi8, float(half_life.value)
    steps = np.exp2(-np.diff(when, prepend=when[:1]) / life)
    sums, level = np.zeros(len(when) + 1), 0.0
    for i, (step, value) in enumerate(zip(steps.tolist(), np.nan_to_num(values).tolist(), strict=True)):
        level = level * step + value
        sums[i + 1] = level
    row = np.searchsorted(when, at, side="right")
    age = at - np.append(0, when)[row]
    return np.where(row > 0, sums[row] * np.exp2(-age / life), 0.0)


def window_sum(
    decisions: pd.DatetimeIndex, known: pd.DatetimeIndex, values: np.ndarray, window: pd.Timedelta
) -> np.ndarray:
    """At each decision t, the sum of the values that became known after ``t - window`` and at or before t, (T,).

    NaN counts as nothing. Sums of whole numbers are exact.
    """
    at, when = utc(decisions).asi8, utc(known).asi8
    total = np.concatenate([[0.0], np.cumsum(np.nan_to_num(values))])
    last = np.searchsorted(when, at, side="right")
    first = np.searchsorted(when, at - window.value, side="right")
    return total[last] - total[first]
