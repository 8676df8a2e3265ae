"""Features of a panel of 383 symbols and 1,259 days, beside the field's libraries; and in what memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from tests.bench.peers import Peer
from tests.bench.rows import Row, timed

__all__ = ["measure"]

REPEATS = 5
FEW = 3  # of what takes seconds
SCRIPT = Path(__file__).with_name("features_peers.py")
FASTER, SCALES = 60.0, 1.7  # than qlib without caches on one core; than one core on two
SESSION_MS, SESSION_FASTER = 25.0, 1_000.0
STEP_MS, STEP_GROWS = 1.0, 1.2  # after ten times more history
CACHED_MS = 300.0
MEMORY, LARGE = 1.5, (2_000, 2_500)
NOBODY = "none: the target"
#: Columns of Alpha158 whose values are ill-conditioned, and how near the others and these must come.
ILL, NEAR, FLOOR = ("CORR", "CORD"), {False: 1e-4, True: 2e-2}, 1e-3
#: Bars until a window of qlib's is full: before it, float32 and short windows leave more room.
FULL = 70


QLIB = ("qlib", ("pyqlib",))
COLD = Peer("qlib, no caches", *QLIB, "alpha_qlib", 29_600.0, FEW)
COLD_2 = Peer("qlib, no caches, 2 kernels", *QLIB, "alpha_qlib_2", 17_000.0, FEW)
SESSION = Peer("qlib, no caches", *QLIB, "session_qlib", 25_400.0, FEW)
TALIB = Peer("TA-Lib, stacked float32", "talib", ("TA-Lib", "numpy"), "indicators_talib", 156.0)
TA = Peer("ta, all its columns, from 20 symbols", "ta", ("ta", "numpy", "pandas"), "indicators_ta", 4_300.0, FEW)
BYTES = Peer("numpy.fromfile of as many bytes", "talib", ("TA-Lib", "numpy"), "mapped_bytes", 200.0)


def measure(workspace: Path) -> list[Row]:
    """Medians for MNPU and for each peer, one after the other, on the same bars."""
    from tests.bench.features_world import keep, prices

    settings = dict(os.environ)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keep(prices(), folder)
        try:
            os.environ["MNPU_CACHE"] = str(folder / "cache")
            return [row for part in PARTS for row in part(folder, workspace)]
        finally:
            os.environ.clear()
            os.environ.update(settings)


def alpha(folder: Path, workspace: Path) -> list[Row]:
    """All of Alpha158 at once: on one core beside qlib on one, and on two beside one."""
    from mnpu.engine import LocalEngine
    from mnpu.features.compute import compute
    from tests.bench.features_world import alpha158, nothing, prices

    panel, planned, side = prices(), alpha158(), nothing()
    frame = compute(planned, panel, side)
    taken: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(REPEATS):
        for workers in taken:  # one after the other, so that both meet the same machine
            began = time.perf_counter()
            compute(planned, panel, side, engine=LocalEngine(workers=workers))
            taken[workers].append(1e3 * (time.perf_counter() - began))
    one, two = median(taken[1]), median(taken[2])
    theirs, shown, _ = COLD.measured(SCRIPT, folder, workspace)
    if (folder / "qlib.npz").exists():
        rounded = {name: values.astype(np.float32).astype(float) for name, values in panel.fields.items()}
        same = compute(planned, replace(panel, fields=rounded), side)  # qlib's store holds float32
        whole = np.all([np.isfinite(values).all(axis=0) for values in rounded.values()], axis=0)
        compare(same.names, same.values, folder / "qlib.npz", whole)
    both, shown_both, _ = COLD_2.measured(SCRIPT, folder, workspace)
    cells = f"{frame.values.size / one / 1e3:,.0f} M cells/s"
    return [
        _row(f"Alpha158, cold, one core ({cells})", one, shown, theirs, theirs / FASTER),
        _row("Alpha158, cold, two cores", two, "MNPU on one core", one, one / SCALES),
        _row("Alpha158, cold, two cores", two, shown_both, both, both / FASTER),
    ]


def session(folder: Path, workspace: Path) -> list[Row]:
    """All of Alpha158 at one more day of every symbol: a step of a stream."""
    from mnpu.features.stream import Stream
    from tests.bench.features_world import alpha158, nothing, prices

    panel = prices()
    bars = len(panel.times)
    stream = Stream(alpha158(), panel.rows(0, bars - 30), nothing())
    taken = _steps(stream, [panel.rows(t, t + 1) for t in range(bars - 30, bars)])
    theirs, shown, _ = SESSION.measured(SCRIPT, folder, workspace)
    target = min(SESSION_MS, theirs / SESSION_FASTER)
    return [_row("Alpha158 of one new session", taken, shown, theirs, target)]


def technical(folder: Path, workspace: Path) -> list[Row]:
    """36 indicators into one float32 matrix, beside TA-Lib in C and ta in pandas."""
    from mnpu.features.compute import compute
    from tests.bench.features_world import indicators, nothing, prices

    panel, planned, side = prices(), indicators(), nothing()
    ours, frame = timed(lambda: compute(planned, panel, side), repeats=REPEATS)
    cells = f"{frame.values.size / ours / 1e3:,.0f} M cells/s"
    theirs, shown, found = TALIB.measured(SCRIPT, folder, workspace)
    result = float(np.nansum(frame.values[..., [9, 18, 26, 27]].astype(float)))
    complete = bool(np.isfinite(panel["high"]).all() and np.isfinite(panel["low"]).all())
    if complete and np.isfinite(found) and not np.isclose(found, result, rtol=1e-4):
        raise AssertionError(f"indicators: TA-Lib found {found}, MNPU {result}")
    rows = [_row(f"36 indicators into one matrix ({cells})", ours, shown, theirs, theirs)]
    theirs, shown, columns = TA.measured(SCRIPT, folder, workspace)
    each = theirs * panel.shape[1] / 20 * 36 / (columns if np.isfinite(columns) else 86)
    return [*rows, _row("36 indicators into one matrix", ours, f"{shown}, by cells", each, rows[0].target)]


def steps(folder: Path, workspace: Path) -> list[Row]:
    """A step of an agent: a recipe's features of one symbol, after its whole history and after ten times as much."""
    from mnpu.features.plan import plan
    from mnpu.features.stream import Stream
    from mnpu.plugins.registry import Registry
    from tests.bench.features_world import BARS, Use, alpha158, nothing, prices

    rows = []
    recipe = plan([Use(name, **params) for name, params in RECIPE], Registry.discover())
    for case, planned in ((f"{len(recipe)} features of a recipe", recipe), ("Alpha158", alpha158())):
        taken = []
        for bars in (BARS, 10 * BARS):
            panel = prices(1, bars + 201)
            stream = Stream(planned, panel.rows(0, bars), nothing())
            taken.append(_steps(stream, [panel.rows(t, t + 1) for t in range(bars, bars + 201)]))
        short, long = taken
        rows += [
            _row(f"agent step, {case}, one symbol", short, NOBODY, STEP_MS, STEP_MS),
            _row(f"the same after 10 times more history, {case}", long, "after 1,259 days", short, STEP_GROWS * short),
        ]
    return rows


def cached(folder: Path, workspace: Path) -> list[Row]:
    """Alpha158 again, with nothing changed: its columns are mapped, and its values read."""
    from mnpu.features.compute import compute
    from tests.bench.features_world import alpha158, nothing, prices

    panel, planned, side, home = prices(), alpha158(), nothing(), folder / "features"
    compute(planned, panel, side, cache=home)
    taken, _ = timed(lambda: float(compute(planned, panel, side, cache=home).values[-1].sum()), repeats=REPEATS)
    theirs, shown, _ = BYTES.measured(SCRIPT, folder, workspace)
    return [_row("Alpha158 again, from the cache", taken, shown, theirs, CACHED_MS)]


def memory(folder: Path, workspace: Path) -> list[Row]:
    """Peak memory of a process that computes Alpha158 of 2,000 symbols and 2,500 days, over that of the values."""
    if not Path("/proc/self/clear_refs").exists():
        return []
    root = Path(__file__).parents[2]
    module = [sys.executable, "-m", "tests.bench.features_memory", *map(str, LARGE)]
    done = subprocess.run(module, check=True, stdout=subprocess.PIPE, text=True, cwd=root, timeout=1_200)
    import json

    peak, share = json.loads(done.stdout.splitlines()[-1])
    case = f"memory of Alpha158, {LARGE[0]:,} x {LARGE[1]:,} (peak {peak:.1f} GB)"
    return [Row("features", case, "x values", round(share, 2), NOBODY, MEMORY, round(MEMORY / share, 2), MEMORY)]


def compare(names: Sequence[str], values: np.ndarray, path: Path, symbols: np.ndarray) -> None:
    """Hold Alpha158 (T, A, 158) of some symbols to qlib's; an error where a column is too far away.

    Those are the symbols without a missing bar, for which the two have other rules.
    """
    with np.load(path) as held:
        order = {str(name): n for n, name in enumerate(held["names"])}
        theirs = held["values"].reshape(values.shape[1], values.shape[0], len(order))
    far = []
    for f, name in enumerate(names):
        column = name.rpartition(".")[2]
        mine = values[FULL:, symbols, f].T.astype(float)
        other = theirs[symbols, FULL:, order[column]].astype(float)
        both = np.isfinite(mine) & np.isfinite(other)
        gap = np.abs(mine - other)[both] / np.maximum(np.abs(other)[both], FLOOR)
        share = float(np.mean(gap > NEAR[column.startswith(ILL)])) if both.any() else 1.0
        if share > AWAY:
            far.append(f"{column}: {share:.2%} of the values, up to {gap.max():.1g}")
    if far:
        raise AssertionError(f"Alpha158 differs from qlib in {len(far)} columns: {'; '.join(far)}")


#: Share of a column's values that may lie further away, where float32 cancels out.
AWAY = 1e-4

#: What a pipeline might well read.
RECIPE: tuple[tuple[str, dict[str, object]], ...] = (
    ("price.log_return", {"window": [1, 5, 21]}),
    ("price.momentum", {}),
    ("price.realised_volatility", {"window": [21, 63]}),
    ("price.distance_from_average", {"window": [20, 200]}),
    ("price.drawdown", {}),
    ("price.volume_zscore", {}),
    ("technical.rsi", {}),
    ("technical.macd_hist", {}),
    ("technical.adx", {}),
    ("price.day_of_week", {"phase": ["sin", "cos"]}),
)

#: What is measured, in the order of the table.
PARTS: tuple[Callable[[Path, Path], list[Row]], ...] = (alpha, session, technical, steps, cached, memory)


def _row(case: str, ours: float, peer: str, theirs: float, target: float) -> Row:
    figures = (round(ours, 2), peer, round(theirs, 2), round(theirs / ours, 2), round(target, 2))
    return Row("features", case, "ms", *figures)


def _steps(stream, bars) -> float:
    """Milliseconds of a step, the median after the first, which compiles."""
    stream.step(bars[0])
    taken = []
    for bar in bars[1:]:
        began = time.perf_counter()
        stream.step(bar)
        taken.append(1e3 * (time.perf_counter() - began))
    return median(taken)
