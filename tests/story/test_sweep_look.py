"""A sweep chooses outside the locked range, and what it chose is judged on it once."""

from __future__ import annotations

import json

import pytest

from mnpu import ledger
from mnpu.errors import ConfigError
from mnpu.plugins.registry import Registry
from mnpu.progress import Silent
from mnpu.results_io import read_result
from mnpu.sweep import load_sweep
from mnpu.sweep.runner import run_sweep

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

LOCKED = "2013-07-01"
SWEEP = """name: locked
base: {base}
set: {{compare: [], train.epochs: 1, train.max_steps_per_epoch: 5, split.test: 1y, split.locked: {locked}}}
axes:
  seed: [0, 1]
blocks: []
"""


@pytest.fixture(scope="module")
def runs(small_recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("look")
    file = folder / "sweep.yaml"
    file.write_text(SWEEP.format(base=small_recipe, locked=LOCKED))
    done = run_sweep(load_sweep(file), Registry.discover(), runs=folder / "runs", progress=Silent(), workers=1)
    assert (done.trials, done.failed) == (2, 0)
    return folder / "runs"


def shown(mnpu, runs):
    return json.loads(mnpu("sweep", "show", "locked", "--runs", runs, "--json")[1])["choices"][0]


def test_the_choice_reads_nothing_locked_and_the_look_nothing_else(runs, mnpu):
    before = shown(mnpu, runs)
    assert before["locked"] == f"{LOCKED}..2014-12-31"
    assert before["looks"] == []
    for path in runs.glob("*/result.json"):
        assert str(read_result(path.parent).times[-1]) < LOCKED
    assert "Look once: mnpu sweep look locked" in mnpu("sweep", "show", "locked", "--runs", runs)[1]

    code, out, err = mnpu("sweep", "look", "locked", "--runs", runs, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)["look"]
    assert (found["place"], found["number"]) == (before["best"]["axes"] and f"seed={before['best']['axes']['seed']}", 1)
    result = read_result(runs / found["run_id"])
    assert str(result.times[0]) >= LOCKED
    assert found["sharpe"] == pytest.approx(result.metrics["sharpe"].value)

    rows = len(ledger.read_rows(runs)[0])
    again = json.loads(mnpu("sweep", "look", "locked", "--runs", runs, "--json")[1])["look"]
    assert again == found, "asked again it is told, not taken"
    assert len(ledger.read_rows(runs)[0]) == rows == 3
    after = shown(mnpu, runs)
    assert after["trials"] == 2, "a look is no trial of the sweep"
    assert [one["run_id"] for one in after["looks"]] == [found["run_id"]]
    assert "Look 1 at the locked range" in mnpu("sweep", "show", "locked", "--runs", runs)[1]

    [other] = [
        row["run_id"]
        for row in ledger.read_rows(runs)[0]
        if row["sweep"] == "locked" and row["trial"] != before["best"]["trial"]
    ]
    code, _, err = mnpu("sweep", "look", "locked", "--runs", runs, "--run", other)
    assert code == 2
    assert "the locked range was looked at by" in err
    second = json.loads(mnpu("sweep", "look", "locked", "--runs", runs, "--run", other, "--again", "--json")[1])["look"]
    assert second["number"] == 2, "it counts"
    assert len(shown(mnpu, runs)["looks"]) == 2


def test_a_sweep_cannot_be_judged_on_what_is_locked(small_recipe, tmp_path):
    file = tmp_path / "sweep.yaml"
    text = SWEEP.format(base=small_recipe, locked=LOCKED).replace("compare: []", "compare: [], split.unlocked: true")
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"split\.unlocked is true in a trial.*mnpu sweep look locked"):
        run_sweep(load_sweep(file), Registry.discover(), runs=tmp_path / "runs", progress=Silent())
    assert not (tmp_path / "runs").exists()


def test_an_unfinished_sweep_has_made_no_choice(runs, tmp_path, mnpu):
    kept = runs / "sweeps" / "locked.json"
    text = kept.read_text()
    kept.write_text(text.replace('"trials": 2', '"trials": 3'))
    try:
        code, _, err = mnpu("sweep", "look", "locked", "--runs", runs)
    finally:
        kept.write_text(text)
    assert code == 2
    assert "1 trials of sweep 'locked' are still to be run" in err
