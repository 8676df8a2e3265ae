"""A symbol against the market: the mean of all that could be chosen, or a symbol that is named.

Who could be chosen at t has a bar and, where the universe has dates, was known to belong to it.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from mnpu.features.api import View, feature
from mnpu.features.arrays import column_of, over, simple_returns
from mnpu.features.parameters import Bars, window_and
from mnpu.features.trailing import trailing_comoments, trailing_sum


@feature(fields=("close",), warmup=window_and(1), unit="ratio", tags=("cross-section", "market"))
def beta(view: View, *, window: Annotated[int, Field(ge=3, le=100_000)] = 60, market: str = "") -> np.ndarray:
    """Sensitivity of a symbol's returns to those of the market.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=60
        Returns per estimate, at least 3.
    market : str, optional
        Symbol that stands for the market; by default the mean return of all that could be chosen at t.

    Returns
    -------
    beta : ndarray (T, A)
        ``cov(r, m) / var(m)`` of simple returns over the window.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar, of the symbol or the market, until it leaves the window. A window in
    which the market did not move.
    Source: Sharpe (1964); by least squares.
    """
    _, _, _, square, product = _with_market(view, window, market)
    return over(product, square)


@feature(fields=("close",), warmup=window_and(1), unit="fraction", tags=("cross-section", "market"))
def residual_return(
    view: View, *, window: Annotated[int, Field(ge=3, le=100_000)] = 60, market: str = ""
) -> np.ndarray:
    """The bar's return less what the market explains.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=60
        Returns per estimate, at least 3.
    market : str, optional
        Symbol that stands for the market; by default the mean return of all that could be chosen at t.

    Returns
    -------
    returns : ndarray (T, A)
        ``r - beta m`` of simple returns, beta as in `beta`; a fraction.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar, of the symbol or the market, until it leaves the window. A window in
    which the market did not move.
    Source: Blitz, Huij & Martens (2011), residual returns with one factor.
    """
    _, _, _, square, product = _with_market(view, window, market)
    returns = view.once(simple_returns)
    return returns - over(product, square) * _market(view, market)[:, None]


@feature(fields=("close",), warmup=window_and(1), unit="fraction", tags=("cross-section", "market", "momentum"))
def residual_momentum(
    view: View, *, window: Annotated[int, Field(ge=3, le=100_000)] = 60, market: str = ""
) -> np.ndarray:
    """Return over the window that the market does not explain.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=60
        Returns per estimate, at least 3.
    market : str, optional
        Symbol that stands for the market; by default the mean return of all that could be chosen at t.

    Returns
    -------
    returns : ndarray (T, A)
        ``window (mean(r) - beta mean(m))`` of simple returns; a fraction.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar, of the symbol or the market, until it leaves the window. A window in
    which the market did not move.
    Source: Blitz, Huij & Martens (2011), with one factor.
    """
    mean, mean_market, _, square, product = _with_market(view, window, market)
    return window * (mean - over(product, square) * mean_market)


@feature(
    fields=("close",),
    warmup=window_and(1),
    unit="fraction per year",
    tags=("cross-section", "market", "volatility"),
)
def idiosyncratic_volatility(
    view: View, *, window: Annotated[int, Field(ge=3, le=100_000)] = 60, market: str = ""
) -> np.ndarray:
    """Annualised volatility of what the market does not explain.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=60
        Returns per estimate, at least 3.
    market : str, optional
        Symbol that stands for the market; by default the mean return of all that could be chosen at t.

    Returns
    -------
    volatility : ndarray (T, A)
        Root of ``(S_rr - S_rm^2 / S_mm) / (window - 2)`` times the root of the bars in a year; fraction per year.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar, of the symbol or the market, until it leaves the window. A window in
    which the market did not move.
    Source: Ang, Hodrick, Xing & Zhang (2006), with one factor.
    """
    _, _, own, square, product = _with_market(view, window, market)
    left = np.maximum(own - over(product * product, square), 0.0)
    return np.sqrt(left / (window - 2) * view.periods_per_year)


@feature(fields=("close",), warmup=window_and(1), unit="correlation", tags=("cross-section", "market"))
def market_correlation(
    view: View, *, window: Annotated[int, Field(ge=3, le=100_000)] = 60, market: str = ""
) -> np.ndarray:
    """Correlation of a symbol's returns with those of the market.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=60
        Returns per estimate, at least 3.
    market : str, optional
        Symbol that stands for the market; by default the mean return of all that could be chosen at t.

    Returns
    -------
    correlation : ndarray (T, A)
        ``cov(r, m) / sqrt(var(r) var(m))`` of simple returns.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar, of the symbol or the market, until it leaves the window. A window in
    which the market did not move. Or the symbol.
    Source: Pearson's correlation.
    """
    _, _, own, square, product = _with_market(view, window, market)
    return over(product, np.sqrt(own * square))


@feature(fields=("close",), warmup=window_and(1), unit="fraction", scope="market", tags=("cross-section", "market"))
def market_return(view: View, *, window: Bars = 20) -> np.ndarray:
    """Return over the window of all symbols that could be chosen, in equal parts anew at each bar.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars that it spans.

    Returns
    -------
    returns : ndarray (T,)
        ``prod(1 + mean(r)) - 1`` of simple returns; a fraction.

    Notes
    -----
    NaN: the first ``window`` rows; a bar at which no symbol has a return, until it leaves the window.
    Source: The definition.
    """
    return np.expm1(trailing_sum(np.log1p(_market(view, "")), window))


def _market(view: View, market: str) -> np.ndarray:
    """Simple return of the market from bar to bar, (T,)."""
    if market:
        return view.once(simple_returns)[:, column_of(view, market, "cross_section")]
    return view.once(_mean_return)


def _mean_return(view: View) -> np.ndarray:
    returns = np.where(view.decidable, view.once(simple_returns), np.nan)
    there = np.isfinite(returns)
    return over(np.where(there, returns, 0.0).sum(axis=1), there.sum(axis=1).astype(float))


def _with_market(view: View, window: int, market: str) -> tuple[np.ndarray, ...]:
    """Means of a symbol's and the market's returns, their squared deviations, and the product of both, (T, A) each."""
    return tuple(view.once(_pairs, window, market))


def _pairs(view: View, window: int, market: str) -> np.ndarray:
    returns = view.once(simple_returns)
    others = np.broadcast_to(_market(view, market)[:, None], returns.shape)
    return np.stack(trailing_comoments(returns, others, window))
