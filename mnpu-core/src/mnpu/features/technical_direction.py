"""True range and directional movement as TA-Lib defines them; units of price are relative to the close."""

from __future__ import annotations

import numpy as np

from mnpu.features.api import View, feature
from mnpu.features.parameters import SeveralBars, window_and
from mnpu.features.recursive import by_blocks, carried, history, movements, smoothed, wilder
from mnpu.features.trailing import delayed

HLC = ("high", "low", "close")


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

    return by_blocks(view, 1, compute, *HLC, relative=True)


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
        return wilder(movements(high, low, close, state=state[:3])[0], window, state[3:]) / close

    return carried(view, compute, *HLC, relative=True)


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
        return wilder(movements(high, low, close, state=state[:3])[0], window, state[3:]) / close * 100

    return carried(view, compute, *HLC, relative=True)


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


def _sum(values: np.ndarray, window: int, state: np.ndarray) -> np.ndarray:
    """Wilder's sum: a part 1 / window of it is lost with each bar; it begins with ``window - 1`` values."""
    return smoothed(values, state, seed=window - 1, scale=1.0, wait=window, take=1.0, drop=1.0 / window)


def _indicator(bars: tuple[np.ndarray, ...], window: int, state: np.ndarray, which: int) -> np.ndarray:
    """Movement up (1) or down (2) in the true range; ``state`` has 7 rows."""
    moved = movements(*bars, state=state[:3])
    return _sum(moved[which], window, state[3:5]) / _sum(moved[0], window, state[5:]) * 100


def _one_sided(bars: tuple[np.ndarray, ...], window: int, state: np.ndarray) -> np.ndarray:
    """The directional movement index; ``state`` has 7 rows."""
    moved = movements(*bars, state=state[:3])
    up, down = _sum(moved[1], window, state[3:5]), _sum(moved[2], window, state[5:])
    return np.abs(up - down) / (up + down) * 100
