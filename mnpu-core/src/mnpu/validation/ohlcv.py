"""Prices must be positive, ordered within the bar, and strictly ordered in time."""

from __future__ import annotations

import numpy as np

from mnpu.types import Panel, SideTable
from mnpu.validation.findings import Context, Finding, breaches

__all__ = ["Ohlcv"]

ROUNDING = 1e-9  # relative: vendors print prices as decimals


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

    def __init__(self, large_move: float = 0.45) -> None:
        self.large_move = large_move

    def check(self, table: Panel | SideTable, context: Context | None = None) -> list[Finding]:
        """What is wrong with the bars of a panel; nothing for a side table."""
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
