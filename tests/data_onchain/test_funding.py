"""Funding and basis: by hand around settlements, a loop over settlements, then real perpetual contracts of 2025."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mnpu.errors import ConfigError
from mnpu.features import View
from mnpu.features.compute import compute
from mnpu.features.leaks import choose_cuts, future_perturbation, truncation
from mnpu.features.plan import features_of, plan_function
from mnpu.types import Panel, SideTable
from mnpu_data_onchain import funding
from tests.side_tables import DAY, decisions, rows_known, shared_frame, side_table, table, utc

HOUR = pd.Timedelta(hours=1)


def value(name: str, side: SideTable, times: pd.DatetimeIndex, **params: Any) -> np.ndarray:
    view = View(decisions(times, ["BTCUSDT-PERP"]), side)
    return getattr(funding, name)(view, **params)[:, 0]


def settled(
    *rates: float, hours: int = 8, first: str = "2025-01-01", symbol: str = "BTCUSDT-PERP", lag: str = "0s"
) -> list[tuple]:
    """A settlement every few hours, known at its own moment or a lag after it."""
    at = pd.date_range(first, periods=len(rates), freq=f"{hours}h")
    return [(str(t), str(t + pd.Timedelta(lag)), r, symbol) for t, r in zip(at, rates, strict=True)]


def funded(rows: list[tuple], **kwargs: Any) -> SideTable:
    return table({"funding_rate": rows}, kind="funding", **kwargs)


def test_a_settlement_is_seen_at_its_moment_and_not_before() -> None:
    side, times = funded(settled(1e-4, 3e-4)), utc("2025-01-01 07:59:59", "2025-01-01 08:00")
    np.testing.assert_allclose(value("rate", side, times), [1e-4, 3e-4])
    np.testing.assert_allclose(value("rate_change", side, times, settlements=1), [np.nan, 2e-4])
    np.testing.assert_allclose(value("days_since_last", side, times), [8 / 24 - 1 / 86_400, 0.0])


def test_carry_is_paid_over_a_window_of_time() -> None:
    side = funded(settled(1e-4, 2e-4, 4e-4, 8e-4, 16e-4))
    times = utc("2025-01-01 23:59", "2025-01-02 00:00", "2025-01-02 07:59", "2025-01-02 08:00")
    got = value("carry", side, times, days=1.0)
    np.testing.assert_allclose(got, [np.nan, 14e-4, 14e-4, 28e-4], rtol=1e-12)
    np.testing.assert_allclose(value("annual_rate", side, times), got * 365, rtol=1e-12)


def test_a_stale_contract_has_no_carry() -> None:
    side = funded(settled(*[1e-4] * 6), max_age=DAY)
    np.testing.assert_allclose(
        value("carry", side, utc("2025-01-03 16:00", "2025-01-03 16:01"), days=1.0), [0.0, np.nan], atol=1e-18
    )


def test_contracts_that_settle_at_different_times_are_compared_by_time() -> None:
    rows = settled(*[1e-4] * 30) + settled(*[1e-4] * 60, hours=4, symbol="HYPEUSDT-PERP")
    view = View(decisions(utc("2025-01-09 03:00"), ["BTCUSDT-PERP", "HYPEUSDT-PERP", "NEW-PERP"]), funded(rows))
    np.testing.assert_allclose(funding.carry(view), [[21e-4, 42e-4, np.nan]], rtol=1e-9)
    np.testing.assert_allclose(funding.annual_rate(view), [[3e-4 * 365, 6e-4 * 365, np.nan]], rtol=1e-9)
    np.testing.assert_allclose(funding.days_to_next(view), [[5 / 24, 1 / 24, np.nan]])


def test_the_next_settlement_is_on_the_grid_of_the_last_two() -> None:
    side = funded(settled(1e-4, 1e-4, 1e-4))
    times = utc("2025-01-01 04:00", "2025-01-01 08:00", "2025-01-01 11:00", "2025-01-01 15:59:59", "2025-01-02 02:00")
    got = value("days_to_next", side, times) * 24
    np.testing.assert_allclose(got, [np.nan, 8.0, 5.0, 1 / 3600, 6.0])  # the one of midnight never came


def test_a_contract_that_settles_faster_is_on_its_new_grid_after_one_interval() -> None:
    rows = settled(1e-4, 1e-4) + settled(1e-4, hours=4, first="2025-01-01 12:00")
    times = utc("2025-01-01 11:00", "2025-01-01 13:00")
    np.testing.assert_allclose(value("days_to_next", funded(rows), times) * 24, [5.0, 3.0])


def test_what_is_known_late_for_an_older_settlement_moves_no_grid() -> None:
    rows = settled(1e-4, 1e-4, 1e-4)
    rows.append(("2025-01-01 04:00", "2025-01-01 17:00", 5e-4, "BTCUSDT-PERP"))
    np.testing.assert_allclose(value("days_to_next", funded(rows), utc("2025-01-01 18:00")) * 24, [6.0])


def test_a_declared_lag_delays_the_rate_and_keeps_the_grid() -> None:
    side = funded(settled(1e-4, 2e-4, 3e-4, lag="1min"))
    times = utc("2025-01-01 16:00:30", "2025-01-01 16:01")
    np.testing.assert_allclose(value("rate", side, times), [2e-4, 3e-4])
    np.testing.assert_allclose(value("days_to_next", side, times) * 1440, [479.5, 479.0])


def test_a_rate_that_never_moved_has_no_score() -> None:
    side = funded(settled(1e-4, 1e-4, 1e-4, 4e-4))
    times = utc("2025-01-01 16:00", "2025-01-02 00:00")
    expected = (4 - 7 / 4) / np.std([1, 1, 1, 4], ddof=1)
    np.testing.assert_allclose(value("rate_zscore", side, times, settlements=3), [np.nan, 2 / np.sqrt(3)])
    np.testing.assert_allclose(value("rate_zscore", side, times, settlements=4), [np.nan, expected])


def hourly(close: list[list[float]], symbols: list[str], first: str = "2025-01-01 01:00", **fields: Any) -> Panel:
    prices = np.array(close, dtype=float)
    times = pd.date_range(first, periods=len(prices), freq="h", tz="UTC")
    return decisions(times, symbols, close=prices, **{"split_factor": np.ones_like(prices), **fields})


def marks(*values: float, symbol: str = "P") -> list[tuple]:
    at = pd.date_range("2025-01-01 01:00", periods=len(values), freq="h")
    return [(str(t), str(t), v, symbol) for t, v in zip(at, values, strict=True)]


def test_basis_is_the_traded_price_against_a_mark_that_is_not_too_old() -> None:
    side = table({"mark_close": marks(100, 200)}, max_age=HOUR, kind="funding")
    panel = hourly([[101.0], [198.0], [51.0], [np.nan]], ["P"])
    got = funding.basis(View(panel, side))[:, 0]
    np.testing.assert_allclose(got, [0.01, -0.01, 51 / 200 - 1, np.nan])
    strict = table({"mark_close": marks(100, 200)}, max_age=pd.Timedelta("59min"), kind="funding")
    np.testing.assert_allclose(funding.basis(View(panel, strict))[:, 0], [0.01, -0.01, np.nan, np.nan])


def test_basis_is_of_prices_as_traded_and_refused_on_adjusted_ones() -> None:
    panel = hourly([[202.0]], ["P"], split_factor=np.array([[2.0]]))
    side = table({"mark_close": marks(100)}, kind="funding")
    np.testing.assert_allclose(funding.basis(View(panel, side)), [[0.01]])
    assert not plan_function(funding.basis, {}, source="funding")[0].spec.scale_free


@pytest.mark.parametrize(("name", "params"), [("carry", {"days": 0}), ("rate_zscore", {"settlements": 1})])
def test_a_window_that_makes_no_sense_is_refused(name: str, params: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(params))):
        plan_function(getattr(funding, name), params, source="funding")


# Real perpetual contracts: hourly bars of 2025, settlements as they came, marks known at the close of their bar.

SYMBOLS = ["BTCUSDT-PERP", "ETHUSDT-PERP", "HYPEUSDT-PERP"]


@pytest.fixture(scope="module")
def contracts() -> tuple[Panel, SideTable]:
    rates = shared_frame("crypto-intraday/binance_funding.parquet")
    rates = rates.assign(event=rates["timestamp"], known=rates["available_at"])
    mark = shared_frame("crypto-intraday/binance_perp_mark_1h.parquet").rename(columns={"close": "value"})
    mark = mark.assign(event=mark["timestamp"], known=mark["timestamp"], series="mark_close")
    columns = ["event", "known", "series", "symbol", "value"]
    both = pd.concat([rates[columns], mark[columns]])
    side = side_table(both[both["symbol"].isin(SYMBOLS)], max_age=pd.Timedelta(12, "h"), kind="funding")
    bars = shared_frame("crypto-intraday/binance_perp_1h.parquet")
    close = bars.pivot_table(index="timestamp", columns="symbol", values="close")[SYMBOLS]
    close = close[(close.index >= "2025-05-01") & (close.index < "2025-09-01")]
    prices = close.to_numpy()
    panel = decisions(close.index, SYMBOLS, close=prices, split_factor=np.ones_like(prices))
    return panel, side


def real(contracts: tuple[Panel, SideTable], name: str, **params: Any) -> np.ndarray:
    return np.asarray(getattr(funding, name)(View(*contracts), **params))


SOME = [100, 745, 900, 1000, 2000, 2399, 2950]


@pytest.mark.parametrize("days", [1.0, 7.0])
def test_carry_is_a_loop_over_the_settlements_of_each_contract(contracts: tuple[Panel, SideTable], days: float) -> None:
    panel, side = contracts
    got = real(contracts, "carry", days=days)
    for a, symbol in enumerate(SYMBOLS):
        for t in SOME:
            now = panel.times[t]
            paid, begun = 0.0, False
            for at, rate in rows_known(side, "funding_rate", now, symbol=symbol).items():
                begun |= at <= now - days * DAY
                paid += rate if at > now - days * DAY else 0.0
            assert got[t, a] == pytest.approx(paid if begun else np.nan, abs=1e-15, nan_ok=True), (symbol, now)


def test_a_new_contract_starts_when_it_was_listed(contracts: tuple[Panel, SideTable]) -> None:
    """HYPE trades since 30 May 2025, and its first settlement came at noon."""
    panel = contracts[0]
    first = int(panel.times.get_loc(pd.Timestamp("2025-05-30 12:00", tz="UTC")))
    assert np.isnan(real(contracts, "rate")[:first, 2]).all()
    assert np.isfinite(real(contracts, "rate")[first, 2])
    week = int(panel.times.get_loc(pd.Timestamp("2025-06-06 12:00", tz="UTC")))
    assert np.isfinite(real(contracts, "carry")[:, 2]).argmax() == week


def test_the_settlements_of_bitcoin_are_at_midnight_eight_and_sixteen(contracts: tuple[Panel, SideTable]) -> None:
    hours = contracts[0].times.hour.to_numpy()
    np.testing.assert_allclose(real(contracts, "days_to_next")[:, 0] * 24, 8 - hours % 8, atol=1e-9)
    np.testing.assert_allclose(real(contracts, "days_since_last")[:, 0] * 24, hours % 8, atol=1e-9)


def test_those_of_hype_come_every_four_hours(contracts: tuple[Panel, SideTable]) -> None:
    hours = contracts[0].times.hour.to_numpy()[-1000:]
    np.testing.assert_allclose(real(contracts, "days_to_next")[-1000:, 2] * 24, 4 - hours % 4, atol=1e-9)


def test_rates_are_scored_as_pandas_does(contracts: tuple[Panel, SideTable]) -> None:
    panel, side = contracts
    got, moved = real(contracts, "rate_zscore", settlements=30), real(contracts, "rate_change")
    for t in SOME:
        past = rows_known(side, "funding_rate", panel.times[t], symbol=SYMBOLS[1])
        assert got[t, 1] == pytest.approx((past.iloc[-1] - past.iloc[-30:].mean()) / past.iloc[-30:].std(), rel=1e-9)
        assert moved[t, 1] == pytest.approx(past.iloc[-1] - past.iloc[-4], abs=1e-18)


def test_basis_is_small_and_what_a_join_by_time_gives(contracts: tuple[Panel, SideTable]) -> None:
    panel, side = contracts
    rows = side.find("mark_close", SYMBOLS[0])
    mark = pd.Series(side.value[rows], index=side.event_time[rows]).reindex(panel.times).to_numpy()
    got = real(contracts, "basis")[:, 0]
    np.testing.assert_allclose(got, panel["close"][:, 0] / mark - 1, rtol=1e-9, atol=1e-15)
    assert np.nanquantile(np.abs(got), 0.99) < 0.002
    score, series = real(contracts, "basis_zscore", window=48)[:, 0], pd.Series(got)
    expected = (series - series.rolling(48).mean()) / series.rolling(48).std()
    np.testing.assert_allclose(score, expected, rtol=1e-6, atol=1e-9)


def test_a_settlement_with_jitter_in_its_stamp_is_on_the_grid_to_the_millisecond() -> None:
    frame = shared_frame("crypto-intraday/xrp_funding_2021.parquet")
    side = side_table(frame.assign(event=frame["timestamp"], known=frame["available_at"]), kind="funding")
    times = pd.date_range("2021-11-20", "2021-12-17", freq="h", tz="UTC") + pd.Timedelta(1, "s")
    view = View(decisions(times, ["XRPUSDT-PERP"]), side)
    np.testing.assert_allclose(funding.days_to_next(view)[:, 0] * 24, 8 - times.hour % 8, atol=1 / 3600 + 1e-4)
    total = frame["value"].rolling(3).sum()
    np.testing.assert_allclose(
        funding.carry(view, days=1.0)[:, 0], total[frame["timestamp"].searchsorted(times) - 1], atol=1e-15
    )


def test_the_recipe_of_perpetuals_has_values_and_sees_no_future(
    contracts: tuple[Panel, SideTable], rng: np.random.Generator
) -> None:
    panel, side = contracts
    panel = panel.rows(1400, 2000)
    columns = [c for f in features_of(funding).values() for c in plan_function(f, {}, source="funding")]
    late = compute(columns, panel, side).values[200:, :2]
    assert np.isfinite(late).mean() > 0.999
    recent = side.rows(np.flatnonzero(np.asarray(side.event_time >= panel.times[0] - 40 * DAY)))
    cuts = choose_cuts(panel, recent, count=4, rng=rng)
    assert future_perturbation(columns, panel, recent, cuts=cuts, rng=rng) == []
    assert truncation(columns, panel, recent, cuts=cuts) == []
