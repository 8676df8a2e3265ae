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


STATES = OPENS.replace("name: opens", "name: states").replace(
    "  - {{use: price.volume_zscore, window: 20}}\n",
    "  - {{use: technical.rsi}}\n  - {{use: technical.macd}}\n  - {{use: technical.*, tag: volume}}\n"
    "  - {{use: alpha158.BETA20}}\n  - {{use: alpha158.CORR60}}\n",
)


def test_an_agent_agrees_where_columns_carry_states_and_a_kernel_computes(demo_store, registry, tmp_path, monkeypatch):
    from mnpu.agent import Agent, replay
    from mnpu.config import load_config
    from mnpu.errors import DataError
    from mnpu.execute import execute
    from mnpu.progress import Silent

    recipe = tmp_path / "states.yaml"
    recipe.write_text(STATES.format(store=demo_store))
    run = execute(load_config(recipe), registry, runs=tmp_path / "runs", progress=Silent())
    assert sum(spec.state > 0 for spec in run.result.features) >= 3
    assert _agreeing_decisions(run, registry, SESSIONS) >= 250

    agent, bars = replay(run.path, registry, sessions=3)
    agent.step(*next(bars))
    with monkeypatch.context() as broken:
        broken.setattr(Agent, "_decide", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            agent.step(*next(bars))
    with pytest.raises(DataError, match="half done"):  # the book lacks a decision
        agent.step(*next(bars))


def _agreeing_decisions(run, registry, sessions, unfilled=None, atol=1e-9):
    """Step an agent through the last sessions of a run; how many decisions were compared, all of them equal.

    ``unfilled`` (T, A) are orders that found no fill: there the book after the fill is not what was ordered.
    """
    from mnpu.agent import Agent, replay

    result = run.result
    agent, bars = replay(run.path, registry, sessions=sessions)
    assert isinstance(agent, Agent)
    checked, worth = 0, [1.0]
    for rows, news in bars:
        decision = agent.step(rows, news)
        worth.append(agent._account._equity)
        t = result.times.get_loc(decision.time)
        np.testing.assert_allclose(decision.proposed, result.proposed.weights[t], atol=atol)
        filled = slice(None) if unfilled is None else ~unfilled[t]
        np.testing.assert_allclose(decision.weights[filled], result.positions.weights[t][filled], atol=atol)
        np.testing.assert_allclose(decision.forecast.quantiles[-1], result.forecast.quantiles[t], rtol=1e-6, atol=atol)
        checked += 1
    # The account earns what the run's did, once both hold the same book; it is known up to the last fill.
    earned = np.diff(worth)[3:] / worth[3:-1]
    np.testing.assert_allclose(earned, result.net[t - len(earned) - 1 : t - 1], atol=max(atol, 1e-8))
    return checked


DIVIDENDS = OPENS.replace("fill: next_open", "fill: {fill}").replace("name: opens", "name: mortal")


@pytest.mark.parametrize("fill", ["next_close", "next_open", "vwap"])
def test_an_agent_agrees_where_dividends_are_paid_and_a_share_is_delisted(
    demo_store, registry, tmp_path, monkeypatch, fill
):
    from mnpu.config import load_config
    from mnpu.data import store
    from mnpu.data.actions import NO_ACTIONS, Listing
    from mnpu.data.panel import build_panel
    from mnpu.execute import execute
    from mnpu.progress import Silent

    def mortal(symbols, datasets, bars, *rest, **options):
        days = bars.symbol(symbols.index("MSFT"))[::3]  # often, so that a dividend meets a bar without an order
        paid = [(days, np.full(len(days), 0.5)) if s == "MSFT" else NO_ACTIONS for s in symbols]
        gone = Listing(delisted=int(bars.symbol(symbols.index("IBM"))[-120]), delisting_return=-0.4)
        listings = [gone if s == "IBM" else Listing() for s in symbols]
        return build_panel(symbols, datasets, bars, *rest, **(options | {"dividends": paid, "listings": listings}))

    monkeypatch.setattr(store, "build_panel", mortal)
    recipe = tmp_path / "mortal.yaml"
    recipe.write_text(DIVIDENDS.format(store=demo_store, fill=fill))
    run = execute(load_config(recipe), registry, runs=tmp_path / "runs", progress=Silent())
    held = run.result.positions.weights
    assert any("closed by a delisting" in note for note in run.result.notes), run.result.notes
    assert any("IBM was delisted" in note for note in run.result.notes)
    assert (held[-100:, run.result.positions.symbols.index("IBM")] == 0).all()
    ended = np.isfinite(run.result.panel["delisting"])
    assert ended[-200:].sum() == 1  # within what the agent is stepped through
    # Forecasts agree to 1e-6: a network in single precision rounds otherwise where a batch has one symbol less.
    assert _agreeing_decisions(run, registry, 260, np.roll(ended, -1, axis=0), atol=1e-6) == 260


GUARDED = (
    OPENS.replace("fill: next_open", "fill: next_close").replace("name: opens", "name: guarded")
    + """  - {{use: volatility_target, volatility: 0.05, window: 30}}
  - {{use: tail_risk, cvar: 0.01, level: 0.25, window: 40, source: forecast}}
  - {{use: stale_data}}
  - {{use: liquidity, capital: 1.0e9, participation: 0.05}}
  - {{use: turnover, per_bar: 0.3}}
  - {{use: daily_loss, loss: 0.01}}
  - {{use: drawdown, start: 0.01, stop: 0.05, resume: 0.005, floor: 0.2}}
"""
)


def test_an_agent_agrees_where_guardrails_remember_and_look_at_the_market(demo_store, registry, tmp_path):
    pytest.importorskip("mnpu_guardrails", reason="the guardrails need mnpu-guardrails")
    from mnpu.config import load_config
    from mnpu.execute import execute
    from mnpu.progress import Silent

    recipe = tmp_path / "guarded.yaml"
    recipe.write_text(GUARDED.format(store=demo_store))
    run = execute(load_config(recipe), registry, runs=tmp_path / "runs", progress=Silent())
    met = {violation.rule for violation in run.result.positions.violations}
    assert {"volatility_target", "turnover"} <= met
    assert "drawdown" in met or "daily_loss" in met
    assert _agreeing_decisions(run, registry, len(run.result.times)) >= 100  # from the first decision, in cash
