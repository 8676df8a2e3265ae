"""Buy every symbol once and let the book drift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from mnpu.policies.base import require_symbols
from mnpu.policies.equal_weight import equal_book
from mnpu.types import Forecast, PolicyContext, Positions

__all__ = ["BuyAndHold"]


class BuyAndHold:
    """Buy every tradable symbol at the same weight and hold; trade again only when the tradable set changes.

    Parameters
    ----------
    gross : float, default=1.0
        Sum of weights when bought.

    Notes
    -----
    The forecast is ignored. ``rebalance`` is False on all rows but the first and those whose tradable set differs
    from the row before. NaN: a symbol that is not tradable has weight zero.
    """

    uses_forecast: ClassVar[bool] = False
    long_only: ClassVar[bool] = True
    min_symbols: ClassVar[int] = 1
    lookback: ClassVar[int] = 2

    def __init__(self, gross: Annotated[float, Field(gt=0)] = 1.0) -> None:
        self.gross = gross

    def check(self, symbols: Sequence[str]) -> None:
        """Refuse an empty universe."""
        require_symbols("buy_and_hold", symbols, self.min_symbols)

    def __call__(self, forecast: Forecast, context: PolicyContext) -> Positions:
        """The book of every row, (T, A), wanted only where ``rebalance`` is True."""
        weights = equal_book(context.tradable, gross=self.gross)
        rebalance = np.ones(len(weights), dtype=bool)
        rebalance[1:] = (context.tradable[1:] != context.tradable[:-1]).any(axis=1)
        return Positions(context.times, context.symbols, weights, rebalance)
