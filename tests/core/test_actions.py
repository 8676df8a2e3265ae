"""Splits, dividends, listings, halts and delistings: each counts from the moment it could be known."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.data.actions import NO_ACTIONS, Listing, delistings, known_dividends, known_splits, split_factor, total_close
from mnpu.data.bars import Bars
from mnpu.data.calendars import get_calendar
from mnpu.data.fills import fill_prices, holding_returns
from mnpu.data.panel import build_panel
from mnpu.data.resample import resample
from mnpu.data.targets import ForwardReturn
from mnpu.errors import DataError
from mnpu.pipeline import context_of, notes
from mnpu.simulation.simulate import simulate
from mnpu.types import DatasetInfo, Positions
from mnpu.validation.findings import Context
from mnpu.validation.ohlcv import Ohlcv

NAN = np.nan
INFO = DatasetInfo("raw", "nobody", "1d", "session_date", "none", "", "XNYS", "USD", "none")
CALENDAR = get_calendar("XNYS")


def closes(first, last):
    return CALENDAR.session_close(CALENDAR.between(np.datetime64(first), np.datetime64(last))).asi8


def opened(day):
    """Open of a session (ns): when a share first trades without its dividend, or after its split."""
    return int(CALENDAR.session_open(np.array([day], dtype="datetime64[D]")).asi8[0])


def bars(times, close, **columns):
    arrays = {"close": np.asarray(close, dtype=float), **{k: np.asarray(v, dtype=float) for k, v in columns.items()}}
    return np.asarray(times, dtype=np.int64), arrays


def actions(*pairs):
    return np.array([at for at, _ in pairs], dtype=np.int64), np.array([value for _, value in pairs], dtype=float)


def panel_of(columns, first, last, *, splits=None, **options):
    symbols = tuple(f"S{a}" for a in range(len(columns)))
    return build_panel(
        symbols,
        (INFO,) * len(columns),
        Bars.of(columns),
        splits or [NO_ACTIONS] * len(columns),
        sessions=(np.datetime64(first), np.datetime64(last)),
        spans={("raw", s): (pd.Timestamp(first, tz="UTC"), pd.Timestamp(last, tz="UTC")) for s in symbols},
        **options,
    )


WEEK = closes("2018-03-05", "2018-03-09")


# Splits and dividends


def test_a_correction_of_a_split_counts_from_the_day_it_was_known():
    event, late = opened("2018-03-06"), WEEK[3] - 1
    splits = known_splits([event, event], [WEEK[0], late], [2.0, 4.0])
    assert split_factor(WEEK, splits) == pytest.approx([1, 2, 2, 4, 4])
    in_time = known_splits([event, event], [WEEK[0], WEEK[0] + 1], [2.0, 4.0])
    assert split_factor(WEEK, in_time) == pytest.approx([1, 4, 4, 4, 4])


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 8), st.sampled_from([0.5, 2.0, 3.0])),
        max_size=6,
        unique_by=lambda row: row[:2],
    )
)
@settings(max_examples=200, deadline=None)
def test_the_factor_is_that_of_the_newest_known_row_of_every_split_that_has_happened(rows):
    times = np.arange(10)
    event, knowledge, ratio = (np.array(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    found = split_factor(times, known_splits(event, knowledge, ratio))
    for t in times:
        newest = {}
        for e, k, r in sorted(rows, key=lambda row: row[1]):
            if k <= t and e <= t:
                newest[e] = r
        assert found[t] == pytest.approx(np.prod(list(newest.values())) if newest else 1.0)


def test_a_dividend_is_cash_of_the_first_bar_without_it():
    paid = known_dividends([opened("2018-03-07")], [WEEK[0]], [2.0])
    panel = panel_of([bars(WEEK, [100, 100, 98, 98, 98])], "2018-03-05", "2018-03-09", dividends=[paid])
    assert panel["dividend"][:, 0].tolist() == [0, 0, 2, 0, 0]
    assert panel["total_close"][:, 0] == pytest.approx([100, 100, 100, 100, 100])
    assert context_of(panel).returns[1:, 0] == pytest.approx([0, 0, 0, 0])
    assert holding_returns(fill_prices(panel))[:3, 0] == pytest.approx([0, 0, 0])


def test_dividends_of_a_day_are_added_up_and_corrected_each_by_its_own_label():
    event = opened("2018-03-07")
    rows = [event] * 4, WEEK[[0, 0, 1, 3]], [1.0, 5.0, 2.0, 4.5], ["", "special", "", "special"]
    panel = panel_of([bars(WEEK, [100] * 5)], "2018-03-05", "2018-03-09", dividends=[known_dividends(*rows)])
    assert panel["dividend"][:, 0].tolist() == [0, 0, 2.0 + 5.0, 4.5 - 5.0, 0]
    assert known_dividends([], [], [], []) == (pytest.approx([]), pytest.approx([]))


def test_a_dividend_of_a_day_without_trading_is_paid_on_the_next_bar_and_one_before_the_first_to_nobody():
    paid = known_dividends([opened("2018-03-02"), opened("2018-03-07")], [0, 0], [7.0, 2.0])
    panel = panel_of(
        [bars(WEEK[[0, 1, 3, 4]], [100] * 4)] * 2, "2018-03-05", "2018-03-09", dividends=[paid, NO_ACTIONS]
    )
    np.testing.assert_array_equal(panel["dividend"], [[0, 0], [0, 0], [2, 0], [0, 0]])


def test_a_dividend_known_late_is_cash_of_the_bar_that_knew():
    paid = known_dividends([opened("2018-03-06")], [WEEK[2] + 1], [2.0])
    panel = panel_of([bars(WEEK, [100] * 5)], "2018-03-05", "2018-03-09", dividends=[paid])
    assert panel["dividend"][:, 0].tolist() == [0, 0, 0, 2, 0]


def test_a_dividend_after_a_split_is_in_the_unit_of_the_continuous_price():
    split = actions((opened("2018-03-06"), 2.0))
    paid = known_dividends([opened("2018-03-07")], [WEEK[0]], [1.0])
    panel = panel_of([bars(WEEK, [100, 50, 49, 49, 49])], "2018-03-05", "2018-03-09", splits=[split], dividends=[paid])
    assert panel["close"][:, 0].tolist() == [100, 100, 98, 98, 98]
    assert panel["dividend"][:, 0].tolist() == [0, 0, 2, 0, 0]


def test_no_row_changes_because_of_a_later_split_or_dividend():
    split = actions((opened("2018-03-07"), 7.0))
    paid = known_dividends([opened("2018-03-08")], [WEEK[0]], [1.0])
    column = bars(WEEK, [100, 101, 14, 14, 15], volume=[10] * 5)
    some = known_dividends([opened("2018-03-06")], [WEEK[0]], [1.0])
    both = tuple(np.concatenate(pair) for pair in zip(some, paid, strict=True))
    before = panel_of([column], "2018-03-05", "2018-03-09", dividends=[some])
    after = panel_of([column], "2018-03-05", "2018-03-09", splits=[split], dividends=[both])
    for name in before.fields:
        np.testing.assert_array_equal(before[name][:2], after[name][:2], err_msg=name)


@pytest.fixture(scope="module")
def shared() -> Path:
    root = Path(os.environ.get("MNPU_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (root / "oracles" / "corporate_actions_quandl_sample.parquet").exists():
        pytest.skip("the extra reference data is not here; set MNPU_SHARED_DATA to its folder")
    return root


def raw_panel(table: pd.DataFrame, dividends: list, splits: list):
    sessions = table["timestamp"].dt.tz_localize(None).to_numpy().astype("datetime64[D]")
    column = bars(CALENDAR.session_close(sessions).asi8, table["close"], volume=table["volume"])
    return panel_of([column], str(sessions[0]), str(sessions[-1]), splits=splits, dividends=dividends), sessions


def test_adjusted_prices_of_a_vendor_come_out_of_its_raw_ones(shared):
    """The vendor adjusts backward from the end, we forward from the start: the returns must be the same."""
    oracle = pd.read_parquet(shared / "oracles" / "corporate_actions_quandl_sample.parquet")
    paying = 0
    for symbol, table in oracle.groupby("symbol"):
        days = table["timestamp"].dt.strftime("%Y-%m-%d").to_numpy()
        ex, split = table["ex_dividend"].to_numpy(), table["split_ratio"].to_numpy()
        paid = actions(*((opened(days[t]), ex[t]) for t in np.flatnonzero(ex > 0)))
        splits = actions(*((opened(days[t]), split[t]) for t in np.flatnonzero(split != 1)))
        panel, _ = raw_panel(table, [paid], [splits])
        paying += "total_close" in panel.fields
        ours, vendor = panel.fields.get("total_close", panel["close"])[:, 0], table["adj_close"].to_numpy()
        np.testing.assert_allclose(ours / ours[-1], vendor / vendor[-1], rtol=1e-9, err_msg=str(symbol))
        volume = panel["volume"][:, 0] * panel["split_factor"][-1, 0]
        np.testing.assert_allclose(volume, table["adj_volume"].to_numpy(), rtol=1e-9)
    assert paying >= 2


def test_split_factors_of_a_vendor_come_out_of_the_splits(shared):
    prices = pd.read_parquet(shared / "prices-daily" / "lean_us_unadjusted.parquet")
    factors = pd.read_parquet(shared / "prices-daily" / "lean_us_factors.parquet")
    table = prices[(prices["symbol"] == "AAPL") & (prices["timestamp"] >= "1999-01-01")]
    days = [("2000-06-21", 2), ("2005-02-28", 2), ("2014-06-09", 7), ("2020-08-31", 4)]
    panel, sessions = raw_panel(table, [NO_ACTIONS], [actions(*((opened(day), ratio) for day, ratio in days))])
    split = factors[(factors["symbol"] == "AAPL") & (factors["series"] == "split_factor")].sort_values("timestamp")
    row = np.searchsorted(split["timestamp"].dt.tz_localize(None).to_numpy().astype("datetime64[D]"), sessions)
    vendor = table["close"].to_numpy() * split["value"].to_numpy()[row]
    ours = panel["close"][:, 0]
    np.testing.assert_allclose(ours / ours[-1], vendor / vendor[-1], rtol=1e-5)  # its factors have six digits


# Listings, halts and delistings


def test_a_symbol_is_tradable_only_while_it_is_listed():
    listing = Listing(listed=int(WEEK[1]), delisted=int(WEEK[3]))
    panel = panel_of([bars(WEEK, [5.0] * 5)] * 2, "2018-03-05", "2018-03-09", listings=[listing, Listing()])
    assert panel.tradable[:, 0].tolist() == [False, True, True, True, False]
    assert np.isfinite(panel["close"][:, 0]).tolist() == [False, True, True, True, False]
    assert panel.tradable[:, 1].all()


def test_a_listing_outside_the_dates_is_refused():
    with pytest.raises(DataError, match="S0 has no bar from 2018-03-05 to 2018-03-09"):
        panel_of(
            [bars(WEEK, [5.0] * 5)] * 2,
            "2018-03-05",
            "2018-03-09",
            listings=[Listing(listed=int(WEEK[4]) + 1), Listing()],
        )


def test_a_bar_without_volume_is_a_halt_only_where_that_is_declared():
    column = bars(WEEK, [5, 5, NAN, 5, 5], volume=[1, 0, 1, NAN, 1])
    panel = panel_of([column] * 2, "2018-03-05", "2018-03-09", halts=[True, False])
    assert panel.tradable[:, 0].tolist() == [True, False, False, True, True]
    assert panel.tradable[:, 1].all()


def test_what_a_delisted_share_became_is_cash_after_its_last_bar():
    listings = [Listing(delisted=int(WEEK[2]), delisting_return=-0.9), Listing()]
    panel = panel_of([bars(WEEK[:3], [10, 9, 8]), bars(WEEK, [1] * 5)], "2018-03-05", "2018-03-09", listings=listings)
    np.testing.assert_allclose(panel["delisting"], [[NAN, NAN], [NAN, NAN], [NAN, NAN], [0.8, NAN], [NAN, NAN]])
    assert not [f for f in Ohlcv().check(panel, Context("prices")) if f.severity == "error"]
    assert delistings(panel) == [("S0", panel.times[3], pytest.approx(-0.9))]
    assert any(
        "S0 was delisted by 2018-03-08: who held it got its last price and -90.0%" in line for line in notes(panel)
    )
    fills = fill_prices(panel)
    assert holding_returns(fills)[:, 0] == pytest.approx([8 / 9 - 1, -0.9, NAN, NAN, NAN], nan_ok=True)
    labels = ForwardReturn((1, 2))(panel).values[:, 0]
    np.testing.assert_allclose(labels[:2], [[8 / 9 - 1, 0.8 / 9 - 1], [-0.9, -0.9]])
    assert np.isnan(labels[2:]).all()


def test_a_halt_before_a_delisting_keeps_the_last_price_until_then():
    listings = [Listing(delisted=int(WEEK[3]) - 1, delisting_return=None), Listing()]
    panel = panel_of([bars(WEEK[:2], [10, 9]), bars(WEEK, [1] * 5)], "2018-03-05", "2018-03-09", listings=listings)
    np.testing.assert_array_equal(panel["delisting"][:, 0], [NAN, NAN, NAN, 9, NAN])


def test_a_delisting_after_the_dates_changes_nothing():
    listings = [Listing(delisted=int(WEEK[4]) + 1, delisting_return=-1.0)]
    panel = panel_of([bars(WEEK, [5.0] * 5)], "2018-03-05", "2018-03-09", listings=listings)
    assert "delisting" not in panel.fields


def test_a_return_below_everything_is_refused():
    with pytest.raises(DataError, match=r"S0: the return of its delisting is -1.1"):
        panel_of([bars(WEEK, [5.0] * 5)], "2018-03-05", "2018-03-09", listings=[Listing(delisting_return=-1.1)])


def test_a_share_that_ends_within_a_week_is_cash_at_its_close():
    times = closes("2018-03-05", "2018-03-23")
    listings = [Listing(delisted=int(times[7]), delisting_return=-0.5), Listing()]
    paid = known_dividends([opened("2018-03-13")], [0], [1.0])
    panel = panel_of(
        [bars(times[:8], [10.0] * 8), bars(times, [1.0] * 15)],
        "2018-03-05",
        "2018-03-23",
        listings=listings,
        dividends=[paid, NO_ACTIONS],
    )
    weeks = resample(panel, "1w")
    assert weeks.tradable[:, 0].tolist() == [True, False, False]
    np.testing.assert_array_equal(weeks["close"][:, 0], [10, NAN, NAN])
    np.testing.assert_array_equal(weeks["delisting"][:, 0], [NAN, 6, NAN])


def buy_and_hold(panel):
    """Equal weights in everything that trades at the first decision, held to the end."""
    fills = fill_prices(panel)
    n = len(panel.times) - 2
    weights = np.zeros((n, len(panel.symbols)))
    weights[0] = panel.tradable[0] / panel.tradable[0].sum()
    positions = Positions(panel.times[:n], panel.symbols, weights, np.arange(n) == 0)
    return simulate(
        positions,
        fills.prices[: n + 1],
        fills.times[:n],
        tradable=panel.tradable[:n],
        cash=fills.cash[: n + 1],
        ended=fills.ended[: n + 1],
    )


def test_names_that_die_cost_what_is_known_and_survivors_alone_flatter(rng):
    """Twenty names, five of which die at -90 % after their last bar: the dated universe loses 22.5 % more."""
    times = closes("2018-01-02", "2018-06-29")
    columns, listings = [], []
    for a in range(20):
        last = 20 + 15 * a if a < 5 else len(times)
        columns.append(bars(times[:last], np.full(last, 50.0 + a)))
        listings.append(Listing(delisted=int(times[last - 1]), delisting_return=-0.9) if a < 5 else Listing())
    dated = panel_of(columns, "2018-01-02", "2018-06-29", listings=listings)
    survivors = panel_of(columns[5:], "2018-01-02", "2018-06-29")
    forgotten = panel_of(columns, "2018-01-02", "2018-06-29")
    assert buy_and_hold(survivors).equity[-1] == pytest.approx(1.0)
    assert buy_and_hold(forgotten).equity[-1] == pytest.approx(1.0)
    outcome = buy_and_hold(dated)
    assert outcome.equity[-1] == pytest.approx(1.0 - 5 / 20 * 0.9)
    assert (outcome.positions.weights[-1, :5] == 0).all()
    assert outcome.notes[-1] == "5 positions were closed by a delisting, at what it returned."
    steps = np.flatnonzero(np.abs(outcome.gross) > 1e-12)
    assert len(steps) == 5


def test_total_returns_of_the_close_equal_an_account_that_buys_its_dividends_back(rng):
    close = 50 * np.exp(np.cumsum(0.01 * rng.standard_normal((40, 1)), axis=0))
    dividend = np.where(rng.random((40, 1)) < 0.2, 0.5, 0.0)
    shares, worth = 1.0, []
    for price, cash in zip(close[:, 0], dividend[:, 0], strict=True):
        shares += shares * cash / price
        worth.append(shares * price)
    np.testing.assert_allclose(total_close(close, dividend)[:, 0], worth, rtol=1e-12)
