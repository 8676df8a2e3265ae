"""What each publication of a series changed about the period that was the newest before it."""

from __future__ import annotations

import numpy as np

from mnpu.data.asof import Releases
from mnpu.data.clock import from_ns
from mnpu.data.history import Known
from mnpu.types import SideTable

__all__ = ["revised_windows"]


def revised_windows(table: SideTable, series: str, *, symbol: str = "") -> Known:
    """Values before and after each publication, for the period that was newest before it.

    Parameters
    ----------
    table : SideTable
    series : str
    symbol : str
        Whose rows, the market-wide ones by default.

    Returns
    -------
    known : Known
        ``values`` (K, 2): before, after; NaN in the first row. ``event_time`` is the newest period after each one.
    """
    releases = Releases.from_table(table, series, (symbol,))
    instants, first = np.unique(releases.knowledge_time, return_index=True)
    values = np.full((len(instants), 2), np.nan)
    newest = np.empty(len(instants), dtype=np.int64)
    known: dict[int, float] = {}
    before: int | None = None
    bounds = np.append(first, len(releases))
    for k in range(len(instants)):
        group = slice(bounds[k], bounds[k + 1])
        periods = releases.event_time[group].tolist()
        if before is not None:
            values[k, 0] = known[before]
        known.update(zip(periods, releases.value[group].tolist(), strict=True))
        if before is not None:
            values[k, 1] = known[before]
        before = newest[k] = max(periods) if before is None else max(before, *periods)
    return Known(series, values, from_ns(instants), from_ns(newest))
