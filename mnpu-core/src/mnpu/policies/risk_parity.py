"""A book in which every symbol brings the same risk.

Source: Spinu (2013), whose strictly convex problem has the book as its one solution; solved by coordinates as in
Griveau-Billion, Richard and Roncalli (2013).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from mnpu.data.compiled import compiled
from mnpu.errors import DataError
from mnpu.policies import _parity_loops as loops
from mnpu.policies._covariance import Shrink, past_covariances
from mnpu.policies._ranks import mean_of_last
from mnpu.policies.base import require_symbols
from mnpu.types import Forecast, PolicyContext, Positions

__all__ = ["RiskParity", "equal_risk_book"]

TOLERANCE, MOST = 1e-11, 2000  #: Largest relative error of a share of risk, and rounds over all symbols.
ACCEPTED = 1e-8  #: Error of a share of risk beyond which there is no book.
APART = 1e-6  #: Share of its variance that a symbol is given of its own where the covariance has no inverse.


def equal_risk_book(cov: np.ndarray) -> np.ndarray:
    """Positive weights that sum to 1 with equal ``w_i (C w)_i``.

    Parameters
    ----------
    cov : float64 ndarray (A, A)
        Positive definite.

    Returns
    -------
    weights : float64 ndarray (A,)

    Raises
    ------
    DataError
        If shares of risk cannot be made equal, which means that ``cov`` is not positive definite.
    """
    deviation = np.sqrt(np.diag(cov))
    correlation = np.ascontiguousarray(cov / deviation / deviation[:, None])  # the same shares, better scaled
    budget = np.full(len(cov), 1.0 / len(cov))
    x = np.full(len(cov), 1.0 / np.sqrt(correlation.sum()) if correlation.sum() > 0 else 1.0)
    compiled(loops.descend)(correlation, budget, MOST, TOLERANCE, x)
    worst = float(np.abs(x * (correlation @ x) / budget - 1.0).max())
    if not worst < ACCEPTED:  # NaN is no book either
        raise DataError(
            f"shares of risk of {len(cov)} symbols differ by {worst:.1e}",
            where="policy",
            expected="a positive definite covariance",
        )
    weights = x / deviation
    return np.asarray(weights / weights.sum())


def _book_of(cov: np.ndarray) -> np.ndarray:
    """As `equal_risk_book`; what moves exactly against each other is taken to move a little apart."""
    try:
        return equal_risk_book(cov)
    except DataError:
        return equal_risk_book(cov + np.diag(APART * np.diag(cov)))


class RiskParity:
    """Hold every tradable symbol so that each brings the same share of the book's risk, long only.

    Risk is that of the covariance of the last ``window`` returns, shrunk. With equal correlations, weights are
    inverse to volatility.

    Parameters
    ----------
    gross : float, default=1.0
        Sum of weights.
    window : int, default=252
        Bars of the covariance.
    shrink : {"constant_correlation", "identity"}, default="constant_correlation"
        What the covariance is drawn to: one correlation for all pairs, or the same variance for all and no covariance.
    hold : int, default=1
        Bars that each book is held for: the book is the mean of the last ``hold`` target books.

    Notes
    -----
    The forecast is ignored. NaN: a symbol that is not tradable, or with fewer than four fifths of the window's returns,
    has weight zero; the first ``window - 1`` rows are flat.
    """

    uses_forecast: ClassVar[bool] = False
    long_only: ClassVar[bool] = True
    min_symbols: ClassVar[int] = 1

    def __init__(
        self,
        gross: Annotated[float, Field(gt=0)] = 1.0,
        window: Annotated[int, Field(ge=2)] = 252,
        shrink: Shrink = "constant_correlation",
        hold: Annotated[int, Field(ge=1)] = 1,
    ) -> None:
        self.gross, self.window, self.shrink, self.hold = gross, window, shrink, hold
        self.lookback = window + hold - 1

    def check(self, symbols: Sequence[str]) -> None:
        """Refuse an empty universe."""
        require_symbols("risk_parity", symbols, self.min_symbols)

    def __call__(self, forecast: Forecast, context: PolicyContext) -> Positions:
        """The wanted book of every row, (T, A)."""
        books, formed = np.zeros(context.tradable.shape), np.zeros(len(context.times), dtype=bool)
        known = past_covariances(context.returns, context.tradable, window=self.window, shrink=self.shrink)
        for row, columns, cov in known:
            books[row, columns] = self.gross * _book_of(cov)
            formed[row] = True
        weights = mean_of_last(books, formed, context.tradable, hold=self.hold)
        return Positions(context.times, context.symbols, weights, np.ones(len(weights), dtype=bool))
