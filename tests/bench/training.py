"""A fit's whole step, as a run makes it, beside a bare torch loop of the same network that does the same arithmetic."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.rows import EARLIER, Row

__all__ = ["measure"]

LOOKBACK, FEATURES = 64, 32
REPEATS = 5
#: By case: windows of a batch, steps of a fit, and the overhead that is allowed.
CASES = {"the tiniest MLP": (128, 200, 1.3), "a tiny MLP": (512, 200, 1.3), "patch_transformer": (512, 8, 1.1)}
#: Hidden numbers of the networks that are no backbone of this package.
HIDDEN = {"the tiniest MLP": 16, "a tiny MLP": 64}
#: Overhead of other libraries over their own networks in a bare loop.
THEIRS = {"neuralforecast, NHITS": 3.33, "neuralforecast, iTransformer": 1.22, "Lightning, an MLP": 219 / 174}


def measure(workspace: Path) -> list[Row]:
    """Medians of the ratio of both loops' times on one thread, alternating.

    Ours has what a run has by default: instruments, a checkpoint after the epoch, deterministic algorithms and the
    seeding. The bare loop has the same batches by index, clipping, optimizer and validation, and ends with the same
    weights.

    Parameters
    ----------
    workspace : path
        Not used: the peer is plain torch.
    """
    rows = []
    for name, (size, steps, allowed) in CASES.items():
        step, ratio = _measured(name, size, steps)
        case = f"{name}, {step:.1f} ms a step"
        peers = {"a bare torch loop": 1.0} | {f"{peer} ({EARLIER})": x for peer, x in THEIRS.items()}
        rows += [
            Row("training", case, "x bare", round(ratio, 3), peer, round(x, 2), round(x / ratio, 2), allowed)
            for peer, x in peers.items()
        ]
    return rows


def _measured(name: str, size: int, steps: int) -> tuple[float, float]:
    """Milliseconds of a bare step, and how much longer ours takes."""
    import torch

    windows, held = _windows(size * steps), _windows(size)
    bare, ours = [], []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for repeat in range(REPEATS + 1):
            took, expected = _timed(lambda: _bare(_network(name), windows, held, size))
            also, found = _timed(lambda: _ours(_network(name), windows, held, size))
            if not all(torch.equal(expected[key], found[key]) for key in expected):
                raise AssertionError(f"{name}: both loops must end with the same weights")
            if repeat:  # the first pass fills the allocator
                bare.append(took)
                ours.append(also)
    finally:
        torch.set_num_threads(threads)
    return 1e3 * median(bare) / steps, median(a / b for a, b in zip(ours, bare, strict=True))


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    answer = work()
    return time.perf_counter() - began, answer


def _windows(count: int) -> Any:
    import numpy as np

    from mnpu.training.batches import gather

    rng = np.random.default_rng(count)
    bars = count // 8 + LOOKBACK - 1
    time_, symbol = (index.ravel() for index in np.indices((bars, 8)))
    usable = time_ >= LOOKBACK - 1
    scaled = rng.standard_normal((bars, 8, FEATURES), dtype=np.float32)
    labels = rng.standard_normal((int(usable.sum()), 1))
    return gather(scaled, time_[usable], symbol[usable], lookback=LOOKBACK, y=labels)


def _network(name: str) -> Any:
    import torch
    from torch import nn

    from mnpu.nn.network import Network
    from mnpu.nn.patch_transformer import PatchTransformer
    from mnpu.nn.quantile import Quantile

    class Mlp(nn.Module):
        causal, streams = False, False

        def __init__(self, hidden: int) -> None:
            super().__init__()
            self.d_out = hidden
            into, out = nn.Linear(LOOKBACK * FEATURES, hidden), nn.Linear(hidden, hidden)
            self.layers = nn.Sequential(nn.Flatten(), into, nn.ReLU(), out)

        def summary(self, x: Any) -> Any:
            return self.layers(x)

    torch.manual_seed(0)
    body = Mlp(HIDDEN[name]) if name in HIDDEN else PatchTransformer(FEATURES, LOOKBACK)
    return Network(body, Quantile(body.d_out, 1))


def _settings(size: int) -> Any:
    from mnpu.config.models import TrainConfig

    return TrainConfig(epochs=1, batch_size=size)


def _ours(network: Any, windows: Any, held: Any, size: int) -> dict[str, Any]:
    """The loop of a run: with its default instruments, a checkpoint and deterministic algorithms."""
    from mnpu.training import Checkpoints, Recorder
    from mnpu.training.backends import Backend
    from mnpu.training.batches import OrderedBatches, ShuffledBatches
    from mnpu.training.checkpoints import Every
    from mnpu.training.instruments.calibration import Calibration
    from mnpu.training.instruments.norms import Norms
    from mnpu.training.instruments.throughput import Throughput
    from mnpu.training.loop import Loop
    from mnpu.training.reproducible import reproducible

    settings = _settings(size)
    watching = {"norms": Norms(), "calibration": Calibration(), "throughput": Throughput()}
    with tempfile.TemporaryDirectory() as folder, reproducible(0, threads=1):
        callbacks = [Recorder(watching, alerts=settings.alerts), Checkpoints(Path(folder), Every(1, "epoch"))]
        batches = ShuffledBatches(windows, size, max_steps=None, seed=0)
        loop = Loop(
            network,
            batches,
            OrderedBatches(held, size),
            settings,
            backend=Backend(),
            callbacks=callbacks,
            where="bench",
        )
        loop.run()
    return dict(network.state_dict())


def _bare(network: Any, windows: Any, held: Any, size: int) -> dict[str, Any]:
    """What anyone would write by hand."""
    import torch

    from mnpu.training.reproducible import derived_seed

    settings = _settings(size)
    spared = {f"backbone.{name}" for name in getattr(network.backbone, "no_weight_decay", ())}
    matrices = [p for name, p in network.named_parameters() if p.ndim > 1 and name not in spared]
    others = [p for name, p in network.named_parameters() if p.ndim < 2 or name in spared]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.lr, fused=True)
    order = torch.randperm(len(windows), generator=torch.Generator().manual_seed(derived_seed(0, 0)))
    losses = []
    network.train()
    for index in order.split(size):
        x = windows.rows[windows.first[index]].unflatten(1, (LOOKBACK, FEATURES))
        optimizer.zero_grad()
        loss = network.loss(x, windows.y[index])
        loss.backward()
        losses.append(loss.detach())
        torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
        optimizer.step()
    network.eval()
    with torch.inference_mode():
        torch.stack(losses).mean().item()
        network.loss(held.rows[held.first].unflatten(1, (LOOKBACK, FEATURES)), held.y).item()
    return dict(network.state_dict())
