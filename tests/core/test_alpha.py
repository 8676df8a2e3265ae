"""Alpha158 and Alpha360: the published numbers, whatever is missing, whichever columns and rows are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.config.models import FeatureUse
from mnpu.engine import LocalEngine
from mnpu.features import alpha158, alpha360, alpha_kernel
from mnpu.features.api import Memo, View
from mnpu.features.compute import compute, evaluate
from mnpu.features.evaluation import fill, jobs
from mnpu.features.plan import PlannedFeature, features_of, plan, plan_function
from mnpu.plugins.loader import load_plugins
from mnpu.plugins.registry import Registry
from mnpu.testing.features import synthetic_side
from mnpu.types import Panel, SideTable
from tests.core import alpha_reference

FIELDS = ("open", "high", "low", "close", "volume")
Make = Callable[..., Panel]


def columns(source: ModuleType, *names: str) -> list[PlannedFeature]:
    found = features_of(source)
    title = source.__name__.rpartition(".")[2]
    return [column for name in names or found for column in plan_function(found[name], {}, source=title)]


def nothing(panel: Panel) -> SideTable:
    return synthetic_side((), panel, np.random.default_rng(0))


def values(panel: Panel, source: ModuleType, *names: str, first: int = 0) -> np.ndarray:
    return evaluate(columns(source, *names), panel, nothing(panel), first=first)


def market(make_panel: Make, rng: np.random.Generator, bars: int, symbols: int) -> Panel:
    """Prices in cents that often stand still, and volumes in lots."""
    close = np.round(40 * np.exp(np.cumsum(rng.normal(scale=0.01, size=(bars, symbols)), axis=0)), 2)
    opened = np.round(close * (1 + rng.normal(scale=0.004, size=close.shape)), 2)
    return make_panel(
        close,
        open=opened,
        high=np.round(np.maximum(opened, close) + rng.exponential(0.1, close.shape), 2),
        low=np.round(np.minimum(opened, close) - rng.exponential(0.1, close.shape), 2),
        volume=np.round(np.exp(rng.normal(12, 1, close.shape)), -2),
    )


def rough(make_panel: Make, rng: np.random.Generator) -> Panel:
    """What is found in stores: late listings, holes, cells missing alone, no volume, prices that do not move."""
    panel = market(make_panel, rng, 190, 6)
    fields = {name: panel[name].copy() for name in FIELDS}
    for name in FIELDS:
        fields[name][:31, 1] = np.nan  # listed later
        fields[name][100:103, 1] = np.nan
        fields[name][rng.random(190) < 0.15, 2] = np.nan
        fields[name][120:, 3] = np.nan  # delisted
        fields[name][:, 5] = np.nan  # never there
    for name in ("open", "high", "low", "close"):
        fields[name][60:95, 4] = 17.5  # does not move
    fields["volume"][40:48, 4] = 0.0
    fields["volume"][70:110, 4] = 1200.0
    fields["volume"][rng.random(190) < 0.2, 0] = 0.0
    for name in ("high", "low", "volume", "close"):
        fields[name][rng.random(190) < 0.05, 3] = np.nan
    return replace(panel, fields={**panel.fields, **fields})


def as_frame(panel: Panel, a: int) -> pd.DataFrame:
    return pd.DataFrame({name: panel[name][:, a] for name in FIELDS})


def assert_equal_to_slow(panel: Panel, source: ModuleType, slow: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    found = values(panel, source)
    for a, symbol in enumerate(panel.symbols):
        with np.errstate(all="ignore"):
            expected = slow(as_frame(panel, a))
        assert list(expected) == list(features_of(source))
        for f, name in enumerate(expected):
            np.testing.assert_allclose(found[:, a, f], expected[name], 1e-6, 1e-9, err_msg=f"{symbol} {name}")


@pytest.mark.parametrize(("source", "n", "ends"), [("alpha158", 158, "VSUMD60"), ("alpha360", 360, "VOLUME0")])
def test_one_entry_makes_every_column_under_its_published_name(source: str, n: int, ends: str) -> None:
    planned = plan([FeatureUse(use=f"{source}.*")], Registry(load_plugins(env={})))
    assert len(planned) == n
    assert planned[-1].name == f"{source}.{ends}"


def test_names_are_in_the_published_order() -> None:
    assert " ".join(list(features_of(alpha158))[:15]) == (
        "KMID KLEN KMID2 KUP KUP2 KLOW KLOW2 KSFT KSFT2 OPEN0 HIGH0 LOW0 VWAP0 ROC5 ROC10"
    )
    assert list(features_of(alpha360))[58:62] == ["CLOSE1", "CLOSE0", "OPEN59", "OPEN58"]


@pytest.mark.parametrize(
    ("source", "slow"), [(alpha158, alpha_reference.alpha158), (alpha360, alpha_reference.alpha360)]
)
def test_a_rough_market_gives_what_the_slow_way_gives(
    make_panel: Make, rng: np.random.Generator, source: ModuleType, slow: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    assert_equal_to_slow(rough(make_panel, rng), source, slow)


@pytest.mark.parametrize(
    ("source", "slow"), [(alpha158, alpha_reference.alpha158), (alpha360, alpha_reference.alpha360)]
)
def test_real_prices_with_their_holes_give_what_the_slow_way_gives(
    make_panel: Make, shared_data: Path, source: ModuleType, slow: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    rows = pd.read_parquet(shared_data / "prices-daily" / "sp500_2013_2018.parquet")
    wide = {name: rows.pivot(index="timestamp", columns="symbol", values=name) for name in FIELDS}
    chosen = ["ORCL", "O", "UA", "FTV", "AAPL"]  # two with holes, one without volume once, one listed late
    part = {name: frame[chosen].to_numpy(float)[450:810] for name, frame in wide.items()}
    assert_equal_to_slow(make_panel(part.pop("close"), **part), source, slow)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_loops_are_their_definitions(data: st.DataObject, make_panel: Make) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    bars, symbols = data.draw(st.integers(1, 90)), data.draw(st.sampled_from([1, 3, 33]))
    panel = market(make_panel, rng, bars, symbols)
    fields = dict(panel.fields)
    for name in FIELDS:
        cells = panel[name].copy()
        cells[rng.random(cells.shape) < data.draw(st.sampled_from([0.0, 0.05, 0.6]))] = np.nan
        fields[name] = np.round(cells, data.draw(st.sampled_from([2, -1])))  # ties, and no volume
    panel = replace(panel, fields=fields)
    source = data.draw(st.sampled_from([alpha158, alpha360]))
    names = data.draw(st.lists(st.sampled_from(list(features_of(source))), min_size=1, max_size=40, unique=True))
    found = values(panel, source, *names)
    view = View(panel, nothing(panel))
    for f, name in enumerate(names):
        defined = features_of(source)[name](view)
        np.testing.assert_allclose(found[..., f], defined, 1e-9, 1e-11, err_msg=name)


@pytest.mark.parametrize("source", [alpha158, alpha360])
def test_a_value_is_the_same_to_the_bit_wherever_the_data_begin(
    make_panel: Make, rng: np.random.Generator, source: ModuleType
) -> None:
    panel = rough(make_panel, rng)
    whole = values(panel, source)
    for start, stop in ((0, 140), (17, 190), (64, 125), (129, 190)):
        part = values(panel.rows(start, stop), source)
        seen = np.s_[60:] if start else np.s_[0:]
        np.testing.assert_array_equal(part[seen], whole[start:stop][seen])
        newest = values(panel.rows(start, stop), source, first=stop - start - 1)
        np.testing.assert_array_equal(newest[0], part[-1])


@pytest.mark.parametrize("source", [alpha158, alpha360])
def test_a_column_is_the_same_alone_among_others_and_by_two_threads(
    make_panel: Make, rng: np.random.Generator, source: ModuleType
) -> None:
    panel = market(make_panel, rng, 600, 35)  # five blocks of rows, two of symbols
    planned = columns(source)
    whole = evaluate(planned, panel, nothing(panel))
    for f in rng.choice(len(planned), size=12, replace=False):
        alone = evaluate([planned[f]], panel, nothing(panel))[..., 0]
        np.testing.assert_array_equal(alone, whole[..., f], err_msg=planned[f].name)
    out = np.empty((len(planned), *panel.shape), np.float32)

    def do(_: Any, job: Any) -> None:
        fill(job, planned, panel, nothing(panel), out, states={}, memo=Memo())

    list(LocalEngine(workers=2).map(do, jobs(planned, 600)))
    np.testing.assert_array_equal(np.moveaxis(out, 0, -1), whole.astype(np.float32))


@pytest.mark.parametrize("source", [alpha158, alpha360])
def test_without_a_compiler_the_definitions_run(
    make_panel: Make, rng: np.random.Generator, source: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = rough(make_panel, rng)
    fast = values(panel, source, first=150)

    def none(_: object) -> object:
        raise ImportError("no compiler")

    monkeypatch.setattr(alpha_kernel, "compiled", none)
    np.testing.assert_allclose(values(panel, source, first=150), fast, 1e-9, 1e-11)


@pytest.mark.parametrize("source", [alpha158, alpha360])
def test_arrays_in_any_order_of_memory_and_of_columns_give_the_same(
    make_panel: Make, rng: np.random.Generator, source: ModuleType
) -> None:
    panel = rough(make_panel, rng)
    turned = replace(panel, fields={name: np.asfortranarray(cells) for name, cells in panel.fields.items()})
    names = rng.permutation(list(features_of(source)))[:50].tolist()
    found = values(panel, source, *names)
    np.testing.assert_array_equal(values(turned, source, *names), found)
    planned = columns(source, *names)
    out = np.zeros((120, 190, 9))[::2, :, 1:7]  # part of a larger array
    kernel = planned[0].meta.kernel
    assert kernel is not None
    with np.errstate(all="ignore"):
        kernel(View(panel, nothing(panel)), [(name, {}) for name in names], out[:50])
    np.testing.assert_array_equal(np.moveaxis(out[:50], 0, -1), found)


def test_only_what_a_column_reads_has_to_be_there(make_panel: Make) -> None:
    panel = make_panel(np.linspace(10, 11, 80)[:, None])  # closes alone
    frame = compute(columns(alpha158, "MA5", "ROC60", "RANK20", "SUMD30"), panel, nothing(panel))
    assert np.isfinite(frame.values[-1]).all()


# Windows by hand.


def of_closes(make_panel: Make, closes: list[float], name: str) -> list[float]:
    panel = make_panel(np.array(closes)[:, None])
    return values(panel, alpha158, name)[:, 0, 0].tolist()


def test_windows_are_short_at_the_start_and_skip_what_is_missing(make_panel: Make) -> None:
    nan = np.nan
    np.testing.assert_allclose(of_closes(make_panel, [nan, 2, 4, nan, 6], "MA5"), [nan, 1, 0.75, nan, 4 / 6])
    np.testing.assert_allclose(of_closes(make_panel, [2, 4, nan, 6], "STD5"), [nan, 2**0.5 / 4, nan, 2 / 6])
    np.testing.assert_allclose(of_closes(make_panel, [2, 4, 6, 8, nan, 9], "ROC5"), [nan] * 5 + [2 / 9])


def test_a_line_runs_over_rows_so_that_a_hole_takes_time(make_panel: Make) -> None:
    np.testing.assert_allclose(of_closes(make_panel, [1, 2, np.nan, 4], "BETA5")[-1], 1 / 4)
    np.testing.assert_allclose(of_closes(make_panel, [1, 2, np.nan, 4], "RSQR5")[-1], 1)


def test_the_first_of_equal_extremes_counts_from_the_oldest_bar_that_is_there(make_panel: Make) -> None:
    nan = np.nan
    highs = np.array([9, nan, 5, 7, 7, 6.0])[:, None]
    closes = np.full((6, 1), 5.0)
    for second, place in ((5.0, 0.6), (nan, 0.4)):  # a bar without a high is one, no bar at all is none
        closes[1] = second
        panel = make_panel(closes, high=highs, low=-highs)
        for name in ("IMAX5", "IMIN5"):
            assert values(panel, alpha158, name)[:, 0, 0].tolist() == [0.2, 0.2, 0.2, 0.2, 0.2, place]


def test_ranks_share_ties_and_need_the_newest_close(make_panel: Make) -> None:
    found = of_closes(make_panel, [3, 1, 3, 3, np.nan], "RANK5")
    np.testing.assert_allclose(found, [1, 0.5, 2.5 / 3, 0.75, np.nan])


def test_the_first_bar_neither_rises_nor_falls_but_counts(make_panel: Make) -> None:
    np.testing.assert_allclose(of_closes(make_panel, [1, 2, np.nan, 3], "CNTP5"), [0, 0.5, 0.5, 1 / 3])
    np.testing.assert_allclose(of_closes(make_panel, [1, 2, np.nan, 3], "SUMP5"), [np.nan, 1, 1, 1])


def test_what_does_not_move_has_no_fit_and_no_correlation(make_panel: Make) -> None:
    split = np.full((9, 1), 0.1) * 3  # not a number of cents in binary
    panel = make_panel(split, volume=np.full((9, 1), 500.0))
    names = ("STD5", "BETA5", "RESI5", "RSQR5", "CORR5", "CORD5", "SUMP5", "CNTD5", "VSTD5", "WVMA5")
    found = values(panel, alpha158, *names)[-1, 0]
    np.testing.assert_array_equal(found, [0, 0, 0, np.nan, np.nan, np.nan, 0, 0, 0, 0])


def test_a_bar_without_volume_is_huge_in_volumes_and_never_infinite(make_panel: Make, rng: np.random.Generator) -> None:
    panel = market(make_panel, rng, 80, 2)
    volume = panel["volume"].copy()
    volume[70] = 0.0
    panel = replace(panel, fields={**panel.fields, "volume": volume})
    assert (values(panel, alpha158, "VMA5")[70] > 1e15).all()
    assert np.isfinite(values(panel, alpha158, "CORD5")[71]).all()  # its ratio is skipped
    assert not np.isinf(values(panel, alpha158)).any()
    assert not np.isinf(values(panel, alpha360)).any()


def test_a_price_of_zero_is_missing_where_it_divides(make_panel: Make) -> None:
    close = np.array([4.0, 5, 0, 6, 7, 8])[:, None]
    panel = make_panel(close, open=close, high=close, low=close, volume=close + 1)
    for source in (alpha158, alpha360):
        assert not np.isinf(values(panel, source)).any()
    assert np.isnan(values(panel, alpha158, "MA5", "KMID")[2]).all()


def test_the_mean_price_stands_in_for_the_vwap_and_the_note_says_so(make_panel: Make, rng: np.random.Generator) -> None:
    panel = market(make_panel, rng, 61, 1)
    mean = sum(panel[name] for name in ("open", "high", "low", "close")) / 4
    np.testing.assert_allclose(values(panel, alpha158, "VWAP0")[..., 0], mean / panel["close"], 1e-12)
    np.testing.assert_allclose(values(panel, alpha360, "VWAP59")[60, 0, 0], mean[1, 0] / panel["close"][60, 0], 1e-12)
    for function in (features_of(alpha158)["VWAP0"], features_of(alpha360)["VWAP7"]):
        assert "stands in for it" in (function.__doc__ or "")
