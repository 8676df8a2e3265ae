"""What is tested is what is served: an Agent, stepped bar by bar, decides what the vectorised run decided."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

SESSIONS = 260


def test_an_agent_decides_what_the_run_decided_over_250_real_sessions(small_run, registry):
    assert _agreeing_decisions(small_run, registry, SESSIONS) >= 250


#: Three companies as traded, and two that are listed later, in 2004 and in 2012.
OPENS = """
name: opens
seed: 3
data:
  store: sqlite:///{store}
  dataset: us_ohlcv_daily
  symbols: [AAPL, FB, GOOG, IBM, MSFT]
  start: 2002-01-01
  end: 2012-06-29
features:
  - {{use: price.log_return, window: [1, 5]}}
  - {{use: price.volume_zscore, window: 20}}
target: {{use: forward_return, horizons: [1, 5]}}
fill: next_open
split: {{use: walk_forward, train: 4y, validation: 6mo, test: 3y}}
model:
  lookback: 8
  backbone: {{use: linear}}
train: {{epochs: 1, batch_size: 512, lr: 3e-3, max_steps_per_epoch: 15}}
policy: {{use: signed_quantile, hold: 2}}
guardrails:
  - {{use: gross_cap, gross: 0.5}}
"""


def test_an_agent_that_fills_at_opens_agrees_across_folds_and_with_a_symbol_that_is_not_listed(
    demo_store, registry, tmp_path
):
    from mnpu.config import load_config
    from mnpu.execute import execute
    from mnpu.progress import Silent

    recipe = tmp_path / "opens.yaml"
    recipe.write_text(OPENS.format(store=demo_store))
    run = execute(load_config(recipe), registry, runs=tmp_path / "runs", progress=Silent())
    assert len(run.result.folds.folds) > 1
    refit = run.result.folds.folds[1].test[0]
    sessions = run.result.folds.folds[-1].test[1] - refit + 10
    assert _agreeing_decisions(run, registry, sessions) >= 250


def _agreeing_decisions(run, registry, sessions):
    """Step an agent through the last sessions of a run; how many decisions were compared, all of them equal."""
    from mnpu.agent import Agent, replay

    result = run.result
    agent, bars = replay(run.path, registry, sessions=sessions)
    assert isinstance(agent, Agent)
    checked = 0
    for rows, news in bars:
        decision = agent.step(rows, news)
        t = result.times.get_loc(decision.time)
        np.testing.assert_allclose(decision.proposed, result.proposed.weights[t], atol=1e-9)
        np.testing.assert_allclose(decision.weights, result.positions.weights[t], atol=1e-9)
        np.testing.assert_allclose(decision.forecast.quantiles[-1], result.forecast.quantiles[t], rtol=1e-6, atol=1e-9)
        checked += 1
    return checked
