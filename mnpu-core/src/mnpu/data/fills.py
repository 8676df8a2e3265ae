"""When an order decided at t is filled, and what the book earns from one fill to the next."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mnpu.data.actions import settlements
from mnpu.data.calendars import get_calendar
from mnpu.data.clock import utc
from mnpu.errors import ConfigError, DataError
from mnpu.frequencies import is_intraday
from mnpu.types import Panel

__all__ = [
    "Fills",
    "average_prices",
    "fill_factors",
    "fill_notes",
    "fill_prices",
    "holding_returns",
    "marks",
    "mean_prices",
    "next_prices",
    "opening_times",
    "with_vwap",
]

#: What a bar's average price is made of where nobody knows its volume weighted one.
FOUR = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Fills:
    """Fills of the decisions of a panel.

    Attributes
    ----------
    prices : float64 (T, A)
        Split-continuous price at which the decision at t is filled; NaN where there is none.
    times : DatetimeIndex (T,)
        When it is complete; always after the decision. NaT in the last row.
    cash : float64 (T, A)
        What a holder of one share was paid after the fill before and up to this one: dividends, and what a delisted
        share became.
    ended : bool (T, A)
        Where the share ceased to exist between the two fills.
    """

    prices: np.ndarray
    times: pd.DatetimeIndex
    cash: np.ndarray
    ended: np.ndarray


def fill_prices(panel: Panel, fill: str = "next_close") -> Fills:
    """Price and time of the first fill after each decision.

    Parameters
    ----------
    panel : Panel
        Uses ``close``, or ``open``, or ``vwap`` and all four prices.
    fill : {"next_close", "next_open", "vwap"}
        At the close, or at the open, of the bar after the decision; or over all of that bar, at its volume weighted
        average price, which is complete at its close.

    Raises
    ------
    ConfigError
        For an unknown rule, and for ``next_open`` where a bar opens at the instant of the decision.
    DataError
        For ``next_open`` where a symbol has no opens, and for ``vwap`` where it has nothing but closes.
    """
    if fill == "next_close":
        times = panel.times
    elif fill == "vwap":
        _check_averages(panel)
        times = panel.times
    elif fill == "next_open":
        _check_opens(panel)
        times = opening_times(panel)
    else:
        raise ConfigError(f"{fill!r} is no fill rule", where="fill", expected="next_close, next_open or vwap")
    later = utc(times[1:].append(pd.DatetimeIndex([pd.NaT], tz="UTC").as_unit("ns")))
    cash, ended = settlements(panel, opens=fill == "next_open")
    return Fills(next_prices(panel, fill), later, _next_row(cash, 0.0), _next_row(ended, False))


def next_prices(panel: Panel, fill: str) -> np.ndarray:
    """The prices of ``fill_prices`` alone, (T, A), for a few rows of a panel that it has accepted as a whole.

    In a few rows a symbol may well have no price, because it is not listed yet or has a gap: NaN. No calendar is
    consulted, which takes longer than a decision.
    """
    if fill == "vwap":
        return _next_row(average_prices(panel), np.nan)
    return _next_row(panel["close" if fill == "next_close" else "open"], np.nan)


def average_prices(panel: Panel) -> np.ndarray:
    """The volume weighted average price of each bar, (T, A), at which an order that is spread over it is filled.

    Where none is known it is `mean_prices`: `fill_notes` says for how many bars. NaN where that is unknown too.
    """
    mean, known = mean_prices(panel), panel.fields.get("vwap")
    return mean if known is None else np.where(np.isfinite(known), known, mean)


def mean_prices(panel: Panel) -> np.ndarray:
    """``(open + high + low + close) / 4`` of each bar, (T, A); NaN where one of them is missing."""
    if any(name not in panel.fields for name in FOUR):
        return np.full(panel.shape, np.nan)
    return (panel["open"] + panel["high"] + panel["low"] + panel["close"]) / 4


def fill_factors(panel: Panel, fill: str) -> np.ndarray:
    """Product of all splits up to the fill of each decision, (T, A): its price over this is the one that was quoted."""
    factor = panel.fields.get("split_factor")
    if factor is None:
        return np.ones(panel.shape)
    if fill == "next_open":
        factor = panel.fields.get("open_factor", factor)  # a split on a Wednesday is not in the open of its week
    return np.concatenate([factor[1:], factor[-1:]])


def with_vwap(panel: Panel) -> Panel:
    """A panel of short bars with the field ``vwap``, for the averages of longer ones, where there are volumes.

    It is that of `mean_prices`: within a short bar nobody knows more than its four prices. Between bars volumes weigh.
    """
    if "vwap" in panel.fields or "volume" not in panel.fields:
        return panel
    return replace(panel, fields={**panel.fields, "vwap": mean_prices(panel)})


def fill_notes(panel: Panel, fill: str) -> tuple[str, ...]:
    """What a reader must know about the fills of ``panel``: where a bar's average price is not weighted by volume."""
    if fill != "vwap":
        return ()
    known = panel.fields.get("vwap")
    bars = np.isfinite(mean_prices(panel))
    bare = bars if known is None else bars & ~np.isfinite(known)
    if not bare.any():
        return ()
    return (
        f"Fills over {bare.sum():,} of {np.isfinite(average_prices(panel)).sum():,} bars are at the mean of open, high,"
        " low and close: no volume weighted price of them is known.",
    )


def _next_row(values: np.ndarray, last: float) -> np.ndarray:
    later = np.full(values.shape, last, dtype=values.dtype)
    later[:-1] = values[1:]
    return later


def opening_times(panel: Panel) -> pd.DatetimeIndex:
    """When each bar of whole sessions opened, (T,)."""
    calendar = get_calendar(panel.calendar)
    if panel.frequency == "1w":
        return calendar.bar_open(panel.times, "1w")
    return calendar.session_open(panel.sessions)


def _check_opens(panel: Panel) -> None:
    if is_intraday(panel.frequency) or get_calendar(panel.calendar).continuous:
        raise ConfigError(
            f"the next open of {panel.frequency} bars on calendar {panel.calendar} is the instant of the decision",
            where="fill",
            expected="a fill after the decision",
            next_step="Use next_close.",
        )
    opens = panel.fields.get("open")
    for a, symbol in enumerate(panel.symbols):
        if opens is None or not np.isfinite(opens[:, a]).any():
            raise DataError(
                f"{symbol} has no open in {panel.datasets[a].name}",
                where="fill",
                expected="opens for next_open",
                next_step="Use next_close, or a dataset with opens.",
            )


def _check_averages(panel: Panel) -> None:
    known = np.isfinite(average_prices(panel)).any(axis=0)
    for a, symbol in enumerate(panel.symbols):
        if not known[a]:
            raise DataError(
                f"{symbol} has neither a volume weighted price nor open, high and low in {panel.datasets[a].name}",
                where="fill",
                expected="one or the other for vwap",
                next_step="Use next_close, or a dataset with whole bars.",
            )


def holding_returns(fills: Fills) -> np.ndarray:
    """Simple return of each symbol from the fill of decision t to the fill of decision t + 1, (T, A).

    Where a symbol has no price at the later fill the return is NaN: unknown. When it trades again, the row of its
    first new price holds the whole return since its last one, so nothing is lost for who held it meanwhile. Dividends
    are part of the return, and so is what a delisted share became; after that it is unknown.
    """
    returns = np.full(fills.prices.shape, np.nan)
    received = np.where(fills.ended, 0.0, fills.prices) + fills.cash
    returns[:-1] = received[1:] / _last_known(fills.prices)[:-1] - 1.0
    return returns


def marks(panel: Panel, fills: Fills) -> np.ndarray:
    """Simple return of each symbol from the last fill before decision t to its close at t, (T, A).

    0 where fills are at closes, since the fill of decision t - 1 is the close at t; from the average price of bar t to
    its close where they are spread over it. NaN where a price is unknown.
    """
    moves = np.full(fills.prices.shape, np.nan)
    moves[1:] = panel["close"][1:] / _last_known(fills.prices)[:-1] - 1.0
    return moves


def _last_known(prices: np.ndarray) -> np.ndarray:
    """The last price up to each row, (T, A): what a book is valued at while a symbol does not trade."""
    seen = np.where(np.isfinite(prices), np.arange(len(prices))[:, None], -1)
    last = np.maximum.accumulate(seen, axis=0)
    return np.where(last >= 0, np.take_along_axis(prices, np.maximum(last, 0), axis=0), np.nan)
