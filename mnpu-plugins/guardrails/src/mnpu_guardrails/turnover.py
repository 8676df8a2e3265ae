"""How much may be bought, or sold short, in one bar and in one day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from array_api_compat import array_namespace
from pydantic import Field

from mnpu.types import Book
from mnpu_guardrails.rule import Action, Rule, action_code, as_column, increases, reduced, refuse_pair

__all__ = ["Turnover"]


class Turnover(Rule):
    """Cap the trades that add to positions, against the drifted weights.

    Parameters
    ----------
    per_bar : float or None, default=0.5
        Largest sum of increases of absolute weights at one decision, fraction of equity; None for no limit.
    per_day : float or None, optional
        The same, summed over a UTC day.
    action : {"scale", "de-risk", "warn"}

    Notes
    -----
    A trade that brings a weight nearer to zero is exempt and always allowed; one through zero counts from zero. So a
    book that is exchanged for another of the same gross counts once, which is its one-way turnover. What is allowed
    counts toward the day, filled or not.

    Projection: with every reduction made, the increases are scaled by one factor, the largest that meets both limits,
    which is nearest in L1 among books with their proportions. Codes: ``TURNOVER_BAR``, ``TURNOVER_DAY``.
    """

    name = "turnover"
    codes = ("TURNOVER_BAR", "TURNOVER_DAY")

    def __init__(
        self,
        per_bar: Annotated[float, Field(ge=0)] | None = 0.5,
        per_day: Annotated[float, Field(ge=0)] | None = None,
        action: Action = "scale",
    ) -> None:
        super().__init__(action)
        if per_bar is not None and per_day is not None and per_bar > per_day:
            refuse_pair("turnover", f"per_bar {per_bar}", f"per_day {per_day}", "at most as much in a bar as in a day")
        self.per_bar, self.per_day = per_bar, per_day
        self.needs = () if per_day is None else ("day",)

    def measure(self, weights: Any, book: Book) -> Any:
        """What is added, (..., 2), to be held against the bar and against the day."""
        xp = array_namespace(weights)
        added = xp.sum(increases(xp, weights, book), axis=-1, keepdims=True)
        return xp.concat([added, added], axis=-1)

    def limits(self, like: Any, book: Book) -> Any:
        """What may be added, (..., 2)."""
        xp = array_namespace(like)
        left = as_column(xp, 0.0, like) + 1e12
        bar = left if self.per_bar is None else as_column(xp, self.per_bar, like)
        if self.per_day is not None:
            left = xp.clip(self.per_day - self._used(xp, like, book), min=0.0)
        bar, left = xp.broadcast_arrays(bar, left)
        return xp.concat([bar, left], axis=-1)

    def project(self, weights: Any, book: Book) -> Any:
        """The increases scaled by one factor."""
        xp = array_namespace(weights)
        base = reduced(xp, weights, book)
        added = xp.sum(xp.abs(weights - base), axis=-1, keepdims=True)
        most = xp.min(self.limits(weights, book), axis=-1, keepdims=True)
        over = added > most + 1e-12
        part = xp.where(over, most / xp.where(over, added, xp.ones_like(added)), xp.ones_like(added))
        return xp.where(over & book.tradable, base + part * (weights - base), weights)

    def remember(self, proposed: Any, allowed: Any, book: Book) -> Any:
        """The day, as `Rule` counts days, and what has been added in it, (..., 2)."""
        xp = array_namespace(allowed)
        added = xp.sum(increases(xp, allowed, book), axis=-1, keepdims=True)
        if book.day is None:
            return self._memory(xp, book, allowed, 2)
        used = self._used(xp, allowed, book) + added
        kept, today = self._memory(xp, book, allowed, 2)[..., :1], xp.zeros_like(used) + self._day(book)
        return xp.concat([xp.where((kept != 0) & (kept > today), kept, today), used], axis=-1)

    def _used(self, xp: Any, like: Any, book: Book) -> Any:
        """What has been added in the day of the decision, (..., 1); a clock that goes back begins no new day."""
        kept = self._memory(xp, book, like, 2)
        same = (kept[..., :1] != 0) & (kept[..., :1] >= self._day(book))
        return xp.where(same, kept[..., 1:], xp.zeros_like(kept[..., 1:]))

    def kernel_params(self, symbols: Sequence[str]) -> list[float]:
        """As the kernel takes them."""
        most = [1e12 if x is None else x for x in (self.per_bar, self.per_day)]
        return [action_code(self.action), *most]
