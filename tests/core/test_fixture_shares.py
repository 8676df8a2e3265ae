"""Beside its price, a share pays, is listed, leaves, and belongs: all of it agrees with the bars, known in time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mnpu.commands._fixture import checks_of
from mnpu.data.fixture.plan import Plan
from mnpu.data.fixture.shares import ANNOUNCED, UNIVERSE
from mnpu.data.fixture.write import write_fixture
from mnpu.data.store import Store
from mnpu.data.universe import Membership, membership
from mnpu.plugins.registry import Registry


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    plan = Plan(symbols=20, sessions=700, seed=3, covered=1)
    return Store.open(
        write_fixture(tmp_path_factory.mktemp("shares") / "new", plan, checks_of(Registry.discover())).store
    )


@pytest.fixture(scope="module")
def panel(store):
    return store.panel(store.symbols(), start="2010-01-04", end="2012-12-31")


@pytest.fixture(scope="module")
def dividends(store):
    actions = store.table("corporate_actions")
    return actions[actions["kind"] == "dividend"]


def test_some_symbols_pay_a_small_share_of_their_price_every_quarter(panel, dividends):
    payers = dividends["symbol"].nunique()
    assert 4 <= payers <= 16
    before = np.full(panel.shape, np.nan)
    before[1:] = panel["close"][:-1]
    paid = panel["dividend"] / before
    assert np.nanmax(paid) < 0.03
    assert (np.nan_to_num(paid) > 0).sum() == len(dividends)
    apart = np.concatenate([np.diff(np.flatnonzero(np.nan_to_num(column) > 0)) for column in paid.T])
    assert (apart % 63 == 0).all()


def test_a_dividend_is_a_fraction_of_the_close_on_the_day_of_its_announcement(panel, dividends):
    """So it could be known then: per symbol one fraction, up to splits that were announced as early."""
    place = {symbol: a for a, symbol in enumerate(panel.symbols)}
    for symbol, rows in dividends.groupby("symbol"):
        a = place[symbol]
        told = panel.times.get_indexer(pd.to_datetime(rows["knowledge_time"], utc=True).dt.as_unit("ns"))
        went_ex = panel.times.searchsorted(pd.to_datetime(rows["event_time"], utc=True))
        assert (went_ex - told == ANNOUNCED).all()
        factor = panel["split_factor"][went_ex, a]
        fraction = rows["amount"].to_numpy() * factor / panel["close"][told, a]
        rounding = 1e-4 * factor / panel["close"][told, a]
        assert (np.abs(fraction - np.median(fraction)) < rounding + 1e-6).all()


def test_listings_agree_with_the_first_and_the_last_bar(store, panel):
    end = panel.times[-1]
    for asset in store.assets():
        assert asset.listed < asset.first_bar
        if asset.last_bar < end:
            assert asset.delisted == asset.last_bar
            assert -1 < asset.delisting_return < 0.05
        else:
            assert asset.delisted is None
            assert asset.delisting_return is None
    gone = [asset for asset in store.assets() if asset.delisted is not None]
    assert len(gone) == 2
    assert {asset.delisting_return < 0 for asset in gone} == {True, False}  # one broke, one was taken over
    assert np.isfinite(panel["delisting"]).sum() == 2


def test_the_universe_is_dated_and_its_changes_are_announced(store, panel):
    rows = store.table("universes")
    assert set(rows["universe"]) == {UNIVERSE}
    assert (rows["knowledge_time"] < rows["start"]).any()
    told = [
        Membership(row.symbol, int(row.start), None if pd.isna(row.end) else int(row.end), int(row.knowledge_time))
        for row in rows.itertuples()
    ]
    members = membership(panel.times, panel.symbols, told)
    counts = members.sum(axis=1)
    assert (counts[:60] == 0).all()
    assert (counts[130:] >= 7).all()
    assert (counts <= 10).all()
    changes = np.flatnonzero((np.diff(members.astype(int), axis=0) != 0).any(axis=1)) + 1
    assert 3 <= len(changes) <= 11
    assert set(np.asarray(panel.times[changes].month)) <= {1, 4, 7, 10}
    left = (np.diff(members.astype(int), axis=0) == -1).any()
    assert left


def test_what_was_traded_most_when_it_was_announced_is_what_the_universe_holds(store, panel):
    rows = store.table("universes")
    first = rows[(rows["start"] == rows["start"].min()) & rows["end"].isna()]
    told = panel.times.get_loc(pd.Timestamp(int(first["knowledge_time"].iloc[0]), tz="UTC"))
    traded = panel["close"] * panel["volume"]  # a split moves one as much as the other
    median = np.nan_to_num(np.median(np.nan_to_num(traded[told - 41 : told + 1]), axis=0))
    largest = np.argsort(-median)[: len(first)]
    assert {panel.symbols[a] for a in largest} == set(first["symbol"])
