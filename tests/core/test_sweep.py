"""A sweep counts every trial once: whatever fails, whoever is killed, however many do it at once."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from mnpu import ledger
from mnpu.errors import ConfigError, MnpuError
from mnpu.plugins.registry import Registry
from mnpu.progress import Silent
from mnpu.sweep import load_sweep, runner
from mnpu.sweep.runner import run_sweep
from mnpu.sweep.search import searcher
from mnpu.sweep.trials import Trials

pytestmark = pytest.mark.torch  # recipes have a head, which is built when they are read

ROOT = Path(__file__).parents[2]
BASE = """name: base
data: {store: market.db, symbols: [A, B, C], start: 2010-01-01, end: 2014-12-31}
features:
  - {use: price.log_return, window: [1, 5]}
split: {use: walk_forward, train: 1y, validation: 3mo, test: 1y}
model: {lookback: 8, forecaster: {use: ridge}}
policy: {use: rank_long_short}
"""
GRID = """name: grid
base: base.yaml
axes:
  model.lookback: [8, 16]
  seed: [0, 1, 2]
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "sweep.yaml").write_text(GRID)
    return tmp_path / "sweep.yaml"


@pytest.fixture
def quick(monkeypatch):
    """Trials that take no time, in processes all the same."""
    monkeypatch.setattr(runner, "FUNCTION", "tests.core.sweep_work:quick")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))


def swept(file, workers=2, **options):
    runs = file.parent / "runs"
    return run_sweep(load_sweep(file), Registry.discover(), runs=runs, progress=Silent(), workers=workers, **options)


def rows(file):
    return ledger.read_rows(file.parent / "runs")[0]


def begun(file):
    return (file.parent / "begun.txt").read_text().splitlines()


def test_every_combination_is_a_trial_with_a_row(file, quick):
    done = swept(file)
    assert (done.trials, done.done_now, done.done_before, done.failed) == (6, 6, 0, 0)
    assert {row["axes"] for row in rows(file)} == {
        f'{{"model.lookback": {lookback}, "seed": {seed}}}' for lookback in (8, 16) for seed in (0, 1, 2)
    }
    assert len({row["trial"] for row in rows(file)}) == len(rows(file)) == 6
    assert done.best is not None
    assert done.best[0] == "model.lookback=8 seed=0", "the first of those that are alike"


def test_a_second_time_nothing_is_done(file, quick):
    swept(file)
    done = swept(file)
    assert (done.done_now, done.done_before) == (0, 6)
    assert len(begun(file)) == len(rows(file)) == 6


def test_more_seeds_later_are_more_trials_of_the_same_sweep(file, quick):
    swept(file)
    file.write_text(GRID.replace("[0, 1, 2]", "[0, 1, 2, 3]"))
    assert swept(file).done_now == 2
    assert len(rows(file)) == 8


@pytest.mark.parametrize("workers", [1, 2])
def test_what_fails_or_dies_is_a_row_and_no_end(file, quick, workers):
    file.write_text(GRID.replace("[0, 1, 2]", "[666, 999, 1]"))
    done = swept(file, workers)
    assert (done.trials, done.done_now, done.failed) == (6, 6, 4)
    found = Counter((row["status"], row.get("error", "")) for row in rows(file))
    assert found == {
        ("finished", ""): 2,
        ("failed", "evil"): 2,
        ("failed", "its process was ended by signal 9: perhaps there was too little memory"): 2,
    }
    from mnpu.types import Run

    new = Run("", "new", "base", 0, "c", "d", "e", "f", {}, {}, rows(file)[0]["started_at"])
    assert ledger.before(file.parent / "runs", new).trials == 6, (
        "a trial that died has a folder and a row, and counts once"
    )


def test_failed_trials_are_done_again_if_asked_for(file, quick):
    file.write_text(GRID.replace("[0, 1, 2]", "[666, 1]"))
    swept(file)
    assert swept(file).done_now == 0
    done = swept(file, again=True)
    assert (done.done_now, done.failed) == (2, 2)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_ends_the_sweep_and_fails_no_trial(file, quick, workers):
    file.write_text(GRID.replace("[0, 1, 2]", "[0, 28]"))
    with pytest.raises(MnpuError, match=r"no room for model.lookback=8 seed=28 .*Make room and run the sweep again"):
        swept(file, workers)
    (file.parent / "room").touch()
    done = swept(file, workers)
    assert (done.trials, done.failed) == (4, 0)
    assert {row["status"] for row in rows(file) if row["run_id"] not in unfit(file)} == {"finished"}
    assert len({row["recipe_id"] for row in rows(file)}) == 4


def unfit(file):
    """Runs whose first row says that there was no room: each has a second one."""
    twice = Counter(row["run_id"] for row in rows(file))
    assert all(twice[row["run_id"]] == 2 for row in rows(file) if row.get("no_room"))
    return {row["run_id"] for row in rows(file) if row.get("no_room")}


def test_a_value_that_is_no_number_wins_nothing(file, quick):
    file.write_text(GRID.replace("[0, 1, 2]", "[13, 1]"))
    done = swept(file)
    assert "seed=1" in done.best[0]
    again = swept(file)
    assert again.best == done.best, "read from the ledger, too"


def test_an_objective_that_no_trial_has_is_said_after_the_first(file, quick):
    file.write_text(GRID.replace("[0, 1, 2]", "[404, 1]") + "objective: sharp\n")
    with pytest.raises(ConfigError, match=r"objective is 'sharp', .*has no such number.*Did you mean 'sharpe'"):
        swept(file, 1)
    assert len(rows(file)) == 1


@pytest.mark.parametrize(
    ("change", "twins"),
    [
        (("[0, 1, 2]", "[0, 0]"), "model.lookback=8 seed=0 and model.lookback=8 seed=0"),
        (("seed:", "again: {path: model.lookback, values: [4, 5]}\n  seed:"), "model.lookback=8 again=4 seed=0"),
        (("[0, 1, 2]", "[0]\n  runtime.threads: [1, 2]"), "model.lookback=8 seed=0 runtime.threads=1 and"),
    ],
)
def test_two_places_that_are_one_recipe_are_refused(file, quick, change, twins):
    file.write_text(GRID.replace(*change))
    with pytest.raises(ConfigError, match=rf"sweep\.yaml:4:3: {re.escape(twins)}.*the same recipe"):
        swept(file)
    assert not (file.parent / "runs").exists()


def test_another_sweep_of_the_same_name_is_refused(file, quick):
    swept(file)
    file.write_text(GRID.replace("seed:", "lr: {path: train.lr, values: [1e-3, 1e-4]}\n  seed:"))
    with pytest.raises(ConfigError, match=r"sweep\.yaml:1:7: .*has a sweep 'grid' over model.lookback, seed"):
        swept(file)
    assert len(rows(file)) == 6


def test_a_damaged_row_costs_itself_and_ends_nothing(file, quick):
    swept(file)
    path = sorted((file.parent / "runs" / "ledger").glob("*.parquet"))[0]
    path.write_bytes(path.read_bytes()[:40])
    with pytest.warns(ledger.LedgerWarning, match="cannot be read; it counts as a trial"):
        done = swept(file)
    assert (done.trials, done.failed, done.done_now) == (6, 0, 1)
    assert len(rows(file)) == 6, "the row is written anew, beside what is left of it"


def command(file):
    code = (
        "from mnpu.sweep import runner; runner.FUNCTION = 'tests.core.sweep_work:quick'; from mnpu.cli import main;"
        f" main(['sweep', 'run', {str(file)!r}, '--runs', {str(file.parent / 'runs')!r}, '--workers', '2'])"
    )
    return [sys.executable, "-c", code]


def test_killed_at_ten_random_moments_it_goes_on_and_counts_each_trial_once(file, quick, monkeypatch):
    monkeypatch.setenv("SWEEP_WORK_SECONDS", "0.3")
    file.write_text(GRID.replace("[0, 1, 2]", str(list(range(12)))))
    moments = random.Random(20240229)
    for _ in range(10):
        count = len(begun(file)) if (file.parent / "begun.txt").exists() else 0
        with subprocess.Popen(command(file), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and (not (file.parent / "begun.txt").exists() or len(begun(file)) == count):
                time.sleep(0.02)
            time.sleep(moments.uniform(0, 0.9))
            process.kill()
    monkeypatch.setenv("SWEEP_WORK_SECONDS", "0")
    done = swept(file)
    assert (done.trials, done.failed) == (24, 0)
    assert done.done_before > 0
    assert sorted(Counter(row["trial"] for row in rows(file)).values()) == [1] * 24
    assert len({row["recipe_id"] for row in rows(file)}) == 24
    assert len(list((file.parent / "runs").glob("*/run.json"))) == 24, "what was begun was taken up, not begun anew"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_leaves_what_was_begun_to_be_taken_up_and_fails_nothing(file, quick, monkeypatch):
    monkeypatch.setenv("SWEEP_WORK_SECONDS", "0.5")
    with subprocess.Popen(
        command(file),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job inherits a deaf one
    ) as process:
        deadline = time.monotonic() + 100
        while not (file.parent / "begun.txt").exists():
            time.sleep(0.02)
            assert time.monotonic() < deadline
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert {row["status"] for row in rows(file)} <= {"finished"}
    monkeypatch.setenv("SWEEP_WORK_SECONDS", "0")
    assert (swept(file).trials, len(rows(file))) == (6, 6)
    assert {row["status"] for row in rows(file)} == {"finished"}
    assert len(list((file.parent / "runs").glob("*/run.json"))) == 6


def test_two_sweeps_into_one_catalogue_do_each_trial_once(file, quick, monkeypatch):
    monkeypatch.setenv("SWEEP_WORK_SECONDS", "0.05")
    file.write_text(GRID.replace("[0, 1, 2]", str(list(range(10)))))
    both = [subprocess.Popen(command(file), stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(200) for process in both] == [0, 0]
    assert len(begun(file)) == len(rows(file)) == 20
    assert set(Counter(row["trial"] for row in rows(file)).values()) == {1}


def test_the_choices_do_not_depend_on_the_number_of_workers(file, quick):
    text = GRID.replace("seed: [0, 1, 2]", "train.lr: {low: 1e-4, high: 1e-2, log: true}")
    text += "search: {use: asha, trials: 14, batch: 4, budget: {low: 1, high: 4, eta: 2}}\n"
    found = []
    for workers in (1, 2):
        folder = file.parent / f"w{workers}"
        folder.mkdir()
        (folder / "base.yaml").write_text(BASE)
        (folder / "sweep.yaml").write_text(text)
        assert swept(folder / "sweep.yaml", workers).trials == 14
        found.append({(row["trial"], row["axes"], row["metric.sharpe"]) for row in rows(folder / "sweep.yaml")})
    assert found[0] == found[1]
    assert '"train.epochs": 4' in str(found[0])


def test_asha_has_a_budget_of_its_own(file, quick):
    axes = "train.lr: {low: 1e-4, high: 1e-2, log: true}\nsearch: {use: asha, trials: 12, batch: 6}\n"
    file.write_text(GRID.replace("  model.lookback: [8, 16]\n", "").replace("seed: [0, 1, 2]", axes))
    assert swept(file).trials == 12
    epochs = Counter(json.loads(row["axes"])["train.epochs"] for row in rows(file))
    assert epochs[1] > epochs[3] > 0, "one in three goes on with three times as much"


def test_a_wrong_value_is_refused_before_anything_runs(file, quick):
    file.write_text(GRID.replace("[8, 16]", "[8, sixteen]"))
    with pytest.raises(ConfigError, match=r"sweep\.yaml:4:23: model\.lookback is 'sixteen', expected a whole number"):
        swept(file)
    assert not (file.parent / "runs").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("seed: [0, 1, 2]", "seed: 3"), r"sweep\.yaml:5:9: axes\.seed is 3, expected a map"),
        (("seed: [0, 1, 2]", "seed: []"), r"axes\.seed"),
        (("base: base.yaml", "bas: base.yaml"), r"sweep\.yaml:2:1.*Did you mean"),
        (("base: base.yaml\n", ""), "no base"),
        (("base: base.yaml", "base: bose.yaml"), r"bose\.yaml does not exist|bose\.yaml: does not exist"),
        (("seed: [0, 1, 2]", "train.lr: {low: 1e-4, high: 1e-2}"), r"axes\.train\.lr is a range"),
        (("seed: [0, 1, 2]", "train.lr: {low: 1.0, high: 0.5}"), "low below high"),
        (("seed: [0, 1, 2]", "sed: [0, 1]"), r"sweep\.yaml:5:\d+.*sed"),
        (("seed: [0, 1, 2]", "model.forecaster: [{use: rigde}]"), r"sweep\.yaml:5:\d+.*rigde"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(file, change, said):
    file.write_text(GRID.replace(*change))
    with pytest.raises(ConfigError, match=said):
        swept(file)


def test_cases_change_the_base_and_several_values_at_once(file):
    other = BASE.replace("name: base", "name: other").replace("lookback: 8", "lookback: 12")
    (file.parent / "other.yaml").write_text(other)
    file.write_text(
        "name: cases\nset: {train.epochs: 2}\naxes:\n  market:\n    cases:\n"
        "      one: {base: base.yaml}\n      two: {base: other.yaml, set: {costs.half_spread_bps: 5.0, seed: 4}}\n"
    )
    definition = load_sweep(file)
    makers = Trials(definition, Registry.discover())
    one, two = (makers.at(proposal.place) for proposal in searcher(definition.sweep).ask())
    assert (one.base.name, two.base.name) == ("base.yaml", "other.yaml")
    assert one.sets == ("train.epochs=2",)
    assert two.sets == ("train.epochs=2", "costs.half_spread_bps=5.0", "seed=4")
    assert (one.name, two.name) == ("market=one", "market=two")
    assert definition.blocks == ["market"]


def test_a_secret_travels_as_the_name_that_it_was_written_as(file, monkeypatch):
    monkeypatch.setenv("THE_SECRET", "xyzzy")
    file.write_text(GRID + 'set: {data.store: "${env:THE_SECRET}"}\n')
    definition = load_sweep(file)
    trial = Trials(definition, Registry.discover()).at(searcher(definition.sweep).ask()[0].place)
    assert trial.sets[0] == 'data.store="${env:THE_SECRET}"'
    assert "xyzzy" not in str(trial)
