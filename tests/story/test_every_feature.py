"""Every feature of our own that reads prices alone, on real bars with their holes, by the laws that count.

The symbols are those of the S&P 500 file with missing cells, bars without volume, broken bars and late listings.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mnpu.data.calendars import get_calendar
from mnpu.errors import ConfigError
from mnpu.features.compute import evaluate
from mnpu.features.leaks import future_perturbation, truncation
from mnpu.features.plan import PlannedFeature, features_of, plan_function
from mnpu.features.stream import Stream
from mnpu.plugins.loader import load_plugins
from mnpu.plugins.registry import Registry
from mnpu.testing.synthetic import synthetic_side
from mnpu.types import DatasetInfo, Panel, SideTable

SYMBOLS = ("AAPL", "APTV", "BHF", "CHD", "ES", "FTV", "LNT", "O", "UA", "VRTX", "WRK")
REGISTRY = Registry(load_plugins(env={}))
SOURCES = [c.name for c in REGISTRY.components("feature_source") if c.dist.startswith("mnpu-")]
#: Of a source that takes milliseconds for a cell, one column in so many; the kit asks all of them.
SOME = {"ta": 5}
STEPS, TOLERANCE = 30, {"rtol": 1e-9, "atol": 1e-12}


@pytest.fixture(scope="module")
def bars(shared_data: Path) -> Panel:
    """Two and a half years of days, 2015-07 to 2018-02, as they were found."""
    rows = pd.read_parquet(shared_data / "prices-daily" / "sp500_2013_2018.parquet")
    rows = rows[rows["symbol"].isin(SYMBOLS) & (rows["timestamp"] >= pd.Timestamp("2015-07-01", tz="UTC"))]
    calendar = get_calendar("XNYS")
    days = np.unique(rows["timestamp"].dt.tz_localize(None).to_numpy().astype("datetime64[D]"))
    wide = {
        name: rows.pivot(index="timestamp", columns="symbol", values=name).reindex(columns=list(SYMBOLS)).to_numpy()
        for name in ("open", "high", "low", "close", "volume")
    }
    fields = {name: np.array(values, dtype=float) for name, values in wide.items()}
    tradable = np.isfinite(fields["close"])
    fields["split_factor"] = np.ones(tradable.shape)
    info = DatasetInfo("sp500", "vendor", "1d", "close", "none", "", calendar.name, "USD", "none")
    times = calendar.session_close(days)
    per_year = calendar.periods_per_year("1d")
    return Panel(times, days, SYMBOLS, fields, tradable, (info,) * len(SYMBOLS), "1d", calendar.name, per_year)


@pytest.fixture(scope="module")
def nothing(bars: Panel) -> SideTable:
    return synthetic_side((), bars, np.random.default_rng(0))


@pytest.fixture(scope="module", params=SOURCES)
def columns(request: pytest.FixtureRequest) -> list[PlannedFeature]:
    """Every feature of one source with its defaults, but those that need side data or a parameter without a default."""
    found, module = [], REGISTRY.load("feature_source", request.param)
    for needed in getattr(module, "REQUIRES", {}):
        pytest.importorskip(needed, reason=f"{request.param} needs an extra")
    for function in features_of(module).values():
        with suppress(ConfigError):
            found += [c for c in plan_function(function, {}, source=request.param) if not c.spec.series]
    found = found[:: SOME.get(request.param, 1)]
    return found or pytest.skip("each of its features reads side data, with which the recipes are tried")


def test_no_value_sees_the_future(columns: list[PlannedFeature], bars: Panel, nothing: SideTable) -> None:
    cuts = [300, 451, len(bars.times) - 5]
    assert future_perturbation(columns, bars, nothing, cuts=cuts, rng=np.random.default_rng(3)) == []
    assert truncation(columns, bars, nothing, cuts=cuts) == []


def test_a_value_needs_its_warm_up_alone(columns: list[PlannedFeature], bars: Panel, nothing: SideTable) -> None:
    columns = [column for column in columns if not column.spec.state]
    whole = evaluate(columns, bars, nothing)
    for f, column in enumerate(columns):
        for last in (column.spec.warmup, len(bars.times) - 1):
            alone = evaluate([column], bars.rows(last + 1 - column.spec.warmup, last + 1), nothing)[-1, :, 0]
            np.testing.assert_allclose(alone, whole[last, :, f], err_msg=column.name, **TOLERANCE)


@pytest.mark.parametrize("first", [270, 590])
def test_bars_that_come_one_by_one_give_the_batch(
    first: int, columns: list[PlannedFeature], bars: Panel, nothing: SideTable
) -> None:
    whole = evaluate(columns, bars, nothing)
    stream = Stream(columns, bars.rows(0, first), nothing)
    for t in range(first, first + STEPS):
        np.testing.assert_allclose(stream.values(bars.rows(t, t + 1)), whole[t], **TOLERANCE)


def test_a_value_is_the_same_alone_and_among_others(
    columns: list[PlannedFeature], bars: Panel, nothing: SideTable
) -> None:
    whole = evaluate(columns, bars, nothing)
    for f in range(0, len(columns), max(len(columns) // 12, 1)):
        np.testing.assert_array_equal(evaluate([columns[f]], bars, nothing)[..., 0], whole[..., f])
