"""A symbol among the others, and against the market, from the cells that were known at the row.

The others are those that could be chosen at t: they have a bar, and where the universe has dates they were known to
belong to it. Who joins later or has left has a value too, and changes nobody else's. What a symbol's value is depends
on the symbols that are loaded.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from mnpu.features.against_market import (
    beta,
    idiosyncratic_volatility,
    market_correlation,
    market_return,
    residual_momentum,
    residual_return,
)
from mnpu.features.api import View, feature
from mnpu.features.arrays import log_returns, over
from mnpu.features.parameters import Bars, SeveralBars, window_and
from mnpu.features.trailing import delayed, trailing_mean

__all__ = [
    "beta",
    "breadth",
    "dispersion",
    "idiosyncratic_volatility",
    "market_correlation",
    "market_return",
    "neutral",
    "rank",
    "residual_momentum",
    "residual_return",
    "turnover_rank",
    "zscore",
]

Measure = Literal["return", "volatility"]


@feature(fields=("close",), warmup=window_and(1), unit="fraction", tags=("cross-section",))
def rank(view: View, *, window: SeveralBars = 20, of: Measure = "return") -> np.ndarray:
    """Place of a symbol among all that could be chosen, 0 for the lowest and 1 for the highest.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars per value, at least 2.
    of : {"return", "volatility"}, default="return"
        What is compared: the simple return over the window, or the root mean square of its log returns.

    Returns
    -------
    value : ndarray (T, A)
        ``(rank - 1) / (n - 1)`` of the measure, ties averaged; 0 to 1.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window. Compared with who could be chosen at t.
    Nobody to compare with.
    Source: Grinold & Kahn (1999), ranks as scores.
    """
    return ranks(_measure(view, window, of), view.decidable)


@feature(fields=("close",), warmup=window_and(1), unit="standard deviations", tags=("cross-section",))
def zscore(view: View, *, window: SeveralBars = 20, of: Measure = "return") -> np.ndarray:
    """Distance of a symbol from the mean of all that could be chosen, in their standard deviations.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars per value, at least 2.
    of : {"return", "volatility"}, default="return"
        What is compared: the simple return over the window, or the root mean square of its log returns.

    Returns
    -------
    value : ndarray (T, A)
        ``(x - mean(x)) / std(x, ddof=1)`` across symbols.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window. Compared with who could be chosen at t.
    Fewer than two of them, and all alike.
    Source: Grinold & Kahn (1999), standardised scores.
    """
    gap, squares, n = _centred(_measure(view, window, of), view.decidable)
    return over(gap, np.sqrt(over(squares, np.maximum(n - 1, 0.0))))


@feature(fields=("close",), warmup=window_and(1), unit="fraction", tags=("cross-section",))
def neutral(
    view: View, *, window: SeveralBars = 20, of: Measure = "return", groups: dict[str, str] | None = None
) -> np.ndarray:
    """Distance of a symbol from the mean of its group.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars per value, at least 2.
    of : {"return", "volatility"}, default="return"
        What is compared: the simple return over the window, or the root mean square of its log returns.
    groups : mapping of symbol to group, optional
        Such as sectors: ``{AAPL: technology, XOM: energy}``. By default all symbols are one group.

    Returns
    -------
    value : ndarray (T, A)
        ``x - mean(x)`` over those of its group that could be chosen; of the return a fraction, of the volatility a
        fraction per bar.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window. Compared with who could be chosen at t.
    A symbol in no group.
    Source: Asness, Porter & Stevens (2000), within-industry measures.
    """
    values, others = _measure(view, window, of), view.decidable
    if groups is None:
        return _centred(values, others)[0]
    out = np.full(values.shape, np.nan)
    for group in sorted({groups[symbol] for symbol in view.symbols if symbol in groups}):
        columns = [a for a, symbol in enumerate(view.symbols) if groups.get(symbol) == group]
        out[:, columns] = _centred(values[:, columns], others[:, columns])[0]
    return out


@feature(fields=("close", "volume"), scale_free=False, warmup=window_and(0), unit="fraction", tags=("cross-section",))
def turnover_rank(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Place of a symbol's traded currency among all that could be chosen, 0 to 1.

    Parameters
    ----------
    view : View
        Uses ``close`` and ``volume`` (T, A).
    window : int, default=20
        Bars per value, at least 2.

    Returns
    -------
    value : ndarray (T, A)
        ``(rank - 1) / (n - 1)`` of ``mean(close volume)``, ties averaged. Prices of one currency are assumed.

    Notes
    -----
    NaN: the first ``window - 1`` rows; a missing bar until it leaves the window. Compared with who could be
    chosen at t. Nobody to compare with. Not scale-free: a symbol's adjusted prices change its place among the others.
    Source: Brennan, Chordia & Subrahmanyam (1998), dollar volume.
    """
    traded = trailing_mean(view["close"] * view["volume"], window)
    return ranks(np.where(view.tradable, traded, np.nan), view.decidable)


@feature(fields=("close",), warmup=window_and(1), unit="fraction", scope="market", tags=("cross-section", "market"))
def dispersion(view: View, *, window: Bars = 20) -> np.ndarray:
    """Standard deviation across symbols of their returns over the window.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=20
        Bars that each return spans.

    Returns
    -------
    dispersion : ndarray (T,)
        ``std(close / close[t - window] - 1, ddof=1)`` across symbols; a fraction.

    Notes
    -----
    NaN: the first ``window`` rows, and fewer than two that could be chosen.
    Source: Connolly & Stivers (2003), return dispersion.
    """
    _, squares, n = _centred(_measure(view, window, "return"), view.decidable)
    return np.sqrt(over(squares, np.maximum(n - 1, 0.0)))[:, 0]


@feature(fields=("close",), warmup=window_and(0), unit="fraction", scope="market", tags=("cross-section", "market"))
def breadth(view: View, *, window: SeveralBars = 50) -> np.ndarray:
    """Share of symbols whose close is above its own mean over the window.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=50
        Bars of each mean, at least 2.

    Returns
    -------
    share : ndarray (T,)
        ``mean(close > mean(close, window))`` across symbols; 0 to 1.

    Notes
    -----
    NaN: the first ``window - 1`` rows, and where no symbol has a full window. A missing bar takes its symbol out until
    it leaves the window.
    Source: Zweig (1986), breadth of the market.
    """
    gap = np.where(view.decidable, view["close"] - trailing_mean(view["close"], window), np.nan)
    counted = np.isfinite(gap).sum(axis=1)
    return over((gap > 0).sum(axis=1).astype(float), counted.astype(float))


def ranks(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Place of each finite cell (T, A) among the other finite cells of its row that count, ties averaged, 0 to 1.

    ``others`` (T, A) says which cells count: a cell that does not is placed among those that do.
    """
    order = np.argsort(values, axis=1)  # NaN last
    ordered = np.take_along_axis(values, order, axis=1)
    place = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    new = np.ones(values.shape, bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    begin = np.maximum.accumulate(np.where(new, place, 0), axis=1)
    last = np.ones(values.shape, bool)
    last[:, :-1] = new[:, 1:]
    end = np.minimum.accumulate(np.where(last, place, values.shape[1])[:, ::-1], axis=1)[:, ::-1]
    counts = np.isfinite(values) & others
    own = np.take_along_axis(counts, order, axis=1).astype(np.int64)
    through = np.cumsum(own, axis=1)  # cells that count, up to and including each
    lower = np.take_along_axis(through - own, begin, axis=1)
    equal = np.take_along_axis(through, end, axis=1) - lower - own
    out = np.empty(values.shape)
    np.put_along_axis(out, order, lower + equal / 2, axis=1)
    n = counts.sum(axis=1, keepdims=True) - counts
    return np.where(np.isfinite(values), over(out, n.astype(float)), np.nan)


def _measure(view: View, window: int, of: Measure) -> np.ndarray:
    """What is compared, (T, A), NaN where the symbol has no bar."""
    if of == "return":
        values = over(view["close"], delayed(view["close"], window)) - 1
    else:
        moves = view.once(log_returns)
        values = np.sqrt(trailing_mean(moves * moves, window))
    return np.where(view.tradable, values, np.nan)


def _centred(values: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance from the row's mean, sum of its squares (T, 1), and cells (T, 1), from the finite ones of ``others``."""
    there = np.isfinite(values) & others
    n = there.sum(axis=1, keepdims=True).astype(float)
    gap = values - over(np.where(there, values, 0.0).sum(axis=1, keepdims=True), n)
    return gap, np.where(there, gap * gap, 0.0).sum(axis=1, keepdims=True), n
