"""Values that could not have been known when the table says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from mnpu.data.rows import PriceRows
from mnpu.data.side import SCORE
from mnpu.types import Panel, SideTable
from mnpu.validation.bars import Table, found, side_found, side_records
from mnpu.validation.findings import Context, Finding, Rule, breaches

__all__ = ["PointInTime"]


EARLY = Rule(
    "knowledge_time >= event_time",
    "error",
    "What is known before it happened is the future; only a schedule may be.",
    "Give the series its release lag.",
)
FUTURE = Rule(
    "nothing is known later than now",
    "error",
    "A stamp in the future is a wrong unit, zone or typo, and would become visible one day by itself.",
    "Correct the stamps at the import.",
)
REPEATED = Rule(
    "one value per period and release",
    "error",
    "Two values of one vintage: which one is read depends on the order of rows.",
    "Remove the duplicates.",
)
SORTED = Rule(
    "rows are sorted by knowledge_time, then event_time",
    "error",
    "A read as of an instant stops at the first later row.",
    "Sort the table.",
)
FINITE = Rule(
    "values are finite",
    "error",
    "A missing observation is a missing row, so that the value before it counts until it is too old.",
    "Leave missing observations out.",
)
DECLARED = Rule(
    "every series is declared",
    "error",
    "Without a release lag and a maximum age nobody knows when a value counts.",
    "Declare its release lag and maximum age.",
)
REPEATED_NEWS = Rule(
    "a text comes once",
    "warning",
    "The same words about one symbol at one instant are one text that came twice, and count as two.",
    "Keep one of them.",
)


class PointInTime:
    """Nothing is known before it happened or after today, and rows come in the order in which they became known."""

    reads = (Panel, PriceRows, SideTable)
    rules = (EARLY, FUTURE, SORTED, FINITE, REPEATED, REPEATED_NEWS, DECLARED)

    def check(self, table: Table, context: Context | None = None) -> list[Finding]:
        """What is wrong with the clocks of a panel, of price rows or of a side table."""
        if isinstance(table, PriceRows):
            return _rows(table, context)
        return _side(table, context) if isinstance(table, SideTable) else _panel(table)


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


def _rows(rows: PriceRows, context: Context | None) -> list[Finding]:
    events = rows.events

    def clocks(i: int) -> str:
        lead = pd.Timedelta(int(rows.event_time[i] - rows.knowledge_time[i]), "ns")
        return f"is known {lead} before its close" if lead > pd.Timedelta(0) else f"is stamped {events[i]}"

    return [
        *found(EARLY, rows, rows.knowledge_time < rows.event_time, clocks),
        *found(FUTURE, rows, _after_now(rows.knowledge_time, context), clocks),
        *found(
            REPEATED,
            rows,
            ~rows.first_print & (np.r_[0, np.diff(rows.knowledge_time)] == 0),
            lambda i: "is there twice with one knowledge time",
        ),
    ]


def _side(table: SideTable, context: Context | None) -> list[Finding]:
    known, event = table.knowledge_time.asi8, table.event_time.asi8

    def row(i: int) -> str:
        return f"{table.series[i]}, period to {table.event_time[i]}, known {table.knowledge_time[i]}"

    name = table.series.astype(str)
    undeclared = ~np.isin(name, list(table.info) or [""])
    words = [] if table.text is None else [table.text]  # other words at the same instant are another text
    keys = pd.MultiIndex.from_arrays([table.series, table.symbol, event, known, *words])
    backwards = (np.diff(known) < 0) | ((np.diff(known) == 0) & (np.diff(event) < 0))
    schedule = np.isin(name, [s for s, i in table.info.items() if _is_schedule(s, i)])
    news = np.isin(name, [s for s, i in table.info.items() if getattr(i, "kind", "macro") == "news"])
    texts = news & ~np.isin(name, [s for s, i in table.info.items() if i.unit == SCORE])  # many may have one score
    twice = keys.duplicated()
    early = (known < event) & ~schedule
    return [
        *_rows_of(table, EARLY, early, row),
        *breaches(SORTED.text, backwards, lambda i: row(i + 1), hint=SORTED.hint),
        *_rows_of(table, FINITE, ~np.isfinite(table.value), row),
        *_rows_of(table, REPEATED, twice & ~news, row),
        *side_found(REPEATED_NEWS, table, twice & texts, lambda i: "is not the only one"),
        *side_found(FUTURE, table, _after_now(known, context), lambda i: f"is known {table.knowledge_time[i]}"),
        *_rows_of(table, DECLARED, undeclared, row),
    ]


def _rows_of(table: SideTable, rule: Rule, broken: np.ndarray, row: Callable[[int], str]) -> list[Finding]:
    index = np.flatnonzero(broken)
    found_there = breaches(rule.text, broken, row, hint=rule.hint)
    return [replace(f, records=side_records(table, index, row), index=index) for f in found_there]


def _is_schedule(name: str, info: object) -> bool:
    """Whether a series tells what is to come: all of a calendar but what was released."""
    planned = name.endswith(("/scheduled", "/forecast", "/previous"))
    return planned or (getattr(info, "kind", "macro") == "calendar" and not name.endswith("/actual"))


def _after_now(known: np.ndarray, context: Context | None) -> np.ndarray:
    now = context.now if context is not None else None
    return np.zeros(len(known), dtype=bool) if now is None else known > now
