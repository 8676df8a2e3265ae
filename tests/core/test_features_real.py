"""Price features on the bundled data: real splits, missing fields, two calendars, three decades."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnpu.data.store import Store
from mnpu.errors import DataError
from mnpu.features import price
from mnpu.features.compute import compute, compute_latest
from mnpu.features.leaks import choose_cuts, future_perturbation, truncation
from mnpu.features.plan import PlannedFeature, plan_function
from mnpu.types import Panel, SideTable

COLUMNS: dict[str, dict[str, Any]] = {
    "log_return": {"window": [1, 5, 21]},
    "momentum": {"window": 252, "skip": 21},
    "realised_volatility": {"window": [21, 63]},
    "distance_from_average": {"window": [20, 200]},
    "drawdown": {"window": 252},
    "day_of_week": {"phase": ["sin", "cos"]},
}


def planned(**functions: dict[str, Any]) -> list[PlannedFeature]:
    return [
        c for name, params in functions.items() for c in plan_function(getattr(price, name), params, source="price")
    ]


def load(store: Path, symbols: list[str], dataset: str, start: str, end: str, frequency: str = "1d") -> Panel:
    return Store.open(store).panel(symbols, start=start, end=end, dataset=dataset, frequency=frequency)


@pytest.fixture
def nothing(demo_store: Path) -> SideTable:
    return Store.open(demo_store).side(())


@pytest.mark.parametrize(("symbol", "day"), [("AAPL", "2000-06-21"), ("AAPL", "2005-02-28"), ("MSFT", "2003-02-18")])
def test_a_real_split_is_not_a_crash(demo_store: Path, nothing: SideTable, symbol: str, day: str) -> None:
    panel = load(demo_store, [symbol], "us_ohlcv_daily", "2000-03-01", "2006-12-29")
    t = int(np.flatnonzero(panel.sessions == np.datetime64(day))[0])
    columns = planned(log_return={}, volume_zscore={"window": 60}, log_price={})
    returned, score, level = compute(columns, panel, nothing).values[t, 0]
    assert abs(returned) < 0.1
    assert abs(score) < 3
    before = compute(columns, panel, nothing).values[t - 1, 0, 2]
    assert before - level == pytest.approx(np.log(2), abs=0.1)  # the traded price did halve


def test_a_real_crash_is_a_crash(demo_store: Path, nothing: SideTable) -> None:
    panel = load(demo_store, ["AAPL"], "us_ohlcv_daily", "2000-03-01", "2001-12-31")
    t = int(np.flatnonzero(panel.sessions == np.datetime64("2000-09-29"))[0])
    assert compute(planned(log_return={}), panel, nothing).values[t, 0, 0] == pytest.approx(np.log(1 - 0.519), abs=0.01)


def test_closes_have_no_volume_and_no_high(demo_store: Path, nothing: SideTable) -> None:
    panel = load(demo_store, ["KO", "PEP"], "us_adjclose_daily", "2010-01-04", "2012-12-31")
    with pytest.raises(DataError, match="dataset us_adjclose_daily has no volume for KO, PEP"):
        compute(planned(volume_zscore={}), panel, nothing)
    with pytest.raises(DataError, match="dataset us_adjclose_daily has no high for KO, PEP"):
        compute(planned(high_low_range={}), panel, nothing)


@pytest.mark.parametrize(
    ("symbol", "dataset", "known"), [("KO", "us_adjclose_daily", "2022-12-28"), ("GOOGL", "googl_daily", "2018-08-29")]
)
def test_levels_that_a_vendor_adjusted_are_refused(
    demo_store: Path, nothing: SideTable, symbol: str, dataset: str, known: str
) -> None:
    panel = load(demo_store, [symbol], dataset, "2010-01-04", "2012-12-31")
    with pytest.raises(DataError, match=f"{symbol} in dataset {dataset} are adjusted .* with knowledge of {known}"):
        compute(planned(log_price={}), panel, nothing)


def test_a_bar_without_volume_has_no_score(demo_store: Path, nothing: SideTable) -> None:
    panel = load(demo_store, ["IXIC"], "us_indices_daily", "2015-01-02", "2015-12-31")
    t = int(np.flatnonzero(panel.sessions == np.datetime64("2015-05-12"))[0])
    score = compute(planned(volume_zscore={"window": 20}), panel, nothing).values[:, 0, 0]
    assert np.isnan(score[t : t + 20]).all()
    assert np.isfinite(score[[t - 1, t + 20]]).all()


def test_a_symbol_listed_in_2014_has_no_value_before(demo_store: Path, nothing: SideTable) -> None:
    panel = load(demo_store, ["KO", "MTUM"], "us_adjclose_daily", "2013-01-02", "2015-12-31")
    values = compute(planned(log_return={"window": 5}), panel, nothing).values[:, 1, 0]
    first = int(np.flatnonzero(panel.tradable[:, 1])[0])
    assert panel.sessions[first].astype(object).year == 2014
    assert np.isnan(values[: first + 5]).all()
    assert np.isfinite(values[first + 5 :]).all()


def test_hours_of_the_currency_market(demo_store: Path, nothing: SideTable) -> None:
    panel = load(demo_store, ["EURUSD"], "eurusd_hourly", "2017-01-01", "2017-03-31", "1h")
    columns = planned(
        log_return={"window": [1, 24]},
        high_low_range={"window": 24},
        volume_zscore={"window": 120},
        day_of_week={},
        hour_of_day={"phase": ["sin", "cos"]},
        log_price={},
    )
    values = compute(columns, panel, nothing).values[:, 0]
    monday = panel.sessions.astype("datetime64[D]").astype(int) % 7 == 4
    assert (values[monday, 4] == 0).all()
    assert not monday[np.asarray(panel.times.day_of_week == 4)].any()
    assert np.nanmedian(values[:, 2]) == pytest.approx(0.08, abs=0.04)  # a year's volatility of the euro
    np.testing.assert_allclose(values[:, 5] ** 2 + values[:, 6] ** 2, 1, rtol=1e-6)
    assert np.exp(values[:, 7]).min() > 1.03


def test_thirty_years_of_24_symbols_are_honest_and_quick(
    demo_store: Path, nothing: SideTable, rng: np.random.Generator
) -> None:
    market = Store.open(demo_store)
    symbols = list(market.symbols("us_adjclose_daily"))
    panel = load(demo_store, symbols, "us_adjclose_daily", "1990-01-01", "2018-12-31")
    columns = planned(**COLUMNS)
    started = time.perf_counter()
    compute(columns, panel, nothing)
    assert time.perf_counter() - started < 5.0  # 0.1 s on one idle core
    cuts = choose_cuts(panel, nothing, count=5, rng=rng)
    assert future_perturbation(columns, panel, nothing, cuts=cuts, rng=rng) == []
    assert truncation(columns, panel, nothing, cuts=cuts) == []


def test_a_live_decision_needs_the_longest_warm_up_and_no_more(demo_store: Path, nothing: SideTable) -> None:
    panel = load(demo_store, ["KO", "PEP"], "us_adjclose_daily", "2008-01-02", "2010-12-31")
    columns = planned(**COLUMNS)
    warmup = max(column.spec.warmup for column in columns)
    whole = compute(columns, panel, nothing).values
    for last in (warmup - 1, 400, len(panel.times) - 1):
        recent = compute_latest(columns, panel.rows(last - warmup + 1, last + 1), nothing).values[-1]
        np.testing.assert_array_equal(recent, whole[last])
