"""Accounts of a size under compiled guardrails equal the account that is stepped in Python, orders and reasons too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.guard import Chain, GrossCap
from mnpu.simulation.costs import CostModel
from mnpu.simulation.execution import Conditions, Execution
from mnpu.simulation.many import Setting, simulate_many
from mnpu_guardrails.turnover import Turnover
from tests.guardrails.test_compiled_account import Halved, assert_equal, case_of, rules_of


def execution_of(rng) -> Execution:
    maybe = lambda value, other: value if rng.random() < 0.5 else other
    return Execution(
        capital=float(rng.choice([1e4, 1e6])),
        participation=maybe(0.2, None),
        carry=bool(rng.random() < 0.7),
        lot=maybe(2.0, None),
        min_notional=maybe(300.0, 0.0),
        maintenance=maybe(float(rng.choice([0.6, 2.5])), None),
    )


def costs_of(rng) -> CostModel:
    impact, borrow = rng.choice([0.0, 0.8]), rng.choice([0.0, 300.0])
    return CostModel(3.0, 7.0, impact=impact, borrow_bps=borrow, liquidation_bps=50.0)


def conditions_of(rng, shape) -> Conditions:
    """Of a market in which anything may be unknown."""
    n_rows, maybe = shape[0], lambda value, other: value if rng.random() < 0.5 else other
    patchy = lambda values: np.where(rng.random(shape) < 0.1, np.nan, values)
    return Conditions(
        volume=patchy(rng.choice([3e3, 6e4, 1e7], shape)),
        usual=maybe(patchy(rng.uniform(1e3, 1e6, shape)), None),
        volatility=patchy(rng.uniform(0.0, 0.05, shape)),
        funding=maybe(rng.uniform(-0.01, 0.01, shape), None),
        years=rng.uniform(1 / 365, 4 / 365, n_rows),
        low=maybe(-rng.uniform(0, 0.3, shape), None),
        high=maybe(rng.uniform(0, 0.3, shape), None),
        factor=maybe(np.cumprod(rng.choice([1.0, 1.0, 1.0, 2.0, 0.1, 1.5], shape), axis=0), None),
    )


def sized(seed: int, **chosen):
    """A case of the account without a size, on a market that has one; `chosen` instead of what is drawn."""
    case, rng = case_of(seed), np.random.default_rng(seed + 1)
    weights = case.positions.weights * rng.choice([1.0, 5.0])
    if rng.random() < 0.2:  # a chain that lets an account be lost
        case, weights = replace(case, chain=Chain([GrossCap(80.0)])), 20 * weights
    drawn = {"costs": costs_of(rng), "execution": execution_of(rng)}
    drawn["conditions"] = conditions_of(rng, weights.shape)
    return replace(
        case, positions=replace(case.positions, weights=weights), options={**case.options, **drawn, **chosen}
    )


def assert_same_orders(one, other):
    """Up to rounding, which may be an order of 1e-30 where the other has none."""
    tables = []
    for orders in (one, other):
        assert (np.diff(orders.row) >= 0).all()
        table = np.zeros((2, 30, 6))
        table[:, orders.row, orders.symbol] = orders.asked, orders.filled
        tables.append(table)
    assert tables[0] == pytest.approx(tables[1], rel=1e-12, abs=1e-12)


@given(st.integers(0, 2**32 - 2))
@settings(max_examples=150, deadline=None)
def test_any_account_of_a_size_under_any_chain_equals_the_reference(seed):
    case = sized(seed)
    compiled, stepped = case.run("auto"), case.run("stepped")
    assert (compiled.method, stepped.method) == ("compiled", "stepped")
    assert_same_orders(compiled.orders, stepped.orders)
    assert_equal(compiled, stepped)


@given(st.integers(0, 2**32 - 2))
@settings(max_examples=40, deadline=None)
def test_without_guardrails_too(seed):
    case = replace(sized(seed), chain=Chain())
    compiled, stepped = case.run("auto"), case.run("stepped")
    assert (compiled.method, stepped.method) == ("compiled", "stepped")
    assert_same_orders(compiled.orders, stepped.orders)
    for name in ("gross", "net", "turnover_oneway"):
        assert getattr(compiled, name) == pytest.approx(getattr(stepped, name), abs=1e-12), name
    assert compiled.positions.weights == pytest.approx(stepped.positions.weights, abs=1e-12)


def test_the_random_accounts_do_everything():
    """What the comparison is worth: orders that are cut, waits that a rule cuts, liquidations, losses, deaths."""
    runs = [(case, case.run("auto")) for case in map(sized, range(150))]
    partly = sum(int((np.abs(run.orders.filled) < np.abs(run.orders.asked) - 1e-9).sum()) for _, run in runs)
    assert partly > 300
    for kind, least in {"impact": 20, "borrow": 20, "funding": 20, "liquidation": 5}.items():
        assert sum((run.costs[kind] != 0).any() for _, run in runs) >= least, kind
    assert sum("lost" in note for _, run in runs for note in run.notes) >= 5
    assert sum("delisting" in note for _, run in runs for note in run.notes) >= 5
    waited = 0
    for case, run in runs:
        if run.targets.violations and case.options["execution"].carry:
            quiet = set(case.positions.times[~case.positions.rebalance])
            waited += any(v.time in quiet for v in run.targets.violations)
    assert waited >= 5


def test_a_rule_without_a_kernel_takes_the_whole_account_along_the_reference():
    case = replace(sized(7), chain=Chain([Turnover(0.2), Halved()]))
    taken = case.run("auto")
    assert taken.method == "stepped"
    assert_equal(taken, case.run("stepped"))


def test_reasons_of_a_carried_order_are_made_when_asked_for():
    """A cap of one half cuts what still waits; the reason names the book that would have been held."""
    case = sized(3, execution=Execution(capital=1e6, participation=0.2), costs=CostModel(0.0, 0.0))
    times, shape = case.positions.times[:4], (4, case.positions.weights.shape[1])
    ones = np.ones(shape) / shape[1]
    options = {
        **case.options,
        "prices": np.full((5, shape[1]), 100.0),
        "tradable": np.ones(shape, bool),
        "marks": None,
        "cash": None,
        "ended": None,
        "around": None,
        "conditions": Conditions(volume=1e6 * ones),
    }
    positions = replace(case.positions, times=times, weights=ones, rebalance=np.array([True, False, False, False]))
    runs = [
        replace(case, positions=positions, options=options, chain=Chain([GrossCap(0.5)])).run(m)
        for m in ("auto", "stepped")
    ]
    assert [run.method for run in runs] == ["compiled", "stepped"]
    assert_equal(*runs)
    assert np.abs(runs[0].positions.weights).sum(1).tolist() == pytest.approx([0.2, 0.4, 0.5, 0.5])
    assert len(runs[0].targets.violations) > 0


@given(st.integers(0, 2**32 - 2))
@settings(max_examples=20, deadline=None)
def test_many_accounts_of_a_size_equal_each_alone(seed):
    case, rng = sized(seed), np.random.default_rng(seed)
    sets = [
        Setting(),
        Setting(scale=-0.5, costs=costs_of(rng), execution=execution_of(rng)),
        Setting(chain=Chain()),
        Setting(chain=Chain(rules_of(rng, case.positions.symbols)), execution=execution_of(rng)),
    ]
    times = case.positions.times
    found = simulate_many(case.positions, fill_times=times, settings=sets, chain=case.chain, **case.options, threads=2)
    assert found.methods == ("compiled",) * 4
    for i, own in enumerate(sets):
        options = {**case.options, "costs": own.costs or case.options["costs"]}
        options["execution"] = own.execution or case.options["execution"]
        moved = replace(case.positions, weights=case.positions.weights * own.scale)
        chain = case.chain if own.chain is None else own.chain
        expected = replace(case, positions=moved, chain=chain, options=options).run("stepped")
        assert found.net[i] == pytest.approx(expected.net, abs=1e-12)
        assert found.turnover_oneway[i] == pytest.approx(expected.turnover_oneway.mean(), abs=1e-12)
        assert found.cost[i] == pytest.approx(sum(expected.costs.values()).mean(), abs=1e-12)
        assert (found.lost_at[i] >= 0) == any("lost" in note for note in expected.notes)
