"""A run whose positions are simulated again by the analysis earns what it earned, to the last bit."""

from __future__ import annotations

import pytest

from mnpu.progress import Silent

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

VOLUMES = ("data.dataset=us_ohlcv_daily", "data.symbols=[AAPL, GOOG, IBM, MSFT]", "data.end=2011-12-31")
SIZED = "execution={capital: 1e10, participation: 0.05, lot: 1, min_notional: 1000, maintenance: 0.3}"
RUNS = {
    "closed": ("guardrails=[]", "policy.hold=1"),
    "stepped": (),
    "brake": ("guardrails=[{use: drawdown, start: 0.02, stop: 0.1, resume: 0.01}]",),
    "sized": (*VOLUMES, SIZED, "costs.impact=0.5", "costs.borrow_bps=200", "guardrails=[]"),
    "sized and guarded": (*VOLUMES, SIZED, "costs.impact=0.5"),
    "forecast seen": (
        "guardrails=[{use: tail_risk, cvar: 0.01, source: forecast}, {use: volatility_target, volatility: 0.08}]",
    ),
}


@pytest.mark.parametrize("kind", RUNS)
def test_settings_that_did_not_change_give_the_run_itself(kind, small_recipe, registry, tmp_path):
    from mnpu.analysis.sensitivity import lag_table
    from mnpu.commands._runs_analyse import _finished, _replay
    from mnpu.config import load_config
    from mnpu.execute import execute
    from mnpu.rundir import open_run

    if "use" in str(RUNS[kind]):
        pytest.importorskip("mnpu_guardrails")
    sets = ("compare=[]", "split.test=1y", "train.epochs=1", *RUNS[kind])
    done = execute(load_config(small_recipe, sets=sets), registry, runs=tmp_path, progress=Silent())
    directory = open_run(tmp_path, done.path.name)
    found, result, notes = _replay(directory, _finished(directory), None)
    again = found.simulate()
    assert notes == []
    assert (found.apart, found.left_out) == (0.0, 0)
    assert (again.net == result.net).all()
    assert (again.equity == result.equity).all()
    assert (again.positions.weights == result.positions.weights).all()
    for cost, paid in result.costs.items():
        assert (again.costs[cost] == paid).all()
    assert lag_table(found).rows[1].sharpe == result.metrics["sharpe"].value
    assert found.sized == kind.startswith("sized")
    if kind == "sized":
        assert result.costs["impact"].sum() > 0


def test_the_locked_range_stays_unread(small_recipe, registry, tmp_path):
    from mnpu.commands._runs_analyse import _finished, _replay
    from mnpu.config import load_config
    from mnpu.execute import execute
    from mnpu.rundir import open_run

    sets = ("compare=[]", "train.epochs=1", "split.test=1y", "split.locked=2013-06-01")
    done = execute(load_config(small_recipe, sets=sets), registry, runs=tmp_path, progress=Silent())
    directory = open_run(tmp_path, done.path.name)
    found, _, _ = _replay(directory, _finished(directory), None)
    assert str(found.panel.sessions[-1]) < "2013-06-01"
    assert found.apart == 0.0
