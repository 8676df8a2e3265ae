"""Returns and momentum beside those of `price`, which has log returns and momentum with the last month left out.

A bar that is missing inside a window makes the value NaN until the bar has left the window. All are scale-free.
"""

from __future__ import annotations

import numpy as np

from mnpu.features.api import View, feature
from mnpu.features.arrays import log_of, log_returns, over
from mnpu.features.parameters import Bars, SeveralBars, window_and
from mnpu.features.trailing import delayed, trailing_mean, trailing_moments, trailing_sum


@feature(fields=("close",), warmup=window_and(1), unit="fraction", tags=("returns",))
def simple_return(view: View, *, window: Bars = 1) -> np.ndarray:
    """Simple return over the last ``window`` bars.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=1
        Bars between the two closes.

    Returns
    -------
    returns : ndarray (T, A)
        ``close / close[t - window] - 1``, a fraction.

    Notes
    -----
    NaN: the first ``window`` rows, and where either close is missing.
    Source: Campbell, Lo & MacKinlay (1997), section 1.4.
    """
    return over(view["close"], delayed(view["close"], window)) - 1


@feature(fields=("close",), warmup=window_and(1), unit="fraction", tags=("returns", "reversal"))
def reversal(view: View, *, window: Bars = 5) -> np.ndarray:
    """Simple return over the last ``window`` bars with its sign turned: what fell is expected to rise.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=5
        Bars between the two closes; a week of sessions.

    Returns
    -------
    returns : ndarray (T, A)
        ``1 - close / close[t - window]``, a fraction.

    Notes
    -----
    NaN: the first ``window`` rows, and where either close is missing.
    Source: Jegadeesh (1990).
    """
    return 1 - over(view["close"], delayed(view["close"], window))


@feature(fields=("open", "close"), warmup=window_and(1), unit="fraction", tags=("returns", "overnight"))
def overnight_return(view: View, *, window: Bars = 1) -> np.ndarray:
    """Log return between closes and next opens, summed over the window.

    Parameters
    ----------
    view : View
        Uses ``open`` and ``close`` (T, A).
    window : int, default=1
        Nights that are added up.

    Returns
    -------
    returns : ndarray (T, A)
        ``sum(ln(open / close[t - 1]))``, a fraction.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window.
    Source: Lou, Polk & Skouras (2019), overnight component.
    """
    jumps = view.once(log_of, "open") - delayed(view.once(log_of, "close"), 1)
    return trailing_sum(jumps, window)


@feature(fields=("open", "close"), warmup=window_and(0), unit="fraction", tags=("returns", "intraday"))
def intraday_return(view: View, *, window: Bars = 1) -> np.ndarray:
    """Log return from open to close, summed over the window.

    Parameters
    ----------
    view : View
        Uses ``open`` and ``close`` (T, A).
    window : int, default=1
        Bars that are added up.

    Returns
    -------
    returns : ndarray (T, A)
        ``sum(ln(close / open))``, a fraction.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window.
    Source: Lou, Polk & Skouras (2019), intraday component.
    """
    return trailing_sum(view.once(log_of, "close") - view.once(log_of, "open"), window)


@feature(fields=("close",), warmup=window_and(1), unit="ratio per root year", tags=("returns", "momentum"))
def sharpe_momentum(view: View, *, window: SeveralBars = 60) -> np.ndarray:
    """Mean of log returns per their standard deviation, annualised.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=60
        Returns per estimate, at least 2.

    Returns
    -------
    ratio : ndarray (T, A)
        ``mean(r) / std(r)`` of log returns (ddof 1) times the root of the bars in a year.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window. A window in which every return is the
    same.
    Source: Barroso & Santa-Clara (2015), momentum scaled by its risk; the ratio is Sharpe's (1966) without a riskless
    rate.
    """
    mean, squares = trailing_moments(view.once(log_returns), window)
    return over(mean, np.sqrt(squares / (window - 1))) * np.sqrt(view.periods_per_year)


@feature(fields=("close",), warmup=window_and(1), unit="standard deviations", tags=("returns", "momentum"))
def scaled_return(view: View, *, window: Bars = 20) -> np.ndarray:
    """Log return over the window in units of what its volatility would make of it.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars that it spans.

    Returns
    -------
    score : ndarray (T, A)
        ``sum(r) / sqrt(sum(r^2))``, r the log return of a bar; a pure random walk has a variance near 1.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window. A window in which nothing moved.
    Source: Moskowitz, Ooi & Pedersen (2012), returns scaled by volatility.
    """
    moves = view.once(log_returns)
    return over(trailing_sum(moves, window), np.sqrt(trailing_sum(moves * moves, window)))


@feature(
    fields=("close",),
    warmup=lambda p: int(p["window"]) // 2 * 2 + 1,
    unit="fraction",
    tags=("returns", "momentum"),
)
def acceleration(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Log return of the later half of the window less that of the earlier half.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars of both halves, at least 2.

    Returns
    -------
    change : ndarray (T, A)
        ``ln(close / close[t - h]) - ln(close[t - h] / close[t - 2 h])`` with h = ``window // 2``, a fraction.

    Notes
    -----
    NaN: the first ``window`` rows, and where one of the three closes is missing.
    Source: Gettleman & Marks (2006), acceleration of returns.
    """
    closes = view.once(log_of, "close")
    half = window // 2
    return closes - 2 * delayed(closes, half) + delayed(closes, 2 * half)


@feature(fields=("close",), warmup=window_and(1), unit="fraction", tags=("trend",))
def efficiency(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Net move over the window per length of its path, with the sign of the move; -1 to 1.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Steps of the path, at least 2.

    Returns
    -------
    ratio : ndarray (T, A)
        ``(close - close[t - window]) / sum(|close - close[t - 1]|)``.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window. A window in which nothing moved.
    Source: Kaufman (1995), the efficiency ratio.
    """
    close = view["close"]
    return over(close - delayed(close, window), trailing_sum(np.abs(close - delayed(close, 1)), window))


@feature(fields=("close",), warmup=window_and(1), unit="fraction", tags=("momentum",))
def discreteness(view: View, *, window: SeveralBars = 60) -> np.ndarray:
    """Information discreteness: whether a return came in few large steps (positive) or many small ones.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=60
        Returns that are counted, at least 2.

    Returns
    -------
    share : ndarray (T, A)
        ``sign(close / close[t - window] - 1) (share of falls - share of rises)``, -1 to 1.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window.
    Source: Da, Gurun & Warachka (2014), equation 1.
    """
    closes, moves = view.once(log_of, "close"), view.once(log_returns)
    return -np.sign(closes - delayed(closes, window)) * trailing_mean(np.sign(moves), window)
