"""Accounts under compiled guardrails equal the account that is stepped in Python: books, money, memory and reasons."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.guard import Chain, GrossCap
from mnpu.simulation.costs import CostModel
from mnpu.simulation.simulate import simulate
from mnpu.simulation.surroundings import Surroundings
from mnpu.types import Positions
from mnpu_guardrails.brakes import DailyLoss, Drawdown, KillSwitch
from mnpu_guardrails.concentration import Concentration
from mnpu_guardrails.exposure import Exposure
from mnpu_guardrails.leverage import Leverage
from mnpu_guardrails.liquidity import Liquidity
from mnpu_guardrails.risk import TailRisk, VolatilityTarget
from mnpu_guardrails.stale_data import StaleData
from mnpu_guardrails.turnover import Turnover

BARS = 20
ACTIONS = ("scale", "scale", "scale", "de-risk", "warn")


def rules_of(rng, names) -> list[Any]:
    """Some rules, each with settings that bind now and then; a rule may come twice."""
    action = lambda: str(rng.choice(ACTIONS))
    groups = {name: str(rng.choice(["tech", "banks"])) for name in names}
    u = rng.uniform
    made = [
        lambda: Exposure(u(0.4, 1.5), u(0.1, 1.0), u(0.1, 0.6), action=action()),
        lambda: Exposure(u(0.4, 1.5), None, None, u(0.2, 0.6), groups, action()),
        lambda: Concentration(u(1.0, len(names)), action()),
        lambda: Turnover(u(0.05, 0.4), rng.choice([None, 0.5]), action()),
        lambda: Leverage(u(0.5, 2.0), u(0.2, 1.0), {names[0]: 0.9}, 0.3, action()),
        lambda: Drawdown(0.05, u(0.1, 0.4), u(0.0, 0.05), u(0.5, 1.0), rng.choice([0.0, 0.2]), action()),
        lambda: DailyLoss(u(0.01, 0.1), u(0.0, 0.5), action()),
        lambda: VolatilityTarget(u(0.05, 0.6), 15, 0.5, action()),
        lambda: TailRisk(u(0.003, 0.04), 0.55, window=BARS, min_history=0.5, action=action()),
        lambda: StaleData(int(rng.integers(0, 3)), action()),
        lambda: Liquidity(1e6, 1.0, u(0.05, 1.0), action()),
        lambda: KillSwitch(engaged=bool(rng.random() < 0.1), then=str(rng.choice(["close", "reduce"]))),
        lambda: GrossCap(u(0.5, 1.5)),
    ]
    share = rng.choice([0.2, 0.5, 1.0])
    chosen = [make() for make in made if rng.random() < share] or [made[int(rng.integers(len(made)))]()]
    rng.shuffle(chosen)
    return chosen


@dataclass
class Case:
    """A market with gaps and deaths, told to guardrails, and an account under a chain."""

    positions: Positions
    chain: Chain
    options: dict[str, Any]

    def run(self, method):
        times = self.positions.times + pd.Timedelta(hours=1)
        return simulate(self.positions, fill_times=times, chain=self.chain, method=method, **self.options)


def case_of(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    shape = n_rows, n_assets = int(rng.integers(1, 25)), int(rng.integers(2, 6))
    names = tuple("ABCDEF"[:n_assets])
    maybe = lambda value, other: value if rng.random() < 0.5 else other
    prices = rng.uniform(5, 200, n_assets) * np.cumprod(rng.uniform(0.9, 1.12, (n_rows + 1, n_assets)), axis=0)
    ended = np.zeros(prices.shape, dtype=bool)
    if rng.random() < 0.3:
        ended[int(rng.integers(0, n_rows + 1)), 0] = True
    cash = prices * maybe(rng.uniform(0, 0.03, prices.shape) * (rng.random(prices.shape) < 0.2), 0.0)
    prices[rng.random(prices.shape) < 0.1] = np.nan
    weights = rng.choice([0.1, 0.4, 1.0]) * rng.standard_normal(shape) * (rng.random(shape) < 0.8)
    weights[rng.random(n_rows) < 0.05] = np.nan
    returns = 0.03 * rng.standard_normal((n_rows + int(rng.integers(0, 2 * BARS)), n_assets))
    returns[rng.random(returns.shape) < 0.05] = np.nan
    age = rng.choice([0.0, 0.0, 0.0, 1.0, 4.0, np.nan], shape)
    volume = rng.choice([1e4, 1e6, 1e8, np.nan], shape)
    times = pd.date_range("2020-01-01 03:00", periods=n_rows, freq=maybe("6h", "1D"), tz="UTC").as_unit("ns")
    options = {
        "prices": prices,
        "tradable": rng.random(shape) < 0.9,
        "marks": maybe(0.02 * rng.standard_normal(shape), None),
        "cash": cash,
        "ended": ended,
        "costs": CostModel(3.0, 7.0),
        "around": Surroundings(returns, BARS, volume, age, 252.0),
    }
    rebalance = rng.random(n_rows) < maybe(0.6, 1.1)
    return Case(Positions(times, names, weights, rebalance), Chain(rules_of(rng, names)), options)


def assert_equal(compiled, stepped):
    near = lambda expected: pytest.approx(expected, rel=1e-12, abs=1e-12)
    for name in ("gross", "net", "equity", "turnover_oneway"):
        assert getattr(compiled, name) == near(getattr(stepped, name)), name
    for kind, paid in stepped.costs.items():
        assert compiled.costs[kind] == near(paid)
    assert compiled.targets.weights == near(stepped.targets.weights)
    assert compiled.positions.weights == near(stepped.positions.weights)
    assert compiled.notes == stepped.notes
    # A trade of 1e-17 on one route may be none on the other, so it is not counted.
    assert (compiled.fills.cost > 1e-14).sum() == (stepped.fills.cost > 1e-14).sum()
    mine, theirs = compiled.targets.violations, stepped.targets.violations
    tell = lambda v: (v.rule, v.code, v.time, v.symbol, v.action)
    assert [tell(v) for v in mine] == [tell(v) for v in theirs]
    for number in ("limit", "value"):
        assert [getattr(v, number) for v in mine] == pytest.approx([getattr(v, number) for v in theirs], abs=1e-9)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_any_chain_of_compiled_rules_equals_the_reference(seed):
    case = case_of(seed)
    compiled, stepped = case.run("auto"), case.run("stepped")
    assert stepped.method == "stepped"
    assert compiled.method in ("compiled", "closed")
    assert_equal(compiled, stepped)


class Halved:
    """Somebody's rule without a kernel: half of everything."""

    path_dependent = False
    name = "halved"

    def limit(self, proposed, book):
        return np.where(book.tradable, np.where(np.isfinite(proposed), proposed, book.weights) / 2, book.weights)

    def excess(self, weights, book):
        return np.zeros_like(weights[..., :1])

    def explain(self, proposed, allowed, book):
        return []


def test_a_rule_without_a_kernel_takes_the_whole_account_along_the_reference():
    case = case_of(7)
    plain = replace(case, chain=Chain([Turnover(0.2), Halved()]))
    taken = plain.run("auto")
    assert taken.method == "stepped"
    assert_equal(taken, plain.run("stepped"))


def test_what_guardrails_are_not_told_takes_the_reference():
    case = case_of(7)
    untold = replace(case, chain=Chain([VolatilityTarget()]), options={**case.options, "around": None})
    taken = untold.run("auto")
    assert taken.method == "stepped"
    assert "BOOK_UNKNOWN_PAST" in {v.code for v in taken.targets.violations}


def test_reasons_are_made_when_asked_for_and_once(monkeypatch):
    case = replace(case_of(3), chain=Chain([Turnover(0.01)]))
    asked = []
    monkeypatch.setattr(Chain, "decide", lambda self, *given, true=Chain.decide: asked.append(1) or true(self, *given))
    outcome = case.run("auto")
    assert outcome.method == "compiled"
    assert len(asked) == 0
    assert outcome.targets.violations == outcome.positions.violations != ()
    assert outcome.targets.violations is outcome.targets.violations
    assert 0 < len(asked) <= len(case.positions.times)


def test_a_brake_that_halts_stays_in_cash_on_both_routes():
    n = 30
    times = pd.date_range("2020-01-01", periods=n, freq="D", tz="UTC").as_unit("ns")
    positions = Positions(times, ("A",), np.ones((n, 1)), np.ones(n, bool))
    prices = np.concatenate([100 * 0.97 ** np.arange(15), 60 * 1.03 ** np.arange(16)])[:, None]
    chain = Chain([Drawdown(0.1, 0.2, 0.05, 1.0, 0.0)])
    runs = [simulate(positions, prices, times, chain=chain, method=method) for method in ("auto", "stepped")]
    assert [run.method for run in runs] == ["compiled", "stepped"]
    assert_equal(*runs)
    assert runs[0].net[-10:] == pytest.approx(0.0)  # prices recover, the account does not


def test_no_route_ever_looks_beyond_a_decision():
    case = case_of(11)
    whole = case.run("auto")
    n = len(case.positions.times) // 2
    cut = {
        name: values[: n + (name in ("prices", "cash", "ended"))] if isinstance(values, np.ndarray) else values
        for name, values in case.options.items()
    }
    around, rows = case.options["around"], len(case.positions.times)
    told = replace(around, returns=around.returns[: len(around.returns) - rows + n], age=around.age[:n])
    cut["around"] = replace(told, volume=around.volume[:n])
    part = Case(case.positions.rows(0, n), case.chain, cut).run("auto")
    assert part.targets.weights == pytest.approx(whole.targets.weights[:n], abs=0)
