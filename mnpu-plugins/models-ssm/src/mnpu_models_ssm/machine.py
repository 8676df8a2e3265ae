"""Where loops of machine code can serve, and how their windows are divided among threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

__all__ = ["compilable", "spread"]

ALONE = 1 << 20  #: units of work below which threads cost more than they save


def compilable(x: Tensor) -> bool:
    """Whether ``x`` is numbers in a processor's memory, float32 or float64, and no operation on it is traced."""
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing() or type(x) not in (Tensor, torch.nn.Parameter)
    traced = traced or torch._C._are_functorch_transforms_active()  # torch.func, whose tensors have no memory
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64) and not traced


def spread(work: Callable[[int, int], None], batch: int, each: int) -> None:
    """Divide ``batch`` windows of ``each`` units of work among as many threads as torch may use."""
    threads = min(torch.get_num_threads(), batch, 1 + batch * each // ALONE)
    if threads < 2:
        work(0, batch)
        return
    edges = [batch * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, edges[:-1], edges[1:]))  # the list raises what a thread raised
