"""Volume lines as TA-Lib defines them."""

from __future__ import annotations

from functools import partial

import numpy as np

from mnpu.features.api import View, feature
from mnpu.features.parameters import SeveralBars, ordered, window_and
from mnpu.features.recursive import by_blocks, carried, latest, money, running_total, smoothed
from mnpu.features.trailing import trailing_sum

HLCV = ("high", "low", "close", "volume")


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


def _flow(high: np.ndarray, low: np.ndarray, close: np.ndarray, volume: np.ndarray) -> np.ndarray:
    width = high - low
    share = ((close - low) - (high - close)) / np.where(width > 0, width, np.where(np.isnan(width), np.nan, np.inf))
    return share * volume


def _from_first(values: np.ndarray, window: int, wait: int, state: np.ndarray) -> np.ndarray:
    """Exponential average from the first value on."""
    gain = 2.0 / (window + 1)
    return smoothed(values, state, seed=1, scale=1.0, wait=wait, take=gain, drop=gain)
