"""Backtests of target weights and of single orders, beside vectorbt on the same market, in one thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.bench import simulation_guarded
from tests.bench.peers import Peer
from tests.bench.rows import Row, timed

__all__ = ["measure"]

SYMBOLS, DAYS = 383, 1259
MANY = (1000, 1000)  #: Bars and symbols of a million orders.
REPEATS = 7
FASTER, FASTER_BY_ORDER = 20.0, 5.0
#: How near the equity of a whole history must come to the peer's, which sizes orders before their fees.
NEAR = 1e-2
SCRIPT = Path(__file__).with_name("simulation_peers.py")
PACKAGES = ("vectorbt==1.2.0",)
PEERS = {
    "targets": Peer("vectorbt", "vectorbt", PACKAGES, "targets", 255.0),
    "orders": Peer("vectorbt", "vectorbt", PACKAGES, "orders", 217.0),
}


def measure(workspace: Path) -> list[Row]:
    """Medians of milliseconds; the tables of fills that nobody asks for are not made, neither ours nor the peer's.

    Parameters
    ----------
    workspace : path
        Folder of the peer's environment.
    """
    folder = workspace / "simulation"
    folder.mkdir(parents=True, exist_ok=True)
    market = _market()
    np.savez(folder / "market.npz", **market)
    rows = []
    for work, ours, factor, case in (
        ("targets", _targets, FASTER, f"target weights, {SYMBOLS} symbols x {DAYS:,} days, with costs"),
        ("orders", _orders, FASTER_BY_ORDER, "a million orders of an account with cash, costs and a record of each"),
    ):
        taken, found = timed(lambda ours=ours: ours(market), repeats=REPEATS)
        theirs, shown, expected = PEERS[work].measured(SCRIPT, folder, workspace)
        _check(work, found, expected)
        rows.append(
            Row(
                "simulation",
                case,
                "ms",
                round(taken, 1),
                shown,
                round(theirs, 1),
                round(theirs / taken, 2),
                round(theirs / factor, 1),
            )
        )
    return rows + simulation_guarded.measure()


def _market() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    steps = 0.01 * rng.standard_normal((DAYS, SYMBOLS))
    weights = rng.standard_normal((DAYS, SYMBOLS))
    many = 0.01 * rng.standard_normal(MANY)
    return {
        "prices": 100 * np.exp(np.cumsum(steps, axis=0)),
        "weights": weights / np.abs(weights).sum(axis=1, keepdims=True),
        "many_prices": 100 * np.exp(np.cumsum(many, axis=0)),
        "many_shares": rng.choice([-1.0, 1.0], MANY) * rng.integers(1, 9, MANY),
    }


def _positions(weights: np.ndarray) -> Any:
    from mnpu.types import Positions

    times = pd.date_range("2015-01-01", periods=len(weights), tz="UTC").as_unit("ns")
    names = tuple(f"S{a}" for a in range(weights.shape[1]))
    return Positions(times, names, weights, np.ones(len(weights), dtype=bool))


def _targets(market: dict[str, np.ndarray]) -> float:
    """The equity at the end over that at the start."""
    from mnpu.simulation.costs import CostModel
    from mnpu.simulation.simulate import simulate

    prices = np.vstack([market["prices"], market["prices"][-1:]])
    positions = _positions(market["weights"])
    return float(simulate(positions, prices, positions.times, costs=CostModel(1.0, 2.0)).equity[-1])


def _orders(market: dict[str, np.ndarray]) -> float:
    """How many orders were recorded."""
    from mnpu.simulation.costs import CostModel
    from mnpu.simulation.execution import Execution
    from mnpu.simulation.simulate import simulate

    held = np.cumsum(market["many_shares"], axis=0)
    weights = held * market["many_prices"] / 1e9
    positions = _positions(weights)
    prices = np.vstack([market["many_prices"], market["many_prices"][-1:]])
    outcome = simulate(positions, prices, positions.times, costs=CostModel(1.0, 2.0), execution=Execution(capital=1e9))
    assert outcome.orders is not None
    return float(len(outcome.orders.row))


def _check(work: str, found: float, expected: float) -> None:
    if abs(found - expected) > NEAR * abs(expected):
        raise AssertionError(f"{work}: {found} here, and {expected} in the peer")
