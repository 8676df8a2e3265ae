"""Oscillators as TA-Lib defines them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mnpu.features.api import View, feature
from mnpu.features.parameters import SeveralBars, ordered, window_and
from mnpu.features.recursive import by_blocks, carried, mean_deviation, swings
from mnpu.features.trailing import delayed, trailing_argmax, trailing_mean, trailing_sum

HLC = ("high", "low", "close")


def _ultosc_bars(params: Mapping[str, Any]) -> int:
    ordered("short", "middle", params)
    return ordered("middle", "long", params) + 1


@feature(fields=("close",), warmup=window_and(1), unit="points", tags=("oscillator", "technical"), state=5)
def rsi(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Relative strength index: the share of rises in all movement, 0 to 100.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=14
        Changes in the first averages, whose gain is 1 / window; at least 2.

    Returns
    -------
    value : ndarray (T, A)
        ``100 up / (up + down)`` of Wilder's averages of rises and falls; points from 0 to 100.

    Notes
    -----
    NaN: the first ``window`` bars of a symbol, and its missing bars, over which the average holds still.
    Source: Wilder (1978); TA-Lib's RSI, NaN in place of its 0 where nothing ever moved.
    """
    state = view.state

    def compute(close: np.ndarray) -> np.ndarray:
        up, down = swings(close, window, state)
        return 100 * up / (up + down)

    return carried(view, compute, "close")


@feature(fields=("close",), warmup=window_and(1), unit="points", tags=("oscillator", "technical"), state=5)
def cmo(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Chande momentum oscillator: rises less falls in all movement, -100 to 100.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=14
        Changes in the first averages, whose gain is 1 / window; at least 2.

    Returns
    -------
    value : ndarray (T, A)
        ``100 (up - down) / (up + down)`` of Wilder's averages of rises and falls; points from -100 to 100.

    Notes
    -----
    NaN: the first ``window`` bars of a symbol, and its missing bars, over which the average holds still.
    Source: Chande & Kroll (1994); TA-Lib's CMO, NaN in place of its 0 where nothing ever moved.
    """
    state = view.state

    def compute(close: np.ndarray) -> np.ndarray:
        up, down = swings(close, window, state)
        return 100 * (up - down) / (up + down)

    return carried(view, compute, "close")


@feature(fields=("high", "low", "close"), warmup=window_and(0), unit="points", tags=("oscillator", "technical"))
def cci(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Commodity channel index: the typical price against its mean, in mean deviations.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low`` and ``close`` (T, A).
    window : int, default=14
        Bars in the window, at least 2, the present one included.

    Returns
    -------
    value : ndarray (T, A)
        ``(p - mean(p)) / (0.015 mean(|p - mean(p)|))``, p the mean of high, low and close; points.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window. A window in which nothing moved.
    Source: Lambert (1980); TA-Lib's CCI, NaN in place of its 0 where nothing moved.
    """

    def compute(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> np.ndarray:
        price = (high + low + close) / 3
        gap = price - trailing_mean(price, window)
        return gap / (0.015 * mean_deviation(price, price - gap, window))

    return by_blocks(view, window - 1, compute, *HLC)


@feature(fields=("high", "low", "close"), warmup=_ultosc_bars, unit="points", tags=("oscillator", "technical"))
def ultosc(view: View, *, short: SeveralBars = 7, middle: SeveralBars = 14, long: SeveralBars = 28) -> np.ndarray:
    """Ultimate oscillator: buying pressure over three windows, 0 to 100.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low`` and ``close`` (T, A).
    short : int, default=7
        Bars of the window that counts four times.
    middle : int, default=14
        Bars of the window that counts twice, more than ``short``.
    long : int, default=28
        Bars of the window that counts once, more than ``middle``.

    Returns
    -------
    value : ndarray (T, A)
        ``100 (4 s + 2 m + l) / 7``, each ``sum(close - lowest) / sum(range)``, lowest and range with the close before;
        points from 0 to 100.

    Notes
    -----
    NaN: the first ``long`` rows; a missing bar until it has left the window; a window without any range.
    Source: Williams (1985); TA-Lib's ULTOSC.
    """

    def compute(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> np.ndarray:
        before = delayed(close, 1)
        bottom = np.minimum(low, before)
        pressure, width = close - bottom, np.maximum(high, before) - bottom
        parts = [trailing_sum(pressure, w) / trailing_sum(width, w) for w in (short, middle, long)]
        return (4 * parts[0] + 2 * parts[1] + parts[2]) * (100 / 7)

    return by_blocks(view, long, compute, *HLC)


@feature(fields=("high",), warmup=window_and(1), unit="points", tags=("trend", "technical"))
def aroon_up(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """How recent the highest high is: 100 now, 0 at the window's end.

    Parameters
    ----------
    view : View
        Uses ``high`` (T, A).
    window : int, default=14
        Bars to look back, at least 2; the present one is not counted.

    Returns
    -------
    value : ndarray (T, A)
        ``100 (window - bars since the highest high) / window``, the latest of equal ones; points.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it has left the window.
    Source: Chande (1995); TA-Lib's AROON, up.
    """
    return by_blocks(view, window, lambda high: _recent(high, window), "high")


@feature(fields=("low",), warmup=window_and(1), unit="points", tags=("trend", "technical"))
def aroon_down(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """How recent the lowest low is: 100 now, 0 at the window's end.

    Parameters
    ----------
    view : View
        Uses ``low`` (T, A).
    window : int, default=14
        Bars to look back, at least 2; the present one is not counted.

    Returns
    -------
    value : ndarray (T, A)
        ``100 (window - bars since the lowest low) / window``, the latest of equal ones; points.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it has left the window.
    Source: Chande (1995); TA-Lib's AROON, down.
    """
    return by_blocks(view, window, lambda low: _recent(-low, window), "low")


@feature(fields=("high", "low"), warmup=window_and(1), unit="points", tags=("trend", "technical"))
def aroonosc(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """How recent the highest high is, less how recent the lowest low is; -100 to 100.

    Parameters
    ----------
    view : View
        Uses ``high`` and ``low`` (T, A).
    window : int, default=14
        Bars to look back, at least 2; the present one is not counted.

    Returns
    -------
    value : ndarray (T, A)
        ``aroon_up - aroon_down``; points.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it has left the window.
    Source: Chande (1995); TA-Lib's AROONOSC.
    """
    return by_blocks(view, window, lambda high, low: _recent(high, window) - _recent(-low, window), *HLC[:2])


@feature(fields=("open", "high", "low", "close"), unit="fraction", tags=("oscillator", "technical"))
def bop(view: View) -> np.ndarray:
    """Balance of power: the bar's move from open to close in its range, -1 to 1.

    Parameters
    ----------
    view : View
        Uses ``open``, ``high``, ``low`` and ``close`` (T, A).

    Returns
    -------
    value : ndarray (T, A)
        ``(close - open) / (high - low)``, from -1 to 1.

    Notes
    -----
    NaN: a missing bar, and one without any range.
    Source: Livshin (2001); TA-Lib's BOP, NaN in place of its 0 where nothing moved.
    """
    return by_blocks(view, 0, lambda *bar: (bar[3] - bar[0]) / (bar[1] - bar[2]), "open", *HLC)


def _recent(values: np.ndarray, window: int) -> np.ndarray:
    """How recent the largest value is, 0 to 100."""
    return (window - trailing_argmax(values, window + 1)[1]) * (100 / window)
