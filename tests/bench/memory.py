"""Memory of a training step at long windows: what every backbone needs at 8,192 bars, and how that grows.

Each figure is the peak of a process of its own (``VmHWM`` of Linux, reset before the step) over what the process held
before: forward and backward of a network with the quantile head, activations and gradients included, weights not.
The C library is told to give back whatever is freed, so that the peak is that of what is held, not of its own stock.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tests.bench.rows import Row

__all__ = ["BACKBONES", "measure", "peak"]

#: Those that compute blocks again; `tcn` and `omni` compute so few steps for a forecast that it would gain nothing.
WITH_BLOCKS = ("patch_transformer", "s4d", "mamba", "mamba2", "moe_transformer")
BACKBONES = ("linear", "dlinear", "gru", "tcn", "omni", *WITH_BLOCKS)
BATCH, COLUMNS, SHORT, LONG, DEEP = 8, 16, 2048, 8192, 8
REPEATS = 3
LINEAR = 1.15  #: how far growth may lie above that of the length
SMALLER = 0.75  #: of what a deep network keeps, the share that remains with its blocks computed again
ROOT = Path(__file__).parents[2]


def measure(workspace: Path) -> list[Row]:
    """Megabytes of a step for every backbone and their growth; of a deep one, with and without its blocks kept.

    Parameters
    ----------
    workspace : path
        Not used: the only peers are the same backbones.
    """
    rows = []
    for name in BACKBONES:
        long, short = (_in_a_process(name, length, "kept", 0) for length in (LONG, SHORT))
        what = f"{name}, a step of {BATCH} windows of {LONG:,} bars, {COLUMNS} columns, default sizes, in MB"
        length = LONG // SHORT
        rows.append(_row(what, long, f"{length} x that of {SHORT:,} bars", length * short, LINEAR * length * short))
        if name in WITH_BLOCKS:
            again, kept = (_in_a_process(name, LONG, how, DEEP) for how in ("again", "kept"))
            what = f"{name} of {DEEP} blocks, the same, blocks computed again, in MB"
            rows.append(_row(what, again, "everything kept", kept, SMALLER * kept))
    return rows


def peak(name: str, length: int, *, again: bool, depth: int) -> float:
    """Megabytes that a training step of this process needs at its peak, beyond what there was before it."""
    import ctypes

    import torch

    torch.set_num_threads(1)
    _step(name, 64, again, 0)()  # imports, compiled code
    step = _step(name, length, again, depth)
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what was freed must not be taken again unseen
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    before = _status("VmRSS")
    step()
    return (_status("VmHWM") - before) * 1024 / 1e6


def _row(case: str, ours: float, peer: str, theirs: float, target: float) -> Row:
    return Row("memory", case, "MB", ours, peer, round(theirs, 1), round(theirs / ours, 2), round(target, 1))


def _step(name: str, length: int, again: bool, depth: int) -> Callable[[], None]:
    import torch

    from mnpu.nn.network import Network
    from mnpu.nn.recompute import recompute
    from mnpu.plugins.registry import Registry

    torch.manual_seed(0)
    registry = Registry.discover()
    settings = {"depth": depth} if depth else {}
    backbone = registry.build("backbone", name, settings, n_features=COLUMNS, lookback=length).train()
    head = registry.build("head", "quantile", {}, d_in=backbone.d_out, n_horizons=1)
    network = Network(recompute(backbone) if again else backbone, head)
    x, y = torch.randn(BATCH, length, COLUMNS), torch.randn(BATCH, 1)

    def step() -> None:
        loss, own = network.losses(x, y)
        (loss if own is None else loss + own).backward()

    return step


def _in_a_process(name: str, length: int, how: str, depth: int) -> float:
    command = [sys.executable, "-m", "tests.bench.memory", name, str(length), how, str(depth)]
    env = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072", "OMP_NUM_THREADS": "1"}
    runs = [
        subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, text=True) for _ in range(REPEATS)
    ]
    return median(float(done.stdout.split()[-1]) for done in runs)


def _status(field: str) -> int:
    """A line of ``/proc/self/status``, in units of 1,024 bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{field}:")))


if __name__ == "__main__":
    print(round(peak(sys.argv[1], int(sys.argv[2]), again=sys.argv[3] == "again", depth=int(sys.argv[4])), 1))
