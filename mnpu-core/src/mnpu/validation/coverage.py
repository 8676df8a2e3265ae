"""What a table covers, symbols by time: there, missing, refused. As numbers, and as a picture in SVG.

The picture is drawn here, because checking data needs no plotting library: rectangles, in the colours of the report
(Okabe and Ito), which differ in lightness too. The same numbers give the same characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd

from mnpu.data.calendars import Calendar
from mnpu.data.clock import from_ns
from mnpu.data.rows import PriceRows
from mnpu.errors import MnpuError
from mnpu.types import SideTable
from mnpu.validation.sessions import expected_bars

__all__ = ["Coverage", "coverage_svg", "price_coverage", "side_coverage"]

BINS = 120
MOST_ROWS = 300  #: of a picture; more symbols share rows
LEGIBLE = 60  #: rows that have their names beside them

#: Kinds of side data that come when something happens.
IRREGULAR = ("calendar", "news")

COLOURS = {"there": "#0072b2", "partly": "#56b4e9", "missing": "#e69f00", "refused": "#000000"}
MEANING = {
    "there": "there",
    "partly": "a part of the bars",
    "missing": "missing between first and last",
    "refused": "an error finding",
}


@dataclass(frozen=True)
class Coverage:
    """Counts of rows by name and stretch of time; R names, K stretches of equal length.

    Attributes
    ----------
    name : str
        Of the table.
    labels : tuple of str (R,)
        Symbols, or series.
    edges : int64 ndarray (K + 1,)
        Ends of the stretches, ns.
    there, expected, refused : int64 ndarray (R, K)
        Rows that are there, that the calendar expects between a name's first and last row, and that broke a rule
        which is an error.
    """

    name: str
    labels: tuple[str, ...]
    edges: np.ndarray
    there: np.ndarray
    expected: np.ndarray
    refused: np.ndarray

    @property
    def states(self) -> np.ndarray:
        """What each cell shows, text (R, K): one of ``there partly missing refused``, or empty outside the span.

        A stretch in which nothing is expected, such as a week-end, looks like the one before it.
        """
        states: np.ndarray = np.full(self.there.shape, "", dtype=object)
        states[(self.expected > 0) & (self.there == 0)] = "missing"
        states[self.there > 0] = "there"
        states[(self.there > 0) & (self.there < 0.98 * self.expected)] = "partly"
        states[self.refused > 0] = "refused"
        said = states != ""
        last = np.maximum.accumulate(np.where(said, np.arange(states.shape[1]), 0), axis=1)
        filled = np.take_along_axis(states, last, axis=1)
        over = np.cumsum(said[:, ::-1], axis=1)[:, ::-1] == 0  # after the last row of a name
        return np.where(over | said, states, filled)

    @property
    def share(self) -> float:
        """Fraction of the expected rows that is there."""
        expected = int(self.expected.sum())
        return float(np.minimum(self.there, self.expected).sum()) / expected if expected else 1.0


def price_coverage(rows: PriceRows, calendar: Calendar | None, refused: Sequence[np.ndarray]) -> Coverage:
    """Coverage of a dataset; without a calendar, of the instants at which any of its symbols has a bar."""
    edges = _edges(int(rows.event_time.min()), int(rows.event_time.max()))
    bars = rows.take(rows.first_print)
    try:
        instants = expected_bars(bars, calendar) if calendar is not None else np.unique(bars.event_time)
    except MnpuError:
        instants = np.unique(bars.event_time)
    shape = (len(rows.symbols), BINS)
    there, expected, broken = (np.zeros(shape, dtype="int64") for _ in range(3))
    np.add.at(there, (bars.code, _bin(bars.event_time, edges)), 1)
    place = _bin(instants, edges)
    for code in np.unique(bars.code):
        span = bars.event_time[[bars.starts[code], bars.starts[code + 1] - 1]]
        low, high = np.searchsorted(instants, span[0]), np.searchsorted(instants, span[1], side="right")
        expected[code] = np.bincount(place[low:high], minlength=BINS)
    bad = np.unique(np.concatenate(refused)) if refused else np.zeros(0, dtype="int64")
    np.add.at(broken, (rows.code[bad], _bin(rows.event_time[bad], edges)), 1)
    return Coverage(f"prices of {rows.info.name}", rows.symbols, edges, there, expected, broken)


def side_coverage(table: SideTable, refused: Sequence[np.ndarray]) -> list[Coverage]:
    """Coverage of side data, one table for each kind.

    Expected is one period in each usual step of a series, and nothing of texts and of the calendar. A row is a series
    and symbol where there are few of them, else a series, else the first word of its name (an event of the calendar
    begins with its currency).
    """
    kinds = {name: getattr(info, "kind", "macro") for name, info in table.info.items()}
    kind = np.array([kinds.get(name, "other") for name in table.series.tolist()], dtype=object)
    bad = np.unique(np.concatenate(refused)) if refused else np.zeros(0, dtype="int64")
    covered = []
    for name in np.unique(kind.astype(str)).tolist():
        rows = np.flatnonzero(kind == name)
        covered.append(_of_kind(name, table, rows, rows[np.isin(rows, bad)]))
    return covered


def _of_kind(kind: str, table: SideTable, rows: np.ndarray, bad: np.ndarray) -> Coverage:
    regular, title = kind not in IRREGULAR, f"side data, {kind}"
    keys = pd.MultiIndex.from_arrays([table.series[rows].astype(str), table.symbol[rows].astype(str)])
    code, names = pd.factorize(keys, sort=True)
    event = table.event_time.asi8[rows]
    edges = _edges(int(event.min()), int(event.max()))
    there, expected, broken = (np.zeros((len(names), BINS), dtype="int64") for _ in range(3))
    order = np.lexsort((event, code))
    for own in np.split(order, np.flatnonzero(np.diff(code[order])) + 1):
        periods = np.unique(event[own])
        r = code[own[0]]
        there[r] = np.bincount(_bin(periods, edges), minlength=BINS)
        step = max(int(np.median(np.diff(periods))), 1) if len(periods) > 1 else 1
        hole = np.flatnonzero((np.diff(periods) > 5 * step) & regular)
        expected[r] = there[r]
        before, after = _bin(periods[hole], edges), _bin(periods[hole + 1], edges)
        for low, high in zip(before.tolist(), after.tolist(), strict=True):
            expected[r, low + 1 : high] = max(1, int(edges[1] - edges[0]) // step)  # whole stretches without a value
    place = np.searchsorted(rows, bad)
    np.add.at(broken, (code[place], _bin(event[place], edges)), 1)
    return _grouped(
        Coverage(title, tuple(" ".join(filter(None, n)) for n in names), edges, there, expected, broken), names
    )


def _grouped(table: Coverage, names: pd.MultiIndex) -> Coverage:
    """The same with names added up until at most ``LEGIBLE`` rows are left, or nothing more can be added up."""
    labels = list(table.labels)
    for shorten in (lambda name: str(name[0]), lambda name: str(name[0]).split(" ")[0]):
        if len(set(labels)) > LEGIBLE:
            labels = [shorten(name) for name in names]
    unique, which = np.unique(labels, return_inverse=True)
    counts = []
    for cells in (table.there, table.expected, table.refused):
        summed = np.zeros((len(unique), BINS), dtype="int64")
        np.add.at(summed, which, cells)
        counts.append(summed)
    return Coverage(table.name, tuple(unique.tolist()), table.edges, *counts)


def coverage_svg(tables: Sequence[Coverage], *, title: str = "What is there") -> str:
    """A picture of every table, one below the other, as the text of an SVG file."""
    left, width, top = 190, 720, 62
    parts: list[str] = []
    y = top
    for table in tables:
        drawn, height = _drawn(table, left, width, y)
        parts.append(drawn)
        y += height + 26
    legend, x = [], left
    for state, meaning in MEANING.items():
        legend.append(f'<rect x="{x}" y="34" width="12" height="10" fill="{COLOURS[state]}"/>')
        legend.append(f'<text x="{x + 17}" y="43">{escape(meaning)}</text>')
        x += 40 + 6 * len(meaning)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 40} {y}" role="img"'
        f' font-family="system-ui, sans-serif" font-size="11">\n<title>{escape(title)}</title>\n'
        '<rect width="100%" height="100%" fill="#ffffff"/>\n'
        f'<text x="12" y="22" font-size="15">{escape(title)}</text>\n' + "\n".join([*legend, *parts]) + "\n</svg>\n"
    )


def _drawn(table: Coverage, left: int, width: int, top: int) -> tuple[str, int]:
    """The rectangles and words of one table, and its height."""
    table = _merged(table)
    states, step = table.states, width / BINS
    row = 14 if len(table.labels) <= LEGIBLE else 4
    share = f"{100 * table.share:.1f} % of the expected rows" if table.expected.sum() else "empty"
    out = [
        f'<text x="12" y="{top + 10}"><tspan font-weight="bold">{escape(table.name)}</tspan>'
        f'<tspan dx="12">{share}</tspan></text>'
    ]
    top += 18
    for r, label in enumerate(table.labels):
        y = top + r * row
        if row >= 12:
            out.append(f'<text x="{left - 6}" y="{y + 10}" text-anchor="end">{escape(_short(label))}</text>')
        out.append(f"<g><title>{escape(label)}</title>")
        edges = np.flatnonzero(np.r_[True, states[r, 1:] != states[r, :-1], True])
        for a, b in pairwise(edges):
            if colour := COLOURS.get(str(states[r, a])):
                x, w = left + a * step, (b - a) * step
                out.append(f'<rect x="{x:g}" y="{y}" width="{w:g}" height="{row - 1}" fill="{colour}"/>')
        out.append("</g>")
    height = len(table.labels) * row
    out += _axis(table.edges, left, width, top + height)
    return "\n".join(out), height + 18 + 16


def _axis(edges: np.ndarray, left: int, width: int, y: int) -> list[str]:
    stamps = from_ns(np.linspace(edges[0], edges[-1], 7).astype("int64"))
    shape = "%Y" if stamps[-1] - stamps[0] > pd.Timedelta(days=3000) else "%Y-%m-%d"
    return [
        f'<text x="{left + width * i / 6:g}" y="{y + 12}" text-anchor="middle" fill="#555555">{stamp:{shape}}</text>'
        for i, stamp in enumerate(stamps)
    ]


def _merged(table: Coverage) -> Coverage:
    """At most ``MOST_ROWS`` rows: neighbours are added up where there are more names."""
    n = len(table.labels)
    each = -(-n // MOST_ROWS)
    if each <= 1:
        return table
    at = np.arange(0, n, each)
    labels = tuple(f"{table.labels[a]} to {table.labels[min(a + each, n) - 1]}" for a in at)
    counts = (np.add.reduceat(cells, at, axis=0) for cells in (table.there, table.expected, table.refused))
    return Coverage(table.name, labels, table.edges, *counts)


def _short(label: str, most: int = 28) -> str:
    return label if len(label) <= most else f"{label[: most - 1]}…"


def _edges(first: int, last: int) -> np.ndarray:
    return np.linspace(first, last + 1, BINS + 1).astype("int64")


def _bin(instants: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.clip(np.searchsorted(edges, instants, side="right") - 1, 0, BINS - 1)
