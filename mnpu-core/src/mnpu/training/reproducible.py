"""Run a block so that it gives the same bits again, and leave the process as it was."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["derived_seed", "n_threads", "reproducible", "unchanged_streams"]


def derived_seed(seed: int, *path: int) -> int:
    """A seed for one purpose, such as ``(fold, epoch)``: independent streams from one number in the recipe."""
    return int(np.random.SeedSequence([seed, *path]).generate_state(1, np.uint32)[0])


@contextmanager
def n_threads(threads: int) -> Iterator[None]:
    """Use ``threads`` threads in torch: sums are split among them, so their number decides the last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def reproducible(seed: int, *, threads: int, cuda: bool = False) -> Iterator[None]:
    """Seed every generator and choose deterministic algorithms; restore all of it afterwards.

    Parameters
    ----------
    seed : int
        For torch, numpy's global generator and ``random``, which a third-party network may use.
    threads : int
    cuda : bool, default=False
        On an accelerator an operation without a deterministic form warns instead of failing, and bits may differ.
    """
    python, legacy = random.getstate(), np.random.get_state()
    enabled, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    filled, benchmark = torch.utils.deterministic.fill_uninitialized_memory, torch.backends.cudnn.benchmark
    with torch.random.fork_rng(enabled=True, devices=range(torch.cuda.device_count()) if cuda else []):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=cuda)
        torch.utils.deterministic.fill_uninitialized_memory = False  # it would write every buffer twice
        torch.backends.cudnn.benchmark = False
        try:
            with n_threads(threads):
                yield
        finally:
            torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
            torch.utils.deterministic.fill_uninitialized_memory = filled
            torch.backends.cudnn.benchmark = benchmark
            random.setstate(python)
            np.random.set_state(legacy)


@contextmanager
def unchanged_streams(*, cuda: bool = False) -> Iterator[None]:
    """Whatever the block draws from the global generators, those who come after it draw what they would have drawn."""
    python, legacy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(enabled=True, devices=range(torch.cuda.device_count()) if cuda else []):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)
