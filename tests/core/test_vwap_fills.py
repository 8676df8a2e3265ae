"""Orders that are spread over the next bar, at its average price, against loops over bars and shares."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.accounts import market_around
from mnpu.data.conditions import execution_arrays
from mnpu.data.fills import average_prices, fill_notes, fill_prices, marks, with_vwap
from mnpu.data.resample import resample
from mnpu.data.store import Store
from mnpu.errors import ConfigError, DataError
from mnpu.guard import Chain
from mnpu.simulation.costs import CostModel
from mnpu.simulation.simulate import simulate
from mnpu.types import Positions

NAN = np.nan


def bars(make_panel, rng, n=9, symbols=2, *, holes=0.1, known=0.7):
    """A market of whole bars; of some the volume weighted price is known."""
    close = 50 * np.exp(rng.normal(0, 0.05, (n, symbols)).cumsum(axis=0))
    opened = close * np.exp(rng.normal(0, 0.03, close.shape))
    high, low = np.maximum(opened, close) * 1.02, np.minimum(opened, close) * 0.98
    vwap = np.where(rng.random(close.shape) < known, rng.uniform(low, high), NAN)
    gone = rng.random(close.shape) < holes
    for values in (close, opened, high, low, vwap):
        values[gone] = NAN
    close[0] = np.where(np.isfinite(close[0]), close[0], 50.0)
    return make_panel(close, open=opened, high=high, low=low, vwap=vwap)


def paid(panel, t, a):
    """The average price of one bar by the definition."""
    known = panel["vwap"][t, a]
    return known if np.isfinite(known) else sum(panel[name][t, a] for name in ("open", "high", "low", "close")) / 4


def test_an_order_is_filled_at_the_average_price_of_the_next_bar(make_panel):
    panel = make_panel([[10.0], [11.0], [13.0]], vwap=np.array([[9.5], [10.5], [12.0]]))
    fills = fill_prices(panel, "vwap")
    np.testing.assert_array_equal(fills.prices[:, 0], [10.5, 12.0, NAN])
    assert list(fills.times[:2]) == list(panel.times[1:])  # when it is complete
    np.testing.assert_allclose(marks(panel, fills)[:, 0], [NAN, 11 / 10.5 - 1, 13 / 12 - 1])


def test_where_no_volume_weighted_price_is_known_the_mean_of_four_stands_in_and_a_note_says_so(make_panel):
    ones = np.ones((3, 1))
    panel = make_panel(4 * ones, open=1 * ones, high=5 * ones, low=2 * ones, vwap=np.array([[3.5], [NAN], [3.5]]))
    assert fill_prices(panel, "vwap").prices[:2, 0].tolist() == [3.0, 3.5]
    assert fill_notes(panel, "vwap") == (
        "Fills over 1 of 3 bars are at the mean of open, high, low and close: no volume weighted price of them is"
        " known.",
    )
    assert fill_notes(panel, "next_close") == ()
    assert fill_notes(replace(panel, fields={**panel.fields, "vwap": 3.5 * ones}), "vwap") == ()


def test_closes_alone_have_no_average(demo_store):
    panel = Store.open(demo_store).panel(["KO"], start="2001-01-02", end="2001-01-31")
    with pytest.raises(DataError, match="KO has neither a volume weighted price nor open, high and low"):
        fill_prices(panel, "vwap")


def test_a_market_without_a_pause_can_be_filled_over_its_next_bar(demo_store):
    panel = Store.open(demo_store).panel(["EURUSD"], start="2017-01-02", end="2017-01-03", frequency="1h")
    fills = fill_prices(panel, "vwap")
    expected = (panel["open"] + panel["high"] + panel["low"] + panel["close"])[1:] / 4
    np.testing.assert_allclose(fills.prices[:-1], expected)
    with pytest.raises(ConfigError, match="next_close, next_open or vwap"):
        fill_prices(panel, "twap")


def trade_bar_by_bar(panel, weights, bps):
    """An account of money and shares, bar after bar: what it is worth at each fill, the last one included."""
    money, shares, worth = 1.0, [0.0] * len(panel.symbols), []
    last = [NAN] * len(panel.symbols)
    for t in range(len(panel.times) - 1):  # decision t, filled over bar t + 1
        here = [paid(panel, t + 1, a) for a in range(len(shares))]
        last = [now if np.isfinite(now) else before for now, before in zip(here, last, strict=True)]
        equity = money + sum(s * p for s, p in zip(shares, last, strict=True) if s)
        worth.append(equity)
        if t == len(weights):
            return np.array(worth)
        wanted = dict(enumerate(weights[t]))
        trades = {a: w * equity - shares[a] * last[a] for a, w in wanted.items() if np.isfinite(here[a])}
        trades = {a: trade for a, trade in trades.items() if panel.tradable[t, a]}
        cost = sum(abs(trade) for trade in trades.values()) * bps / 1e4
        for a in trades:
            bought = wanted[a] * (equity - cost) / last[a] - shares[a]
            shares[a] += bought
            money -= bought * last[a]
        money -= cost
    raise AssertionError("too few bars")


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), holes=st.sampled_from([0.0, 0.2]))
def test_an_account_that_is_filled_over_bars_equals_one_of_money_and_shares(make_panel, seed, holes):
    rng = np.random.default_rng(seed)
    panel = bars(make_panel, rng, holes=holes)
    weights = rng.uniform(-0.6, 0.6, (len(panel.times) - 2, 2))
    positions = Positions(panel.times[:-2], panel.symbols, weights, np.ones(len(weights), bool))
    market = market_around(panel, fill_prices(panel, "vwap"), 0, len(weights))
    outcome = simulate(positions, **market, costs=CostModel(10.0, 0.0))
    expected = trade_bar_by_bar(panel, weights, 10.0)
    if min(expected) > 0:
        np.testing.assert_allclose(outcome.equity, expected, rtol=1e-9)


class Watching:
    """Allows everything, and remembers each book."""

    path_dependent = True

    def __init__(self):
        self.seen = {}

    def limit(self, proposed, book):
        self.seen[book.time] = (book.weights.copy(), book.equity)
        return proposed

    def explain(self, proposed, allowed, book):
        return []


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 6))
def test_the_average_of_a_bar_is_used_for_the_fill_of_the_decision_before_it_and_for_nothing_earlier(
    make_panel, seed, cut
):
    rng = np.random.default_rng(seed)
    panel = bars(make_panel, rng, holes=0.0, known=1.0)
    moved = panel["vwap"].copy()
    moved[cut + 1] *= rng.uniform(0.98, 1.02, 2)
    other = replace(panel, fields={**panel.fields, "vwap": moved})
    weights = rng.uniform(-0.4, 0.4, (len(panel.times) - 2, 2))
    positions = Positions(panel.times[:-2], panel.symbols, weights, np.ones(len(weights), bool))
    books, net = [], []
    for one in (panel, other):
        watching = Watching()
        market = market_around(one, fill_prices(one, "vwap"), 0, len(weights))
        net.append(simulate(positions, **market, chain=Chain([watching])).net)
        books.append(watching.seen)
    for time in panel.times[: min(cut + 1, len(weights))]:
        np.testing.assert_array_equal(books[0][time][0], books[1][time][0])
        assert books[0][time][1] == books[1][time][1]
    changed = np.flatnonzero(net[0] != net[1])
    assert set(changed) <= {cut - 1, cut} | set(range(cut + 1, len(weights)))  # from fill cut - 1 to fill cut, and on
    assert cut - 1 in changed
    # Returns after the next fill differ by rounding only: the book is the same again.
    np.testing.assert_allclose(net[0][cut + 1 :], net[1][cut + 1 :], atol=1e-12)


def test_extremes_are_those_of_the_close_that_completes_the_fill_and_of_the_bar_after_it(make_panel):
    columns = {"open": [9.0] * 4, "high": [12.0, 12.0, 11.0, 15.0], "low": [8.0, 8.0, 9.5, 7.0]}
    arrays = {name: np.array(values)[:, None] for name, values in columns.items()}
    panel = make_panel([[10.0], [9.0], [11.0], [9.0]], vwap=np.full((4, 1), 10.0), **arrays)
    found = execution_arrays(panel, fill_prices(panel, "vwap"), "vwap", volumes=False)
    # Fill 0 over bar 1, complete at its close of 9: then bar 2 from 9.5 to 11. The low of bar 1 may be before the fill.
    np.testing.assert_allclose(found["low"][:, 0], [-0.1, -0.3, -0.1, NAN])  # without a bar 4, the close is known
    np.testing.assert_allclose(found["high"][:, 0], [0.1, 0.5, -0.1, NAN])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_longer_bars_weigh_the_prices_of_shorter_ones_by_volume(make_panel, seed):
    rng = np.random.default_rng(seed)
    times = pd.date_range("2021-03-01 01:00", periods=4 * 24, freq="h", tz="UTC").as_unit("ns")
    close = rng.uniform(90, 110, (len(times), 2))
    opened = rng.uniform(90, 110, close.shape)
    volume = np.where(rng.random(close.shape) < 0.3, 0.0, rng.uniform(1, 9, close.shape))
    volume[rng.random(close.shape) < 0.05] = NAN
    gone = rng.random(close.shape) < 0.1
    columns = {"open": opened, "high": np.maximum(opened, close) + 1, "low": np.minimum(opened, close) - 1}
    fields = {**columns, "volume": volume}
    for values in (close, *fields.values()):
        values[gone] = NAN
    panel = make_panel(close, times=times, calendar="CRYPTO", **fields)
    days = resample(with_vwap(panel), "1d")
    short = average_prices(panel)
    for d in range(len(days.times)):
        for a in range(2):
            rows = [t for t in range(24 * d, 24 * d + 24) if panel.tradable[t, a]]
            whole = sum(volume[t, a] for t in rows)
            amount = sum(short[t, a] * volume[t, a] for t in rows)
            expected = amount / whole if whole > 0 else NAN
            np.testing.assert_allclose(days["vwap"][d, a], expected, rtol=1e-12)
            if np.isfinite(expected):
                assert days["low"][d, a] <= days["vwap"][d, a] <= days["high"][d, a]


def test_bars_without_volumes_have_no_weighted_average(make_panel):
    panel = make_panel([[1.0], [2.0]])
    assert with_vwap(panel) is panel
