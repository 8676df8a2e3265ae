"""A run by cross-validation, and one that looks at its locked range."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mnpu.errors import ConfigError, DataError
from mnpu.progress import Silent

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

KFOLD = "split={use: purged_kfold, folds: 3, validation: 4mo}"
CPCV = "split={use: cpcv, groups: 4, test_groups: 2, validation: 4mo}"
LOCKED = "split={use: walk_forward, train: 2y, validation: 6mo, test: 2y, locked: 18mo}"


def _run(recipe, registry, runs, *sets, unlock=False):
    from mnpu.config import load_config
    from mnpu.execute import execute

    loaded = load_config(recipe, sets=("compare=[]", *sets))
    return execute(loaded, registry, runs=runs, progress=Silent(), unlock=unlock)


@pytest.fixture(scope="module")
def by_kfold(small_recipe, registry, tmp_path_factory):
    return _run(small_recipe, registry, tmp_path_factory.mktemp("kfold"), KFOLD)


@pytest.fixture(scope="module")
def by_cpcv(small_recipe, registry, tmp_path_factory):
    return _run(small_recipe, registry, tmp_path_factory.mktemp("cpcv"), CPCV)


def test_every_decision_is_forecast_by_a_fold_that_did_not_learn_from_it(by_kfold):
    result = by_kfold.result
    assert len(result.folds.folds) == 3
    assert result.times[0] == result.folds.times[0]
    # eight windows are not whole, features warm up, and the last decision has no later fill
    assert result.forecast.available[60:].all()
    assert result.folds.folds[0].crossed


def test_a_forecast_is_that_of_its_own_folds_network(by_kfold, registry):
    """Read the networks back and forecast each test range with its own: what was joined is what was said."""
    from mnpu import pipeline, training
    from mnpu.assembly import assemble
    from mnpu.config import load_config
    from mnpu.config.resolve import resolve

    loaded = load_config(by_kfold.path / "resolved.yaml")
    parts = assemble(loaded.pipeline, resolve(loaded, registry), registry, base=by_kfold.path)
    prepared = pipeline.prepare(parts, *pipeline.load(parts, Silent()), Silent())
    for fold in prepared.split.folds:
        judged = parts.forecasters[0]
        fitted = training.load(by_kfold.path / "bundle" / f"fold-{fold.number:02d}", judged.backbone, judged.head)
        assert fitted.fold == fold
        later = fitted.seen.until > prepared.panel.times[fold.test[0]]
        assert later == fold.crossed == (fold.number < 2)
        start, stop = fold.test
        said = training.forecast(fitted, prepared.frame, rows=fold.test).quantiles[start:stop]
        kept = by_kfold.result.forecast.quantiles[start:stop]
        np.testing.assert_allclose(said[: len(kept)], kept, rtol=1e-6, atol=1e-9)
        late, expected = (stop + 200, "outside every training range") if fold.crossed else (stop, "after the training")
        with pytest.raises(DataError, match=expected):
            training.forecast(fitted, prepared.frame, rows=(start if fold.crossed else fold.train[1] - 1, late))


def test_a_scaler_knows_its_training_ranges_alone(by_kfold, registry):
    """What is tested may be ten times as large: neither scaler nor target scale of its fold changes (trap D7)."""
    from mnpu import pipeline
    from mnpu.assembly import assemble
    from mnpu.config import load_config
    from mnpu.config.resolve import resolve
    from mnpu.training.learnable import learnable

    loaded = load_config(by_kfold.path / "resolved.yaml")
    parts = assemble(loaded.pipeline, resolve(loaded, registry), registry, base=by_kfold.path)
    prepared = pipeline.prepare(parts, *pipeline.load(parts, Silent()), Silent())
    for fold in prepared.split.folds:
        values, labels = prepared.frame.values.copy(), prepared.labels.values.copy()
        values[slice(*fold.test)] *= 10
        labels[slice(*fold.test)] *= 10
        given = {"lookback": 8, "min_present": 0.8}
        one = learnable(prepared.frame, prepared.labels, fold, **given)
        two = learnable(replace(prepared.frame, values=values), replace(prepared.labels, values=labels), fold, **given)
        np.testing.assert_array_equal(one.scaler.mean, two.scaler.mean)
        np.testing.assert_array_equal(one.target_scale, two.target_scale)
        # no window of the training ranges reads a bar of the test
        ends = one.training.time.numpy()
        assert not any(((ends >= a) & (ends - 7 < b)).any() for a, b in fold.testing)


def test_cpcv_makes_paths_whose_numbers_are_kept_and_shown(by_cpcv):
    from mnpu.results_io import read_result

    result = by_cpcv.result
    assert len(result.folds.folds) == 6
    assert len(result.paths) == 3
    sharpes = np.array([path.metrics["sharpe"].value for path in result.paths])
    assert len(set(sharpes.round(9))) == 3
    for path in result.paths:  # by the definition: mean over deviation, a year of 252 bars
        q = result.periods_per_year
        expected = path.net.mean() / path.net.std(ddof=1) * np.sqrt(q)
        assert path.metrics["sharpe"].value == pytest.approx(expected)
    assert result.metrics["sharpe"].value == pytest.approx(sharpes[0])
    assert result.metrics["sharpe_paths_mean"].value == pytest.approx(sharpes.mean())
    assert result.metrics["sharpe_paths_sd"].value == pytest.approx(sharpes.std(ddof=1))
    back = read_result(by_cpcv.path)
    for one, other in zip(result.paths, back.paths, strict=True):
        np.testing.assert_array_equal(one.net, other.net)
        assert one.metrics == dict(other.metrics)
    assert back.folds.paths == result.folds.paths
    assert back.folds.folds == result.folds.folds
    text = (by_cpcv.path / "report.md").read_text(encoding="utf-8")
    assert "## Paths" in text
    assert "Cross-validation, not a history that anyone could have traded" in text


def test_no_agent_is_served_from_cross_validation(by_kfold, registry):
    from mnpu.agent import replay

    with pytest.raises(ConfigError, match="networks are of cross-validation"):
        replay(by_kfold.path, registry, sessions=3)


def test_calibration_and_later_weights_are_refused(by_kfold, small_recipe, registry, tmp_path):
    calibrated = "model={lookback: 8, backbone: {use: linear}, calibration: {use: split, share: 0.5}}"
    with pytest.raises(ConfigError, match=r"model\.calibration is split, and split\.use is purged_kfold"):
        _run(small_recipe, registry, tmp_path, KFOLD, calibrated)
    begun = f"model={{lookback: 8, backbone: {{use: linear}}, warm_start: {by_kfold.path}}}"
    with pytest.raises(DataError, match=r"no bundle under model\.warm_start may be used"):
        _run(small_recipe, registry, tmp_path, begun)
    with pytest.raises(DataError, match="fold-01 has seen all up to 2014-12-31"):
        _run(small_recipe, registry, tmp_path, begun, KFOLD)


def test_a_locked_range_is_not_read_and_every_look_is_counted(small_recipe, registry, tmp_path):
    from click.testing import CliRunner

    from mnpu import ledger
    from mnpu.commands.runs import show_command

    blind = _run(small_recipe, registry, tmp_path, LOCKED).result
    assert blind.folds.times[-1] < pd.Timestamp("2013-07-01", tz="UTC")
    assert blind.panel.times[-1] < pd.Timestamp("2013-07-01", tz="UTC")
    assert (blind.run.unlocked, blind.run.looks) == (False, 0)
    with pytest.raises(ConfigError, match="spends a look"):
        _run(small_recipe, registry, tmp_path, LOCKED, "split.unlocked=true")
    for look in (1, 2):
        seen = _run(small_recipe, registry, tmp_path, LOCKED, "split.unlocked=true", unlock=True)
        assert seen.result.run.looks == look
    result = seen.result
    assert result.times[0] >= pd.Timestamp("2013-07-01", tz="UTC")
    (fold,) = result.folds.folds
    assert not fold.crossed
    assert result.folds.times[fold.validation[1]] < pd.Timestamp("2013-07-01", tz="UTC")
    report = (seen.path / "report.md").read_text(encoding="utf-8")
    assert "locked range was unlocked**, for look number 2" in report
    rows = ledger.read(tmp_path)
    assert rows.unlocked.tolist() == [False, True, True]
    assert rows.looks.tolist() == [0, 1, 2]
    later = _run(small_recipe, registry, tmp_path, LOCKED, "seed=8")
    assert later.result.run.looks == 2
    shown = CliRunner().invoke(show_command, [later.path.name, "--runs", str(tmp_path)])
    assert "looks        2" in shown.output
    assert json.loads((later.path / "run.json").read_text())["run"]["looks"] == 2
