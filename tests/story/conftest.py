"""A small recipe on real data, run once for all stories."""

from __future__ import annotations

from pathlib import Path

import pytest

SMALL = """
name: small
seed: 3
data:
  store: sqlite:///{store}
  dataset: us_adjclose_daily
  symbols: [AAPL, GE, JNJ, KO, MSFT, PFE, WMT, XOM]
  start: 2008-01-01
  end: 2014-12-31
features:
  - {{use: price.log_return, window: [1, 5]}}
  - {{use: price.realised_volatility, window: 21}}
  - {{use: price.distance_from_average, window: 20}}
target: {{use: forward_return, horizons: [5]}}
split: {{use: walk_forward, train: 2y, validation: 6mo, test: 2y}}
model:
  lookback: 8
  backbone: {{use: linear}}
train: {{epochs: 2, batch_size: 512, lr: 3e-3, max_steps_per_epoch: 15}}
policy: {{use: rank_long_short, gross: 1.0, hold: 3}}
guardrails:
  - {{use: gross_cap, gross: 0.8}}
compare:
  - policy: {{use: buy_and_hold}}
  - policy: {{use: momentum, window: 60, skip: 5}}
  - backbone: {{use: omni}}
"""


@pytest.fixture(scope="session")
def small_recipe(demo_store, tmp_path_factory) -> Path:
    """A recipe of eight symbols over seven years and two folds, in a folder of its own."""
    path = tmp_path_factory.mktemp("recipe") / "small.yaml"
    path.write_text(SMALL.format(store=demo_store))
    return path


@pytest.fixture(scope="session")
def registry():
    """What is installed."""
    from mnpu.plugins.registry import Registry

    return Registry.discover()


@pytest.fixture(scope="session")
def small_run(small_recipe, registry, tmp_path_factory):
    """One finished run of the small recipe, with its folder of runs."""
    from mnpu.config import load_config
    from mnpu.execute import execute
    from mnpu.progress import Silent

    runs = tmp_path_factory.mktemp("runs")
    return execute(load_config(small_recipe), registry, runs=runs, progress=Silent())
