"""Prices that stand still: frozen feeds, bars copied from the day before, flat bars, revisions that say nothing."""

from __future__ import annotations

import numpy as np

from mnpu.data.rows import PriceRows
from mnpu.types import Panel
from mnpu.validation.bars import Table, bars_of, close_of, found, rows_of
from mnpu.validation.findings import Context, Finding, Rule

__all__ = ["Frozen"]

FROZEN_CLOSE = Rule(
    "a close does not stand still for weeks",
    "warning",
    "A feed that stopped looks like a market without risk: volatility falls to zero and size grows.",
    "If the market was closed, leave the bars out: a missing bar is allowed, a stale one is not seen.",
)
COPIED_BAR = Rule(
    "a bar that traded is not a copy of the one before",
    "warning",
    "The same open, high, low, close and volume twice is yesterday's file, so the day's return is lost.",
    "Take the day from another source, or leave it out.",
)
FLAT_BARS = Rule(
    "bars have a range between high and low",
    "warning",
    "Bars made of a close only have no range: features of high and low are zero, not small.",
    "Use closes only where bars are flat.",
)
NOISE_REVISION = Rule(
    "a later vintage of a bar differs by more than rounding",
    "warning",
    "34.53 that becomes 34.529999 counts as a revision and is none.",
    "Round prices to the vendor's ticks at the import.",
)
COPIED_ROW = Rule(
    "a vintage says something new",
    "warning",
    "A row that repeats an earlier vintage of its bar tells nothing and costs time.",
    "Leave out vintages that change nothing.",
)

LEAST_FLAT = 20  #: flat bars in a row or in all before they are said


class Frozen:
    """Closes that do not move, whole bars repeated, bars without a range, and vintages without news.

    Parameters
    ----------
    bars : int, default=20
        A close that stays the same for so many bars is a finding; more where the symbol often does not move.
    """

    reads = (Panel, PriceRows)
    rules = (FROZEN_CLOSE, COPIED_BAR, FLAT_BARS, NOISE_REVISION, COPIED_ROW)

    def __init__(self, bars: int = 20) -> None:
        self.bars = bars

    def check(self, table: Table, context: Context | None = None) -> list[Finding]:
        """Bars that carry no news; nothing for a side table."""
        read = bars_of(table)
        if read is None:
            return []
        bars, origin = read
        rows = rows_of(table)
        later = [] if rows is None or isinstance(table, Panel) or len(rows) == len(bars) else _vintages(rows)
        return [*self._stopped(bars, origin), *_copies(bars, origin), *_flat(bars, origin), *later]

    def _stopped(self, bars: PriceRows, origin: np.ndarray) -> list[Finding]:
        close = close_of(bars)
        still = bars.same_symbol & (close == np.roll(close, 1))
        start, length = _runs(still)
        rows = np.bincount(bars.code, minlength=len(bars.symbols))
        share = np.bincount(bars.code[still], minlength=len(bars.symbols)) / np.maximum(rows, 1)
        # the longest run that chance allows grows with log(rows) / -log(share of bars that do not move)
        chance = 2 * np.log(np.maximum(rows, 2)) / -np.log(np.clip(share, 1e-3, 0.9))
        long = length >= np.maximum(self.bars, chance[bars.code[start]])
        start, length = start[long], length[long]
        worst = np.argsort(-length, kind="stable")
        n_bars = dict(zip(start.tolist(), length.tolist(), strict=True))
        return found(
            FROZEN_CLOSE,
            bars,
            start[worst],
            lambda i: f"begins {n_bars[i]} bars with the close {close[i]:g}",
            origin=origin,
        )


def _runs(still: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First row and length of every run of bars that repeat the one before, the first of them included."""
    edges = np.flatnonzero(np.diff(np.r_[False, still, False].astype("int8")))
    first, last = edges[::2], edges[1::2]
    return first - 1, last - first + 1


def _copies(bars: PriceRows, origin: np.ndarray) -> list[Finding]:
    if not {"open", "high", "low", "close", "volume"} <= set(bars.columns):
        return []
    same = bars.same_symbol & (bars["volume"] > 0) & (bars["high"] > bars["low"])
    for name in ("open", "high", "low", "close", "volume"):
        same &= bars[name] == np.roll(bars[name], 1)
    return found(
        COPIED_BAR,
        bars,
        same,
        lambda i: f"repeats the bar before: close {bars['close'][i]:g}, volume {bars['volume'][i]:g}",
        origin=origin,
    )


def _flat(bars: PriceRows, origin: np.ndarray) -> list[Finding]:
    """Symbols of which a fifth of the bars, or a long stretch, is flat although the close moves."""
    if not {"high", "low", "close"} <= set(bars.columns):
        return []
    flat = (bars["high"] == bars["low"]) & (bars["close"] == bars["high"])
    rows = np.bincount(bars.code, minlength=len(bars.symbols))
    n_flat = np.bincount(bars.code[flat], minlength=len(bars.symbols))
    many = (n_flat >= LEAST_FLAT) & (n_flat > 0.2 * rows)
    edges, length = _runs(flat & np.append(False, flat[:-1]) & bars.same_symbol)
    many[bars.code[edges[length >= LEAST_FLAT]]] = True
    broken = flat & many[bars.code]
    return found(
        FLAT_BARS,
        bars,
        broken,
        lambda i: f"is flat at {bars['close'][i]:g}, as {n_flat[bars.code[i]]} of {rows[bars.code[i]]} bars are",
        origin=origin,
    )


def _vintages(rows: PriceRows) -> list[Finding]:
    """Later vintages that repeat the one before, or differ by no more than one part in a million."""
    later = ~rows.first_print
    equal, close_by = later.copy(), later.copy()
    for values in rows.columns.values():
        before = np.roll(values, 1)
        both_missing = np.isnan(values) & np.isnan(before)
        equal &= (values == before) | both_missing
        with np.errstate(invalid="ignore", divide="ignore"):
            close_by &= (np.abs(values - before) <= 1e-6 * np.abs(before)) | both_missing
    last = [n for n in ("close", "adj_close") if n in rows][:1]
    describe = lambda i: "".join(f"has {n} {rows[n][i]:.9g} after {rows[n][i - 1]:.9g}" for n in last)  # noqa: E731
    return [
        *found(NOISE_REVISION, rows, close_by & ~equal, describe),
        *found(COPIED_ROW, rows, equal, describe),
    ]
