"""Topic ``statistics``: fourteen numbers of many strategies beside empyrical, overfitting, and the best of many.

The file has another name: peers' scripts in this folder import the standard library's ``statistics``.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from tests.bench.peers import Peer
from tests.bench.rows import Row

__all__ = ["measure"]

REPEATS = 5
FEW = 3  # of what takes seconds
SCRIPT = Path(__file__).with_name("strategies_peers.py")
STRATEGIES, DAYS, FASTER = 200, 2_520, 20.0  # ten years of days; than empyrical
TRIALS, TRIAL_DAYS, PBO_MS = 1_000, 2_500, 10_000.0
TESTED, TESTED_DAYS, RESAMPLES = 200, 1_000, 1_000
NOBODY = "none: the target"

EMPYRICAL = Peer("empyrical-reloaded", "empyrical", ("empyrical-reloaded",), "simple_empyrical", 417.0, FEW)
ARCH = Peer("arch", "arch", ("arch",), "superiority_arch", 540.0, FEW)


def measure(workspace: Path) -> list[Row]:
    """Medians for MNPU and for each peer, one after the other, on the same returns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*simple(folder, workspace), *overfitting(), *superiority(folder, workspace)]


def simple(folder: Path, workspace: Path) -> list[Row]:
    """The fourteen simple statistics of 200 strategies over ten years."""
    from mnpu.metrics.many import simple_statistics

    returns = _returns(STRATEGIES, DAYS)
    np.save(folder / "simple.npy", returns)
    taken, found = _median(lambda: simple_statistics(returns, periods_per_year=252.0, years=DAYS / 252), REPEATS)
    theirs, shown, result = EMPYRICAL.measured(SCRIPT, folder, workspace)
    # Theirs states losses as negative returns and the kurtosis of a normal law as 0.
    signs = {"var_0.05": -1.0, "cvar_0.05": -1.0}
    ours = sum(signs.get(name, 1.0) * float(numbers.sum()) for name, numbers in found.items()) - 3.0 * STRATEGIES
    if np.isfinite(result) and not np.isclose(ours, result, rtol=1e-9):
        raise AssertionError(f"simple statistics: empyrical found {result}, MNPU {ours}")
    rate = f"{1e3 * STRATEGIES / taken:,.0f} strategies/s"
    case = f"14 metrics of {STRATEGIES} ten-year strategies ({rate})"
    return [_row(case, taken, shown, theirs, theirs / FASTER)]


def overfitting() -> list[Row]:
    """The probability of backtest overfitting over all 12,870 halves of sixteen blocks."""
    from mnpu.metrics.overfitting import pbo

    returns = _returns(TRIALS, TRIAL_DAYS)
    taken, _ = _median(lambda: pbo(returns), FEW)
    return [_row(f"PBO, 16 blocks, {TRIALS:,} trials x {TRIAL_DAYS:,} days", taken, NOBODY, PBO_MS, PBO_MS)]


def superiority(folder: Path, workspace: Path) -> list[Row]:
    """The test of superior predictive ability, and with it the reality check."""
    from mnpu.metrics import superiority as tests

    returns = _returns(TESTED, TESTED_DAYS)
    np.save(folder / "tested.npy", returns)
    taken, found = _median(lambda: tests.superiority(returns, block=5.0, resamples=RESAMPLES), FEW)
    theirs, shown, result = ARCH.measured(SCRIPT, folder, workspace)
    if np.isfinite(result) and abs(found.p_reality_check - result) > 0.07:
        raise AssertionError(f"reality check: arch found {result}, MNPU {found.p_reality_check}")
    case = f"SPA and reality check, {TESTED} strategies x {TESTED_DAYS:,} days, {RESAMPLES:,} resamples"
    return [_row(case, taken, shown, theirs, theirs)]


def _returns(n: int, days: int) -> np.ndarray:
    return 3e-4 + 0.01 * np.random.default_rng(6).standard_t(5, (n, days))


def _median(work: Callable[[], object], repeats: int):
    """Milliseconds, the median after a first time, and what came out."""
    found = work()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        taken.append(1e3 * (time.perf_counter() - began))
    return median(taken), found


def _row(case: str, ours: float, peer: str, theirs: float, target: float) -> Row:
    figures = (round(ours, 2), peer, round(theirs, 2), round(theirs / ours, 2), round(target, 2))
    return Row("statistics", case, "ms", *figures)
