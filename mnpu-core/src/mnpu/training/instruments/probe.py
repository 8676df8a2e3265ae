"""Windows that an instrument looks at again and again: spread evenly over a range, the same every time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mnpu.nn.network import Network
from mnpu.training.batches import Windows

__all__ = ["CHUNK", "evenly", "probe_loss"]

CHUNK = 512  #: Windows at a time.


def evenly(windows: Windows, count: int) -> Tensor:
    """Positions (at most ``count``) that are spread evenly over all ``windows``."""
    n, device = len(windows), windows.first.device
    return torch.arange(min(n, count), device=device) * n // min(n, count)


def probe_loss(network: Network, windows: Windows, count: int) -> Callable[[], float]:
    """The head's mean loss over ``count`` evenly spread windows, without a gradient; gathered once."""
    index = evenly(windows, count)
    batches = [windows.batch(part) for part in index.split(CHUNK)]

    @torch.no_grad()
    def loss() -> float:
        return sum(float(network.loss(b.x, b.y)) * len(b.x) for b in batches) / len(index)

    return loss
