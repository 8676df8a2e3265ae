"""Levels that move and stay: a ticker that was given to another company, a share class, a split nobody recorded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mnpu.data.clock import DAY_NS, from_ns
from mnpu.data.rows import PriceRows
from mnpu.types import Panel
from mnpu.validation.bars import Table, bars_of, close_of, found, log_returns, typical
from mnpu.validation.findings import Actions, Context, Finding, Rule

__all__ = ["Jumps"]

TICKER_REUSE = Rule(
    "a symbol that was away for two months returns at a level that it could have moved to",
    "error",
    "A ticker that was given to another company joins two histories: momentum over the seam is an artefact.",
    "Give the earlier company a symbol of its own, or let the dataset begin after the seam.",
)
HUGE_JUMP = Rule(
    "no close moves five-fold in a bar without a corporate action",
    "error",
    "An unrecorded split or a change of unit is the largest return of the whole data set.",
    "Record the split as a corporate action, split the symbol where the company changes, or correct the unit.",
)
JUMP = Rule(
    "falls of 36 % and rises of 57 % have a corporate action or a reason",
    "warning",
    "Splits, spin-offs and changes of share class fall in the price and in nobody's pocket.",
    "If it is a split, a spin-off or another share class, record it as a corporate action.",
)
LATE_SPLIT = Rule(
    "a split is known when its first bar closes",
    "warning",
    "Prices fall by the split when it comes and are put right when it is known: two returns that nobody had.",
    "Import the split with the day of its announcement, or as known when it takes effect (knowledge: {lag: {}}).",
)

AWAY_DAYS = 60
NEAR_ACTION_NS = 4 * DAY_NS  # a split recorded for the week-end moves the next session's price


class Jumps:
    """Level shifts that no corporate action explains: unrecorded or late splits, ticker reuse, changes of share class.

    Parameters
    ----------
    large : float, default=0.45
        A logarithmic return of this size is a finding if it is 20 of the symbol's median moves too.
    """

    reads = (Panel, PriceRows)
    rules = (TICKER_REUSE, HUGE_JUMP, JUMP, LATE_SPLIT)

    def __init__(self, large: float = 0.45) -> None:
        self.large = large

    def check(self, table: Table, context: Context | None = None) -> list[Finding]:
        """Bars whose level does not follow from the one before; nothing for a side table."""
        read = bars_of(table)
        if read is None:
            return []
        bars, origin = read
        moves = log_returns(bars)
        away = np.zeros(len(bars), dtype="int64")
        away[1:] = np.diff(bars.event_time)
        with np.errstate(invalid="ignore"):
            size = np.abs(moves)
            large = bars.same_symbol & (size > self.large) & (size > 20 * np.nan_to_num(typical(bars, size)))
            # a spike that comes back is the rule of spikes
            back = np.append(moves[1:], np.nan)
            large &= ~((moves * back < 0) & (np.abs(moves + back) < 0.25 * np.minimum(size, np.abs(back))))
            before = np.append(np.nan, moves[:-1])
            large &= ~((moves * before < 0) & (np.abs(moves + before) < 0.25 * np.minimum(size, np.abs(before))))
        late: dict[int, str] = {}
        if context is not None and not isinstance(table, Panel):  # a panel is continuous over its splits
            large &= ~_explained(bars, large, moves, context)
            late = _late(bars, context)
        reused = large & (away > AWAY_DAYS * DAY_NS) & (size > np.log(3.0))
        huge = large & ~reused & (size > np.log(5.0))
        describe = _moved(bars, moves, away)

        def worst(broken: np.ndarray) -> np.ndarray:
            at = np.flatnonzero(broken)
            return at[np.argsort(-size[at], kind="stable")]

        return [
            *found(TICKER_REUSE, bars, worst(reused), describe, origin=origin),
            *found(HUGE_JUMP, bars, worst(huge), describe, origin=origin),
            *found(JUMP, bars, worst(large & ~reused & ~huge), describe, origin=origin),
            *found(LATE_SPLIT, bars, np.array(list(late), dtype=np.int64), late.__getitem__, origin=origin),
        ]


def _explained(bars: PriceRows, large: np.ndarray, moves: np.ndarray, context: Context) -> np.ndarray:
    """Where a recorded action lies beside a large move, and a split's ratio agrees with it within a third."""
    explained = np.zeros(len(bars), dtype=bool)
    for i in np.flatnonzero(large):
        action = context.actions.get(bars.symbols[bars.code[i]])
        explained[i] = action is not None and _fits(action, bars, int(i), float(moves[i]))
    return explained


def _fits(action: Actions, bars: PriceRows, i: int, move: float) -> bool:
    low, high = bars.event_time[i - 1] - NEAR_ACTION_NS, bars.event_time[i] + NEAR_ACTION_NS
    ratio = action.ratio[(action.event_time >= low) & (action.event_time <= high)]
    return bool((np.isnan(ratio) | (np.abs(np.log(np.where(ratio > 0, ratio, 1.0)) + move) < np.log(4 / 3))).any())


def _late(bars: PriceRows, context: Context) -> dict[int, str]:
    """The first bar at the new price of each split that nobody knew of when it closed, and what to say of it."""
    told = {}
    for code, symbol in enumerate(bars.symbols):
        action = context.actions.get(symbol)
        if action is None or action.knowledge_time is None:
            continue
        splits = ~np.isnan(action.ratio)
        for event in np.unique(action.event_time[splits]):
            known = int(action.knowledge_time[splits & (action.event_time == event)].min())  # corrections come later
            if known <= event:
                continue
            after = np.flatnonzero((bars.code == code) & (bars.event_time >= event))
            before = after[bars.event_time[after] < known]
            if len(before):
                when = f"{from_ns([known])[0]:%Y-%m-%d %H:%M}"
                told[int(before[0])] = f"is the first of {len(before)} bars after a split that was known on {when}"
    return told


def _moved(bars: PriceRows, moves: np.ndarray, away: np.ndarray) -> Callable[[int], str]:
    close = close_of(bars)

    def describe(i: int) -> str:
        days = away[i] / DAY_NS
        absent = f" after {days:.0f} days without a bar" if days > 7 else ""
        return f"went from {close[i - 1]:g} to {close[i]:g} ({np.expm1(moves[i]):+.1%}){absent}"

    return describe
