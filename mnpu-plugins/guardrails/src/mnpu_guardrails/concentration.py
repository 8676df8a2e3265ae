"""Enough positions, of similar enough size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from array_api_compat import array_namespace
from pydantic import Field

from mnpu.guard import tolerance
from mnpu.types import Book
from mnpu_guardrails.rule import Action, Rule, action_code, flat_of, gross_of, refuse_pair

__all__ = ["Concentration"]

HALVINGS = 60


class Concentration(Rule):
    """Ask for an effective number of positions.

    Parameters
    ----------
    positions : float, default=5.0
        Smallest ``1 / sum(s ** 2)``, where s are the shares of gross exposure. A flat book has no shares and is legal.
    action : {"scale", "de-risk", "warn"}

    Notes
    -----
    Projection: the largest positions are cut to one common size, the largest that meets the limit, which moves the
    book least in the sum of changes (L1) among those that only cut. If that is not enough, because there
    are too few positions or one cannot be sold, drifted positions that were to be sold are kept, up to that size and to
    the gross of the larger book, so that the shares become as even as they can; if even that is not enough and nothing
    is stuck, nothing is held.

    Measure and limit are ``sum(s ** 2)`` and ``1 / positions``. Code: ``CONCENTRATION_POSITIONS``.
    Source: Herfindahl's index and its inverse; the common size solves a piecewise quadratic by halving.
    """

    name = "concentration"
    codes = ("CONCENTRATION_POSITIONS",)

    def __init__(self, positions: Annotated[float, Field(ge=1)] = 5.0, action: Action = "scale") -> None:
        super().__init__(action)
        self.positions = positions

    def check(self, symbols: Sequence[str]) -> None:
        """Raise ConfigError where there are not as many symbols as positions."""
        if self.positions > len(symbols):
            refuse_pair(
                "concentration",
                f"positions {self.positions:g}",
                f"the universe of {len(symbols)} symbols",
                "at most as many positions as symbols",
            )

    def measure(self, weights: Any, book: Book) -> Any:
        """Sum of squared shares of gross, (..., 1)."""
        xp = array_namespace(weights)
        return _herfindahl(xp, xp.abs(weights))

    def limits(self, like: Any, book: Book) -> Any:
        """The largest sum of squared shares, (..., 1)."""
        return array_namespace(like).zeros_like(like[..., :1]) + 1.0 / self.positions

    def project(self, weights: Any, book: Book) -> Any:
        """As `project_from`, of a proposal that can be reached."""
        return self.project_from(weights, weights, book)

    def project_from(self, proposed: Any, weights: Any, book: Book) -> Any:
        """The largest positions cut to one size; where that is not enough, drifted ones kept; where even that, none."""
        xp = array_namespace(weights)
        limit = 1.0 / self.positions + 0.1 * tolerance(xp, weights)
        over = _herfindahl(xp, xp.abs(weights)) > 1.0 / self.positions + tolerance(xp, weights)
        fixed, zero = xp.abs(flat_of(xp, book)), xp.zeros_like(weights)
        own = xp.where(book.tradable, xp.abs(weights), zero)
        asked = xp.where(book.tradable, xp.abs(proposed), zero)
        held = xp.where(book.tradable, xp.abs(book.weights), zero)
        larger = xp.maximum(gross_of(xp, proposed), gross_of(xp, book.weights))
        cut, enough = _evened(xp, fixed, own, limit, larger)
        both, met = _evened(xp, fixed, xp.maximum(asked, held), limit, larger)
        # A kept position goes the proposal's way where that is large enough, else the drifted book's.
        way = xp.where(asked >= both - 1e-12, xp.sign(proposed), xp.sign(book.weights))
        stuck = xp.sum(fixed, axis=-1, keepdims=True) > tolerance(xp, weights)
        kept = xp.where(met | stuck, both * way, zero)
        wanted = xp.where(enough, cut * xp.sign(weights), kept)
        return xp.where(over & book.tradable, wanted, weights)

    def kernel_params(self, symbols: Sequence[str]) -> list[float]:
        """As the kernel takes them."""
        return [action_code(self.action), self.positions]


def _herfindahl(xp: Any, sizes: Any) -> Any:
    """Sum of squared shares, (..., 1); 0 for a flat book."""
    total = xp.sum(sizes, axis=-1, keepdims=True)
    shares = sizes / xp.where(total > 1e-9, total, xp.ones_like(total))
    return xp.where(total > 1e-9, xp.sum(shares * shares, axis=-1, keepdims=True), xp.zeros_like(total))


def _evened(xp: Any, fixed: Any, sizes: Any, limit: float, gross: Any) -> tuple[Any, Any]:
    """Sizes (..., A) cut to one level, and whether the squared shares with the ``fixed`` then meet the limit.

    The squared shares fall with the level up to the one where ``level * total = sum of squares`` and rise after it: the
    level is the largest that meets limit and gross, or else the best one.
    """
    top = xp.max(xp.maximum(sizes, fixed), axis=-1, keepdims=True)
    cut = lambda level: xp.minimum(sizes, level)  # noqa: E731
    total = lambda level: xp.sum(fixed + cut(level), axis=-1, keepdims=True)  # noqa: E731
    squares = lambda level: xp.sum(fixed**2 + cut(level) ** 2, axis=-1, keepdims=True)  # noqa: E731
    most = _largest(xp, lambda level: total(level) <= gross, xp.zeros_like(top), top)
    best = _largest(xp, lambda level: level * total(level) <= squares(level) * (1 + 1e-12), xp.zeros_like(top), most)
    legal = lambda level: _herfindahl(xp, fixed + cut(level)) <= limit  # noqa: E731
    # Near its least the measure is so flat that the level would hang on rounding: there the best level is taken.
    clear = _herfindahl(xp, fixed + cut(best)) <= limit - 1e-6
    level = xp.where(clear, _largest(xp, legal, best, most), best)
    sizes = cut(level)
    met = legal(level) & (xp.sum(sizes, axis=-1, keepdims=True) > 1e-9)
    return sizes, met


def _largest(xp: Any, holds: Any, low: Any, high: Any) -> Any:
    """The largest value for which a condition holds that holds up to it: ``high``, or found by halving from ``low``."""
    all_of_it = holds(high)
    top = high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fine = holds(middle)
        low, high = xp.where(fine, middle, low), xp.where(fine, high, middle)
    return xp.where(all_of_it, top, low)
