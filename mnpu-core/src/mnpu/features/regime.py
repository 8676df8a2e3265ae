"""Which kind of market it is, judged by the symbol's own past alone.

A regime that is labelled with the whole sample knows the future; here each value is compared with those before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from mnpu.errors import ConfigError
from mnpu.features.api import View, feature
from mnpu.features.arrays import log_moves
from mnpu.features.parameters import Portion, SeveralBars
from mnpu.features.recursive import carried_after
from mnpu.features.trailing import trailing_mean, trailing_sum
from mnpu.features.windows import trailing_place


def _bars(params: Mapping[str, Any]) -> int:
    return int(params["window"]) + int(params["history"]) + 1


def _state_bars(params: Mapping[str, Any]) -> int:
    if params["leave"] >= params["enter"]:
        raise ConfigError(f"leave is {params['leave']}", expected=f"less than enter, which is {params['enter']}")
    return _bars(params)


@feature(fields=("close",), warmup=_bars, unit="fraction", tags=("regime",))
def volatility_regime(view: View, *, window: SeveralBars = 20, history: SeveralBars = 252) -> np.ndarray:
    """How turbulent the market is by its own past: 0 calmer than ever, 1 wilder than ever.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars per value, at least 2.
    history : int, default=252
        Earlier values that it is compared with, at least 2.

    Returns
    -------
    place : ndarray (T, A)
        Share of the ``history`` values before that lie below the root mean square of log returns over ``window`` bars,
        equal ones counted half; 0 to 1.

    Notes
    -----
    NaN: until window and history are full; a missing bar until it has left both. Nothing but the past is compared with.
    Source: Ang & Timmermann (2012), regimes of volatility, by trailing percentile rank.
    """
    return carried_after(view, window + history, partial(_turbulence, window=window, history=history), "close")


@feature(
    fields=("close", "volume"),
    warmup=lambda p: int(p["window"]) + int(p["history"]),
    unit="fraction",
    tags=("regime",),
)
def liquidity_regime(view: View, *, window: SeveralBars = 20, history: SeveralBars = 252) -> np.ndarray:
    """How much is traded by its own past: 0 less than ever, 1 more than ever.

    Parameters
    ----------
    view : View
        Uses ``close`` and ``volume`` (T, A).
    window : int, default=20
        Bars per value, at least 2.
    history : int, default=252
        Earlier values that it is compared with, at least 2.

    Returns
    -------
    place : ndarray (T, A)
        Share of the ``history`` values before that lie below ``mean(close volume)`` over ``window`` bars, equal ones
        counted half; 0 to 1.

    Notes
    -----
    NaN: until window and history are full; a missing bar until it has left both. Nothing but the past is compared with.
    Source: Watanabe & Watanabe (2008), liquidity regimes, by trailing percentile rank.
    """

    def compute(n_new: int, close: np.ndarray, volume: np.ndarray) -> np.ndarray:
        return trailing_place(trailing_mean(close * volume, window), history, first=len(close) - n_new)

    return carried_after(view, window + history - 1, compute, "close", "volume")


@feature(fields=("close",), warmup=_bars, unit="fraction", tags=("regime",))
def trend_regime(view: View, *, window: SeveralBars = 20, history: SeveralBars = 252) -> np.ndarray:
    """How strong the trend is by its own past: 0 weaker than ever, 1 stronger than ever, up or down.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars per value, at least 2.
    history : int, default=252
        Earlier values that it is compared with, at least 2.

    Returns
    -------
    place : ndarray (T, A)
        Share of the ``history`` values before that lie below ``|sum(r)| / sqrt(sum(r^2))`` of log returns over
        ``window`` bars, equal ones counted half; 0 to 1.

    Notes
    -----
    NaN: until window and history are full; a missing bar until it has left both. Nothing but the past is compared with.
    A window in which nothing moved.
    Source: Moskowitz, Ooi & Pedersen (2012), trends in units of volatility, by trailing percentile rank.
    """

    def compute(n_new: int, close: np.ndarray) -> np.ndarray:
        moves = log_moves(close)
        strength = np.abs(trailing_sum(moves, window)) / np.sqrt(trailing_sum(moves * moves, window))
        return trailing_place(strength, history, first=len(close) - n_new)

    return carried_after(view, window + history, compute, "close")


@feature(fields=("close",), warmup=_state_bars, unit="0 or 1", tags=("regime",), state=1)
def volatility_state(
    view: View, *, window: SeveralBars = 20, history: SeveralBars = 252, enter: Portion = 0.8, leave: Portion = 0.6
) -> np.ndarray:
    """Whether the market is turbulent: 1 from when its volatility enters the top of its past until it has left.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars per value, at least 2.
    history : int, default=252
        Earlier values that it is compared with, at least 2.
    enter : float, default=0.8
        Place in its past at which turbulence begins.
    leave : float, default=0.6
        Place at which it ends, less than ``enter``.

    Returns
    -------
    state : ndarray (T, A)
        1 once `volatility_regime` reaches ``enter``, 0 once it falls to ``leave``, else as before; 0 at first.

    Notes
    -----
    NaN: until window and history are full; a missing bar until it has left both. Nothing but the past is compared with.
    The state holds still over a missing bar.
    Source: Hamilton (1989), regimes that persist; a rule with hysteresis in place of his hidden chain.
    """
    state = view.state

    def compute(n_new: int, close: np.ndarray) -> np.ndarray:
        place = _turbulence(n_new, close, window=window, history=history)
        out = np.empty(place.shape)
        held = np.where(np.isnan(state[0]), 0.0, state[0])
        for t, now in enumerate(place):
            held = np.where(now >= enter, 1.0, np.where(now <= leave, 0.0, held))
            out[t] = np.where(np.isnan(now), np.nan, held)
        state[0] = held
        return out

    return carried_after(view, window + history, compute, "close")


def _turbulence(n_new: int, close: np.ndarray, *, window: int, history: int) -> np.ndarray:
    moves = log_moves(close)
    return trailing_place(np.sqrt(trailing_mean(moves * moves, window)), history, first=len(close) - n_new)
