"""Bands, straight lines and extremes of a window as TA-Lib defines them, relative to the close."""

from __future__ import annotations

import numpy as np

from mnpu.features.api import View, feature
from mnpu.features.parameters import Multiple, SeveralBars, window_and
from mnpu.features.recursive import by_blocks
from mnpu.features.trailing import trailing_max, trailing_min, trailing_moments, trailing_std, trailing_weighted


@feature(fields=("close",), warmup=window_and(0), unit="fraction", tags=("volatility", "technical"))
def bbands_upper(view: View, *, window: SeveralBars = 20, deviations: Multiple = 2.0) -> np.ndarray:
    """Upper Bollinger band, relative to the close.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars of mean and standard deviation, at least 2, the present one included.
    deviations : float, default=2
        Standard deviations (ddof 0) from the mean to the band.

    Returns
    -------
    distance : ndarray (T, A)
        ``(mean + deviations * std) / close - 1``, a fraction.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window.
    Source: Bollinger (2001); bands of TA-Lib's BBANDS.
    """

    def compute(close: np.ndarray) -> np.ndarray:
        mean, spread = _bands(close, window)
        return (mean + deviations * spread) / close - 1

    return by_blocks(view, window - 1, compute, "close", relative=True)


@feature(fields=("close",), warmup=window_and(0), unit="fraction", tags=("volatility", "technical"))
def bbands_lower(view: View, *, window: SeveralBars = 20, deviations: Multiple = 2.0) -> np.ndarray:
    """Lower Bollinger band, relative to the close.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars of mean and standard deviation, at least 2, the present one included.
    deviations : float, default=2
        Standard deviations (ddof 0) from the mean to the band.

    Returns
    -------
    distance : ndarray (T, A)
        ``(mean - deviations * std) / close - 1``, a fraction.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window.
    Source: Bollinger (2001); bands of TA-Lib's BBANDS.
    """

    def compute(close: np.ndarray) -> np.ndarray:
        mean, spread = _bands(close, window)
        return (mean - deviations * spread) / close - 1

    return by_blocks(view, window - 1, compute, "close", relative=True)


@feature(fields=("close",), warmup=window_and(0), unit="fraction", tags=("trend", "technical"))
def bbands_percent(view: View, *, window: SeveralBars = 20, deviations: Multiple = 2.0) -> np.ndarray:
    """Place of the close between the Bollinger bands: 0 at the lower, 1 at the upper one.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars of mean and standard deviation, at least 2, the present one included.
    deviations : float, default=2
        Standard deviations (ddof 0) from the mean to the band.

    Returns
    -------
    distance : ndarray (T, A)
        ``(close - lower) / (upper - lower)``; NaN where all closes of the window are the same.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window.
    Source: Bollinger (2001); bands of TA-Lib's BBANDS.
    """

    def compute(close: np.ndarray) -> np.ndarray:
        mean, spread = _bands(close, window)
        return (close - mean) / (2 * deviations * spread) + 0.5

    return by_blocks(view, window - 1, compute, "close")


@feature(fields=("close",), warmup=window_and(0), unit="fraction", tags=("volatility", "technical"))
def bbands_width(view: View, *, window: SeveralBars = 20, deviations: Multiple = 2.0) -> np.ndarray:
    """Distance between the Bollinger bands, relative to the mean.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars of mean and standard deviation, at least 2, the present one included.
    deviations : float, default=2
        Standard deviations (ddof 0) from the mean to the band.

    Returns
    -------
    distance : ndarray (T, A)
        ``(upper - lower) / mean``, a fraction.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window.
    Source: Bollinger (2001); bands of TA-Lib's BBANDS.
    """

    def compute(close: np.ndarray) -> np.ndarray:
        mean, spread = _bands(close, window)
        return 2 * deviations * spread / mean

    return by_blocks(view, window - 1, compute, "close")


@feature(fields=("close",), warmup=window_and(0), unit="fraction", tags=("volatility", "technical"))
def stddev(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Standard deviation of the close, relative to the close.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars in the window, at least 2, the present one included.

    Returns
    -------
    deviation : ndarray (T, A)
        ``std(close, ddof=0) / close``, a fraction.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window.
    Source: TA-Lib's STDDEV, divided by the close.
    """
    return by_blocks(
        view, window - 1, lambda close: trailing_std(close, window, ddof=0) / close, "close", relative=True
    )


@feature(fields=("close",), warmup=window_and(0), unit="fraction", tags=("trend", "technical"))
def linearreg(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """End of the straight line through the closes, relative to the close.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=14
        Bars in the window, at least 2, the present one included.

    Returns
    -------
    distance : ndarray (T, A)
        ``(a + b (window - 1)) / close - 1`` of the least-squares line, a fraction.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window.
    Source: TA-Lib's LINEARREG, divided by the close.
    """

    def compute(close: np.ndarray) -> np.ndarray:
        mean, slope = _line(close, window)
        return (mean + slope * ((window - 1) / 2)) / close - 1

    return by_blocks(view, window - 1, compute, "close", relative=True)


@feature(fields=("close",), warmup=window_and(0), unit="fraction per bar", tags=("trend", "technical"))
def linearreg_slope(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Slope of the straight line through the closes, relative to the close.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=14
        Bars in the window, at least 2, the present one included.

    Returns
    -------
    slope : ndarray (T, A)
        Least-squares slope per bar, over ``close``.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window.
    Source: TA-Lib's LINEARREG_SLOPE, divided by the close.
    """
    return by_blocks(view, window - 1, lambda close: _line(close, window)[1] / close, "close", relative=True)


@feature(fields=("close",), warmup=window_and(0), unit="fraction", tags=("trend", "technical"))
def tsf(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """The straight line through the closes one bar ahead, relative to the close.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=14
        Bars in the window, at least 2, the present one included.

    Returns
    -------
    distance : ndarray (T, A)
        ``(a + b window) / close - 1`` of the least-squares line, a fraction.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window.
    Source: TA-Lib's TSF, divided by the close.
    """

    def compute(close: np.ndarray) -> np.ndarray:
        mean, slope = _line(close, window)
        return (mean + slope * ((window + 1) / 2)) / close - 1

    return by_blocks(view, window - 1, compute, "close", relative=True)


@feature(fields=("close",), warmup=window_and(0), unit="fraction", tags=("trend", "technical"))
def highest(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Highest close of the window, relative to the close; never below zero.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars in the window, at least 2, the present one included.

    Returns
    -------
    distance : ndarray (T, A)
        ``max(close) / close - 1``, a fraction.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window.
    Source: TA-Lib's MAX, divided by the close.
    """
    return by_blocks(view, window - 1, lambda close: trailing_max(close, window) / close - 1, "close", relative=True)


@feature(fields=("close",), warmup=window_and(0), unit="fraction", tags=("trend", "technical"))
def lowest(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Lowest close of the window, relative to the close; never above zero.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars in the window, at least 2, the present one included.

    Returns
    -------
    distance : ndarray (T, A)
        ``min(close) / close - 1``, a fraction.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window.
    Source: TA-Lib's MIN, divided by the close.
    """
    return by_blocks(view, window - 1, lambda close: trailing_min(close, window) / close - 1, "close", relative=True)


@feature(fields=("high", "low", "close"), warmup=window_and(0), unit="fraction", tags=("trend", "technical"))
def midprice(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Middle of the window's range, relative to the close.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low`` and ``close`` (T, A).
    window : int, default=14
        Bars in the window, at least 2, the present one included.

    Returns
    -------
    distance : ndarray (T, A)
        ``(max(high) + min(low)) / 2 / close - 1``, a fraction.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window.
    Source: TA-Lib's MIDPRICE, divided by the close.
    """

    def compute(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> np.ndarray:
        return (trailing_max(high, window) + trailing_min(low, window)) / 2 / close - 1

    return by_blocks(view, window - 1, compute, "high", "low", "close", relative=True)


def _bands(close: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, ddof 0."""
    mean, squares = trailing_moments(close, window)
    return mean, np.sqrt(squares / window)


def _line(close: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and slope per bar of the least-squares line, which passes through the mean in the window's middle."""
    total, weighted = trailing_weighted(close, window)
    slope = (weighted - total * ((window + 1) / 2)) / (window * (window * window - 1) / 12)
    return total / window, slope
