"""A recipe whose networks are fitted by two processes gives what one gives, but for the order of sums."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

RECIPE = """
name: shared
seed: 3
data:
  store: sqlite:///{store}
  dataset: us_adjclose_daily
  symbols: [AAPL, GE, JNJ, KO]
  start: 2008-01-01
  end: 2011-12-31
features:
  - {{use: price.log_return, window: [1, 5]}}
target: {{use: forward_return, horizons: [5]}}
split: {{use: walk_forward, train: 2y, validation: 6mo, test: 18mo}}
model:
  lookback: 8
  backbone: {{use: linear}}
  ensemble: {{seeds: 2}}
train: {{epochs: 2, batch_size: 128, max_steps_per_epoch: 8, ema: 0.8, loggers: [csv]}}
policy: {{use: rank_long_short, hold: 3}}
runtime: {{device: cpu}}
"""


def test_a_run_in_two_processes_is_that_of_one(
    demo_store: Path, tmp_path: Path, mnpu: Callable[..., tuple[object, str, str]]
) -> None:
    """Weights of both members, forecasts, metrics and records; the hash says that the last bits may differ."""
    from safetensors.numpy import load_file

    from mnpu.rundir import list_runs

    recipe = tmp_path / "shared.yaml"
    recipe.write_text(RECIPE.format(store=demo_store), encoding="utf-8")
    for devices in (1, 2):
        code, out, err = mnpu("run", recipe, "--set", f"runtime.devices={devices}", "--runs", tmp_path / str(devices))
        assert code == 0, out + err
    one, two = (list_runs(tmp_path / str(devices))[0] for devices in (1, 2))
    assert one.state["run"]["config_hash"] == two.state["run"]["config_hash"]
    assert one.state["run"]["env_hash"] != two.state["run"]["env_hash"]
    weights, others = (load_file(next(run.path.glob("bundle/fold-00/*.safetensors"))) for run in (one, two))
    for name, tensor in weights.items():
        np.testing.assert_allclose(others[name], tensor, rtol=1e-4, atol=1e-6, err_msg=name)
    for table in ("forecast", "training"):
        mine, other = (numbers(run.path / f"{table}.parquet") for run in (one, two))
        np.testing.assert_allclose(other, mine, rtol=1e-3, atol=1e-6)
    found, expected = (metrics(run.path) for run in (two, one))
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)
    assert len(list(two.path.glob("logs/**/log.csv"))) == 2  # a member each


def metrics(folder: Path) -> dict[str, float]:
    """The judged strategy's, where they have a value."""
    told = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["metrics"]
    return {name: metric["value"] for name, metric in told.items() if metric["value"] is not None}


def numbers(path: Path) -> pd.DataFrame:
    """The numbers of a table, without what instruments alone read: they do not watch several processes."""
    table = pd.read_parquet(path)
    if "name" in table:
        table = table[table["name"].isin(["loss_train", "loss_validation", "lr"])]
    return table.select_dtypes("number")
