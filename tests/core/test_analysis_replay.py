"""Runs of accounts of a size are simulated again as they were, and their curve of capital by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mnpu.accounts import account_around, market_around
from mnpu.analysis import attribution
from mnpu.analysis.capacity import capacity
from mnpu.analysis.replay import Terms, replay
from mnpu.analysis.sensitivity import cost_table, lag_table, scaled
from mnpu.data.fills import fill_prices
from mnpu.simulation.costs import CostModel
from mnpu.simulation.execution import Execution
from mnpu.simulation.simulate import simulate
from mnpu.types import Positions, Result, SideTable

N, FIRST = 60, 30
DAYS = pd.bdate_range("2015-01-05", periods=96).difference(pd.to_datetime(["2015-01-19", "2015-02-16", "2015-04-03"]))


def a_side(times, symbols):
    """A rate of 1 % for the first symbol and -1 % for the others, settled a minute before each bar's end."""
    event = times.repeat(len(symbols)) - pd.Timedelta(minutes=1)
    names = np.array(list(symbols) * len(times), dtype=object)
    rates = np.where(names == symbols[0], 0.01, -0.01)
    return SideTable(event, event, np.array(["rate"] * len(names), dtype=object), names, rates, {})


def a_sized(make_panel, rng, terms, *, drift=0.0, weight=0.6):
    close = 50 * np.exp(np.cumsum(rng.normal(drift, 0.02, (N + FIRST + 2, 3)), axis=0))
    times = (DAYS[: len(close)] + pd.Timedelta(hours=16)).tz_localize("America/New_York").tz_convert("UTC")
    bars = {"volume": rng.uniform(1e4, 1e5, close.shape), "low": close * 0.9, "high": close * 1.1}
    panel = make_panel(close, times=times.as_unit("ns"), open=close * 1.001, **bars)
    side = a_side(panel.times, panel.symbols)
    rows, fills = (FIRST, FIRST + N), fill_prices(panel, terms.fill)
    weights = weight * np.sign(rng.normal(size=(N, 3)))
    proposed = Positions(panel.times[slice(*rows)], panel.symbols, weights, np.arange(N) % 3 == 0)
    told = {"fill": terms.fill, "costs": terms.rates, "execution": terms.execution, "funding": terms.funding}
    out = simulate(proposed, **market_around(panel, fills, *rows), **account_around((panel, side, fills), rows, **told))
    result = Result(
        "sized",
        proposed.times,
        fills.times[slice(*rows)],
        out.gross,
        out.net,
        out.equity,
        out.turnover_oneway,
        out.costs,
        proposed,
        out.positions,
        252.0,
    )
    return result, panel, side


TERMS = {
    "funding alone": Terms(rates=CostModel(1.0, 2.0), funding="rate"),
    "at the open": Terms("next_open", rates=CostModel(1.0, 2.0, impact=0.5), execution=Execution(1e7)),
    "everything": Terms(
        rates=CostModel(1.0, 2.0, impact=0.5, borrow_bps=300.0, liquidation_bps=50.0),
        execution=Execution(1e6, participation=0.2, lot=1.0, min_notional=1e3, maintenance=0.2),
        funding="rate",
    ),
}


@pytest.mark.parametrize("kind", TERMS)
def test_what_did_not_change_is_the_run_and_the_parts_are_the_whole(make_panel, rng, kind):
    terms = TERMS[kind]
    result, panel, side = a_sized(make_panel, rng, terms, weight=1.4 if kind == "everything" else 0.6)
    found = replay(result, panel, terms, side=side)
    assert found.apart == 0.0
    assert (found.simulate().net == result.net).all()
    if kind == "everything":
        assert (result.costs["liquidation"] > 0).any(), "the broker steps in, and the account is explained all the same"
    total = np.prod(1 + result.gross) - 1
    assert sum(part.contribution for part in attribution.by_symbol(found)) == pytest.approx(total, abs=1e-12)
    parts = {part.name: part.contribution for part in attribution.gross_to_net(found)}
    assert sum(parts.values()) == pytest.approx(np.prod(1 + result.net) - 1, abs=1e-12)
    assert "rest" not in parts
    if terms.funding:
        assert parts["cost: funding"] != 0
    assert {row.lag for row in lag_table(found).rows} == {0, 1, 2}
    assert cost_table(found)[2].mean_ann == pytest.approx(result.net.mean() * 252, abs=1e-15)


def test_funding_that_is_not_known_is_seen_in_the_difference(make_panel, rng):
    terms = TERMS["funding alone"]
    result, panel, _ = a_sized(make_panel, rng, terms)
    found = replay(result, panel, terms)
    assert (found.simulate().net - result.net)[0] == pytest.approx(result.costs["funding"][0], abs=1e-15)
    assert found.apart > 0.01


def test_rates_are_scaled_all_of_them_whole_numbers_too():
    assert scaled(CostModel(1, 2, impact=1, borrow_bps=3), 2.0) == CostModel(2.0, 4.0, 2.0, 6.0)


def one_purchase(make_panel, rng, execution, impact):
    """All money into one symbol at the first decision, then held."""
    close = np.concatenate([50 * np.exp(np.cumsum(rng.normal(0.002, 0.02, FIRST + 1))), np.full(41, 60.0)])[:, None]
    close[FIRST + 2 :] *= np.exp(np.linspace(0.01, 0.4, 40))[:, None]
    panel = make_panel(close, volume=np.full(close.shape, 1e5))
    fills = fill_prices(panel)
    rows = FIRST, FIRST + 30
    proposed = Positions(panel.times[slice(*rows)], panel.symbols, np.ones((30, 1)), np.arange(30) == 0)
    rates = CostModel(0.0, 0.0, impact=impact)
    terms = Terms(rates=rates, execution=execution)
    told = {"fill": "next_close", "costs": rates, "execution": execution, "funding": None}
    out = simulate(proposed, **market_around(panel, fills, *rows), **account_around((panel, None, fills), rows, **told))
    zero = np.zeros(30)
    result = Result("one", proposed.times, fills.times[slice(*rows)], out.gross, out.net, out.equity, zero, out.costs,
                    proposed, out.positions, 252.0)  # fmt: skip
    return replay(result, panel, terms), close[:, 0]


def test_impact_of_one_purchase_by_hand(make_panel, rng):
    found, close = one_purchase(make_panel, rng, Execution(1e6), 0.5)
    moves = close[FIRST - 19 : FIRST + 1] / close[FIRST - 20 : FIRST] - 1
    usual = np.mean(close[FIRST - 19 : FIRST + 1] * 1e5)
    curve = capacity(found, capitals=(1e4, 1e6))
    for row in curve.rows:
        paid = 0.5 * np.std(moves, ddof=1) * np.sqrt(row.capital / usual)
        assert row.impact_ann == pytest.approx(paid / 30 * 252)
        assert row.participation == pytest.approx(row.capital / (close[FIRST + 1] * 1e5), rel=1e-9)
        assert row.filled == 1.0


def test_what_a_bar_does_not_take_stays_in_cash(make_panel, rng):
    """A hundredth of a bar's value is all that is filled; without carrying over, the rest never is."""
    execution = Execution(1e6, participation=0.01, carry=False)
    found, close = one_purchase(make_panel, rng, execution, 0.0)
    found = replace(found, rates=CostModel(0.0, 0.0, impact=1e-12))  # the law's part is as good as nothing
    row = capacity(found, capitals=(1e7,)).rows[0]
    share = 0.01 * 1e5 * close[FIRST + 1] / 1e7
    assert row.filled == pytest.approx(share)
    assert row.participation == pytest.approx(0.01)
    held = share * close[FIRST + 31] / close[FIRST + 1] + 1 - share
    assert found.simulate(execution=replace(execution, capital=1e7)).equity[-1] == pytest.approx(held)


def test_half_and_nothing_of_the_ratio_is_left_where_the_curve_says(make_panel, rng):
    terms = Terms(rates=CostModel(1.0, 2.0, impact=0.5), execution=Execution(1e5))
    result, panel, side = a_sized(make_panel, rng, terms)
    up = replay(result, panel, terms, side=side)
    market = np.sign(up.returns)
    foreseen = replace(up, proposed=replace(up.proposed, weights=0.3 * market, rebalance=np.ones(N, dtype=bool)))
    curve = capacity(foreseen)
    at = lambda capital: foreseen.simulate(execution=Execution(capital)).net
    assert curve.zero is not None
    assert at(curve.zero * 0.95).mean() > 0 > at(curve.zero * 1.05).mean()
    ratio = lambda net: net.mean() / net.std(ddof=1)
    assert ratio(at(curve.half * 0.95)) > ratio(at(curve.rows[0].capital)) / 2 > ratio(at(curve.half * 1.05))
    assert curve.best == max(curve.rows, key=lambda row: row.money_ann).capital
