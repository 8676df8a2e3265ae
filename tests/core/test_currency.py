"""Accounts in a currency that is not that of the prices: rates by hand, by way of the store, and in a whole run."""

from __future__ import annotations

import sqlite3

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.accounts import as_quoted, market_around
from mnpu.data.clock import utc
from mnpu.data.conditions import execution_arrays
from mnpu.data.currency import in_account_currency, with_rates
from mnpu.data.fills import fill_prices, holding_returns
from mnpu.data.resample import resample
from mnpu.data.store import Store
from mnpu.errors import DataError
from mnpu.simulation.costs import CostModel
from mnpu.simulation.simulate import simulate
from mnpu.types import Positions

YEAR = {"start": "2017-03-01", "end": "2017-03-31", "dataset": "us_adjclose_daily"}


def in_euros(panel, weights, **costs):
    """Equity of 10,000 euros at each fill."""
    weights = np.array(weights)
    positions = Positions(panel.times[: len(weights)], panel.symbols, weights, np.ones(len(weights), bool))
    market = market_around(panel, fill_prices(in_account_currency(panel)), 0, len(weights))
    outcome = simulate(positions, **market, costs=CostModel(4.0, 6.0))
    return outcome, [round(float(value), 2) for value in 10_000 * outcome.equity]


@pytest.mark.parametrize(("weight", "ends_with"), [(0.5, 11_869.06), (-0.5, 8_120.94)])
def test_a_foreign_share_earns_its_return_and_that_of_its_currency(make_panel, weight, ends_with):
    """A euro buys 1.25 dollars, then 1.00: a dollar is worth 0.80 euros, then 1.00.

    4,997.50 euros buy or sell 62.46875 shares at 100 dollars, which are 80 euros, for a cost of 5.00. At 110 dollars,
    now 110 euros, they are 6,871.56: (1 + 10 %) (1 + 25 %) = 1.375 times as much. The rest of the account is in euros.
    """
    rate = np.array([[0.7], [0.8], [1.0], [1.0]])
    panel = make_panel([[90.0], [100.0], [110.0], [110.0]], rate=rate)
    outcome, money = in_euros(panel, [[weight]])
    assert money == [10_000.00, ends_with]
    assert as_quoted(outcome.fills, panel)["price"].tolist() == [100.0]


def test_a_dividend_is_converted_when_it_is_paid(make_panel):
    """4 dollars on 62.46875 shares, at 1.00: 249.875 euros more, and the price has not followed."""
    rate = np.array([[0.7], [0.8], [1.0], [1.0]])
    paid = np.array([[0.0], [0.0], [4.0], [0.0]])
    panel = make_panel([[90.0], [100.0], [110.0], [110.0]], rate=rate, dividend=paid)
    assert in_euros(panel, [[0.5]])[1] == [10_000.00, 12_118.94]  # 11,869.0625 + 249.875


def test_at_the_open_a_dividend_is_converted_at_the_rate_of_the_open(make_panel):
    """62.46875 shares of 100 dollars at 0.80; 4 dollars are paid at an open at which a dollar is worth 0.90 euros.

    62.46875 (110 + 4) 0.90 = 6,409.29, and 4,997.50 in cash. At that day's close, which nobody has seen at its open, a
    dollar is worth 1.00.
    """
    rate = np.array([[0.7], [0.75], [1.0], [1.0]])
    rates = {"rate": rate, "open_rate": np.array([[0.7], [0.8], [0.9], [1.0]])}
    paid = np.array([[0.0], [0.0], [4.0], [0.0]])
    opened = np.array([[90.0], [100.0], [110.0], [110.0]])
    panel = make_panel(opened * 1.5, open=opened, dividend=paid, **rates)
    positions = Positions(panel.times[:1], panel.symbols, np.array([[0.5]]), np.ones(1, bool))
    market = market_around(panel, fill_prices(in_account_currency(panel), "next_open"), 0, 1)
    outcome = simulate(positions, **market, costs=CostModel(4.0, 6.0))
    assert round(float(10_000 * outcome.equity[-1]), 2) == 11_406.79


def test_what_is_paid_after_an_open_is_converted_at_the_close(make_panel):
    rates = {"rate": np.array([[2.0], [4.0]]), "open_rate": np.array([[1.0], [3.0]])}
    paid = {"dividend": np.array([[0.0], [7.0]]), "open_dividend": np.array([[0.0], [5.0]])}
    found = in_account_currency(make_panel([[1.0], [1.0]], open=np.ones((2, 1)), **paid, **rates))
    assert found["open_dividend"].tolist() == [[0.0], [15.0]]
    assert found["dividend"].tolist() == [[0.0], [23.0]]  # 5 at 3 and 2 at 4


def test_who_holds_nothing_abroad_has_no_currency_risk(make_panel):
    panel = make_panel([[90.0], [100.0], [110.0], [110.0]], rate=np.array([[0.7], [0.8], [1.0], [1.0]]))
    assert in_euros(panel, [[0.0], [0.0]])[1] == [10_000.00] * 3


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), fill=st.sampled_from(["next_close", "next_open", "vwap"]))
def test_returns_between_fills_compound_those_of_the_price_and_of_the_rate(make_panel, seed, fill):
    rng = np.random.default_rng(seed)
    shape = (9, 3)
    close, opened, rate, at_open = (rng.uniform(0.5, 2.0, shape) for _ in range(4))
    columns = {"open": opened, "high": np.maximum(close, opened), "low": np.minimum(close, opened)}
    rates = {"rate": rate} if fill != "next_open" else {"rate": rate, "open_rate": at_open}
    panel = make_panel(close, **columns, **rates)
    home = holding_returns(fill_prices(panel, fill))
    found = holding_returns(fill_prices(in_account_currency(panel), fill))
    used = at_open if fill == "next_open" else rate
    for t in range(7):
        for a in range(3):
            expected = (1 + home[t, a]) * (used[t + 2, a] / used[t + 1, a]) - 1
            assert found[t, a] == pytest.approx(expected, rel=1e-12)
    # What a market can take is in the account's money, too.
    volume = rng.uniform(1, 9, shape)
    richer = make_panel(close, volume=volume, **columns, **rates)
    arrays = execution_arrays(in_account_currency(richer), fill_prices(in_account_currency(richer), fill), fill)
    np.testing.assert_allclose(arrays["volume"][:-1], (volume * close * rate)[1:])


def test_converting_twice_is_converting_once(make_panel):
    panel = make_panel([[1.0], [2.0]], rate=np.array([[3.0], [3.0]]))
    once = in_account_currency(panel)
    assert once["close"].tolist() == [[3.0], [6.0]]
    assert in_account_currency(once) is once


def test_longer_bars_keep_the_last_rate(make_panel):
    times = pd.date_range("2021-03-01 01:00", periods=48, freq="h", tz="UTC").as_unit("ns")
    close, rate = np.ones((48, 1)), np.arange(1.0, 49.0)[:, None]
    days = resample(make_panel(close, times=times, calendar="CRYPTO", rate=rate), "1d")
    assert days["rate"][:, 0].tolist() == [24.0, 48.0]


def rates_of(store, *statements):
    """The store with more rates: every row of the hourly EURUSD again, under another name and at another price."""
    with sqlite3.connect(store) as connection:
        for symbol, quote, price in statements:
            connection.execute(
                "INSERT INTO assets SELECT dataset, ?, first_bar, last_bar, n_bars, asset_class, ?, calendar, ?,"
                " listed, delisted, delisting_return FROM assets WHERE symbol = 'EURUSD'",
                (symbol, quote, symbol),
            )
            connection.execute(
                "INSERT INTO prices SELECT dataset, ?, event_time, knowledge_time, NULL, NULL, NULL,"
                f" {price}, NULL, NULL, basis FROM prices WHERE symbol = 'EURUSD'",
                (symbol,),
            )
    return Store.open(store)


def newest(store, at):
    """The newest hourly close of EURUSD by an instant, read row by row."""
    with sqlite3.connect(store.path) as connection:
        rows = connection.execute(
            "SELECT close FROM prices WHERE symbol = 'EURUSD' AND event_time <= ? ORDER BY event_time DESC LIMIT 1",
            (int(at),),
        )
        return rows.fetchone()[0]


def test_a_dollar_in_euros_is_the_inverse_of_the_newest_rate_that_was_known(demo_store):
    store = Store.open(demo_store)
    panel = with_rates(store.panel(["KO", "AAPL"], **YEAR), store, "EUR", opens=True)
    for t, (close, session) in enumerate(zip(panel.times, panel.sessions, strict=True)):
        opened = utc(pd.DatetimeIndex([pd.Timestamp(session) + pd.Timedelta("9h30min")], tz="America/New_York"))
        expected = 1 / newest(store, close.value), 1 / newest(store, opened.asi8[0])
        assert panel["rate"][t] == pytest.approx([expected[0]] * 2, rel=1e-12)
        assert panel["open_rate"][t] == pytest.approx([expected[1]] * 2, rel=1e-12)


def test_the_rates_of_an_account_in_the_currency_of_the_prices_are_not_asked_for(demo_store):
    store = Store.open(demo_store)
    panel = store.panel(["KO"], **YEAR)
    assert with_rates(panel, store, "USD", opens=False) is panel


def test_a_pair_or_its_inverse_or_two_of_them_lead_from_one_currency_to_another(store_copy):
    """Shares in yen: 100 yen a dollar by way of EURUSD, and 0.5 euros for 100 yen where the pair itself is there."""
    for more, expected in (
        ((("USDJPY", "JPY", "100.0"),), lambda eurusd: 1 / 100 / eurusd),
        ((("EURJPY", "JPY", "50.0"),), lambda eurusd: 1 / 50),
        ((("JPYEUR", "EUR", "0.25"),), lambda eurusd: 0.25),
    ):
        store = rates_of(store_copy, *more)
        with sqlite3.connect(store_copy) as connection:
            connection.execute("UPDATE assets SET currency = 'JPY' WHERE symbol = 'KO'")
        panel = with_rates(store.panel(["KO", "AAPL"], **YEAR), store, "EUR", opens=False)
        for t in (0, 10):
            eurusd = newest(store, panel.times[t].value)
            assert panel["rate"][t].tolist() == pytest.approx([expected(eurusd), 1 / eurusd], rel=1e-12)


def test_a_pair_that_is_not_there_is_named(demo_store):
    store = Store.open(demo_store)
    panel = store.panel(["KO"], **YEAR)
    with pytest.raises(DataError, match="no exchange rate from USD to CHF in the store, expected USDCHF or CHFUSD"):
        with_rates(panel, store, "CHF", opens=False)


def test_a_time_without_rates_is_named(demo_store):
    store = Store.open(demo_store)
    panel = store.panel(["KO"], **{**YEAR, "start": "2016-12-20", "end": "2017-01-31"})
    with pytest.raises(DataError, match="EURUSD is not known on 2016-12-20, expected a rate of the last 7 days"):
        with_rates(panel, store, "EUR", opens=False)
    panel = store.panel(["KO"], **{**YEAR, "start": "2017-12-01", "end": "2018-01-31"})
    with pytest.raises(DataError, match="EURUSD is not known on 2018-01-0"):
        with_rates(panel, store, "EUR", opens=False)
    panel = store.panel(["KO"], **{**YEAR, "start": "2005-12-01", "end": "2006-01-31"})
    with pytest.raises(DataError, match="EURUSD is not known on 2005-12-01"):
        with_rates(panel, store, "EUR", opens=False)


def test_a_symbol_without_a_currency_is_named(store_copy):
    with sqlite3.connect(store_copy) as connection:
        connection.execute("UPDATE assets SET currency = '' WHERE symbol = 'KO'")
    store = Store.open(store_copy)
    with pytest.raises(DataError, match="KO of us_adjclose_daily has no currency"):
        with_rates(store.panel(["KO"], **YEAR), store, "EUR", opens=False)


def test_a_share_of_2017_in_dollars_and_in_euros(demo_store):
    """Real prices: what a holder of Coca-Cola earned in euros is the dollar return and that of the rate, no less."""
    store = Store.open(demo_store)
    dollars = store.panel(["KO"], start="2017-01-04", end="2017-12-28", dataset="us_adjclose_daily")
    euros = with_rates(dollars, store, "EUR", opens=False)
    n = len(dollars.times) - 2
    hold = Positions(dollars.times[:n], dollars.symbols, np.ones((n, 1)), np.arange(n) == 0)
    worth = []
    for panel in (dollars, euros):
        market = market_around(panel, fill_prices(in_account_currency(panel)), 0, n)
        worth.append(simulate(hold, **market, costs=CostModel(4.0, 6.0)).equity[-1])
    bought, valued = dollars.times[1], dollars.times[-1]
    rate = newest(store, bought.value) / newest(store, valued.value)
    assert worth[0] == pytest.approx(0.999 * dollars["close"][-1, 0] / dollars["close"][1, 0], rel=1e-12)
    assert worth[1] == pytest.approx(worth[0] * rate, rel=1e-12)
    assert [f"{value - 1:.1%}" for value in worth] == ["13.1%", "0.4%"]  # docs/explanations/simulation.md
