"""What a view shows: declared data, read-only, as known at each publication."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from mnpu.errors import DataError, PluginError
from mnpu.features import View
from mnpu.testing.features import synthetic_panel, synthetic_side
from mnpu.types import Panel, SideTable


@pytest.fixture
def panel() -> Panel:
    return synthetic_panel(np.random.default_rng(1), bars=60)


@pytest.fixture
def side(panel: Panel) -> SideTable:
    return synthetic_side(("rate", "other"), panel, np.random.default_rng(2), history=30)


def rows_of(side: SideTable, series: str) -> pd.DataFrame:
    frame = pd.DataFrame({"event": side.event_time, "known": side.knowledge_time, "value": side.value})
    return frame[side.series == series]


def test_known_windows_are_what_a_reader_would_have_had(panel: Panel, side: SideTable) -> None:
    rows, known = rows_of(side, "rate"), View(panel, side).known("rate", 4)
    for k in range(0, len(known.knowledge_time), 5):
        read = rows[rows["known"] <= known.knowledge_time[k]].groupby("event")["value"].last().iloc[-4:]
        np.testing.assert_array_equal(known.values[k, 4 - len(read) :], read)
        assert np.isnan(known.values[k, : 4 - len(read)]).all()
        assert known.event_time[k] == read.index[-1]


def test_revised_tells_the_value_of_the_newest_period_before_and_after(panel: Panel, side: SideTable) -> None:
    rows, known = rows_of(side, "rate"), View(panel, side).revised("rate")
    assert np.isnan(known.values[0]).all()
    for k in range(1, len(known.knowledge_time)):
        earlier = rows[rows["known"] < known.knowledge_time[k]].groupby("event")["value"].last()
        now = rows[rows["known"] <= known.knowledge_time[k]].groupby("event")["value"].last()
        period = earlier.index[-1]
        np.testing.assert_array_equal(known.values[k], [earlier[period], now[period]])
        assert known.event_time[k] == now.index[-1]
    assert (known.values[1:, 0] != known.values[1:, 1]).any()


@pytest.mark.parametrize("how", ["field", "known", "revised", "sessions", "tradable"])
def test_nothing_that_a_view_shows_can_be_written_to(panel: Panel, side: SideTable, how: str) -> None:
    view = View(panel, side)
    shown = {
        "field": lambda: view["close"],
        "known": lambda: view.known("rate").values,
        "revised": lambda: view.revised("rate").values,
        "sessions": lambda: view.sessions,
        "tradable": lambda: view.tradable,
    }[how]()
    with pytest.raises(ValueError, match="read-only"):
        shown[...] = 0


def test_a_field_that_the_panel_lacks_is_told_with_those_it_has(panel: Panel, side: SideTable) -> None:
    with pytest.raises(DataError, match="the panel has no field 'bid', expected one of close, high, low"):
        View(panel, side)["bid"]


def test_a_series_that_the_table_lacks_is_told_with_those_it_has(panel: Panel, side: SideTable) -> None:
    with pytest.raises(DataError, match="series 'cpi' is not in the side table, expected one of other, rate"):
        View(panel, side).known("cpi")


def test_no_observation_at_all_is_not_a_window(panel: Panel, side: SideTable) -> None:
    with pytest.raises(PluginError, match="asks for 0 observations of rate, expected at least one"):
        View(panel, side).known("rate", 0)


def test_a_view_knows_its_clock(panel: Panel, side: SideTable) -> None:
    view = View(panel, side)
    assert view.times is panel.times
    assert (view.shape, view.symbols) == (panel.shape, panel.symbols)
    assert (view.frequency, view.periods_per_year) == ("1d", 252.0)


def test_the_package_of_features_is_light_until_it_is_used() -> None:
    heavy = "('numpy', 'pandas', 'pydantic', 'mnpu.features.api')"
    code = f"import sys, mnpu.features; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    import mnpu.features

    with pytest.raises(AttributeError, match="no attribute 'featrue'"):
        mnpu.features.featrue  # noqa: B018
