"""Events whose date may be known before they come: how far away the next one is, and the last.

A date that was called off (a row of value 0) counts until that became known, and an event that was moved is one that
was called off and another that was announced.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from mnpu.data.clock import utc
from mnpu.types import SideTable

__all__ = ["since_last", "until_next"]

DAY = 86_400e9
END = np.iinfo(np.int64).max


def until_next(table: SideTable, series: str, decisions: pd.DatetimeIndex) -> np.ndarray:
    """Days from each decision to the next event after it whose date stood at it, (T,); NaN where none did."""
    at = utc(decisions).asi8
    upcoming = np.full(len(at), np.nan)
    for when, told, until in reversed(list(_stood(table, series))):  # the nearest event is written last
        first, stop = np.searchsorted(at, (told, min(when, until)), side="left")
        upcoming[first:stop] = when - at[first:stop]
    return upcoming / DAY


def since_last(table: SideTable, series: str, decisions: pd.DatetimeIndex) -> np.ndarray:
    """Days from the last event at or before each decision that stood at it, (T,); NaN before the first one."""
    at = utc(decisions).asi8
    elapsed = np.full(len(at), np.nan)
    for when, told, until in _stood(table, series):  # the latest event is written last
        first, stop = np.searchsorted(at, (max(when, told), until), side="left")
        elapsed[first:stop] = at[first:stop] - when
    return elapsed / DAY


def _stood(table: SideTable, series: str) -> Iterator[tuple[int, int, int]]:
    """Each event, in order, with when its date became known and when that was taken back, ns."""
    rows = table.find(series)
    event, known = utc(table.event_time[rows]).asi8, utc(table.knowledge_time[rows]).asi8
    order = np.lexsort((known, event))  # stable: of two rows of one moment the later one counts
    event, known, stands = event[order], known[order], table.value[rows][order] != 0
    until = np.append(np.where(np.diff(event) == 0, known[1:], END), END)
    for row in np.flatnonzero(stands).tolist():
        yield int(event[row]), int(known[row]), int(until[row])
