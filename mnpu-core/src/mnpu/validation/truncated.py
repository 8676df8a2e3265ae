"""Symbols that end, begin or are cut where no listing date says so."""

from __future__ import annotations

import numpy as np

from mnpu.data.clock import from_ns
from mnpu.data.rows import PriceRows
from mnpu.types import Panel
from mnpu.validation.bars import Table, found, rows_of, step_of
from mnpu.validation.findings import AssetFacts, Context, Finding, Rule

__all__ = ["Truncated"]

NO_ROWS = Rule(
    "a symbol has bars",
    "warning",
    "An empty file is not a symbol without trades; a universe that counts on it is smaller than it says.",
    "Fetch the symbol again, or take it out of the dataset.",
)
ENDS_EARLY = Rule(
    "a symbol that ends before its dataset has a delisting date",
    "warning",
    "A download that was cut looks like a company that vanished, and one that vanished takes its last return along.",
    "Fetch the rest, or record when the symbol was delisted, with its last return.",
)
STARTS_LATE = Rule(
    "a symbol that begins after its dataset has a listing date",
    "warning",
    "Whether it did not exist or was not fetched decides if its absence is information.",
    "Record when the symbol was listed, or fetch its earlier bars.",
)
SAME_LENGTH = Rule(
    "symbols do not all have a round number of bars",
    "warning",
    "Equal counts that are a round number are a page of a download, not a history.",
    "Fetch the further pages.",
)
UNEVEN = Rule(
    "a symbol begins and ends with itself in the other datasets and series of its frequency",
    "warning",
    "A mark price that runs on after the last trade, or begins before the first, has bars that join to nothing.",
    "Cut both to the span that they share, or fetch the missing bars.",
)

PAGES = (100, 200, 250, 300, 500, 720, 1000, 1440, 1500, 2000, 2500, 5000, 10_000, 50_000)


class Truncated:
    """Symbols without rows, and symbols that begin or end away from their dataset's ends for no recorded reason.

    Parameters
    ----------
    bars : int, default=10
        A symbol may begin or end so many of the dataset's instants from its ends.
    """

    reads = (PriceRows,)
    rules = (NO_ROWS, ENDS_EARLY, STARTS_LATE, SAME_LENGTH, UNEVEN)

    def __init__(self, bars: int = 10) -> None:
        self.bars = bars

    def check(self, table: Table, context: Context | None = None) -> list[Finding]:
        """Symbols that are shorter than their dataset; nothing for a side table."""
        rows = rows_of(table)
        if rows is None or isinstance(table, Panel):  # a panel shows a chosen range
            return []
        count = np.diff(rows.starts)
        empty = [symbol for symbol, n in zip(rows.symbols, count, strict=True) if n == 0]
        findings = []
        if empty:
            sample = f"{empty[0]} has none"
            records = tuple({"symbol": symbol, "what": "has no bar"} for symbol in empty[:5])
            findings.append(Finding(NO_ROWS.text, NO_ROWS.severity, len(empty), sample, NO_ROWS.hint, records))
        if len(rows) == 0:
            return findings
        return [*findings, *self._ends(rows, count, context), *_pages(rows, count), *self._uneven(rows, count, context)]

    def _ends(self, rows: PriceRows, count: np.ndarray, context: Context | None) -> list[Finding]:
        instants = np.unique(rows.event_time)
        some = np.flatnonzero(count)
        first, last = rows.starts[some], rows.starts[some + 1] - 1
        facts = [_facts(rows.symbols[code], context) for code in some]
        listed = np.array([fact.listed is not None for fact in facts])
        delisted = np.array([fact.delisted is not None for fact in facts])
        late = np.searchsorted(instants, rows.event_time[first])
        early = len(instants) - 1 - np.searchsorted(instants, rows.event_time[last])
        ended, begun = (early > self.bars) & ~delisted, (late > self.bars) & ~listed
        spans = from_ns(instants[[0, -1]])
        return [
            *found(ENDS_EARLY, rows, last[ended], lambda i: f"has its last bar; the dataset ends {spans[1]:%Y-%m-%d}"),
            *found(
                STARTS_LATE, rows, first[begun], lambda i: f"has its first bar; the dataset begins {spans[0]:%Y-%m-%d}"
            ),
        ]

    def _uneven(self, rows: PriceRows, count: np.ndarray, context: Context | None) -> list[Finding]:
        """Ends that nearly, but not quite, agree with another dataset's."""
        step = step_of(rows)
        said: dict[int, str] = {}
        for code in np.flatnonzero(count):
            for dataset, first, last in (context.spans if context is not None else {}).get(rows.symbols[code], ()):
                for row, other, verb in (
                    (rows.starts[code], first, "begins"),
                    (rows.starts[code + 1] - 1, last, "ends"),
                ):
                    apart = (int(rows.event_time[row]) - other) / step
                    if 0.5 < abs(apart) <= self.bars:
                        bars = "1 bar" if abs(apart) == 1 else f"{abs(apart):g} bars"
                        said[int(row)] = f"{verb} {bars} {'after' if apart > 0 else 'before'} {dataset}"
        return found(UNEVEN, rows, np.array(sorted(said), dtype="int64"), said.__getitem__)


def _facts(symbol: str, context: Context | None) -> AssetFacts:
    return (context.assets if context is not None else {}).get(symbol, AssetFacts())


def _pages(rows: PriceRows, count: np.ndarray) -> list[Finding]:
    """Symbols whose number of rows is that of a download's page, where they do not end with the dataset."""
    paged = np.flatnonzero(np.isin(count, PAGES))
    ends = rows.event_time[rows.starts[paged + 1] - 1]
    paged = paged[ends < rows.event_time.max()]
    if len(paged) < 2:
        return []
    return found(SAME_LENGTH, rows, rows.starts[paged + 1] - 1, lambda i: f"is the end of {count[rows.code[i]]} bars")
