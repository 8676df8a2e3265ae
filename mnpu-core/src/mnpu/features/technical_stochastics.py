"""Places in a range, 0 to 100, as TA-Lib defines them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mnpu.features.api import View, feature
from mnpu.features.parameters import FewBars, SeveralBars, window_and
from mnpu.features.recursive import by_blocks, carried, history, swings
from mnpu.features.trailing import trailing_max, trailing_mean, trailing_min


def _stochrsi_bars(params: Mapping[str, Any]) -> int:
    return int(params["window"]) + int(params["fast"])


def _stochrsi_bars_d(params: Mapping[str, Any]) -> int:
    return _stochrsi_bars(params) + int(params["smooth"]) - 1


@feature(
    fields=("close",),
    warmup=_stochrsi_bars,
    unit="points",
    tags=("oscillator", "technical"),
    state=lambda p: 4 + int(p["fast"]),
)
def stochrsi_k(view: View, *, window: SeveralBars = 14, fast: FewBars = 5) -> np.ndarray:
    """Stochastic of the relative strength index: its place in its own range, 0 to 100.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=14
        Changes in the first averages of the index, at least 2.
    fast : int, default=5
        Bars of the range of the index.

    Returns
    -------
    value : ndarray (T, A)
        ``100 (RSI - min(RSI)) / (max(RSI) - min(RSI))`` over ``fast`` bars; points from 0 to 100.

    Notes
    -----
    NaN: before the first full window of the index; a missing bar until it has left the window; where the index did not
    move. The index itself holds still over a missing bar.
    Source: Chande & Kroll (1994); TA-Lib's STOCHRSI.
    """
    state = view.state

    def compute(close: np.ndarray) -> np.ndarray:
        up, down = swings(close, window, state[:5])
        rows = history(100 * up / (up + down), state[5:])
        return _place(rows, rows, rows, window=fast)[len(rows) - len(close) :]

    return carried(view, compute, "close")


@feature(
    fields=("close",),
    warmup=_stochrsi_bars_d,
    unit="points",
    tags=("oscillator", "technical"),
    state=lambda p: 5 + int(p["fast"]) + int(p["smooth"]) - 2,
)
def stochrsi_d(view: View, *, window: SeveralBars = 14, fast: FewBars = 5, smooth: FewBars = 3) -> np.ndarray:
    """Mean of the stochastic of the relative strength index.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=14
        Changes in the first averages of the index, at least 2.
    fast : int, default=5
        Bars of the range of the index.
    smooth : int, default=3
        Bars of the mean.

    Returns
    -------
    value : ndarray (T, A)
        Mean of ``stochrsi_k`` over ``smooth`` bars; points from 0 to 100.

    Notes
    -----
    NaN: before the first full window of the index; a missing bar until it has left the window; where the index did not
    move. The index itself holds still over a missing bar.
    Source: Chande & Kroll (1994); TA-Lib's STOCHRSI.
    """
    state = view.state

    def compute(close: np.ndarray) -> np.ndarray:
        up, down = swings(close, window, state[:5])
        rows = history(100 * up / (up + down), state[5:])
        shown = _place(rows, rows, rows, window=fast)
        return trailing_mean(shown, smooth)[len(rows) - len(close) :]

    return carried(view, compute, "close")


@feature(fields=("high", "low", "close"), warmup=window_and(0), unit="points", tags=("oscillator", "technical"))
def stochf_k(view: View, *, window: SeveralBars = 5) -> np.ndarray:
    """Fast stochastic: place of the close in the window's range, 0 to 100.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low`` and ``close`` (T, A).
    window : int, default=5
        Bars of the range, at least 2, the present one included.

    Returns
    -------
    value : ndarray (T, A)
        ``100 (close - min(low)) / (max(high) - min(low))``; points from 0 to 100.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window. A window without any range.
    Source: Lane (1984); TA-Lib's STOCHF, fast K, NaN in place of its 0 where nothing moved.
    """
    return by_blocks(view, window - 1, lambda *bars: _place(*bars, window=window), "close", "high", "low")


@feature(
    fields=("high", "low", "close"),
    warmup=lambda p: int(p["window"]) + int(p["smooth"]) - 1,
    unit="points",
    tags=("oscillator", "technical"),
)
def stochf_d(view: View, *, window: SeveralBars = 5, smooth: FewBars = 3) -> np.ndarray:
    """Mean of the fast stochastic.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low`` and ``close`` (T, A).
    window : int, default=5
        Bars of the range, at least 2, the present one included.
    smooth : int, default=3
        Bars of the mean.

    Returns
    -------
    value : ndarray (T, A)
        Mean of ``stochf_k`` over ``smooth`` bars; points from 0 to 100.

    Notes
    -----
    NaN: the first rows, until all windows are full; a missing bar until it has left them; a window without any range.
    Source: Lane (1984); TA-Lib's STOCHF, fast D; its STOCH, slow K.
    """

    def compute(*bars: np.ndarray) -> np.ndarray:
        return trailing_mean(_place(*bars, window=window), smooth)

    return by_blocks(view, window + smooth - 2, compute, "close", "high", "low")


@feature(
    fields=("high", "low", "close"),
    warmup=lambda p: int(p["window"]) + int(p["smooth"]) - 1,
    unit="points",
    tags=("oscillator", "technical"),
)
def stoch_k(view: View, *, window: SeveralBars = 5, smooth: FewBars = 3) -> np.ndarray:
    """Slow stochastic: place of the close in the window's range, smoothed, 0 to 100.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low`` and ``close`` (T, A).
    window : int, default=5
        Bars of the range, at least 2, the present one included.
    smooth : int, default=3
        Bars of the mean.

    Returns
    -------
    value : ndarray (T, A)
        Mean of ``100 (close - min(low)) / (max(high) - min(low))`` over ``smooth`` bars; points from 0 to 100.

    Notes
    -----
    NaN: the first rows, until all windows are full; a missing bar until it has left them; a window without any range.
    Source: Lane (1984); TA-Lib's STOCH, slow K.
    """

    def compute(*bars: np.ndarray) -> np.ndarray:
        return trailing_mean(_place(*bars, window=window), smooth)

    return by_blocks(view, window + smooth - 2, compute, "close", "high", "low")


@feature(
    fields=("high", "low", "close"),
    warmup=lambda p: int(p["window"]) + int(p["smooth"]) + int(p["signal"]) - 2,
    unit="points",
    tags=("oscillator", "technical"),
)
def stoch_d(view: View, *, window: SeveralBars = 5, smooth: FewBars = 3, signal: FewBars = 3) -> np.ndarray:
    """Mean of the slow stochastic.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low`` and ``close`` (T, A).
    window : int, default=5
        Bars of the range, at least 2, the present one included.
    smooth : int, default=3
        Bars of the mean.
    signal : int, default=3
        Bars of the mean of that mean.

    Returns
    -------
    value : ndarray (T, A)
        Mean of ``stoch_k`` over ``signal`` bars; points from 0 to 100.

    Notes
    -----
    NaN: the first rows, until all windows are full; a missing bar until it has left them; a window without any range.
    Source: Lane (1984); TA-Lib's STOCH, slow D.
    """

    def compute(*bars: np.ndarray) -> np.ndarray:
        return trailing_mean(trailing_mean(_place(*bars, window=window), smooth), signal)

    return by_blocks(view, window + smooth + signal - 3, compute, "close", "high", "low")


@feature(fields=("high", "low", "close"), warmup=window_and(0), unit="points", tags=("oscillator", "technical"))
def willr(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Williams' %R: place of the close below the window's high, -100 to 0.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low`` and ``close`` (T, A).
    window : int, default=14
        Bars in the window, at least 2, the present one included.

    Returns
    -------
    value : ndarray (T, A)
        ``-100 (max(high) - close) / (max(high) - min(low))``; points from -100 to 0.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window. A window without any range.
    Source: Williams (1979); TA-Lib's WILLR, NaN in place of its 0 where nothing moved.
    """
    return by_blocks(view, window - 1, lambda *bars: _place(*bars, window=window) - 100, "close", "high", "low")


def _place(close: np.ndarray, high: np.ndarray, low: np.ndarray, *, window: int) -> np.ndarray:
    """Of the close in the window's range, 0 to 100."""
    bottom = trailing_min(low, window)
    return (close - bottom) / (trailing_max(high, window) - bottom) * 100
