"""Side series as they were known: the last n observations at each release, and as-of joins at decisions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mnpu.data.asof import Releases, Vintage, as_of, windows
from mnpu.data.clock import from_ns
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


def known_windows(table: SideTable, series: str, n: int = 1, *, symbol: str = "", vintage: Vintage = "latest") -> Known:
    """The last ``n`` observations of ``series`` as known after each release.

    Revisions replace the value of their period from their own release on, never before; with ``vintage="first"`` each
    period keeps its first print, and a publication that only revises is none. A row that arrives late for an old
    period takes its place among the others.

    Parameters
    ----------
    table : SideTable
    series : str
    n : int, default=1
    symbol : str
        Whose rows, the market-wide ones by default.
    vintage : {"latest", "first"}

    Raises
    ------
    DataError
        If the table has no such series.
    """
    releases = Releases.from_table(table, series, (symbol,))
    known, event = releases.knowledge_time, releases.event_time
    if len(event) and (event[1:] > event[:-1]).all() and (known[1:] > known[:-1]).all():
        return Known(series, _sliding(releases.value, n), from_ns(known), from_ns(event))
    replayed = windows(releases, n, vintage=vintage)
    return Known(series, replayed.values, from_ns(replayed.knowledge_time), from_ns(replayed.event_time))


def _sliding(value: np.ndarray, n: int) -> np.ndarray:
    """Periods arrive one by one and are never revised: a window over the past, (K, n)."""
    padded = np.concatenate([np.full(n - 1, np.nan), value])
    return np.lib.stride_tricks.sliding_window_view(padded, n).copy()
