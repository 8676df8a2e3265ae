"""On-chain signals: hand calculation, a loop over the rows known at each decision, and the metrics of real chains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mnpu.errors import ConfigError
from mnpu.features import View
from mnpu.features.compute import compute
from mnpu.features.leaks import choose_cuts, future_perturbation, truncation
from mnpu.features.plan import features_of, plan_function
from mnpu.plugins.registry import Registry
from mnpu.testing import check_component
from mnpu.types import SideTable
from mnpu_data_onchain import funding, onchain
from tests.side_tables import DAY, decisions, rows_known, shared_frame, side_table, table, utc


def value(name: str, side: SideTable, times: pd.DatetimeIndex, **params: Any) -> np.ndarray:
    """The signal of bitcoin, whose rows are filed under its base."""
    view = View(decisions(times, ["BTCUSD"], ["BTC"]), side)
    return getattr(onchain, name)(view, **params)[:, 0]


def daily(*values: float, symbol: str = "BTC") -> list[tuple]:
    """Days from 2020-01-01 on, complete at their end and known six hours later."""
    ends = pd.date_range("2020-01-02", periods=len(values), freq="D")
    return [(str(end), str(end + pd.Timedelta(6, "h")), float(x), symbol) for end, x in zip(ends, values, strict=True)]


def on(*days: int, hour: int = 6) -> pd.DatetimeIndex:
    """Decisions in January 2020."""
    return utc(*(f"2020-01-{day:02} {hour:02}:00" for day in days))


def test_a_day_is_seen_when_it_became_known_and_not_before() -> None:
    side = table({"AdrActCnt": daily(100, 120, 90)}, kind="onchain")
    times = utc("2020-01-03 05:59:59", "2020-01-03 06:00", "2020-01-04 06:00")
    got = value("active_addresses_change", side, times, window=1)
    np.testing.assert_allclose(got, [np.nan, np.log(1.2), np.log(0.75)])


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("active_addresses_change", "AdrActCnt"),
        ("transaction_count_change", "TxCnt"),
        ("transaction_value_change", "TxTfrValAdjUSD"),
        ("hash_rate_change", "HashRate"),
        ("metric_change", "TxTfrCnt"),
    ],
)
def test_changes_are_logarithms_over_observations_and_zero_has_none(name: str, series: str) -> None:
    side = table({series: daily(0, 100, 50, 200)}, kind="onchain")
    got = value(name, side, on(4, 5), window=2)
    np.testing.assert_allclose(got, [np.nan, np.log(2)])


def test_symbols_have_their_own_rows_and_one_without_rows_has_none() -> None:
    side = table({"CapMVRVCur": daily(1.5, 1.6) + daily(0.5, 0.7, symbol="ETHUSD")}, kind="onchain")
    panel = decisions(on(2, 3), ["ETHUSD", "BTCUSD", "XRPUSD"], ["ETH", "BTC", "XRP"])
    np.testing.assert_allclose(onchain.mvrv(View(panel, side)), [[0.5, 1.5, np.nan], [0.7, 1.6, np.nan]])


def test_a_metric_that_is_too_old_is_missing() -> None:
    side = table({"CapMVRVCur": daily(1.5)}, max_age=3 * DAY, kind="onchain")
    times = utc("2020-01-05 00:00", "2020-01-05 00:01")
    np.testing.assert_allclose(value("mvrv", side, times), [1.5, np.nan])


def test_a_score_is_of_logarithms_and_a_constant_has_none() -> None:
    logs = np.array([0.0, 1.0, 2.0, 5.0])
    side = table({"AdrActCnt": daily(*np.exp(logs)), "TxTfrCnt": daily(7, 7, 7, 7)}, kind="onchain")
    expected = (5 - logs.mean()) / logs.std(ddof=1)
    assert value("active_addresses_zscore", side, on(5), window=4)[0] == pytest.approx(expected, rel=1e-12)
    assert np.isnan(value("metric_zscore", side, on(5), window=4)).all()


def test_fees_and_issuance_share_what_miners_earn() -> None:
    side = table({"FeeTotUSD": daily(10, 0, 0), "IssTotUSD": daily(30, 40, 0)}, kind="onchain")
    np.testing.assert_allclose(value("fee_share", side, on(2, 3, 4)), [0.25, 0.0, np.nan])


def test_value_against_what_is_moved() -> None:
    side = table({"CapMrktCurUSD": daily(100, 90, 80), "TxTfrValAdjUSD": daily(10, 0, 5)}, kind="onchain")
    np.testing.assert_allclose(value("nvt", side, on(2, 3, 4)), [10, np.nan, 16])
    np.testing.assert_allclose(value("nvt_signal", side, on(2, 3, 4), window=2), [np.nan, 18, 32])


def test_market_value_above_realised_value() -> None:
    side = table({"CapMrktCurUSD": daily(100, 120, 140), "CapRealUSD": daily(90, 90, 100)}, kind="onchain")
    np.testing.assert_allclose(value("mvrv_zscore", side, on(3, 4), window=3), [np.nan, 40 / 20])


def test_supply_grows_by_what_is_issued() -> None:
    rows = {"IssContNtv": daily(3, 1, 2), "SplyCur": daily(997, 998, 1000), "IssContUSD": daily(10, 20, 60)}
    side = table(rows, kind="onchain")
    np.testing.assert_allclose(value("issuance_rate", side, on(3, 4), window=3), [np.nan, 6 / 1000 * 365 / 3])
    np.testing.assert_allclose(value("puell_multiple", side, on(3, 4), window=3), [np.nan, 2.0])


def test_exchanges_take_in_more_than_they_give_out() -> None:
    rows = {"FlowInExNtv": daily(5, 7), "FlowOutExNtv": daily(2, 4), "SplyCur": daily(100, 200)}
    np.testing.assert_allclose(
        value("exchange_net_flow", table(rows, kind="onchain"), on(2, 3), window=2), [np.nan, 6 / 200]
    )


def test_a_ribbon_of_a_constant_has_no_width_and_turns_over_in_a_fall() -> None:
    days = on(2) + 199 * DAY
    flat = table({"DiffMean": daily(*[5.0] * 200)}, kind="onchain")
    assert value("difficulty_ribbon_width", flat, days)[0] == pytest.approx(0.0, abs=1e-15)
    assert value("difficulty_ribbon", flat, days)[0] == pytest.approx(0.0, abs=1e-15)
    fall = table({"DiffMean": daily(*np.linspace(10, 5, 200)), "HashRate": daily(*np.linspace(10, 5, 200))})
    assert value("difficulty_ribbon", fall, days)[0] < 0
    assert value("hash_ribbon", fall, days)[0] < 0
    assert np.isnan(value("difficulty_ribbon_width", fall, days - DAY)).all()


@pytest.mark.parametrize("name", ["hash_ribbon", "difficulty_ribbon"])
def test_the_short_window_of_a_ribbon_is_the_shorter_one(name: str) -> None:
    with pytest.raises(ConfigError, match="short is 60, expected less than long, which is 60"):
        plan_function(getattr(onchain, name), {"short": 60, "long": 60}, source="onchain")


@pytest.mark.parametrize("source", ["onchain", "funding"])
def test_both_sources_are_found_under_their_names_and_keep_every_law(source: str) -> None:
    registry = Registry.discover()
    module = {"onchain": onchain, "funding": funding}[source]
    assert registry.load("feature_source", source) is module
    assert [outcome for outcome in check_component(registry, "feature_source", source) if not outcome.passed] == []
    assert set(features_of(module)) == set(module.__all__)


def test_the_readme_lists_every_signal() -> None:
    readme = (Path(__file__).parents[2] / "mnpu-plugins/data-onchain/README.md").read_text(encoding="utf-8")
    names = [f"onchain.{name}" for name in onchain.__all__] + [f"funding.{name}" for name in funding.__all__]
    assert [name for name in names if f"`{name}`" not in readme] == []


# Real chains: a day is complete at its end, and taken as known six hours later.


def as_known(frame: pd.DataFrame) -> SideTable:
    event = frame["timestamp"] + DAY
    frame = frame.rename(columns={"metric": "series"})
    return side_table(frame.assign(event=event, known=event + pd.Timedelta(6, "h")), max_age=7 * DAY, kind="onchain")


@pytest.fixture(scope="module")
def coinmetrics() -> SideTable:
    frame = shared_frame("onchain/btc_eth_coinmetrics_daily.parquet")
    names = [name for function in features_of(onchain).values() for name in _series(function)]
    return as_known(frame[(frame["timestamp"] >= "2013-06-01") & frame["metric"].isin(names)])


def _series(function: Any) -> tuple[str, ...]:
    return plan_function(function, {}, source="onchain")[0].spec.series


DAYS = pd.date_range("2014-12-01", "2018-08-13", freq="73D", tz="UTC").as_unit("ns")


def last(side: SideTable, series: str, at: pd.Timestamp, n: int, symbol: str = "BTC") -> np.ndarray:
    return rows_known(side, series, at, symbol=symbol).to_numpy()[-n:]


def test_mvrv_is_market_over_realised_capitalisation(coinmetrics: SideTable) -> None:
    got = value("mvrv", coinmetrics, DAYS)
    expected = [last(coinmetrics, "CapMrktCurUSD", t, 1)[0] / last(coinmetrics, "CapRealUSD", t, 1)[0] for t in DAYS]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_every_signal_is_what_pandas_makes_of_the_rows_known(coinmetrics: SideTable) -> None:
    def rows(series: str, at: pd.Timestamp) -> pd.Series:
        return rows_known(coinmetrics, series, at, symbol="BTC")

    def zscore(x: pd.Series, n: int) -> float:
        return (x.iloc[-1] - x.iloc[-n:].mean()) / x.iloc[-n:].std()

    def ribbon(x: pd.Series) -> float:
        means = pd.Series([x.iloc[-n:].mean() for n in (9, 14, 25, 40, 60, 90, 128, 200)])
        return means.std() / means.mean()

    def by_hand(at: pd.Timestamp) -> dict[str, float]:
        address, count, moved = rows("AdrActCnt", at), rows("TxCnt", at), rows("TxTfrValAdjUSD", at)
        fees, hashes, hard = rows("FeeTotUSD", at), rows("HashRate", at), rows("DiffMean", at)
        cap, realised = rows("CapMrktCurUSD", at), rows("CapRealUSD", at)
        minted, minted_usd = rows("IssTotUSD", at), rows("IssContUSD", at)
        return {
            "active_addresses_change": np.log(address.iloc[-1] / address.iloc[-31]),
            "active_addresses_zscore": zscore(np.log(address), 90),
            "transaction_count_change": np.log(count.iloc[-1] / count.iloc[-31]),
            "transaction_value_change": np.log(moved.iloc[-1] / moved.iloc[-31]),
            "fees_zscore": zscore(np.log(fees), 90),
            "fee_share": fees.iloc[-1] / (fees.iloc[-1] + minted.iloc[-1]),
            "hash_rate_change": np.log(hashes.iloc[-1] / hashes.iloc[-31]),
            "hash_ribbon": np.log(hashes.iloc[-30:].mean() / hashes.iloc[-60:].mean()),
            "difficulty_ribbon": np.log(hard.iloc[-9:].mean() / hard.iloc[-200:].mean()),
            "difficulty_ribbon_width": ribbon(hard),
            "nvt": cap.iloc[-1] / moved.iloc[-1],
            "nvt_signal": cap.iloc[-1] / moved.iloc[-90:].mean(),
            "mvrv_zscore": (cap.iloc[-1] - realised.iloc[-1]) / cap.iloc[-365:].std(),
            "issuance_rate": rows("IssContNtv", at).iloc[-30:].sum() / rows("SplyCur", at).iloc[-1] * 365 / 30,
            "puell_multiple": minted_usd.iloc[-1] / minted_usd.iloc[-365:].mean(),
            "metric_zscore": zscore(rows("TxTfrCnt", at), 90),
        }

    got = {name: value(name, coinmetrics, DAYS) for name in by_hand(DAYS[0])}
    for t, at in enumerate(DAYS):
        for name, number in by_hand(at).items():
            assert got[name][t] == pytest.approx(number, rel=1e-9), (name, at)


def test_the_provider_counts_supply_and_nvt_as_we_do(coinmetrics: SideTable) -> None:
    """Coin Metrics' own IssContPctAnn and NVTAdj90, which the file holds beside their parts."""
    frame = shared_frame("onchain/btc_eth_coinmetrics_daily.parquet")
    own = as_known(frame[frame["metric"].isin(["IssContPctAnn", "NVTAdj90"])])
    issued = value("issuance_rate", coinmetrics, DAYS, window=1)
    published = [last(own, "IssContPctAnn", t, 1)[0] for t in DAYS]
    np.testing.assert_allclose(issued * 100, published, rtol=0.01)
    signal = value("nvt_signal", coinmetrics, DAYS, window=90)
    np.testing.assert_allclose(signal, [last(own, "NVTAdj90", t, 1)[0] for t in DAYS], rtol=0.02)


def test_the_halving_of_2016_halves_issuance(coinmetrics: SideTable) -> None:
    before, after = value("issuance_rate", coinmetrics, utc("2016-07-05", "2016-08-15"), window=7)
    assert before / after == pytest.approx(2.0, rel=0.15)


def test_ether_has_no_realised_capitalisation_here(coinmetrics: SideTable) -> None:
    view = View(decisions(DAYS, ["BTCUSD", "ETHUSD"], ["BTC", "ETH"]), coinmetrics)
    assert np.isfinite(onchain.mvrv(view)).tolist() == [[True, False]] * len(DAYS)
    assert np.isfinite(onchain.nvt(view))[-1].all()


def test_the_recipe_of_bitcoin_has_a_value_every_day(coinmetrics: SideTable) -> None:
    times = pd.date_range("2014-12-01", "2018-08-13", freq="D", tz="UTC")
    columns = [c for f in features_of(onchain).values() for c in plan_function(f, {}, source="onchain")]
    columns = [c for c in columns if set(c.spec.series) <= set(coinmetrics.info)]
    assert len(columns) == len(onchain.__all__) - 1  # the file has no exchange flows
    frame = compute(columns, decisions(times, ["BTCUSD"], ["BTC"]), coinmetrics)
    assert np.isfinite(frame.values).all()


def test_no_day_is_seen_before_it_was_known(coinmetrics: SideTable, rng: np.random.Generator) -> None:
    columns = [c for f in features_of(onchain).values() for c in plan_function(f, {}, source="onchain")]
    columns = [c for c in columns if set(c.spec.series) <= set(coinmetrics.info)]
    times = pd.date_range("2016-06-01", "2017-01-31", freq="D", tz="UTC")
    close = np.exp(np.cumsum(rng.normal(0, 0.03, size=(len(times), 2)), axis=0))
    panel = decisions(times, ["BTCUSD", "ETHUSD"], ["BTC", "ETH"], close=close)
    recent = coinmetrics.rows(np.flatnonzero(np.asarray(coinmetrics.event_time >= times[0] - 400 * DAY)))
    cuts = choose_cuts(panel, recent, count=3, rng=rng)
    assert future_perturbation(columns, panel, recent, cuts=cuts, rng=rng) == []
    assert truncation(columns, panel, recent, cuts=cuts) == []


def test_the_names_of_another_provider_serve() -> None:
    side = as_known(shared_frame("onchain/btc_blockchaincom.parquet"))
    got = value("active_addresses_change", side, DAYS, window=10, series="n-unique-addresses")
    ribbon = value("hash_ribbon", side, DAYS, short=10, long=20, series="hash-rate")
    for t, at in enumerate(DAYS):
        x, h = last(side, "n-unique-addresses", at, 11), last(side, "hash-rate", at, 20)
        assert got[t] == pytest.approx(np.log(x[-1] / x[0]), rel=1e-9)
        assert ribbon[t] == pytest.approx(np.log(h[-10:].mean() / h.mean()), rel=1e-9)
