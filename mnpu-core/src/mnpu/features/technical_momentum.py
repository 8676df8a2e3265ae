"""Oscillators and momentum as TA-Lib defines them; what it gives in units of price is relative to the close."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from mnpu.features.api import View, feature
from mnpu.features.parameters import Bars, FewBars, SeveralBars, ordered, window_and
from mnpu.features.recursive import by_blocks, carried, ema, history, late_ema, latest, mean_deviation, wilder
from mnpu.features.trailing import (
    delayed,
    trailing_argmax,
    trailing_max,
    trailing_mean,
    trailing_min,
    trailing_sum,
)

HLC = ("high", "low", "close")


def _stochrsi_bars(params: Mapping[str, Any]) -> int:
    return int(params["window"]) + int(params["fast"])


def _stochrsi_bars_d(params: Mapping[str, Any]) -> int:
    return _stochrsi_bars(params) + int(params["smooth"]) - 1


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
        up, down = _swings(close, window, state)
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
        up, down = _swings(close, window, state)
        return 100 * (up - down) / (up + down)

    return carried(view, compute, "close")


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
        up, down = _swings(close, window, state[:5])
        rows = history(100 * up / (up + down), state[5:])
        return _place(rows, rows, rows, fast)[len(rows) - len(close) :]

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
        up, down = _swings(close, window, state[:5])
        rows = history(100 * up / (up + down), state[5:])
        shown = _place(rows, rows, rows, fast)
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
    return by_blocks(view, window - 1, lambda *bars: _place(*bars, window), "close", "high", "low")


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
        return trailing_mean(_place(*bars, window), smooth)

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
        return trailing_mean(_place(*bars, window), smooth)

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
        return trailing_mean(trailing_mean(_place(*bars, window), smooth), signal)

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
    return by_blocks(view, window - 1, lambda *bars: _place(*bars, window) - 100, "close", "high", "low")


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


@feature(fields=("close",), warmup=window_and(1), unit="fraction", tags=("momentum", "technical"))
def mom(view: View, *, window: Bars = 10) -> np.ndarray:
    """Change of the close, relative to the close.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=10
        Bars between the two closes.

    Returns
    -------
    value : ndarray (T, A)
        ``(close - close[t - window]) / close``, a fraction.

    Notes
    -----
    NaN: the first ``window`` rows, and where either close is missing.
    Source: TA-Lib's MOM, divided by the close.
    """
    return by_blocks(view, window, lambda close: 1 - delayed(close, window) / close, "close")


@feature(fields=("close",), warmup=window_and(1), unit="percent", tags=("momentum", "technical"))
def roc(view: View, *, window: Bars = 10) -> np.ndarray:
    """Rate of change of the close, in percent.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=10
        Bars between the two closes.

    Returns
    -------
    value : ndarray (T, A)
        ``100 (close / close[t - window] - 1)``, percent.

    Notes
    -----
    NaN: the first ``window`` rows, and where either close is missing.
    Source: TA-Lib's ROC.
    """
    return by_blocks(view, window, lambda close: (close / delayed(close, window) - 1) * 100, "close")


@feature(
    fields=("close",),
    warmup=partial(ordered, "fast", "slow"),
    unit="percent",
    tags=("trend", "technical"),
    state=4,
)
def ppo(view: View, *, fast: SeveralBars = 12, slow: SeveralBars = 26) -> np.ndarray:
    """Percentage price oscillator: fast against slow exponential average.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    fast : int, default=12
        Bars of the fast average, less than ``slow``.
    slow : int, default=26
        Bars of the slow average.

    Returns
    -------
    value : ndarray (T, A)
        ``100 (EMA(fast) / EMA(slow) - 1)``, percent.

    Notes
    -----
    NaN: the first ``slow - 1`` bars of a symbol, and its missing bars, over which the averages hold still.
    Source: TA-Lib's PPO with exponential averages, its default.
    """
    state = view.state

    def compute(close: np.ndarray) -> np.ndarray:
        return (ema(close, fast, state[:2]) / ema(close, slow, state[2:]) - 1) * 100

    return carried(view, compute, "close")


@feature(
    fields=("close",),
    warmup=partial(ordered, "fast", "slow"),
    unit="fraction",
    tags=("trend", "technical"),
    state=4,
)
def macd(view: View, *, fast: SeveralBars = 12, slow: SeveralBars = 26) -> np.ndarray:
    """Moving average convergence/divergence: fast less slow exponential average, relative to the close.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    fast : int, default=12
        Bars of the fast average, less than ``slow``.
    slow : int, default=26
        Bars of the slow average.

    Returns
    -------
    value : ndarray (T, A)
        ``(EMA(fast) - EMA(slow)) / close``, both from their first mean at bar ``slow`` on; a fraction.

    Notes
    -----
    NaN: the first ``slow - 1`` bars of a symbol, and its missing bars, over which the averages hold still.
    Source: Appel (1979); TA-Lib's MACD divided by the close.
    """
    state = view.state
    return carried(view, lambda close: _macd(close, fast, slow, state) / close, "close")


@feature(
    fields=("close",),
    warmup=lambda p: ordered("fast", "slow", p) + int(p["signal"]) - 1,
    unit="fraction",
    tags=("trend", "technical"),
    state=6,
)
def macd_signal(view: View, *, fast: SeveralBars = 12, slow: SeveralBars = 26, signal: FewBars = 9) -> np.ndarray:
    """Signal line of the moving average convergence/divergence, relative to the close.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    fast : int, default=12
        Bars of the fast average, less than ``slow``.
    slow : int, default=26
        Bars of the slow average.
    signal : int, default=9
        Bars of the average of the line.

    Returns
    -------
    value : ndarray (T, A)
        ``EMA(MACD, signal) / close``, a fraction.

    Notes
    -----
    NaN: the first ``slow + signal - 2`` bars of a symbol, and its missing bars, over which the averages hold still.
    Source: Appel (1979); TA-Lib's MACD divided by the close.
    """
    state = view.state

    def compute(close: np.ndarray) -> np.ndarray:
        line = _macd(close, fast, slow, state)
        return ema(line, signal, state[4:]) / close

    return carried(view, compute, "close")


@feature(
    fields=("close",),
    warmup=lambda p: ordered("fast", "slow", p) + int(p["signal"]) - 1,
    unit="fraction",
    tags=("trend", "technical"),
    state=6,
)
def macd_hist(view: View, *, fast: SeveralBars = 12, slow: SeveralBars = 26, signal: FewBars = 9) -> np.ndarray:
    """Moving average convergence/divergence less its signal line, relative to the close.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    fast : int, default=12
        Bars of the fast average, less than ``slow``.
    slow : int, default=26
        Bars of the slow average.
    signal : int, default=9
        Bars of the average of the line.

    Returns
    -------
    value : ndarray (T, A)
        ``(MACD - EMA(MACD, signal)) / close``, a fraction.

    Notes
    -----
    NaN: the first ``slow + signal - 2`` bars of a symbol, and its missing bars, over which the averages hold still.
    Source: Appel (1979); TA-Lib's MACD divided by the close.
    """
    state = view.state

    def compute(close: np.ndarray) -> np.ndarray:
        line = _macd(close, fast, slow, state)
        return (line - ema(line, signal, state[4:])) / close

    return carried(view, compute, "close")


@feature(fields=("close",), warmup=window_and(-1, 3), unit="percent", tags=("momentum", "technical"), state=7)
def trix(view: View, *, window: SeveralBars = 15) -> np.ndarray:
    """Change of a triple exponential average over one bar, in percent.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=15
        Bars of each average, at least 2.

    Returns
    -------
    value : ndarray (T, A)
        ``100 (E / E[t - 1] - 1)`` with E = EMA(EMA(EMA(close))); percent.

    Notes
    -----
    NaN: the first ``3 window - 2`` bars of a symbol, and its missing bars, over which the average holds still.
    Source: Hutson (1983); TA-Lib's TRIX.
    """
    state = view.state

    def compute(close: np.ndarray) -> np.ndarray:
        average = ema(ema(ema(close, window, state[:2]), window, state[2:4]), window, state[4:6])
        return (average / latest(average, state[6:]) - 1) * 100

    return carried(view, compute, "close")


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


def _swings(close: np.ndarray, window: int, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wilder's averages of rises and of falls; ``state`` has 5 rows."""
    change = close - latest(close, state[:1])
    up = wilder(np.maximum(change, 0.0), window, state[1:3])
    return up, wilder(np.maximum(-change, 0.0), window, state[3:5])


def _place(close: np.ndarray, high: np.ndarray, low: np.ndarray, window: int) -> np.ndarray:
    """Of the close in the window's range, 0 to 100."""
    bottom = trailing_min(low, window)
    return (close - bottom) / (trailing_max(high, window) - bottom) * 100


def _macd(close: np.ndarray, fast: int, slow: int, state: np.ndarray) -> np.ndarray:
    """Fast less slow average; both have their first value at the same bar, as in TA-Lib. ``state`` has 4 rows."""
    return late_ema(close, fast, slow, state[:2]) - ema(close, slow, state[2:4])


def _recent(values: np.ndarray, window: int) -> np.ndarray:
    """How recent the largest value is, 0 to 100."""
    return (window - trailing_argmax(values, window + 1)[1]) * (100 / window)
