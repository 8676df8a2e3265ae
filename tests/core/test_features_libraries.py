"""Other libraries' columns are theirs, and bar by bar what they are at once; the laws are asked with all others'."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from mnpu.errors import ConfigError, PluginError
from mnpu.features import View, feature, select
from mnpu.features.compute import evaluate
from mnpu.features.evaluation import fresh_states
from mnpu.features.leaks import future_perturbation
from mnpu.features.libraries import own_bars, ta, talib
from mnpu.features.libraries.columns import Column
from mnpu.features.plan import PlannedFeature, features_of, plan, plan_function
from mnpu.plugins.registry import Registry
from mnpu.testing.features import synthetic_panel, synthetic_side
from mnpu.types import Panel, SideTable

SOURCES: dict[str, ModuleType] = {"ta": ta, "talib": talib}
ALL_FIELDS = ("open", "high", "low", "close", "volume")


class Use(NamedTuple):
    use: str
    params: Mapping[str, Any] = {}
    tag: str = ""


def market(bars: int, symbols: int = 3, seed: int = 1) -> tuple[Panel, SideTable]:
    rng = np.random.default_rng(seed)
    panel = synthetic_panel(rng, bars=bars, symbols=symbols)
    return panel, synthetic_side([], panel, rng)


def one(function: Any, source: str = "talib", **params: Any) -> PlannedFeature:
    [column] = plan_function(function, params, source=source)
    return column


def mark(function: Any) -> Column:
    found: Column = function.__mnpu_column__
    return found


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_is_listed_without_its_library_and_says_what_to_install_when_it_is_used(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select, "find_spec", lambda module: None)
    registry = Registry.discover()
    assert name in [component.name for component in registry.components("feature_source")]
    functions = features_of(registry.load("feature_source", name))
    with pytest.raises(PluginError, match=rf'which is not installed.*pip install "mnpu-core\[{name}\]"') as raised:
        plan([Use(f"{name}.{next(iter(functions))}")], registry)
    assert raised.value.exit_code == 5
    with pytest.raises(PluginError, match="which is not installed"):
        plan([Use("", tag=name)], registry)


def test_to_list_the_sources_imports_neither_library() -> None:
    modules = "mnpu.features.libraries.ta, mnpu.features.libraries.talib"
    code = f"import sys, {modules}; print({{'ta', 'talib'}} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", ["ta.trend_kst_sig", "ta.trend_visual_ichimoku_a", "talib.VWAP", "talib.MAXINDEX"])
def test_what_is_refused_is_refused_by_name_and_reason(name: str) -> None:
    source, _, function = name.partition(".")
    with pytest.raises(ConfigError, match="is refused: ") as raised:
        plan([Use(name)], Registry.discover())
    assert SOURCES[source].REFUSED[function] in str(raised.value)


def test_every_column_of_ta_is_a_feature_or_refused() -> None:
    names = set(ta_columns())
    assert set(features_of(ta)) | set(ta.REFUSED) == names
    assert not set(features_of(ta)) & set(ta.REFUSED)


def test_every_function_of_talib_is_a_feature_or_refused() -> None:
    library = pytest.importorskip("talib")
    marked = {mark(function).of for function in features_of(talib).values()}
    assert marked | set(talib.REFUSED) == set(library.get_functions())
    assert not marked & set(talib.REFUSED)


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(("name", "bars", "symbols"), [("talib", 6000, 3), ("ta", 2200, 1)])
def test_a_column_is_the_librarys_own_over_all_of_a_symbols_bars(name: str, bars: int, symbols: int) -> None:
    """One run over everything, without blocks; the tolerance is that between batch and stream."""
    pytest.importorskip(name)
    panel, side = market(bars, 3)
    panel = only(panel, [1, 2, 0][:symbols])  # the first of them has a hole
    for function in features_of(SOURCES[name]).values():
        column = one(function, name)
        values = evaluate([column], panel, side)[..., 0]
        for a in range(symbols):
            whole = at_once(column, panel, a)
            there = np.isfinite(values[:, a])
            spread = max(np.nanmax(np.abs(whole[there]), initial=0.0), 1e-300)
            assert np.abs(values[there, a] - whole[there]).max(initial=0.0) <= 1e-9 * spread, column.name


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("more", [0, 3])
def test_the_first_value_is_there_after_the_warm_up_and_no_earlier(name: str, more: int) -> None:
    """Zeros that a library writes before its first value are none of them."""
    pytest.importorskip(name)
    panel, side = market(400, 3)
    panel = only(panel, [2])
    for function in features_of(SOURCES[name]).values():
        defaults = one(function, name).spec.params
        longer = {n: v + more for n, v in defaults.items() if type(v) is int and "matype" not in n}
        column = one(function, name, **longer)
        values, warmup = evaluate([column], panel, side)[:, 0, 0], column.spec.warmup
        assert np.isnan(values[: warmup - 1]).all(), column.name
        if not column.name.startswith(("ta.trend_psar", "talib.RVOL")):
            assert np.isfinite(values[warmup - 1]), column.name


@pytest.mark.parametrize("names", [("RSI", "MACD_macdhist", "OBV", "SAR", "BBANDS_upperband", "CDLDOJI", "NVI")])
def test_values_bar_by_bar_are_those_of_the_batch_over_many_blocks(
    names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("talib")
    monkeypatch.setattr(own_bars, "BLOCK", 16)
    panel, side = market(700, 3)
    columns = [one(getattr(talib, name), **({"timeperiod": 3} if name == "RSI" else {})) for name in names]
    whole = evaluate(columns, panel, side)
    states = fresh_states(columns, 3)
    first = 150
    evaluate(columns, panel.rows(0, first), side, states=states)
    for t in range(first, len(panel.times)):
        now = evaluate(columns, panel.rows(t - 1, t + 1), side, first=1, states=states)
        np.testing.assert_array_equal(now[0], whole[t], err_msg=str(t))


def test_ta_goes_on_from_block_to_block(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ta")
    panel, side = market(90, 3)
    names = ("volume_obv", "volume_adi", "volume_vpt", "volume_nvi", "others_cr", "trend_sma_fast")
    columns = [one(getattr(ta, name), "ta") for name in names]
    whole = evaluate(columns, panel, side)
    monkeypatch.setattr(own_bars, "BLOCK", 16)
    np.testing.assert_allclose(evaluate(columns, panel, side), whole, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", SOURCES)
def test_a_missing_bar_is_left_out_and_has_no_value(name: str) -> None:
    pytest.importorskip(name)
    column = one({"ta": ta.trend_ema_fast, "talib": talib.EMA}.get(name), name)
    panel, side = market(200, 3)
    values = evaluate([column], panel, side)[..., 0]
    missing = ~np.isfinite(panel["close"][:, 1])
    assert missing.any()
    assert np.isnan(values[missing, 1]).all()
    alone = only(panel, [1])
    kept = np.flatnonzero(~missing)
    without = replace(
        alone,
        times=alone.times[kept],
        sessions=alone.sessions[kept],
        fields={field: held[kept] for field, held in alone.fields.items()},
        tradable=alone.tradable[kept],
    )
    np.testing.assert_array_equal(values[kept, 1], evaluate([column], without, side)[:, 0, 0])


@pytest.mark.parametrize("params", [{"timeperiod": 1}, {"timeperiod": 3_000}, {"timeperiod": 2.5}, {"window": 5}])
def test_parameters_are_checked_from_the_signature(params: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        one(talib.RSI, **params)


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::FutureWarning")
def test_these_columns_of_ta_look_ahead_and_no_others() -> None:
    """The library as it is, asked about every column it makes.

    ``momentum_kama`` reaches around to the last bar, which shows where that is missing: it is asked about complete
    bars alone, on which it keeps all laws.
    """
    names = ta_columns()

    @feature(fields=ALL_FIELDS)
    def column_of(view: View, *, number: int) -> np.ndarray:
        """A column of the library, untouched."""
        return np.asarray(view.once(ta_frame)[number])

    assert {names[n] for n in looking_ahead(column_of, len(names))} == {*ta.REFUSED, "momentum_kama"}


def test_no_function_of_talib_looks_ahead() -> None:
    library = pytest.importorskip("talib")
    asked = [name for name in library.get_functions() if name != "MAVP"]
    assert len(asked) > 180

    @feature(fields=ALL_FIELDS)
    def function_of(view: View, *, number: int) -> np.ndarray:
        """All results of a function of the library, untouched."""
        from talib import abstract

        found = abstract.Function(asked[number])({name: view[name][:, 0].copy() for name in ALL_FIELDS})
        together = np.atleast_2d(found) if isinstance(found, list) else np.asarray(found, dtype=float)[None]
        return np.asarray(np.nansum(together * np.arange(1.0, len(together) + 1)[:, None], axis=0)[:, None])

    assert [asked[n] for n in looking_ahead(function_of, len(asked))] == []


def looking_ahead(function: Any, count: int) -> Iterator[int]:
    """The numbers of the columns that change when the future does, on one symbol without a hole."""
    panel, side = market(160, 4)
    rng = np.random.default_rng(0)
    planned = plan_function(function, {"number": list(range(count))}, source="raw")
    leaks = future_perturbation(planned, only(panel, [3]), side, cuts=(40, 75, 120), rng=rng)
    numbers = {column.name: column.spec.params["number"] for column in planned}
    return iter(sorted({numbers[leak.column] for leak in leaks}))


def only(panel: Panel, symbols: list[int]) -> Panel:
    return replace(
        panel,
        symbols=tuple(panel.symbols[a] for a in symbols),
        fields={name: values[:, symbols] for name, values in panel.fields.items()},
        tradable=panel.tradable[:, symbols],
        datasets=tuple(panel.datasets[a] for a in symbols),
    )


def at_once(column: PlannedFeature, panel: Panel, symbol: int) -> np.ndarray:
    """The library's function of all bars of a symbol that are complete, back in their rows."""
    asked = mark(column.function)
    bars = np.stack([panel[name][:, symbol] for name in asked.fields])
    complete = np.isfinite(bars).all(axis=0)
    out = np.full(len(complete), np.nan)
    out[complete] = asked.library.compute(asked, column.spec.params)(*np.ascontiguousarray(bars[:, complete]))
    return out


def ta_columns() -> list[str]:
    library = pytest.importorskip("ta")
    close = 50 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.01, 120)))
    frame = pd.DataFrame(dict.fromkeys(ALL_FIELDS, close))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [str(name) for name in library.add_all_ta_features(frame, *ALL_FIELDS).columns[5:]]


def ta_frame(view: View) -> np.ndarray:
    """Everything that the library makes of each symbol, (columns, T, A)."""
    import ta as library

    made = []
    for a in range(view.shape[1]):
        frame = pd.DataFrame({name: view[name][:, a] for name in ALL_FIELDS})
        made.append(library.add_all_ta_features(frame, *ALL_FIELDS, fillna=False).iloc[:, 5:].to_numpy().T)
    return np.stack(made, axis=-1)
