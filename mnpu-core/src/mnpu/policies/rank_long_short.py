"""Cross-sectional ranking of forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from mnpu.policies._ranks import MIN_SYMBOLS, long_only_book, long_short_book, mean_of_last
from mnpu.policies.base import require_symbols, rows_agree
from mnpu.types import Forecast, PolicyContext, Positions

__all__ = ["RankLongShort"]


class RankLongShort:
    """Rank symbols by the median of their first horizon: long the best, short the worst.

    Long-short weights are linear in the rank and sum to zero. Long-only weights are proportional to the rank, so
    that the active bet against equal weights mirrors when the forecast does. Scores are compared after rounding to
    1e-6 and ties share their ranks, so a constant forecast is flat (long-only: equal weights).

    Parameters
    ----------
    gross : float, default=1.0
        Sum of absolute weights.
    long_only : bool, default=False
    hold : int, default=1
        Bars that each ranking is held for: the book is the mean of the last ``hold`` target books
        (Jegadeesh and Titman, 1993), which divides turnover by about as much.

    Notes
    -----
    NaN: a symbol without a forecast, or not tradable, has weight zero. A row with fewer than four others is flat.
    """

    uses_forecast: ClassVar[bool] = True
    min_symbols: ClassVar[int] = MIN_SYMBOLS

    def __init__(
        self,
        gross: Annotated[float, Field(gt=0)] = 1.0,
        long_only: bool = False,
        hold: Annotated[int, Field(ge=1)] = 1,
    ) -> None:
        self.gross, self.long_only, self.hold = gross, long_only, hold
        self.lookback = hold

    def check(self, symbols: Sequence[str]) -> None:
        """Refuse fewer than four symbols."""
        require_symbols("rank_long_short", symbols, self.min_symbols)

    def __call__(self, forecast: Forecast, context: PolicyContext) -> Positions:
        """The wanted book of every row, (T, A)."""
        rows_agree(forecast, context)
        self.check(context.symbols)
        usable = forecast.available & context.tradable
        form = long_only_book if self.long_only else long_short_book
        books = form(forecast.median(), usable, gross=self.gross)
        formed = usable.sum(axis=1) >= MIN_SYMBOLS
        weights = mean_of_last(books, formed, usable, hold=self.hold)
        return Positions(context.times, context.symbols, weights, np.ones(len(weights), dtype=bool))
