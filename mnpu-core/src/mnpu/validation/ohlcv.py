"""Prices must be positive, ordered within the bar, and strictly ordered in time."""

from __future__ import annotations

import numpy as np

from mnpu.data.rows import PriceRows
from mnpu.types import Panel
from mnpu.validation.bars import Table, found, no_volume
from mnpu.validation.findings import Context, Finding, Rule, breaches

__all__ = ["Ohlcv"]

ROUNDING = 1e-9  # relative: vendors print prices as decimals

#: Spot commodities were given away with money in April 2020; yields and spreads are levels, not values.
SIGNED_CLASSES = frozenset({"commodity", "future", "rate", "yield", "spread"})

POSITIVE = Rule(
    "prices are above 0",
    "error",
    "A price of 0 or below has no return; mostly it is a gap that was written as 0.",
    "Correct the bar, or leave it out; a commodity that may be negative says so in its asset class.",
)
HAS_CLOSE = Rule(
    "a bar has a close",
    "error",
    "A bar without a close is no bar: nothing can be held or marked at it.",
    "Leave the bar out: a missing bar is allowed.",
)
WITHIN = Rule(
    "open and close lie between low and high",
    "error",
    "One of the four prices is wrong, and nothing says which.",
    "Correct the bar at its source.",
)
WITHIN_INDEX = Rule(
    "open and close of an index lie between its low and high",
    "warning",
    "Vendors compute an index's range at other instants than its open; nobody trades at these prices.",
    "Use closes only.",
)
VOLUME = Rule(
    "volume is not negative",
    "error",
    "A negative volume is a code for something else.",
    "Correct the value, or leave it empty.",
)


class Ohlcv:
    """Prices are positive, ordered within the bar and in time, and there only where a symbol trades.

    Parameters
    ----------
    large_move : float, default=0.45
        A close-to-close move of more than this fraction is a warning: it may be a split that nobody wrote down.

    Notes
    -----
    A bar may have a close only; rules about other fields hold where these are present.
    """

    reads = (Panel, PriceRows)
    rules = (POSITIVE, HAS_CLOSE, WITHIN, WITHIN_INDEX, VOLUME)

    def __init__(self, large_move: float = 0.45) -> None:
        self.large_move = large_move

    def check(self, table: Table, context: Context | None = None) -> list[Finding]:
        """What is wrong with the bars of a panel or with price rows; nothing for a side table."""
        if isinstance(table, PriceRows):
            return _rows(table, context)
        if not isinstance(table, Panel):
            return []
        return [*_clock(table), *_levels(table), *_order(table), *self._moves(table)]

    def _moves(self, panel: Panel) -> list[Finding]:
        with np.errstate(invalid="ignore", divide="ignore"):
            move = panel["close"][1:] / panel["close"][:-1] - 1.0
            large = np.abs(move) > self.large_move
        return breaches(
            f"moves stay within {self.large_move:.0%}",
            large,
            lambda t, a: f"{_cell(panel, t + 1, a)} moved by {move[t, a]:.1%}",
            hint="If it is a split, record it as a corporate action.",
            severity="warning",
        )


def _clock(panel: Panel) -> list[Finding]:
    late = np.diff(panel.times.asi8) <= 0
    return breaches(
        "times increase strictly",
        late,
        lambda t: f"{panel.times[t + 1]} after {panel.times[t]}",
        hint="Sort the bars and remove duplicates.",
    )


def _levels(panel: Panel) -> list[Finding]:
    close = panel["close"]
    findings = breaches(
        "a tradable bar has a finite close above 0",
        panel.tradable & ~(np.isfinite(close) & (close > 0)),
        lambda t, a: f"{_cell(panel, t, a)} has close {close[t, a]}",
        hint="Correct the bar, or leave it out: a missing bar is allowed.",
    )
    for name in ("open", "high", "low", "close", "volume"):
        if name not in panel.fields:
            continue
        values = panel[name]
        findings += breaches(
            f"{name} is missing where the symbol does not trade",
            ~panel.tradable & ~np.isnan(values),
            lambda t, a, name=name, values=values: f"{_cell(panel, t, a)} has {name} {values[t, a]}",
            hint="Values are never filled: remove them.",
        )
        wrong = ~np.isnan(values) & ~(np.isfinite(values) & ((values > 0) | ((name == "volume") & (values == 0))))
        findings += breaches(
            f"{name} is {'not negative' if name == 'volume' else 'above 0'} and finite where present",
            wrong & panel.tradable,
            lambda t, a, name=name, values=values: f"{_cell(panel, t, a)} has {name} {values[t, a]}",
            hint="Correct the value, or leave it empty.",
        )
    return findings


def _order(panel: Panel) -> list[Finding]:
    present = [name for name in ("open", "high", "low", "close") if name in panel.fields]
    findings: list[Finding] = []
    for bound, rule, sign in (
        ("high", "no price of a bar is above its high", 1.0),
        ("low", "none is below its low", -1.0),
    ):
        if bound not in present:
            continue
        limit = panel[bound]
        outside = np.zeros(panel.shape, dtype=bool)
        for name in present:
            with np.errstate(invalid="ignore"):
                outside |= sign * (panel[name] - limit) > ROUNDING * np.abs(limit)
        findings += breaches(
            rule,
            outside,
            lambda t, a, bound=bound, limit=limit: (
                f"{_cell(panel, t, a)} has {bound} {limit[t, a]:g}"
                f" and {', '.join(f'{n} {panel[n][t, a]:g}' for n in present if n != bound)}"
            ),
            hint="Correct the bar at its source.",
        )
    return findings


def _cell(panel: Panel, t: int, a: int) -> str:
    return f"{panel.symbols[a]} on {panel.times[t]:%Y-%m-%d %H:%M}"


def _rows(rows: PriceRows, context: Context | None) -> list[Finding]:
    """The same about raw rows, where whole datasets are seen and every asset has its class."""
    if not len(rows):
        return []
    prices = [name for name in ("open", "high", "low", "close") if name in rows]
    assets = context.assets if context is not None else {}
    signed = np.array([s in assets and assets[s].asset_class in SIGNED_CLASSES for s in rows.symbols])[rows.code]
    low, high = (_bound(rows, name, prices) for name in ("low", "high"))
    wrong, outside, empty = np.zeros((3, len(rows)), dtype=bool)
    with np.errstate(invalid="ignore"):
        for name in prices:
            wrong |= rows[name] <= 0
            slack = ROUNDING * np.abs(rows[name])
            outside |= (rows[name] > high + slack) | (rows[name] < low - slack)
        negative = rows["volume"] < 0 if "volume" in rows else empty
    closes = [rows[name] for name in ("close", "adj_close") if name in rows]
    empty = np.logical_and.reduce([np.isnan(c) for c in closes]) if closes else ~empty
    index = no_volume(rows, context)[rows.code]

    def cells(i: int) -> str:
        return "has " + ", ".join(f"{name} {rows[name][i]:g}" for name in (*prices, "volume") if name in rows)

    return [
        *found(POSITIVE, rows, wrong & ~signed, cells),
        *found(HAS_CLOSE, rows, empty, cells),
        *found(WITHIN, rows, outside & ~index, cells),
        *found(WITHIN_INDEX, rows, outside & index, cells),
        *found(VOLUME, rows, negative, cells),
    ]


def _bound(rows: PriceRows, name: str, prices: list[str]) -> np.ndarray:
    """The column ``name``, or one that nothing exceeds where it is not there."""
    return rows[name] if name in prices else np.full(len(rows), -np.inf if name == "low" else np.inf)
