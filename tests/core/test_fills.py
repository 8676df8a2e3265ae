"""Fills come after decisions, and nothing that a holder earns is lost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.data.fills import fill_prices, holding_returns, marks, next_prices
from mnpu.data.store import Store
from mnpu.errors import ConfigError, DataError

NAN = np.nan


def test_an_order_is_filled_at_the_next_close(make_panel):
    panel = make_panel([[10.0], [11.0], [13.0]])
    fills = fill_prices(panel)
    np.testing.assert_array_equal(fills.prices[:, 0], [11.0, 13.0, NAN])
    assert list(fills.times[:2]) == list(panel.times[1:])
    assert fills.times[2] is pd.NaT


def test_an_order_is_filled_at_the_next_open_which_comes_before_the_close(make_panel):
    panel = make_panel([[10.0], [11.0], [13.0]], open=np.array([[9.0], [12.0], [14.0]]))
    fills = fill_prices(panel, "next_open")
    np.testing.assert_array_equal(fills.prices[:, 0], [12.0, 14.0, NAN])
    assert fills.times[0] == pd.Timestamp("2015-01-06 14:30", tz="UTC")
    assert (fills.times[:2] > panel.times[:2]).all()


def test_the_bar_of_the_decision_moves_nothing_that_is_earned(make_panel, rng):
    close = 100 + rng.normal(size=(8, 2)).cumsum(axis=0)
    moved = close.copy()
    moved[4] *= 3
    before, after = (holding_returns(fill_prices(make_panel(x))) for x in (close, moved))
    changed = np.flatnonzero((before != after).any(axis=1) & np.isfinite(before).any(axis=1))
    assert changed.tolist() == [2, 3]  # decision 2 holds from fill 3 to fill 4, decision 3 from fill 4 to fill 5


def test_holding_returns_run_from_fill_to_fill(make_panel):
    returns = holding_returns(fill_prices(make_panel([[10.0], [20.0], [30.0], [15.0]])))
    np.testing.assert_allclose(returns[:, 0], [0.5, -0.5, NAN, NAN])


def test_the_move_over_a_gap_is_earned_when_the_symbol_trades_again(make_panel):
    returns = holding_returns(fill_prices(make_panel([[1.0], [100.0], [NAN], [NAN], [90.0], [99.0]])))
    np.testing.assert_allclose(returns[:, 0], [NAN, NAN, -0.1, 0.1, NAN, NAN])


def test_nothing_is_earned_before_a_symbol_is_listed(make_panel):
    returns = holding_returns(fill_prices(make_panel([[NAN], [NAN], [50.0], [55.0], [55.0]])))
    np.testing.assert_allclose(returns[:, 0], [NAN, 0.1, 0.0, NAN, NAN])


@settings(max_examples=100, deadline=None)
@given(prices=st.lists(st.one_of(st.just(NAN), st.floats(1, 100)), min_size=3, max_size=12))
def test_compounded_holding_returns_are_the_ratio_of_last_to_first_fill(make_panel, prices):
    fills = fill_prices(make_panel(np.array(prices)[:, None]))
    known = fills.prices[np.isfinite(fills.prices[:, 0]), 0]
    growth = np.prod(1 + np.nan_to_num(holding_returns(fills)[:, 0]))
    assert growth == pytest.approx(known[-1] / known[0] if len(known) else 1.0)


def test_marks_are_nought_where_fills_are_at_closes(make_panel):
    panel = make_panel([[10.0], [20.0], [30.0]])
    np.testing.assert_array_equal(marks(panel, fill_prices(panel))[:, 0], [NAN, 0.0, 0.0])


def test_marks_are_the_move_from_the_open_to_the_decision(make_panel):
    panel = make_panel([[10.0], [22.0], [30.0]], open=np.array([[9.0], [20.0], [24.0]]))
    np.testing.assert_allclose(marks(panel, fill_prices(panel, "next_open"))[:, 0], [NAN, 0.1, 0.25])


def test_the_next_open_of_a_market_without_a_pause_is_no_fill_after_the_decision(demo_store):
    panel = Store.open(demo_store).panel(["EURUSD"], start="2017-01-02", end="2017-01-03", frequency="1h")
    with pytest.raises(ConfigError, match="instant of the decision"):
        fill_prices(panel, "next_open")


def test_data_with_closes_only_fills_at_closes_only(demo_store):
    panel = Store.open(demo_store).panel(["KO"], start="2001-01-02", end="2001-01-31")
    with pytest.raises(DataError, match="KO has no open in us_adjclose_daily"):
        fill_prices(panel, "next_open")


def test_an_unknown_rule_is_refused(make_panel):
    with pytest.raises(ConfigError, match="'same_close' is no fill rule"):
        fill_prices(make_panel([[1.0], [2.0]]), "same_close")


def test_a_symbol_without_an_open_is_refused_as_a_whole_but_not_in_a_few_rows_of_a_checked_panel(make_panel):
    panel = make_panel([[10.0, NAN], [11.0, NAN]], open=np.array([[9.0, NAN], [12.0, NAN]]))
    with pytest.raises(DataError, match="has no open"):
        fill_prices(panel, "next_open")
    np.testing.assert_array_equal(next_prices(panel, "next_open")[0], [12.0, NAN])
