"""A recipe whose networks are fitted by two processes gives what one gives, but for the order of sums."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    """Weights, forecasts and metrics; the environment's hash says that the last bits may differ."""
    recipe = tmp_path / "shared.yaml"
    recipe.write_text(RECIPE.format(store=demo_store), encoding="utf-8")
    [alone] = (ran(mnpu, recipe, tmp_path / str(n), f"runtime.devices={n}") for n in (1,))
    assert not (tmp_path / "1" / "x").exists()
    for name, weights in alone["weights"].items():
        np.testing.assert_allclose(shared["weights"][name], weights, rtol=1e-4, atol=1e-6, err_msg=name)
    columns = alone["forecasts"].select_dtypes("number").columns
    np.testing.assert_allclose(shared["forecasts"][columns], alone["forecasts"][columns], rtol=1e-3, atol=1e-6)
    assert shared["manifest"]["config_hash"] == alone["manifest"]["config_hash"]
    assert shared["manifest"]["env_hash"] != alone["manifest"]["env_hash"]


def ran(mnpu: Callable[..., tuple[object, str, str]], recipe: Path, runs: Path, setting: str) -> dict[str, Any]:
    """What a run keeps."""
    code, out, err = mnpu("run", recipe, "--set", setting, "--runs", runs)
    assert code == 0, out + err
    [path] = (p for p in runs.iterdir() if p.is_dir())
    import subprocess
    print(subprocess.run(["find", str(path)], capture_output=True, text=True).stdout)
    return {}
