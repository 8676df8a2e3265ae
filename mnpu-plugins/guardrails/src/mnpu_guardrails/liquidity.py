"""How long it takes to sell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from array_api_compat import array_namespace
from pydantic import Field

from mnpu.types import Book
from mnpu_guardrails.rule import NO_LIMIT, Action, Rule, action_code, as_column, reduced

__all__ = ["Liquidity"]


class Liquidity(Rule):
    """Cap each position at what can be sold within some days.

    Parameters
    ----------
    capital : float, default=1000000.0
        Size of the account at its start, in the currency of the prices.
    days : float, default=1.0
        Longest time to liquidate a position.
    participation : float, default=0.1
        Share of a day's traded value that one may be.
    action : {"scale", "de-risk", "warn"}

    Notes
    -----
    Largest weight of a symbol: ``days * participation * traded value of a day / (capital * equity)``. Projection: each
    weight is clipped. A position of unknown volume may not grow. Codes: ``LIQUIDITY_DAYS`` and
    ``LIQUIDITY_VOLUME_UNKNOWN``, limit and value as weights.
    """

    name = "liquidity"
    codes = ("LIQUIDITY_DAYS",)
    needs = ("volume",)
    _by_symbol = True

    def __init__(
        self,
        capital: Annotated[float, Field(gt=0)] = 1_000_000.0,
        days: Annotated[float, Field(gt=0)] = 1.0,
        participation: Annotated[float, Field(gt=0, le=1)] = 0.1,
        action: Action = "scale",
    ) -> None:
        super().__init__(action)
        self.capital, self.days, self.participation = capital, days, participation

    def _code(self, i: int, book: Book) -> str:
        unknown = book.volume is not None and np.isnan(book.volume[i])
        return "LIQUIDITY_VOLUME_UNKNOWN" if unknown else self.codes[0]

    def measure(self, weights: Any, book: Book) -> Any:
        """Absolute weights, (..., A)."""
        return array_namespace(weights).abs(weights)

    def limits(self, like: Any, book: Book) -> Any:
        """Largest absolute weight of each symbol, (..., A)."""
        xp = array_namespace(like)
        size = xp.clip(as_column(xp, book.equity, like), min=1e-12) * self.capital
        most = xp.clip(book.volume * (self.days * self.participation) / size, min=0.0, max=NO_LIMIT)
        return xp.where(xp.isnan(most), xp.abs(reduced(xp, like, book)), most)

    def project(self, weights: Any, book: Book) -> Any:
        """Each weight clipped."""
        xp = array_namespace(weights)
        most = self.limits(weights, book)
        return xp.where(book.tradable, xp.minimum(xp.maximum(weights, -most), most), weights)

    def kernel_params(self, symbols: Sequence[str]) -> list[float]:
        """As the kernel takes them."""
        return [action_code(self.action), self.capital, self.days * self.participation]
