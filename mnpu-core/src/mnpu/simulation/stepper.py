"""Accounts under guardrails as machine code, where every rule of the chain has a kernel.

The same account as `mnpu.simulation.books.stepped_books`, which is the definition. The reasons of the guardrails are
made when somebody asks for them, by the reference, of those rows in which a rule changed something.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnpu.data.clock import DAY_NS
from mnpu.guard import Chain
from mnpu.guard_kernels import DAY, DAY_EQUITY, EQUITY, PEAK, CompiledChain, compiled_chain, past_of
from mnpu.simulation.account import Account
from mnpu.simulation.books import Books
from mnpu.simulation.costs import CostModel
from mnpu.simulation.market import Market
from mnpu.simulation.surroundings import Surroundings
from mnpu.types import Positions, Violation

__all__ = ["World", "account_of", "compiled_books", "known_fields", "rates_of", "reasons_of", "world_of"]

#: Fields of a book that every simulated account fills.
KNOWN = ("day", "day_equity", "switches")


@dataclass(frozen=True)
class World:
    """What all accounts of one market share, as `mnpu.simulation.stepper_loops` reads it."""

    market: tuple[np.ndarray, ...]
    told: tuple[Any, ...]


def known_fields(around: Surroundings | None) -> tuple[str, ...]:
    """Fields of a book that the guardrails of a simulation find."""
    if around is None:
        return KNOWN
    told = around.book(0) if len(around.age) else {}
    return (*KNOWN, *(name for name, value in told.items() if value is not None))


def world_of(positions: Positions, market: Market, around: Surroundings | None) -> World:
    """The arrays of a market, and what it has told by each decision."""
    n_rows, n_assets = market.returns.shape
    days = positions.times.as_unit("ns").asi8 // DAY_NS
    days = (days + (days >= 0)).astype(np.float64)
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
    rules = made.addresses, made.places, made.params
    asked = np.ascontiguousarray(positions.weights, dtype=np.float64)
    rebalance, rates = np.ascontiguousarray(positions.rebalance), rates_of(costs)
    lost_at = run_weights(asked, 1.0, rebalance, world.market, world.told, rules, rates, books, path, noted)
    targets, before, after, traded = books
    cost, gross, net, notional = path
    reasons = reasons_of(positions, market, chain, made, around, after, noted)
    lost = None if lost_at < 0 else int(lost_at)
    return Books(targets, before, after, traded, notional, cost, gross, net, (), lost, reasons=reasons)


def rates_of(costs: CostModel) -> np.ndarray:
    """Commission and half-spread, fractions of what is traded, (2,)."""
    return np.array([costs.commission_bps / 1e4, costs.half_spread_bps / 1e4])


def reasons_of(
    positions: Positions, market: Market, chain: Chain, made: CompiledChain, around: Surroundings | None,
    after: np.ndarray, noted: tuple[np.ndarray, ...],
) -> Callable[[], tuple[Violation, ...]]:  # fmt: skip
    """The violations, to be made by the reference: of the rows that a compiled loop has ``noted``."""
    touched, numbers, states, *waits = noted

    def found() -> tuple[Violation, ...]:
        violations = list(positions.violations)
        for t in map(int, np.flatnonzero(touched)):
            told = {} if around is None else around.book(t)
            held = after[t - 1] if t else np.zeros(after.shape[1])
            account = account_of(held, market.marks[t], numbers[t], made.memory(states[t]))
            book = account.seen(market.marks[t], market.tradable[t], positions.times[t], positions.symbols, told)
            wanted = positions.weights[t] if positions.rebalance[t] else book.weights
            if waits and waits[0][t]:
                wanted = waits[1][t]
            violations += chain.decide(wanted, book).violations
        return tuple(violations)

    return found


def account_of(held: np.ndarray, marks: np.ndarray, numbers: np.ndarray, memory: dict[str, np.ndarray]) -> Account:
    """The account as it stood before a decision at which kernels were given these numbers and this memory.

    ``held`` (A,) are the weights after the last fill, ``marks`` (A,) their returns since.
    """
    account = Account(len(held))
    account.memory = memory
    growth = 1.0 + float(held @ marks)
    day = int(numbers[DAY])
    at_fill = float(numbers[EQUITY]) / (growth if growth > 0.0 else 1.0)
    account.resume(held, at_fill, float(numbers[PEAK]), day - (day > 0), float(numbers[DAY_EQUITY]))
    return account
