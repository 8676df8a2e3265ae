"""Momentum and differences of averages as TA-Lib defines them; units of price are relative to the close."""

from __future__ import annotations

from functools import partial

import numpy as np

from mnpu.features.api import View, feature
from mnpu.features.arrays import over
from mnpu.features.parameters import Bars, FewBars, SeveralBars, ordered, window_and
from mnpu.features.recursive import by_blocks, carried, ema, late_ema, latest
from mnpu.features.trailing import delayed


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
    return by_blocks(view, window, lambda close: 1 - delayed(close, window) / close, "close", relative=True)


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
    return by_blocks(view, window, lambda close: (over(close, delayed(close, window)) - 1) * 100, "close")


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
    return carried(view, lambda close: _macd(close, fast, slow, state) / close, "close", relative=True)


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

    return carried(view, compute, "close", relative=True)


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

    return carried(view, compute, "close", relative=True)


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


def _macd(close: np.ndarray, fast: int, slow: int, state: np.ndarray) -> np.ndarray:
    """Fast less slow average; both have their first value at the same bar, as in TA-Lib. ``state`` has 4 rows."""
    return late_ema(close, fast, slow, state[:2]) - ema(close, slow, state[2:4])
