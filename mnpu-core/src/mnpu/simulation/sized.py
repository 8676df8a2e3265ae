"""Accounts of a size as machine code: without guardrails, or where every rule of the chain has a kernel.

The same account as `mnpu.simulation.ledger.ledger_books`, which is the definition. The reasons of the guardrails are
made when somebody asks for them, as in `mnpu.simulation.stepper`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mnpu.guard import Chain
from mnpu.guard_kernels import CompiledChain, compiled_chain
from mnpu.simulation.books import Books, Orders
from mnpu.simulation.costs import CostModel
from mnpu.simulation.execution import KINDS, Conditions, Execution
from mnpu.simulation.ledger import SizedMarket, settings_of, sized_books
from mnpu.simulation.market import Market
from mnpu.simulation.stepper import World, known_fields, reasons_of, world_of
from mnpu.simulation.surroundings import Surroundings
from mnpu.types import Positions

__all__ = ["compiled_ledger", "run_chained"]


def compiled_ledger(
    positions: Positions,
    market: Market,
    chain: Chain,
    costs: CostModel,
    execution: Execution,
    conditions: Conditions,
    *,
    around: Surroundings | None = None,
) -> Books | None:
    """As `mnpu.simulation.ledger.ledger_books`; None where a rule of the chain has no kernel."""
    rows, settings = SizedMarket.of(market, conditions), settings_of(costs, execution)
    if not chain.guardrails:
        return _free(positions, market, rows, settings, execution.capital, chain)
    made = compiled_chain(chain.guardrails, chain.names, positions.symbols, known_fields(around))
    if made is None:
        return None
    shape = positions.weights.shape
    books, orders = tuple(np.zeros(shape) for _ in range(4)), _room(int(np.prod(shape)))
    paid, path = np.zeros((shape[0], len(KINDS))), np.zeros((4, shape[0]))
    noted = (
        np.zeros(shape[0], dtype=bool), np.zeros((shape[0], 5)), np.zeros((shape[0], made.places[-1, 1])),
        np.zeros(shape[0], dtype=bool), np.zeros(shape),
    )  # fmt: skip
    world = world_of(positions, market, around)
    lost_at, n = run_chained(
        positions, 1.0, world, made, rows, execution.capital, settings, books, paid, path, orders, noted
    )
    reasons = reasons_of(positions, market, chain, made, around, books[2], noted)
    return sized_books(books, path, paid, lost_at, _written(orders, n), reasons=reasons)


def run_chained(
    positions: Positions, scale: float, world: World, made: CompiledChain, rows: SizedMarket, capital: float,
    settings: np.ndarray, *written: Any,
) -> tuple[int, int]:  # fmt: skip
    """All bars under a chain; ``written`` and what is returned as in `mnpu.simulation.sized_loops.run_sized`."""
    from mnpu.simulation.sized_loops import run_sized  # imports the compiler

    return run_sized(
        np.ascontiguousarray(positions.weights, dtype=np.float64), float(scale),
        np.ascontiguousarray(positions.rebalance), world.market, world.told,
        (made.addresses, made.places, made.params), rows.market, rows.gone, rows.conditions, float(capital), settings,
        *written,
    )  # fmt: skip


def _free(
    positions: Positions, market: Market, rows: SizedMarket, settings: np.ndarray, capital: float, chain: Chain
) -> Books:
    from mnpu.simulation.order_loops import run_rows  # imports the compiler

    shape = positions.weights.shape
    before, after, filled = (np.zeros(shape) for _ in range(3))
    paid, path = np.zeros((shape[0], len(KINDS))), np.zeros((3, shape[0]))
    orders = _room(int(np.prod(shape)))
    weights = np.ascontiguousarray(positions.weights, dtype=np.float64)
    lost_at, n = run_rows(
        weights, np.ascontiguousarray(positions.rebalance), rows.market, rows.conditions, float(capital), settings,
        (before, after, filled), paid, path, orders,
    )  # fmt: skip
    readable = positions.rebalance & np.isfinite(weights).all(axis=1)
    targets = np.where(readable[:, None], weights, before)
    violations = chain.apply(positions, market.tradable).violations if not readable.all() else positions.violations
    return sized_books((targets, before, after, filled), path, paid, lost_at, _written(orders, n), violations)


def _room(most: int) -> tuple[np.ndarray, ...]:
    return np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most), np.empty(most)


def _written(orders: tuple[np.ndarray, ...], n: int) -> Orders:
    return Orders(*(column[:n].copy() for column in orders))
