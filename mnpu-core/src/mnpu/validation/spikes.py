"""Prices that jump and come straight back: decimal slips, one-bar spikes, and wicks that no other bar knows of.

What comes back within a bar is judged against the symbol's own moves, in calm and around the bar itself, so that a
crash and its rebound pass: a day of October 2008 stands among others like it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mnpu.data.rows import PriceRows
from mnpu.types import Panel
from mnpu.validation.bars import Table, bars_of, close_of, found, log_returns, typical
from mnpu.validation.findings import Context, Finding, Rule

__all__ = ["Spikes"]

DECIMAL_SLIP = Rule(
    "no price is a power of ten away from the prices around it",
    "error",
    "A decimal point in the wrong place is a return of 900 % and back; one such bar rules a fit by squares.",
    "Correct the decimal point at the source, or leave the bar out.",
)
CLOSE_SPIKE = Rule(
    "no close leaves by half or more and returns within a bar",
    "error",
    "Two huge returns of opposite sign that no one could trade look like a perfect mean reversion.",
    "Compare the bar with another source; correct it or leave it out.",
)
SMALL_SPIKE = Rule(
    "closes that leave and return within a bar stay within the symbol's usual moves",
    "warning",
    "A misprint of 20 % feeds mean reversion that was never there; real panics look the same, so it is no error.",
    "Compare the bar with another source.",
)
WICK = Rule(
    "open, high and low stay near the closes around them",
    "warning",
    "Ranges and stops that read high and low believe a misprint; flash crashes are real and stay.",
    "Compare the bar with another source, or use closes only.",
)

SLIP_TOLERANCE = 0.02  #: of a power of ten, in decades: a bar's own range of 4.7 %
WICK_DECADES = 0.3  #: factor 2


class Spikes:
    """Decimal slips, one-bar spikes of the close, and wicks far from every close around them.

    Parameters
    ----------
    large : float, default=0.2
        A return (logarithmic) that comes back is looked at from here on, or from 40 times the symbol's median move
        where that is less, but never below 15 times.
    """

    reads = (Panel, PriceRows)
    rules = (DECIMAL_SLIP, CLOSE_SPIKE, SMALL_SPIKE, WICK)

    def __init__(self, large: float = 0.2) -> None:
        self.large = large

    def check(self, table: Table, context: Context | None = None) -> list[Finding]:
        """Bars that contradict their neighbours; nothing for a side table."""
        read = bars_of(table)
        if read is None:
            return []
        bars, origin = read
        moves = log_returns(bars)
        slipped, wicks = _outliers(bars)
        spike, severe = self._spikes(bars, moves)
        slip = np.logical_or.reduce(slipped)
        spike &= ~slip
        return [
            *found(DECIMAL_SLIP, bars, slip, _cells(bars, slipped), origin=origin),
            *found(CLOSE_SPIKE, bars, spike & severe, _moved(moves), origin=origin),
            *found(SMALL_SPIKE, bars, spike & ~severe, _moved(moves), origin=origin),
            *found(WICK, bars, np.logical_or.reduce(wicks) & ~slip, _cells(bars, wicks), origin=origin),
        ]

    def _spikes(self, bars: PriceRows, moves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where a close leaves and returns, (N,), and where by so much that no market does it, (N,)."""
        back = np.append(moves[1:], np.nan)  # a symbol's first return is NaN, so none crosses into the next symbol
        with np.errstate(invalid="ignore"):
            size = np.minimum(np.abs(moves), np.abs(back))
            turns = (moves * back < 0) & (np.abs(moves + back) < 0.25 * size)
            scale = np.nan_to_num(typical(bars, np.abs(moves)))
            least = np.maximum(15 * scale, np.minimum(self.large, 40 * scale))
            spike = turns & (size > np.maximum(least, 1e-4))
            near = np.flatnonzero(spike)
            spike[near] = size[near] > 8 * _around(np.abs(moves), bars.code, near)
            severe = (size > np.log(1.5)) & (size > 20 * scale) & (np.abs(moves + back) < 0.15 * size)
        return np.asarray(spike), np.asarray(severe)


def _around(size: np.ndarray, code: np.ndarray, at: np.ndarray, *, reach: int = 10) -> np.ndarray:
    """The median of ``size`` over ``reach`` bars before and after each of ``at``, without the spike itself."""
    if not len(at):
        return np.zeros(0)
    steps = np.array([*range(-reach, 0), *range(2, reach + 2)])
    places = at[:, None] + steps
    inside = (places >= 0) & (places < len(size))
    places = np.clip(places, 0, len(size) - 1)
    cells = np.where(inside & (code[places] == code[at][:, None]), size[places], np.nan)
    rank = np.sort(cells, axis=1)  # NaN last
    middle = np.maximum(np.isfinite(cells).sum(axis=1) - 1, 0) // 2
    return np.nan_to_num(rank[np.arange(len(at)), middle])


def _outliers(bars: PriceRows) -> tuple[np.ndarray, np.ndarray]:
    """Cells a power of ten away from the closes around them, and cells merely far away, each (4, N).

    A cell is held against the nearer of the two closes beside it, and of its own bar's: a level that stays moved is
    no slip.
    """
    close = close_of(bars)
    slipped, wicks = np.zeros((2, 4, len(bars)), dtype=bool)
    same = bars.same_symbol
    with np.errstate(invalid="ignore", divide="ignore"):
        level = np.log10(np.where(close > 0, close, np.nan))
        before = np.where(same, np.roll(level, 1), np.nan)
        after = np.where(np.append(same[1:], False), np.roll(level, -1), np.nan)
        for row, name in enumerate(("open", "high", "low", "close")):
            if name not in bars and name != "close":
                continue
            cells = level if name == "close" else np.log10(np.where(bars[name] > 0, bars[name], np.nan))
            others = (before, after) if name == "close" else (before, after, level)
            apart = [cells - other for other in others]
            away = np.fmin.reduce([np.abs(a) for a in apart])
            sure = np.isfinite(before) & np.isfinite(after) if name == "close" else np.isfinite(level)
            # the distances must agree: a slip is as far from each of its neighbours
            agree = np.fmax.reduce([np.abs(a) for a in apart]) - away < 0.15
            power = np.round(apart[-1])
            near_power = np.abs(apart[-1] - power) < SLIP_TOLERANCE
            if name == "close":
                near_power |= np.abs(apart[0] - power) < SLIP_TOLERANCE
            slipped[row] = sure & agree & (np.abs(power) >= 1) & near_power
            wicks[row] = sure & (away > WICK_DECADES) & (name != "close")
    return slipped, wicks


def _cells(bars: PriceRows, bad: np.ndarray) -> Callable[[int], str]:
    def describe(i: int) -> str:
        names = [n for n, hit in zip(("open", "high", "low", "close"), bad[:, i], strict=True) if hit]
        others = [n for n in ("open", "high", "low", "close") if n in bars and n not in names]
        said = ", ".join(f"{n} {_price(bars, n, i):g}" for n in names)
        return f"has {said}" + (f" beside {', '.join(f'{n} {bars[n][i]:g}' for n in others)}" if others else "")

    return describe


def _price(bars: PriceRows, name: str, i: int) -> float:
    return float(bars[name][i] if name in bars else close_of(bars)[i])


def _moved(moves: np.ndarray) -> Callable[[int], str]:
    return lambda i: f"moved by {np.expm1(moves[i]):+.1%}, then by {np.expm1(moves[i + 1]):+.1%}"
