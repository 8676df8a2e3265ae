"""Events whose date may be known before they come: how far away the next one is, and the last."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mnpu.data.clock import utc
from mnpu.types import SideTable

__all__ = ["since_last", "until_next"]

DAY = 86_400e9


def until_next(table: SideTable, series: str, decisions: pd.DatetimeIndex) -> np.ndarray:
    """Days from each decision to the next event after it whose date was known at it, (T,); NaN where none was."""
    at, (event, known) = utc(decisions).asi8, _schedule(table, series)
    upcoming = np.full(len(at), np.nan)
    order = np.argsort(-event, kind="stable")  # the nearest event is written last
    for when, told in zip(event[order].tolist(), known[order].tolist(), strict=True):
        first, stop = np.searchsorted(at, told, side="left"), np.searchsorted(at, when, side="left")
        upcoming[first:stop] = when - at[first:stop]
    return upcoming / DAY


def since_last(table: SideTable, series: str, decisions: pd.DatetimeIndex) -> np.ndarray:
    """Days from the last event at or before each decision, known at it, (T,); NaN before the first one."""
    at, (event, known) = utc(decisions).asi8, _schedule(table, series)
    visible = np.maximum(event, known)
    order = np.lexsort((event, visible))
    newest = np.maximum.accumulate(event[order])
    row = np.searchsorted(visible[order], at, side="right")
    elapsed = at - np.append(0, newest)[row]
    return np.where(row > 0, elapsed / DAY, np.nan)


def _schedule(table: SideTable, series: str) -> tuple[np.ndarray, np.ndarray]:
    rows = table.find(series)
    return utc(table.event_time[rows]).asi8, utc(table.knowledge_time[rows]).asi8
