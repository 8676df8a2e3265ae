"""Thousands of parameter sets on one market, in one call: each as `mnpu.simulation.simulate` would run it alone.

The market is prepared once. A setting whose guardrails all have kernels runs as machine code, on as many threads as are
asked for; any other goes through the reference, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mnpu.errors import DataError
from mnpu.guard import Chain
from mnpu.guard_kernels import CompiledChain, compiled_chain
from mnpu.simulation.books import Books
from mnpu.simulation.costs import CostModel
from mnpu.simulation.execution import KINDS, Conditions, Execution
from mnpu.simulation.ledger import SizedMarket, ledger_books, paid_at_once, settings_of
from mnpu.simulation.market import Market, in_numbers, market_for
from mnpu.simulation.simulate import unsized_books
from mnpu.simulation.sized import run_chained
from mnpu.simulation.stepper import World, known_fields, rates_of, world_of
from mnpu.simulation.surroundings import Surroundings
from mnpu.types import Positions

__all__ = ["ManyOutcomes", "Setting", "simulate_many"]

#: Returns that are held at a time where they are only measured: 32 MB.
CELLS = 2**22


@dataclass(frozen=True)
class Setting:
    """What one of many simulations has of its own; None takes what all share.

    Attributes
    ----------
    weights : float64 (T, A) or None
        Positions instead of the shared ones, at the same decisions.
    scale : float
        All weights are multiplied by it.
    chain : Chain or None
    costs : CostModel or None
    execution : Execution or None
    """

    weights: np.ndarray | None = None
    scale: float = 1.0
    chain: Chain | None = None
    costs: CostModel | None = None
    execution: Execution | None = None


@dataclass(frozen=True)
class ManyOutcomes:
    """What each of N settings earned.

    Attributes
    ----------
    net : float64 (N, T) or None
        Simple returns after costs; None where they were measured instead of kept.
    measured : mapping of str to float64 (N,)
        What ``measure`` made of them.
    turnover_oneway, cost : float64 (N,)
        Means per bar: half of what was traded, and what trades cost, fractions of equity.
    lost_at : int64 (N,)
        Row in which the account was lost, -1 if never.
    methods : tuple of str (N,)
        As ``SimulationOutcome.method``; ``compiled`` also where ``simulate`` would find a closed form.
    """

    net: np.ndarray | None
    measured: Mapping[str, np.ndarray]
    turnover_oneway: np.ndarray
    cost: np.ndarray
    lost_at: np.ndarray
    methods: tuple[str, ...]


@dataclass(frozen=True)
class _Shared:
    positions: Positions
    market: Market
    world: World
    chain: Chain
    costs: CostModel
    execution: Execution | None
    conditions: Conditions | None
    around: Surroundings | None

    @cached_property
    def sized(self) -> SizedMarket:
        """The market as accounts of a size read it."""
        return SizedMarket.of(self.market, self.conditions or Conditions())


class _One(NamedTuple):
    turnover_oneway: float
    cost: float
    lost_at: int
    method: str


def simulate_many(
    positions: Positions,
    prices: np.ndarray,
    fill_times: pd.DatetimeIndex,
    settings: Sequence[Setting],
    *,
    chain: Chain | None = None,
    costs: CostModel | None = None,
    execution: Execution | None = None,
    conditions: Conditions | None = None,
    around: Surroundings | None = None,
    measure: Callable[[np.ndarray], Mapping[str, np.ndarray]] | None = None,
    threads: int = 1,
    **market: Any,
) -> ManyOutcomes:
    """Simulate the same decisions under many settings.

    Parameters
    ----------
    positions, prices, fill_times, chain, costs, execution, conditions, around
        As in `mnpu.simulation.simulate.simulate`; what all settings share.
    settings : sequence of Setting
        One or more.
    measure : callable, optional
        Takes net returns (n, T) of some settings and gives numbers (n,) by name, as
        `mnpu.metrics.many.simple_statistics` does. With it the returns are not kept, and memory does not grow with the
        number of settings. Default: they are.
    threads : int, default=1
        Settings that run at once. The result does not depend on it.
    market
        ``tradable``, ``marks``, ``cash`` and ``ended``, as in ``simulate``.

    Returns
    -------
    outcomes : ManyOutcomes
        In the order of the settings; each equals its own call of ``simulate`` up to rounding.

    Raises
    ------
    DataError
        No setting, weights of another shape, a scale that is not finite, or arrays that do not fit the positions.
    """
    positions = in_numbers(positions)
    _check(settings, positions.weights.shape, threads)
    known = market_for(positions, prices, fill_times, **market)
    shared = _Shared(
        positions, known, world_of(positions, known, around), chain or Chain(), costs or CostModel(0.0, 0.0), execution,
        conditions, around,
    )  # fmt: skip
    n_rows = len(positions.weights)
    whole = np.zeros((len(settings) if measure is None else 0, n_rows))
    step = len(settings) if measure is None else max(CELLS // max(n_rows, 1), 1)
    ones: list[_One] = []
    parts: list[Mapping[str, np.ndarray]] = []
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(settings), step):
            some = settings[first : first + step]
            net = whole if measure is None else np.zeros((len(some), n_rows))
            ones += pool.map(lambda pair: _run(shared, *pair), zip(some, net, strict=True))
            if measure is not None:
                parts.append(measure(net))
    measured = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
    turnover, cost, lost_at, methods = zip(*ones, strict=True)
    kept = whole if measure is None else None
    return ManyOutcomes(kept, measured, np.array(turnover), np.array(cost), np.array(lost_at), methods)


def _run(shared: _Shared, setting: Setting, net: np.ndarray) -> _One:
    """One setting; its returns go into ``net`` (T,)."""
    chain, costs = setting.chain or shared.chain, setting.costs or shared.costs
    execution = setting.execution or shared.execution
    sized = execution is not None or shared.conditions is not None or costs.sized
    own = Execution() if execution is None else execution
    made = compiled_chain(chain.guardrails, chain.names, shared.positions.symbols, known_fields(shared.around))
    if made is not None:
        return _compiled(shared, setting, made, costs, own if sized else None, net)
    weights = shared.positions.weights if setting.weights is None else setting.weights
    positions = replace(shared.positions, weights=weights * setting.scale)
    if sized:
        conditions = shared.conditions or Conditions()
        books = ledger_books(positions, shared.market, chain, costs, own, conditions, around=shared.around)
        method: str = "stepped"
    else:
        books, method = unsized_books(positions, shared.market, chain, costs, "auto", shared.around)
    net[:] = books.net
    return _of_books(books, method)


def _of_books(books: Books, method: str) -> _One:
    lost_at = -1 if books.lost_at is None else books.lost_at
    cost = sum(paid for paid in books.kinds.values()) if books.kinds is not None else books.cost
    return _One(float(books.notional.mean() / 2), float(np.mean(cost)), lost_at, method)


def _compiled(
    shared: _Shared, setting: Setting, made: CompiledChain, costs: CostModel, execution: Execution | None,
    net: np.ndarray,
) -> _One:  # fmt: skip
    n_rows, n_assets = shared.positions.weights.shape
    path, books = np.zeros((4, n_rows)), tuple(np.zeros((1, n_assets)) for _ in range(4))
    noted = np.zeros(n_rows, dtype=bool), np.zeros((1, 5)), np.zeros((1, made.places[-1, 1]))
    positions = shared.positions if setting.weights is None else replace(shared.positions, weights=setting.weights)
    if execution is not None:
        paid, none = np.zeros((n_rows, len(KINDS))), np.zeros(0, np.int64)
        lost_at, _ = run_chained(
            positions, setting.scale, shared.world, made, shared.sized, execution.capital,
            settings_of(costs, execution), books, paid, path, (none, none, np.zeros(0), np.zeros(0)),
            (*noted, np.zeros(n_rows, dtype=bool), np.zeros((1, n_assets))),
        )  # fmt: skip
        paid_at_once(paid, path[0])
        cost = float(paid.sum(axis=1).mean())
    else:
        from mnpu.simulation.stepper_loops import run_weights  # imports the compiler

        lost_at = run_weights(
            np.ascontiguousarray(positions.weights, dtype=np.float64), float(setting.scale),
            np.ascontiguousarray(positions.rebalance), shared.world.market, shared.world.told,
            (made.addresses, made.places, made.params), rates_of(costs), books, path, noted,
        )  # fmt: skip
        cost = float(path[0].mean())
    net[:] = path[2]
    return _One(float(path[3].mean() / 2), cost, int(lost_at), "compiled")


def _check(settings: Sequence[Setting], shape: tuple[int, ...], threads: int) -> None:
    if not settings or threads < 1:
        raise DataError(f"{len(settings)} settings on {threads} threads", where="settings", expected="one or more")
    for i, setting in enumerate(settings):
        if setting.weights is not None and np.shape(setting.weights) != shape:
            raise DataError(
                f"the weights have the shape {np.shape(setting.weights)}", where=f"settings[{i}]", expected=f"{shape}"
            )
        if not np.isfinite(setting.scale):
            raise DataError(f"the scale is {setting.scale}", where=f"settings[{i}]", expected="a finite number")
