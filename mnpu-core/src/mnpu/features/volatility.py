"""Estimators of volatility, annualised with the bars in a year of the panel's calendar.

A bar that is missing inside a window makes the value NaN until the bar has left the window. All are scale-free.
"""

from __future__ import annotations

import numpy as np

from mnpu.features.api import View, feature
from mnpu.features.arrays import log_of, log_returns, over, squared_ranges
from mnpu.features.parameters import Bars, Portion, SeveralBars, ordered, window_and
from mnpu.features.recursive import carried, latest, smoothed
from mnpu.features.trailing import delayed, trailing_mean, trailing_moments, trailing_sum

#: Squared returns in the first mean of `ewma`.
FIRST = 20


@feature(fields=("close",), warmup=window_and(1), unit="fraction per year", tags=("volatility",))
def close_to_close(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Annualised root mean square of log returns over the past window.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars per estimate, at least 2.

    Returns
    -------
    volatility : ndarray (T, A)
        ``sqrt(mean(ln(close / close[t - 1])^2))`` times the root of the bars in a year; fraction per year.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window. The mean is taken as zero;
    `price.realised_volatility` takes it out.
    Source: Parkinson (1980), the estimator that others are compared with.
    """
    return np.sqrt(trailing_mean(view.once(_squared_returns), window) * view.periods_per_year)


@feature(fields=("high", "low"), warmup=window_and(0), unit="fraction per year", tags=("volatility",))
def parkinson(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Annualised volatility from the high-low range of each bar.

    Parameters
    ----------
    view : View
        Uses ``high`` and ``low`` (T, A).
    window : int, default=20
        Bars per estimate, at least 2.

    Returns
    -------
    volatility : ndarray (T, A)
        ``sqrt(mean(ln(high / low)^2) / (4 ln 2))`` times the root of the bars in a year; fraction per year.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window. Moves between bars are not in it.
    Source: Parkinson (1980), equation 4.
    """
    return np.sqrt(trailing_mean(view.once(squared_ranges), window) / (4 * np.log(2)) * view.periods_per_year)


@feature(fields=("open", "high", "low", "close"), warmup=window_and(0), unit="fraction per year", tags=("volatility",))
def garman_klass(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Annualised volatility from open, high, low and close of each bar.

    Parameters
    ----------
    view : View
        Uses ``open``, ``high``, ``low`` and ``close`` (T, A).
    window : int, default=20
        Bars per estimate, at least 2.

    Returns
    -------
    volatility : ndarray (T, A)
        ``sqrt(mean(ln(high / low)^2 / 2 - (2 ln 2 - 1) ln(close / open)^2))`` times the root of the bars in a year;
        fraction per year.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window. Moves between bars are not in it; a
    drift biases it.
    Source: Garman & Klass (1980), equation 20 without the opening jump.
    """
    body = view.once(log_of, "close") - view.once(log_of, "open")
    variance = 0.5 * view.once(squared_ranges) - (2 * np.log(2) - 1) * body * body
    return np.sqrt(trailing_mean(variance, window) * view.periods_per_year)


@feature(fields=("open", "high", "low", "close"), warmup=window_and(0), unit="fraction per year", tags=("volatility",))
def rogers_satchell(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Annualised volatility from open, high, low and close of each bar, whatever the drift.

    Parameters
    ----------
    view : View
        Uses ``open``, ``high``, ``low`` and ``close`` (T, A).
    window : int, default=20
        Bars per estimate, at least 2.

    Returns
    -------
    volatility : ndarray (T, A)
        ``sqrt(mean(ln(high / close) ln(high / open) + ln(low / close) ln(low / open)))`` times the root of the bars in
        a year; fraction per year.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window. Moves between bars are not in it.
    Source: Rogers & Satchell (1991), equation 2.
    """
    return np.sqrt(trailing_mean(view.once(_rogers_satchell), window) * view.periods_per_year)


@feature(fields=("open", "high", "low", "close"), warmup=window_and(1), unit="fraction per year", tags=("volatility",))
def yang_zhang(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Annualised volatility with the jumps between bars, whatever the drift.

    Parameters
    ----------
    view : View
        Uses ``open``, ``high``, ``low`` and ``close`` (T, A).
    window : int, default=20
        Bars per estimate, at least 2.

    Returns
    -------
    volatility : ndarray (T, A)
        Root of ``var(ln(open / close[t - 1])) + k var(ln(close / open)) + (1 - k) RS``, k = 0.34 / (1.34 + (window + 1)
        / (window - 1)), RS that of `rogers_satchell`, times the root of the bars in a year; fraction per year.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window.
    Source: Yang & Zhang (2000), equations 7 to 10.
    """
    opened, closed = view.once(log_of, "open"), view.once(log_of, "close")
    jumps = trailing_moments(opened - delayed(closed, 1), window)[1] / (window - 1)
    moves = trailing_moments(closed - opened, window)[1] / (window - 1)
    k = 0.34 / (1.34 + (window + 1) / (window - 1))
    within = trailing_mean(view.once(_rogers_satchell), window)
    return np.sqrt((jumps + k * moves + (1 - k) * within) * view.periods_per_year)


@feature(fields=("close",), warmup=FIRST + 1, unit="fraction per year", tags=("volatility",), state=3)
def ewma(view: View, *, decay: Portion = 0.94) -> np.ndarray:
    """Annualised exponentially weighted volatility of log returns.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    decay : float, default=0.94
        Weight of the value before, between 0 and 1; 0.94 is the usual one of daily bars.

    Returns
    -------
    volatility : ndarray (T, A)
        Root of ``decay s + (1 - decay) r^2``, r the log return and s the value before, from the mean of the first 20
        on; the root of the bars in a year; fraction per year.

    Notes
    -----
    NaN: the first 20 bars of a symbol, and its missing bars, over which the average holds still.
    Source: J.P. Morgan/Reuters, RiskMetrics (1996), section 5.3.
    """
    state, gain, year = view.state, 1.0 - decay, view.periods_per_year

    def compute(close: np.ndarray) -> np.ndarray:
        prices = np.log(np.where(close > 0, close, np.nan))
        moves = prices - latest(prices, state[:1])
        average = smoothed(moves * moves, state[1:], seed=FIRST, scale=1.0 / FIRST, wait=FIRST, take=gain, drop=gain)
        return np.sqrt(average * year)

    return carried(view, compute, "close")


@feature(fields=("close",), warmup=window_and(1), unit="fraction per year", tags=("volatility",))
def downside(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Annualised root mean square of falls: log returns below zero.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars per estimate, at least 2.

    Returns
    -------
    volatility : ndarray (T, A)
        ``sqrt(mean(min(r, 0)^2))``, r the log return, times the root of the bars in a year; fraction per year.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window.
    Source: Sortino & van der Meer (1991), with zero as the target.
    """
    moves = np.minimum(view.once(log_returns), 0.0)
    return np.sqrt(trailing_mean(moves * moves, window) * view.periods_per_year)


@feature(fields=("close",), warmup=window_and(1), unit="fraction per year", tags=("volatility",))
def upside(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Annualised root mean square of rises: log returns above zero.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars per estimate, at least 2.

    Returns
    -------
    volatility : ndarray (T, A)
        ``sqrt(mean(max(r, 0)^2))``, r the log return, times the root of the bars in a year; fraction per year.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window.
    Source: Sortino & van der Meer (1991), with zero as the target, of gains.
    """
    moves = np.maximum(view.once(log_returns), 0.0)
    return np.sqrt(trailing_mean(moves * moves, window) * view.periods_per_year)


@feature(fields=("close",), warmup=lambda p: ordered("short", "long", p) + 1, unit="ratio", tags=("volatility",))
def volatility_ratio(view: View, *, short: Bars = 5, long: SeveralBars = 60) -> np.ndarray:
    """Volatility over a short window against that over a long one.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    short : int, default=5
        Returns of the numerator, less than ``long``.
    long : int, default=60
        Returns of the denominator.

    Returns
    -------
    ratio : ndarray (T, A)
        ``rms(r, short) / rms(r, long)``, r the log return; 1 is no change.

    Notes
    -----
    NaN: the first ``long`` rows; a missing bar until it leaves the longer window; a window in which nothing moved.
    Source: The definition.
    """
    squares = view.once(_squared_returns)
    return np.sqrt(over(trailing_mean(squares, short), trailing_mean(squares, long)))


@feature(fields=("open", "close"), warmup=window_and(1), unit="fraction", tags=("volatility",))
def overnight_share(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Share of the variance that comes between the close and the next open.

    Parameters
    ----------
    view : View
        Uses ``open`` and ``close`` (T, A).
    window : int, default=20
        Bars per estimate, at least 2.

    Returns
    -------
    share : ndarray (T, A)
        ``sum(g^2) / (sum(g^2) + sum(b^2))``, g the log return from close to open and b that from open to close; 0 to 1.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window. A window in which nothing moved.
    Source: French & Roll (1986), variances when markets are closed and open.
    """
    opened, closed = view.once(log_of, "open"), view.once(log_of, "close")
    jumps, moves = opened - delayed(closed, 1), closed - opened
    between = trailing_sum(jumps * jumps, window)
    return over(between, between + trailing_sum(moves * moves, window))


def _squared_returns(view: View) -> np.ndarray:
    moves = view.once(log_returns)
    return moves * moves


def _rogers_satchell(view: View) -> np.ndarray:
    opened, high, low, closed = (view.once(log_of, name) for name in ("open", "high", "low", "close"))
    return (high - closed) * (high - opened) + (low - closed) * (low - opened)
