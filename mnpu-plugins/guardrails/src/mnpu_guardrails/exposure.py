"""Caps on gross, net and per-symbol exposure, met by the smallest trades that reach them.

Among the books that are reachable without adding risk (see `mnpu.guard`), the result has the smallest total excess
over the three limits, and no limit is exceeded by more than the drifted book exceeds it. Steps, each in proportion:

1. clip each symbol toward zero;
2. net: shrink the heavier side; if untradable symbols leave too little to shrink, keep or restore positions of the
   drifted book that offset them;
3. gross: shrink both sides alike, as far as net allows.

With everything tradable, steps 1 to 3 do not depend on the drifted book.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from array_api_compat import array_namespace, is_numpy_namespace
from pydantic import Field

from mnpu.guard import UNREACHABLE, Reporter, finite_or_held, tolerance
from mnpu.types import Book, Violation

__all__ = ["Exposure"]

INFINITY = float("inf")


class Exposure:
    """Cap gross, net and per-symbol exposure without ever adding risk.

    Parameters
    ----------
    gross : float or None, default=1.0
        Largest sum of absolute weights, fraction of equity; None for no limit.
    net : float or None, default=1.0
        Largest absolute sum of weights.
    per_symbol : float or None, default=0.25
        Largest absolute weight of one symbol.

    Notes
    -----
    Symbols that are not tradable keep their drifted weight; the others make room for them. Where the limits cannot
    all be met the book moves to the smallest reachable total excess. NaN or infinity in a proposal keeps the drifted
    book, limited. Codes: ``EXPOSURE_SYMBOL``, ``EXPOSURE_NET``, ``EXPOSURE_GROSS``, ``EXPOSURE_RISK_ADDED`` (gross
    above both the drifted and the proposed book), ``SYMBOL_NOT_TRADABLE``, ``PROPOSAL_NOT_FINITE``,
    ``LIMIT_UNREACHABLE`` (its value is what remains exposed).
    """

    path_dependent = False

    def __init__(
        self,
        gross: Annotated[float, Field(ge=0)] | None = 1.0,
        net: Annotated[float, Field(ge=0)] | None = 1.0,
        per_symbol: Annotated[float, Field(ge=0)] | None = 0.25,
    ) -> None:
        self.gross, self.net, self.per_symbol = gross, net, per_symbol

    def limit(self, proposed: Any, book: Book) -> Any:
        """The allowed weights (..., A)."""
        xp = array_namespace(proposed)
        # Most books are legal. Looking costs a tenth of solving; on tensors it would wait for the device.
        if is_numpy_namespace(xp) and self._allows(proposed, book):
            return proposed
        return self._solve(xp, proposed, book)

    def explain(self, proposed: np.ndarray, allowed: np.ndarray, book: Book) -> list[Violation]:
        """Why one book (A,) was changed, limit by limit, and which limit could not be met."""
        report = Reporter("exposure", book)
        wanted, held = report.unreadable(np.asarray(proposed)), np.asarray(book.weights)
        report.untradable(wanted)
        symbol = INFINITY if self.per_symbol is None else self.per_symbol
        for i in np.flatnonzero(book.tradable & (np.abs(wanted) > symbol + 1e-9)):
            report.add("EXPOSURE_SYMBOL", symbol, wanted[i], symbol=book.symbols[i])
        clipped = np.where(book.tradable, np.clip(wanted, -symbol, symbol), held)
        before, larger = np.abs(clipped).sum(), max(np.abs(wanted).sum(), np.abs(held).sum())
        report.exceeded("EXPOSURE_NET", self.net, clipped.sum())
        report.exceeded("EXPOSURE_GROSS", self.gross, before)
        if self.gross is None or larger < self.gross:
            report.exceeded("EXPOSURE_RISK_ADDED", larger, before)
        for i in np.flatnonzero(np.abs(allowed) > symbol + 1e-9):
            report.add(UNREACHABLE, symbol, allowed[i], symbol=book.symbols[i], action="de-risk")
        report.exceeded(UNREACHABLE, self.net, allowed.sum(), action="de-risk")
        report.exceeded(UNREACHABLE, self.gross, np.abs(allowed).sum(), action="de-risk")
        return report.violations

    def _allows(self, proposed: np.ndarray, book: Book) -> bool:
        """Whether every book is within every limit and leaves what does not trade alone; never for NaN."""
        size = np.abs(proposed)
        return bool(
            (book.tradable | (proposed == book.weights)).all()
            and (size <= (INFINITY if self.per_symbol is None else self.per_symbol)).all()
            and (size.sum(axis=-1) <= (np.finfo(np.float64).max if self.gross is None else self.gross)).all()
            and (self.net is None or (np.abs(proposed.sum(axis=-1)) <= self.net).all())
        )

    def _solve(self, xp: Any, proposed: Any, book: Book) -> Any:
        held, tradable = book.weights, book.tradable
        wanted = finite_or_held(xp, proposed, held)
        gross, net, symbol = (INFINITY if x is None else x for x in (self.gross, self.net, self.per_symbol))
        clipped = xp.where(tradable, xp.clip(wanted, min=-symbol, max=symbol), held)
        # Mirror books that are net short, so that one side is the heavy one: too high is the only direction.
        side = xp.where(_net(xp, clipped) < 0, -1.0, 1.0)
        side = xp.astype(side, wanted.dtype)
        bounds = _bounds(xp, wanted * side, held * side, gross=gross, net=net, symbol=symbol)
        netted = _meet_net(xp, clipped * side, tradable, bounds)
        return _meet_gross(xp, netted, tradable, bounds) * side


@dataclass(frozen=True)
class _Bounds:
    """What must not be exceeded, and what should not be.

    ``gross`` and ``net`` (..., 1) are the limits (gross also at most that of the larger book); ``gross_hard`` and
    ``net_hard`` are what the drifted book has where that is more. ``floor`` (..., A) is the lowest weight of each
    symbol within its limit, ``floor_hard`` where the drifted book is already lower.
    """

    gross: Any
    gross_hard: Any
    net: Any
    net_hard: Any
    floor: Any
    floor_hard: Any


def _bounds(xp: Any, wanted: Any, held: Any, *, gross: float, net: float, symbol: float) -> _Bounds:
    zero = xp.zeros_like(held)
    larger = xp.maximum(_gross(xp, wanted), _gross(xp, held))
    gross_cap = xp.clip(larger, max=gross)
    net_held = xp.abs(_net(xp, held))
    floor = xp.clip(xp.minimum(xp.minimum(wanted, held), zero), min=-symbol)
    return _Bounds(
        gross=gross_cap,
        gross_hard=xp.maximum(gross_cap, _gross(xp, held)),
        net=xp.full_like(net_held, net),
        net_hard=xp.clip(net_held, min=net),
        floor=floor,
        floor_hard=xp.minimum(floor, held),
    )


def _meet_net(xp: Any, book: Any, tradable: Any, bounds: _Bounds) -> Any:
    """Lower the net of ``book`` (net long) to its limit, or as near as it can go without a larger excess elsewhere."""
    tol = tolerance(xp, book)
    longs = xp.where(tradable & (book > 0), book, 0.0)
    book = _move(xp, book, longs, _above(xp, _net(xp, book) - bounds.net, tol), tol)
    slack = bounds.gross - _gross(xp, book)
    need = _above(xp, xp.minimum(_net(xp, book) - bounds.net, slack), tol)
    book = _move(xp, book, _room(xp, book, bounds.floor, tradable), need, tol)
    # What the drifted book offset must stay offset, even where that spends gross or a symbol's own limit.
    for floor in (bounds.floor, bounds.floor_hard):
        need = _above(xp, _net(xp, book) - bounds.net_hard, tol)
        book = _move(xp, book, _room(xp, book, floor, tradable), need, tol)
    return book


def _meet_gross(xp: Any, book: Any, tradable: Any, bounds: _Bounds) -> Any:
    """Lower the gross of ``book`` to its limit as far as net allows, then to its hard bound."""
    book = _shrink(xp, book, tradable, gross=bounds.gross, net=bounds.net)
    return _shrink(xp, book, tradable, gross=bounds.gross_hard, net=bounds.net_hard)


def _shrink(xp: Any, book: Any, tradable: Any, *, gross: Any, net: Any) -> Any:
    """Shrink both sides in proportion until the gross is met, tilted where needed to keep |net| within bounds.

    With ``a`` taken from the longs L and ``b`` from the shorts K, a + b = s: the net moves by b - a, so the bounds
    -net <= now - a + b <= net and 0 <= a <= L, 0 <= b <= K give the largest reachable s and the range of a.
    """
    tol = tolerance(xp, book)
    longs = xp.where(tradable & (book > 0), book, 0.0)
    shorts = xp.where(tradable & (book < 0), book, 0.0)
    long, short, now = _net(xp, longs), -_net(xp, shorts), _net(xp, book)
    zero = xp.zeros_like(long)
    total = xp.minimum(_above(xp, _gross(xp, book) - gross, tol), long + short)
    total = xp.minimum(total, xp.minimum(2 * long + net - now, 2 * short + net + now))
    total = xp.maximum(total, zero)
    least = xp.maximum(xp.maximum(total - short, (now + total - net) / 2), zero)
    most = xp.minimum(xp.minimum(total, (now + total + net) / 2), long)
    both = long + short
    share = total * long / xp.where(both > 0, both, xp.ones_like(both))
    from_longs = xp.minimum(xp.maximum(share, least), most)
    book = _move(xp, book, longs, from_longs, 0.0)
    return _move(xp, book, shorts, total - from_longs, 0.0)


def _move(xp: Any, book: Any, pool: Any, amount: Any, tol: float) -> Any:
    """``book`` minus ``amount`` (..., 1) of ``pool`` (..., A) in proportion, at most all of it."""
    size = _gross(xp, pool)
    part = xp.minimum(amount, size) / xp.where(size > tol, size, xp.ones_like(size))
    return book - pool * xp.where(size > tol, part, xp.zeros_like(part))


def _room(xp: Any, book: Any, floor: Any, tradable: Any) -> Any:
    """How far each tradable symbol may go down, (..., A)."""
    return xp.where(tradable, xp.clip(book - floor, min=0.0), 0.0)


def _above(xp: Any, excess: Any, tol: float) -> Any:
    """The excess where it is more than rounding, else zero."""
    return xp.where(excess > tol, excess, xp.zeros_like(excess))


def _net(xp: Any, book: Any) -> Any:
    return xp.sum(book, axis=-1, keepdims=True)


def _gross(xp: Any, book: Any) -> Any:
    return xp.sum(xp.abs(book), axis=-1, keepdims=True)
