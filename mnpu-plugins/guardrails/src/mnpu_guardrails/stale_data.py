"""No new risk on prices that are old."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from array_api_compat import array_namespace
from pydantic import Field

from mnpu.types import Book
from mnpu_guardrails.rule import Action, Rule, action_code, increases, reduced

__all__ = ["StaleData"]


class StaleData(Rule):
    """Let no position grow whose last price is too old.

    Parameters
    ----------
    bars : int, default=0
        Oldest last price on which a position may grow, in bars; 0 asks for one in the bar of the decision.
    action : {"scale", "de-risk", "warn"}
        ``de-risk`` lets nothing at all grow while a stale position would.

    Notes
    -----
    Projection: a stale weight is clipped to between the drifted one and zero, which is nearest in every norm; selling
    is always allowed. A symbol that never had a price is stale. Measure: how far each stale weight grows, limit 0.
    Code: ``DATA_STALE``, one for each symbol.
    """

    name = "stale_data"
    codes = ("DATA_STALE",)
    needs = ("age",)
    _by_symbol = True

    def __init__(self, bars: Annotated[int, Field(ge=0, le=100_000)] = 0, action: Action = "scale") -> None:
        super().__init__(action)
        self.bars = bars
        self.lookback = bars + 2

    def measure(self, weights: Any, book: Book) -> Any:
        """How far each stale weight grows, (..., A)."""
        xp = array_namespace(weights)
        grown = increases(xp, weights, book)
        return xp.where(self._stale(book), grown, xp.zeros_like(grown))

    def limits(self, like: Any, book: Book) -> Any:
        """Nothing may grow, (..., A)."""
        return array_namespace(like).zeros_like(like)

    def project(self, weights: Any, book: Book) -> Any:
        """Stale weights clipped."""
        xp = array_namespace(weights)
        return xp.where(self._stale(book) & book.tradable, reduced(xp, weights, book), weights)

    def _stale(self, book: Book) -> Any:
        return ~(book.age <= self.bars)  # NaN is stale

    def kernel_params(self, symbols: Sequence[str]) -> list[float]:
        """As the kernel takes them."""
        return [action_code(self.action), float(self.bars)]
