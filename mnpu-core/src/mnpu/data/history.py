"""Side series as they were known: the last n observations at each release, and as-of joins at decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from mnpu.data.clock import from_ns, utc
from mnpu.errors import DataError
from mnpu.types import SideTable

__all__ = ["Known", "as_of", "known_windows"]


@dataclass(frozen=True)
class Known:
    """What was known of one series after each of its K releases.

    Attributes
    ----------
    series : str
    values : float64 (K, n)
        The last n observations by period, each in the newest vintage known then, newest in the last column. NaN
        where fewer were known.
    knowledge_time : DatetimeIndex (K,)
        Strictly increasing: what became known together is one release.
    event_time : DatetimeIndex (K,)
        End of the newest period in each row.
    """

    series: str
    values: np.ndarray
    knowledge_time: pd.DatetimeIndex
    event_time: pd.DatetimeIndex


def known_windows(
    table: SideTable, series: str, n: int = 1, *, symbol: str = "", vintage: Literal["latest", "first"] = "latest"
) -> Known:
    """The last ``n`` observations of ``series`` as known after each release.

    Revisions replace the value of their period from their own release on, never before. A row that arrives late for
    an old period takes its place among the others.

    Parameters
    ----------
    table : SideTable
    series : str
    n : int, default=1
    symbol : str, default=""
        The symbol whose rows are read; the empty one for what is about the whole market.
    vintage : {"latest", "first"}, default="latest"
        ``first`` keeps the first print of each period and overlooks its revisions.

    Raises
    ------
    DataError
        If the table has no such series.
    """
    if series not in table.info:
        raise DataError(f"no series {series!r}", where="side table", expected=f"one of {', '.join(table.info)}")
    rows = table.find(series, symbol)
    known, event = utc(table.knowledge_time[rows]).asi8, utc(table.event_time[rows]).asi8
    order = np.lexsort((event, known))
    known, event, value = known[order], event[order], np.asarray(table.value, dtype="float64")[rows][order]
    if vintage == "first":
        _, first = np.unique(event, return_index=True)  # of equal periods the first in order of knowledge
        first.sort()
        known, event, value = known[first], event[first], value[first]
    if len(event) and (np.diff(event) > 0).all() and (np.diff(known) > 0).all():
        values, newest = _sliding(value, n), event
    else:
        values, newest = _replay(known, event, value, n)
    return Known(series, values, from_ns(np.unique(known)), from_ns(newest))


def _sliding(value: np.ndarray, n: int) -> np.ndarray:
    """Periods arrive one by one and are never revised: a window over the past, (K, n)."""
    padded = np.concatenate([np.full(n - 1, np.nan), value])
    return np.lib.stride_tricks.sliding_window_view(padded, n).copy()


def _replay(known: np.ndarray, event: np.ndarray, value: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Release by release: (K, n) windows and the newest period of each, (K,)."""
    releases, starts = np.unique(known, return_index=True)
    bounds = np.append(starts, len(known))
    periods = np.unique(event)
    place = np.searchsorted(periods, event)
    state = np.full(len(periods), np.nan)
    windows = np.full((len(releases), n), np.nan)
    newest = np.empty(len(releases), dtype="int64")
    for k in range(len(releases)):
        now = slice(bounds[k], bounds[k + 1])
        state[place[now]] = value[now]
        seen = np.flatnonzero(np.isfinite(state))
        last = state[seen[-n:]]
        windows[k, n - len(last) :] = last
        newest[k] = periods[seen[-1]]
    return windows, newest


def as_of(
    decision_times: pd.DatetimeIndex,
    knowledge_time: pd.DatetimeIndex,
    values: np.ndarray,
    event_time: pd.DatetimeIndex,
    max_age: pd.Timedelta,
) -> tuple[np.ndarray, np.ndarray]:
    """The value known at each decision, and its age.

    What becomes known at the very instant of a decision is visible to it. A value whose period ended more than
    ``max_age`` before the decision is no longer valid: NaN.

    Parameters
    ----------
    decision_times : DatetimeIndex (T,)
    knowledge_time : DatetimeIndex (K,)
        Increasing.
    values : float64 (K,)
    event_time : DatetimeIndex (K,)
        End of the period that each value describes.
    max_age : Timedelta

    Returns
    -------
    value, age_days : float64 (T,)
        NaN where nothing valid was known.
    """
    decisions, known, event = utc(decision_times).asi8, utc(knowledge_time).asi8, utc(event_time).asi8
    value, age = np.full(len(decisions), np.nan), np.full(len(decisions), np.nan)
    row = np.searchsorted(known, decisions, side="right") - 1
    found = row >= 0
    elapsed = decisions[found] - event[row[found]]
    fresh = elapsed <= max_age.value
    value[found] = np.where(fresh, np.asarray(values, dtype="float64")[row[found]], np.nan)
    age[found] = np.where(fresh, elapsed / 86_400e9, np.nan)
    return value, age
