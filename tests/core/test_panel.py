"""Panels: point in time, split-continuous, and refused where the question is ambiguous."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest

from mnpu.data.store import Store
from mnpu.errors import ConfigError, DataError

ETFS = ["MTUM", "QUAL", "SIZE", "USMV", "VLUE"]


@pytest.fixture(scope="module")
def store(any_store):
    return Store.open(any_store)


def change(path, text, *values):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(text, values)


def ns(text):
    return pd.Timestamp(text, tz="UTC").value


def row_of(panel, session):
    return int(np.searchsorted(panel.sessions, np.datetime64(session)))


def traded(symbol, start, column, n=2):
    """The first ``n`` rows of the bundle from ``start``, as the vendor published them."""
    raw = pd.read_parquet(str(files("mnpu.data") / "bundle" / "prices_ohlcv_daily.parquet"))
    raw = raw[(raw["symbol"] == symbol) & (raw["timestamp"] >= pd.Timestamp(start, tz="UTC"))]
    return raw[column].to_numpy()[:n]


def assert_same_rows(one, other, n):
    assert (one.times[:n] == other.times[:n]).all()
    assert (one.tradable[:n] == other.tradable[:n]).all()
    for name in one.fields:
        np.testing.assert_array_equal(one[name][:n], other[name][:n], err_msg=name)


def test_the_panel_of_the_demo(store):
    panel = store.panel(
        store.symbols("us_adjclose_daily"), start="1990-01-01", end="2018-12-31", dataset="us_adjclose_daily"
    )
    assert panel.shape == (7307, 24)
    assert panel.times.is_monotonic_increasing
    assert panel.times.is_unique
    assert str(panel.times.dtype) == "datetime64[ns, UTC]"
    assert panel.sessions[[0, -1]].astype(str).tolist() == ["1990-01-02", "2018-12-31"]
    assert panel.periods_per_year == 252
    assert sorted(panel.fields) == ["close", "split_factor"]


def test_daily_bars_are_known_at_the_close_of_their_session_in_both_seasons(store):
    panel = store.panel(["IBM"], start="2012-03-09", end="2012-03-12")
    assert panel.times.strftime("%Y-%m-%d %H:%M").tolist() == ["2012-03-09 21:00", "2012-03-12 20:00"]
    assert store.panel(["IBM"], start="2012-11-23", end="2012-11-23").times[0] == pd.Timestamp(
        "2012-11-23 18:00", tz="UTC"
    )


def test_every_session_of_the_exchange_has_its_bar(store):
    """Independent route: the number of sessions that the calendar's own library counts."""
    import exchange_calendars

    calendar = exchange_calendars.get_calendar("XNYS", start="1990-01-01", end="2023-01-31")
    for asset in store.assets():
        if asset.dataset != "eurusd_hourly":
            sessions = calendar.sessions_in_range(asset.first_bar.date(), asset.last_bar.date())
            assert asset.n_bars == len(sessions), asset


def test_hourly_bars_are_stamped_at_their_close(store):
    panel = store.panel(["EURUSD"], start="2017-01-01", end="2017-01-02", frequency="1h")
    assert panel.times[0] == pd.Timestamp("2017-01-01 23:00", tz="UTC")  # the vendor's stamp is 22:00, the open
    assert set(panel.sessions.astype(str)) == {"2017-01-02"}
    assert panel.periods_per_year == 6240
    assert panel["open"][0, 0] == 1.05236


def test_the_hourly_year_has_a_full_week_on_both_sides_of_the_change_of_clocks(store):
    panel = store.panel(["EURUSD"], start="2017-03-06", end="2017-03-17", frequency="1h")
    _, counts = np.unique(panel.sessions, return_counts=True)
    assert counts.tolist() == [24] * 10
    assert panel.times[119].strftime("%a %H:%M") == "Fri 22:00"
    assert panel.times[120].strftime("%a %H:%M") == "Sun 22:00"  # opened at 21:00 UTC, summer time in New York
    assert panel.times[-1].strftime("%a %H:%M") == "Fri 21:00"


def test_a_symbol_listed_in_2014_is_simply_not_tradable_before(store):
    panel = store.panel(["KO", *ETFS], start="2013-06-01", end="2014-06-30")
    listed = row_of(panel, "2014-01-02")
    assert panel.tradable[:, 0].all()
    assert not panel.tradable[:listed, 1:].any()
    assert np.isnan(panel["close"][:listed, 1:]).all()
    assert panel.tradable[listed:].all()
    assert np.isfinite(panel["close"][listed:]).all()


def test_values_are_those_of_the_bundle(store):
    panel = store.panel(["GOOGL"], start="2014-04-01", end="2014-04-02")
    for name in ("open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(panel[name][:, 0], traded("GOOGL", "2014-04-01", name))


def test_a_split_is_no_crash_and_a_crash_is_no_split(store):
    panel = store.panel(["AAPL", "MSFT"], start="2000-03-01", end="2013-03-01", dataset="us_ohlcv_daily")
    returns = panel["close"][1:] / panel["close"][:-1] - 1
    for symbol, day in [(0, "2000-06-21"), (0, "2005-02-28"), (1, "2003-02-18")]:
        t = row_of(panel, day)
        assert abs(returns[t - 1, symbol]) < 0.12
        assert panel["split_factor"][t, symbol] == 2 * panel["split_factor"][t - 1, symbol]
    assert returns[row_of(panel, "2000-09-29") - 1, 0] == pytest.approx(-0.5187, abs=1e-4)


def test_split_continuous_returns_agree_with_the_vendors_adjusted_closes(store, demo_store):
    """Independent route: without dividends the vendor's adjusted close moves exactly as ours."""
    panel = store.panel(["AAPL"], start="2000-03-01", end="2012-07-31", dataset="us_ohlcv_daily")
    with closing(sqlite3.connect(demo_store)) as connection:
        adjusted = connection.execute(
            "SELECT adj_close FROM prices WHERE dataset = 'us_ohlcv_daily' AND symbol = 'AAPL' AND event_time <= ?"
            " ORDER BY event_time",
            (panel.times[-1].value,),
        ).fetchall()
    ours, theirs = panel["close"][:, 0], np.array(adjusted)[:, 0]
    np.testing.assert_allclose(ours[1:] / ours[:-1], theirs[1:] / theirs[:-1], rtol=1e-9)


def test_traded_prices_and_volumes_can_be_recovered_and_their_product_is_money(store):
    panel = store.panel(["AAPL"], start="2005-02-25", end="2005-02-28", dataset="us_ohlcv_daily")
    np.testing.assert_allclose((panel["close"] / panel["split_factor"])[:, 0], [88.99, 44.86])
    np.testing.assert_allclose((panel["volume"] * panel["split_factor"])[:, 0], traded("AAPL", "2005-02-25", "volume"))
    np.testing.assert_allclose(
        (panel["close"] * panel["volume"])[:, 0],
        traded("AAPL", "2005-02-25", "close") * traded("AAPL", "2005-02-25", "volume"),
    )
    assert panel["split_factor"][:, 0].tolist() == [2, 4]  # the split of 2000 counts although it is before the range


def test_adjusted_datasets_are_not_adjusted_again(store):
    panel = store.panel(["AAPL"], start="2000-01-01", end="2006-12-31", dataset="us_adjclose_daily")
    assert (panel["split_factor"] == 1).all()


def test_rewriting_the_future_changes_no_earlier_row(store_copy, store, rng):
    symbols, span = ["AAPL", "IBM", "MSFT"], {"start": "2000-03-01", "end": "2006-12-29", "dataset": "us_ohlcv_daily"}
    before = store.panel(symbols, **span)
    t = 600
    cut = before.times[t].value
    change(store_copy, "UPDATE prices SET close = close * 7, volume = NULL, open = NULL WHERE event_time > ?", cut)
    change(store_copy, "DELETE FROM prices WHERE symbol = 'IBM' AND event_time > ? AND event_time % 3 = 0", cut)
    change(store_copy, "UPDATE corporate_actions SET ratio = 5 WHERE event_time > ?", cut)
    change(
        store_copy,
        "INSERT INTO corporate_actions"
        " VALUES ('us_ohlcv_daily', 'IBM', ?, ?, 'split', '', 3, NULL, 'invented', 'declared')",
        cut + 1,
        cut + 1,
    )
    after = Store.open(store_copy).panel(symbols, **span)
    assert_same_rows(before, after, t + 1)
    assert not np.array_equal(before["close"][t + 1], after["close"][t + 1])


def test_a_later_end_changes_no_earlier_row(store):
    span = {"start": "2003-01-02", "dataset": "us_ohlcv_daily"}
    short = store.panel(["AAPL", "MSFT"], end="2003-12-31", **span)
    assert_same_rows(short, store.panel(["AAPL", "MSFT"], end="2006-12-29", **span), len(short.times))


def test_a_correction_never_replaces_what_was_known_first(store_copy, store):
    before = store.panel(["IBM"], start="2001-01-02", end="2001-01-31")
    at = before.times[5].value
    text = "INSERT INTO prices VALUES ('us_ohlcv_daily', 'IBM', ?, ?, 1, 1, 1, 1, 1, 1, 'declared')"
    change(store_copy, text, at, at + 3_600_000_000_000)
    assert_same_rows(before, Store.open(store_copy).panel(["IBM"], start="2001-01-02", end="2001-01-31"), 20)


def test_a_bar_that_arrived_after_its_own_close_was_not_known_at_its_decision(store_copy, store):
    times = store.panel(["IBM", "FB"], start="2012-06-01", end="2012-06-29", dataset="us_ohlcv_daily").times
    change(
        store_copy,
        "UPDATE prices SET knowledge_time = event_time + 1 WHERE symbol = 'IBM' AND event_time = ?",
        times[3].value,
    )
    late = Store.open(store_copy).panel(["IBM", "FB"], start="2012-06-01", end="2012-06-29", dataset="us_ohlcv_daily")
    assert (late.times == times).all()
    assert late.tradable[:, 0].tolist() == [t != 3 for t in range(len(times))]
    assert np.isnan(late["close"][3, 0])


def test_the_range_includes_both_ends(store):
    panel = store.panel(["IBM"], start="2001-09-10", end="2001-09-17")
    assert panel.sessions.astype(str).tolist() == ["2001-09-10", "2001-09-17"]  # the exchange was closed in between


def test_a_symbol_in_two_datasets_needs_a_choice(store):
    with pytest.raises(ConfigError, match=r"AAPL is in several datasets \(us_adjclose_daily, us_ohlcv_daily\)"):
        store.panel(["KO", "AAPL"], start="2001-01-01", end="2001-12-31")
    chosen = store.panel(["KO", "AAPL"], start="2001-01-01", end="2001-12-31", dataset={"AAPL": "us_ohlcv_daily"})
    assert [info.name for info in chosen.datasets] == ["us_adjclose_daily", "us_ohlcv_daily"]
    assert chosen.tradable.all()


@pytest.mark.parametrize(
    ("symbols", "arguments", "error", "message"),
    [
        (["APPL"], {}, DataError, "Did you mean AAPL"),
        ([], {}, ConfigError, "no symbols"),
        (["KO", "KO"], {}, ConfigError, "KO appears twice"),
        (["KO"], {"dataset": "us_adjclose"}, ConfigError, "Did you mean us_adjclose_daily"),
        (["KO"], {"dataset": "us_ohlcv_daily"}, DataError, "KO is not in dataset us_ohlcv_daily"),
        (["MTUM"], {}, DataError, "a range that meets 2014-01-02 to 2022-12-28"),
        (["EURUSD"], {}, ConfigError, "Set data.frequency to 1h"),
        (["KO"], {"calendar": "FX"}, ConfigError, "KO trades on calendar XNYS"),
        (["KO"], {"start": "2002-01-01"}, ConfigError, "2001-12-31 is before data.start 2002-01-01"),
        (["KO"], {"start": "soon"}, ConfigError, "'soon' is not a date"),
        (["KO"], {"end": 2001}, ConfigError, "2001 is not a date"),
        (["KO"], {"start": "2001-12-25", "end": "2001-12-25"}, DataError, "KO has no bar from 2001-12-25"),
        (["KO"], {"start": "2031-01-01", "end": "2032-01-01"}, DataError, "KO has no bar"),
    ],
)
def test_impossible_questions_are_refused(store, symbols, arguments, error, message):
    with pytest.raises(error, match=message):
        store.panel(symbols, **{"start": "2001-01-01", "end": "2001-12-31", **arguments})


def test_rows_cut_every_array(store):
    panel = store.panel(["KO", "PEP"], start="2001-01-01", end="2001-12-31")
    part = panel.rows(10, 20)
    assert part.shape == (10, 2)
    assert len(part.sessions) == len(part.tradable) == len(part["close"]) == len(part["split_factor"]) == 10
    np.testing.assert_array_equal(part["close"], panel["close"][10:20])


def test_bars_with_volume_zero_are_kept_as_found(store):
    panel = store.panel(["IXIC"], start="2015-05-11", end="2015-05-13")
    assert (panel["volume"][:, 0] == 0).tolist() == [False, True, False]


def test_a_bar_without_volume_is_a_halt_where_the_pipeline_says_so(store_copy):
    sessions = {"start": "2012-03-05", "end": "2012-03-09"}
    change(store_copy, "UPDATE prices SET volume = 0 WHERE symbol = 'IBM' AND event_time = ?", ns("2012-03-07 21:00"))
    change(store_copy, "UPDATE prices SET volume = 0 WHERE symbol = 'MSFT' AND event_time = ?", ns("2012-03-06 21:00"))
    panel = Store.open(store_copy).panel(["IBM", "MSFT"], dataset="us_ohlcv_daily", **sessions)
    assert panel.tradable.all()
    halted = Store.open(store_copy).panel(["IBM", "MSFT"], dataset="us_ohlcv_daily", zero_volume="halt", **sessions)
    assert np.argwhere(~halted.tradable).tolist() == [[1, 1], [2, 0]]
    assert np.isnan(halted["close"][~halted.tradable]).all()


def test_a_store_pays_its_dividends_and_ends_its_listings(store_copy):
    ex = ns("2012-03-07 14:30")
    change(
        store_copy,
        "INSERT INTO corporate_actions"
        " VALUES ('us_ohlcv_daily', 'MSFT', ?, ?, 'dividend', '', NULL, 0.5, '', 'declared')",
        ex,
        ex,
    )
    change(
        store_copy,
        "UPDATE assets SET delisted = ?, delisting_return = -0.9 WHERE symbol = 'IBM' AND dataset = 'us_ohlcv_daily'",
        ns("2012-03-07 21:00"),
    )
    panel = Store.open(store_copy).panel(
        ["IBM", "MSFT"], dataset="us_ohlcv_daily", start="2012-03-05", end="2012-03-09"
    )
    assert panel.tradable[:, 0].tolist() == [True, True, True, False, False]
    assert panel["delisting"][3, 0] == pytest.approx(0.1 * panel["close"][2, 0])
    assert panel["dividend"][:, 1].tolist() == [0, 0, 0.5 * panel["split_factor"][2, 1], 0, 0]


def test_a_corrected_split_replaces_the_ratio_from_the_day_of_the_correction(store_copy):
    first = ns("2012-03-06 14:30")
    for known, ratio in [(first, 2.0), (ns("2012-03-08 12:00"), 4.0)]:
        change(
            store_copy,
            "INSERT INTO corporate_actions"
            " VALUES ('us_ohlcv_daily', 'IBM', ?, ?, 'split', '', ?, NULL, '', 'declared')",
            first,
            known,
            ratio,
        )
    panel = Store.open(store_copy).panel(["IBM"], dataset="us_ohlcv_daily", start="2012-03-05", end="2012-03-09")
    factor = panel["split_factor"][:, 0] / panel["split_factor"][0, 0]
    assert factor == pytest.approx([1, 2, 2, 4, 4])
