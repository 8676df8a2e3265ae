"""Every family of core on real bars: splits, missing days, symbols that are listed late, two frequencies."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mnpu.data.store import Store
from mnpu.features.compute import check, compute, evaluate
from mnpu.features.evaluation import fresh_states
from mnpu.features.leaks import future_perturbation, truncation
from mnpu.features.plan import PlannedFeature, features_of, plan_function
from mnpu.features.stream import Stream
from mnpu.plugin import mnpu_feature_sources
from mnpu.testing.features import synthetic_side
from mnpu.types import Panel, SideTable

FAMILIES = sorted(set(mnpu_feature_sources()) - {"price"})
EXPECTED = {
    *("calendar", "cross_asset", "cross_section", "fractional", "liquidity", "moments", "regime", "returns"),
    *("spectral", "technical", "volatility"),
}


def family(name: str) -> list[PlannedFeature]:
    """All features of a family at their defaults."""
    found = features_of(importlib.import_module(mnpu_feature_sources()[name]))
    return [column for function in found.values() for column in plan_function(function, {}, source=name)]


@pytest.fixture(scope="module")
def bars(demo_store: Path) -> Panel:
    """Three years of stocks around two splits, with a hole of two days that is cut into one of them."""
    store = Store.open(demo_store)
    panel = store.panel(["AAPL", "MSFT", "IBM"], start="2004-01-02", end="2006-12-29", dataset="us_ohlcv_daily")
    fields = {name: values.copy() for name, values in panel.fields.items()}
    tradable = panel.tradable.copy()
    tradable[400:402, 1] = False
    for name in ("open", "high", "low", "close", "volume"):
        fields[name][400:402, 1] = np.nan
    return replace(panel, fields=fields, tradable=tradable)


@pytest.fixture(scope="module")
def nothing(bars: Panel) -> SideTable:
    return synthetic_side((), bars, np.random.default_rng(0))


def test_every_family_of_the_field_is_there() -> None:
    assert set(FAMILIES) >= EXPECTED


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_family_has_values_on_real_bars_and_does_not_see_the_future(
    name: str, bars: Panel, nothing: SideTable
) -> None:
    columns = family(name)
    check(columns, bars, nothing)
    frame = compute(columns, bars, nothing)
    assert np.isfinite(frame.values[-1, 1]).all()  # the hole has long left every window
    cuts = [399, 401, 560]
    assert future_perturbation(columns, bars, nothing, cuts=cuts, rng=np.random.default_rng(1)) == []
    assert truncation(columns, bars, nothing, cuts=cuts) == []


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_real_bars_that_come_one_by_one_give_the_same(name: str, bars: Panel, nothing: SideTable) -> None:
    columns = family(name)
    whole = evaluate(columns, bars, nothing)
    warmup = max(column.spec.warmup for column in columns)
    states = fresh_states(columns, len(bars.symbols))
    begin = 395
    evaluate(columns, bars.rows(0, begin), nothing, states=states)
    for t in range(begin, begin + 12):  # into the hole and out of it
        rows = bars.rows(max(t + 1 - warmup, 0), t + 1)
        newest = evaluate(columns, rows, nothing, first=len(rows.times) - 1, states=states)[-1]
        np.testing.assert_allclose(newest, whole[t], rtol=1e-9, atol=1e-12)


def test_hourly_bars_of_a_currency(demo_store: Path) -> None:
    panel = Store.open(demo_store).panel(
        ["EURUSD"], start="2017-01-01", end="2017-03-31", dataset="eurusd_hourly", frequency="1h"
    )
    side = synthetic_side((), panel, np.random.default_rng(0))
    for name in ("calendar", "returns", "volatility", "moments", "spectral", "regime"):
        values = compute(family(name), panel, side).values[-200:]
        assert np.isfinite(values).mean() > 0.9, name


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_bars_one_by_one_give_the_same_where_prices_are_not_positive(
    name: str, bars: Panel, nothing: SideTable
) -> None:
    fields = {field: values.copy() for field, values in bars.fields.items()}
    for field in ("open", "high", "low", "close"):
        fields[field][[450, 451, 454], 0] *= -1.0
        fields[field][452, 0] = 0.0
    panel, columns = replace(bars, fields=fields), family(name)
    whole = evaluate(columns, panel, nothing)
    for symbols in (list(panel.symbols), [panel.symbols[0]]):
        some = _of(panel, symbols) if len(symbols) == 1 else panel
        expected = evaluate(columns, some, nothing) if len(symbols) == 1 else whole
        stream = Stream(columns, some.rows(0, 448), nothing)
        for t in range(448, 458):
            stepped = stream.values(some.rows(t, t + 1))
            np.testing.assert_allclose(stepped, expected[t], rtol=1e-9, atol=1e-12, err_msg=str(t))


def _of(panel: Panel, symbols: list[str]) -> Panel:
    rows = [panel.symbols.index(symbol) for symbol in symbols]
    return replace(
        panel,
        symbols=tuple(symbols),
        fields={field: np.ascontiguousarray(values[:, rows]) for field, values in panel.fields.items()},
        tradable=panel.tradable[:, rows],
        datasets=tuple(panel.datasets[row] for row in rows),
        bases=tuple(panel.bases[row] for row in rows) if panel.bases else (),
    )
