"""From the tables of a store to columns: metrics filed under a base, rates and marks filed under the contract."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mnpu.data.insert import insert
from mnpu.data.store import Store
from mnpu.features.compute import compute
from mnpu.features.plan import plan_function, series_needed
from mnpu.types import Panel
from mnpu_data_onchain import funding, onchain
from tests.side_tables import DAY

COLUMNS = [
    *plan_function(onchain.mvrv, {}, source="onchain"),
    *plan_function(onchain.nvt_signal, {"window": 2}, source="onchain"),
    *plan_function(funding.carry, {"days": 2}, source="funding"),
    *plan_function(funding.basis, {}, source="funding"),
]
DAYS = pd.date_range("2015-01-01", "2015-02-28", freq="D", tz="UTC").as_unit("ns")


@pytest.fixture
def store(store_copy: Path) -> Store:
    """The bundled prices of AAPL, as if it were a contract on a chain called APL."""
    with closing(sqlite3.connect(store_copy)) as connection, connection:
        connection.execute("UPDATE assets SET base = 'APL' WHERE symbol = 'AAPL'")
        fields = "series frequency unit basis release_lag max_age source licence note n_missing kind"
        columns = "series symbol event_time knowledge_time value basis"
        for kind, symbol, values in (
            ("onchain", "APL", {"CapMVRVCur": 1.5, "CapMrktCurUSD": 30.0, "TxTfrValAdjUSD": 2.0}),
            ("funding", "AAPL", {"funding_rate": 1e-4, "mark_close": 50.0}),
        ):
            for series, value in values.items():
                row = (series, "daily", "", "declared", "period end + 6 hours", (5 * DAY).value, "", "", "", 0, kind)
                insert(connection, "series", fields, [row])
                ends = [(series, symbol, int(t), int(t) + 6 * 3_600_000_000_000, value, "declared") for t in DAYS.asi8]
                insert(connection, "observations", columns, ends)
    return Store.open(store_copy)


def panel_of(store: Store) -> Panel:
    return store.panel(["AAPL", "MSFT"], start="2005-01-03", end="2005-02-25", dataset="us_ohlcv_daily")


def test_each_symbol_reads_what_is_filed_under_it_or_its_base(store: Store) -> None:
    later = pd.DateOffset(years=10)  # the bundled prices are ten years older than these made-up metrics
    panel = panel_of(store)
    panel = replace(panel, times=(panel.times + later).as_unit("ns"))
    values = compute(COLUMNS, panel, store.side(series_needed(COLUMNS))).values
    assert np.isnan(values[:, 1]).all()  # nothing is filed under MSFT
    np.testing.assert_allclose(values[5:, 0, :3], np.tile([1.5, 15.0, 2e-4], (len(panel.times) - 5, 1)), rtol=1e-6)
    traded = panel["close"][:, 0] / panel["split_factor"][:, 0]
    np.testing.assert_allclose(values[5:, 0, 3], traded[5:] / 50 - 1, rtol=1e-5)
    assert traded[0] == pytest.approx(63.29, abs=0.01)  # as traded: the split of 2000 is in the continuous price only
    assert {column.spec.kind for column in COLUMNS} == {"onchain", "funding"}
