"""Higher moments of log returns, their extremes and their dependence on those before.

A bar that is missing inside a window makes the value NaN until the bar has left the window. All are scale-free.
"""

from __future__ import annotations

import numpy as np

from mnpu.features.api import View, feature
from mnpu.features.arrays import log_of, log_returns, over, simple_returns
from mnpu.features.parameters import Bars, SeveralBars, ordered, window_and
from mnpu.features.trailing import (
    delayed,
    trailing_comoments,
    trailing_four_moments,
    trailing_max,
    trailing_mean,
    trailing_min,
    trailing_moments,
)


@feature(fields=("close",), warmup=window_and(1), unit="ratio", tags=("moments",))
def skewness(view: View, *, window: SeveralBars = 60) -> np.ndarray:
    """Skewness of log returns over the past window.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=60
        Returns per estimate, at least 2.

    Returns
    -------
    value : ndarray (T, A)
        ``m3 / m2^1.5`` of central moments (ddof 0), 0 for a symmetric law.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window. A window in which every return is the
    same.
    Source: Joanes & Gill (1998), g1.
    """
    _, second, third, _ = trailing_four_moments(view.once(log_returns), window)
    return np.sqrt(window) * over(third, second**1.5)


@feature(fields=("close",), warmup=window_and(1), unit="ratio", tags=("moments",))
def kurtosis(view: View, *, window: SeveralBars = 60) -> np.ndarray:
    """Excess kurtosis of log returns over the past window.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=60
        Returns per estimate, at least 2.

    Returns
    -------
    value : ndarray (T, A)
        ``m4 / m2^2 - 3`` of central moments (ddof 0), 0 for a normal law.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window. A window in which every return is the
    same.
    Source: Joanes & Gill (1998), g2.
    """
    _, second, _, fourth = trailing_four_moments(view.once(log_returns), window)
    return window * over(fourth, second * second) - 3


@feature(
    fields=("close",),
    warmup=lambda p: int(p["window"]) + int(p["lag"]) + 1,
    unit="correlation",
    tags=("moments",),
)
def autocorrelation(view: View, *, window: SeveralBars = 60, lag: Bars = 1) -> np.ndarray:
    """Correlation of log returns with those ``lag`` bars before, over the past window.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=60
        Pairs per estimate, at least 2.
    lag : int, default=1
        Bars between the returns of a pair.

    Returns
    -------
    correlation : ndarray (T, A)
        Pearson correlation of ``window`` pairs (r[t], r[t - lag]).

    Notes
    -----
    NaN: the first ``window + lag`` rows; a missing bar until it has left the window; a window in which every return is
    the same.
    Source: Box & Jenkins (1970), with both means from the pairs of the window.
    """
    moves = view.once(log_returns)
    _, _, square, square_before, product = trailing_comoments(moves, delayed(moves, lag), window)
    return over(product, np.sqrt(square * square_before))


@feature(fields=("close",), warmup=window_and(1), unit="fraction", tags=("moments",))
def max_return(view: View, *, window: Bars = 20) -> np.ndarray:
    """Largest simple return of a bar in the past window.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Returns that are looked at.

    Returns
    -------
    returns : ndarray (T, A)
        ``max(close / close[t - 1] - 1)``, a fraction.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window.
    Source: Bali, Cakici & Whitelaw (2011), MAX.
    """
    return trailing_max(view.once(simple_returns), window)


@feature(fields=("close",), warmup=window_and(1), unit="fraction", tags=("moments",))
def min_return(view: View, *, window: Bars = 20) -> np.ndarray:
    """Smallest simple return of a bar in the past window.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Returns that are looked at.

    Returns
    -------
    returns : ndarray (T, A)
        ``min(close / close[t - 1] - 1)``, a fraction.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window.
    Source: Bali, Cakici & Whitelaw (2011), MIN.
    """
    return trailing_min(view.once(simple_returns), window)


@feature(fields=("close",), warmup=window_and(1), unit="fraction", tags=("moments",))
def rise_share(view: View, *, window: Bars = 20) -> np.ndarray:
    """Share of bars in the past window whose close rose.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Returns that are counted.

    Returns
    -------
    share : ndarray (T, A)
        ``mean(close > close[t - 1])``, 0 to 1.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window.
    Source: The definition.
    """
    moves = view.once(log_returns)
    return trailing_mean(np.where(moves > 0, 1.0, 0.0 * moves), window)


@feature(fields=("close",), warmup=lambda p: ordered("lag", "window", p) + 1, unit="ratio", tags=("moments",))
def variance_ratio(view: View, *, window: SeveralBars = 120, lag: SeveralBars = 5) -> np.ndarray:
    """Variance of returns over ``lag`` bars per ``lag`` times that over one: above 1 for a trend.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=120
        Returns of one bar per estimate, more than ``lag``.
    lag : int, default=5
        Bars of the longer return, at least 2.

    Returns
    -------
    ratio : ndarray (T, A)
        ``var(r_lag) / (lag var(r_1))``, both around the mean return of the window; 1 for a random walk.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it has left the window; a window in which every return is the
    same.
    Source: Lo & MacKinlay (1988), equation 5 with overlapping returns.
    """
    closes = view.once(log_of, "close")
    mean, squares = trailing_moments(view.once(log_returns), window)
    long = closes - delayed(closes, lag)
    mean_long, squares_long = trailing_moments(long, window - lag + 1)
    n_long = window - lag + 1
    around = squares_long + n_long * (mean_long - lag * mean) ** 2
    return over(around / n_long, lag * (squares / window))
