"""Real data: every defect that is known is found, and what is clean raises no error.

The defects are those that the reference data's own table lists, found there by other means than ours.
"""

from __future__ import annotations

import io
import json
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pytest

from mnpu.data.calendars import get_calendar
from mnpu.data.clock import utc
from mnpu.data.rows import PriceRows, rows_of_frame
from mnpu.types import DatasetInfo, SeriesInfo, SideTable
from mnpu.validation import coded_missing, frozen, jumps, ohlcv, point_in_time, regularity, sessions, spikes, truncated
from mnpu.validation.findings import Actions, AssetFacts, Context
from mnpu.validation.schema import validate
from tests.core.market_rows import AlwaysOpen
from tests.core.test_market_rules import EVERY

NOW = pd.Timestamp("2026-09-01", tz="UTC").value


def session_close(dates) -> pd.DatetimeIndex:
    """16:00 New York of each date, 13:00 on half days; dates that are no session are taken as if they were."""
    days = pd.DatetimeIndex(dates).tz_localize(None).normalize()
    wall = (days + pd.Timedelta(hours=16)).tz_localize("America/New_York").tz_convert("UTC").as_unit("ns")
    calendar = get_calendar("XNYS")
    dates = days.to_numpy().astype("datetime64[D]")
    noon = (days + pd.Timedelta(hours=12)).tz_localize("America/New_York").tz_convert("UTC").as_unit("ns")
    known = calendar.contains(noon)
    closes = wall.asi8.copy()
    closes[known] = calendar.session_close(dates[known]).asi8
    return pd.DatetimeIndex(closes.view("datetime64[ns]")).tz_localize("UTC")


def price_rows(frame, calendar="XNYS", frequency="1d") -> PriceRows:
    """Rows of a file of prices: a date is the session's close, on markets without one the end of the day."""
    stamps = pd.DatetimeIndex(frame["timestamp"]).as_unit("ns")
    if frequency == "1d":
        stamps = session_close(stamps) if calendar == "XNYS" else stamps + pd.Timedelta(days=1)
    frame = frame.assign(event_time=stamps)
    if "available_at" in frame:
        frame["knowledge_time"] = frame["available_at"].fillna(frame["event_time"])
    return rows_of_frame(frame, DatasetInfo("file", "v", frequency, "close", "none", "", calendar, "USD", "l"))


def check(rows, **context):
    """Findings of every validator by rule."""
    always = AlwaysOpen() if isinstance(rows, PriceRows) and rows.info.calendar == "24/7" else None
    context = Context("file", calendar=always, now=NOW, **context)
    found = {}
    for validator in EVERY:
        if isinstance(rows, validator.reads):
            found.update({finding.rule: finding for finding in validator.check(rows, context)})
    return found


def errors(found):
    return {rule for rule, finding in found.items() if finding.severity == "error"}


def places(rows, finding):
    """Symbol and date of every row of a finding."""
    at = finding.index
    dates = rows.events[at].strftime("%Y-%m-%d")
    return {(rows.symbols[rows.code[i]], date) for i, date in zip(at, dates, strict=True)}


def side(path, *, kind="macro") -> SideTable:
    """A side file, known when it says so, else at its stamp."""
    frame = pd.read_parquet(path).rename(columns={"metric": "series"})
    for name, default in (("symbol", ""), ("value", 1.0)):
        frame[name] = frame[name].fillna(default) if name == "symbol" and name in frame else frame.get(name, default)
    frame = frame[frame["value"].notna()]
    event = utc(frame["timestamp"])
    known = utc(frame["available_at"].fillna(frame["timestamp"]))
    order = np.lexsort((event.asi8, known.asi8))
    info = {}
    for name in frame["series"].unique():
        info[name] = SeriesInfo(name, "any", "u", "declared", "", pd.Timedelta(days=60), "", "")
        object.__setattr__(info[name], "kind", kind)
    table = SideTable(
        event_time=event[order],
        knowledge_time=known[order],
        series=frame["series"].to_numpy(dtype=object)[order],
        symbol=frame["symbol"].to_numpy(dtype=object)[order],
        value=frame["value"].to_numpy(dtype="float64")[order],
        info=info,
    )
    if "text" in frame:
        object.__setattr__(table, "text", frame["text"].to_numpy(dtype=object)[order])
    return table


@pytest.fixture
def prices(shared_data):
    return lambda name, *declared: price_rows(pd.read_parquet(shared_data / f"{name}.parquet"), *declared)


def test_us_adjusted_has_two_decimal_slips_of_hum_and_88_zero_volumes(prices):
    rows = prices("prices-daily/us_adjusted_2003_2017")
    found = check(rows)
    slips = {("HUM", "2008-01-08"), ("HUM", "2014-02-27")}
    assert places(rows, found[spikes.DECIMAL_SLIP.text]) == slips
    assert places(rows, found[ohlcv.WITHIN.text]) == slips
    assert found[coded_missing.ZERO_VOLUME.text].count == 88
    assert found[truncated.STARTS_LATE.text].count == 50  # 91 symbols over 14.9 years, 50 over 12.7
    assert errors(found) == {spikes.DECIMAL_SLIP.text, ohlcv.WITHIN.text}


def test_sp500_has_its_missing_cells_broken_bars_and_late_symbols(prices):
    rows = prices("prices-daily/sp500_2013_2018")
    found = check(rows)
    bars = ["BHF 2017-07-26", "FTV 2016-07-01", "O 2016-01-12", "UA 2016-04-07", "VRTX 2015-05-12", "WRK 2015-06-26"]
    lacking = {tuple(bar.split()) for bar in [*bars, "ES 2015-07-17", "O 2015-07-17"]}
    assert lacking >= places(rows, found[coded_missing.MISSING_CELLS.text]) >= {tuple(bar.split()) for bar in bars}
    assert found[ohlcv.WITHIN.text].count == 10
    assert {("CHD", "2014-05-19"), ("LNT", "2016-05-19")} <= places(rows, found[ohlcv.WITHIN.text])
    assert {s for s, _ in places(rows, found[coded_missing.ZERO_VOLUME.text])} == {"FTV", "O", "UA"}
    assert "APTV" in {s for s, _ in places(rows, found[truncated.STARTS_LATE.text])}
    assert places(rows, found[spikes.CLOSE_SPIKE.text]) == {("LNT", "2016-05-19")}
    assert errors(found) == {ohlcv.WITHIN.text, spikes.CLOSE_SPIKE.text}
    # not in the list, and real: two days on which the vendor repeated the day before for many symbols
    days = pd.Series([day for _, day in places(rows, found[frozen.COPIED_BAR.text])]).value_counts()
    assert set(days.index[:2]) == {"2014-07-18", "2014-08-04"}


def test_lean_has_reused_tickers_a_share_class_switch_splits_and_a_hole(prices):
    rows = prices("prices-daily/lean_us_unadjusted")
    found = check(rows)
    assert places(rows, found[jumps.TICKER_REUSE.text]) == {("USO", "2006-04-10"), ("EEM", "2003-04-11")}
    shifted = places(rows, found[jumps.JUMP.text]) | places(rows, found[jumps.HUGE_JUMP.text])
    splits = {
        *(("AAPL", day) for day in ("2000-06-21", "2005-02-28", "2014-06-09", "2020-08-31")),
        *(("IBM", "1999-05-27"), ("IWM", "2005-06-09"), ("EEM", "2005-06-09"), ("EEM", "2008-07-24")),
        ("USO", "2020-04-29"),
    }
    assert shifted >= splits | {("GOOG", "2014-04-03")}
    assert ("QQQ", "2011-03-23") in places(rows, found[sessions.GAP.text])


def test_recorded_splits_explain_themselves_and_not_the_share_class(prices, shared_data):
    rows = prices("prices-daily/lean_us_unadjusted")
    factors = pd.read_parquet(shared_data / "prices-daily/lean_us_factors.parquet")
    factors = factors[factors["series"] == "split_factor"].sort_values(["symbol", "timestamp"])
    actions = {}
    for symbol, of in factors.groupby("symbol"):  # a factor holds up to its date, so the split is the session after
        ratio = of["value"].shift(-1) / of["value"]
        split = ratio.notna() & (ratio.round(6) != 1)
        event = (of["timestamp"][split] + pd.Timedelta(days=1)).astype("datetime64[ns, UTC]")
        actions[symbol] = Actions(event.astype("int64").to_numpy(), ratio[split].to_numpy())
    found = check(rows, actions=actions)
    shifted = places(rows, found[jumps.JUMP.text])
    assert {symbol for symbol, _ in shifted if symbol in ("IBM", "IWM")} == set()
    assert {day for symbol, day in shifted if symbol == "AAPL"} == {"2000-09-29"}  # it fell by half, really
    assert ("GOOG", "2014-04-03") in shifted
    assert jumps.HUGE_JUMP.text not in found


def test_vix_breaks_order_and_is_flat_before_1992_and_raises_no_error(prices):
    rows = prices("prices-daily/vix_ohlc")
    found = check(rows)
    assert found[ohlcv.WITHIN_INDEX.text].count == 47
    assert ("^VIX", "1992-02-11") in places(rows, found[ohlcv.WITHIN_INDEX.text])
    assert found[frozen.FLAT_BARS.text].count >= 500
    assert errors(found) == set()


def test_tweeted_stocks_have_bars_of_nothing_and_zero_volumes(prices):
    rows = prices("prices-daily/tweet_stocks_2012_2017")
    found = check(rows)
    assert places(rows, found[ohlcv.HAS_CLOSE.text]) == {(s, "2016-06-29") for s in ("PTR", "REX", "SNP")}
    zero = pd.Series([s for s, _ in places(rows, found[coded_missing.ZERO_VOLUME.text])]).value_counts()
    assert (zero["SPLP"], zero["AGFS"]) == (61, 49)
    assert errors(found) == {ohlcv.HAS_CLOSE.text}


def test_bars_as_seen_twice_are_said_to_repeat(prices):
    found = check(prices("prices-daily/us_as_seen_2015_2017"))
    assert found[frozen.COPIED_ROW.text].count > 30_000
    assert frozen.NOISE_REVISION.text in found
    assert errors(found) == {jumps.HUGE_JUMP.text}  # NFLX 7:1 on 2015-07-15, unadjusted and without an action


@pytest.mark.parametrize(
    ("name", "declared", "rules"),
    [
        ("prices-daily/us_indices_1999_2018", (), {coded_missing.ZERO_VOLUME}),
        ("prices-daily/btcusd_coinbase_daily", ("24/7", "1d"), {sessions.GAP}),
        ("fx/fx_daily", ("24/7", "1d"), {coded_missing.EMPTY_VOLUME}),
        ("fx/eurusd_hour", ("FX", "1h"), {coded_missing.EMPTY_VOLUME}),
        ("crypto-intraday/alts_btc_5m_2018-01", ("24/7", "5m"), {sessions.GAP}),
        ("crypto-intraday/binance_btc_perp_5m", ("24/7", "5m"), {coded_missing.ZERO_VOLUME}),
        ("crypto-intraday/binance_perp_1h", ("24/7", "1h"), {truncated.STARTS_LATE}),
        ("crypto-intraday/binance_perp_mark_1h", ("24/7", "1h"), {truncated.STARTS_LATE}),
        ("crypto-intraday/binance_spot_1h", ("24/7", "1h"), set()),
        ("crypto-intraday/btc_perp_1m_2022-01", ("24/7", "1m"), set()),
    ],
)
def test_sound_files_raise_no_error_and_say_what_they_lack(prices, name, declared, rules):
    found = check(prices(name, *declared))
    assert errors(found) == set()
    assert {rule.text for rule in rules} <= set(found)


def test_missing_five_minute_bars_are_counted(prices):
    finding = check(prices("crypto-intraday/alts_btc_5m_2018-01", "24/7", "5m"))[sessions.GAP.text]
    missing = {"ADABTC": 0, "TRXBTC": 0, "XMRBTC": 0}
    rows = prices("crypto-intraday/alts_btc_5m_2018-01", "24/7", "5m")
    for i in finding.index:
        step = int(rows.event_time[i] - rows.event_time[i - 1]) // 300_000_000_000
        missing[rows.symbols[rows.code[i]]] += step - 1
    assert missing == {"ADABTC": 40, "TRXBTC": 6, "XMRBTC": 2}


def test_the_mark_price_runs_longer_than_the_trades(prices):
    traded = prices("crypto-intraday/binance_perp_1h", "24/7", "1h")
    mark = prices("crypto-intraday/binance_perp_mark_1h", "24/7", "1h")
    spans = {}
    for code, symbol in enumerate(mark.symbols):
        of = mark.event_time[mark.starts[code] : mark.starts[code + 1]]
        spans[symbol] = (("mark", int(of[0]), int(of[-1])),)
    finding = check(traded, spans=spans)[truncated.UNEVEN.text]
    said = {record["symbol"]: record["what"] for record in finding.records}
    assert said == {"BTCUSDT-PERP": "ends 3 bars before mark", "HYPEUSDT-PERP": "begins 1 bar after mark"}


def test_hours_that_lack_trades_are_partial_days(prices):
    rows = prices("prices-hourly/lean_us_hour_unadjusted", "XNYS", "1h")
    found = check(rows)
    assert ("AAPL", "2013-08-22") in places(rows, found[sessions.PARTIAL_DAY.text])  # the Nasdaq halt
    assert sessions.PHANTOM.text not in found


def test_macro_series_have_a_missing_month_held_years_and_a_negative_oil_price(shared_data):
    found = check(side(shared_data / "macro/us_macro_market_series.parquet"))
    hole = found[regularity.HOLE.text]
    assert [record["series"] for record in hole.records] == ["us_cpi_u_nsa"]
    assert hole.records[0]["event_time"] == pd.Timestamp("2025-11-01", tz="UTC")
    assert {record["series"] for record in found[regularity.HELD.text].records} == {"gold_usd"}
    assert errors(found) == set()  # oil at -36.98 on 2020-04-20 is what it cost


def test_the_treasury_curve_lacks_thirty_years_from_2002_to_2006(shared_data):
    (record,) = check(side(shared_data / "macro/us_treasury_curve_daily.parquet"))[regularity.HOLE.text].records
    assert record["series"] == "ust_30year"
    assert record["event_time"].year == 2006


def test_funding_of_xrp_is_stamped_with_milliseconds(shared_data):
    found = check(side(shared_data / "crypto-intraday/xrp_funding_2021.parquet", kind="funding"))
    assert regularity.OFF_GRID.text in found
    assert regularity.OFF_GRID.text not in check(side(shared_data / "crypto-intraday/binance_funding.parquet"))


def test_reports_have_period_ends_after_their_filing_and_84_repeated_keys(shared_data):
    found = check(side(shared_data / "fundamentals/us_reports_2015_2017.parquet", kind="fundamental"))
    assert found[point_in_time.EARLY.text].count >= 1
    assert found[point_in_time.REPEATED.text].count == 84


def test_factors_that_hold_until_2099_are_known_in_the_future(shared_data):
    found = check(side(shared_data / "prices-daily/lean_us_factors.parquet"))
    assert found[point_in_time.FUTURE.text].records[0]["event_time"].year == 2099


def test_tweets_repeat_their_words_and_their_stamps(shared_data):
    found = check(side(shared_data / "news/stock_tweets_2014_2015.parquet", kind="news"))
    assert found[regularity.REPEATED_TEXT.text].count > 100
    assert found[point_in_time.REPEATED_NEWS.text].count >= 393
    assert errors(found) == set()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("macro/us_macro_vintages_2016_2017", "macro"),
        ("macro/us_macro_quarterly_1959_2009", "macro"),
        ("macro/us_primary_credit_rate_changes", "macro"),
        ("macro/economic_calendar_2019-11_2020-07", "calendar"),
        ("crypto-intraday/binance_funding", "funding"),
        ("onchain/btc_blockchaincom", "onchain"),
        ("onchain/btc_eth_coinmetrics_daily", "onchain"),
        ("fx/fx_reference_daily_1971_2017", "macro"),
        ("news/cnbc_headlines_2017_2020", "news"),
        ("prices-daily/skfolio_adjclose_1990_2022", "benchmark"),
    ],
)
def test_sound_side_files_raise_no_error(shared_data, name, kind):
    assert errors(check(side(shared_data / f"{name}.parquet", kind=kind))) == set()


# messy, as found


def kaggle(shared_data, name):
    frame = pd.read_csv(shared_data / "messy" / f"{name}.us.txt", parse_dates=["Date"])
    return price_rows(frame.rename(columns=str.lower).rename(columns={"date": "timestamp"}).assign(symbol=name))


def crawl(shared_data, day):
    with tarfile.open(shared_data / "messy" / f"pystock_{day}.tar.gz") as archive:
        frame = pd.read_csv(io.BytesIO(archive.extractfile("prices.csv").read()), parse_dates=["date"])
    known = pd.Timestamp(day, tz="UTC") + pd.Timedelta(hours=38, minutes=30)
    return frame.dropna(subset=["symbol"]).rename(columns={"date": "timestamp"}).assign(available_at=known)


def test_messy_a_file_of_no_bytes_is_a_symbol_without_bars(shared_data):
    assert (shared_data / "messy/bolt.us.txt").stat().st_size == 0
    rows = rows_of_frame(
        pd.DataFrame({"symbol": [], "event_time": pd.DatetimeIndex([], tz="UTC"), "close": []}),
        DatasetInfo("file", "v", "1d", "close", "none", "", "XNYS", "USD", "l"),
        symbols=("BOLT",),
    )
    assert check(rows)[truncated.NO_ROWS.text].sample == "BOLT has none"


def test_messy_cxdc_jumps_by_a_bad_adjustment(shared_data):
    rows = kaggle(shared_data, "cxdc")
    found = check(rows)
    assert ("cxdc", "2007-10-11") in places(rows, found[jumps.HUGE_JUMP.text])


def test_messy_evstc_trades_on_18_week_ends_and_is_flat(shared_data):
    rows = kaggle(shared_data, "evstc")
    found = check(rows)
    phantom = places(rows, found[sessions.PHANTOM.text])
    assert len(phantom) == 18
    assert all(pd.Timestamp(day).day_of_week >= 5 for _, day in phantom)
    assert found[frozen.FLAT_BARS.text].count == 346


def test_messy_ite_begins_with_zeros_and_has_a_hole(shared_data):
    rows = kaggle(shared_data, "ite")
    found = check(rows)
    assert found[ohlcv.POSITIVE.text].count == 4
    assert found[ohlcv.POSITIVE.text].index[0] == 0
    assert ("ite", "2007-06-22") in places(rows, found[sessions.GAP.text])


def test_messy_coinbase_symbols_are_cut(shared_data):
    frame = pd.read_csv(shared_data / "messy/coinbase_missing_symbols.csv", parse_dates=["date"])
    frame = frame.rename(columns={"date": "timestamp"})
    rows = price_rows(frame.assign(timestamp=frame["timestamp"].dt.tz_localize("UTC")), "24/7")
    ended = check(rows)[truncated.ENDS_EARLY.text]
    assert ("BADGER/USD", "2021-10-29") in places(rows, ended)


def test_messy_pystock_has_eight_rows_of_a_holiday_and_a_repeated_row(shared_data):
    rows = price_rows(crawl(shared_data, "20160216"))
    found = check(rows)
    phantom = places(rows, found[sessions.PHANTOM.text])
    assert {day for _, day in phantom} == {"2016-02-15"}
    assert len(phantom) == 8
    assert found[point_in_time.REPEATED.text].count == 2


def test_messy_pystock_says_the_same_prices_with_noise(shared_data):
    both = pd.concat([crawl(shared_data, "20150608"), crawl(shared_data, "20150609")])
    found = check(price_rows(both))
    assert found[frozen.NOISE_REVISION.text].count > 1000
    assert errors(found) == set()


def test_messy_uso_is_another_company_before_2006(shared_data):
    with zipfile.ZipFile(shared_data / "messy/uso_daily.zip") as archive:
        names = ["timestamp", "open", "high", "low", "close", "volume"]
        frame = pd.read_csv(archive.open(archive.namelist()[0]), header=None, names=names)
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], format="%Y%m%d %H:%M")
    rows = price_rows(frame.assign(symbol="USO"))
    assert places(rows, check(rows)[jumps.TICKER_REUSE.text]) == {("USO", "2006-04-10")}


def test_messy_calendar_holds_texts_where_numbers_belong(shared_data):
    events = pd.DataFrame(json.loads((shared_data / "messy/calendar_2020-03.json").read_text("utf-8"))["events"])
    at = utc(pd.to_datetime(events["event_dt"])).asi8
    table = events.assign(series=events["currency"] + " " + events["event"], event_time=at, knowledge_time=at)
    rules = " ".join(finding.rule for finding in validate("calendar_events", table))
    assert all(name in rules for name in ("actual", "forecast", "previous"))


def test_the_asset_class_decides_whether_a_price_may_be_negative():
    frame = pd.DataFrame({"timestamp": pd.date_range("2020-04-16", periods=4, freq="B", tz="UTC")})
    frame = frame.assign(symbol="WTI", close=[19.87, 18.27, -36.98, 9.12])
    assert errors(check(price_rows(frame), assets={"WTI": AssetFacts("commodity")})) == set()
    assert errors(check(price_rows(frame))) == {ohlcv.POSITIVE.text}
