"""Values that could not have been known when the table says so."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mnpu.types import Panel, SideTable
from mnpu.validation.findings import Context, Finding, breaches

__all__ = ["PointInTime"]


class PointInTime:
    """Nothing is known before it happened, and rows come in the order in which they became known."""

    def check(self, table: Panel | SideTable, context: Context | None = None) -> list[Finding]:
        """What is wrong with the clocks of a panel or a side table."""
        return _side(table) if isinstance(table, SideTable) else _panel(table)


def _panel(panel: Panel) -> list[Finding]:
    zone = str(panel.times.tz)
    if zone != "UTC":
        return [Finding("times are UTC", "error", len(panel.times), f"zone {zone}", "Convert them with tz_convert.")]
    # the day begins at most 14 hours earlier anywhere on earth than in UTC
    begins = panel.sessions.astype("datetime64[ns]").astype("int64") - 14 * 3_600_000_000_000
    return [
        *breaches(
            "a bar closes after its session begins",
            panel.times.asi8 < begins,
            lambda t: f"session {panel.sessions[t]} has a bar known at {panel.times[t]}",
            hint="Daily bars are known at their session's close.",
        ),
        *breaches(
            "sessions never go back",
            np.diff(panel.sessions.astype("int64")) < 0,
            lambda t: f"{panel.sessions[t + 1]} after {panel.sessions[t]}",
            hint="Sort the bars by time.",
        ),
    ]


def _side(table: SideTable) -> list[Finding]:
    known, event = table.knowledge_time.asi8, table.event_time.asi8

    def row(i: int) -> str:
        return f"{table.series[i]}, period to {table.event_time[i]}, known {table.knowledge_time[i]}"

    # a schedule, and a forecast of what is on it, is known before the event
    planned = np.array(
        [name.endswith(("/scheduled", "/forecast", "/previous")) for name in table.series.tolist()], bool
    )
    early = (known < event) & ~planned
    undeclared = ~np.isin(table.series.astype(str), list(table.info) or [""])
    keys = pd.MultiIndex.from_arrays([table.series, table.symbol, event, known])
    backwards = (np.diff(known) < 0) | ((np.diff(known) == 0) & (np.diff(event) < 0))
    return [
        *breaches("knowledge_time >= event_time", early, row, hint="Give the series its release lag."),
        *breaches(
            "rows are sorted by knowledge_time, then event_time",
            backwards,
            lambda i: row(i + 1),
            hint="Sort the table.",
        ),
        *breaches("values are finite", ~np.isfinite(table.value), row, hint="Leave missing observations out."),
        *breaches("one value per period and release", keys.duplicated(), row, hint="Remove the duplicates."),
        *breaches("every series is declared", undeclared, row, hint="Declare its release lag and maximum age."),
    ]
