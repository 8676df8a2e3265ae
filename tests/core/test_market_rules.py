"""Each market rule finds what was planted, says where, and is silent on a market that is sound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.data.calendars import get_calendar
from mnpu.data.rows import rows_of_panel
from mnpu.validation import (
    coded_missing,
    frozen,
    jumps,
    ohlcv,
    orphans,
    point_in_time,
    regularity,
    schema,
    sessions,
    spikes,
    truncated,
    twins,
)
from mnpu.validation.findings import Actions, AssetFacts, Context
from tests.core.market_rows import SYMBOLS, AlwaysOpen, by_rule, market_frame, session_closes, side_table, to_rows

EVERY = (
    coded_missing.CodedMissing(),
    frozen.Frozen(),
    jumps.Jumps(),
    ohlcv.Ohlcv(),
    orphans.Orphans(),
    point_in_time.PointInTime(),
    regularity.Regularity(),
    schema.Schema(),
    sessions.Sessions(),
    spikes.Spikes(),
    truncated.Truncated(),
    twins.Twins(),
)


@pytest.fixture
def frame():
    return market_frame()


def spoilt(frame, symbol, bar, **cells):
    """The market with some cells of one bar set."""
    frame = frame.copy()
    at = frame.index[frame["symbol"] == symbol][bar]
    for name, value in cells.items():
        frame.loc[at, name] = value
    return frame


def scaled(frame, symbol, bars, factor, *, columns=("open", "high", "low", "close")):
    """The market with the prices of some bars of one symbol multiplied."""
    frame = frame.copy()
    at = frame.index[frame["symbol"] == symbol][bars]
    frame.loc[at, list(columns)] *= factor
    return frame


def without(frame, symbol, bars):
    """The market without some bars of one symbol."""
    return frame.drop(frame.index[frame["symbol"] == symbol][bars])


def place(finding):
    record = finding.records[0]
    return record["symbol"], record["event_time"]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(60, 400))
def test_a_sound_market_has_no_findings(seed, n):
    rows = to_rows(market_frame(seed, n))
    assert [finding for rule in EVERY for finding in rule.check(rows, Context("rows"))] == []


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), power=st.sampled_from([-2, -1, 1, 2]), bar=st.integers(5, 290))
def test_a_decimal_slip_anywhere_is_an_error(seed, power, bar):
    frame = scaled(market_frame(seed), "CC", [bar], 10.0**power)
    found = by_rule(spikes.Spikes().check(to_rows(frame)))
    assert set(found) == {spikes.DECIMAL_SLIP.text}
    (finding,) = found.values()
    assert finding.severity == "error"
    assert place(finding) == ("CC", session_closes("2015-01-02", 300)[bar])


def test_a_slip_of_one_field_is_told_from_a_crash(frame):
    low = frame.loc[frame["symbol"] == "BB", "low"].iloc[50]
    assert set(by_rule(spikes.Spikes().check(to_rows(spoilt(frame, "BB", 50, low=low / 10))))) == {
        spikes.DECIMAL_SLIP.text
    }
    assert set(by_rule(spikes.Spikes().check(to_rows(spoilt(frame, "BB", 50, low=low / 4))))) == {spikes.WICK.text}


@pytest.mark.parametrize(
    ("factor", "rule"), [(0.5, spikes.CLOSE_SPIKE), (1.9, spikes.CLOSE_SPIKE), (1.3, spikes.SMALL_SPIKE)]
)
def test_a_close_that_leaves_and_returns_is_found(frame, factor, rule):
    found = by_rule(spikes.Spikes().check(to_rows(scaled(frame, "AA", [100], factor))))
    assert set(found) == {rule.text}


def test_a_panic_with_its_rebound_among_others_is_no_spike(frame):
    turbulent = frame.copy()
    at = turbulent.index[turbulent["symbol"] == "AA"][100:140]
    swing = np.where(np.arange(40) % 2 == 0, 1.12, 1 / 1.12)
    turbulent.loc[at, ["open", "high", "low", "close"]] *= np.sqrt(swing)[:, None]
    assert spikes.Spikes().check(to_rows(turbulent)) == []


def test_a_split_is_a_jump_unless_it_is_recorded(frame):
    halved = to_rows(scaled(frame, "DD", slice(150, None), 0.5))
    found = by_rule(jumps.Jumps().check(halved, Context()))
    assert set(found) == {jumps.JUMP.text}
    when = session_closes("2015-01-02", 300)[150]
    split = Actions(np.array([when.value - 6 * 3_600_000_000_000]), np.array([2.0]))
    assert jumps.Jumps().check(halved, Context(actions={"DD": split})) == []
    wrong = Actions(split.event_time, np.array([3.0]))
    assert set(by_rule(jumps.Jumps().check(halved, Context(actions={"DD": wrong})))) == {jumps.JUMP.text}


def test_a_split_that_is_known_after_its_first_bar_is_late(frame):
    halved = to_rows(scaled(frame, "DD", slice(150, None), 0.5))
    closes = session_closes("2015-01-02", 300)
    event = closes[150].value - 6 * 3_600_000_000_000

    def found(*known):
        split = Actions(np.full(len(known), event), np.full(len(known), 2.0), np.array([at.value for at in known]))
        return by_rule(jumps.Jumps().check(halved, Context(actions={"DD": split})))

    assert found(closes[150]) == {}  # what becomes known at the close is known to it
    assert found(closes[140], closes[155]) == {}  # a correction of what was known in time
    late = found(closes[153])[jumps.LATE_SPLIT.text]
    assert late.count == 1
    assert f"DD on {closes[150]:%Y-%m-%d %H:%M} is the first of 3 bars after a split that was known on" in late.sample


def test_a_seven_for_one_split_that_nobody_recorded_is_an_error(frame):
    found = by_rule(jumps.Jumps().check(to_rows(scaled(frame, "DD", slice(150, None), 1 / 7)), Context()))
    assert {f.severity for f in found.values()} == {"error"}
    assert set(found) == {jumps.HUGE_JUMP.text}


def test_a_ticker_that_was_given_away_is_an_error(frame):
    reused = without(scaled(frame, "DD", slice(150, None), 6.0), "DD", slice(90, 150))
    found = by_rule(jumps.Jumps().check(to_rows(reused), Context()))
    assert set(found) == {jumps.TICKER_REUSE.text}
    assert "without a bar" in found[jumps.TICKER_REUSE.text].sample


def test_a_close_that_stands_still_is_found(frame):
    still = frame.copy()
    at = still.index[still["symbol"] == "EE"][60:90]
    still.loc[at, "close"] = still.loc[at[0], "close"]
    finding = by_rule(frozen.Frozen().check(to_rows(still)))[frozen.FROZEN_CLOSE.text]
    assert "30 bars" in finding.sample
    assert place(finding) == ("EE", session_closes("2015-01-02", 300)[60])


def test_yesterdays_bar_again_and_flat_bars_are_found(frame):
    columns = ["open", "high", "low", "close", "volume"]
    copied = frame.copy()
    at = copied.index[copied["symbol"] == "EE"]
    copied.loc[at[70], columns] = copied.loc[at[69], columns].to_numpy()
    assert set(by_rule(frozen.Frozen().check(to_rows(copied)))) == {frozen.COPIED_BAR.text}
    flat = frame.copy()
    for name in ("open", "high", "low"):
        flat.loc[at[:40], name] = flat.loc[at[:40], "close"]
    finding = by_rule(frozen.Frozen().check(to_rows(flat)))[frozen.FLAT_BARS.text]
    assert finding.count == 40


def test_a_vintage_that_says_nothing_new_is_found(frame):
    later = frame.assign(knowledge_time=frame["event_time"] + pd.Timedelta(days=2))
    first = frame.assign(knowledge_time=frame["event_time"])
    again = to_rows(pd.concat([first, later.iloc[:3]]))
    assert by_rule(frozen.Frozen().check(again))[frozen.COPIED_ROW.text].count == 3
    noisy = later.iloc[:3].copy()
    noisy["close"] *= 1 + 3e-8  # 34.53 that becomes 34.529999
    found = by_rule(frozen.Frozen().check(to_rows(pd.concat([first, noisy]))))
    assert found[frozen.NOISE_REVISION.text].count == 3
    real = later.iloc[:3].copy()
    real["close"] *= 1.01
    assert frozen.Frozen().check(to_rows(pd.concat([first, real]))) == []


@pytest.mark.parametrize(("shared", "severity"), [(300, "error"), (180, "warning"), (20, None)])
def test_two_symbols_with_the_same_bars_are_found(frame, shared, severity):
    twin = frame[frame["symbol"] == "BB"].assign(symbol="ZZ")
    own = market_frame(99, symbols=("ZZ",))
    both = pd.concat([frame, twin.iloc[:shared], own.iloc[shared:]])
    found = twins.Twins().check(to_rows(both))
    assert [f.severity for f in found] == ([severity] if severity else [])
    assert all(f.sample.startswith("ZZ") and "BB" in f.sample for f in found)


def test_a_bar_on_a_holiday_is_an_error_and_one_after_hours_a_warning(frame):
    bar = frame[frame["symbol"] == "AA"].iloc[[30]]
    holiday = bar.assign(event_time=pd.Timestamp("2015-12-25 21:00", tz="UTC"))
    late = bar.assign(event_time=pd.Timestamp("2015-11-27 21:00", tz="UTC"))  # a half day: it closed at 13:00
    both = frame[frame["event_time"] != pd.Timestamp("2015-11-27 18:00", tz="UTC")]
    found = by_rule(sessions.Sessions().check(to_rows(pd.concat([both, holiday, late]))))
    assert found[sessions.PHANTOM.text].severity == "error"
    assert place(found[sessions.PHANTOM.text])[1] == pd.Timestamp("2015-12-25 21:00", tz="UTC")
    assert found[sessions.OFF_HOURS.text].severity == "warning"


def test_an_index_may_have_values_on_a_holiday(frame):
    bar = frame[frame["symbol"] == "AA"].iloc[[30]].assign(event_time=pd.Timestamp("2015-12-25 21:00", tz="UTC"))
    index = Context(assets={"AA": AssetFacts("index")})
    found = by_rule(sessions.Sessions().check(to_rows(pd.concat([frame, bar])), index))
    assert {f.severity for f in found.values()} == {"warning"}


@settings(max_examples=15, deadline=None)
@given(start=st.integers(1, 250), length=st.integers(1, 40))
def test_a_hole_is_found_with_its_length(start, length):
    rows = to_rows(without(market_frame(), "FF", slice(start, start + length)))
    finding = by_rule(sessions.Sessions().check(rows))[sessions.GAP.text]
    assert place(finding) == ("FF", session_closes("2015-01-02", 300)[start + length])
    assert f"{length} missing sessions" in finding.sample


def test_a_hole_in_a_market_that_never_closes_is_found():
    times = pd.date_range("2024-01-01", periods=200, freq="5min", tz="UTC").delete(slice(50, 83))
    frame = pd.DataFrame({"symbol": "C", "event_time": times, "close": np.linspace(1, 2, len(times))})
    finding = by_rule(sessions.Sessions().check(to_rows(frame, frequency="5m"), Context(calendar=AlwaysOpen())))
    assert "33 missing bars" in finding[sessions.GAP.text].sample


def test_a_day_on_which_most_symbols_are_missing_is_partial(frame):
    day = session_closes("2015-01-02", 300)[120]
    thin = frame[(frame["event_time"] != day) | (frame["symbol"] == "AA")]
    assert sessions.PARTIAL_DAY.text in by_rule(sessions.Sessions().check(to_rows(thin)))
    cut = frame[(frame["event_time"] != frame["event_time"].max()) | (frame["symbol"] == "AA")]
    assert sessions.PARTIAL_DAY.text in by_rule(sessions.Sessions().check(to_rows(cut)))


def test_a_session_of_hours_that_lacks_some_is_partial():
    closes = session_closes("2015-11-23", 5)  # Thanksgiving week: the last day but one closes at 13:00
    hours = [close - pd.Timedelta(hours=h) for close in closes for h in range(4 if close.hour == 18 else 7)]
    frame = pd.DataFrame({"symbol": "H", "event_time": sorted(hours)})
    frame["close"] = np.linspace(10, 11, len(frame))
    assert sessions.Sessions().check(to_rows(frame, frequency="1h")) == []
    finding = by_rule(sessions.Sessions().check(to_rows(frame.drop([1, 2]), frequency="1h")))
    assert "5 of 7 bars" in finding[sessions.PARTIAL_DAY.text].sample


def test_two_daily_bars_in_one_session_are_found(frame):
    early = frame[frame["symbol"] == "AA"].iloc[[10]]
    early = early.assign(event_time=early["event_time"] - pd.Timedelta(hours=1))
    assert sessions.TWO_BARS.text in by_rule(sessions.Sessions().check(to_rows(pd.concat([frame, early]))))


def test_an_unknown_calendar_is_not_guessed(frame):
    assert sessions.Sessions().check(to_rows(frame, calendar="XMARS")) == []


def test_a_symbol_that_is_cut_is_found_unless_it_was_delisted(frame):
    cut = to_rows(without(frame, "BB", slice(200, None)))
    finding = by_rule(truncated.Truncated().check(cut, Context()))[truncated.ENDS_EARLY.text]
    assert place(finding) == ("BB", session_closes("2015-01-02", 300)[199])
    assert truncated.Truncated().check(cut, Context(assets={"BB": AssetFacts(delisted=1)})) == []
    late = to_rows(without(frame, "BB", slice(0, 50)))
    assert set(by_rule(truncated.Truncated().check(late, Context()))) == {truncated.STARTS_LATE.text}
    assert truncated.Truncated().check(late, Context(assets={"BB": AssetFacts(listed=1)})) == []


def test_symbols_of_a_page_each_and_symbols_without_rows_are_found(frame):
    pages = frame[~frame["symbol"].isin(["AA", "BB"])]
    cut = pd.concat([pages, *(frame[frame["symbol"] == s].iloc[:200] for s in ("AA", "BB"))])
    assert truncated.SAME_LENGTH.text in by_rule(truncated.Truncated().check(to_rows(cut)))
    empty = replace(to_rows(frame), symbols=(*SYMBOLS, "ZZ"))
    assert by_rule(truncated.Truncated().check(empty))[truncated.NO_ROWS.text].sample == "ZZ has none"


def test_a_symbol_that_nearly_ends_with_another_dataset_is_found(frame):
    rows = to_rows(frame)
    last = int(rows.event_time.max())
    day = 86_400_000_000_000
    near = Context(spans={"AA": (("mark", int(rows.event_time.min()), last + 3 * day),)})
    assert "3 bars before mark" in by_rule(truncated.Truncated().check(rows, near))[truncated.UNEVEN.text].sample
    far = Context(spans={"AA": (("old", 0, last + 900 * day),)})
    assert truncated.Truncated().check(rows, far) == []


@pytest.mark.parametrize("code", [-99.99, -999.0, 99999.0])
def test_a_code_for_missing_is_an_error_in_prices_and_in_side_data(frame, code):
    found = by_rule(coded_missing.CodedMissing().check(to_rows(spoilt(frame, "AA", 9, open=code))))
    assert found[coded_missing.SENTINEL.text].severity == "error"
    days = pd.date_range("2000-01-31", periods=200, freq="ME", tz="UTC").as_unit("ns")
    values = np.random.default_rng(0).normal(0, 2, 200)
    values[17] = code
    finding = by_rule(coded_missing.CodedMissing().check(side_table(values, event=days)))[coded_missing.SENTINEL.text]
    assert finding.records[0]["event_time"] == days[17]


def test_a_series_that_passes_through_a_code_is_sound():
    days = pd.date_range("2000-01-31", periods=200, freq="ME", tz="UTC").as_unit("ns")
    falling = np.linspace(500, -1500, 200).round()
    falling[150] = -999.0
    assert coded_missing.CodedMissing().check(side_table(falling, event=days)) == []
    through_zero = np.linspace(-5, 5, 201)[:200]
    assert coded_missing.CodedMissing().check(side_table(through_zero, event=days)) == []


def test_a_zero_among_large_values_is_found():
    days = pd.date_range("2000-01-31", periods=200, freq="ME", tz="UTC").as_unit("ns")
    values = np.random.default_rng(0).normal(100, 2, 200)
    values[33] = 0.0
    assert set(by_rule(coded_missing.CodedMissing().check(side_table(values, event=days)))) == {coded_missing.ZERO.text}


def test_volumes_of_zero_and_bars_without_a_price_are_found(frame):
    check = coded_missing.CodedMissing().check
    assert set(by_rule(check(to_rows(spoilt(frame, "AA", 9, volume=0.0))))) == {coded_missing.ZERO_VOLUME.text}
    never = frame.assign(volume=frame["volume"].where(frame["symbol"] != "AA", 0.0))
    assert by_rule(check(to_rows(never)))[coded_missing.EMPTY_VOLUME.text].count == 1
    lacking = to_rows(spoilt(frame, "AA", 9, open=np.nan, high=np.nan, low=np.nan))
    assert "lacks open, high, low" in by_rule(check(lacking))[coded_missing.MISSING_CELLS.text].sample


@pytest.mark.parametrize(
    ("cells", "rule"),
    [
        ({"low": 0.0}, ohlcv.POSITIVE),
        ({"open": -3.0, "low": -3.0}, ohlcv.POSITIVE),
        ({"high": 1.0}, ohlcv.WITHIN),
        ({"volume": -5.0}, ohlcv.VOLUME),
        ({"close": np.nan}, ohlcv.HAS_CLOSE),
    ],
)
def test_a_bar_that_contradicts_itself_is_an_error(frame, cells, rule):
    found = by_rule(ohlcv.Ohlcv().check(to_rows(spoilt(frame, "AA", 9, **cells))))
    assert found[rule.text].severity == "error"
    assert found[rule.text].index.tolist() == [9]


def test_a_spot_commodity_may_be_negative_and_an_index_out_of_order(frame):
    negative = to_rows(spoilt(frame, "AA", 9, open=-37.0, high=-36.0, low=-38.0, close=-36.98))
    assert ohlcv.Ohlcv().check(negative, Context(assets={"AA": AssetFacts("commodity")})) == []
    assert ohlcv.Ohlcv().check(negative, Context())
    index = to_rows(spoilt(frame, "AA", 9, open=999.0)[frame.columns.drop("volume")])
    assert [f.severity for f in ohlcv.Ohlcv().check(index)] == ["warning"]


def test_a_bar_known_before_its_close_after_today_or_twice_is_an_error(frame):
    check = point_in_time.PointInTime().check
    early = to_rows(frame.assign(knowledge_time=frame["event_time"] - pd.Timedelta(hours=1)))
    assert by_rule(check(early))[point_in_time.EARLY.text].count == len(frame)
    now = int(to_rows(frame).event_time.max()) - 1
    assert by_rule(check(to_rows(frame), Context(now=now)))[point_in_time.FUTURE.text].count == len(SYMBOLS)
    twice = to_rows(pd.concat([frame, frame.iloc[[4]]]))
    assert by_rule(check(twice))[point_in_time.REPEATED.text].count == 1
    assert schema.Schema().check(twice)


def test_a_schedule_may_be_known_before_its_event():
    days = pd.date_range("2020-01-31", periods=6, freq="ME", tz="UTC").as_unit("ns")
    table = side_table(np.ones(6), event=days, kind="calendar", lag_days=-10)
    assert point_in_time.PointInTime().check(table) == []
    assert point_in_time.PointInTime().check(side_table(np.ones(6), event=days, lag_days=-10))


def test_a_missing_month_stray_milliseconds_and_held_values_are_found():
    months = pd.date_range("2010-01-31", periods=60, freq="ME", tz="UTC").as_unit("ns")
    check = regularity.Regularity().check
    value = np.random.default_rng(0).normal(size=60)
    assert check(side_table(value, event=months)) == []
    hole = check(side_table(value[1:], event=months.delete(30)))
    assert by_rule(hole)[regularity.HOLE.text].records[0]["event_time"] == months[31]
    stray = months + pd.to_timedelta(np.where(np.arange(60) % 3 == 0, 17, 0), unit="ms")
    assert by_rule(check(side_table(value, event=stray)))[regularity.OFF_GRID.text].count == 20
    held = check(
        side_table(
            np.repeat(value[:10], 12), event=pd.date_range("1900-01-31", periods=120, freq="ME", tz="UTC").as_unit("ns")
        )
    )
    assert "every 12 rows" in by_rule(held)[regularity.HELD.text].sample


def test_words_that_come_again_and_again_are_found():
    days = pd.date_range("2020-01-01", periods=12, freq="h", tz="UTC").as_unit("ns")
    text = np.array(["the same words"] * 7 + ["a", "b", "c", "d", ""], dtype=object)
    finding = by_rule(regularity.Regularity().check(side_table(np.ones(12), event=days, kind="news", text=text)))
    assert "7 times" in finding[regularity.REPEATED_TEXT.text].sample


def test_side_data_and_actions_of_symbols_without_prices_are_found(frame):
    days = pd.date_range("2020-01-31", periods=6, freq="ME", tz="UTC").as_unit("ns")
    table = side_table(np.ones(6), event=days, symbol="BTC", kind="onchain")
    context = Context(bases=frozenset({"BTCUSD"}))
    assert by_rule(orphans.Orphans().check(table, context))[orphans.ORPHAN_SIDE.text].sample.startswith("x BTC")
    assert orphans.Orphans().check(table, Context(bases=frozenset({"BTC"}))) == []
    lost = Context(actions={"ZZ": Actions(np.array([0]), np.array([2.0]))})
    assert by_rule(orphans.Orphans().check(to_rows(frame), lost))[orphans.ORPHAN_ACTION.text].count == 1


def test_a_panel_is_read_as_rows(make_panel, rng):
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, (80, 2)), axis=0))
    close[40, 1] *= 10
    panel = make_panel(close)
    rows = rows_of_panel(panel)
    assert len(rows) == 160
    np.testing.assert_array_equal(rows["close"][80:], close[:, 1])
    (finding,) = spikes.Spikes().check(panel)
    assert finding.sample.startswith("S1")
    assert finding.severity == "error"


def test_a_finding_carries_its_first_rows_and_the_place_of_all(frame):
    wrong = frame.copy()
    wrong.loc[wrong["symbol"] == "BB", "volume"] = -1.0
    finding = by_rule(ohlcv.Ohlcv().check(to_rows(wrong)))[ohlcv.VOLUME.text]
    assert finding.count == 300
    assert len(finding.records) == 5
    assert finding.records[0]["symbol"] == "BB"
    assert finding.records[0]["volume"] == -1.0
    np.testing.assert_array_equal(finding.index, np.arange(300, 600))


def test_rules_that_can_be_found_are_documented_with_reason_and_hint():
    for validator in EVERY:
        for rule in validator.rules:
            assert rule.severity in ("error", "warning")
            assert rule.why.endswith(".")
            assert rule.hint.endswith(".")


def test_a_symbol_is_no_orphan_under_its_own_name_nor_a_country_of_a_macro_series():
    days = pd.date_range("2020-01-31", periods=6, freq="ME", tz="UTC").as_unit("ns")
    facts = Context(bases=frozenset({"BTC", "BTCUSDT-PERP"}))
    funding = side_table(np.ones(6), event=days, symbol="BTCUSDT-PERP", kind="funding")
    country = side_table(np.ones(6), event=days, symbol="Australia", kind="macro")
    assert orphans.Orphans().check(funding, facts) == orphans.Orphans().check(country, facts) == []


def test_zero_is_a_gap_among_levels_and_a_value_among_returns(rng):
    days = pd.date_range("2020-01-01", periods=300, freq="D", tz="UTC").as_unit("ns")
    returns = rng.normal(0, 1, 300).round(2)
    returns[[99, 100, 101]] = 1.0, 0.0, 1.1
    check = coded_missing.CodedMissing().check
    assert coded_missing.ZERO.text not in by_rule(check(side_table(returns, event=days)))
    levels = np.abs(returns) + 5.0
    levels[100] = 0.0
    assert by_rule(check(side_table(levels, event=days)))[coded_missing.ZERO.text].count == 1


def test_other_words_at_the_same_instant_are_another_text():
    days = pd.DatetimeIndex(["2020-01-01"] * 3, tz="UTC").as_unit("ns")
    check, rule = point_in_time.PointInTime().check, point_in_time.REPEATED_NEWS.text
    texts = side_table(np.ones(3), event=days, kind="news", text=np.array(["a", "b", "c"], dtype=object))
    assert rule not in by_rule(check(texts))
    twice = side_table(np.ones(3), event=days, kind="news", text=np.array(["a", "b", "a"], dtype=object))
    assert by_rule(check(twice))[rule].count == 1


def test_a_weekday_without_any_bar_is_no_gap_of_a_market_that_is_always_open_by_its_calendar():
    days = pd.date_range("2020-01-01", periods=70, freq="D", tz="UTC").as_unit("ns")
    week = days[days.day_of_week != 6]  # a bar that closes on a Sunday is that of Saturday
    frame = pd.DataFrame({"symbol": "EURUSD", "event_time": week, "close": np.linspace(1.0, 1.1, len(week))})
    frame["knowledge_time"] = frame["event_time"]
    check = sessions.Sessions().check
    assert sessions.GAP.text not in by_rule(check(to_rows(frame), Context(calendar=get_calendar("CRYPTO"))))
    holed = frame.drop(index=frame.index[30])
    assert by_rule(check(to_rows(holed), Context(calendar=get_calendar("CRYPTO"))))[sessions.GAP.text].count == 1


def test_a_rate_that_is_set_once_a_week_for_some_weeks_has_the_frequency_that_it_claims(rng):
    days = pd.date_range("1971-01-01", periods=3000, freq="B", tz="UTC").as_unit("ns")
    rate = rng.normal(8, 1, 3000).cumsum()
    rate[500:530] = np.repeat([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 5)
    assert regularity.HELD.text not in by_rule(regularity.Regularity().check(side_table(rate, event=days)))
