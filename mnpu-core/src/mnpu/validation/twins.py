"""The same series under two names."""

from __future__ import annotations

import numpy as np

from mnpu.data.rows import PriceRows
from mnpu.types import Panel
from mnpu.validation.bars import Table, bars_of, close_of, found
from mnpu.validation.findings import Context, Finding, Rule

__all__ = ["Twins"]

IDENTICAL = Rule(
    "no two symbols have the same bars",
    "error",
    "One series under two names counts twice in every cross-section, and a pair of them is a perfect hedge.",
    "Keep one of the two symbols.",
)
PARTLY_IDENTICAL = Rule(
    "two symbols do not share half of their bars",
    "warning",
    "A history that was copied under another ticker belongs to one of the two companies only.",
    "Find out whose history it is, and let the other symbol begin later.",
)


class Twins:
    """Two symbols whose bars are equal, cell by cell, at the same instants.

    Parameters
    ----------
    bars : int, default=30
        So many equal bars at least; fewer may be chance.
    """

    reads = (Panel, PriceRows)
    rules = (IDENTICAL, PARTLY_IDENTICAL)

    def __init__(self, bars: int = 30) -> None:
        self.bars = bars

    def check(self, table: Table, context: Context | None = None) -> list[Finding]:
        """Pairs of symbols with equal bars; nothing for a side table."""
        read = bars_of(table)
        if read is None or len(read[0].symbols) < 2:
            return []
        bars, origin = read
        first, second, shared, both = _pairs(bars)
        many = shared >= self.bars
        same = many & (shared >= 0.95 * both)
        partly = many & ~same & (shared >= 0.5 * both)
        names = bars.symbols

        def rows(chosen: np.ndarray) -> np.ndarray:
            order = np.flatnonzero(chosen)[np.argsort(-shared[chosen], kind="stable")]
            return bars.starts[second[order]]  # each pair is said at the later symbol's first bar

        def describe(i: int) -> str:
            pair = np.flatnonzero((second == bars.code[i]) & many)
            twin = pair[np.argmax(shared[pair])]
            return f"has the bars of {names[first[twin]]}: {shared[twin]} of {both[twin]} are equal"

        return [
            *found(IDENTICAL, bars, rows(same), describe, origin=origin),
            *found(PARTLY_IDENTICAL, bars, rows(partly), describe, origin=origin),
        ]


def _pairs(bars: PriceRows) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Codes of each pair of symbols with an equal bar, how many are equal, and how many instants both have."""
    mixed = _mixed(bars)
    # a price that stands still is equal to others by chance
    close = close_of(bars)
    moving = ~(bars.same_symbol & (close == np.roll(close, 1)))
    at = np.flatnonzero(moving)
    order = at[np.argsort(mixed[at], kind="stable")]  # stable: equal bars stay in the order of their symbols
    keys, code = mixed[order], bars.code[order].astype("int64")
    n = len(bars.symbols)
    hits: list[np.ndarray] = []
    for apart in range(1, 4):  # more than four names for one series are found pair by pair
        equal = keys[apart:] == keys[:-apart]
        one, other = code[:-apart][equal], code[apart:][equal]
        hits.append((np.minimum(one, other) * n + np.maximum(one, other))[one != other])
        if not equal.any():
            break
    pairs, shared = np.unique(np.concatenate(hits), return_counts=True)
    first, second = pairs // n, pairs % n
    wanted = shared >= 2
    first, second, shared = first[wanted], second[wanted], shared[wanted]
    both = np.array([_both(bars, moving, a, b) for a, b in zip(first, second, strict=True)], dtype="int64")
    return first, second, shared, both


def _both(bars: PriceRows, moving: np.ndarray, a: int, b: int) -> int:
    one, other = (slice(bars.starts[c], bars.starts[c + 1]) for c in (a, b))
    return len(np.intersect1d(bars.event_time[one][moving[one]], bars.event_time[other], assume_unique=True))


def _mixed(bars: PriceRows) -> np.ndarray:
    """A 64-bit number for each bar from its instant and its cells: equal bars have equal numbers."""
    mixed = bars.event_time.astype("uint64")
    for values in bars.columns.values():
        cells = np.where(np.isnan(values), np.nan, values + 0.0).view("uint64")  # -0.0 is 0.0
        mixed = (mixed ^ cells) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed
