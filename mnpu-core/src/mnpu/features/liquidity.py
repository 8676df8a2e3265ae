"""Volume, liquidity and spreads, from bars alone.

A bar that is missing inside a window makes the value NaN until the bar has left the window. All but `amihud` are
scale-free.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from mnpu.features.api import View, feature
from mnpu.features.arrays import log_of, log_returns, over, simple_returns
from mnpu.features.parameters import Bars, SeveralBars, ordered, window_and
from mnpu.features.trailing import delayed, trailing_comoments, trailing_mean, trailing_sum


@feature(
    fields=("close", "volume"),
    scale_free=False,
    warmup=window_and(1),
    unit="fraction per million",
    tags=("liquidity",),
)
def amihud(view: View, *, window: Bars = 20) -> np.ndarray:
    """Illiquidity: how far a million of turnover moved the price, on average.

    Parameters
    ----------
    view : View
        Uses ``close`` and ``volume`` (T, A).
    window : int, default=20
        Bars per estimate.

    Returns
    -------
    value : ndarray (T, A)
        ``mean(|close / close[t - 1] - 1| / (close volume)) 1e6``, a fraction per million of currency.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window. A bar without volume is missing. Not
    scale-free: it needs prices and volumes as traded.
    Source: Amihud (2002), equation 1.
    """
    return trailing_mean(view.once(_impact), window) * 1e6


@feature(
    fields=("close", "volume"),
    warmup=lambda p: ordered("short", "long", p) + 1,
    unit="log ratio",
    tags=("liquidity",),
)
def amihud_ratio(view: View, *, short: Bars = 5, long: SeveralBars = 60) -> np.ndarray:
    """Illiquidity over a short window against that over a long one, as a logarithm.

    Parameters
    ----------
    view : View
        Uses ``close`` and ``volume`` (T, A).
    short : int, default=5
        Bars of the numerator, less than ``long``.
    long : int, default=60
        Bars of the denominator.

    Returns
    -------
    value : ndarray (T, A)
        ``ln(mean(i, short) / mean(i, long))``, i = ``|return| / (close volume)``; 0 is no change.

    Notes
    -----
    NaN: the first ``long`` rows; a missing bar or one without volume until it leaves the longer window.
    Source: Amihud (2002), relative to its own past.
    """
    impact = view.once(_impact)
    share = over(trailing_mean(impact, short), trailing_mean(impact, long))
    return np.log(np.where(share > 0, share, np.nan))


@feature(fields=("close", "volume"), warmup=window_and(0), unit="log ratio", tags=("liquidity",))
def turnover(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Currency traded in the bar against its mean over the window, as a logarithm.

    Parameters
    ----------
    view : View
        Uses ``close`` and ``volume`` (T, A).
    window : int, default=20
        Bars of the mean, at least 2, the present one included.

    Returns
    -------
    value : ndarray (T, A)
        ``ln(close volume / mean(close volume))``; 0 is as usual.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window. A bar without volume.
    Source: Lo & Wang (2000), turnover relative to its own past, as the panel has no shares outstanding.
    """
    traded = view.once(_traded)
    share = over(traded, trailing_mean(traded, window))
    return np.log(np.where(share > 0, share, np.nan))


@feature(fields=("high", "low", "close", "volume"), warmup=window_and(0), unit="fraction", tags=("liquidity",))
def vwap_distance(view: View, *, window: Bars = 20) -> np.ndarray:
    """Close against the volume-weighted price of the window.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low``, ``close`` and ``volume`` (T, A).
    window : int, default=20
        Bars per estimate.

    Returns
    -------
    distance : ndarray (T, A)
        ``close sum(volume) / sum(p volume) - 1``, p the mean of high, low and close; a fraction.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window. A window without any volume.
    Source: Berkowitz, Logue & Noser (1988), the typical price standing for each trade's.
    """
    price = (view["high"] + view["low"] + view["close"]) / 3
    paid = over(trailing_sum(price * view["volume"], window), trailing_sum(view["volume"], window))
    return over(view["close"], paid) - 1


@feature(fields=("volume",), warmup=partial(ordered, "short", "long"), unit="log ratio", tags=("liquidity",))
def volume_trend(view: View, *, short: Bars = 5, long: SeveralBars = 60) -> np.ndarray:
    """Mean volume over a short window against that over a long one, as a logarithm.

    Parameters
    ----------
    view : View
        Uses ``volume`` (T, A).
    short : int, default=5
        Bars of the numerator, less than ``long``.
    long : int, default=60
        Bars of the denominator.

    Returns
    -------
    value : ndarray (T, A)
        ``ln(mean(volume, short) / mean(volume, long))``; 0 is no trend.

    Notes
    -----
    NaN: the first ``long - 1`` rows; a missing bar until it leaves the longer window; a short window without any
    volume.
    Source: Chordia & Swaminathan (2000), changes of trading volume.
    """
    volume = view["volume"]
    share = over(trailing_mean(volume, short), trailing_mean(volume, long))
    return np.log(np.where(share > 0, share, np.nan))


@feature(fields=("close", "volume"), warmup=window_and(1), unit="fraction", tags=("liquidity",))
def volume_flow(view: View, *, window: Bars = 20) -> np.ndarray:
    """Volume of rising bars less that of falling ones, per all volume of the window; -1 to 1.

    Parameters
    ----------
    view : View
        Uses ``close`` and ``volume`` (T, A).
    window : int, default=20
        Bars per estimate.

    Returns
    -------
    share : ndarray (T, A)
        ``sum(sign(close - close[t - 1]) volume) / sum(volume)``.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window. A window without any volume.
    Source: Granville (1963), on-balance volume of a window in units of its volume.
    """
    signed = np.sign(view.once(log_returns)) * view["volume"]
    return over(trailing_sum(signed, window), trailing_sum(view["volume"] + 0.0 * signed, window))


@feature(fields=("high", "low", "close", "volume"), warmup=window_and(0), unit="fraction", tags=("liquidity",))
def money_flow(view: View, *, window: Bars = 20) -> np.ndarray:
    """Chaikin money flow: volume signed by the close's place in its bar, per all volume; -1 to 1.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low``, ``close`` and ``volume`` (T, A).
    window : int, default=20
        Bars per estimate.

    Returns
    -------
    share : ndarray (T, A)
        ``sum(volume (2 close - high - low) / (high - low)) / sum(volume)``; a bar without range adds nothing.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window. A window without any volume.
    Source: Chaikin; Achelis (1995), Chaikin money flow.
    """
    high, low, close = view["high"], view["low"], view["close"]
    width = high - low
    share = (2 * close - high - low) / np.where(width == 0, np.inf, width)
    return over(trailing_sum(share * view["volume"], window), trailing_sum(view["volume"] + 0.0 * share, window))


@feature(fields=("close",), warmup=window_and(2), unit="fraction", tags=("liquidity",))
def roll_spread(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Bid-ask spread that would explain why returns reverse, relative to the price.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Pairs of returns per estimate, at least 2.

    Returns
    -------
    spread : ndarray (T, A)
        ``2 sqrt(max(-cov(r[t], r[t - 1]), 0))``, r the log return, a fraction; 0 where returns do not reverse.

    Notes
    -----
    NaN: the first ``window + 1`` rows; a missing bar until it has left the window.
    Source: Roll (1984), equation 2, zero where it is not defined as in Hasbrouck (2009).
    """
    moves = view.once(log_returns)
    product = trailing_comoments(moves, delayed(moves, 1), window)[4]
    return 2 * np.sqrt(np.maximum(-product / (window - 1), 0.0))


@feature(fields=("high", "low", "close"), warmup=window_and(1), unit="fraction", tags=("liquidity",))
def corwin_schultz_spread(view: View, *, window: Bars = 20) -> np.ndarray:
    """Bid-ask spread from highs and lows of one and of two bars, relative to the price.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low`` and ``close`` (T, A).
    window : int, default=20
        Bars per estimate.

    Returns
    -------
    spread : ndarray (T, A)
        Mean of ``2 (e^a - 1) / (1 + e^a)``, a = ``(sqrt(2 b) - sqrt(b)) / (3 - 2 sqrt(2)) - sqrt(g / (3 - 2
        sqrt(2)))``, b the sum of two squared log ranges and g the squared log range of both bars together; a fraction,
        negative ones counted as 0.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window. Bars are moved by the gap where the close
    before lies outside the range, as the authors do.
    Source: Corwin & Schultz (2012), equations 14 and 18.
    """
    return trailing_mean(view.once(_two_bar_spread), window)


@feature(fields=("close",), warmup=window_and(1), unit="fraction", tags=("liquidity",))
def zero_returns(view: View, *, window: Bars = 60) -> np.ndarray:
    """Share of bars in the window whose close did not move.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=60
        Returns that are counted.

    Returns
    -------
    share : ndarray (T, A)
        ``mean(close == close[t - 1])``, 0 to 1.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window.
    Source: Lesmond, Ogden & Trzcinka (1999).
    """
    moves = view.once(log_returns)
    return trailing_mean(np.where(moves == 0, 1.0, 0.0 * moves), window)


def _traded(view: View) -> np.ndarray:
    return view["close"] * view["volume"]


def _impact(view: View) -> np.ndarray:
    return over(np.abs(view.once(simple_returns)), view.once(_traded))


def _two_bar_spread(view: View) -> np.ndarray:
    """Of each bar and the one before; ranges are moved by what lies between the close before and the bar."""
    high, low, before = view.once(log_of, "high"), view.once(log_of, "low"), delayed(view.once(log_of, "close"), 1)
    gap = np.maximum(low - before, 0.0) + np.minimum(high - before, 0.0)
    high, low = high - gap, low - gap
    high_before, low_before = delayed(view.once(log_of, "high"), 1), delayed(view.once(log_of, "low"), 1)
    single = (high - low) ** 2 + (high_before - low_before) ** 2
    both = (np.maximum(high, high_before) - np.minimum(low, low_before)) ** 2
    root = 3 - 2 * np.sqrt(2)
    alpha = (np.sqrt(2 * single) - np.sqrt(single)) / root - np.sqrt(both / root)
    return np.maximum(2 * np.tanh(alpha / 2), 0.0)
