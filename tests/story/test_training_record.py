"""What a run shows of its training, from the recipe to the files and the report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

pytestmark = pytest.mark.story


def measurements(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "training.parquet")


def test_every_fit_of_a_run_is_watched_and_shown(small_run):
    rows = measurements(small_run.path)
    fits = {("linear", 0), ("linear", 1), ("omni", 0), ("omni", 1)}
    assert set(rows[["strategy", "fold"]].drop_duplicates().itertuples(index=False, name=None)) == fits
    for name in ("loss_train", "loss_validation", "lr", "gradient_norm", "update_ratio", "crps", "windows_per_second"):
        own = rows[(rows["name"] == name) & (rows["layer"] == "")]
        assert set(own[["strategy", "fold"]].itertuples(index=False, name=None)) == fits, name
    for bundle in sorted((small_run.path / "bundle").iterdir()):
        state = json.loads((bundle / "fitted.json").read_text(encoding="utf-8"))
        own = rows[(rows["strategy"] == "linear") & (rows["fold"] == state["fold"]["number"]) & (rows["layer"] == "")]
        losses = own[own["name"] == "loss_validation"].sort_values("epoch")["value"]
        assert list(losses) == [epoch["validation"] for epoch in state["history"]]
    text = (small_run.path / "report.md").read_text(encoding="utf-8")
    assert re.search(r"^## Training$", text, flags=re.M)


def test_an_alert_acts_and_is_said_wherever_somebody_looks(small_recipe, registry, tmp_path, capsys):
    from mnpu.config import load_config
    from mnpu.execute import execute
    from mnpu.progress import Progress

    sets = [
        "compare=[]",
        "train.instruments=[norms, {use: noise_scale, batch: 16, batches: 4, draws: 1}]",
        "train.alerts={exploding_gradients: {threshold: 0.0, action: stop}}",
    ]
    done = execute(load_config(small_recipe, sets=sets), registry, runs=tmp_path, progress=Progress())
    alerts = pd.read_parquet(done.path / "alerts.parquet")
    stopped = alerts[alerts["name"] == "exploding_gradients"]
    assert list(stopped["fold"]) == [0, 1]
    assert list(stopped["epoch"]) == [1, 1]
    assert measurements(done.path).groupby("fold")["epoch"].max().tolist() == [1, 1]  # of the two of the recipe
    said = capsys.readouterr().err
    assert "warning: linear, fold 1, epoch 1: the gradient's norm reached" in said
    assert "Training was stopped." in said
    lines = [json.loads(line) for line in (done.path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    facts = [line for line in lines if line.get("alert") == "exploding_gradients"]
    assert [line["fold"] for line in facts] == [0, 1]
    assert [line["value"] for line in facts] == list(stopped["value"])
    report = (done.path / "report.md").read_text(encoding="utf-8")
    assert report.count("exploding gradients") == 2
    assert "Gradient noise scale" in report


def test_instruments_are_no_part_of_a_recipe_s_identity_unless_an_alert_acts(small_recipe, registry):
    from mnpu.config import load_config
    from mnpu.config.resolve import resolve
    from mnpu.hashing import hash_config

    def identity(*sets: str) -> str:
        return hash_config(resolve(load_config(small_recipe, sets=sets), registry))

    usual = identity()
    assert identity("train.instruments=[]") == usual
    assert identity("train.alerts.nan=null") == usual
    assert identity("train.alerts.collapse={action: stop}") != usual
