"""Features of prices and volumes, each from the bars of its own window.

A bar that is missing inside a window makes the value NaN until the bar has left the window; nothing is filled.
Prices and volumes of a panel are continuous over splits, so none of these sees a split as a crash. All but
:func:`log_price` are scale-free, so they may be computed on prices that a vendor adjusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from mnpu.data.clock import DAY_NS
from mnpu.errors import ConfigError
from mnpu.features.api import View, feature
from mnpu.features.arrays import Phase, log_of, log_returns, on_circle, over, squared_ranges
from mnpu.features.trailing import delayed, trailing_max, trailing_mean, trailing_moments, trailing_std

__all__ = [
    "day_of_week",
    "distance_from_average",
    "drawdown",
    "high_low_range",
    "hour_of_day",
    "log_price",
    "log_return",
    "momentum",
    "realised_volatility",
    "volume_zscore",
]

Bars = Annotated[int, Field(ge=1, le=100_000)]
SeveralBars = Annotated[int, Field(ge=2, le=100_000)]


def _window(params: Mapping[str, Any]) -> int:
    return int(params["window"])


def _window_and_one(params: Mapping[str, Any]) -> int:
    return int(params["window"]) + 1


def _momentum_bars(params: Mapping[str, Any]) -> int:
    if params["skip"] >= params["window"]:
        raise ConfigError(f"skip is {params['skip']}", expected=f"less than window, which is {params['window']}")
    return _window_and_one(params)


@feature(fields=("close",), warmup=_window_and_one, unit="fraction", tags=("returns",))
def log_return(view: View, *, window: Bars = 1) -> np.ndarray:
    """Log return over the last ``window`` bars.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=1
        Bars between the two closes.

    Returns
    -------
    returns : ndarray (T, A)
        ``ln(close[t] / close[t - window])``, a fraction.

    Notes
    -----
    NaN: the first ``window`` rows, and where either close is missing or not positive.
    Source: Campbell, Lo & MacKinlay (1997), section 1.4: continuously compounded returns.
    """
    closes = view.once(log_of, "close")
    return closes - delayed(closes, window)


@feature(fields=("close",), warmup=_momentum_bars, unit="fraction", tags=("returns", "momentum"))
def momentum(view: View, *, window: Bars = 252, skip: Annotated[int, Field(ge=0, le=100_000)] = 21) -> np.ndarray:
    """Simple return from ``window`` bars ago to ``skip`` bars ago.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=252
        Bars back to the first close; a year of sessions.
    skip : int, default=21
        Most recent bars that are left out, less than ``window``; a month of sessions, whose returns tend to reverse.

    Returns
    -------
    returns : ndarray (T, A)
        ``close[t - skip] / close[t - window] - 1``, a fraction.

    Notes
    -----
    NaN: the first ``window`` rows, and where either close is missing.
    Source: Jegadeesh & Titman (1993), with the usual month left out.
    """
    return over(delayed(view["close"], skip), delayed(view["close"], window)) - 1


@feature(fields=("close",), warmup=_window_and_one, unit="fraction per year", tags=("volatility",))
def realised_volatility(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Annualised standard deviation of log returns over the past window.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Returns per estimate, at least 2.

    Returns
    -------
    volatility : ndarray (T, A)
        Sample standard deviation (ddof 1) times the root of the bars in a year; fraction per year.

    Notes
    -----
    NaN: the first ``window`` rows; a missing close until it leaves the window.
    Source: Andersen et al. (2003), with one return per bar and the mean taken out.
    """
    return trailing_std(view.once(log_returns), window) * np.sqrt(view.periods_per_year)


@feature(fields=("close",), warmup=_window, unit="fraction", tags=("trend",))
def distance_from_average(view: View, *, window: SeveralBars = 50) -> np.ndarray:
    """Close against its own mean over the last ``window`` bars, the present one included.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=50
        Bars in the mean, at least 2.

    Returns
    -------
    distance : ndarray (T, A)
        ``close / mean - 1``, a fraction.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing close until it leaves the window.
    Source: Brock, Lakonishok & LeBaron (1992), the distance in place of its sign.
    """
    return over(view["close"], trailing_mean(view["close"], window)) - 1


@feature(fields=("close",), warmup=_window, unit="fraction", tags=("trend", "risk"))
def drawdown(view: View, *, window: SeveralBars = 252) -> np.ndarray:
    """Close against its highest over the last ``window`` bars; never above zero.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=252
        Bars in which the highest close is sought, at least 2.

    Returns
    -------
    drawdown : ndarray (T, A)
        ``close / max - 1``, a fraction, 0 at a new high.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing close until it leaves the window.
    Source: George & Hwang (2004), nearness to the 52-week high, less one.
    """
    return over(view["close"], trailing_max(view["close"], window)) - 1


@feature(fields=("high", "low"), warmup=_window, unit="fraction per year", tags=("volatility",))
def high_low_range(view: View, *, window: Bars = 20) -> np.ndarray:
    """Annualised volatility from the high-low range of each bar (Parkinson).

    Parameters
    ----------
    view : View
        Uses ``high`` and ``low`` (T, A).
    window : int, default=20
        Bars per estimate.

    Returns
    -------
    volatility : ndarray (T, A)
        ``sqrt(mean(ln(high / low)^2) / (4 ln 2))`` times the root of the bars in a year; fraction per year.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing or non-positive high or low until it leaves the window.
    Source: Parkinson (1980). Moves between bars are not in it.
    """
    return np.sqrt(trailing_mean(view.once(squared_ranges), window) / (4 * np.log(2)) * view.periods_per_year)


@feature(fields=("volume",), warmup=_window, unit="standard deviations", tags=("volume",))
def volume_zscore(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Log volume against its mean over the last ``window`` bars, in standard deviations.

    Parameters
    ----------
    view : View
        Uses ``volume`` (T, A), continuous over splits.
    window : int, default=20
        Bars in mean and standard deviation (ddof 1), at least 2, the present one included.

    Returns
    -------
    score : ndarray (T, A)
        ``(ln(volume) - mean(ln(volume))) / std(ln(volume))``, within ``(window - 1) / sqrt(window)`` of zero.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing or zero volume until it leaves the window; a window in which every
    volume is the same.
    Source: Gervais, Kaniel & Mingelgrin (2001), who rank a day's volume among those before it.
    """
    volume = view.once(log_of, "volume")
    mean, squares = trailing_moments(volume, window)
    spread = np.sqrt(squares / (window - 1))
    return (volume - mean) / np.where(spread > 0, spread, np.nan)


@feature(fields=("close", "split_factor"), scale_free=False, unit="log currency", tags=("level",))
def log_price(view: View) -> np.ndarray:
    """Logarithm of the close as it was traded, before any split that came later.

    Parameters
    ----------
    view : View
        Uses ``close`` and ``split_factor`` (T, A).

    Returns
    -------
    price : ndarray (T, A)
        ``ln(close / split_factor)``, close in the dataset's currency.

    Notes
    -----
    Not scale-free: an adjusted price holds splits and dividends that nobody knew of, so vendor-adjusted datasets are
    refused. NaN where the close is missing or not positive. The level falls at a split, as the traded price did.
    Source: the definition.
    """
    return _log(view["close"] / view["split_factor"])


@feature(unit="cycle", scope="market", tags=("calendar",))
def day_of_week(view: View, *, phase: Phase = "sin") -> np.ndarray:
    """Day of the trading session on the circle of the week.

    Parameters
    ----------
    view : View
        Uses the sessions (T,): the trading day in the market's own time zone.
    phase : {"sin", "cos"}, default="sin"
        Which coordinate. Either one alone tells Monday to Friday apart.

    Returns
    -------
    phase : ndarray (T,)
        ``sin`` or ``cos`` of ``2 pi d / 7``, Monday is d = 0. Never NaN.

    Notes
    -----
    Source: French (1980), returns over the week-end.
    """
    weekday = (view.sessions.astype("datetime64[D]").astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    return on_circle(weekday / 7, phase)


@feature(unit="cycle", scope="market", tags=("calendar",))
def hour_of_day(view: View, *, phase: Phase = "sin") -> np.ndarray:
    """Time of the decision on the circle of the day, UTC.

    Parameters
    ----------
    view : View
        Uses the decision times (T,).
    phase : {"sin", "cos"}, default="sin"
        Which coordinate; ``[sin, cos]`` makes a column of each, which together tell all hours apart.

    Returns
    -------
    phase : ndarray (T,)
        ``sin`` or ``cos`` of ``2 pi`` times the fraction of the day. Never NaN.

    Notes
    -----
    For intraday bars. UTC has no daylight saving, so an exchange's open moves by an hour twice a year.
    Source: Wood, McInish & Ord (1985), returns over the day.
    """
    return on_circle(view.instants % DAY_NS / DAY_NS, phase)


def _log(values: np.ndarray) -> np.ndarray:
    """Natural logarithm, NaN where there is none."""
    return np.log(np.where(values > 0, values, np.nan))
