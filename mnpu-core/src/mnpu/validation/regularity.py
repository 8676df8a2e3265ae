"""Side series that break their own rhythm: holes, stamps off the grid, values held over periods, repeated words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from mnpu.data.clock import DAY_NS
from mnpu.types import SideTable
from mnpu.validation.bars import Table, side_found
from mnpu.validation.findings import Context, Finding, Rule

__all__ = ["Regularity"]

HOLE = Rule(
    "a regular series has a value for every period",
    "warning",
    "A release that never came leaves the value before it in place until it is too old.",
    "Fetch the period; if it was never published, nothing is to be done: the value grows stale and then missing.",
)
OFF_GRID = Rule(
    "stamps lie on whole seconds",
    "warning",
    "00:00:00.017 is not midnight: an exact join on the hour finds nothing.",
    "Round the stamps at the import; joins here are by time known and do not mind.",
)
HELD = Rule(
    "a series has the frequency that it claims",
    "warning",
    "A yearly value repeated in twelve months shows changes once a year and none between.",
    "Keep the first of the equal values, and declare the lower frequency.",
)
REPEATED_TEXT = Rule(
    "a text is counted once",
    "warning",
    "The same words many times under one symbol are one voice; mention counts and tone weigh it as many.",
    "Keep the first of them, or count distinct texts.",
)

#: Least share of a series in such stretches.
HELD_SHARE = 0.02
PERIODIC = ("macro", "onchain", "funding", "fundamental", "benchmark", "other")


class Regularity:
    """Holes in regular series, stamps with stray milliseconds, values held over many periods, and repeated texts."""

    reads = (SideTable,)
    rules = (HOLE, OFF_GRID, HELD, REPEATED_TEXT)

    def check(self, table: Table, context: Context | None = None) -> list[Finding]:
        """What breaks the rhythm of a side table; nothing for prices."""
        if not isinstance(table, SideTable) or not len(table):
            return []
        holes: dict[int, float] = {}
        held: dict[int, int] = {}
        stray = np.zeros(len(table), dtype=bool)
        for name, rows in _series(table):
            if getattr(table.info.get(name), "kind", "macro") not in PERIODIC:
                continue
            event = table.event_time.asi8[rows]
            order = np.argsort(event, kind="stable")
            first = np.flatnonzero(np.r_[True, np.diff(event[order]) > 0])
            rows, event = rows[order][first], event[order][first]
            holes.update(_holes(rows, event))
            held.update(_held(rows, table.value[rows]))
            stray[rows] = (event % 1_000_000_000) != 0
        words = _repeated(table)
        return [
            *side_found(HOLE, table, _worst(holes), lambda i: f"comes {holes[i]:.0f} days after the one before"),
            *side_found(OFF_GRID, table, stray, lambda i: f"is stamped {table.event_time[i].isoformat()}"),
            *side_found(HELD, table, _worst(held), lambda i: f"begins values that change every {held[i]} rows only"),
            *side_found(REPEATED_TEXT, table, _worst(words), lambda i: f"has a text that is there {words[i]} times"),
        ]


def _series(table: SideTable) -> Iterator[tuple[str, np.ndarray]]:
    """The name and the rows of each series and symbol."""
    keys = pd.MultiIndex.from_arrays([table.series.astype(str), table.symbol.astype(str)])
    group, names = pd.factorize(keys)
    order = np.argsort(group, kind="stable")
    for g, rows in enumerate(np.split(order, np.flatnonzero(np.diff(group[order])) + 1)):
        yield str(names[g][0]), rows


def _holes(rows: np.ndarray, event: np.ndarray) -> dict[int, float]:
    """Row after each hole, and its length in days: steps far above the usual one of a regular series."""
    if len(event) < 8:
        return {}
    step = np.diff(event)
    low, usual, high = np.quantile(step, [0.1, 0.5, 0.9])
    if usual < DAY_NS:
        least, regular = 3 * usual, high <= 1.5 * usual
    else:  # a week-end with a holiday is no hole in a daily series
        least, regular = max(1.6 * usual, usual + 6 * DAY_NS), low >= 0.5 * usual and high <= 3 * usual
    return {int(rows[i + 1]): step[i] / DAY_NS for i in np.flatnonzero(step > least)} if regular else {}


def _held(rows: np.ndarray, value: np.ndarray) -> dict[int, int]:
    """First row of a stretch in which values change at equal distances of three rows or more, five times or more."""
    edges = np.flatnonzero(np.r_[True, value[1:] != value[:-1]])
    length = np.diff(edges)
    if len(length) < 5:
        return {}
    same = np.r_[False, (length[1:] == length[:-1]) & (length[1:] >= 3)]
    turns = np.flatnonzero(np.diff(np.r_[False, same, False].astype("int8")))
    starts, stops = turns[::2] - 1, turns[1::2]
    long = stops - starts >= 5
    if (edges[stops[long]] - edges[starts[long]]).sum() < HELD_SHARE * len(
        value
    ):  # a pegged rate that is set once a week, for a few weeks
        return {}
    return {int(rows[edges[a]]): int(length[a]) for a in starts[long]}


def _repeated(table: SideTable) -> dict[int, int]:
    """First row of each text that one symbol has five times or more, and how many times."""
    text = getattr(table, "text", None)
    if text is None:
        return {}
    frame = pd.DataFrame({"series": table.series, "symbol": table.symbol, "text": text})
    frame = frame[frame["text"].fillna("") != ""]
    counts = frame.reset_index().groupby(["series", "symbol", "text"], sort=False)["index"].agg(["min", "size"])
    counts = counts[counts["size"] >= 5]
    return dict(zip(counts["min"].astype(int), counts["size"].astype(int), strict=True))


def _worst(sizes: dict[int, float] | dict[int, int]) -> np.ndarray:
    return np.array(sorted(sizes, key=lambda row: (-sizes[row], row)), dtype="int64")
