"""What each publication of a series changed about the period that was the newest before it."""

from __future__ import annotations

import numpy as np

from mnpu.data.clock import from_ns, utc
from mnpu.data.history import Known
from mnpu.types import SideTable

__all__ = ["revised_windows"]


def revised_windows(table: SideTable, series: str, *, symbol: str = "") -> Known:
    """Values before and after each publication, for the period that was newest before it.

    Parameters
    ----------
    table : SideTable
    series : str
    symbol : str, default=""
        The symbol whose rows are read; the empty one for what is about the whole market.

    Returns
    -------
    known : Known
        ``values`` (K, 2): before, after; NaN in the first row. ``event_time`` is the newest period after each one.
    """
    rows = table.find(series, symbol)
    published, period = utc(table.knowledge_time[rows]).asi8, utc(table.event_time[rows]).asi8
    value = np.asarray(table.value, dtype=float)[rows]
    order = np.lexsort((period, published))
    instants, first = np.unique(published[order], return_index=True)
    values = np.full((len(instants), 2), np.nan)
    newest = np.empty(len(instants), dtype=np.int64)
    known: dict[int, float] = {}
    before: int | None = None
    for k, group in enumerate(np.split(order, first)[1:]):
        if before is not None:
            values[k, 0] = known[before]
        known.update(zip(period[group].tolist(), value[group].tolist(), strict=True))
        if before is not None:
            values[k, 1] = known[before]
        before = newest[k] = max(known)
    return Known(series, values, from_ns(instants), from_ns(newest))
