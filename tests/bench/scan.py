"""Scans of state-space models beside mambapy's, both in this process, on one thread and by turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.rows import EARLIER, Row

__all__ = ["measure"]

BATCH, WIDTH, MODES, TOKENS = 32, 128, 16, 8192
HEADS, CHUNK, LENGTHS = 2, 64, (256, 1024, 4096)  # of the dual form: the same channels in two heads
SCAN_FASTER, DUAL_TOKENS, STEP_US, LAYER_US = 18.0, 160_000, 30.0, 100.0
FLAT = 1.1  # what a token at a longer window may take of one at a shorter one, with the noise of two medians
REPEATS, FEW, STEPS = 7, 3, 100
#: Milliseconds of mambapy's scan by length, and microseconds of its layer, for where it is not installed.
EARLIER_SCAN, EARLIER_LAYER = {256: 852.0, 1024: 5290.0}, 167.0
NOBODY = "none: the target"

Runs = dict[Any, Callable[[], None]]


def measure(workspace: Path) -> list[Row]:
    """Medians of forward and backward passes in milliseconds, and of steps in microseconds.

    Parameters
    ----------
    workspace : path
        Not used: mambapy is plain torch, and needs no environment of its own.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [*_selective(), *_dual(), *_steps()]
    finally:
        torch.set_num_threads(threads)


def _selective() -> list[Row]:
    """The selective scan at two lengths beside mambapy's, and a token at the longer beside one at the shorter."""
    runs = {(who, length): run for length in EARLIER_SCAN for who, run in _selective_runs(length).items()}
    taken, rows, each = _medians(runs, FEW), [], {}
    for length, earlier in EARLIER_SCAN.items():
        theirs, ours = taken.get(("mambapy", length), earlier), taken["mnpu", length]
        case = f"selective scan, B {BATCH}, L {length:,}, D {WIDTH}, N {MODES}, forward and backward"
        peer = _shown("mambapy pscan", ("mambapy", length) in taken)
        rows.append(_row(case, "ms", ours, peer, theirs, theirs / SCAN_FASTER))
        each[length] = 1e3 * ours / (BATCH * length)
    short, long = each.values()
    return [*rows, _row("selective scan, a token at L 1,024", "us", long, "a token at L 256", short, FLAT * short)]


def _selective_runs(length: int) -> Runs:
    import torch

    from mnpu_models_ssm.scan import selective_scan

    draw = torch.Generator().manual_seed(0)
    u, b, c = (torch.randn(BATCH, length, n, generator=draw) for n in (WIDTH, MODES, MODES))
    delta = 0.1 * torch.rand(BATCH, length, WIDTH, generator=draw)
    a = -torch.arange(1.0, MODES + 1).repeat(WIDTH, 1)
    values = [value.requires_grad_() for value in (u, delta, a, b, c, torch.ones(WIDTH))]
    runs = {"mnpu": _both(lambda: selective_scan(*values), values)}
    if (published := _published()) is not None:

        def theirs() -> Any:
            u, delta, a, b, c, skip = values
            return published.MambaBlock.selective_scan(None, u, delta, a, b, c, skip)

        torch.testing.assert_close(theirs(), selective_scan(*values), rtol=1e-4, atol=1e-4)
        runs["mambapy"] = _both(theirs, values)
    return runs


def _dual() -> list[Row]:
    """The chunked scan of Mamba-2: as many tokens at each length, in windows of it."""
    import torch

    from mnpu_models_ssm.ssd import ssd

    runs: Runs = {}
    for length in LENGTHS:
        draw = torch.Generator().manual_seed(0)
        size = (TOKENS // length, length)
        x = torch.randn(*size, HEADS, WIDTH // HEADS, generator=draw)
        log_decay = -torch.rand(*size, HEADS, generator=draw)
        b, c = (torch.randn(*size, MODES, generator=draw) for _ in range(2))
        values = [value.requires_grad_() for value in (x, log_decay, b, c)]
        runs[length] = _both(lambda values=values: ssd(*values, chunk=CHUNK), values)  # type: ignore[misc]
    taken = _medians(runs, REPEATS)
    target = 1e3 * TOKENS / DUAL_TOKENS
    case = f"chunked scan of mamba2, {HEADS} heads of {WIDTH // HEADS}, {TOKENS:,} tokens, forward and backward"
    rows = [_row(f"{case}, L {length:,}", "ms", taken[length], NOBODY, target, target) for length in LENGTHS]
    short, long = taken[LENGTHS[0]], taken[LENGTHS[-1]]
    return [*rows, _row(f"{case}, L {LENGTHS[-1]:,}", "ms", long, f"at L {LENGTHS[0]}", short, FLAT * short)]


def _steps() -> list[Row]:
    """One step of one window: of the scan alone, and of a layer with its projections and its convolution."""
    import torch

    from mnpu_models_ssm.mamba import Mamba
    from mnpu_models_ssm.scan import selective_step

    u, b, c, delta = (torch.randn(1, n) for n in (WIDTH, MODES, MODES, WIDTH))
    a, state = -torch.rand(WIDTH, MODES), torch.zeros(1, WIDTH, MODES)
    layer = Mamba(1, 1, d_model=WIDTH, depth=1, d_state=MODES).eval().blocks[0]
    h, held = torch.randn(1, WIDTH), layer.mixer.initial_state(1)
    runs: Runs = {
        "scan": lambda: selective_step(u, delta.abs(), a, b, c, u[0], state),
        "layer": lambda: layer.step(h, held),
    }
    if (published := _published()) is not None:
        other = published.MambaBlock(published.MambaConfig(d_model=WIDTH, n_layers=1, d_state=MODES)).eval()
        other.load_state_dict(layer.mixer.state_dict())
        theirs = (None, torch.zeros(1, other.config.d_inner, other.config.d_conv - 1))
        torch.testing.assert_close(other.step(h, theirs)[0], layer.mixer.step(h, held)[0], rtol=1e-4, atol=1e-5)
        runs["mambapy"] = lambda: other.step(h, theirs)
    many = {name: (lambda run=run: [run() for _ in range(STEPS)]) for name, run in runs.items()}  # type: ignore[misc]
    with torch.inference_mode():
        taken = {name: 1e3 * value / STEPS for name, value in _medians(many, 5 * REPEATS).items()}
    theirs_us = taken.get("mambapy", EARLIER_LAYER)
    return [
        _row(f"step of the scan, one window, D {WIDTH}, N {MODES}", "us", taken["scan"], NOBODY, STEP_US, STEP_US),
        _row(
            *(f"step of a mamba layer with its norm, one window, D {WIDTH}", "us", taken["layer"]),
            *(_shown("mambapy, without a norm", "mambapy" in taken), theirs_us, LAYER_US),
        ),
    ]


def _published() -> Any:
    """mambapy where it is installed, otherwise None."""
    try:
        import mambapy.mamba
    except ImportError:
        return None
    return mambapy.mamba


def _both(output: Callable[[], Any], values: list[Any]) -> Callable[[], None]:
    def run() -> None:
        for value in values:
            value.grad = None
        output().sum().backward()

    return run


def _medians(runs: Runs, repeats: int) -> dict[Any, float]:
    """Milliseconds of each, by turns; the first turn warms caches and compiles."""
    times: dict[Any, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            if repeat:
                times[name].append(1e3 * (time.perf_counter() - began))
    return {name: median(values) for name, values in times.items()}


def _shown(peer: str, measured: bool) -> str:
    return peer if measured else f"{peer} ({EARLIER})"


def _row(case: str, unit: str, ours: float, peer: str, theirs: float, target: float) -> Row:
    return Row("scan", case, unit, round(ours, 2), peer, round(theirs, 2), round(theirs / ours, 2), round(target, 2))
