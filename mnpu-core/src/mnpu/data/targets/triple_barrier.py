"""Which comes first: a profit, a loss, or the end of the time that there was.

Lopez de Prado (2018), chapter 3. From the fill at price ``p`` on, a position is closed at the first of three barriers:
``p (1 + profit sigma)``, ``p (1 - stop sigma)``, or the price ``h`` bars later (the vertical barrier); ``sigma`` is the
symbol's volatility a bar over the last bars before the decision. The label is 1, -1 or 0.

Departures: sigma is a plain standard deviation over a window, not an exponential one; the vertical barrier gives 0, not
the sign of the return; a symbol's labels overlap, and are neither sampled nor weighted by their uniqueness.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from mnpu.data.actions import settlements
from mnpu.data.clock import from_ns
from mnpu.data.fills import Fills, fill_prices
from mnpu.data.targets.horizons import checked_horizons, ends_of, require_bars
from mnpu.data.targets.trailing import trailing_volatility
from mnpu.errors import ConfigError
from mnpu.types import Labels, Panel

__all__ = ["TripleBarrier"]

Barrier = Annotated[float, Field(gt=0)]


class TripleBarrier:
    """1 where a profit is reached first, -1 where a loss is, 0 where neither is within ``h`` bars of the fill.

    Parameters
    ----------
    horizons : tuple of int, default=(10,)
        Bars from the fill to the vertical barrier, each at least 1, increasing.
    profit, stop : float, optional, default=2.0
        Distance of the barriers, in volatilities of one bar; null for none.
    window : int, default=20
        Bars that the volatility looks back over.

    Notes
    -----
    A barrier is reached where the bar's high or low reaches it, or its close in data without them. A bar that reaches
    both counts as the loss: which came first within a bar is not known. Dividends count as cash, and a share that is
    delisted meanwhile as what it became. Where no bar is traded nothing is reached.
    A label ends at the close of the bar that decided it. A row's interval ends with the last of its symbols'.
    NaN: where the fill or the volatility is unknown; where the vertical barrier lies after the data, even if another
    was reached before, for the fast moves alone would not stand for the rest; and where neither barrier was reached and
    the price at the vertical one is missing.
    """

    def __init__(
        self,
        horizons: tuple[int, ...] = (10,),
        profit: Barrier | None = 2.0,
        stop: Barrier | None = 2.0,
        window: Annotated[int, Field(ge=2, le=2000)] = 20,
    ) -> None:
        self.horizons = checked_horizons(horizons)
        if profit is None and stop is None:
            raise ConfigError(
                "profit and stop are both null",
                where="target",
                expected="at least one barrier",
                next_step="Set target.profit or target.stop, or take forward_return.",
            )
        self.profit, self.stop, self.window = profit, stop, window
        self.lookback = window

    def __call__(self, panel: Panel, fill: str = "next_close") -> Labels:
        """Labels of every decision of ``panel``, (T, A, H), for orders filled by the rule ``fill``."""
        require_bars(len(panel.times), self.horizons[-1], window=self.window)
        fills = fill_prices(panel, fill)
        sigma = trailing_volatility(panel, window=self.window)
        entered = np.isfinite(fills.prices) & (fills.prices > 0) & np.isfinite(sigma)
        race = _Race(panel, fills, opens=fill == "next_open")
        race.above = np.inf if self.profit is None else fills.prices * (1 + self.profit * sigma)
        race.below = -np.inf if self.stop is None else fills.prices * (1 - self.stop * sigma)
        values = np.full((*panel.shape, len(self.horizons)), np.nan)
        ends = []
        for i, h in enumerate(self.horizons):
            race.run_to(h)
            values[:, :, i], end = race.judged(h, entered)
            ends.append(end)
        return Labels(values, fills.times, tuple(ends), self.horizons, "triple_barrier")


class _Race:
    """Every decision at once, bar after bar from its fill: which barrier it has reached, and when."""

    def __init__(self, panel: Panel, fills: Fills, *, opens: bool) -> None:
        close = panel["close"]
        self.fills, self.instants = fills, panel.instants
        self.high = np.fmax(panel.fields.get("high", close), close)
        self.low = np.fmin(panel.fields.get("low", close), close)
        self.cash, self.ended = settlements(panel, opens=opens)
        self.offset = 0 if opens else 1  # who is filled at an open sees the rest of that bar
        self.above: np.ndarray | float = np.inf
        self.below: np.ndarray | float = -np.inf
        self.label = np.zeros(panel.shape)
        self.at = np.zeros(panel.shape, dtype=np.int64)  # instant of the touch
        self.paid = np.zeros(panel.shape)  # since the fill
        self.gone = np.zeros(panel.shape, dtype=bool)
        self.bars = 0

    def run_to(self, bars: int) -> None:
        """Look at every bar up to ``bars`` after the fill."""
        while self.bars < bars:
            self.bars += 1
            ahead = self.offset + self.bars
            rows, later = slice(None, max(len(self.label) - ahead, 0)), slice(ahead, None)
            if ahead > 1:  # what is paid in the bar of the fill goes to who held before
                self.paid[rows] += self.cash[later]
                self.gone[rows] |= self.ended[later]
            high = np.where(self.gone[rows], 0.0, self.high[later]) + self.paid[rows]
            low = np.where(self.gone[rows], 0.0, self.low[later]) + self.paid[rows]
            self._touch(rows, high, low, self.instants[later, None])

    def _touch(self, rows: slice, high: np.ndarray, low: np.ndarray, now: np.ndarray) -> None:
        undecided = self.label[rows] == 0
        lost = undecided & (low <= _of(self.below, rows))
        won = undecided & ~lost & (high >= _of(self.above, rows))
        self.label[rows] += won * 1.0 - lost * 1.0
        self.at[rows] = np.where(won | lost, now, self.at[rows])

    def judged(self, bars: int, entered: np.ndarray) -> tuple[np.ndarray, pd.DatetimeIndex]:
        """Labels (T, A) with the vertical barrier ``bars`` after the fill, and the end of each row's interval (T,)."""
        label, at = self.label.copy(), self.at.copy()
        n = len(label) - bars
        vertical = ends_of(self.fills, bars)
        final = self.fills.prices[bars:]
        gone, paid = self.gone[:n].copy(), self.paid[:n].copy()
        if self.offset == 0:  # the price at which it ends is that of an open, of a bar not looked at yet
            gone |= self.fills.ended[bars:]
            paid += self.fills.cash[bars:]
        worth = np.where(gone, 0.0, final) + paid
        undecided = label[:n] == 0
        lost = undecided & (worth <= _of(self.below, slice(None, n)))
        won = undecided & (worth >= _of(self.above, slice(None, n)))
        label[:n] += won * 1.0 - lost * 1.0
        open_ended = (label == 0) & entered
        open_ended[:n] &= ~np.isfinite(worth)
        instants = np.where(at > 0, at, vertical.asi8[:, None])
        last = np.where(entered, instants, np.iinfo(np.int64).min).max(axis=1)
        last = np.where(entered.any(axis=1), last, vertical.asi8)
        known = np.asarray(vertical.notna())
        values = np.where(entered & known[:, None] & ~open_ended, label, np.nan)
        return values, from_ns(np.where(known, last, vertical.asi8))


def _of(barrier: np.ndarray | float, rows: slice) -> np.ndarray | float:
    return barrier[rows] if isinstance(barrier, np.ndarray) else barrier
