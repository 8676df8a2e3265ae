"""A symbol beside another one that is named: who leads, how far apart they are, how alike they move.

An index, a currency or a commodity that is among the symbols of the pipeline can be the other one.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from mnpu.features.api import View, feature
from mnpu.features.arrays import column_of, log_of, log_returns, over
from mnpu.features.parameters import Bars, SeveralBars, window_and
from mnpu.features.trailing import delayed, trailing_comoments, trailing_moments


@feature(
    fields=("close",),
    warmup=lambda p: int(p["window"]) + int(p["lag"]) + 1,
    unit="fraction",
    scope="market",
    tags=("cross-asset",),
)
def lead_lag_return(
    view: View, *, symbol: str = "", window: Bars = 1, lag: Annotated[int, Field(ge=0, le=100_000)] = 0
) -> np.ndarray:
    """Log return of another symbol, some bars ago, for all symbols alike.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    symbol : str, optional
        The other symbol, one of the panel; by default the panel's first.
    window : int, default=1
        Bars between the two closes.
    lag : int, default=0
        Bars since the later one.

    Returns
    -------
    returns : ndarray (T,)
        ``ln(s[t - lag] / s[t - lag - window])``, s the close of ``symbol``; a fraction.

    Notes
    -----
    NaN: the first ``window + lag`` rows, and where either close is missing.
    Source: Lo & MacKinlay (1990), lead-lag relations.
    """
    closes = view.once(log_of, "close")[:, column_of(view, symbol, "cross_asset.lead_lag_return")]
    return delayed(closes, lag) - delayed(closes, lag + window)


@feature(fields=("close",), warmup=window_and(1), unit="fraction", tags=("cross-asset",))
def relative_return(view: View, *, symbol: str = "", window: Bars = 20) -> np.ndarray:
    """Log return over the window less that of another symbol.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    symbol : str, optional
        The other symbol, one of the panel; by default the panel's first.
    window : int, default=20
        Bars between the two closes.

    Returns
    -------
    returns : ndarray (T, A)
        ``ln(close / close[t - window]) - ln(s / s[t - window])``, s the close of ``symbol``; a fraction.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar of either symbol at either end.
    Source: Levy (1967), relative strength.
    """
    closes = view.once(log_of, "close")
    spread = closes - closes[:, column_of(view, symbol, "cross_asset.relative_return"), None]
    return spread - delayed(spread, window)


@feature(fields=("close",), warmup=window_and(0), unit="standard deviations", tags=("cross-asset",))
def spread_zscore(view: View, *, symbol: str = "", window: SeveralBars = 60) -> np.ndarray:
    """Distance of the log price ratio to another symbol from its mean, in standard deviations.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    symbol : str, optional
        The other symbol, one of the panel; by default the panel's first.
    window : int, default=60
        Bars of mean and standard deviation, at least 2.

    Returns
    -------
    score : ndarray (T, A)
        ``(y - mean(y)) / std(y, ddof=1)``, y = ``ln(close / s)``, s the close of ``symbol``.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar of either symbol until it leaves the window; a ratio that did not
    move, such as a symbol's own.
    Source: Gatev, Goetzmann & Rouwenhorst (2006), pairs trading, with a ratio in place of normalised prices.
    """
    closes = view.once(log_of, "close")
    spread = closes - closes[:, column_of(view, symbol, "cross_asset.spread_zscore"), None]
    mean, squares = trailing_moments(spread, window)
    return over(spread - mean, np.sqrt(squares / (window - 1)))


@feature(fields=("close",), warmup=window_and(1), unit="correlation", tags=("cross-asset",))
def correlation(view: View, *, symbol: str = "", window: SeveralBars = 60) -> np.ndarray:
    """Correlation of log returns with those of another symbol over the window.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    symbol : str, optional
        The other symbol, one of the panel; by default the panel's first.
    window : int, default=60
        Returns per estimate, at least 2.

    Returns
    -------
    value : ndarray (T, A)
        Pearson correlation of the log returns of both over ``window`` bars.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar of either symbol until it leaves the window. A window in which either
    did not move.
    Source: Pearson's correlation.
    """
    moves = view.once(log_returns)
    others = np.broadcast_to(moves[:, column_of(view, symbol, "cross_asset.correlation"), None], moves.shape)
    _, _, square, square_other, product = trailing_comoments(moves, others, window)
    return over(product, np.sqrt(square * square_other))


@feature(fields=("close",), warmup=window_and(1), unit="ratio", tags=("cross-asset",))
def beta_to(view: View, *, symbol: str = "", window: SeveralBars = 60) -> np.ndarray:
    """Sensitivity of log returns to those of another symbol over the window.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    symbol : str, optional
        The other symbol, one of the panel; by default the panel's first.
    window : int, default=60
        Returns per estimate, at least 2.

    Returns
    -------
    value : ndarray (T, A)
        ``cov(r, q) / var(q)`` of log returns, q those of ``symbol``.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar of either symbol until it leaves the window. A window in which the
    other did not move.
    Source: Sharpe (1964), with another symbol in place of the market.
    """
    moves = view.once(log_returns)
    others = np.broadcast_to(moves[:, column_of(view, symbol, "cross_asset.beta_to"), None], moves.shape)
    _, _, _, square_other, product = trailing_comoments(moves, others, window)
    return over(product, square_other)
