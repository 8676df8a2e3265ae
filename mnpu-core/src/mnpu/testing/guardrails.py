"""The laws of a guardrail, checked on many random books: legal, illegal, suspended and unreadable ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

from mnpu.guard_kernels import (
    EXCESS,
    LIMIT,
    REMEMBER,
    CompiledChain,
    compiled_chain,
    numbers_of,
    past_of,
    series_of,
)
from mnpu.guard_rounds import excess_of, name_of
from mnpu.testing import LawOutcome
from mnpu.types import Book
from mnpu.types.positions import BATCHED

__all__ = ["laws", "random_books"]

#: Parallel books, and symbols in each.
BOOKS, SYMBOLS = 600, 6
#: Bars of past returns that they see.
BARS = 60
#: Books on which the laws of single books are checked.
ROWS = 80
TOLERANCE = 1e-8
CODE = re.compile(r"[A-Z0-9]+(_[A-Z0-9]+)+")


def laws(factory: Callable[..., Any], *, seed: int = 0) -> list[LawOutcome]:
    """Check every law of a guardrail, built by ``factory()``.

    Parameters
    ----------
    factory : callable
        Gives a new guardrail each time.
    seed : int, default=0
        Of the random books.

    Returns
    -------
    outcomes : list of LawOutcome
    """
    states = isinstance(getattr(factory(), "path_dependent", None), bool)
    proposed, book = random_books(BOOKS, SYMBOLS, seed=seed)
    checks = [
        _stays_between,
        _gross_never_grows,
        _leaves_suspended_alone,
        _is_idempotent,
        _meets_limits,
        _leaves_legal_alone,
        _leaves_flat_book_alone,
        _fails_closed,
        _batches,
        _explains,
        _leaves_input_alone,
        _equals_its_kernel,
        *([_agrees_with_torch] if find_spec("torch") else []),
    ]
    missing = "" if states else "no attribute path_dependent: bool"
    said = LawOutcome("says whether it is path dependent", states, missing)
    return [said, *(_outcome(check, factory, proposed, book) for check in checks)]


def random_books(books: int, symbols: int, *, seed: int = 0) -> tuple[np.ndarray, Book]:
    """Proposals and drifted books, from flat to far above any sensible limit.

    Parameters
    ----------
    books, symbols : int
    seed : int, default=0

    Returns
    -------
    proposed : float64 ndarray (books, symbols)
    book : Book
        A fifth of the symbols do not trade, equity is below its peak in most books.
    """
    rng = np.random.default_rng(seed)
    scale = rng.choice([0.0, 0.02, 0.1, 0.3, 1.0], size=(2, books, 1))
    proposed, held = scale * rng.standard_normal((2, books, symbols))
    proposed[rng.random((books, symbols)) < 0.15] = 0.0
    held[rng.random((books, symbols)) < 0.3] = 0.0
    same = rng.random(books) < 0.1
    held[same] = proposed[same]
    peak = 1.0 + rng.random(books)
    time = pd.Timestamp("2020-01-02 21:00", tz="UTC")
    names = tuple(f"S{i}" for i in range(symbols))
    tradable = rng.random((books, symbols)) < 0.8
    equity = peak * rng.uniform(0.5, 1.0, books)
    return proposed, Book(held, tradable, equity, peak, time, names, **_told(rng, equity, symbols))


def _told(rng: np.random.Generator, equity: np.ndarray, symbols: int) -> dict[str, Any]:
    """What books know beside the account: correlated past returns with gaps, volumes, ages, forecasts."""
    books, levels = len(equity), (0.05, 0.25, 0.5, 0.75, 0.95)
    market = rng.standard_normal((books, BARS, 1))
    past = 0.02 * (market + rng.standard_normal((books, BARS, symbols)))
    past[rng.random(past.shape) < 0.02] = np.nan
    past[:, : BARS // 2][np.broadcast_to(rng.random((books, 1, symbols)) < 0.1, (books, BARS // 2, symbols))] = np.nan
    width = rng.uniform(0.005, 0.05, (books, symbols, 1))
    quantiles = width * (np.array([-1.6, -0.7, 0.0, 0.7, 1.6]) + 0.3 * rng.standard_normal((books, symbols, 1)))
    quantiles[rng.random((books, symbols)) < 0.1] = np.nan
    age = rng.choice([0.0, 0.0, 0.0, 1.0, 5.0, np.nan], (books, symbols))
    volume = rng.choice([0.0, 0.3, 1.0, 10.0, np.nan], (books, symbols))
    return {
        "day_equity": equity * rng.uniform(0.95, 1.1, books),
        "day": 18263,
        "past": past,
        "periods_per_year": 252.0,
        "volume": volume,
        "age": age,
        "quantiles": quantiles,
        "levels": levels,
        "switches": frozenset(),
    }


def _outcome(check: Callable[..., str], *inputs: Any) -> LawOutcome:
    law = (check.__doc__ or "").partition("\n")[0].rstrip(".")
    try:
        detail = check(*inputs)
    except Exception as error:  # foreign code on trial: whatever it raises is a broken law, not a broken kit
        detail = f"raised {type(error).__name__}: {error}"
    return LawOutcome(law, not detail, detail)


def _stays_between(factory: Callable[..., Any], proposed: np.ndarray, book: Book) -> str:
    """Keeps each weight between the drifted, the proposed, and zero."""
    allowed = factory().limit(proposed, book)
    least = np.minimum(np.minimum(proposed, book.weights), 0.0)
    most = np.maximum(np.maximum(proposed, book.weights), 0.0)
    outside = ~((allowed >= least - TOLERANCE) & (allowed <= most + TOLERANCE))
    return _first(outside, proposed, allowed, book)


def _gross_never_grows(factory: Callable[..., Any], proposed: np.ndarray, book: Book) -> str:
    """Never has more gross than both the drifted and the proposed book."""
    allowed = factory().limit(proposed, book)
    larger = np.maximum(np.abs(proposed).sum(axis=1), np.abs(book.weights).sum(axis=1))
    # A suspended symbol keeps its weight, and where the rest is flat nothing can make room for it.
    stuck = np.where(book.tradable, 0.0, np.abs(book.weights)).sum(axis=1)
    grown = np.abs(allowed).sum(axis=1) > np.maximum(larger, stuck) + TOLERANCE
    return _first(grown[:, None] & np.ones_like(book.tradable), proposed, allowed, book)


def _leaves_suspended_alone(factory: Callable[..., Any], proposed: np.ndarray, book: Book) -> str:
    """Leaves a symbol that is not tradable at its drifted weight."""
    allowed = factory().limit(proposed, book)
    return _first(~book.tradable & ~(np.abs(allowed - book.weights) <= TOLERANCE), proposed, allowed, book)


def _is_idempotent(factory: Callable[..., Any], proposed: np.ndarray, book: Book) -> str:
    """Allows what it has allowed."""
    allowed = factory().limit(proposed, book)
    again = factory().limit(allowed, book)
    return _first(~(np.abs(again - allowed) <= TOLERANCE), allowed, again, book)


def _meets_limits(factory: Callable[..., Any], proposed: np.ndarray, book: Book) -> str:
    """Lets no excess grow, and leaves none where the drifted or the flat book has none."""
    guardrail = factory()
    if not hasattr(guardrail, "excess"):
        return ""
    allowed = guardrail.limit(proposed, book)
    after, held = guardrail.excess(allowed, book), guardrail.excess(book.weights, book)
    flat = guardrail.excess(np.where(book.tradable, 0.0, book.weights), book)
    most = np.where((flat <= 0).all(axis=-1, keepdims=True), 0.0, held)
    return _first(~(after <= most + TOLERANCE), proposed, allowed, book)


def _leaves_legal_alone(factory: Callable[..., Any], proposed: np.ndarray, book: Book) -> str:
    """Leaves a proposal alone that exceeds no limit and moves nothing that does not trade."""
    guardrail = factory()
    if not hasattr(guardrail, "excess"):
        return ""
    allowed = guardrail.limit(proposed, book)
    legal = (guardrail.excess(proposed, book) <= 0).all(axis=-1)
    legal &= (book.tradable | (proposed == book.weights)).all(axis=-1)
    return _first(legal[:, None] & ~(np.abs(allowed - proposed) <= TOLERANCE), proposed, allowed, book)


def _leaves_flat_book_alone(factory: Callable[..., Any], proposed: np.ndarray, book: Book) -> str:
    """Leaves a flat proposal to a flat book alone."""
    flat = np.zeros_like(proposed)
    empty = replace(book, weights=flat)
    allowed = factory().limit(flat, empty)
    return _first(allowed != 0, flat, allowed, empty)


def _fails_closed(factory: Callable[..., Any], proposed: np.ndarray, book: Book) -> str:
    """Buys nothing new on an unreadable proposal, and says so."""
    guardrail = factory()
    for bad in (np.nan, np.inf, -np.inf):
        unreadable = proposed.copy()
        unreadable[:, 0] = bad
        allowed = guardrail.limit(unreadable, book)
        grown = ~(np.abs(allowed) <= np.abs(book.weights) + TOLERANCE) | (allowed * book.weights < 0)
        if grown.any():
            return _first(grown, unreadable, allowed, book)
        one = _one(book, 0)
        if not guardrail.explain(unreadable[0], allowed[0], one):
            return f"no violation for a proposal with {bad}"
    return ""


def _batches(factory: Callable[..., Any], proposed: np.ndarray, book: Book) -> str:
    """Gives each of many books what it would get alone."""
    guardrail = factory()
    allowed = guardrail.limit(proposed, book)
    alone = np.stack([guardrail.limit(proposed[i], _one(book, i)) for i in range(ROWS)])
    return _first(~(np.abs(alone - allowed[:ROWS]) <= 1e-12), proposed[:ROWS], alone, book)


def _explains(factory: Callable[..., Any], proposed: np.ndarray, book: Book) -> str:
    """Gives a reason for each change, with a code, and none without a cause."""
    guardrail = factory()
    for i in range(ROWS):
        one = _one(book, i)
        allowed = guardrail.limit(proposed[i], one)
        reasons = guardrail.explain(proposed[i], allowed, one)
        if np.abs(allowed - proposed[i]).max() > TOLERANCE and not reasons:
            return f"{np.round(proposed[i], 4)} became {np.round(allowed, 4)} without a violation"
        codes = [v.code for v in reasons if not CODE.fullmatch(v.code)]
        if codes:
            return f"the code {codes[0]!r} does not read CATEGORY_CONDITION"
        if any(not v.rule or v.time != one.time or v.symbol not in ("", *one.symbols) for v in reasons):
            return "a violation without a rule, with another time, or with an unknown symbol"
    flat = replace(_one(book, 0), weights=np.zeros(SYMBOLS))
    return "a violation for a flat book" if guardrail.explain(flat.weights, flat.weights, flat) else ""


def _leaves_input_alone(factory: Callable[..., Any], proposed: np.ndarray, book: Book) -> str:
    """Leaves its input alone."""
    given = (proposed, book.weights, book.tradable, book.equity, book.peak)
    copies = [array.copy() for array in given]
    factory().limit(proposed, book)
    return "" if all(np.array_equal(a, b) for a, b in zip(given, copies, strict=True)) else "it wrote into its input"


def _equals_its_kernel(factory: Callable[..., Any], proposed: np.ndarray, book: Book) -> str:
    """Is what its kernel is, if it has one, and remembers the same."""
    rule, known = factory(), [name for name in (*BATCHED, "day", "periods_per_year") if getattr(book, name) is not None]
    if getattr(rule, "kernel", None) is None or (made := compiled_chain([rule], ["rule"], book.symbols, known)) is None:
        return ""
    memory, name = np.zeros((len(proposed), made.places[1, 1])), name_of(rule)
    for _ in range(2):  # a new account, then what it remembers of the first decision
        now = replace(book, memory={name: memory}) if memory.size else book
        allowed = rule.limit(proposed, now)
        after = memory.copy()
        for i in range(ROWS):
            one, weights, state = now.row(i), proposed[i].copy(), memory[i].copy()
            _ask(made, LIMIT, weights, one, state)
            _ask(made, REMEMBER, allowed[i].copy(), one, state)
            if memory.size:
                after[i] = rule.remember(proposed[i], allowed[i], one)
            excess = _ask(made, EXCESS, one.weights.copy(), one, memory[i].copy())
            if not (np.abs(weights - allowed[i]) <= 1e-12).all():
                return f"{np.round(proposed[i], 4)} became {np.round(weights, 4)} and not {np.round(allowed[i], 4)}"
            if not (np.abs(state - after[i]) <= 1e-12).all():
                return f"its memory became {state} and not {after[i]}"
            if not (np.abs(excess - excess_of(np, rule, one.weights, one)) <= 1e-12).all():
                return f"the excess of {np.round(one.weights, 4)} is {excess}"
        memory = after
    return ""


def _ask(made: CompiledChain, task: int, weights: np.ndarray, book: Book, state: np.ndarray) -> np.ndarray:
    """One task of a kernel, ``weights`` and ``state`` in place; its excesses."""
    work, over = np.zeros(made.places[1, 2]), np.zeros(made.places[1, 3])
    past = np.zeros((0, len(weights))) if book.past is None else book.past
    held, series = np.asarray(book.weights).copy(), np.ascontiguousarray(series_of(book))
    told = held, np.ascontiguousarray(book.tradable), numbers_of(book), series, *past_of(past)
    made.kernels[0](task, weights, *told, made.params, state, work, over)
    return over


def _agrees_with_torch(factory: Callable[..., Any], proposed: np.ndarray, book: Book) -> str:
    """Gives torch tensors what it gives arrays."""
    torch = import_module("torch")
    arrays = {name: torch.as_tensor(getattr(book, name)) for name in BATCHED if getattr(book, name) is not None}
    allowed = factory().limit(torch.as_tensor(proposed), replace(book, **arrays))
    if not isinstance(allowed, torch.Tensor):
        return f"gave a {type(allowed).__name__} for tensors"
    expected = factory().limit(proposed, book)
    return _first(~(np.abs(allowed.numpy() - expected) <= 1e-12), proposed, allowed.numpy(), book)


def _one(book: Book, i: int) -> Book:
    return book.row(i)


def _first(broken: np.ndarray, proposed: np.ndarray, allowed: np.ndarray, book: Book) -> str:
    """The first book that breaks a law, in words; empty if none does."""
    if not broken.any():
        return ""
    i = int(np.flatnonzero(broken.any(axis=1))[0])
    held, open_ = np.round(book.weights[i], 4), book.tradable[i]
    return f"held {held}, tradable {open_}: {np.round(proposed[i], 4)} became {np.round(allowed[i], 4)}"
