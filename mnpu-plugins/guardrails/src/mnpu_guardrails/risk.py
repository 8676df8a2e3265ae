"""Limits on the risk of the book as a whole, measured on scenarios of all symbols together.

Both rules measure ``x = scenarios @ weights`` (K,), the return of the book in each scenario, by a convex function that
doubles where the book doubles. What trades is scaled by one factor, the largest that meets the limit. Where selling all
that trades does not meet it, because something that does not trade was hedged, only the mixtures of that flat book and
the drifted one are searched: the one of least risk is where the proposal is drawn to, as far as needed. No new hedge is
opened to meet a limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, sqrt
from typing import Annotated, Any, Literal

from array_api_compat import array_namespace, device
from pydantic import Field

from mnpu.guard import tolerance
from mnpu.types import Book
from mnpu_guardrails.rule import Action, Rule, action_code, flat_of, increases, reduced, refuse_pair

__all__ = ["TailRisk", "VolatilityTarget"]

HALVINGS = 50
#: Steps of a golden section: the last is below rounding of the weights.
SECTIONS = 60
GOLDEN = (sqrt(5.0) - 1.0) / 2.0
#: A tail is worth averaging from about as many scenarios on.
TAIL = 10
#: The longest window in bars, as of a feature: a backtest sees all of it at every decision.
LONGEST = 100_000


class BookRisk(Rule):
    """A rule on the risk of the whole book; ``risk`` says how it is measured on the book's returns."""

    def __init__(self, limit: float, window: int, min_history: float, action: Action) -> None:
        super().__init__(action)
        self.most, self.lookback, self.min_history = limit, window, min_history

    def risk(self, xp: Any, returns: Any, book: Book) -> Any:
        """Risk of the returns (..., K) of a book, (..., 1)."""
        raise NotImplementedError

    def scenarios(self, xp: Any, book: Book) -> tuple[Any, Any]:
        """Returns of all symbols (..., K, A), and which symbols could be measured (..., A)."""
        past = book.past[..., -self.lookback :, :]
        known = xp.isfinite(past)
        share = xp.sum(xp.astype(known, past.dtype), axis=-2) / self.lookback
        return xp.where(known, past, xp.zeros_like(past)), share >= self.min_history

    def measure(self, weights: Any, book: Book) -> Any:
        """Risk, and how far symbols without enough history grow, (..., 2)."""
        xp = array_namespace(weights)
        scenarios, measured = self.scenarios(xp, book)
        grown = xp.where(measured, xp.zeros_like(weights), increases(xp, weights, book))
        return xp.concat([self._of(xp, weights, scenarios, book), xp.sum(grown, axis=-1, keepdims=True)], axis=-1)

    def limits(self, like: Any, book: Book) -> Any:
        """The limit of the risk, and nothing for what cannot be measured, (..., 2)."""
        xp = array_namespace(like)
        zero = xp.zeros_like(like[..., :1])
        return xp.concat([zero + self.most, zero], axis=-1)

    def project(self, weights: Any, book: Book) -> Any:
        """What trades scaled by one factor, or drawn to the mixture of the flat and the drifted book of least risk."""
        xp = array_namespace(weights)
        tol = tolerance(xp, weights)
        scenarios, measured = self.scenarios(xp, book)
        weights = xp.where(measured | ~book.tradable, weights, reduced(xp, weights, book))
        risk = lambda w: self._of(xp, w, scenarios, book)  # noqa: E731
        over = risk(weights) > self.most + tol
        if not bool(xp.any(over)):
            return weights
        flat = flat_of(xp, book)
        anchor, bound = flat, xp.zeros_like(weights[..., :1]) + self.most
        stuck = over & (risk(flat) > bound)
        if bool(xp.any(stuck)):
            held = xp.where(book.tradable, book.weights, flat)
            least = self._least(xp, flat, held, scenarios, book)
            # Near its least the risk is so flat that the way to it would hang on rounding: there it is the result.
            end = stuck & (risk(least) > self.most * (1.0 - 1e-6))
            bound = xp.where(end, xp.maximum(bound, risk(least)), bound)
            over = over & (risk(weights) > bound + tol)
            anchor, weights = xp.where(stuck, least, flat), xp.where(end & over, least, weights)
        low, high = xp.zeros_like(bound), xp.ones_like(bound)
        start, end = _returns(xp, anchor, scenarios), _returns(xp, weights, scenarios)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            fine = self.risk(xp, start + middle * (end - start), book) <= bound + 0.5 * tol
            low, high = xp.where(fine, middle, low), xp.where(fine, high, middle)
        return xp.where(over & book.tradable, anchor + low * (weights - anchor), weights)

    def kernel_work(self, symbols: Sequence[str]) -> int:
        """What the kernel keeps: a book, its returns, two more series, the worst returns."""
        return 2 + len(symbols) + 4 * self.lookback

    def best(self, xp: Any, one: Any, other: Any, book: Book) -> Any:
        """Share (..., 1) of the second of two books in their mixture of least risk, from their returns (..., K)."""
        raise NotImplementedError

    def _of(self, xp: Any, weights: Any, scenarios: Any, book: Book) -> Any:
        return self.risk(xp, _returns(xp, weights, scenarios), book)

    def _least(self, xp: Any, one: Any, other: Any, scenarios: Any, book: Book) -> Any:
        """The mixture of two books (..., A) of least risk, one of the two where that is as good."""
        share = self.best(xp, _returns(xp, one, scenarios), _returns(xp, other, scenarios), book)
        risk = lambda w: self._of(xp, w, scenarios, book)  # noqa: E731
        best = one + share * (other - one)
        for end in (one, other):
            best = xp.where(risk(end) <= risk(best), end, best)
        return best


def _returns(xp: Any, weights: Any, scenarios: Any) -> Any:
    """Return of the book (..., K) in each scenario (..., K, A)."""
    return xp.sum(scenarios * weights[..., None, :], axis=-1)


class VolatilityTarget(BookRisk):
    """Cap the volatility that the book would have had.

    Parameters
    ----------
    volatility : float, default=0.15
        Largest annualised volatility, fraction of equity.
    window : int, default=60
        Past bars.
    min_history : float, default=0.8
        Share of the window in which a symbol needs a return; with less it may not grow.
    action : {"scale", "de-risk", "warn"}

    Notes
    -----
    Volatility is ``sqrt(mean(x ** 2) * periods_per_year)`` of the returns x that today's weights would have had, about
    zero and not their mean: a trend is no lack of risk. It is a cap; a calm book is not made larger. NaN returns count
    as 0. Projection: see `mnpu_guardrails.risk`. Codes: ``VOLATILITY_ABOVE_TARGET``, ``VOLATILITY_HISTORY_SHORT``.
    """

    name = "volatility_target"
    codes = ("VOLATILITY_ABOVE_TARGET", "VOLATILITY_HISTORY_SHORT")
    needs = ("past", "periods_per_year")

    def __init__(
        self,
        volatility: Annotated[float, Field(ge=0)] = 0.15,
        window: Annotated[int, Field(ge=2, le=LONGEST)] = 60,
        min_history: Annotated[float, Field(gt=0, le=1)] = 0.8,
        action: Action = "scale",
    ) -> None:
        super().__init__(volatility, window, min_history, action)

    def risk(self, xp: Any, returns: Any, book: Book) -> Any:
        """Annualised root mean square, (..., 1)."""
        mean = xp.mean(returns * returns, axis=-1, keepdims=True)
        return xp.sqrt(mean * book.periods_per_year)

    def kernel_params(self, symbols: Sequence[str]) -> list[float]:
        """As the kernel takes them."""
        return [action_code(self.action), self.most, self.lookback, self.min_history, 0.0]

    def best(self, xp: Any, one: Any, other: Any, book: Book) -> Any:
        """Where the squared length of the mixture is least: a parabola."""
        step = other - one
        size = xp.sum(step * step, axis=-1, keepdims=True)
        toward = -xp.sum(one * step, axis=-1, keepdims=True)
        return xp.clip(toward / xp.where(size > 0, size, xp.ones_like(size)), min=0.0, max=1.0)


class TailRisk(BookRisk):
    """Cap the expected loss of the book in its worst scenarios (CVaR).

    Parameters
    ----------
    cvar : float, default=0.05
        Largest mean loss in the tail, fraction of equity, per bar; of a forecast, over its first horizon.
    level : float, default=0.05
        Probability of the tail.
    source : {"history", "forecast"}, default="history"
        Scenarios are past returns; or the forecast quantiles of each symbol at the rank of its past returns, so that
        margins are the forecast's and dependence is the past's.
    window : int, default=250
        Past bars.
    min_history : float, default=0.8
        Share of the window in which a symbol needs a return; with less, or without a forecast, it may not grow.
    action : {"scale", "de-risk", "warn"}

    Notes
    -----
    The tail is exact: of ``level * K`` scenarios the last counts by its fraction (Rockafellar and Uryasev, 2002).
    Between forecast levels quantiles are interpolated in straight lines, and beyond the outermost the last line goes
    on. NaN returns count as 0, or at the median of the forecast. Ranks of equal returns follow time (Schaake shuffle;
    Clark et al., 2004). Projection: see `mnpu_guardrails.risk`. Codes: ``TAIL_RISK_CVAR``, ``TAIL_RISK_HISTORY_SHORT``.
    """

    name = "tail_risk"
    codes = ("TAIL_RISK_CVAR", "TAIL_RISK_HISTORY_SHORT")

    def __init__(
        self,
        cvar: Annotated[float, Field(ge=0)] = 0.05,
        level: Annotated[float, Field(gt=0, lt=1)] = 0.05,
        source: Literal["history", "forecast"] = "history",
        window: Annotated[int, Field(ge=10, le=LONGEST)] = 250,
        min_history: Annotated[float, Field(gt=0, le=1)] = 0.8,
        action: Action = "scale",
    ) -> None:
        super().__init__(cvar, window, min_history, action)
        if level * window < TAIL:
            refuse_pair("tail_risk", f"window {window}", f"level {level:g}", f"{TAIL} bars or more in the tail")
        self.level, self.source = level, source
        self.reads_returns = source == "forecast"
        self.needs = ("past",) if source == "history" else ("past", "quantiles", "levels")

    def risk(self, xp: Any, returns: Any, book: Book) -> Any:
        """Mean loss in the tail, (..., 1)."""
        size = self.level * returns.shape[-1]
        whole = floor(size + 1e-12)
        worst = xp.sort(returns, axis=-1)
        total = xp.sum(worst[..., :whole], axis=-1, keepdims=True)
        if size - whole > 1e-12:
            total = total + (size - whole) * worst[..., whole : whole + 1]
        return -total / size

    @property
    def kernel(self) -> Any:
        """As of every rule; the forecast is not among what a kernel is given."""
        return super().kernel if self.source == "history" else None

    def kernel_params(self, symbols: Sequence[str]) -> list[float]:
        """As the kernel takes them."""
        return [action_code(self.action), self.most, self.lookback, self.min_history, self.level]

    def best(self, xp: Any, one: Any, other: Any, book: Book) -> Any:
        """Golden section of a convex function, straight in pieces."""
        low, high = xp.zeros_like(one[..., :1]), xp.ones_like(one[..., :1])
        risk = lambda part: self.risk(xp, one + part * (other - one), book)  # noqa: E731
        for _ in range(SECTIONS):
            left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
            down = risk(left) < risk(right)
            low, high = xp.where(down, low, left), xp.where(down, right, high)
        return (low + high) / 2

    def scenarios(self, xp: Any, book: Book) -> tuple[Any, Any]:
        """Past returns, or the forecast's quantiles at their ranks, and which symbols could be measured."""
        past, measured = super().scenarios(xp, book)
        if self.source == "history":
            return past, measured
        known = xp.isfinite(book.past[..., -self.lookback :, :])
        count = xp.sum(xp.astype(known, past.dtype), axis=-2, keepdims=True)
        last = xp.where(known, past, xp.zeros_like(past) + float("inf"))  # unknown ones rank after all others
        order = xp.argsort(xp.argsort(last, axis=-2, stable=True), axis=-2, stable=True)
        one = xp.ones_like(past)
        ranks = (xp.astype(order, past.dtype) + 0.5) / xp.where(count > 0, count, xp.ones_like(count))
        ranks = xp.where(known, ranks, 0.5 * one)
        forecast = xp.all(xp.isfinite(book.quantiles), axis=-1)
        quantiles = xp.where(forecast[..., None], book.quantiles, xp.zeros_like(book.quantiles))
        return _at_ranks(xp, ranks, quantiles, book.levels or ()), measured & forecast


def _at_ranks(xp: Any, ranks: Any, quantiles: Any, levels: Sequence[float]) -> Any:
    """Quantile functions (..., A, Q) at ranks (..., K, A): straight lines, the outermost ones continued."""
    at = xp.asarray(list(levels), dtype=ranks.dtype, device=device(ranks))
    value = lambda q: quantiles[..., q][..., None, :]  # noqa: E731
    found = xp.zeros_like(ranks)
    for q in range(len(levels) - 1):
        slope = (value(q + 1) - value(q)) / (at[q + 1] - at[q])
        line = value(q) + slope * (ranks - at[q])
        found = line if q == 0 else xp.where(ranks > at[q], line, found)
    return found
