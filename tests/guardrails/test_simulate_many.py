"""Many settings in one call equal a loop over `simulate`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.errors import DataError
from mnpu.guard import Chain
from mnpu.metrics.many import simple_statistics
from mnpu.simulation import many
from mnpu.simulation.costs import CostModel
from mnpu.simulation.execution import Execution
from mnpu.simulation.many import Setting, simulate_many
from mnpu.simulation.simulate import simulate
from mnpu_guardrails.leverage import Leverage
from tests.guardrails.test_compiled_account import Halved, case_of, rules_of


def settings_of(rng, case):
    shape, names = case.positions.weights.shape, case.positions.symbols
    return [
        Setting(),
        Setting(scale=0.5, costs=CostModel(float(rng.uniform(0, 50)), 1.0)),
        Setting(weights=0.3 * rng.standard_normal(shape)),
        Setting(scale=-1.5, chain=Chain(rules_of(rng, names))),
        Setting(chain=Chain()),
        Setting(chain=Chain([Leverage(0.4), Halved()])),
        Setting(costs=CostModel(1.0, 1.0, borrow_bps=200.0)),
        Setting(scale=0.2, chain=Chain([Leverage(0.7)]), execution=Execution(capital=1e4, lot=1.0)),
    ]


def alone(case, setting):
    weights = case.positions.weights if setting.weights is None else setting.weights
    options = {**case.options, "costs": setting.costs or case.options["costs"], "execution": setting.execution}
    moved = replace(case.positions, weights=weights * setting.scale)
    chain = case.chain if setting.chain is None else setting.chain
    return simulate(moved, fill_times=moved.times, chain=chain, **options)


def together(case, sets, **options):
    return simulate_many(
        case.positions, fill_times=case.positions.times, settings=sets, chain=case.chain, **case.options, **options
    )


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_each_setting_equals_its_own_simulation(seed):
    case, rng = case_of(seed), np.random.default_rng(seed)
    sets = settings_of(rng, case)
    found = together(case, sets, threads=2)
    for i, setting in enumerate(sets):
        expected = alone(case, setting)
        assert found.net[i] == pytest.approx(expected.net, abs=1e-12)
        assert found.turnover_oneway[i] == pytest.approx(expected.turnover_oneway.mean(), abs=1e-12)
        assert found.cost[i] == pytest.approx(sum(expected.costs.values()).mean(), abs=1e-12)
        assert (found.lost_at[i] >= 0) == any("lost" in note for note in expected.notes)
    assert found.methods[:5] == ("compiled",) * 5
    assert found.methods[5] in ("closed", "stepped")


def test_measured_returns_are_not_kept_and_do_not_depend_on_threads_or_pieces(monkeypatch):
    case = case_of(5)
    sets = [Setting(scale=x) for x in np.linspace(-1.0, 1.0, 21)]
    measure = partial(simple_statistics, periods_per_year=252.0, years=1.0)
    whole = together(case, sets)
    monkeypatch.setattr(many, "CELLS", 3 * len(case.positions.times))
    pieces = together(case, sets, measure=measure, threads=3)
    assert pieces.net is None
    for name, values in measure(whole.net).items():
        assert pieces.measured[name] == pytest.approx(values, rel=1e-9, nan_ok=True), name


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ([], "0 settings"),
        ([Setting(), Setting(weights=np.zeros((2, 2)))], r"settings\[1\]"),
        ([Setting(scale=np.nan)], "scale is nan"),
    ],
)
def test_settings_that_do_not_fit_are_refused(sets, words):
    with pytest.raises(DataError, match=words):
        together(case_of(3), sets)
