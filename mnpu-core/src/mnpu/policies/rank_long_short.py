"""Cross-sectional ranking of forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from mnpu.errors import ConfigError
from mnpu.policies._ranks import MIN_SYMBOLS, long_only_book, long_short_book, mean_of_last
from mnpu.policies.base import require_symbols, rows_agree
from mnpu.types import Forecast, PolicyContext, Positions

__all__ = ["RankLongShort"]


class RankLongShort:
    """Rank symbols by their first horizon's forecast: long the best, short the worst.

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
    by : {"median", "classes"}, default="median"
        What is ranked: the median, or the probability of the last class less that of the first (up less down), for
        targets that are classes, whose medians say little.

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
        by: Literal["median", "classes"] = "median",
    ) -> None:
        self.gross, self.long_only, self.hold, self.by = gross, long_only, hold, by
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
        books = form(self._scores(forecast), usable, gross=self.gross)
        formed = usable.sum(axis=1) >= MIN_SYMBOLS
        weights = mean_of_last(books, formed, usable, hold=self.hold)
        return Positions(context.times, context.symbols, weights, np.ones(len(weights), dtype=bool))

    def _scores(self, forecast: Forecast) -> np.ndarray:
        """What is ranked, (T, A)."""
        if self.by == "median":
            return forecast.median()
        if forecast.probabilities is None:
            raise ConfigError(
                "it is classes, and the forecast has no probabilities of any",
                where="policy.by",
                expected="a head that names classes, as dirichlet_quantile",
                next_step="Set model.head: {use: dirichlet_quantile}, or policy.by: median.",
            )
        classes = forecast.probabilities[:, :, 0]  # (T, A, C)
        return np.asarray(classes[..., -1] - classes[..., 0])
