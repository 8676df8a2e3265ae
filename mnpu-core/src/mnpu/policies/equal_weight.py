"""The same weight for every symbol, restored at each bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from mnpu.policies.base import require_symbols
from mnpu.types import Forecast, PolicyContext, Positions

__all__ = ["EqualWeight", "equal_book"]


def equal_book(tradable: np.ndarray, *, gross: float) -> np.ndarray:
    """``gross`` divided equally among the tradable symbols of each row, float64 (T, A)."""
    count = np.maximum(tradable.sum(axis=1, keepdims=True), 1)
    return np.where(tradable, gross / count, 0.0)


class EqualWeight:
    """Hold every tradable symbol at the same weight, rebalanced at each bar.

    Parameters
    ----------
    gross : float, default=1.0
        Sum of weights.

    Notes
    -----
    The forecast is ignored. NaN: a symbol that is not tradable has weight zero.
    """

    uses_forecast: ClassVar[bool] = False
    long_only: ClassVar[bool] = True
    min_symbols: ClassVar[int] = 1
    lookback: ClassVar[int] = 1

    def __init__(self, gross: Annotated[float, Field(gt=0)] = 1.0) -> None:
        self.gross = gross

    def check(self, symbols: Sequence[str]) -> None:
        """Refuse an empty universe."""
        require_symbols("equal_weight", symbols, self.min_symbols)

    def __call__(self, forecast: Forecast, context: PolicyContext) -> Positions:
        """The wanted book of every row, (T, A)."""
        weights = equal_book(context.tradable, gross=self.gross)
        return Positions(context.times, context.symbols, weights, np.ones(len(weights), dtype=bool))
