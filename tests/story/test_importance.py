"""What the networks of a finished run make of each column, on a market whose truth is known."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from mnpu.cli import cli, main
from mnpu.errors import ConfigError, DataError
from mnpu.progress import Silent

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

PLANTED = "price.volume_zscore[window=20]"
NOISE = ("price.log_return[window=1]", "price.log_return[window=5]")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A market with one signal, and a finished run on it."""
    folder = tmp_path_factory.mktemp("planted")
    size = ["--symbols", "16", "--sessions", "700", "--seed", "1", "--covered", "1", "--ic", "0.12"]
    for args in (
        ["data", "fixture", str(folder / "market"), *size],
        ["run", str(folder / "market" / "fixture.yaml"), "--runs", str(folder / "runs")],
    ):
        result = CliRunner().invoke(cli, args)
        assert result.exit_code == 0, result.output
    return folder / "runs"


@pytest.fixture(scope="module")
def run_id(runs):
    [path] = runs.glob("*/run.json")
    return path.parent.name


@pytest.fixture(scope="module")
def measured(runs, run_id):
    return answer(runs, run_id)


def invoke(runs, run_id, *args):
    return CliRunner().invoke(cli, ["features", "importance", str(run_id), "--runs", str(runs), *map(str, args)])


def answer(runs, run_id, *args):
    result = invoke(runs, run_id, *args, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


@pytest.fixture
def mnpu(capsys):
    """Exit code and what was said, as a shell sees them."""

    def run(*args):
        with pytest.raises(SystemExit) as ended:
            main(["features", "importance", *map(str, args)])
        captured = capsys.readouterr()
        return ended.value.code, captured.out + captured.err

    return run


@pytest.fixture
def copied(runs, run_id, tmp_path):
    """The run in a folder that a test may damage."""
    return shutil.copytree(runs / run_id, tmp_path / "runs" / run_id)


def test_the_planted_column_comes_first_and_carries_all_of_the_rank_ic(measured):
    first = measured["columns"][0]
    assert first["name"] == PLANTED
    fall, before = first["fall"]["rank_ic"], measured["before"]["rank_ic"]
    assert fall["low"] > 0
    assert abs(fall["value"] - before["value"]) < 2 * np.hypot(fall["se"], before["se"])
    assert first["fall"]["pinball"]["low"] > 0
    assert first["fall"]["sharpe"]["low"] > 0
    assert all(fold > 0 for fold in first["fall_by_fold"]["rank_ic"])


def test_the_interval_of_a_noise_column_holds_zero(measured):
    falls = {column["name"]: column["fall"] for column in measured["columns"]}
    for name in NOISE:
        for measure in ("rank_ic", "sharpe"):
            assert falls[name][measure]["low"] <= 0 <= falls[name][measure]["high"]


def test_the_same_seed_gives_the_same_numbers_whichever_columns_are_asked_for(runs, run_id, measured):
    [alone] = answer(runs, run_id, "--column", "price.volume_zscore")["columns"]
    assert alone == measured["columns"][0]
    [other] = answer(runs, run_id, "--column", "price.volume_zscore", "--seed", "99")["columns"]
    assert other["fall"]["rank_ic"]["value"] != alone["fall"]["rank_ic"]["value"]


def test_clusters_are_exchanged_together(runs, run_id):
    found = answer(runs, run_id, "--clusters", "--threshold", "0.01", "--column", "price.log_return", "--repeats", "2")
    assert [column["columns"] for column in found["columns"]] == [list(NOISE)]


def test_it_is_printed_drawn_and_written(runs, run_id, tmp_path):
    result = invoke(runs, run_id, "--repeats", "2", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert next(line for line in lines if line.startswith("price.")).startswith(PLANTED)
    assert "has no test any more" in result.stdout
    assert {path.name for path in tmp_path.iterdir()} == {f"importance.{kind}" for kind in ("json", "parquet", "svg")}
    assert "nan" not in (tmp_path / "importance.svg").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def finished(runs, run_id):
    from mnpu.feature_tools.finished import reopen
    from mnpu.plugins.registry import Registry
    from mnpu.rundir import open_run

    return reopen(open_run(runs, run_id), Registry.discover(), Silent())


def test_before_any_exchange_everything_is_as_the_run_has_it(finished):
    from mnpu.feature_tools.importance import Measurer

    measurer = Measurer(finished)
    base = measurer(finished.forecast([inputs.quantiles() for inputs in finished.inputs]))
    np.testing.assert_array_equal(base.net, finished.result.net)
    metrics = finished.result.metrics
    assert np.nanmean(base.rank_ic) == pytest.approx(metrics["rank_ic"].value, abs=1e-12)
    assert base.pinball.mean() == pytest.approx(metrics["pinball"].value, abs=1e-15)


def test_an_exchange_replaces_the_columns_of_a_window_and_nothing_else(finished):
    """Against windows that are put together by hand and given to the network one by one."""
    import torch

    inputs = finished.inputs[0]
    fitted = inputs._fitted
    rng = np.random.default_rng(0)
    donors = rng.integers(0, len(inputs.time), len(inputs.time))
    frame, (start, stop) = finished.prepared.frame, fitted.fold.test
    scaled = fitted.scaler.scale(frame.values)
    found = inputs.quantiles([2], donors)
    for k in (0, 17, len(donors) - 1):
        t, a, u, b = inputs.time[k], inputs.symbol[k], inputs.time[donors[k]], inputs.symbol[donors[k]]
        assert start <= u < stop
        own, other = (scaled[s - fitted.lookback + 1 : s + 1, c].copy() for s, c in ((t, a), (u, b)))
        own[:, 2] = other[:, 2]
        masks = np.flatnonzero(fitted.scaler.has_gaps)
        if 2 in masks:
            at = len(frame.names) + masks.tolist().index(2)
            own[:, at] = other[:, at]
        with torch.inference_mode():
            expected = fitted.network(torch.from_numpy(own[None])).double().numpy()[0] * fitted.target_scale[:, None]
        np.testing.assert_allclose(found[k], expected, atol=1e-7)


def test_nothing_outside_the_test_range_and_its_windows_is_read(finished):
    from mnpu.training import Inputs

    inputs, frame = finished.inputs[1], finished.prepared.frame
    fitted = inputs._fitted
    (start, stop), values = fitted.fold.test, frame.values.copy()
    rng = np.random.default_rng(3)
    for part in (values[: start - fitted.lookback + 1], values[stop:]):
        part[...] = rng.standard_normal(part.shape)
    other = Inputs(fitted, replace(frame, values=values), fitted.fold.test)
    donors = rng.permutation(len(inputs.time))
    np.testing.assert_array_equal(inputs.quantiles([0, 1], donors), other.quantiles([0, 1], donors))


def test_a_forecast_that_is_not_the_runs_is_refused(finished, runs, run_id):
    from mnpu.feature_tools.finished import check_forecast
    from mnpu.rundir import open_run

    run = open_run(runs, run_id)
    forecast = finished.forecast([inputs.quantiles() for inputs in finished.inputs])
    check_forecast(run, finished, forecast)
    with pytest.raises(DataError, match="forecasts differ by up to"):
        check_forecast(run, finished, replace(forecast, quantiles=forecast.quantiles + 0.01))


def test_a_damaged_run_is_refused(mnpu, copied):
    weights = copied / "bundle" / "fold-00" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    code, said = mnpu(copied)
    assert code == 3
    assert "bundle/fold-00/weights.safetensors changed after the run" in said
    (copied / "run.json").write_text("{")
    assert mnpu(copied)[0] == 1


def test_a_run_that_is_not_finished_is_refused(mnpu, copied):
    state = json.loads((copied / "run.json").read_text())
    (copied / "run.json").write_text(json.dumps({**state, "status": "failed"}))
    code, said = mnpu(copied)
    assert (code, "the run is failed, expected a finished run" in said) == (2, True)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--column", "price.volume_zscor"), "Did you mean 'price.volume_zscore'?"),
        (("--block", "80"), "blocks of 80, expected at least 4"),
    ],
)
def test_what_cannot_be_is_refused(runs, run_id, args, said):
    result = invoke(runs, run_id, *args)
    assert isinstance(result.exception, ConfigError)
    assert said in str(result.exception)


def test_without_torch_it_says_what_to_install(runs, run_id, tmp_path):
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('No module named torch', name='torch')")
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    done = subprocess.run(
        [sys.executable, "-m", "mnpu", "features", "importance", run_id, "--runs", str(runs)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5
    assert 'Run: pip install "mnpu-core[train]"' in done.stderr
