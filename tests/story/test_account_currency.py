"""A whole run in euros on prices in dollars: what it earned by another route, and an agent that decides the same."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

from tests.story.test_agent import OPENS, _agreeing_decisions

EUROS = OPENS.replace("name: opens", "name: euros\ncurrency: EUR")


@pytest.fixture
def dollars_and_euros(store_copy):
    """The store with a made-up EURUSD for every session of New York, which moves by up to a third."""
    with sqlite3.connect(store_copy) as connection:
        connection.execute(
            "INSERT INTO datasets SELECT 'made_up_rates', vendor, frequency, stamp, 'none', '', calendar, 'USD',"
            " licence, note FROM datasets WHERE name = 'us_ohlcv_daily'"
        )
        connection.execute(
            "INSERT INTO assets SELECT 'made_up_rates', 'EURUSD', first_bar, last_bar, n_bars, 'fx', 'USD', calendar,"
            " 'EURUSD', NULL, NULL, NULL FROM assets WHERE dataset = 'us_ohlcv_daily' AND symbol = 'IBM'"
        )
        rows = connection.execute(
            "SELECT event_time, knowledge_time FROM prices WHERE dataset = 'us_ohlcv_daily' AND symbol = 'IBM'"
        ).fetchall()
        made_up = 1.2 * np.exp(np.random.default_rng(5).normal(0, 0.006, len(rows)).cumsum())
        connection.executemany(
            "INSERT INTO prices VALUES ('made_up_rates', 'EURUSD', ?, ?, NULL, NULL, NULL, ?, NULL, NULL, 'declared')",
            [(*row, float(rate)) for row, rate in zip(rows, made_up, strict=True)],
        )
    return store_copy, {event: rate for (event, _), rate in zip(rows, made_up, strict=True)}


@pytest.mark.parametrize("fill", ["next_close", "vwap"])
def test_a_run_in_euros_earns_both_returns_and_an_agent_decides_the_same(dollars_and_euros, registry, tmp_path, fill):
    from mnpu.config import load_config
    from mnpu.execute import execute
    from mnpu.progress import Silent
    from mnpu.results_io import read_result

    store, eurusd = dollars_and_euros
    recipe = tmp_path / "euros.yaml"
    recipe.write_text(EUROS.format(store=store).replace("fill: next_open", f"fill: {fill}"))
    run = execute(load_config(recipe), registry, runs=tmp_path / "runs", progress=Silent())
    result = run.result
    assert any(note.startswith("The account is in EUR; prices in USD") for note in result.notes)
    bars, weights = result.panel, result.positions.weights
    prices = bars["close"] if fill == "next_close" else sum(bars[n] for n in ("open", "high", "low", "close")) / 4
    for t in range(0, len(result.times) - 2, 40):
        earned = 0.0
        for a in range(len(bars.symbols)):
            if weights[t, a]:
                local = prices[t + 2, a] / prices[t + 1, a] - 1
                rate = eurusd[bars.instants[t + 1]] / eurusd[bars.instants[t + 2]] - 1  # of a dollar, in euros
                earned += weights[t, a] * ((1 + local) * (1 + rate) - 1)
        assert result.gross[t] == pytest.approx(earned, abs=1e-12)
    trade = result.fills.iloc[len(result.fills) // 2]
    row, column = bars.times.get_loc(trade["time"]), bars.symbols.index(trade["symbol"])
    assert trade["price"] == pytest.approx(prices[row, column] / bars["split_factor"][row, column])  # in dollars
    np.testing.assert_array_equal(read_result(run.path).panel["rate"], bars["rate"])
    assert _agreeing_decisions(run, registry, 260) >= 250


def test_an_analysis_of_a_finished_run_reads_the_rates_again(dollars_and_euros, registry, tmp_path, mnpu):
    from mnpu.config import load_config
    from mnpu.execute import execute
    from mnpu.progress import Silent

    recipe = tmp_path / "euros.yaml"
    recipe.write_text(EUROS.format(store=dollars_and_euros[0]))
    run = execute(load_config(recipe), registry, runs=tmp_path / "runs", progress=Silent())
    code, out, err = mnpu("runs", "analyse", run.path.name, "--runs", str(tmp_path / "runs"))
    assert code == 0, err
    assert "holds other prices now" not in str(out) + err


def test_a_guardrail_for_an_account_of_another_size_is_refused(demo_store, registry, tmp_path):
    pytest.importorskip("mnpu_guardrails", reason="the guardrails need mnpu-guardrails")
    from mnpu.assembly import assemble
    from mnpu.config import load_config
    from mnpu.config.resolve import resolve
    from mnpu.errors import ConfigError

    recipe = tmp_path / "two.yaml"
    liquid = "  - {{use: liquidity, capital: {capital}}}\nexecution: {{capital: 2.0e6}}\n"
    for capital, fits in (("2.0e6", True), ("1.0e6", False)):
        recipe.write_text(OPENS.format(store=demo_store) + liquid.format(capital=capital))
        loaded = load_config(recipe)
        made = lambda loaded=loaded: assemble(loaded.pipeline, resolve(loaded, registry), registry, base=tmp_path)
        if fits:
            assert made().execution.capital == 2e6
        else:
            with pytest.raises(ConfigError, match="capital is 1,000,000 for liquidity and 2,000,000 for the account"):
                made()
