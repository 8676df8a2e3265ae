"""Batches of shuffled windows as tensors, beside a plain copy of the same bytes and other libraries' loaders."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.rows import EARLIER, Row

__all__ = ["measure"]

SYMBOLS, BARS, FEATURES, LOOKBACK, BATCH = 383, 1259, 32, 64, 512
BATCHES, REPEATS = 60, 7
COPY, LOADER = "a plain memory copy of the same bytes", "torch DataLoader, a sample at a time"
#: Windows a second of whole loaders on one core; they take minutes to install, so they are not asked every time.
THEIRS = {"gluonts": 39_000, "darts": 83_000, "pytorch-forecasting": 5_400, "neuralforecast": 2_400}


def measure(workspace: Path) -> list[Row]:
    """Medians of the time of a batch on one thread, alternating with the copy; no worker process takes part.

    Parameters
    ----------
    workspace : path
        Not used: what is measured here needs torch alone.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ours, copied, loader = _times()
    finally:
        torch.set_num_threads(threads)
    case = f"a batch of {BATCH} windows, L {LOOKBACK}, F {FEATURES}"
    peers = {COPY: copied, LOADER: loader}
    peers |= {f"{name} ({EARLIER})": 1e6 * BATCH / rate for name, rate in THEIRS.items()}
    target = round(copied / 0.9, 1)
    return [
        Row("windows", case, "us", round(ours, 1), peer, round(theirs, 1), round(theirs / ours, 2), target)
        for peer, theirs in peers.items()
    ]


def _times() -> tuple[float, float, float]:
    """Microseconds for a batch: ours, the copy, the loader."""
    import numpy as np
    import torch

    from mnpu.training.batches import ShuffledBatches, gather

    rng = np.random.default_rng(0)
    scaled = rng.standard_normal((SYMBOLS, BARS, FEATURES), dtype=np.float32).transpose(1, 0, 2)
    time_, symbol = (index.ravel() for index in np.indices((BARS, SYMBOLS)))
    usable = time_ >= LOOKBACK - 1
    time_, symbol = time_[usable], symbol[usable]
    windows = gather(scaled, time_, symbol, lookback=LOOKBACK, y=np.zeros((len(time_), 1)))
    batches = ShuffledBatches(windows, BATCH, max_steps=BATCHES, seed=0)
    _check(scaled, next(batches.of_epoch(0, reuse=True)))
    flat = torch.from_numpy(np.ascontiguousarray(scaled.transpose(1, 0, 2))).flatten()
    buffer = torch.empty(BATCH * LOOKBACK * FEATURES)
    taken: dict[str, list[float]] = {"ours": [], "copy": []}
    for epoch in range(REPEATS):
        following = batches.of_epoch(epoch, reuse=True)
        for k in range(BATCHES):
            at = k * len(buffer) % (len(flat) - len(buffer))
            _timed(taken["ours"], lambda following=following: next(following))
            _timed(taken["copy"], lambda at=at: buffer.copy_(flat[at : at + len(buffer)]))
    return *(1e6 * median(taken[name]) for name in ("ours", "copy")), _loader(scaled, time_, symbol)


def _timed(into: list[float], work: Callable[[], Any]) -> None:
    began = time.perf_counter()
    work()
    into.append(time.perf_counter() - began)


def _check(scaled: Any, batch: Any) -> None:
    """Every window is the slice of its symbol that ends at its bar."""
    for row in range(0, BATCH, 37):
        t, a = int(batch.time[row]), int(batch.symbol[row])
        if not (batch.x[row].numpy() == scaled[t - LOOKBACK + 1 : t + 1, a]).all():
            raise AssertionError(f"window {row} is not the slice that it should be")


def _loader(scaled: Any, time_: Any, symbol: Any) -> float:
    """Microseconds for a batch from a DataLoader over a Dataset of one window a sample, without workers."""
    import numpy as np
    import torch
    from torch.utils.data import DataLoader, Dataset

    panel = torch.from_numpy(np.ascontiguousarray(scaled.transpose(1, 0, 2)))

    class Samples(Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return len(time_)

        def __getitem__(self, n: int) -> Any:
            t = time_[n]
            return panel[symbol[n], t - LOOKBACK + 1 : t + 1]

    order = torch.randperm(len(time_), generator=torch.Generator().manual_seed(0))[: BATCH * BATCHES].tolist()
    taken: list[float] = []
    following = iter(DataLoader(Samples(), batch_size=BATCH, sampler=order))
    for _ in range(BATCHES):
        _timed(taken, lambda: next(following))
    return 1e6 * median(taken)
