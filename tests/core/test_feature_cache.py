"""Columns that are kept: computed once, continued where data grew, and never a wrong value."""

from __future__ import annotations

import errno
import importlib
import multiprocessing
import os
import signal
import sys
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from textwrap import dedent
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnpu.data import cache
from mnpu.data.clock import from_ns
from mnpu.data.scaling import Scaler
from mnpu.data.unseen import unseen_columns
from mnpu.data.windows import window_index
from mnpu.engine import LocalEngine
from mnpu.errors import DataError, PluginError
from mnpu.features import cross_section, entries, keys, price
from mnpu.features.compute import compute
from mnpu.features.entries import START, open_entry
from mnpu.features.evaluation import BLOCK
from mnpu.features.plan import plan_function
from mnpu.features.seams import SEAM
from mnpu.testing.features import synthetic_panel, synthetic_side
from mnpu.types import FeatureFrame, Fold, Panel, SideTable, Split
from tests.core.test_engine import Processes

PLUGIN = """
from mnpu import hookimpl

MNPU_API = 1

@hookimpl
def mnpu_feature_sources():
    return {"probe": "probe_features"}
"""

FEATURES = '''
import numpy as np
from mnpu import View, feature

SEEN = []


def seen(name, view):
    SEEN.append((name, view.first, view.shape[0]))


@feature(fields=("close",), warmup=lambda p: p["window"] + 1)
def change(view: View, *, window: int = 3) -> np.ndarray:
    """Change of the close."""
    seen("change", view)
    close = view["close"]
    return np.vstack([np.full((window, view.shape[1]), np.nan), close[window:] / close[:-window] - 1])


@feature(fields=("volume",))
def size(view: View) -> np.ndarray:
    """Logarithm of the volume."""
    seen("size", view)
    return np.log1p(view["volume"])


@feature(fields=("close",), warmup=5)
def running(view: View) -> np.ndarray:
    """A mean over five bars as the difference of running totals, whose last bits depend on where the data begin."""
    seen("running", view)
    total = np.cumsum(np.nan_to_num(view["close"]), axis=0)
    return np.vstack([np.full((5, view.shape[1]), np.nan), (total[5:] - total[:-5]) / 5])


@feature(fields=("close",))
def leaky(view: View) -> np.ndarray:
    """Close against the highest of all."""
    seen("leaky", view)
    return view["close"] / np.fmax.reduce(np.fmax.reduce(view["close"]))


@feature(fields=("close",), warmup=3)
def dishonest(view: View) -> np.ndarray:
    """It looks back further than it says."""
    seen("dishonest", view)
    close = view["close"]
    return np.vstack([np.full((50, view.shape[1]), np.nan), close[50:] - close[:-50]])


@feature(fields=("close",), warmup=2, state=1)
def smoothed(view: View) -> np.ndarray:
    """A mean that forgets."""
    seen("smoothed", view)
    out, held = np.full(view.shape, np.nan), view.state[0]
    for t in range(view.first, view.shape[0]):
        close = view["close"][t]
        held[:] = np.where(np.isnan(close), held, np.where(np.isnan(held), close, held + (close - held) / 4))
        out[t] = held
    return out


@feature(fields=("close",), warmup=2, state=1)
def forgetful(view: View) -> np.ndarray:
    """It does not carry what it says it carries."""
    seen("forgetful", view)
    return np.cumsum(np.nan_to_num(view["close"]), axis=0)


def family(view, columns, out):
    SEEN.append(("family", view.first, view.shape[0]))
    close = view["close"]
    for place, (name, params) in enumerate(columns):
        w = params["window"]
        for row in range(view.first, len(close)):
            window = close[max(row - w + 1, 0) : row + 1]
            value = window.max(axis=0) if name == "top" else window.min(axis=0)
            out[place, row - view.first] = value if row >= w - 1 else np.nan


@feature(fields=("close",), warmup=lambda p: p["window"], kernel=family)
def top(view: View, *, window: int = 4) -> np.ndarray:
    """Highest close."""
    raise NotImplementedError


@feature(fields=("close",), warmup=lambda p: p["window"], kernel=family)
def bottom(view: View, *, window: int = 4) -> np.ndarray:
    """Lowest close."""
    raise NotImplementedError


@feature(series=("rate",), scope="market")
def rate(view: View) -> np.ndarray:
    """The newest rate."""
    seen("rate", view)
    known = view.known("rate", 2)
    return view.at_decision(known, known.values[:, -1] - known.values[:, 0])


@feature(fields=("close",))
def wrong(view: View) -> np.ndarray:
    """Not a column."""
    return view["close"][0]
'''

ALL = ("change", "size", "running", "leaky", "dishonest", "smoothed", "forgetful", "top", "bottom", "rate")
HONEST = ("change", "size", "smoothed", "top", "bottom", "rate")


def loaded() -> ModuleType:
    """The plugin's module as it lies there now."""
    importlib.invalidate_caches()
    sys.modules.pop("probe_features", None)
    keys._seen.clear()  # as in another process
    return importlib.import_module("probe_features")


@pytest.fixture
def probe(site, monkeypatch):
    """A distribution with features, of which this process has loaded what lies there."""
    site.add("probe-lib", PLUGIN, probe_features=FEATURES)
    monkeypatch.setattr(keys, "started", lambda: time.time() + 3600)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield loaded()
    sys.modules.pop("probe_features", None)


def planned(module, names=ALL, **params):
    return [
        column
        for name in names
        for column in plan_function(getattr(module, name), params.get(name, {}), source="probe", dist="probe-lib")
    ]


@pytest.fixture
def home(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def world(rng):
    """A panel of 420 bars with a symbol that has no price at all, and a rate."""
    panel = synthetic_panel(rng, bars=420, symbols=5)
    panel = replace(panel, tradable=panel.tradable & (np.arange(5) != 4))
    fields = {name: values.copy() for name, values in panel.fields.items()}
    for name in fields:
        fields[name][:, 4] = np.nan
    return replace(panel, fields=fields), synthetic_side(("rate",), panel, rng)


def known_by(panel: Panel, side: SideTable) -> SideTable:
    return side.known_by(panel.times[-1])


def check_same(columns, panel, side, home, *, engine=None):
    """The cache gives what computing anew gives; returns the features that were asked, and on which rows."""
    module = sys.modules["probe_features"]
    expected = compute(columns, panel, side).values
    module.SEEN.clear()
    found = compute(columns, panel, side, cache=home, engine=engine).values
    asked = list(module.SEEN)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    bits = [np.where(np.isnan(values), 0, values).view(np.int32) for values in (found, expected)]
    np.testing.assert_array_equal(*bits)
    return asked


def names_of(asked):
    return sorted({name for name, _, _ in asked})


def files(home):
    return sorted(path.name for path in home.iterdir()) if home.exists() else []


def test_unchanged_data_is_computed_once(probe, home, world):
    columns = planned(probe)
    assert "change" in names_of(check_same(columns, *world, home))
    assert check_same(columns, *world, home) == []
    assert len(files(home)) == 1


def test_what_is_handed_out_is_mapped_and_cannot_be_written(probe, home, world):
    columns = planned(probe)
    for _ in range(2):
        values = compute(columns, *world, cache=home).values
        assert not values.flags.writeable
        assert all(values[..., f].flags.c_contiguous for f in range(len(columns)))
        with pytest.raises(ValueError, match="read-only"):
            values[0, 0, 0] = 1


@pytest.mark.parametrize("engine", [LocalEngine(workers=2), LocalEngine(workers=5), Processes(workers=2)])
def test_any_engine_fills_the_same_entry(probe, tmp_path, world, engine):
    panel, side = world
    written = []
    for name, used in (("one", LocalEngine()), ("other", engine)):
        home = tmp_path / name
        for stop in (300, 301, 420):
            part = panel.rows(0, stop)
            check_same(planned(probe), part, known_by(part, side), home, engine=used)
        written.append({path.name: path.read_bytes()[START:] for path in home.iterdir()})
    assert written[0].keys() == written[1].keys()
    for name, content in written[0].items():
        values = len(ALL) * 300 * 5 * 4
        assert content[:values] == written[1][name][:values]


def test_a_new_column_alone_is_computed(probe, home, world):
    check_same(planned(probe, ("change", "size")), *world, home)
    asked = check_same(planned(probe, ("rate", "size", "change", "top")), *world, home)
    assert names_of(asked) == ["family", "rate"]
    assert check_same(planned(probe, ("change", "size")), *world, home) == []


def test_another_parameter_is_another_column(probe, home, world):
    check_same(planned(probe, ("change",)), *world, home)
    asked = check_same(planned(probe, ("change",), change={"window": [3, 4]}), *world, home)
    assert len(asked) == 1


def test_a_field_that_changed_concerns_those_who_read_it(probe, home, world):
    panel, side = world
    check_same(planned(probe), panel, side, home)
    volume = panel["volume"].copy()
    volume[50, 1] += 1
    changed = replace(panel, fields={**panel.fields, "volume": volume})
    assert names_of(check_same(planned(probe), changed, side, home)) == ["size"]


def test_another_membership_is_other_data(probe, home, world):
    panel, side = world
    [column] = plan_function(cross_section.rank, {}, source="cross_section", dist="mnpu-core")
    for joins in (0, 100, 200):
        member = np.ones(panel.shape, bool)
        member[:joins, 0] = False
        check_same([column], replace(panel, member=member), side, home)
    assert files(home)


@pytest.mark.parametrize("new", [1, 3, 100])
def test_new_days_alone_are_computed(probe, home, world, new):
    panel, side = world
    columns, old = planned(probe, HONEST), panel.rows(0, len(panel.times) - new)
    check_same(columns, old, known_by(old, side), home)
    asked = check_same(columns, panel, side, home)
    assert names_of(asked) == ["change", "family", "rate", "size", "smoothed"]
    for name, _, rows in asked:
        assert rows <= new + 2 * (SEAM + 8) + (80 if name == "smoothed" else 0)


def test_a_column_that_depends_on_where_the_data_begin_is_computed_anew(probe, home, world):
    panel, side = world
    columns = planned(probe, ("running", "leaky", "dishonest", "forgetful"))
    check_same(columns, panel.rows(0, 400), side, home)
    asked = check_same(columns, panel, side, home)
    assert {name for name, first, rows in asked if (first, rows) == (0, 420)} == {
        "running",
        "leaky",
        "dishonest",
        "forgetful",
    }


def test_a_history_that_was_rescaled_is_computed_anew(probe, home, world):
    panel, side = world
    columns = planned(probe, ("change", "smoothed", "top", "size"))
    check_same(columns, panel.rows(0, 419), side, home)
    split = {**panel.fields, "close": panel["close"] * np.where(np.arange(5) == 1, 0.5, 1.0)}
    asked = check_same(columns, replace(panel, fields=split), side, home)
    assert {name for name, first, rows in asked if first == 0 and rows >= BLOCK} >= {"change", "smoothed", "family"}
    assert all(rows < 100 for name, _, rows in asked if name == "size")


def test_a_revised_row_concerns_those_who_read_the_series(probe, home, world):
    panel, side = world
    columns = planned(probe, ("change", "rate"))
    check_same(columns, panel, side, home)
    value = side.value.copy()
    value[len(value) // 2] += 1
    assert names_of(check_same(columns, panel, replace(side, value=value), home)) == ["rate"]
    late = side.rows(np.delete(np.arange(len(side)), len(side) - 5))
    assert names_of(check_same(columns, panel, late, home)) == ["rate"]


def test_side_data_that_became_known_later_leaves_old_rows_alone(probe, home, world):
    panel, side = world
    columns, old = planned(probe, ("rate",)), panel.rows(0, 380)
    check_same(columns, old, known_by(old, side), home)
    (asked,) = check_same(columns, panel, side, home)
    assert asked[2] < 100
    backfilled = side.rows(np.delete(np.arange(len(side)), len(side) // 3))
    check_same(columns, panel, backfilled, home)
    assert len(check_same(columns, panel, side, home)) == 1


def test_code_that_changed_is_run_again(probe, home, world, site):
    check_same(planned(probe, ("change", "size")), *world, home)
    path = site.path / "probe_features.py"
    path.write_text(path.read_text().replace("close[:-window] - 1", "close[:-window] - 2"))
    changed = loaded()
    assert names_of(check_same(planned(changed, ("change", "size")), *world, home)) == ["change", "size"]
    path.write_text(path.read_text().replace("close[:-window] - 2", "close[:-window] - 1"))
    check_same(planned(loaded(), ("change", "size")), *world, home)


def test_code_beside_it_counts_too(probe, home, world, site):
    check_same(planned(probe, ("size",)), *world, home)
    other = site.path / "probe_lib_plugin.py"
    other.write_text(other.read_text() + "\nMORE = 1\n")
    assert names_of(check_same(planned(probe, ("size",)), *world, home)) == ["size"]


def test_files_that_changed_since_the_process_began_are_not_believed(probe, home, world, monkeypatch):
    monkeypatch.setattr(keys, "started", lambda: time.time() - 3600)
    check_same(planned(probe, ("size",)), *world, home)
    assert files(home) == []


def test_a_change_that_a_clock_set_back_hides_is_not_believed(probe, home, world, site):
    check_same(planned(probe, ("change",)), *world, home)
    path = site.path / "probe_features.py"
    path.write_text(path.read_text().replace("close[:-window] - 1", "close[:-window] - 2"))
    panel, side = world
    compute(planned(probe, ("change",)), panel.rows(0, 400), side, cache=home)  # what was loaded before
    check_same(planned(loaded(), ("change",)), panel.rows(0, 400), side, home)


def test_another_library_or_machine_is_another_key(probe, home, world, monkeypatch):
    check_same(planned(probe, ("size",)), *world, home)
    monkeypatch.setattr(keys, "environment", lambda: "another")
    assert names_of(check_same(planned(probe, ("size",)), *world, home)) == ["size"]


def test_functions_of_nowhere_are_not_kept(home, world):
    compute(plan_function(price.log_return, {}, source="price"), *world, cache=home)
    assert files(home) == []


def test_beside_a_function_of_nowhere_the_others_are_kept(probe, home, world):
    mixed = [*planned(probe, ("size", "change")), *plan_function(price.log_return, {}, source="price")]
    assert names_of(check_same(mixed, *world, home)) == ["change", "size"]
    assert check_same(mixed, *world, home) == []


def test_parameters_that_no_text_says_are_not_kept():
    told = [keys._text(value) for value in (1, 1.0, True, "1", None, [1], (1,), {"a": 1}, pd.Timedelta(days=1))]
    assert len(set(told)) == len(told)
    with pytest.raises(TypeError):
        keys._text({"weights": np.zeros(2_000)})


def entry_of(home):
    (path,) = (path for path in home.iterdir() if path.suffix == entries.SUFFIX)
    return path


@pytest.mark.parametrize("place", ["magic", "offset", "length", "digest", "values", "middle", "small", "table", "end"])
def test_an_entry_with_a_wrong_bit_is_not_believed(probe, home, world, place):
    columns = planned(probe)
    check_same(columns, *world, home)
    path = entry_of(home)
    content = bytearray(path.read_bytes())
    values = len(columns) * 420 * 5 * 4
    at = {"magic": 3, "offset": 30, "length": 46, "digest": 100, "values": START, "middle": START + values // 2}
    at |= {"small": START + values + 9, "table": len(content) - 900, "end": len(content) - 1}
    content[at[place]] ^= 4
    path.write_bytes(content)
    check_same(columns, *world, home)
    assert check_same(columns, *world, home) == []


@pytest.mark.parametrize("size", [0, 10, 200, START, START + 5_000, -8_000, -1])
def test_an_entry_that_is_cut_is_not_believed(probe, home, world, size):
    columns = planned(probe)
    check_same(columns, *world, home)
    path = entry_of(home)
    content = path.read_bytes()
    path.write_bytes(content[:size])
    check_same(columns, *world, home)
    assert check_same(columns, *world, home) == []


def test_an_entry_that_a_new_column_would_be_copied_from_is_checked(probe, home, world):
    check_same(planned(probe, ("change", "size")), *world, home)
    path = entry_of(home)
    content = bytearray(path.read_bytes())
    content[START + 500] ^= 1
    path.write_bytes(content)
    assert names_of(check_same(planned(probe, ("size", "change", "rate")), *world, home)) == ["change", "rate"]


def test_an_entry_of_another_version_is_not_read(probe, home, world):
    columns = planned(probe)
    check_same(columns, *world, home)
    path = entry_of(home)
    path.write_bytes(path.read_bytes().replace(b"MNPU features 1", b"MNPU features 2", 1))
    with open_entry(path) as entry:
        assert entry is None
    assert names_of(check_same(columns, *world, home)) != []


def in_child(function, *args):
    """Run in a process of its own, started from this one as it is."""
    process = multiprocessing.get_context("fork").Process(target=function, args=args)
    process.start()
    return process


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_build_that_is_killed_leaves_nothing_wrong(probe, home, world, rng):
    panel, side = world
    columns = planned(probe, change={"window": list(range(1, 60))})
    began = time.perf_counter()
    compute(columns, panel, side, cache=home)
    seconds = time.perf_counter() - began
    for stop in (300, 400, 420) * 8:
        part = panel.rows(0, stop)
        for path in home.iterdir():
            if rng.random() < 0.4:
                path.unlink()
        process = in_child(lambda part=part: compute(columns, part, known_by(part, side), cache=home))
        time.sleep(float(rng.uniform(0, 1.3 * seconds)))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        check_same(columns, part, known_by(part, side), home)
    for path in home.iterdir():
        path.unlink()
    check_same(columns, panel, side, home)
    assert [name for name in files(home) if name.endswith(".tmp")] == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_a_killed_build_leaves_is_removed_by_the_next(probe, home, world):
    ready = multiprocessing.get_context("fork").Event()

    def half() -> None:
        with entries.Draft(home / "half.features", (1, 1_000, 10)):
            ready.set()
            time.sleep(60)

    process = in_child(half)
    assert ready.wait(30)
    check_same(planned(probe, ("size",)), *world, home)
    assert sum(name.endswith(".tmp") for name in files(home)) == 1  # it lives
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    check_same(planned(probe, ("change",)), *world, home)
    assert [name for name in files(home) if name.endswith(".tmp")] == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_several_processes_build_the_same_entry(probe, home, world):
    columns, context = planned(probe), multiprocessing.get_context("fork")
    barrier, found = context.Barrier(3), context.Queue()
    expected = compute(columns, *world).values

    def build() -> None:
        barrier.wait(30)
        values = compute(columns, *world, cache=home).values
        found.put(np.array_equal(values, expected, equal_nan=True))

    processes = [in_child(build) for _ in range(3)]
    assert [found.get(timeout=60) for _ in processes] == [True] * 3
    for process in processes:
        process.join()
    assert check_same(columns, *world, home) == []
    assert len(files(home)) == 1


def test_several_threads_build_the_same_entry(probe, home, world):
    columns = planned(probe)
    expected = compute(columns, *world).values
    with ThreadPoolExecutor(4) as pool:
        for frame in pool.map(lambda _: compute(columns, *world, cache=home), range(8)):
            np.testing.assert_array_equal(frame.values, expected)


def test_an_entry_that_is_in_use_stays_whole_when_it_is_replaced(probe, home, world):
    panel, side = world
    columns = planned(probe)
    frame = compute(columns, panel, side, cache=home)
    before = frame.values.copy()
    close = panel["close"] * 1.1
    check_same(columns, replace(panel, fields={**panel.fields, "close": close}), side, home)
    for path in home.iterdir():
        path.unlink()
    np.testing.assert_array_equal(frame.values, before)


def test_a_folder_that_cannot_be_is_no_error(probe, tmp_path, world):
    (tmp_path / "file").write_text("in the way")
    assert names_of(check_same(planned(probe, ("size",)), *world, tmp_path / "file" / "cache")) == ["size"]


@pytest.mark.parametrize("call", ["posix_fallocate", "replace"])
def test_a_disk_without_room_is_no_error(probe, home, world, monkeypatch, call):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    if not hasattr(os, call):
        pytest.skip("not on this system")
    monkeypatch.setattr(os, call, full)
    check_same(planned(probe), *world, home)
    assert files(home) == []


def test_a_limit_on_files_is_no_error(probe, home, world):
    resource = pytest.importorskip("resource")
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    columns, expected = planned(probe), compute(planned(probe), *world).values

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        values = compute(columns, *world, cache=home).values
        os._exit(0 if np.array_equal(values, expected, equal_nan=True) else 1)

    process = in_child(limited)
    process.join()
    assert process.exitcode == 0
    assert files(home) == []


def test_features_that_return_what_they_should_not_are_refused_and_not_kept(probe, home, world):
    with pytest.raises(PluginError, match=r"feature probe\.wrong"):
        compute(planned(probe, ("size", "wrong")), *world, cache=home)
    assert files(home) == []


def test_a_column_without_a_value_is_refused_and_not_kept(probe, home, world):
    panel, side = world
    nothing = replace(panel, fields={**panel.fields, "close": np.full(panel.shape, 0.0)})
    for _ in range(2):
        with pytest.raises(DataError, match="has no value"):
            compute(planned(probe, ("size", "change")), nothing, side, cache=home)
    assert files(home) == []


def test_what_is_kept_stays_below_the_limit(probe, home, world, monkeypatch):
    panel, side = world
    check_same(planned(probe), panel, side, home)
    size = entry_of(home).stat().st_size
    os.utime(entry_of(home), (1, 1))
    (home / "old.columns").write_bytes(bytes(100))
    os.utime(home / "old.columns", (0, 0))
    monkeypatch.setattr(cache, "LIMIT", int(2.5 * size))
    for stop in (410, 411):
        part = panel.rows(0, stop)
        check_same(planned(probe), part, known_by(part, side), home)
    assert len(files(home)) == 2
    assert "old.columns" not in files(home)


def test_one_limit_holds_for_all_that_is_kept(probe, home, world, monkeypatch):
    check_same(planned(probe), *world, home)
    monkeypatch.setattr(cache, "LIMIT", entry_of(home).stat().st_size)
    newest = home / "store.columns"
    newest.write_bytes(bytes(100))
    cache.tidy(newest)
    assert files(home) == ["store.columns"]


EDITS = st.lists(
    st.tuples(
        st.sampled_from(
            ["grow", "grow", "shrink", "cell", "hole", "scale", "halt", "revise", "print", "rename", "none"]
        ),
        st.integers(0, 10**6),
    ),
    min_size=1,
    max_size=6,
)


def edited(panel: Panel, stop: int, side: SideTable, what: str, at: int):
    """The market after one edit, of which the first ``stop`` rows are seen."""
    fields, (rows, assets) = {name: values.copy() for name, values in panel.fields.items()}, panel.shape
    t, a = at % stop, at % assets
    if what == "grow":
        stop = min(stop + 1 + at % 40, rows)
    elif what == "shrink":
        stop = max(stop - 1 - at % 40, 70)
    elif what == "cell":
        fields["close"][t, a] *= 1.01
    elif what == "hole":
        for name in ("close", "volume"):
            fields[name][t, a] = np.nan
    elif what == "scale":
        fields["close"][:, a] *= 0.5
    elif what == "halt":
        tradable = panel.tradable.copy()
        tradable[t, at % (assets - 1)] ^= True  # the last symbol has no price to trade at
        panel = replace(panel, tradable=tradable)
    elif what == "revise":
        side = replace(side, value=np.where(np.arange(len(side)) == at % len(side), side.value + 1, side.value))
    elif what == "print":
        side = side.rows(np.delete(np.arange(len(side)), at % len(side)))
    elif what == "rename":
        panel = replace(panel, symbols=(*panel.symbols[:-1], f"X{at % 3}"))
    return replace(panel, fields=fields), stop, side


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=EDITS, names=st.lists(st.sampled_from(ALL), min_size=1, max_size=6, unique=True))
def test_whatever_is_edited_the_cache_gives_what_computing_anew_gives(probe, tmp_path_factory, world, steps, names):
    home = tmp_path_factory.mktemp("cache")
    panel, side, stop = *world, 390
    for what, at in [("none", 0), *steps]:
        panel, stop, side = edited(panel, stop, side, what, at)
        part = panel.rows(0, stop)
        check_same(planned(probe, names), part, known_by(part, side), home)
        names = names[1:] + names[:1] if what == "none" else names


def test_data_that_lie_in_memory_another_way_are_the_same(probe, home, world):
    panel, side = world
    check_same(planned(probe), panel, side, home)
    turned = {name: np.asfortranarray(values) for name, values in panel.fields.items()}
    assert check_same(planned(probe), replace(panel, fields=turned), side, home) == []


def test_every_part_of_side_data_counts(world):
    panel, side = world
    columns = plan_function(price.log_return, {}, source="price")
    column = replace(columns[0], spec=replace(columns[0].spec, series=("rate",)))
    said = [keys.Data(panel, side, fields=("close",)).key(column, 420)]
    at = len(side) // 2
    known = side.knowledge_time.asi8.copy()
    known[at] += 1
    event = side.event_time.asi8.copy()
    event[at] += 1
    symbol = side.symbol.copy()
    symbol[at] = "S1"
    info = {"rate": replace(side.info["rate"], max_age=pd.Timedelta(days=1))}
    for change in (
        {"knowledge_time": from_ns(known)},
        {"event_time": from_ns(event)},
        {"symbol": symbol},
        {"info": info},
        {"text": np.full(len(side), "word", dtype=object)},
    ):
        said.append(keys.Data(panel, replace(side, **change), fields=("close",)).key(column, 420))
    assert len(set(said)) == len(said)


def test_the_source_is_found_where_it_was_loaded_from(probe, site):
    assert keys._loaded("probe_features") == [site.path / "probe_features.py"]
    assert [path.name for path in keys._loaded("mnpu")] == ["mnpu"]


def test_it_says_when_the_process_began():
    code = "import time; t = time.time(); from mnpu.features.keys import started; print(t - started())"
    import subprocess

    done = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, check=True, timeout=120)
    assert -0.5 < float(done.stdout) < 60


def most_memory(function) -> int:
    """Bytes of arrays that a call holds at most, beside what was there before."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_computing_holds_little_beside_what_it_computes(rng):
    panel = synthetic_panel(rng, bars=800, symbols=40)
    side = synthetic_side((), panel, rng)
    columns = plan_function(price.log_return, {"window": list(range(1, 61))}, source="price")
    size = len(columns) * 800 * 40 * 4
    compute(columns[:1], panel, side)
    assert most_memory(lambda: compute(columns, panel, side, engine=LocalEngine(workers=2))) < 1.5 * size


def test_reading_a_frame_holds_no_second_copy_of_it(rng):
    n_features, shape = 80, (400, 30)
    values = np.moveaxis(rng.normal(size=(n_features, *shape)).astype(np.float32), 0, -1)
    times = pd.date_range("2001-01-01", periods=400, tz="UTC").as_unit("ns")
    listed, names = np.ones(shape, bool), tuple(f"f{f}" for f in range(n_features))
    frame = FeatureFrame(times, tuple("S" * (a + 1) for a in range(30)), values, names, listed, ())
    split = Split((Fold(0, (0, 380), (380, 390), (390, 400)),), purge_bars=0, embargo_bars=0)
    for reading in (
        lambda: unseen_columns(frame, split),
        lambda: Scaler.fit(values, times=times, rows=(0, 380), where=listed),
        lambda: window_index(values, None, listed, rows=(0, 400), lookback=10),
    ):
        reading()
        assert most_memory(reading) < 0.5 * values.nbytes
