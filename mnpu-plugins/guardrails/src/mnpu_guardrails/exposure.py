"""Caps on gross, net, per-symbol and per-group exposure, met by the smallest trades that reach them.

Among the books that are reachable without adding risk (see `mnpu.guard`), the result has the smallest total excess
over the limits, and no limit is exceeded by more than the drifted book exceeds it. Steps, each in proportion:

1. clip each symbol toward zero, then shrink each group;
2. net: shrink the heavier side; if untradable symbols leave too little to shrink, keep or restore positions of the
   drifted book that offset them;
3. gross: shrink both sides alike, as far as net allows.

With everything tradable, steps 1 to 3 do not depend on the drifted book.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from array_api_compat import array_namespace, device, is_numpy_namespace
from pydantic import Field

from mnpu.errors import ConfigError
from mnpu.guard import UNREACHABLE, Reporter, finite_or_held, tolerance
from mnpu.types import Book, Violation
from mnpu_guardrails.rule import Action, action_code, kernel_of, reached, reduced, refuse_strangers

__all__ = ["Exposure"]

INFINITY = float("inf")


class Exposure:
    """Cap gross, net, per-symbol and per-group exposure without ever adding risk.

    Parameters
    ----------
    gross : float or None, default=1.0
        Largest sum of absolute weights, fraction of equity; None for no limit.
    net : float or None, default=1.0
        Largest absolute sum of weights.
    per_symbol : float or None, default=0.25
        Largest absolute weight of one symbol.
    per_group : float, mapping of str to float, or None, optional
        Largest sum of absolute weights in one group, of each group or by its name.
    groups : mapping of str to str, optional
        The group of each symbol: a sector, a country, a currency. Others belong to none. For limits of sectors and of
        currencies name the guardrail twice.
    action : {"scale", "de-risk", "warn"}
        ``warn`` only reports. ``de-risk`` first takes back every increase where a limit is exceeded.

    Notes
    -----
    Projection: symbols are clipped, then groups, net and gross are met by scaling what exceeds them in proportion.
    Symbols that are not tradable keep their drifted weight; the others make room for them. Where the limits cannot
    all be met the book moves to the smallest reachable total excess. NaN or infinity in a proposal keeps the drifted
    book, limited. Codes: ``EXPOSURE_SYMBOL``, ``EXPOSURE_GROUP``, ``EXPOSURE_NET``, ``EXPOSURE_GROSS``,
    ``EXPOSURE_RISK_ADDED`` (gross above both the drifted and the proposed book), ``SYMBOL_NOT_TRADABLE``,
    ``PROPOSAL_NOT_FINITE``, ``LIMIT_UNREACHABLE`` (its value is what remains exposed).
    """

    name = "exposure"

    def __init__(
        self,
        gross: Annotated[float, Field(ge=0)] | None = 1.0,
        net: Annotated[float, Field(ge=0)] | None = 1.0,
        per_symbol: Annotated[float, Field(ge=0)] | None = 0.25,
        per_group: Annotated[float, Field(ge=0)] | Mapping[str, Annotated[float, Field(ge=0)]] | None = None,
        groups: Mapping[str, str] | None = None,
        action: Action = "scale",
    ) -> None:
        self.gross, self.net, self.per_symbol = gross, net, per_symbol
        self.per_group, self.groups, self.action = per_group, dict(groups or {}), action
        self.path_dependent = action == "de-risk"  # what is taken back depends on the drifted book
        _refuse_unknown_groups(per_group, self.groups)

    def check(self, symbols: Sequence[str]) -> None:
        """Raise ConfigError for the group of a symbol that is not there."""
        refuse_strangers(self.groups, symbols, where="exposure.groups")

    def limit(self, proposed: Any, book: Book) -> Any:
        """The allowed weights (..., A)."""
        xp = array_namespace(proposed)
        # Most books are legal. Looking costs a tenth of solving; on tensors it would wait for the device.
        if is_numpy_namespace(xp) and self._allows(proposed, book):
            return proposed
        if self.action == "warn":
            return reached(xp, proposed, book)
        if self.action == "de-risk":
            wanted = reached(xp, proposed, book)
            over = xp.any(self._over(xp, wanted, book) > tolerance(xp, wanted), axis=-1, keepdims=True)
            proposed = xp.where(over, reduced(xp, wanted, book), wanted)
        return self._solve(xp, proposed, book)

    def excess(self, weights: Any, book: Book) -> Any:
        """How far a book is above each limit, (..., 2 + A + groups); for a warning nothing ever is."""
        xp = array_namespace(weights)
        over = self._over(xp, weights, book)
        return xp.zeros_like(over) if self.action == "warn" else over

    def warned(self, weights: Any, book: Book) -> Any:
        """Where a warning is due, (...,)."""
        xp = array_namespace(weights)
        over = xp.any(self._over(xp, reached(xp, weights, book), book) > tolerance(xp, weights), axis=-1)
        return over if self.action == "warn" else over & False

    def explain(self, proposed: np.ndarray, allowed: np.ndarray, book: Book) -> list[Violation]:
        """Why one book (A,) was changed, limit by limit, and which limit could not be met."""
        report = Reporter("exposure", book)
        wanted, held = report.unreadable(np.asarray(proposed)), np.asarray(book.weights)
        report.untradable(wanted)
        done: Any = self.action
        symbol = INFINITY if self.per_symbol is None else self.per_symbol
        for i in np.flatnonzero(book.tradable & (np.abs(wanted) > symbol + 1e-9)):
            report.add("EXPOSURE_SYMBOL", symbol, wanted[i], symbol=book.symbols[i], action=done)
        clipped = np.where(book.tradable, np.clip(wanted, -symbol, symbol), held)
        before, larger = np.abs(clipped).sum(), max(np.abs(wanted).sum(), np.abs(held).sum())
        for cap, sum_of in zip(*self._of_groups(clipped, book), strict=True):
            report.exceeded("EXPOSURE_GROUP", cap, sum_of, action=done)
        report.exceeded("EXPOSURE_NET", self.net, clipped.sum(), action=done)
        report.exceeded("EXPOSURE_GROSS", self.gross, before, action=done)
        if self.gross is None or larger < self.gross:
            report.exceeded("EXPOSURE_RISK_ADDED", larger, before)
        if self.action == "warn":
            return report.violations
        for cap, sum_of in zip(*self._of_groups(allowed, book), strict=True):
            report.exceeded(UNREACHABLE, cap, sum_of, action="de-risk")
        for i in np.flatnonzero(np.abs(allowed) > symbol + 1e-9):
            report.add(UNREACHABLE, symbol, allowed[i], symbol=book.symbols[i], action="de-risk")
        report.exceeded(UNREACHABLE, self.net, allowed.sum(), action="de-risk")
        report.exceeded(UNREACHABLE, self.gross, np.abs(allowed).sum(), action="de-risk")
        return report.violations

    @property
    def kernel(self) -> Any:
        """The rule as machine code (see `mnpu.guard_kernels`)."""
        return kernel_of(self)

    def kernel_params(self, symbols: Sequence[str]) -> list[float]:
        """As the kernel takes them."""
        names, caps = self._limited_groups()
        place = dict(zip(names, range(len(names)), strict=True))
        most = [INFINITY if x is None else x for x in (self.gross, self.net, self.per_symbol)]
        of_each = [place.get(self.groups.get(symbol, ""), -1) for symbol in symbols]
        return [action_code(self.action), *most, -1 if self.per_group is None else len(names), *of_each, *caps]

    def _allows(self, proposed: np.ndarray, book: Book) -> bool:
        """Whether every book is within every limit and leaves what does not trade alone; never for NaN."""
        size = np.abs(proposed)
        return bool(
            (book.tradable | (proposed == book.weights)).all()
            and (size <= (INFINITY if self.per_symbol is None else self.per_symbol)).all()
            and (size.sum(axis=-1) <= (np.finfo(np.float64).max if self.gross is None else self.gross)).all()
            and (self.net is None or (np.abs(proposed.sum(axis=-1)) <= self.net).all())
            and (self.per_group is None or (self._over(np, proposed, book) <= 0).all())
        )

    def _of_groups(self, weights: np.ndarray, book: Book) -> tuple[list[float], list[float]]:
        """Cap and gross of each limited group of one book (A,)."""
        members, caps = self._groups(np, weights, book)
        return caps.tolist(), (np.abs(weights) @ members).tolist()

    def _groups(self, xp: Any, like: Any, book: Book) -> tuple[Any, Any]:
        """Who belongs to which limited group, (A, G) of 0 and 1, and the caps (G,)."""
        names, caps = self._limited_groups()
        member = [[float(self.groups.get(symbol) == name) for name in names] for symbol in book.symbols]
        made = {"dtype": like.dtype, "device": device(like)}
        shaped = xp.reshape(xp.asarray(member, **made), (len(book.symbols), len(names)))
        return shaped, xp.asarray(caps, **made)

    def _limited_groups(self) -> tuple[list[str], list[Any]]:
        """Names and caps of the groups that have one."""
        names = sorted(set(self.groups.values())) if self.per_group is not None else []
        if isinstance(self.per_group, Mapping):
            names = [name for name in names if name in self.per_group]
        return names, [
            self.per_group[name] if isinstance(self.per_group, Mapping) else self.per_group for name in names
        ]

    def _over(self, xp: Any, weights: Any, book: Book) -> Any:
        """How far a book is above each limit, (..., 2 + A + groups)."""
        gross, net, symbol = (1e300 if x is None else x for x in (self.gross, self.net, self.per_symbol))
        members, caps = self._groups(xp, weights, book)
        size = xp.abs(weights)
        over = [_gross(xp, weights) - gross, xp.abs(_net(xp, weights)) - net, size - symbol]
        return xp.clip(xp.concat([*over, xp.matmul(size, members) - caps], axis=-1), min=0.0)

    def _solve(self, xp: Any, proposed: Any, book: Book) -> Any:
        held, tradable = book.weights, book.tradable
        wanted = finite_or_held(xp, proposed, held)
        gross, net, symbol = (INFINITY if x is None else x for x in (self.gross, self.net, self.per_symbol))
        clipped = xp.where(tradable, xp.clip(wanted, min=-symbol, max=symbol), held)
        # Mirror books that are net short, so that one side is the heavy one: too high is the only direction.
        side = xp.where(_net(xp, clipped) < 0, -1.0, 1.0)
        side = xp.astype(side, wanted.dtype)
        if self.per_group is not None:
            groups = _group_bounds(xp, held, *self._groups(xp, wanted, book))
            clipped = _meet_groups(xp, clipped, tradable, groups, min(net, 1e12))
            side = xp.astype(xp.where(_net(xp, clipped) < 0, -1.0, 1.0), wanted.dtype)
        else:
            groups = None
        bounds = _bounds(xp, wanted * side, held * side, gross=gross, net=net, symbol=symbol)
        if groups is not None:  # which symbol goes below its limit matters: as far as any excess of the drifted book
            wide = xp.minimum(xp.minimum(wanted * side, held * side), xp.zeros_like(held))
            bounds = replace(bounds, floor_hard=xp.maximum(wide, -xp.clip(xp.abs(held), min=symbol)))
        netted = _meet_net(xp, clipped * side, tradable, bounds, groups)
        allowed = _meet_gross(xp, netted, tradable, bounds) * side
        return allowed if groups is None else self._or_as_good(xp, wanted, allowed, book)

    def _or_as_good(self, xp: Any, wanted: Any, allowed: Any, book: Book) -> Any:
        """The proposal where it is reachable, lets no excess grow, and has no larger total excess than ``allowed``."""
        tol = tolerance(xp, wanted)
        mine, of_held = self._over(xp, wanted, book), self._over(xp, book.weights, book)
        total = lambda x: xp.sum(x, axis=-1, keepdims=True)  # noqa: E731
        good = xp.all(mine <= of_held + tol, axis=-1, keepdims=True)
        good = good & (total(mine) <= total(self._over(xp, allowed, book)) + tol)
        good = good & xp.all(book.tradable | (wanted == book.weights), axis=-1, keepdims=True)
        return xp.where(good, wanted, allowed)


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


@dataclass(frozen=True)
class _Groups:
    """``members`` (A, G) of 0 and 1, the caps (G,), and (..., G) what the drifted book has where that is more."""

    members: Any
    cap: Any
    hard: Any


def _group_bounds(xp: Any, held: Any, members: Any, caps: Any) -> _Groups:
    return _Groups(members, caps, xp.maximum(xp.matmul(xp.abs(held), members), caps))


def _meet_groups(xp: Any, book: Any, tradable: Any, groups: _Groups, net: float) -> Any:
    """Shrink the tradable members of each group until its cap is met, or until they are gone.

    Both sides of a group shrink in proportion, tilted where needed to bring or keep the whole book's net within its
    limit: of the size s (..., G) that goes, a comes from the longs and s - a from the shorts.
    """
    zero = xp.zeros_like(book)
    longs, shorts = xp.where(tradable & (book > 0), book, zero), xp.where(tradable & (book < 0), -book, zero)
    long, short = xp.matmul(longs, groups.members), xp.matmul(shorts, groups.members)
    both = long + short
    over = _above(xp, xp.matmul(xp.abs(book), groups.members) - groups.cap, tolerance(xp, book))
    size = xp.minimum(over, both)
    least, most = xp.clip(size - short, min=0.0), xp.minimum(size, long)
    share = size * long / xp.where(both > 0, both, xp.ones_like(both))
    total = lambda x: xp.sum(x, axis=-1, keepdims=True)  # noqa: E731
    middle = (_net(xp, book) + total(size)) / 2  # what the longs give where the net becomes 0
    wish = xp.minimum(xp.maximum(total(share), middle - net / 2), middle + net / 2)
    from_longs = share + _spread(xp, wish - total(share), most - share, share - least)
    back = xp.permute_dims(groups.members, (1, 0))
    part = lambda amount, pool: xp.clip(amount / xp.where(pool > 0, pool, xp.ones_like(pool)), max=1.0)  # noqa: E731
    cut = lambda amount, pool: xp.matmul(part(amount, pool), back)  # noqa: E731
    return book - longs * cut(from_longs, long) + shorts * cut(size - from_longs, short)


def _spread(xp: Any, wish: Any, up: Any, down: Any) -> Any:
    """Changes (..., G) that sum to ``wish`` (..., 1), at most ``up`` or ``down``, in proportion to those."""
    room = xp.where(wish > 0, up, down)
    total = xp.sum(room, axis=-1, keepdims=True)
    part = xp.minimum(xp.abs(wish), total) / xp.where(total > 0, total, xp.ones_like(total))
    return xp.sign(wish) * part * room


def _within_groups(xp: Any, book: Any, room: Any, groups: _Groups | None, cap: Any) -> Any:
    """As much of the ``room`` (..., A) to go down as the caps of the groups leave; the longs must be gone."""
    if groups is None:
        return room
    asked = xp.matmul(room, groups.members)
    left = xp.clip(cap - xp.matmul(xp.abs(book), groups.members), min=0.0)
    part = xp.minimum(left, asked) / xp.where(asked > 0, asked, xp.ones_like(asked))
    full = xp.where(asked > 0, part, xp.ones_like(part)) - 1.0
    return room * (1.0 + xp.matmul(full, xp.permute_dims(groups.members, (1, 0))))


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


def _meet_net(xp: Any, book: Any, tradable: Any, bounds: _Bounds, groups: _Groups | None) -> Any:
    """Lower the net of ``book`` (net long) to its limit, or as near as it can go without a larger excess elsewhere."""
    tol = tolerance(xp, book)
    longs = xp.where(tradable & (book > 0), book, 0.0)
    book = _move(xp, book, longs, _above(xp, _net(xp, book) - bounds.net, tol), tol)
    slack = bounds.gross - _gross(xp, book)
    need = _above(xp, xp.minimum(_net(xp, book) - bounds.net, slack), tol)
    room = _room(xp, book, bounds.floor, tradable)
    book = _move(xp, book, _within_groups(xp, book, room, groups, groups and groups.cap), need, tol)
    # What the drifted book offset must stay offset, even where that spends gross or a symbol's own limit.
    for floor in (bounds.floor, bounds.floor_hard):
        for cap in (None,) if groups is None else (groups.cap, groups.hard):
            need = _above(xp, _net(xp, book) - bounds.net_hard, tol)
            room = _room(xp, book, floor, tradable)
            book = _move(xp, book, _within_groups(xp, book, room, groups, cap), need, tol)
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


def _refuse_unknown_groups(per_group: Any, groups: Mapping[str, str]) -> None:
    if per_group is not None and not groups:
        raise ConfigError(
            "per_group is a limit and groups names none",
            where="exposure",
            expected="the group of each symbol",
            next_step="Add groups: {SYMBOL: GROUP}, or remove per_group.",
        )
    missing = sorted(set(per_group) - set(groups.values())) if isinstance(per_group, Mapping) else []
    if missing:
        raise ConfigError(
            f"per_group limits {', '.join(missing)}, and groups has {', '.join(sorted(set(groups.values())))}",
            where="exposure.per_group",
            expected="groups that a symbol belongs to",
            next_step="Correct the name.",
        )
