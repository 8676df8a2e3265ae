"""Moving averages and the parabolic stop as TA-Lib defines them, relative to the close."""

from __future__ import annotations

import numpy as np

from mnpu.features.api import View, feature
from mnpu.features.parameters import Portion, SeveralBars, window_and
from mnpu.features.recursive import adaptive, by_blocks, carried, carried_after, parabolic
from mnpu.features.recursive import ema as ema_of
from mnpu.features.trailing import delayed, trailing_mean, trailing_sum, trailing_weighted

HLC = ("high", "low", "close")

#: Too small to change any number but zero.
TINY = 1e-300


@feature(fields=("close",), warmup=window_and(0), unit="fraction", tags=("trend", "technical"))
def sma(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Simple moving average, relative to the close.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars in the window, at least 2, the present one included.

    Returns
    -------
    distance : ndarray (T, A)
        ``mean(close) / close - 1``, a fraction.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window.
    Source: TA-Lib's SMA, divided by the close.
    """
    return by_blocks(view, window - 1, lambda close: trailing_mean(close, window) / close - 1, "close", relative=True)


@feature(fields=("close",), warmup=window_and(0), unit="fraction", tags=("trend", "technical"))
def wma(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Moving average with linearly rising weights, relative to the close.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars in the window, at least 2, the present one included.

    Returns
    -------
    distance : ndarray (T, A)
        ``sum(i close_i) / sum(i) / close - 1`` with i = 1 for the oldest bar; a fraction.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window.
    Source: TA-Lib's WMA, divided by the close.
    """

    def compute(close: np.ndarray) -> np.ndarray:
        return trailing_weighted(close, window)[1] / (window * (window + 1) / 2) / close - 1

    return by_blocks(view, window - 1, compute, "close", relative=True)


@feature(fields=("close",), warmup=window_and(0), unit="fraction", tags=("trend", "technical"), state=2)
def ema(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Exponential moving average, relative to the close.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars of the first mean; the gain is 2 / (window + 1). At least 2.

    Returns
    -------
    distance : ndarray (T, A)
        ``EMA / close - 1``, the gain 2 / (window + 1), from the mean of the first ``window`` closes on; a fraction.

    Notes
    -----
    NaN: the first ``window - 1`` bars of a symbol, and its missing bars, over which the average holds still.
    Source: TA-Lib's EMA, divided by the close.
    """
    state = view.state
    return carried(view, lambda close: ema_of(close, window, state) / close - 1, "close", relative=True)


@feature(fields=("close",), warmup=window_and(-1, 2), unit="fraction", tags=("trend", "technical"), state=4)
def dema(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Double exponential moving average, relative to the close.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars of each average, at least 2.

    Returns
    -------
    distance : ndarray (T, A)
        ``(2 EMA - EMA(EMA)) / close - 1``, a fraction.

    Notes
    -----
    NaN: the first ``2 window - 2`` bars of a symbol, and its missing bars, over which the average holds still.
    Source: Mulloy (1994); TA-Lib's DEMA, divided by the close.
    """
    state = view.state

    def compute(close: np.ndarray) -> np.ndarray:
        once = ema_of(close, window, state[:2])
        return (2 * once - ema_of(once, window, state[2:])) / close - 1

    return carried(view, compute, "close", relative=True)


@feature(fields=("close",), warmup=window_and(-2, 3), unit="fraction", tags=("trend", "technical"), state=6)
def tema(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Triple exponential moving average, relative to the close.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars of each average, at least 2.

    Returns
    -------
    distance : ndarray (T, A)
        ``(3 EMA - 3 EMA(EMA) + EMA(EMA(EMA))) / close - 1``, a fraction.

    Notes
    -----
    NaN: the first ``3 window - 3`` bars of a symbol, and its missing bars, over which the average holds still.
    Source: Mulloy (1994); TA-Lib's TEMA, divided by the close.
    """
    state = view.state

    def compute(close: np.ndarray) -> np.ndarray:
        once = ema_of(close, window, state[:2])
        twice = ema_of(once, window, state[2:4])
        return (3 * (once - twice) + ema_of(twice, window, state[4:])) / close - 1

    return carried(view, compute, "close", relative=True)


@feature(fields=("close",), warmup=window_and(1), unit="fraction", tags=("trend", "technical"), state=1)
def kama(view: View, *, window: SeveralBars = 10) -> np.ndarray:
    """Kaufman's adaptive moving average, relative to the close.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=10
        Bars over which the efficiency of the move is measured, at least 2.

    Returns
    -------
    distance : ndarray (T, A)
        ``KAMA / close - 1``; the gain is the square of ``ER (2/3 - 2/31) + 2/31``, ER the net move over ``window`` bars
        per sum of its steps; a fraction.

    Notes
    -----
    NaN: the first ``window`` bars; a missing bar until it leaves the window, while the average holds still.
    Source: Kaufman (1995); TA-Lib's KAMA, divided by the close.
    """
    state = view.state

    def compute(n_new: int, close: np.ndarray) -> np.ndarray:
        fresh = slice(len(close) - n_new, None)
        gain, before = _kama_gain(close, window), delayed(close, 1)
        return adaptive(close[fresh], gain[fresh], before[fresh], state) / close[fresh] - 1

    return carried_after(view, window, compute, "close", relative=True)


@feature(fields=("high", "low", "close"), warmup=2, unit="fraction", tags=("trend", "technical"), state=7)
def sar(view: View, *, step: Portion = 0.02, most: Portion = 0.2) -> np.ndarray:
    """Parabolic stop and reverse, relative to the close.

    Parameters
    ----------
    view : View
        Uses ``high``, ``low`` and ``close`` (T, A).
    step : float, default=0.02
        Acceleration at the start of a trend, and its growth with each new extreme.
    most : float, default=0.2
        The acceleration's limit, at least ``step``.

    Returns
    -------
    distance : ndarray (T, A)
        ``SAR / close - 1``: below the close (negative) while long, above it while short; a fraction.

    Notes
    -----
    NaN: the first bar of a symbol, and its missing bars, over which the stop holds still.
    Source: Wilder (1978); TA-Lib's SAR, divided by the close.
    """
    state = view.state
    return carried(
        view, lambda high, low, close: parabolic(high, low, step, most, state) / close - 1, *HLC, relative=True
    )


def _kama_gain(close: np.ndarray, window: int) -> np.ndarray:
    moved = np.abs(close - delayed(close, window))
    path = np.maximum(trailing_sum(np.abs(close - delayed(close, 1)), window), moved)
    ratio = (moved + TINY) / (path + TINY)  # one where nothing moved
    return (ratio * (2 / 3 - 2 / 31) + 2 / 31) ** 2
