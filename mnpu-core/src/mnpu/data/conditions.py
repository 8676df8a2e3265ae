"""What execution depends on beside prices, from bars and side data: volume, volatility, time, extremes, funding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from mnpu.data.actions import bar_returns
from mnpu.data.fills import Fills, fill_factors
from mnpu.errors import DataError
from mnpu.types import Panel, SideTable

__all__ = ["FEWEST", "USUAL", "execution_arrays", "funding_paid"]

#: Bars over which a usual volume and volatility are measured, and the fewest of them that must be known.
USUAL, FEWEST = 20, 10


def execution_arrays(panel: Panel, fills: Fills, fill: str, *, volumes: bool = True) -> dict[str, np.ndarray]:
    """Arrays for `mnpu.simulation.execution.Conditions`, one row a decision.

    Parameters
    ----------
    panel : Panel
        Uses ``close``, and where it has them ``volume``, ``low`` and ``high``.
    fills : Fills
        Of this panel.
    fill : {"next_close", "next_open", "vwap"}
    volumes : bool, default=True
        Whether anything depends on them.

    Returns
    -------
    arrays : dict of str to float64 ndarray
        ``volume``: value traded in the bar of the fill, price times volume. ``usual``: its mean over those of the 20
        bars up to the decision that traded. ``volatility``: standard deviation of the returns of the same bars.
        ``years`` (T,): from one fill to the next, 0 in the last two rows. ``low``, ``high``: return from the fill to
        the extremes until the next one: of the bar in between; where fills are spread over their bar, of its close,
        when all is held, and of the whole next bar. ``factor``, only where there are splits: their product up to the
        fill. All but ``years`` (T, A), NaN where too little is known.

    Raises
    ------
    DataError
        No symbol has a volume.
    """
    volume = panel.fields.get("volume")
    if volume is None or not np.isfinite(volume).any():
        if not volumes:
            return _times_and_extremes(panel, fills, fill)
        raise DataError(
            "the prices have no volume",
            where="execution",
            expected="a volume for every bar, to know what a market can take",
            next_step="Take a dataset with volumes, or leave execution and costs.impact out.",
        )
    traded = volume * panel["close"]
    return {
        "volume": _later(traded, 1),
        "usual": _rolling(traded, lambda window: window.mean()),
        "volatility": _rolling(bar_returns(panel), lambda window: window.std(ddof=1)),
        **_times_and_extremes(panel, fills, fill),
    }


def _times_and_extremes(panel: Panel, fills: Fills, fill: str) -> dict[str, np.ndarray]:
    arrays = {"years": _years(fills.times)}
    for name, further in (("low", np.fmin), ("high", np.fmax)):
        if name in panel.fields:
            ahead = 1 if fill == "next_open" else 2  # the bar that lies between one fill and the next
            extreme = _later(panel[name], ahead)
            if fill == "vwap":
                extreme = further(extreme, _later(panel["close"], 1))
            arrays[name] = extreme / fills.prices - 1.0
    factor = fill_factors(panel, fill)
    return arrays if (factor == 1.0).all() else {**arrays, "factor": factor}


def funding_paid(side: SideTable, series: str, symbols: tuple[str, ...], times: pd.DatetimeIndex) -> np.ndarray:
    """What a long position pays from fill t to fill t + 1, fraction of its value, (T, A); 0 where nothing is settled.

    Rates count at their settlement, the end of the period that they are for: after fill t and up to fill t + 1. A
    revised rate counts as last known: an exchange settles once.

    Parameters
    ----------
    side : SideTable
    series : str
        Rates by symbol, fraction of the position's value.
    symbols : tuple of str
    times : DatetimeIndex (T,)
        Of the fills; NaT at the end.

    Raises
    ------
    DataError
        The series has no row for a symbol.
    """
    paid = np.zeros((len(times), len(symbols)))
    filled = times.asi8[times.notna()]
    for a, symbol in enumerate(symbols):
        rows = side.find(series, symbol)
        if not len(rows):
            raise DataError(
                f"{series} has no rate for {symbol}",
                where="costs.funding",
                expected="the rates of every symbol",
                next_step="See: mnpu data info.",
            )
        rates = pd.Series(side.value[rows], index=side.event_time[rows].asi8)
        rates = rates[~rates.index.duplicated(keep="last")]
        held = np.searchsorted(filled, rates.index.to_numpy(), side="left") - 1  # settled at a fill: held before it
        inside = (held >= 0) & (rates.index.to_numpy() <= filled[-1])
        np.add.at(paid[:, a], held[inside], rates.to_numpy()[inside])
    return paid


def _later(values: np.ndarray, rows: int) -> np.ndarray:
    """Each row's value ``rows`` later, NaN at the end."""
    moved = np.full(values.shape, np.nan)
    moved[:-rows] = values[rows:]
    return moved


def _rolling(values: np.ndarray, measure: Callable[[Any], pd.DataFrame]) -> np.ndarray:
    return np.asarray(measure(pd.DataFrame(values).rolling(USUAL, min_periods=FEWEST)), dtype=np.float64)


def _years(times: pd.DatetimeIndex) -> np.ndarray:
    spans = np.diff(times.asi8) / pd.Timedelta(days=365.25).value
    known = times.notna()
    return np.where(np.append(known[1:] & known[:-1], False), np.append(spans, 0.0), 0.0)
