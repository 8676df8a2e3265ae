"""The book with the best trade-off of forecast mean and past covariance.

Source: Markowitz (1952); covariances are shrunk as in Ledoit and Wolf (2004), because the best book of a sample
covariance is the one whose risk the sample understates most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from mnpu.policies._bounded import best_book
from mnpu.policies._covariance import Shrink, past_covariances
from mnpu.policies._moments import mean_and_variance
from mnpu.policies._ranks import mean_of_last
from mnpu.policies.base import require_symbols, rows_agree
from mnpu.types import Forecast, PolicyContext, Positions

__all__ = ["MeanVariance"]

JITTER = 1e-10  #: Share of the mean variance that is added to each, so that twins have a best book too.


class MeanVariance:
    """Hold the book that maximises forecast return less risk, within its bounds.

    ``max mean w - risk_aversion / 2 * w C w`` with ``sum |w| <= gross`` and ``|w| <= per_symbol``. The mean is that
    of the first horizon's forecast distribution, per bar; C is the covariance of the last ``window`` returns, shrunk.
    Where no bound holds it is ``C^-1 mean / risk_aversion``; where one does, the exact best book within the bounds, in
    which only the best few symbols are held, not the unbounded book scaled down.

    Parameters
    ----------
    gross : float, default=1.0
        Most that absolute weights sum to. What is not used is cash.
    risk_aversion : float, default=5.0
        1 is the growth-optimal book, 2 half of it. Large values use the gross up only for strong forecasts.
    per_symbol : float, default=0.25
        Largest absolute weight.
    long_only : bool, default=False
        No weight is negative.
    window : int, default=252
        Bars of the covariance.
    shrink : {"constant_correlation", "identity"}, default="constant_correlation"
        What the covariance is drawn to: one correlation for all pairs, or the same variance for all and no covariance.
    hold : int, default=1
        Bars that each book is held for: the book is the mean of the last ``hold`` target books.

    Notes
    -----
    The forecast must be of returns. NaN: a symbol without a forecast, not tradable, or with fewer than four fifths of
    the window's returns has weight zero; the first ``window - 1`` rows are flat.
    """

    uses_forecast: ClassVar[bool] = True
    reads_returns: ClassVar[bool] = True
    min_symbols: ClassVar[int] = 1

    def __init__(
        self,
        gross: Annotated[float, Field(gt=0)] = 1.0,
        risk_aversion: Annotated[float, Field(gt=0)] = 5.0,
        per_symbol: Annotated[float, Field(gt=0)] = 0.25,
        long_only: bool = False,
        window: Annotated[int, Field(ge=2)] = 252,
        shrink: Shrink = "constant_correlation",
        hold: Annotated[int, Field(ge=1)] = 1,
    ) -> None:
        self.gross, self.risk_aversion, self.per_symbol, self.long_only = gross, risk_aversion, per_symbol, long_only
        self.window, self.shrink, self.hold, self.lookback = window, shrink, hold, window + hold - 1

    def check(self, symbols: Sequence[str]) -> None:
        """Refuse an empty universe."""
        require_symbols("mean_variance", symbols, self.min_symbols)

    def __call__(self, forecast: Forecast, context: PolicyContext) -> Positions:
        """The wanted book of every row, (T, A)."""
        rows_agree(forecast, context)
        usable = forecast.available & context.tradable
        mean = mean_and_variance(forecast)[0] / forecast.horizons[0]  # of one bar, as the covariance
        books, formed = np.zeros(usable.shape), np.zeros(len(usable), dtype=bool)
        for row, columns, cov in past_covariances(context.returns, usable, window=self.window, shrink=self.shrink):
            books[row, columns] = self._best(mean[row, columns], cov)
            formed[row] = True
        weights = mean_of_last(books, formed, usable, hold=self.hold)
        return Positions(context.times, context.symbols, weights, np.ones(len(weights), dtype=bool))

    def _best(self, mean: np.ndarray, cov: np.ndarray) -> np.ndarray:
        risk = self.risk_aversion * cov
        risk.flat[:: len(risk) + 1] += JITTER * np.trace(risk) / len(risk)
        return best_book(mean, risk, gross=self.gross, cap=self.per_symbol, long_only=self.long_only)
