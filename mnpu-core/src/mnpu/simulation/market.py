"""What the simulation knows of the market: fill prices, and what a book earns between them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mnpu.errors import DataError
from mnpu.types import Positions

__all__ = ["Market", "in_numbers", "market_for"]


@dataclass(frozen=True)
class Market:
    """Prices over the decisions of one simulation.

    Attributes
    ----------
    prices : float64 (T, A)
        Price at which an order of decision t is filled, NaN where it cannot be.
    fill_times : DatetimeIndex (T,)
    returns : float64 (T, A)
        Change of price from fill t to fill t + 1, at the last known one: 0 while a symbol does not trade, then the
        whole gap; -1 where the share ended.
    marks : float64 (T, A)
        From the last fill before decision t to that decision: how far the book has drifted when it is decided.
    income : float64 (T, A)
        Cash paid between the two fills, as a fraction of the value at the first: dividends, and what a share became
        that ended. It does not stay in the symbol.
    gone : bool (T, A)
        Where the share ended at or before fill t.
    fillable : bool (T, A)
        Where an order can be sent and filled: tradable at the decision, with a fill price.
    tradable : bool (T, A)
    """

    prices: np.ndarray
    fill_times: pd.DatetimeIndex
    returns: np.ndarray
    marks: np.ndarray
    income: np.ndarray
    gone: np.ndarray
    fillable: np.ndarray
    tradable: np.ndarray


def in_numbers(positions: Positions) -> Positions:
    """The positions with weights in float64, as whoever writes ``[1, -1]`` means them.

    Raises
    ------
    DataError
        Weights that are no numbers.
    """
    weights = np.asarray(positions.weights)
    if weights.dtype == np.float64:
        return positions
    if weights.dtype.kind not in "biuf":
        raise DataError(f"weights of the type {weights.dtype}", where="simulation", expected="numbers, as float64")
    return replace(positions, weights=weights.astype(np.float64))


def market_for(
    positions: Positions,
    prices: np.ndarray,
    fill_times: pd.DatetimeIndex,
    *,
    tradable: np.ndarray | None = None,
    marks: np.ndarray | None = None,
    cash: np.ndarray | None = None,
    ended: np.ndarray | None = None,
) -> Market:
    """Check the arrays against the positions and derive the rest.

    Parameters
    ----------
    positions : Positions
        T decisions over A symbols.
    prices : float64 ndarray (T + 1, A)
        Fill price of each decision and, last, the price that values the final book. NaN where there is none.
    fill_times : DatetimeIndex (T,) or (T + 1,)
    tradable : bool ndarray (T, A), optional
        Default: everywhere that has a fill price.
    marks : float64 ndarray (T, A), optional
        Return from the last fill to the decision; NaN counts as 0. Default 0: a decision at the instant of that fill.
    cash : float64 ndarray (T + 1, A), optional
        Paid per share between the fill before and this one, in the unit of the prices. Default none.
    ended : bool ndarray (T + 1, A), optional
        Where the share ceased to exist between the fill before and this one; ``cash`` is what it became. Default
        nowhere.

    Raises
    ------
    DataError
        Shapes that disagree, a price that is not positive, or no symbol.
    """
    n_rows, n_assets = positions.weights.shape
    prices = np.asarray(prices, dtype=np.float64)
    _expect_shape("prices", prices.shape, (n_rows + 1, n_assets), "one row per decision and one more to value the last")
    if not n_assets:
        raise DataError("positions in no symbol", where="simulation", expected="one or more")
    lowest, highest = prices.min(), prices.max()  # NaN where one is; then what ignores it, which is slower
    whole = bool(np.isfinite(lowest + highest))
    if not whole:
        lowest, highest = np.fmin.reduce(prices, axis=None), np.fmax.reduce(prices, axis=None)
    if lowest <= 0 or highest == np.inf:
        t, i = np.argwhere((prices <= 0) | np.isinf(prices))[0]
        raise DataError(
            f"the fill price of {positions.symbols[i]} is {prices[t, i]} in row {t}",
            where="simulation",
            expected="a positive price, or NaN where there is none",
        )
    if len(fill_times) not in (n_rows, n_rows + 1):
        _expect_shape("fill_times", (len(fill_times),), (n_rows,), "one per decision")
    cash, ended = _payments(cash, ended, prices.shape)
    whole, paid = whole and not ended.any(), cash.any()
    gone = ended if whole else np.logical_or.accumulate(ended, axis=0)
    known = np.ones(prices.shape, dtype=bool) if whole else np.isfinite(prices) & ~gone
    value = prices if whole else _last_known(prices, known)
    returns = value[1:] / value[:-1]
    returns -= 1.0
    income = np.zeros_like(returns)
    if not whole or paid:
        worth = np.isfinite(value[:-1])
        returns[~worth], returns[ended[1:]] = 0.0, -1.0
        np.divide(cash[1:], value[:-1], out=income, where=worth & ~gone[:-1])
    tradable = known[:-1] if tradable is None else np.asarray(tradable, dtype=bool)
    _expect_shape("tradable", tradable.shape, (n_rows, n_assets), "one row per decision")
    marks = np.zeros((n_rows, n_assets)) if marks is None else np.nan_to_num(np.asarray(marks, dtype=np.float64))
    _expect_shape("marks", marks.shape, (n_rows, n_assets), "one row per decision")
    fillable = tradable & known[:-1]
    return Market(prices[:-1], fill_times[:n_rows], returns, marks, income, gone[:-1], fillable, tradable)


def _payments(
    cash: np.ndarray | None, ended: np.ndarray | None, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    cash = np.zeros(shape) if cash is None else np.asarray(cash, dtype=np.float64)
    ended = np.zeros(shape, dtype=bool) if ended is None else np.asarray(ended, dtype=bool)
    for name, values in (("cash", cash), ("ended", ended)):
        _expect_shape(name, values.shape, shape, "one row per decision and one more to value the last")
    if not np.isfinite(cash).all():
        raise DataError("cash that is not finite", where="simulation", expected="0 where nothing is paid")
    return cash, ended


def _last_known(prices: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The newest price up to each row: what a holder's account shows. NaN before the first."""
    newest = np.maximum.accumulate(np.where(known, np.arange(len(prices))[:, None], 0), axis=0)
    return np.take_along_axis(prices, newest, axis=0)


def _expect_shape(name: str, got: tuple[int, ...], expected: tuple[int, ...], meaning: str) -> None:
    if got != expected:
        raise DataError(f"{name} has the shape {got}", where="simulation", expected=f"{expected}, {meaning}")
