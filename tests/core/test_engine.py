"""Work is the same wherever it runs, and stops when it should."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from threading import current_thread

import numpy as np
import pytest

from mnpu import View, feature
from mnpu.config.load import load_text
from mnpu.config.resolve import resolve
from mnpu.engine import LocalEngine
from mnpu.errors import ConfigError, DataError, PluginError
from mnpu.features import price
from mnpu.features.compute import compute, evaluate
from mnpu.features.plan import plan_function, series_needed
from mnpu.features.trailing import trailing_mean
from mnpu.plugins.loader import load_plugins
from mnpu.plugins.registry import Registry
from mnpu.progress import Progress
from mnpu.testing import check_component, engines
from mnpu.testing.features import synthetic_panel, synthetic_side


class Processes:
    """An engine of other processes, which share no memory."""

    shares_memory = False

    def __init__(self, *, workers: int = 1) -> None:
        self.workers = workers

    def map(self, function, tasks, *, shared=None):
        with ProcessPoolExecutor(self.workers, multiprocessing.get_context("fork")) as pool:
            yield from pool.map(partial(function, shared), tasks)


class Backwards:
    """An engine that gets the order wrong."""

    shares_memory = True

    def __init__(self, *, workers: int = 1) -> None: ...

    def map(self, function, tasks, *, shared=None):
        yield from reversed([function(shared, task) for task in tasks])


class Quiet(Backwards):
    """An engine that loses errors, and says nothing about memory."""

    shares_memory = None  # type: ignore[assignment]

    def map(self, function, tasks, *, shared=None):
        for task in tasks:
            try:
                yield function(shared, task)
            except Exception:
                return


def family(view, columns, out):
    """Two moments of closes over their own windows, in one pass."""
    for place, (name, params) in enumerate(columns):
        w, close = params["window"], view["close"]
        for row in range(view.first, len(close)):
            window = close[max(row - w + 1, 0) : row + 1]
            value = window.mean(axis=0) if name == "mean" else window.max(axis=0)
            out[place, row - view.first] = value if row >= w - 1 else np.nan


@feature(fields=("close",), warmup=lambda p: p["window"], kernel=family, scale_free=False)
def mean(view: View, *, window: int = 3) -> np.ndarray:
    """Mean close."""
    return trailing_mean(view["close"], window)


@feature(fields=("close",), warmup=lambda p: p["window"], kernel=family, scale_free=False)
def top(view: View, *, window: int = 3) -> np.ndarray:
    """Highest close."""
    return np.stack([view["close"][max(t - window + 1, 0) : t + 1].max(axis=0) for t in range(view.shape[0])])


@feature(fields=("close",), warmup=2, state=1, scale_free=False)
def smoothed(view: View, *, weight: float = 0.25) -> np.ndarray:
    """A mean that forgets."""
    out, held = np.full(view.shape, np.nan), view.state[0]
    for t in range(view.first, view.shape[0]):
        close = view["close"][t]
        fresh = np.where(np.isnan(held), close, held + weight * (close - held))
        held[:] = np.where(np.isnan(close), held, fresh)
        out[t] = held
    return out


def logs(view: View) -> np.ndarray:
    """What two features share."""
    return np.log(view["close"])


@feature(fields=("close",), scale_free=False)
def level(view: View) -> np.ndarray:
    """Logarithm of the close."""
    return view.once(logs)


@feature(fields=("close",), warmup=2)
def change(view: View) -> np.ndarray:
    """Logarithmic return."""
    shared = view.once(logs)
    return np.vstack([np.full((1, view.shape[1]), np.nan), np.diff(shared, axis=0)])


@feature(series=("rate",), scope="market")
def rate(view: View) -> np.ndarray:
    """The newest rate."""
    known = view.known("rate", 1)
    return view.at_decision(known, known.values[:, -1])


@feature(fields=("close",))
def breaks(view: View) -> np.ndarray:
    """It raises."""
    raise ZeroDivisionError("by design")


@feature(fields=("close",))
def overflows(view: View) -> np.ndarray:
    """Too large for float32."""
    return view["close"] * 1e300


def columns():
    made = [(price.log_return, {"window": [1, 5]}), (mean, {"window": [3, 7]}), (level, {}), (smoothed, {})]
    made += [(top, {"window": 4}), (rate, {}), (change, {}), (price.realised_volatility, {})]
    return [column for function, params in made for column in plan_function(function, params, source="s")]


@pytest.fixture
def market(rng):
    """A market long enough for several blocks of a kernel, with a symbol that has no price at all."""
    panel = synthetic_panel(rng, bars=600, symbols=6)
    planned = columns()
    return planned, panel, synthetic_side(series_needed(planned), panel, rng)


@pytest.mark.parametrize("engine", [LocalEngine(workers=2), LocalEngine(workers=5), Processes(workers=2)])
def test_the_values_are_the_same_wherever_they_are_computed(market, engine):
    planned, panel, side = market
    expected = evaluate(planned, panel, side).astype(np.float32)
    frame = compute(planned, panel, side, engine=engine)
    assert frame.values.dtype == np.float32
    np.testing.assert_array_equal(frame.values, compute(planned, panel, side).values)
    np.testing.assert_array_equal(frame.values.view(np.int32), expected.view(np.int32))
    assert all(frame.values[..., f].flags.c_contiguous for f in range(len(planned)))


def test_workers_share_what_is_shared(market):
    calls = []

    def counted(view):
        calls.append(current_thread().name)
        time.sleep(0.05)
        return view["close"] * 2

    @feature(fields=("close",))
    def twice(view: View, *, more: int = 0) -> np.ndarray:
        """Shares."""
        return view.once(counted) + more

    planned = plan_function(twice, {"more": [0, 1, 2, 3]}, source="s")
    compute(planned, market[1], market[2], engine=LocalEngine(workers=4))
    assert len(calls) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_names_its_feature(market, workers):
    _, panel, side = market
    engine = LocalEngine(workers=workers)
    planned = [*columns(), *plan_function(breaks, {}, source="mine", dist="acme")]
    with pytest.raises(PluginError, match=r"feature mine\.breaks of acme: raised ZeroDivisionError: by design"):
        compute(planned, panel, side, engine=engine)
    with pytest.raises(DataError, match=r"feature mine\.overflows: the value of S1 at .* is infinite"):
        compute(plan_function(overflows, {}, source="mine"), panel, side, engine=engine)


def test_an_error_of_another_process_says_the_same(market):
    _, panel, side = market
    planned = plan_function(breaks, {}, source="mine", dist="acme")
    said = []
    for engine in (Processes(workers=2), LocalEngine()):
        with pytest.raises(PluginError) as caught:
            compute(planned, panel, side, engine=engine)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_the_first_error_drops_what_waits():
    started = []

    def task(_, n):
        started.append(n)
        if n == 1:
            raise ValueError(n)
        time.sleep(0.01)

    with pytest.raises(ValueError, match="1"):
        list(LocalEngine(workers=2).map(task, range(1_000)))
    assert len(started) < 20


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_ends_it_at_once(workers, tmp_path):
    code = f"""
        import sys, time
        from mnpu.engine import LocalEngine

        def task(shared, n):
            print(n, flush=True)
            time.sleep(60)

        try:
            list(LocalEngine(workers={workers}).map(task, range(10)))
        except KeyboardInterrupt:
            sys.exit(130)
        """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job inherits a deaf one
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        assert time.monotonic() - began < 20


def test_what_nobody_asks_for_any_longer_is_dropped():
    started = []

    def task(_, n):
        started.append(n)
        time.sleep(0.005)
        return n

    results = LocalEngine(workers=2).map(task, range(1_000))
    assert next(results) == 0
    results.close()
    assert len(started) < 50


def test_columns_are_shown_on_a_terminal(market):
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    planned, panel, side = market
    screen = Screen()
    compute(planned, panel, side, progress=Progress(screen))
    assert "100%" in screen.getvalue()


def test_nothing_is_drawn_where_nobody_watches(market):
    planned, panel, side = market
    stream = io.StringIO()
    compute(planned, panel, side, progress=Progress(stream))
    assert stream.getvalue() == ""


@pytest.fixture
def registry():
    return Registry(load_plugins(env={}))


@pytest.mark.parametrize("name", ["local", "mnpu-core/local"])
def test_the_local_engine_keeps_the_laws(registry, name):
    assert [outcome for outcome in check_component(registry, "engine", name) if not outcome.passed] == []


def test_engines_of_other_processes_can_keep_them():
    assert [outcome for outcome in engines.laws(Processes) if not outcome.passed] == []


@pytest.mark.parametrize(
    ("target", "broken"),
    [
        (Backwards, {"gives results in the order of the tasks", "ends with the first error as it was raised"}),
        (Quiet, {"ends with the first error as it was raised", "what tasks write is there for whoever asked"}),
    ],
)
def test_engines_that_break_a_law_are_found(registry, target, broken):
    registry.add("engine", "mine", target)
    found = {outcome.law for outcome in check_component(registry, "engine", "mine") if not outcome.passed}
    assert found >= broken


RECIPE = """
name: small
data: {store: market.db, symbols: [SPY], start: 2005-01-01, end: 2010-01-01}
features: [{use: price.log_return}]
split: {use: walk_forward, train: 2y, validation: 6mo, test: 1y}
model: {lookback: 8, backbone: {use: linear}}
policy: {use: equal_weight}
"""


def test_a_recipe_names_its_engine_and_its_workers(registry):
    pytest.importorskip("torch", reason="a recipe names a network")
    short = load_text(RECIPE + "runtime: {engine: local, workers: 2}")
    long = load_text(RECIPE + "runtime: {engine: {use: local}, workers: 2}")
    assert short.pipeline == long.pipeline
    resolved = resolve(short, registry)
    assert resolved["runtime"]["engine"] == {"use": "local"}
    assert resolved["runtime"]["workers"] == 2
    assert load_text(RECIPE).pipeline.runtime.workers == 1


@pytest.mark.parametrize(
    ("runtime", "message"),
    [
        ("{workers: 0}", "runtime.workers is 0, expected a positive integer"),
        ("{engine: loca}", "No engine named 'loca'. Did you mean 'local'"),
        ("{engine: {use: local, threads: 2}}", "threads"),
        ("{engine: {use: local, workers: 2}}", "workers"),
    ],
)
def test_a_recipe_that_names_a_wrong_one_is_refused(registry, runtime, message):
    with pytest.raises(ConfigError) as caught:
        resolve(load_text(RECIPE + f"runtime: {runtime}"), registry)
    assert message in str(caught.value)
