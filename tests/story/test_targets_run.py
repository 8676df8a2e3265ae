"""Every target through a recipe: classes with probabilities, barriers, and what each fold is judged by."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from mnpu.progress import Silent

pytest.importorskip("torch", reason="training needs mnpu-core[train]")


def _run(recipe, registry, runs, *sets):
    from mnpu.config import load_config
    from mnpu.execute import execute

    return execute(load_config(recipe, sets=("compare=[]", *sets)), registry, runs=runs, progress=Silent())


@pytest.fixture(scope="module")
def direction_run(small_recipe, registry, tmp_path_factory):
    """Direction under the head that names classes."""
    sets = (
        "target={use: direction, flat: 0.4, horizons: [5]}",
        "model.head={use: dirichlet_quantile}",
        "policy.by=classes",
    )
    return _run(small_recipe, registry, tmp_path_factory.mktemp("direction"), *sets)


def test_direction_is_forecast_as_probabilities_of_its_classes(direction_run):
    result = direction_run.result
    shares = result.forecast.probabilities[result.forecast.available]  # (N, H, C)
    np.testing.assert_allclose(shares.sum(axis=-1), 1.0, atol=1e-6)
    np.testing.assert_allclose(shares[:, 0].mean(axis=0), [0.3, 0.4, 0.3], atol=0.12)
    assert set(np.unique(result.labels[np.isfinite(result.labels)])) == {-1.0, 0.0, 1.0}
    assert all(gate.passed for gate in result.gates)


def test_each_fold_is_judged_by_thresholds_of_its_own_training_range(direction_run, small_recipe, registry):
    from mnpu import pipeline
    from mnpu.assembly import assemble
    from mnpu.config import load_config
    from mnpu.config.resolve import resolve
    from mnpu.data.targets import ForwardReturn

    loaded = load_config(small_recipe)
    parts = assemble(loaded.pipeline, resolve(loaded, registry), registry, base=small_recipe.parent)
    panel, _ = pipeline.load(parts, Silent())
    returns = ForwardReturn((5,))(panel).values[:, :, 0]
    result = direction_run.result
    seen = 0
    for fold in result.folds.folds:
        low, high = np.nanquantile(returns[slice(*fold.train)], [0.3, 0.7])
        for t in range(*fold.test):
            if panel.times[t] not in result.times:
                continue
            row = result.times.get_loc(panel.times[t])
            known = np.isfinite(returns[t])
            expected = (returns[t] > high) * 1 - (returns[t] < low) * 1
            np.testing.assert_array_equal(result.labels[row, known, 0], expected[known])
            seen += 1
    assert seen > 500


def test_an_agent_gives_the_same_probabilities(direction_run, registry):
    from mnpu.agent import replay

    agent, bars = replay(direction_run.path, registry, sessions=4)
    first = direction_run.result
    for rows, news in bars:
        decision = agent.step(rows, news)
        t = first.times.get_loc(rows.times[0])
        np.testing.assert_allclose(decision.forecast.probabilities[0], first.forecast.probabilities[t], atol=1e-5)


def test_an_agent_that_begins_before_the_first_test_range_waits_for_it(direction_run, registry):
    from mnpu.agent import replay

    first = direction_run.result
    agent, bars = replay(direction_run.path, registry, sessions=len(first.times) + 3)
    made = [agent.step(*bar) for bar in islice(bars, 8)]
    early = [decision for decision in made if decision.time < first.times[0]]
    assert 3 <= len(early) < 8
    for decision in early:
        assert not decision.proposed.any()
        assert not np.isfinite(decision.forecast.probabilities).any()
    for t, decision in enumerate(made[len(early) :]):
        assert decision.time == first.times[t]
        np.testing.assert_allclose(decision.proposed, first.proposed.weights[t], atol=1e-9)
        np.testing.assert_allclose(decision.forecast.probabilities[0], first.forecast.probabilities[t], atol=1e-5)


@pytest.mark.parametrize(
    "target",
    ["{use: triple_barrier, horizons: [5, 10]}", "{use: vol_scaled_return, horizons: [5]}", "{use: direction}"],
)
def test_every_target_runs_under_a_whole_model(small_recipe, registry, tmp_path, target):
    done = _run(small_recipe, registry, tmp_path, f"target={target}", "model={lookback: 8, forecaster: {use: ridge}}")
    result = done.result
    assert all(gate.passed for gate in result.gates)
    assert np.isfinite(result.labels[:-15]).mean() > 0.99
    sizes = np.nanstd(result.labels)
    assert 0.5 < sizes < 1.6
