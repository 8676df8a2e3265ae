"""A chain of guardrails taken round and round until nothing moves, and the safe book where that does not happen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from array_api_compat import device

from mnpu.types import Book

__all__ = ["Step", "all_excess", "excess_of", "finite_or_held", "name_of", "rounds", "settled", "sound", "tolerance"]

#: How often a chain goes through its rules before it takes them to disagree.
PASSES = 30
#: Halvings of a segment: the last is far below rounding.
HALVINGS = 50
#: Number of a rule, and the weights before and after it.
Step = tuple[int, Any, Any]


def tolerance(xp: Any, array: Any) -> float:
    """Rounding error that is not an excess: 1e-9 in double precision, 1e-5 in single."""
    return 1e-9 if xp.finfo(array.dtype).eps < 1e-12 else 1e-5


def finite_or_held(xp: Any, proposed: Any, held: Any) -> Any:
    """The proposal (..., A), or the drifted book wherever a book of the proposal is not finite.

    This is how a guardrail fails closed: without a readable proposal nothing new is bought.
    """
    readable = xp.all(xp.isfinite(proposed), axis=-1, keepdims=True)
    return xp.where(readable, proposed, held)


def sound(xp: Any, book: Book, like: Any) -> Any:
    """Where the account is known and above water, (..., 1): all its numbers finite, its equity positive."""
    column = lambda x: xp.asarray(x, dtype=like.dtype, device=device(like))[..., None]  # noqa: E731
    numbers = [column(x) for x in (book.equity, book.peak, book.day_equity) if x is not None]
    fine = numbers[0] > 0.0
    for number in numbers:
        fine = fine & xp.isfinite(number)
    return fine


def name_of(rule: Any) -> str:
    """The name of a rule in violations and memory."""
    return str(getattr(rule, "name", type(rule).__name__))


def excess_of(xp: Any, rule: Any, weights: Any, book: Book) -> Any:
    """How far a book is above a rule's limits, (..., k); for a rule that does not say, how far the rule moves it."""
    if hasattr(rule, "excess"):
        return rule.excess(weights, book)
    return xp.sum(xp.abs(rule.limit(weights, book) - weights), axis=-1, keepdims=True)


def rounds(xp: Any, rules: Sequence[tuple[Any, Book]], weights: Any, steps: list[Step]) -> tuple[Any, Any]:
    """Every rule in turn, round after round until nothing moves; and which books (...,) were still moving.

    A book that has come to rest is left alone, so that it does not matter which others are beside it.
    """
    start = weights
    weights = _round(rules, weights, steps)
    moving = xp.any(xp.abs(weights - start) > 1e-3 * tolerance(xp, weights), axis=-1)
    if len(rules) < 2:
        return weights, moving & False
    for _ in range(PASSES):
        if not bool(xp.any(moving)):
            break
        mine: list[Step] = []
        some = _part(moving, weights)
        after = _put(xp, moving, weights, _round([(r, _book_of(b, moving)) for r, b in rules], some, mine))
        moved = xp.any(xp.abs(after - weights) > 1e-3 * tolerance(xp, weights), axis=-1)
        if bool(xp.any(moved)):
            steps += mine
        moving, weights = moved, xp.where(moved[..., None], after, weights)
    return weights, moving


def _round(rules: Sequence[tuple[Any, Book]], weights: Any, steps: list[Step]) -> Any:
    for i, (rule, own) in enumerate(rules):
        before, weights = weights, rule.limit(weights, own)
        steps.append((i, before, weights))
    return weights


def _part(chosen: Any, array: Any) -> Any:
    """The chosen books of (N, A); a single book, or one in more dimensions, stays with all the others."""
    return array[chosen] if array.ndim == 2 else array


def _book_of(book: Book, chosen: Any) -> Book:
    return book.row(chosen) if book.weights.ndim == 2 else book


def _put(xp: Any, chosen: Any, array: Any, part: Any) -> Any:
    """The array with the chosen books replaced."""
    if array.ndim != 2:
        return xp.where(chosen[..., None], part, array)
    whole = xp.asarray(array, copy=True)
    whole[chosen] = part
    return whole


def settled(xp: Any, rules: Sequence[tuple[Any, Book]], weights: Any, moving: Any, book: Book) -> Any:
    """Where the rules did not come to an agreement, or let an excess grow, a book that is safe (see `Chain`)."""
    tol = tolerance(xp, weights)
    over = xp.any(all_excess(xp, rules, weights) > tol, axis=-1) | moving
    if not bool(xp.any(over)):
        return weights
    rules = [(rule, _book_of(own, over)) for rule, own in rules]
    safe = _safe(xp, rules, _part(over, weights), _part(over, moving[..., None]), _book_of(book, over))
    return _put(xp, over, weights, safe)


def _safe(xp: Any, rules: Sequence[tuple[Any, Book]], weights: Any, moving: Any, book: Book) -> Any:
    """As `settled`, of books of which any may be above a limit."""
    tol = tolerance(xp, weights)
    excess = lambda w: all_excess(xp, rules, w)  # noqa: E731
    flat = xp.where(book.tradable, xp.zeros_like(weights), book.weights)
    of_held = excess(book.weights)
    flat_is_legal = xp.all(excess(flat) <= tol, axis=-1, keepdims=True)
    bound = xp.where(flat_is_legal, xp.zeros_like(of_held), of_held) + tol
    broken = xp.any(excess(weights) > bound, axis=-1, keepdims=True) | (moving & ~flat_is_legal)
    if not bool(xp.any(broken)):
        return weights
    low, high = xp.zeros_like(weights[..., :1]), xp.ones_like(weights[..., :1])
    for _ in range(HALVINGS if bool(xp.any(broken & flat_is_legal)) else 0):
        middle = (low + high) / 2
        legal = xp.all(excess(flat + middle * (weights - flat)) <= bound, axis=-1, keepdims=True)
        low, high = xp.where(legal, middle, low), xp.where(legal, high, middle)
    part = flat + low * (weights - flat)
    own, own_moving = rounds(xp, rules, book.weights, [])
    safe = xp.all(excess(own) <= bound, axis=-1, keepdims=True) & ~own_moving[..., None]
    return xp.where(broken, xp.where(flat_is_legal, part, xp.where(safe, own, book.weights)), weights)


def all_excess(xp: Any, rules: Sequence[tuple[Any, Book]], weights: Any) -> Any:
    """How far a book is above each limit of each rule, (..., k)."""
    return xp.concat([excess_of(xp, rule, weights, own) for rule, own in rules], axis=-1)
