"""A recipe that calibrates: kept back in time, applied in the run and by the agent, and on disk with the network."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mnpu.errors import ConfigError, DataError
from mnpu.progress import Silent
from tests.story.test_agent import OPENS, _agreeing_decisions

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

SPLIT = ("compare=[]", "model.head.use=dirichlet_quantile", "model.calibration={use: split, share: 0.6}")


def _run(recipe, registry, runs, *sets):
    from mnpu.config import load_config
    from mnpu.execute import execute

    return execute(load_config(recipe, sets=sets), registry, runs=runs, progress=Silent())


@pytest.fixture(scope="module")
def calibrated(small_recipe, registry, tmp_path_factory):
    """One finished run of the small recipe with classes and split calibration."""
    return _run(small_recipe, registry, tmp_path_factory.mktemp("calibrated"), *SPLIT)


def _bundles(run):
    return [json.loads(path.read_text()) for path in sorted(run.path.glob("bundle/*/fitted.json"))]


def test_the_forecast_is_what_the_head_said_with_the_shifts_of_its_fold(calibrated):
    forecast, first = calibrated.result.forecast, calibrated.result.folds.folds[0].test[0]
    for fold, bundle in zip(calibrated.result.folds.folds, _bundles(calibrated), strict=True):
        rows = slice(fold.test[0] - first, fold.test[1] - first)
        said, made = forecast.uncalibrated.quantiles[rows], forecast.quantiles[rows]
        moved = said + np.array(bundle["calibration"]["shifts"])
        there = np.isfinite(made).all(axis=(2, 3))
        assert there.any()
        straight = there & (np.diff(moved) >= 0).all(axis=(2, 3))  # the others were moved outward
        assert straight.sum() > there.sum() / 2
        np.testing.assert_allclose(made[straight], moved[straight], atol=1e-15)
        before = np.log(forecast.uncalibrated.probabilities[rows][there])
        after = np.log(forecast.probabilities[rows][there])
        [temperature] = bundle["calibration"]["temperatures"]
        # A temperature divides every log-odds.
        np.testing.assert_allclose((after[..., 2] - after[..., 0]) * temperature, before[..., 2] - before[..., 0])


def test_what_was_kept_back_lies_between_validation_and_test(calibrated):
    for fold, bundle in zip(calibrated.result.folds.folds, _bundles(calibrated), strict=True):
        start, stop = bundle["calibration"]["rows"]
        assert bundle["fold"]["validation"][1] <= start < stop == fold.validation[1] <= fold.test[0]
        assert bundle["fold"]["validation"][0] == fold.validation[0]
        assert stop - start == round(0.6 * (fold.validation[1] - fold.validation[0]))


def test_the_card_shows_the_range_that_was_kept_back(calibrated):
    times = calibrated.result.folds.times
    for folder in sorted(calibrated.path.glob("bundle/*")):
        start, stop = json.loads((folder / "fitted.json").read_text())["calibration"]["rows"]
        row = f"| calibration | {times[start]:%Y-%m-%d} | {times[stop - 1]:%Y-%m-%d} |"
        assert row in (folder / "MODEL_CARD.md").read_text()


def test_a_calibrated_run_reads_back_and_says_which_class_each_outcome_was(calibrated):
    from mnpu.results_io import read_result

    forecast, again = calibrated.result.forecast, read_result(calibrated.path).forecast
    for one, other in ((forecast, again), (forecast.uncalibrated, again.uncalibrated)):
        for name in ("quantiles", "probabilities", "evidence", "thresholds"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    low, high = forecast.thresholds[0, 0]
    assert low < 0 < high


def test_an_agent_serves_what_was_calibrated(calibrated, registry):
    from mnpu.agent import replay

    agent, bars = replay(calibrated.path, registry, sessions=60)
    result = calibrated.result
    for rows, news in bars:
        decision = agent.step(rows, news)
        t = result.times.get_loc(decision.time)
        np.testing.assert_allclose(decision.proposed, result.proposed.weights[t], atol=1e-9)
        for name in ("quantiles", "probabilities", "evidence"):
            served, tested = getattr(decision.forecast, name)[-1], getattr(result.forecast, name)[t]
            np.testing.assert_allclose(served, tested, rtol=1e-6, atol=1e-9)
        assert decision.forecast.uncalibrated is None


def test_a_calibrated_run_is_reopened_with_the_forecast_that_was_judged(calibrated, registry):
    from mnpu.feature_tools.finished import check_forecast, reopen
    from mnpu.rundir import RunDirectory

    run = RunDirectory(calibrated.path)
    finished = reopen(run, registry, Silent())
    check_forecast(run, finished, finished.forecast([inputs.quantiles() for inputs in finished.inputs]))


def test_a_run_that_goes_on_calibrates_what_it_had_fitted(calibrated, small_recipe, tmp_path, monkeypatch):
    from click.testing import CliRunner

    from mnpu import pipeline
    from mnpu.cli import cli

    def stop(*args, **options):
        raise OSError("no more")

    given = [part for setting in SPLIT for part in ("--set", setting)]
    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "judge", stop)
        CliRunner().invoke(cli, ["run", str(small_recipe), *given, "--runs", str(tmp_path)])
    [stopped] = tmp_path.glob("*/fits")
    done = CliRunner().invoke(cli, ["run", "--resume", stopped.parent.name, "--runs", str(tmp_path)])
    assert done.exit_code == 0, done.output
    for name in ("forecast.parquet", "positions.parquet"):
        assert (stopped.parent / name).read_bytes() == (calibrated.path / name).read_bytes()


def test_too_few_outcomes_are_refused_before_anything_is_fitted(small_recipe, registry, tmp_path, monkeypatch):
    from mnpu import pipeline

    monkeypatch.setattr(pipeline, "fit_fold", None)  # it would be called
    sets = ["compare=[]", "model.calibration={use: split, share: 0.02}", "model.head={use: quantile, levels: [%s]}"]
    levels = "0.001, 0.5, 0.999"
    with pytest.raises(DataError, match=r"fold 1: \d+ labels of horizon number 1 are known in .*at least 999 for a"):
        _run(small_recipe, registry, tmp_path, *sets[:2], sets[2] % levels)


def test_without_a_calibration_nothing_is_kept_back(small_run):
    assert small_run.result.forecast.uncalibrated is None
    assert all(bundle["calibration"] is None for bundle in _bundles(small_run))


ADAPTIVE = (
    "compare=[]",
    "target={use: forward_return, horizons: [1, 5]}",
    "model.calibration={use: adaptive, memory: 60, rate: 0.02}",
)


@pytest.fixture(scope="module")
def adaptive(small_recipe, registry, tmp_path_factory):
    """One finished run of the small recipe, calibrated at each decision."""
    return _run(small_recipe, registry, tmp_path_factory.mktemp("adaptive"), *ADAPTIVE)


def test_adaptive_calibration_moves_every_test_decision(adaptive):
    forecast = adaptive.result.forecast
    there = forecast.available
    assert np.array_equal(there, forecast.uncalibrated.available)
    shifts = (forecast.quantiles - forecast.uncalibrated.quantiles)[there]
    assert np.ptp(shifts[:, 0], axis=0).min() > 0  # another one in time
    assert "adaptive: shifts of its quantiles" in next(adaptive.path.glob("bundle/*/MODEL_CARD.md")).read_text()
    for bundle, fold in zip(_bundles(adaptive), adaptive.result.folds.folds, strict=True):
        times = adaptive.result.folds.times
        begins = times.get_loc(bundle["follows_from"])
        row = f"| calibration | {times[begins]:%Y-%m-%d} | {times[fold.validation[1] - 1]:%Y-%m-%d} |"
        assert row in (adaptive.path / f"bundle/fold-{fold.number:02d}/MODEL_CARD.md").read_text()
        assert bundle["fold"]["validation"][1] <= begins < fold.test[0]


def test_the_summary_of_a_bundle_says_that_it_is_calibrated_at_each_decision(adaptive):
    from click.testing import CliRunner

    from mnpu.cli import cli

    shown = CliRunner().invoke(cli, ["bundle", "show", str(adaptive.path / "bundle/fold-01")])
    assert f"by an agent at each decision, from outcomes since {_bundles(adaptive)[1]['follows_from']}" in shown.output


def test_an_agent_follows_its_outcomes_as_the_run_did_over_the_whole_test_range(adaptive, registry):
    folds = adaptive.result.folds.folds
    sessions = folds[-1].test[1] - folds[0].test[0] - 3
    assert _agreeing_decisions(adaptive, registry, sessions) == sessions > 1000


def test_a_new_agent_takes_up_the_calibration_from_its_history_and_holds_no_more_of_it(adaptive, registry, monkeypatch):
    from mnpu import agent as served

    needed = 20 + 64  # more than the longest warm-up, and a window
    begins = adaptive.result.folds.times.get_loc(_bundles(adaptive)[-1]["follows_from"])
    assert _agreeing_decisions(adaptive, registry, 40) == 40

    class Later(served.Agent):
        """Begins with what it needs, and ``lacking`` bars less."""

        lacking = 0

        def __init__(self, parts, models, history, side):
            super().__init__(parts, models, history.rows(begins - needed + self.lacking, len(history.times)), side)

    monkeypatch.setattr(served, "Agent", Later)
    agent, bars = served.replay(adaptive.path, registry, sessions=40)
    for rows, news in bars:
        decision = agent.step(rows, news)
        t = adaptive.result.times.get_loc(decision.time)
        tested = adaptive.result.forecast.quantiles[t]
        np.testing.assert_allclose(decision.forecast.quantiles[-1], tested, rtol=1e-6, atol=1e-9)
    [followed] = agent._source._followed  # the network before it decides no more
    waiting, scores = followed.follower._waiting, followed.follower._adaptive._scores
    assert [len(w) for w in waiting] == [2, 6]  # the newest decision, and those whose label is open
    assert [len(s) for s in scores] == [60, 60]
    monkeypatch.setattr(Later, "lacking", needed)
    with pytest.raises(DataError, match=r"the history begins with .* from where on adaptive calibration learns"):
        served.replay(adaptive.path, registry, sessions=40)


@pytest.mark.parametrize("target", ["vol_scaled_return, window: 10", "triple_barrier, window: 10"])
def test_an_agent_follows_other_labels_as_well(small_recipe, registry, tmp_path, target):
    run = _run(small_recipe, registry, tmp_path, *ADAPTIVE, f"target={{use: {target}, horizons: [5]}}")
    assert _agreeing_decisions(run, registry, 80) == 80


def test_an_agent_that_fills_at_opens_follows_across_folds_and_with_a_symbol_that_is_not_listed(
    demo_store, registry, tmp_path
):
    recipe = tmp_path / "opens.yaml"
    recipe.write_text(OPENS.format(store=demo_store))
    run = _run(recipe, registry, tmp_path / "runs", "model.calibration={use: adaptive}")
    folds = run.result.folds.folds
    sessions = folds[-1].test[1] - folds[1].test[0] + 10
    assert _agreeing_decisions(run, registry, sessions) >= 250


@pytest.fixture(scope="module")
def directed(small_recipe, registry, tmp_path_factory):
    """One finished run whose classes have thresholds of each fold, calibrated at each decision."""
    runs = tmp_path_factory.mktemp("directed")
    return _run(small_recipe, registry, runs, *ADAPTIVE, "target={use: direction, horizons: [1, 5]}")


def test_an_agent_follows_classes_by_what_each_fold_has_learnt(directed, registry):
    from click.testing import CliRunner

    from mnpu.cli import cli

    first, second = (np.array(bundle["labels_learnt"]) for bundle in _bundles(directed))
    assert first.shape == second.shape == (2, 2)
    assert (first != second).all()  # each fold has its own
    bundle = directed.path / "bundle/fold-00"
    shown = CliRunner().invoke(cli, ["bundle", "show", str(bundle)]).output
    took = "took " + "; ".join(", ".join(f"{n:.4g}" for n in row) for row in first) + " from the training range"
    assert f"which {took} |" in (bundle / "MODEL_CARD.md").read_text()
    assert f" direction (horizons [1, 5], flat 0.3333333333333333), from the fill at next_close, {took}\n" in shown
    folds = directed.result.folds.folds
    sessions = folds[-1].test[1] - folds[1].test[0] + 60  # over the first decisions of the second fold
    assert _agreeing_decisions(directed, registry, sessions) == sessions


def test_a_bundle_that_does_not_tell_what_its_labels_learnt_is_refused(directed, registry, monkeypatch):
    from mnpu import training
    from mnpu.agent import replay

    load = training.load
    monkeypatch.setattr(training, "load", lambda *args: replace(load(*args), labels_learnt=None))
    with pytest.raises(DataError, match="does not say what direction took from its training range"):
        replay(directed.path, registry, sessions=5)


def test_a_reopened_run_is_calibrated_by_what_came_of_the_forecasts_that_it_is_given(adaptive, registry):
    from mnpu.feature_tools.finished import check_forecast, reopen
    from mnpu.rundir import RunDirectory

    run = RunDirectory(adaptive.path)
    finished = reopen(run, registry, Silent())
    own = [inputs.quantiles() for inputs in finished.inputs]
    as_it_was = finished.forecast(own)
    check_forecast(run, finished, as_it_was)

    (first, stop), inputs = finished.folds[0].test, finished.inputs[0]
    after = (first + stop) // 2
    other = own[0].copy()
    other[inputs.time >= after] *= 3
    exchanged = finished.forecast([other, *own[1:]])
    assert np.array_equal(exchanged.quantiles[:after], as_it_was.quantiles[:after], equal_nan=True)
    assert np.array_equal(exchanged.quantiles[stop:], as_it_was.quantiles[stop:], equal_nan=True)
    said = np.full_like(as_it_was.quantiles, np.nan)
    said[inputs.time, inputs.symbol] = other
    moved = (exchanged.quantiles - said)[after:stop]
    before = (as_it_was.quantiles - said / 3)[after:stop]
    # The first outcome of these forecasts is known two bars after the first of them: until then the shifts are the old.
    known = np.nanmedian(before[:2, :, 0], axis=1)
    np.testing.assert_allclose(np.nanmedian(moved[:2, :, 0], axis=1), known, atol=1e-12)
    assert np.nanmax(np.abs(moved[60:, :, 0] - before[60:, :, 0])) > 1e-3


def test_importance_is_measured_where_the_calibration_is_adaptive(adaptive):
    from click.testing import CliRunner

    from mnpu.cli import cli

    asked = ["features", "importance", str(adaptive.path), "--repeats", "2", "--json"]
    done = CliRunner().invoke(cli, asked)
    assert done.exit_code == 0, done.output
    assert '"pinball"' in done.output


def test_a_whole_model_is_calibrated_and_served_like_a_network(small_recipe, registry, tmp_path):
    from mnpu.agent import replay

    model = "model={lookback: 8, forecaster: {use: ridge}, calibration: {use: split}}"
    run = _run(small_recipe, registry, tmp_path, "compare=[]", model)
    cards = [path.read_text() for path in run.path.glob("bundle/*/MODEL_CARD.md")]
    assert len(cards) == 2
    assert all("shifts of its quantiles, found on outcomes before 201" in card for card in cards)
    moved = run.result.forecast.quantiles - run.result.forecast.uncalibrated.quantiles
    assert np.nanmax(np.abs(moved)) > 1e-4
    agent, bars = replay(run.path, registry, sessions=3)
    for rows, news in bars:
        decision = agent.step(rows, news)
        t = run.result.times.get_loc(decision.time)
        np.testing.assert_allclose(decision.forecast.quantiles[-1], run.result.forecast.quantiles[t], atol=1e-8)


def test_an_ensemble_is_calibrated_as_one_and_served_so(small_recipe, registry, tmp_path):
    from mnpu.agent import replay

    run = _run(small_recipe, registry, tmp_path, *SPLIT, "model.ensemble={seeds: 2}")
    result = run.result
    for bundle in _bundles(run):
        assert len(bundle["calibration"]["temperatures"]) == 1
    assert np.isfinite(result.forecast.thresholds).all()
    agent, bars = replay(run.path, registry, sessions=3)
    for rows, news in bars:
        decision = agent.step(rows, news)
        t = result.times.get_loc(decision.time)
        for name in ("quantiles", "probabilities", "evidence"):
            served, tested = getattr(decision.forecast, name)[-1], getattr(result.forecast, name)[t]
            np.testing.assert_allclose(served, tested, rtol=1e-5, atol=1e-8)


def test_classes_of_a_direction_are_calibrated_and_scored(small_recipe, registry, tmp_path):
    sets = ("target={use: direction, flat: 0.4, horizons: [5]}", *SPLIT)
    run = _run(small_recipe, registry, tmp_path, *sets)
    result = run.result
    for bundle in _bundles(run):
        [temperature] = bundle["calibration"]["temperatures"]
        assert temperature != 1.0
    said, outcome = result.forecast.probabilities[:, :, 0], result.labels[:, :, 0]
    known = np.isfinite(said).all(axis=-1) & np.isfinite(outcome)
    came = outcome[known].astype(int) + 1  # down, flat, up are -1, 0, 1
    given = said[known][np.arange(known.sum()), came]
    assert result.metrics["nll_dirichlet"].value == pytest.approx(-np.log(given).mean())
    assert 0 < result.metrics["ece"].value < 1


def test_a_class_that_never_occurs_is_an_error_that_names_the_setting(small_recipe, registry, tmp_path):
    sets = ("compare=[]", "model.head={use: dirichlet_quantile, flat: 0.999999}")
    with pytest.raises(ConfigError, match=r"head\.flat is 0\.999999, and no training target of .* is down"):
        _run(small_recipe, registry, tmp_path, *sets)
    [record] = tmp_path.glob("*/run.json")
    assert json.loads(record.read_text())["status"] == "failed"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{use: split, rate: 0.1}", "neither rate nor memory with split"),
        ("{use: isotonic}", "model.calibration.use is 'isotonic'"),
        ("{use: split, share: 1.0}", "model.calibration.share is 1.0"),
        ("{use: adaptive, memory: 0}", "model.calibration.memory is 0"),
        ("{use: split, shar: 0.4}", "model.calibration.shar is not a known key"),
        ("split", "Write {use: split}."),
    ],
)
def test_an_impossible_calibration_is_refused_by_name(small_recipe, registry, tmp_path, settings, message):
    with pytest.raises(ConfigError) as refused:
        _run(small_recipe, registry, tmp_path, f"model.calibration={settings}")
    assert message in str(refused.value)


def test_too_short_a_range_says_what_to_lengthen(small_recipe, registry, tmp_path):
    with pytest.raises(ConfigError, match=r"model\.calibration\.share is 0\.99.*split\.validation longer"):
        _run(small_recipe, registry, tmp_path, "compare=[]", "model.calibration={use: split, share: 0.99}")
