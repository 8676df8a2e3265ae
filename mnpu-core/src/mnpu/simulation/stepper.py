"""Accounts under guardrails as machine code, where every rule of the chain has a kernel.

The same account as `mnpu.simulation.books.stepped_books`, which is the definition. The reasons of the guardrails are
made when somebody asks for them, by the reference, of those rows in which a rule changed something.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnpu.guard import Chain
from mnpu.guard_kernels import DAY, DAY_EQUITY, EQUITY, PEAK, YEAR, CompiledChain, compiled_chain, past_of
from mnpu.simulation.account import DAY_NS
from mnpu.simulation.books import Books
from mnpu.simulation.costs import CostModel
from mnpu.simulation.market import Market
from mnpu.simulation.surroundings import Surroundings
from mnpu.types import Book, Positions, Violation

__all__ = ["World", "compiled_books", "known_fields", "world_of"]


@dataclass(frozen=True)
class World:
    """What all accounts of one market share, as `mnpu.simulation.stepper_loops` reads it."""

    market: tuple[np.ndarray, ...]
    told: tuple[Any, ...]


def known_fields(around: Surroundings | None) -> tuple[str, ...]:
    """Fields of a book that the guardrails of a simulation find."""
    if around is None:
        return ("day", "day_equity")
    told = around.book(0) if len(around.age) else {}
    return ("day", "day_equity", *(name for name, value in told.items() if value is not None))


def world_of(positions: Positions, market: Market, around: Surroundings | None) -> World:
    """The arrays of a market, and what it has told by each decision."""
    n_rows, n_assets = market.returns.shape
    days = (positions.times.as_unit("ns").asi8 // DAY_NS + 1).astype(np.float64)
    arrays = (market.marks, market.tradable, market.fillable, market.returns, market.income, days)
    unknown = np.full((1, n_assets), np.nan)
    if around is None:
        told: tuple[Any, ...] = (np.zeros((0, n_assets)), np.zeros((1, n_assets)), unknown, unknown, 0, np.nan)
    else:
        bars = around.lookback
        first = len(around.returns) - n_rows + 1 - bars
        rows = around.returns[max(first, 0) :]
        if first < 0:
            rows = np.concatenate([np.full((-first, n_assets), np.nan), rows])
        lists = [np.ascontiguousarray(x, dtype=np.float64) for x in (*past_of(rows), around.volume, around.age)]
        told = (*lists, bars, float(around.periods_per_year))
    return World(tuple(map(np.ascontiguousarray, arrays)), told)


def compiled_books(
    positions: Positions, market: Market, chain: Chain, costs: CostModel, around: Surroundings | None = None
) -> Books | None:
    """As `mnpu.simulation.books.stepped_books`; None where a rule of the chain has no kernel."""
    made = compiled_chain(chain.guardrails, chain.names, positions.symbols, known_fields(around))
    if made is None:
        return None
    from mnpu.simulation.stepper_loops import run_weights  # imports the compiler

    shape = positions.weights.shape
    books, path = tuple(np.zeros(shape) for _ in range(4)), np.zeros((4, shape[0]))
    noted = np.zeros(shape[0], dtype=bool), np.zeros((shape[0], 5)), np.zeros((shape[0], made.places[-1, 1]))
    world = world_of(positions, market, around)
    lost_at = run_weights(
        np.ascontiguousarray(positions.weights, dtype=np.float64), np.ascontiguousarray(positions.rebalance),
        world.market, world.told, (made.addresses, made.places, made.params), rates_of(costs), books, path, noted,
    )  # fmt: skip
    targets, before, after, traded = books
    cost, gross, net, notional = path
    reasons = _reasons(positions, market, chain, made, around, after, noted)
    lost = None if lost_at < 0 else int(lost_at)
    return Books(targets, before, after, traded, notional, cost, gross, net, (), lost, reasons=reasons)


def rates_of(costs: CostModel) -> np.ndarray:
    """Commission and half-spread, fractions of what is traded, (2,)."""
    return np.array([costs.commission_bps / 1e4, costs.half_spread_bps / 1e4])


def _reasons(
    positions: Positions, market: Market, chain: Chain, made: CompiledChain, around: Surroundings | None,
    after: np.ndarray, noted: tuple[np.ndarray, ...],
) -> Callable[[], tuple[Violation, ...]]:  # fmt: skip
    touched, numbers, states = noted

    def found() -> tuple[Violation, ...]:
        violations = list(positions.violations)
        for t in map(int, np.flatnonzero(touched)):
            told = {} if around is None else around.book(t)
            held = marked(after[t - 1] if t else np.zeros(after.shape[1]), market.marks[t])
            book = book_of(held, market.tradable[t], numbers[t], positions, t, told | {"memory": made.memory(states[t])})
            wanted = positions.weights[t] if positions.rebalance[t] else book.weights
            violations += chain.decide(wanted, book).violations
        return tuple(violations)

    return found


def marked(weights: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """The book after a fill as it has drifted by its returns since, both (A,)."""
    growth = 1.0 + float(weights @ marks)
    return weights * (1.0 + marks) / growth if growth > 0.0 else weights


def book_of(
    held: np.ndarray, tradable: np.ndarray, numbers: np.ndarray, positions: Positions, t: int, told: dict[str, Any]
) -> Book:
    """The book that a guardrail saw at decision ``t``, from the numbers that its kernel was given."""
    day = {"day": int(numbers[DAY]) - 1, "day_equity": float(numbers[DAY_EQUITY])}
    if np.isfinite(numbers[YEAR]):
        day["periods_per_year"] = float(numbers[YEAR])
    equity, peak = float(numbers[EQUITY]), float(numbers[PEAK])
    return Book(held, tradable, equity, peak, positions.times[t], positions.symbols, **{**day, **told})
