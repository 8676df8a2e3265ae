"""Backtests under the full chain of guardrails, compiled beside the reference; and many parameter sets in one call."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from tests.bench.rows import EARLIER, Row, timed

__all__ = ["measure"]

SYMBOLS, DAYS, BARS, LOOKBACK = 383, 1259, 100_000, 250
FEW = 100  #: Decisions from which the reference is taken: all of them would need a minute.
SETS, SET_SYMBOLS, FEW_SETS = 1000, 10, 2
REPEATS = 5
#: Asset-bars and bars a second that must be reached, the latter twenty times what the peer reaches.
PANEL, SINGLE, NAUTILUS = 1e6, 260e3, 13e3


def measure() -> list[Row]:
    """Medians of milliseconds of a whole call of ``simulate``, whose reasons nobody asks for."""
    return [_panel(sized=False), _panel(sized=True), *_single(), _many()]


def _panel(*, sized: bool) -> Row:
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((DAYS, SYMBOLS))
    case = _case(rng, 1.2 * weights / np.abs(weights).sum(axis=1, keepdims=True), 0.01, "1D", 252.0)
    chain = _chain(case["positions"].symbols, volatility=0.15, per_symbol=0.02, grouped=True)
    taken, slow, changed = _both(case | (_sizes(rng, weights.shape) if sized else {}), chain)
    cells = SYMBOLS * DAYS
    words = f"all eleven guardrails, {SYMBOLS} symbols x {DAYS:,} days"
    words += ", an order ledger with impact, participation, carry-over, lots and margin" if sized else ""
    words += f" ({cells / taken / 1e3:,.1f} M asset-bars/s, {changed:.0%} of decisions changed)"
    return _row(words, taken, f"the reference, from {FEW} days", slow, 1e3 * cells / PANEL)


def _sizes(rng: np.random.Generator, shape: tuple[int, int]) -> dict[str, Any]:
    """An account of 100 million on a market in which about one order in five is larger than it may be."""
    from mnpu.simulation.costs import CostModel
    from mnpu.simulation.execution import Conditions, Execution

    volume = 1e7 * np.exp(rng.standard_normal(shape))
    told = Conditions(volume, np.full(shape, 1e7), np.full(shape, 0.01), years=np.full(shape[0], 1 / 365))
    return {
        "execution": Execution(capital=1e8, participation=0.1, lot=1.0, min_notional=500.0, maintenance=0.05),
        "costs": CostModel(1.0, 2.0, impact=0.5, borrow_bps=50.0),
        "conditions": told,
    }


def _single() -> list[Row]:
    rng = np.random.default_rng(0)
    prices = np.cumsum(0.001 * rng.standard_normal(BARS))
    sums = np.concatenate([[0.0], np.cumsum(prices)])
    mean = lambda n: (sums[n:] - sums[:-n])[100 - n : BARS - n + 1] / n
    held = np.zeros((BARS, 1))
    held[99:, 0] = 0.4 * np.sign(mean(20) - mean(100))
    case = _case(rng, held, 0.001, "5min", 288 * 365.0)
    chain = _chain(case["positions"].symbols, volatility=0.5, per_symbol=1.0, grouped=False)
    taken, slow, changed = _both(case, chain)
    words = f"all eleven guardrails, bar by bar, one instrument x {BARS:,} bars of 5 minutes "
    words += f"({BARS / taken * 1e3 / 1e3:,.0f} k bars/s, {changed:.0%} of decisions changed)"
    least = 1e3 * BARS / SINGLE
    return [
        _row(
            words, taken, f"nautilus_trader, a simple strategy without them ({EARLIER})", 1e3 * BARS / NAUTILUS, least
        ),
        _row(words, taken, f"the reference, from {FEW} bars", slow, least),
    ]


def _many() -> Row:
    from mnpu.guard import Chain
    from mnpu.simulation.costs import CostModel
    from mnpu.simulation.many import Setting, simulate_many
    from mnpu.simulation.simulate import simulate
    from mnpu_guardrails.brakes import Drawdown
    from mnpu_guardrails.leverage import Leverage
    from mnpu_guardrails.turnover import Turnover

    rng = np.random.default_rng(0)
    weights = rng.standard_normal((DAYS, SET_SYMBOLS))
    case = _case(rng, weights / np.abs(weights).sum(axis=1, keepdims=True), 0.01, "1D", 252.0)
    sets = [
        Setting(
            scale=float(rng.uniform(0.5, 2.0)),
            chain=Chain([Leverage(float(rng.uniform(0.5, 1.5))), Turnover(0.3), Drawdown(stop=rng.uniform(0.15, 0.4))]),
            costs=CostModel(float(rng.uniform(0, 5)), 2.0),
        )
        for _ in range(SETS)
    ]
    taken, found = timed(partial(simulate_many, settings=sets, **case), repeats=REPEATS)

    def alone() -> list[np.ndarray]:
        moved = [replace(case["positions"], weights=case["positions"].weights * one.scale) for one in sets[:FEW_SETS]]
        rest = {name: value for name, value in case.items() if name != "positions"}
        pairs = zip(moved, sets, strict=False)
        return [simulate(own, **rest, chain=one.chain, costs=one.costs, method="stepped").net for own, one in pairs]

    began = time.perf_counter()
    nets = alone()
    slow = 1e3 * (time.perf_counter() - began)
    if np.abs(found.net[:FEW_SETS] - np.stack(nets)).max() > 1e-12:
        raise AssertionError("many settings at once earn something else than each alone")
    slow *= SETS / FEW_SETS
    words = f"{SETS:,} parameter sets of three guardrails, {SET_SYMBOLS} symbols x {DAYS:,} days, in one call"
    least = 1e3 * SETS * SET_SYMBOLS * DAYS / PANEL
    return _row(words, taken, f"the reference, from {FEW_SETS}", slow, least)


def _row(words: str, taken: float, peer: str, value: float, target: float) -> Row:
    return Row("simulation", words, "ms", round(taken, 1), peer, round(value, 1), round(value / taken, 2), target)


def _case(rng: np.random.Generator, weights: np.ndarray, risk: float, every: str, year: float) -> dict[str, Any]:
    """What ``simulate`` needs of a random market: nothing missing, and told to the guardrails."""
    from mnpu.simulation.surroundings import Surroundings
    from mnpu.types import Positions

    n_rows, n_assets = weights.shape
    moves = risk * rng.standard_normal((n_rows + LOOKBACK, n_assets))
    prices = 100 * np.cumprod(1 + moves[LOOKBACK - 1 :], axis=0)
    times = pd.date_range("2015-01-01", periods=n_rows, freq=every, tz="UTC").as_unit("ns")
    names = tuple(f"S{a}" for a in range(n_assets))
    told = Surroundings(
        moves[:-1], LOOKBACK, np.full(weights.shape, 1e8), np.zeros(weights.shape), year
    )  # up to the price of each fill
    positions = Positions(times, names, weights, np.ones(n_rows, dtype=bool))
    return {"positions": positions, "prices": prices, "fill_times": times, "around": told}


def _chain(names: tuple[str, ...], *, volatility: float, per_symbol: float, grouped: bool) -> Any:
    """All registered guardrails, with limits as a fund may have them."""
    from mnpu.guard import Chain
    from mnpu_guardrails.brakes import DailyLoss, Drawdown, KillSwitch
    from mnpu_guardrails.concentration import Concentration
    from mnpu_guardrails.exposure import Exposure
    from mnpu_guardrails.leverage import Leverage
    from mnpu_guardrails.liquidity import Liquidity
    from mnpu_guardrails.risk import TailRisk, VolatilityTarget
    from mnpu_guardrails.stale_data import StaleData
    from mnpu_guardrails.turnover import Turnover

    groups = {name: f"sector {i % 11}" for i, name in enumerate(names)}
    return Chain(
        [
            StaleData(1),
            Liquidity(1e6),
            Exposure(1.5, 1.0, per_symbol, 0.3 if grouped else None, groups if grouped else None),
            Concentration(50.0 if grouped else 1.0),
            Leverage(2.0),
            VolatilityTarget(volatility),
            TailRisk(0.03),
            Turnover(0.9, 2.0 if grouped else None),
            Drawdown(0.2, 0.6, floor=0.25),
            DailyLoss(0.03),
            KillSwitch(),
        ]
    )


def _both(case: dict[str, Any], chain: Any) -> tuple[float, float, float]:
    """Milliseconds of all decisions compiled, and as many along the reference; the share that was changed."""
    from mnpu.simulation.costs import CostModel
    from mnpu.simulation.execution import Conditions
    from mnpu.simulation.simulate import simulate

    run = partial(simulate, chain=chain, costs=CostModel(1.0, 2.0))
    taken, whole = timed(lambda: run(**case), repeats=REPEATS)
    told, n_rows = case["around"], len(case["positions"].times)
    few = replace(told, returns=told.returns[: LOOKBACK + FEW - 1], volume=told.volume[:FEW], age=told.age[:FEW])
    rows = case | {"positions": case["positions"].rows(0, FEW), "prices": case["prices"][: FEW + 1], "around": few}
    rows["fill_times"] = case["fill_times"][:FEW]
    if "conditions" in case:
        known = vars(case["conditions"]).items()
        rows["conditions"] = Conditions(**{name: None if values is None else values[:FEW] for name, values in known})
    began = time.perf_counter()
    part = run(**rows, method="stepped")
    slow = 1e3 * (time.perf_counter() - began)
    if whole.method != "compiled" or np.abs(whole.net[:FEW] - part.net).max() > 1e-12:
        raise AssertionError(f"the {whole.method} route earns something else than the reference")
    asked = case["positions"].weights
    changed = float((np.abs(whole.targets.weights - asked).max(axis=1) > 1e-9).mean())
    return taken, slow * n_rows / FEW, changed
