"""Leverage, and the margin that a broker asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from array_api_compat import array_namespace
from pydantic import Field

from mnpu.types import Book
from mnpu_guardrails.rule import (
    NO_LIMIT,
    Action,
    Rule,
    action_code,
    by_symbol,
    flat_of,
    gross_of,
    refuse_strangers,
    row_of,
    scaled_to,
)

__all__ = ["Leverage"]


class Leverage(Rule):
    """Cap gross exposure and the margin that it ties up.

    Parameters
    ----------
    leverage : float or None, default=2.0
        Largest sum of absolute weights; None for no limit.
    margin_use : float or None, default=1.0
        Largest share of equity that may be tied up as margin.
    margin : mapping of str to float, optional
        Margin rate of single symbols: 0.5 ties up half of a position's size.
    default_margin : float, default=0.0
        Margin rate of all other symbols.
    action : {"scale", "de-risk", "warn"}

    Notes
    -----
    Projection: all that trades is scaled by one factor, the largest that meets both limits. Of all books with the
    proposal's proportions it is the nearest in every norm. Codes: ``LEVERAGE_ABOVE_LIMIT``, ``LEVERAGE_MARGIN``.
    """

    path_dependent = False
    name = "leverage"
    codes = ("LEVERAGE_ABOVE_LIMIT", "LEVERAGE_MARGIN")

    def __init__(
        self,
        leverage: Annotated[float, Field(ge=0)] | None = 2.0,
        margin_use: Annotated[float, Field(ge=0)] | None = 1.0,
        margin: Mapping[str, Annotated[float, Field(ge=0)]] | None = None,
        default_margin: Annotated[float, Field(ge=0)] = 0.0,
        action: Action = "scale",
    ) -> None:
        super().__init__(action)
        self.leverage, self.margin_use = leverage, margin_use
        self.margin, self.default_margin = dict(margin or {}), default_margin

    def check(self, symbols: tuple[str, ...]) -> None:
        """Raise ConfigError for margin of a symbol that is not there."""
        refuse_strangers(self.margin, symbols, where="leverage.margin")

    def measure(self, weights: Any, book: Book) -> Any:
        """Gross exposure and margin, (..., 2)."""
        xp = array_namespace(weights)
        rates = row_of(xp, by_symbol(self.margin, self.default_margin, book), weights)
        return xp.concat([gross_of(xp, weights), gross_of(xp, weights * rates)], axis=-1)

    def limits(self, like: Any, book: Book) -> Any:
        """Both limits, (2,)."""
        both = [NO_LIMIT if x is None else x for x in (self.leverage, self.margin_use)]
        return row_of(array_namespace(like), both, like)

    def project(self, weights: Any, book: Book) -> Any:
        """Scaled by one factor."""
        xp = array_namespace(weights)
        least, now = self.measure(flat_of(xp, book), book), self.measure(weights, book)
        return scaled_to(xp, weights, book, least, now, self.limits(weights, book))

    def kernel_params(self, symbols: Sequence[str]) -> list[float]:
        """As the kernel takes them."""
        both = [NO_LIMIT if x is None else x for x in (self.leverage, self.margin_use)]
        return [action_code(self.action), *both, *(self.margin.get(symbol, self.default_margin) for symbol in symbols)]
