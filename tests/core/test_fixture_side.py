"""Side tables of a fixture: each value has its two clocks and its basis, and agrees with prices where it should."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mnpu.commands._fixture import checks_of
from mnpu.data.clock import DAY_NS
from mnpu.data.fixture import chain, news
from mnpu.data.fixture.plan import Plan
from mnpu.data.fixture.write import write_fixture
from mnpu.data.store import Store
from mnpu.plugins.registry import Registry

PLAN = Plan(symbols=8, sessions=400, seed=5, covered=6)
HOUR = 3_600_000_000_000


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_fixture(tmp_path_factory.mktemp("side") / "new", PLAN, checks_of(Registry.discover()))


@pytest.fixture(scope="module")
def store(written):
    return Store.open(written.store)


@pytest.fixture(scope="module")
def panel(store):
    return store.panel(store.symbols(), start="2010-01-04", end="2012-12-31")


@pytest.fixture(scope="module")
def observations(store):
    return store.table("observations")


def of(observations, series):
    rows = observations[observations["series"] == series]
    return {symbol: part for symbol, part in rows.groupby("symbol")}


def test_every_kind_of_side_table_is_there_for_the_covered_symbols(written, store, observations):
    kinds = {entry["kind"] for entry in written.facts["series"].values()}
    assert kinds == {"macro", "onchain", "funding", "calendar", "news"}
    covered = written.facts["covered"]
    assert covered == [f"SYN{n:03d}" for n in range(1, 7)]
    assert set(of(observations, "funding_rate")) == set(of(observations, "mark_close")) == set(covered)
    bases = {asset.symbol: asset.base for asset in store.assets()}
    for metric in chain.METRICS:
        assert set(of(observations, metric)) == {bases[symbol] for symbol in covered}
    assert set(store.table("news")["symbol"]) == {"", *covered}
    for table in ("observations", "calendar_events", "news", "universes", "corporate_actions"):
        assert set(store.table(table)["basis"]) <= {"observed", "declared"}
    assert bases["SYN001"] == "S001"


def test_a_metric_is_known_six_hours_after_its_day_and_corrections_come_a_month_later(observations):
    onchain = observations[observations["series"].isin(chain.METRICS)]
    lag = onchain["knowledge_time"] - onchain["event_time"]
    assert set(lag[onchain["basis"] == "declared"]) == {6 * HOUR}
    later = onchain[onchain["basis"] == "observed"]
    assert set(later["knowledge_time"] - later["event_time"]) == {6 * HOUR + 30 * DAY_NS}
    assert set(later["series"]) == set(chain.CORRECTED_LATER)
    flow = onchain[onchain["series"] == "FlowInExNtv"]
    twice = flow.groupby(["symbol", "event_time"])["value"].agg(["size", "first", "last"])
    again = twice[twice["size"] == 2]
    assert 0.05 < len(again) / len(twice) < 0.15
    assert (again["last"] > again["first"]).all()
    day = pd.to_datetime(onchain["event_time"], utc=True)
    assert (day.dt.strftime("%H:%M:%S") == "23:59:59").all()
    assert set(day.dt.dayofweek) == set(range(7))  # a chain has no week-end


def test_metrics_agree_with_the_price_and_with_one_another(panel, store, observations):
    value = {
        name: observations[observations["series"] == name].drop_duplicates(["symbol", "event_time"])
        for name in chain.METRICS
    }
    wide = {name: rows.pivot(index="event_time", columns="symbol", values="value") for name, rows in value.items()}
    cap, supply = wide["CapMrktCurUSD"], wide["SplyCur"]
    np.testing.assert_allclose(wide["CapMVRVCur"], cap / wide["CapRealUSD"], rtol=1e-9)
    assert (supply.diff().iloc[1:].min() > 0).all()
    for symbol in cap:
        held = supply[symbol].dropna()
        days = np.diff(held.index) == DAY_NS
        issued = wide["IssContNtv"][symbol].reindex(held.index).to_numpy()[1:]
        np.testing.assert_allclose(np.diff(held)[days], issued[days], rtol=1e-6)
    a = panel.symbols.index("SYN001")
    price = (cap["S001"] / supply["S001"]).dropna()
    days = pd.to_datetime(price.index, utc=True).normalize()
    close = pd.Series(panel["close"][:, a], index=panel.times.normalize()).dropna()
    both = days.intersection(close.index)
    assert len(both) > 200
    np.testing.assert_allclose(price.set_axis(days)[both], close[both], rtol=1e-9)


def test_funding_comes_every_eight_hours_with_the_sign_of_the_basis(panel, observations):
    rates, marks = of(observations, "funding_rate"), of(observations, "mark_close")
    same, n = 0, 0
    for symbol, rows in rates.items():
        assert (rows["event_time"] == rows["knowledge_time"]).all()
        assert set(np.diff(rows["event_time"])) == {8 * HOUR}
        assert (rows["event_time"] % (8 * HOUR) == 0).all()
        a = panel.symbols.index(symbol)
        mark = marks[symbol]
        row = panel.times.get_indexer(pd.to_datetime(mark["event_time"], utc=True).dt.as_unit("ns"))
        basis = panel["close"][row, a] / panel["split_factor"][row, a] / mark["value"].to_numpy() - 1
        assert np.abs(basis).max() < 0.005
        after = np.searchsorted(rows["event_time"], mark["event_time"])
        known = after < len(rows)
        rate = rows["value"].to_numpy()[after[known]]
        np.testing.assert_allclose(rate, basis[known], atol=1e-7)
        same += (np.sign(rate) == np.sign(basis[known])).sum()
        n += known.sum()
    assert same / n > 0.99


def test_dates_of_releases_are_known_ahead_forecasts_before_and_outcomes_after(store):
    events = store.table("calendar_events")
    assert set(events["series"]) == {
        "USD CPI m/m",
        "USD Industrial Production m/m",
        "USD Non-Farm Employment Change",
        "USD Unemployment Claims",
    }
    told = events.groupby(["series", "event_time"])["knowledge_time"].min()
    lead = (told.index.get_level_values("event_time") - told) / DAY_NS
    assert set(lead) == {13.0, 40.0}
    released = events[events["actual"].notna()]
    assert (released["knowledge_time"] == released["event_time"]).all()
    assert (released["released"] == released["event_time"]).all()
    assert events.loc[events["actual"].isna(), "released"].isna().all()
    local = pd.to_datetime(events["event_time"], utc=True).dt.tz_convert("America/New_York")
    assert set(local.dt.strftime("%H:%M")) == {"08:30"}
    assert (local.dt.dayofweek < 5).all()
    assert (events["event_time"] > events["knowledge_time"].max()).any()  # what is still to come


def test_a_release_is_the_first_print_of_its_series_and_one_never_came(store, observations):
    events = store.table("calendar_events")
    cpi = events[events["series"] == "USD CPI m/m"]
    index = observations[observations["series"] == "core_cpi"].sort_values("knowledge_time")
    released = cpi[cpi["actual"].notna()]
    checked = 0
    for row in released.itertuples():
        known = index[index["knowledge_time"] <= row.event_time].drop_duplicates("event_time", keep="last")
        newest, before = known.sort_values("event_time").iloc[[-1, -2]].itertuples()
        assert newest.knowledge_time == row.event_time
        if (newest.event_time - before.event_time) / DAY_NS < 32:
            assert row.actual == pytest.approx(100 * (newest.value / before.value - 1), abs=0.051)
            checked += 1
    assert checked > 20
    past = cpi[cpi["event_time"] < cpi["knowledge_time"].max()]
    silent = past.groupby("event_time")["actual"].count() == 0
    assert silent.sum() == 1


def test_texts_follow_returns_and_have_a_score_and_a_vector(written, store, panel):
    texts, scores = store.table("news"), store.table("news_scores")
    assert len(texts) == written.facts["series"]["news"]["rows"] == len(scores)
    delay = (texts["knowledge_time"] - texts["event_time"]) / 1_000_000_000
    assert delay.between(20, 1800).all()
    joined = texts.merge(scores, on=["source", "id"], suffixes=("", "_scored"))
    assert (joined["knowledge_time_scored"] > joined["knowledge_time"]).all()
    assert all(np.isfinite(np.frombuffer(blob, dtype="<f4")).all() for blob in joined["embedding"].head(20))
    words = news.vocabulary(PLAN)
    tone = dict(zip(words.words.tolist(), words.tone.tolist(), strict=True))
    for row in joined.head(50).itertuples():
        told = [tone[word] for word in row.text.split()[1:]]
        assert row.score == pytest.approx(sum(told) / sum(map(abs, told)), abs=1e-4)
    about = joined[joined["symbol"] != ""]
    session = panel.times.searchsorted(pd.to_datetime(about["event_time"], utc=True), side="right") - 1
    column = [panel.symbols.index(symbol) for symbol in about["symbol"]]
    returns = np.full(panel.shape, np.nan)
    returns[1:] = panel["close"][1:] / panel["close"][:-1] - 1
    returns[0] = np.nan
    past, coming = returns[session, column], returns[np.minimum(session + 1, len(returns) - 1), column]
    for what, low, high in ((past, 0.15, 0.6), (coming, -0.06, 0.06)):
        rows = np.isfinite(what) & (session > 0)
        assert low < np.corrcoef(about["score"][rows], what[rows])[0, 1] < high


def test_a_fixture_of_one_covered_symbol_has_its_tables(tmp_path):
    plan = Plan(symbols=5, sessions=300, covered=1)
    written = write_fixture(tmp_path / "one", plan, checks_of(Registry.discover()))
    assert written.facts["covered"] == ["SYN001"]
    assert written.facts["plan"]["covered"] == 1
    assert set(Store.open(written.store).table("news")["symbol"]) == {"", "SYN001"}
