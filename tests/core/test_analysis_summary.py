"""Every table of an analysis at once, or the reason why there is none; and the pictures of it."""

from __future__ import annotations

import numpy as np
import pytest

from mnpu.analysis.families import families
from mnpu.analysis.summary import TABLES, Assumptions, analyse
from mnpu.commands._runs_pictures import pictures
from tests.core.analysis_world import a_replay, a_result, with_seed
from tests.fakes import make_result


@pytest.fixture
def panel(make_panel, rng):
    close = 50 * np.exp(np.cumsum(rng.normal(0.0005, 0.015, (900, 7)), axis=0))
    return make_panel(close, volume=rng.uniform(1e5, 1e6, (900, 7)))


@pytest.fixture
def weights(rng):
    return rng.normal(0.05, 0.1, (500, 7))


def given(panel, weights):
    return Assumptions(
        groups={f"S{a}": "ab"[a % 2] for a in range(7)},
        shares={f"S{a}": 1e6 + a for a in range(7)},
        seeds={str(k): with_seed(a_result(panel, weights * (1 + k), first=350), k) for k in range(2)},
    )


def test_every_table_can_be_made(panel, weights):
    found = analyse(a_replay(panel, weights, first=350), given(panel, weights))
    assert found.reasons == {}
    assert list(found.tables) == list(TABLES)
    assert all(rows for name, rows in found.tables.items() if name != "crises")


def test_what_cannot_be_made_has_a_reason(make_panel, rng):
    found = analyse(a_replay(make_panel(np.full((12, 1), 10.0)), np.full((10, 1), 0.5)), Assumptions())
    assert set(found.reasons) == {"groups", "brinson", "seeds", "factors", "capacity", "liquidity"}
    assert "no volume" in found.reasons["capacity"]
    assert set(found.tables) | set(found.reasons) == set(TABLES)


def test_every_table_is_about_the_book(panel, weights):
    one = analyse(a_replay(panel, weights, first=350), given(panel, weights))
    other = analyse(a_replay(panel, weights[::-1], first=350), given(panel, weights[::-1]))
    same = [name for name in TABLES if list(one.tables[name]) == list(other.tables[name]) and one.tables[name]]
    assert same == []


def test_pictures_are_the_same_every_time_and_leave_out_what_has_no_numbers(panel, weights, make_panel):
    found = analyse(a_replay(panel, weights, first=350), given(panel, weights))
    drawn = pictures(found, "r")
    assert set(drawn) == {"attribution.svg", "regimes.svg", "capacity.svg"}
    assert drawn == pictures(found, "r")
    bare = analyse(a_replay(make_panel(np.full((12, 1), 10.0)), np.zeros((10, 1))), Assumptions())
    assert set(pictures(bare, "r")) == {"attribution.svg"}


def test_families_are_the_sources_of_the_columns():
    found = families(make_result(20).features)
    assert [name for name, _ in found] == ["price", "macro"]
    assert found[1][1] == ("macro.credit_spread",)
    assert len(found[0][1]) == 3
