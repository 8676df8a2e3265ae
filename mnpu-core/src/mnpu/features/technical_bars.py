"""True range, directional movement and volume lines as TA-Lib defines them; prices are relative to the close."""

from __future__ import annotations

from functools import partial

import numpy as np

from mnpu.features.api import View, feature
from mnpu.features.parameters import SeveralBars, ordered, window_and
from mnpu.features.recursive import (
    by_blocks,
    carried,
    history,
    latest,
    money,
    movements,
    running_total,
    smoothed,
    wilder,
)
from mnpu.features.trailing import delayed, trailing_sum

HLC = ("high", "low", "close")
HLCV = (*HLC, "volume")


@feature(fields=("high", "low", "close"), warmup=2, unit="fraction", tags=("volatility", "technical"))
def trange(view: View) -> np.ndarray:
    """True range of the bar, relative to the close.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low`` and ``close`` (T, A).

    Returns
    -------
    value : ndarray (T, A)
        ``(max(high, close[t - 1]) - min(low, close[t - 1])) / close``, a fraction.

    Notes
    -----
    NaN: the first row, a missing bar and the bar after it.
    Source: Wilder (1978); TA-Lib's TRANGE divided by the close.
    """

    def compute(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> np.ndarray:
        before = delayed(close, 1)
        return (np.maximum(high, before) - np.minimum(low, before)) / close

    return by_blocks(view, 1, compute, *HLC)


@feature(
    fields=("high", "low", "close"),
    warmup=window_and(1),
    unit="fraction",
    tags=("volatility", "technical"),
    state=5,
)
def atr(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Average true range, relative to the close.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low`` and ``close`` (T, A).
    window : int, default=14
        True ranges in the first average, whose gain is 1 / window; at least 2.

    Returns
    -------
    value : ndarray (T, A)
        ``ATR / close`` with Wilder's average of true ranges, a fraction.

    Notes
    -----
    NaN: the first ``window`` bars of a symbol, and its missing bars, over which the average holds still.
    Source: Wilder (1978); TA-Lib's ATR divided by the close.
    """
    state = view.state

    def compute(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> np.ndarray:
        return wilder(movements(high, low, close, state[:3])[0], window, state[3:]) / close

    return carried(view, compute, *HLC)


@feature(
    fields=("high", "low", "close"),
    warmup=window_and(1),
    unit="percent",
    tags=("volatility", "technical"),
    state=5,
)
def natr(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Average true range in percent of the close.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low`` and ``close`` (T, A).
    window : int, default=14
        True ranges in the first average, whose gain is 1 / window; at least 2.

    Returns
    -------
    value : ndarray (T, A)
        ``100 ATR / close``, percent.

    Notes
    -----
    NaN: the first ``window`` bars of a symbol, and its missing bars, over which the average holds still.
    Source: Wilder (1978); TA-Lib's NATR.
    """
    state = view.state

    def compute(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> np.ndarray:
        return wilder(movements(high, low, close, state[:3])[0], window, state[3:]) / close * 100

    return carried(view, compute, *HLC)


@feature(fields=("high", "low", "close"), warmup=window_and(1), unit="points", tags=("trend", "technical"), state=7)
def plus_di(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Upward movement in the true range, 0 to 100.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low`` and ``close`` (T, A).
    window : int, default=14
        Bars of Wilder's sums, at least 2.

    Returns
    -------
    value : ndarray (T, A)
        ``100 sum(+DM) / sum(TR)`` of Wilder's sums; points from 0 to 100.

    Notes
    -----
    NaN: the first ``window`` bars of a symbol, and its missing bars, over which the sums hold still.
    Source: Wilder (1978); TA-Lib's PLUS_DI.
    """
    state = view.state
    return carried(view, lambda *bars: _indicator(bars, window, state, 1), *HLC)


@feature(fields=("high", "low", "close"), warmup=window_and(1), unit="points", tags=("trend", "technical"), state=7)
def minus_di(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Downward movement in the true range, 0 to 100.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low`` and ``close`` (T, A).
    window : int, default=14
        Bars of Wilder's sums, at least 2.

    Returns
    -------
    value : ndarray (T, A)
        ``100 sum(-DM) / sum(TR)`` of Wilder's sums; points from 0 to 100.

    Notes
    -----
    NaN: the first ``window`` bars of a symbol, and its missing bars, over which the sums hold still.
    Source: Wilder (1978); TA-Lib's MINUS_DI.
    """
    state = view.state
    return carried(view, lambda *bars: _indicator(bars, window, state, 2), *HLC)


@feature(fields=("high", "low", "close"), warmup=window_and(1), unit="points", tags=("trend", "technical"), state=7)
def dx(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Directional movement index: how one-sided movement is, 0 to 100.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low`` and ``close`` (T, A).
    window : int, default=14
        Bars of Wilder's sums, at least 2.

    Returns
    -------
    value : ndarray (T, A)
        ``100 |up - down| / (up + down)`` of Wilder's sums of +DM and -DM; points from 0 to 100.

    Notes
    -----
    NaN: the first ``window`` bars of a symbol, and its missing bars, over which the sums hold still. Where nothing
    moved up or down.
    Source: Wilder (1978); TA-Lib's DX.
    """
    state = view.state
    return carried(view, lambda *bars: _one_sided(bars, window, state), *HLC)


@feature(fields=("high", "low", "close"), warmup=window_and(0, 2), unit="points", tags=("trend", "technical"), state=9)
def adx(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Average directional movement index: the strength of a trend, 0 to 100.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low`` and ``close`` (T, A).
    window : int, default=14
        Bars of Wilder's sums, at least 2.

    Returns
    -------
    value : ndarray (T, A)
        Wilder's average of ``dx``; points from 0 to 100.

    Notes
    -----
    NaN: the first ``2 window - 1`` bars of a symbol, and its missing bars, over which the average holds still.
    Source: Wilder (1978); TA-Lib's ADX.
    """
    state = view.state
    return carried(view, lambda *bars: wilder(_one_sided(bars, window, state[:7]), window, state[7:]), *HLC)


@feature(
    fields=("high", "low", "close"),
    warmup=window_and(-1, 3),
    unit="points",
    tags=("trend", "technical"),
    state=lambda p: 8 + int(p["window"]),
)
def adxr(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Mean of the average directional movement index now and a window ago, 0 to 100.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low`` and ``close`` (T, A).
    window : int, default=14
        Bars of Wilder's sums, at least 2.

    Returns
    -------
    value : ndarray (T, A)
        ``(adx + adx[t - window + 1]) / 2``; points from 0 to 100.

    Notes
    -----
    NaN: the first ``3 window - 2`` bars of a symbol, and its missing bars, over which the average holds still.
    Source: Wilder (1978); TA-Lib's ADXR.
    """
    state = view.state

    def compute(*bars: np.ndarray) -> np.ndarray:
        rows = history(wilder(_one_sided(bars, window, state[:7]), window, state[7:9]), state[9:])
        return (rows[window - 1 :] + rows[: len(rows) - window + 1]) / 2

    return carried(view, compute, *HLC)


@feature(fields=("close", "volume"), scale_free=False, unit="shares", tags=("volume", "technical"), state=3)
def obv(view: View) -> np.ndarray:
    """On-balance volume: all volume of rising bars less that of falling ones.

    Parameters
    ----------
    view : View
        Uses ``close`` and ``volume`` (T, A).

    Returns
    -------
    value : ndarray (T, A)
        Running sum of volume, its sign that of the change of the close; the first bar counts as a rise. Shares.

    Notes
    -----
    NaN: missing bars, over which the sum holds still. Not scale-free in the volume: its level counts all volume since
    the symbol's first bar, so it needs volumes as traded.
    Source: Granville (1963); TA-Lib's OBV.
    """
    state = view.state

    def compute(close: np.ndarray, volume: np.ndarray) -> np.ndarray:
        close = close + 0.0 * volume  # a bar without volume is none
        change = np.sign(close - latest(close, state[:1]))
        first = np.isnan(change) & ~np.isnan(close)
        return running_total(np.where(first, volume, change * volume), state[1:])

    return carried(view, compute, "close", "volume")


@feature(
    fields=("high", "low", "close", "volume"),
    scale_free=False,
    unit="shares",
    tags=("volume", "technical"),
    state=2,
)
def ad(view: View) -> np.ndarray:
    """Accumulation/distribution line: all volume, signed by the close's place in its bar.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low``, ``close`` and ``volume`` (T, A).

    Returns
    -------
    value : ndarray (T, A)
        Running sum of ``volume (2 close - low - high) / (high - low)``; a bar without range adds nothing. Shares.

    Notes
    -----
    NaN: missing bars, over which the sum holds still. Not scale-free in the volume: its level counts all volume since
    the symbol's first bar, so it needs volumes as traded.
    Source: Chaikin; TA-Lib's AD.
    """
    state = view.state
    return carried(view, lambda *bars: running_total(_flow(*bars), state), *HLCV)


@feature(
    fields=("high", "low", "close", "volume"),
    scale_free=False,
    warmup=partial(ordered, "fast", "slow"),
    unit="shares",
    tags=("volume", "technical"),
    state=6,
)
def adosc(view: View, *, fast: SeveralBars = 3, slow: SeveralBars = 10) -> np.ndarray:
    """Chaikin oscillator: fast less slow exponential average of accumulation/distribution.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low``, ``close`` and ``volume`` (T, A).
    fast : int, default=3
        Bars of the fast average, less than ``slow``.
    slow : int, default=10
        Bars of the slow average.

    Returns
    -------
    value : ndarray (T, A)
        ``EMA(ad, fast) - EMA(ad, slow)``, both from the symbol's first bar on. Shares.

    Notes
    -----
    NaN: the first ``slow - 1`` bars of a symbol, and its missing bars, over which the averages hold still. Not
    scale-free in the volume, so it needs volumes as traded.
    Source: Chaikin; TA-Lib's ADOSC.
    """
    state = view.state

    def compute(*bars: np.ndarray) -> np.ndarray:
        line = running_total(_flow(*bars), state[:2])
        return _from_first(line, fast, slow, state[2:4]) - _from_first(line, slow, slow, state[4:])

    return carried(view, compute, *HLCV)


@feature(fields=("high", "low", "close", "volume"), warmup=window_and(1), unit="points", tags=("volume", "technical"))
def mfi(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Money flow index: the share of money in rising bars, 0 to 100.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low``, ``close`` and ``volume`` (T, A).
    window : int, default=14
        Changes in the window, at least 2.

    Returns
    -------
    value : ndarray (T, A)
        ``100 up / (up + down)``, sums of typical price times volume over bars on which the typical price rose or fell;
        points from 0 to 100.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it has left the window; a window in which nothing moved.
    Source: Quong & Soudack (1989); TA-Lib's MFI, NaN in place of its 0 where nothing moved.
    """

    def compute(high: np.ndarray, low: np.ndarray, close: np.ndarray, volume: np.ndarray) -> np.ndarray:
        up, moved = money(high, low, close, volume)
        return trailing_sum(up, window) / trailing_sum(moved, window) * 100

    return by_blocks(view, window, compute, *HLCV)


def _sum(values: np.ndarray, window: int, state: np.ndarray) -> np.ndarray:
    """Wilder's sum: a part 1 / window of it is lost with each bar; it begins with ``window - 1`` values."""
    return smoothed(values, state, seed=window - 1, scale=1.0, wait=window, take=1.0, drop=1.0 / window)


def _indicator(bars: tuple[np.ndarray, ...], window: int, state: np.ndarray, which: int) -> np.ndarray:
    """Movement up (1) or down (2) in the true range; ``state`` has 7 rows."""
    moved = movements(*bars, state[:3])
    return _sum(moved[which], window, state[3:5]) / _sum(moved[0], window, state[5:]) * 100


def _one_sided(bars: tuple[np.ndarray, ...], window: int, state: np.ndarray) -> np.ndarray:
    """The directional movement index; ``state`` has 7 rows."""
    moved = movements(*bars, state[:3])
    up, down = _sum(moved[1], window, state[3:5]), _sum(moved[2], window, state[5:])
    return np.abs(up - down) / (up + down) * 100


def _flow(high: np.ndarray, low: np.ndarray, close: np.ndarray, volume: np.ndarray) -> np.ndarray:
    width = high - low
    share = ((close - low) - (high - close)) / np.where(width > 0, width, np.where(np.isnan(width), np.nan, np.inf))
    return share * volume


def _from_first(values: np.ndarray, window: int, wait: int, state: np.ndarray) -> np.ndarray:
    """Exponential average from the first value on."""
    gain = 2.0 / (window + 1)
    return smoothed(values, state, seed=1, scale=1.0, wait=wait, take=gain, drop=gain)
