"""Batches of windows, gathered by index from one array: no copy per sample, no worker processes.

The scaled features lie as (A, T, F'), so a window is one contiguous run of L x F' numbers, the windows of all
symbols are one strided view with a row for every possible start, and a batch is one ``index_select`` on it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mnpu.training.reproducible import derived_seed
from mnpu.training.rows import copy_rows
from mnpu.types import WindowBatch

__all__ = ["ShuffledBatches", "Windows", "gather"]


@dataclass(frozen=True)
class Windows:
    """The usable windows of a range.

    Attributes
    ----------
    rows : Tensor (A*T - L + 1, L*F'), a view
        Every run of L bars; those that cross from one symbol into the next are never indexed.
    first : int64 Tensor (N,)
        Row of each usable window.
    y : float32 Tensor (N, H) or None
        Scaled targets.
    time, symbol : int64 Tensor (N,)
    lookback : int
    """

    rows: Tensor
    first: Tensor
    y: Tensor | None
    time: Tensor
    symbol: Tensor
    lookback: int

    def __len__(self) -> int:
        return len(self.first)

    def batch(self, index: Tensor, *, into: Tensor | None = None) -> WindowBatch:
        """The windows at positions ``index`` (B,); their rows are written ``into`` a tensor (B, L*F') if there is one.

        A fresh tensor costs several times what is written into it: the system hands its pages out one by one.
        """
        first = self.first.index_select(0, index)
        if into is None or into.device.type != "cpu" or torch.get_num_threads() > 1:
            rows = torch.index_select(self.rows, 0, first, out=None if into is None else into[: len(first)])
        else:
            rows = copy_rows(self.rows, first, into)
        y = None if self.y is None else self._targets(index)
        time, symbol = self.time.index_select(0, index), self.symbol.index_select(0, index)
        x = rows.view(len(rows), self.lookback, rows.shape[1] // self.lookback)  # a view costs a third of an unflatten
        return WindowBatch(x, y, time, symbol)

    def _targets(self, index: Tensor) -> Tensor:
        """Targets (B, H) at positions ``index``: one horizon as a row of numbers, which is several times as fast."""
        assert self.y is not None
        if self.y.shape[1] == 1:
            return self.y.reshape(-1).index_select(0, index).view(-1, 1)
        return self.y.index_select(0, index)

    def to(self, device: str) -> Windows:
        """The same windows on a device: every bar moves once, however many windows it is in."""
        if str(self.rows.device) == str(torch.device(device)):
            return self
        bars = self.rows.untyped_storage().nbytes() // self.rows.element_size()
        moved = self.rows.as_strided((bars,), (1,), 0).to(device)
        rows = moved.as_strided(self.rows.shape, self.rows.stride(), self.rows.storage_offset())
        y = None if self.y is None else self.y.to(device)
        time, symbol = self.time.to(device), self.symbol.to(device)
        return Windows(rows, self.first.to(device), y, time, symbol, self.lookback)

    def chunks(self, size: int) -> Iterator[WindowBatch]:
        """All windows in order, at most ``size`` at a time."""
        for index in torch.arange(len(self), device=self.first.device).split(size):
            yield self.batch(index)


def gather(
    scaled: np.ndarray,
    time: np.ndarray,
    symbol: np.ndarray,
    *,
    lookback: int,
    y: np.ndarray | None = None,
    device: str | torch.device = "cpu",
) -> Windows:
    """Windows over ``scaled`` (T, A, F'), float32 without NaN, that end at bars ``time`` (N,) of ``symbol`` (N,).

    ``y`` (N, H) are their scaled targets.
    """
    n_times, n_assets, n_columns = scaled.shape
    flat = torch.from_numpy(np.ascontiguousarray(scaled.transpose(1, 0, 2))).to(device).flatten()  # (A*T*F',)
    shape = (n_assets * n_times - lookback + 1, lookback * n_columns)
    ends, owners = torch.from_numpy(time).to(device), torch.from_numpy(symbol).to(device)
    return Windows(
        rows=flat.as_strided(shape, (n_columns, 1)),
        first=owners * n_times + ends - (lookback - 1),
        y=None if y is None else torch.from_numpy(y.astype(np.float32)).to(device),
        time=ends,
        symbol=owners,
        lookback=lookback,
    )


class ShuffledBatches:
    """Another random order of the training windows in every epoch, in whole batches, without replacement.

    Parameters
    ----------
    windows : Windows
    size : int
        Windows in a batch; fewer only if there are fewer altogether. A smaller rest waits for the next epoch's order.
    max_steps : int or None
        Steps in an epoch; None for as many as the windows fill.
    seed : int
        The order depends on it and the number of the epoch alone.
    accumulate : int, default=1
        Batches in a step; fewer only if there are fewer altogether.

    Attributes
    ----------
    steps : int
        In an epoch.
    """

    def __init__(self, windows: Windows, size: int, *, max_steps: int | None, seed: int, accumulate: int = 1) -> None:
        self.windows, self.size, self.seed = windows, size, seed
        whole = max(len(windows) // size, 1)
        self.accumulate = min(accumulate, whole)
        steps = whole // self.accumulate
        self.steps = steps if max_steps is None else min(steps, max_steps)
        self.epoch = 0
        self._part = slice(None)

    @property
    def of_step(self) -> int:
        """Windows whose gradients make one step, of all processes: fewer than asked for where there are too few."""
        return min(self.size, len(self.windows)) * self.accumulate

    def part(self, rank: int, world: int, device: str) -> ShuffledBatches:
        """The part of one of several processes: every ``world``-th window of each batch."""
        mine = copy.copy(self)
        mine.windows, mine._part = self.windows.to(device), slice(rank, None, world)
        return mine

    def __len__(self) -> int:
        return self.steps * self.accumulate

    def __iter__(self) -> Iterator[WindowBatch]:
        self.epoch += 1
        return self.of_epoch(self.epoch - 1)

    def of_epoch(self, epoch: int, *, skip: int = 0, reuse: bool = False) -> Iterator[WindowBatch]:
        """The batches of epoch ``epoch``, counted from 0, without the first ``skip``.

        With ``reuse`` the next batch is written over the last one: for whoever is done with it by then.
        """
        generator = torch.Generator().manual_seed(derived_seed(self.seed, epoch))
        order = torch.randperm(len(self.windows), generator=generator)[: len(self) * self.size]
        into = None
        if reuse:
            rows = self.windows.rows
            if not 0 <= int(self.windows.first.min()) <= int(self.windows.first.max()) < len(rows):
                raise IndexError("a window begins outside of the data")
            into = torch.empty(min(self.size, len(self.windows)), rows.shape[1], device=rows.device)
        for index in order.to(self.windows.first.device).split(self.size)[skip:]:
            yield self.windows.batch(index[self._part], into=into)


@dataclass(frozen=True)
class OrderedBatches:
    """All windows in order, in batches of at most ``size``: the same every time."""

    windows: Windows
    size: int
    rank: int = 0
    world: int = 1

    def part(self, rank: int, world: int, device: str) -> OrderedBatches:
        """The part of one of several processes: every ``world``-th window."""
        return OrderedBatches(self.windows.to(device), self.size, rank, world)

    def __len__(self) -> int:
        return -(-len(range(self.rank, len(self.windows), self.world)) // self.size)

    @property
    def n_windows(self) -> int:
        """How many windows there are in all batches of all processes."""
        return len(self.windows)

    def __iter__(self) -> Iterator[WindowBatch]:
        mine = torch.arange(self.rank, len(self.windows), self.world, device=self.windows.first.device)
        for index in mine.split(self.size):
            yield self.windows.batch(index)
