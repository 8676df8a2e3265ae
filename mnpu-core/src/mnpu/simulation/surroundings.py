"""What the market has told by each decision, for guardrails that look beyond the account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mnpu.data.actions import bar_returns
from mnpu.data.calendars import get_calendar
from mnpu.data.conditions import USUAL
from mnpu.types import Forecast, Panel

__all__ = ["VOLUME_BARS", "Surroundings", "surroundings"]

#: Bars over which traded value is averaged, as for what a market can take.
VOLUME_BARS = USUAL


@dataclass(frozen=True)
class Surroundings:
    """Row t was known at decision t; ``book(t)`` is what a guardrail may see of it.

    Attributes
    ----------
    returns : float64 (R, A)
        Simple return of each bar, of R >= T rows; the last of them belong to the T decisions.
    lookback : int
        Bars of returns that a book shows.
    volume, age : float64 (T, A)
        As in `mnpu.types.Book`.
    periods_per_year : float
    quantiles : float64 (T, A, Q), optional
    levels : tuple of float, optional
    """

    returns: np.ndarray
    lookback: int
    volume: np.ndarray
    age: np.ndarray
    periods_per_year: float
    quantiles: np.ndarray | None = None
    levels: tuple[float, ...] | None = None

    def book(self, t: int) -> dict[str, Any]:
        """The fields of a book that was seen at decision ``t``."""
        stop = len(self.returns) - len(self.age) + t + 1
        return {
            "past": _window(self.returns, stop, self.lookback),
            "periods_per_year": self.periods_per_year,
            "volume": self.volume[t],
            "age": self.age[t],
            "quantiles": None if self.quantiles is None else self.quantiles[t],
            "levels": self.levels,
        }


def surroundings(
    panel: Panel, rows: tuple[int, int], *, lookback: int, forecast: Forecast | None = None
) -> Surroundings:
    """What the panel tells by the decisions ``rows[0] <= t < rows[1]``.

    Parameters
    ----------
    panel : Panel
        From at least ``lookback`` and `VOLUME_BARS` bars before the first of them, where there are as many.
    rows : tuple of int
    lookback : int
        Bars of returns that the guardrails need.
    forecast : Forecast, optional
        Of the same rows as the panel. Its first horizon is shown.

    Notes
    -----
    NaN: a bar without a close has no return and counts as no volume; without a ``volume`` column all volume is NaN.
    """
    first, stop = rows
    start = max(first - max(lookback, VOLUME_BARS) + 1, 0)
    return Surroundings(
        returns=bar_returns(panel)[:stop],
        lookback=lookback,
        volume=_daily_value(panel, start, stop)[first - start :],
        age=_age(np.isfinite(panel["close"][:stop]))[first:],
        periods_per_year=panel.periods_per_year,
        quantiles=None if forecast is None else forecast.quantiles[first:stop, :, 0],
        levels=None if forecast is None else forecast.levels,
    )


def _window(rows: np.ndarray, stop: int, length: int) -> np.ndarray:
    """The ``length`` rows before ``stop``, NaN before the first."""
    window = rows[max(stop - length, 0) : stop]
    missing = length - len(window)
    return window if missing == 0 else np.concatenate([np.full((missing, rows.shape[1]), np.nan), window])


def _daily_value(panel: Panel, start: int, stop: int) -> np.ndarray:
    """Mean traded value of the last `VOLUME_BARS` bars, times the bars of a day, (stop - start, A).

    This is what can be sold in a day, so a bar without a trade counts as nothing. `mnpu.data.conditions` asks how large
    a trade is beside the bar that it is filled in, so its usual value is that of bars that traded.
    """
    if "volume" not in panel.fields:
        return np.full((stop - start, len(panel.symbols)), np.nan)
    calendar = get_calendar(panel.calendar)
    per_day = panel.periods_per_year / calendar.periods_per_year("1d")
    traded = np.nan_to_num(panel["close"][start:stop] * panel["volume"][start:stop])
    rows = [traded[max(t + 1 - VOLUME_BARS, 0) : t + 1].mean(axis=0) for t in range(len(traded))]
    return np.stack(rows) * per_day


def _age(seen: np.ndarray) -> np.ndarray:
    """Bars since the last row that was seen, (T, A); NaN before the first."""
    t = np.arange(len(seen), dtype=float)[:, None]
    last = np.maximum.accumulate(np.where(seen, t, -np.inf), axis=0)
    return np.where(np.isfinite(last), t - last, np.nan)
