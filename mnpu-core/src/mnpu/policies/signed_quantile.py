"""Sign and size from one symbol's own forecast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from mnpu.policies._ranks import mean_of_last
from mnpu.policies.base import require_symbols, rows_agree
from mnpu.types import Forecast, PolicyContext, Positions

__all__ = ["SignedQuantile"]


class SignedQuantile:
    """Bet on the sign of the median, sized by the median over the width of the widest interval.

    ``w = gross / n * clip(median / width / full_size_at, -1, 1)`` with n the tradable symbols of the row. A
    mirrored forecast gives the mirrored book.

    Parameters
    ----------
    gross : float, default=1.0
        Sum of absolute weights when every symbol is at full size.
    full_size_at : float, default=0.05
        Median over width at which a position has full size. With a 90 % interval of a normal forecast, 0.05 is a
        median of one sixth of a standard deviation.
    hold : int, default=1
        Bars that each bet is held for: the book is the mean of the last ``hold`` target books.

    Notes
    -----
    NaN: a symbol without a forecast, or not tradable, has weight zero. An interval of width zero is full conviction.
    """

    uses_forecast: ClassVar[bool] = True
    long_only: ClassVar[bool] = False
    min_symbols: ClassVar[int] = 1

    def __init__(
        self,
        gross: Annotated[float, Field(gt=0)] = 1.0,
        full_size_at: Annotated[float, Field(gt=0)] = 0.05,
        hold: Annotated[int, Field(ge=1)] = 1,
    ) -> None:
        self.gross, self.full_size_at, self.hold = gross, full_size_at, hold
        self.lookback = hold

    def check(self, symbols: Sequence[str]) -> None:
        """Refuse an empty universe."""
        require_symbols("signed_quantile", symbols, self.min_symbols)

    def __call__(self, forecast: Forecast, context: PolicyContext) -> Positions:
        """The wanted book of every row, (T, A)."""
        rows_agree(forecast, context)
        usable = forecast.available & context.tradable
        median, width = forecast.median(), forecast.width() * self.full_size_at
        median = np.where(usable, median, 0.0)
        # A width of zero is full conviction in the median's sign, and none at a median of zero.
        ratio = np.divide(median, width, out=np.sign(median), where=usable & (width > 0))
        count = np.maximum(usable.sum(axis=1, keepdims=True), 1)
        books = self.gross / count * np.clip(ratio, -1.0, 1.0)
        weights = mean_of_last(books, usable.any(axis=1), usable, hold=self.hold)
        return Positions(context.times, context.symbols, weights, np.ones(len(weights), dtype=bool))
