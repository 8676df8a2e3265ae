"""A chain of guardrails taken round and round until nothing moves, and the safe book where that does not happen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from array_api_compat import device

from mnpu.types import Book

__all__ = ["Step", "all_excess", "excess_of", "finite_or_held", "name_of", "rounds", "settled", "sound", "tolerance"]

#: How often a chain goes through its rules before it takes them to disagree.
PASSES = 30
#: How often a chain looks for a book of less total excess, beginning from the last one, before it gives up.
TRIES = 8
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


def settled(xp: Any, rules: Sequence[tuple[Any, Book]], start: Any, weights: Any, moving: Any, book: Book) -> Any:
    """Where the rules did not come to an agreement, or left an excess, a book that is safe (see `Chain`).

    ``start`` (..., A) is the proposal and ``weights`` where the rounds led from it; ``moving`` (...,) as `rounds` says.
    """
    tol = tolerance(xp, weights)
    over = xp.any(all_excess(xp, rules, weights) > tol, axis=-1) | moving
    if not bool(xp.any(over)):
        return weights
    rules = [(rule, _book_of(own, over)) for rule, own in rules]
    safe = _safe(xp, rules, _part(over, start), _part(over, weights), _book_of(book, over))
    return _put(xp, over, weights, safe)


def _safe(xp: Any, rules: Sequence[tuple[Any, Book]], start: Any, weights: Any, book: Book) -> Any:
    """As `settled`, of books of which any may be above a limit."""
    tol = tolerance(xp, weights)
    excess = lambda w: all_excess(xp, rules, w)  # noqa: E731
    flat = xp.where(book.tradable, xp.zeros_like(weights), book.weights)
    flat_is_legal = xp.all(excess(flat) <= tol, axis=-1, keepdims=True)
    broken = xp.any(excess(weights) > tol, axis=-1, keepdims=True)
    low, high = xp.zeros_like(weights[..., :1]), xp.ones_like(weights[..., :1])
    for _ in range(HALVINGS if bool(xp.any(broken & flat_is_legal)) else 0):
        middle = (low + high) / 2
        legal = xp.all(excess(flat + middle * (weights - flat)) <= tol, axis=-1, keepdims=True)
        low, high = xp.where(legal, middle, low), xp.where(legal, high, middle)
    part = xp.where(broken, flat + low * (weights - flat), weights)
    stuck = ~flat_is_legal[..., 0]
    if not bool(xp.any(stuck)):
        return part
    rules = [(rule, _book_of(own, stuck)) for rule, own in rules]
    held = _part(stuck, book.weights)
    least = _least(xp, rules, [_part(stuck, start), held], held)
    return _put(xp, stuck, part, least)


def _least(xp: Any, rules: Sequence[tuple[Any, Book]], starts: Sequence[Any], held: Any) -> Any:
    """From the first start that leads to one, a book on which the rules agree as far as they can, else ``held``.

    That is one of least total excess among those that `_left` finds, in which no excess is larger than in ``held``, and
    from which it finds no better one: so what is allowed is allowed again.
    """
    tol = tolerance(xp, held)
    bound = all_excess(xp, rules, held) + tol
    done, open_ = held, held[..., :1] == held[..., :1]
    for start in starts:
        weights, trying = start, open_
        for _ in range(TRIES):
            which = trying[..., 0]
            if not bool(xp.any(which)):
                break
            some = _part(which, weights)
            own = [(rule, _book_of(book, which)) for rule, book in rules]
            found, best = _left(xp, own, some, _part(which, bound))
            same = found & (xp.max(xp.abs(best - some), axis=-1, keepdims=True) <= tol)
            done = _put(xp, which, done, xp.where(same, some, _part(which, done)))
            open_ = _put(xp, which, open_, ~same)
            trying = _put(xp, which, trying, found & ~same)
            weights = _put(xp, which, weights, best)
    return done


def _left(xp: Any, rules: Sequence[tuple[Any, Book]], start: Any, bound: Any) -> tuple[Any, Any]:
    """Whether (..., 1), and which book (..., A) of least total excess a rule leaves with no excess above its bound.

    Where rules do not agree, each round ends with what the last rule wants. So each rule has its say in a last round,
    and the rules are taken against their order as well: what one cuts first, another cannot use as a hedge.
    """
    tol = tolerance(xp, start)
    least, best = xp.full_like(start[..., :1], float("inf")), start
    for order in (rules, rules[::-1]):
        weights, _ = rounds(xp, order, start, [])
        for i, (rule, own) in enumerate(order):
            before, weights = weights, rule.limit(weights, own)
            if i and not bool(xp.any(weights != before)):
                continue  # what the rule before has left
            over = all_excess(xp, rules, weights)
            total = xp.sum(over, axis=-1, keepdims=True)
            better = xp.all(over <= bound, axis=-1, keepdims=True) & (total < least - tol)
            best, least = xp.where(better, weights, best), xp.where(better, total, least)
    return xp.isfinite(least), best


def all_excess(xp: Any, rules: Sequence[tuple[Any, Book]], weights: Any) -> Any:
    """How far a book is above each limit of each rule, (..., k)."""
    return xp.concat([excess_of(xp, rule, weights, own) for rule, own in rules], axis=-1)
