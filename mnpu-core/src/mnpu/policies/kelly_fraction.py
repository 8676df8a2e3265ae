"""A fraction of the bet under which wealth grows fastest.

Sources: Kelly (1956); MacLean, Thorp and Ziemba (2010) on fractions of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from mnpu.policies._moments import mean_and_variance
from mnpu.policies._ranks import mean_of_last
from mnpu.policies.base import require_symbols, rows_agree, within_limits
from mnpu.types import Forecast, PolicyContext, Positions

__all__ = ["KellyFraction"]


class KellyFraction:
    """Bet a fraction of what makes wealth grow fastest, by each symbol's own forecast distribution.

    ``w = fraction * mean / (variance + mean^2)``: the maximum of the growth rate ``E log(1 + w r)`` to second order in
    ``w r``, exact for an even bet. Mean and variance come from the quantiles of the first horizon; the ratio hardly
    depends on how long a bar is. Then every weight is cut at ``per_symbol``, and a row whose absolute weights sum to
    more than ``gross`` is scaled down to it. Correlations are not looked at: a row of symbols that move together bets
    the same thing several times, which ``gross`` bounds. `mean_variance` knows them.

    Parameters
    ----------
    gross : float, default=1.0
        Most that absolute weights sum to.
    fraction : float, default=0.5
        Share of the full bet, at most 1: beyond, growth falls and risk still rises. Half of it gives up a quarter of
        the growth for half of the volatility, and forgives an error in the mean.
    per_symbol : float, default=0.25
        Largest absolute weight.
    long_only : bool, default=False
        Negative bets are not made.
    hold : int, default=1
        Bars that each bet is held for: the book is the mean of the last ``hold`` target books.

    Notes
    -----
    The forecast must be of returns. NaN: a symbol without a forecast, or not tradable, has weight zero. A forecast
    that is one number is a sure thing, and gets ``fraction / mean``, cut at ``per_symbol``.
    """

    uses_forecast: ClassVar[bool] = True
    reads_returns: ClassVar[bool] = True
    min_symbols: ClassVar[int] = 1

    def __init__(
        self,
        gross: Annotated[float, Field(gt=0)] = 1.0,
        fraction: Annotated[float, Field(gt=0, le=1)] = 0.5,
        per_symbol: Annotated[float, Field(gt=0)] = 0.25,
        long_only: bool = False,
        hold: Annotated[int, Field(ge=1)] = 1,
    ) -> None:
        self.gross, self.fraction, self.per_symbol = gross, fraction, per_symbol
        self.long_only, self.hold, self.lookback = long_only, hold, hold

    def check(self, symbols: Sequence[str]) -> None:
        """Refuse an empty universe."""
        require_symbols("kelly_fraction", symbols, self.min_symbols)

    def __call__(self, forecast: Forecast, context: PolicyContext) -> Positions:
        """The wanted book of every row, (T, A)."""
        rows_agree(forecast, context)
        usable = forecast.available & context.tradable
        mean, variance = mean_and_variance(forecast)
        mean = np.where(usable, mean, 0.0)
        squares = np.where(usable, variance + np.square(mean), 0.0)
        full = np.divide(mean, squares, out=np.zeros_like(mean), where=squares > 0)
        if self.long_only:
            full = np.maximum(full, 0.0)
        books = within_limits(self.fraction * full, per_symbol=self.per_symbol, gross=self.gross)
        weights = mean_of_last(books, usable.any(axis=1), usable, hold=self.hold)
        return Positions(context.times, context.symbols, weights, np.ones(len(weights), dtype=bool))
