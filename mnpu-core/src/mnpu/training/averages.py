"""An exponential moving average of weights, which is what is validated and kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["Average"]


class Average:
    """The average of a network's weights over its steps (Polyak and Juditsky 1992, with forgetting).

    Parameters
    ----------
    network : nn.Module
    decay : float
        Share of the average that stays in a step. In the first steps it is smaller, ``(1 + n) / (10 + n)`` at most in
        step n, so that the random start is soon forgotten. Buffers are not averaged: the newest are used.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network, self.decay = network, decay
        self.steps = 0
        self.tensors: dict[str, Tensor] = {name: p.detach().clone() for name, p in network.named_parameters()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        newest = [p.detach() for p in self._network.parameters()]
        torch._foreach_lerp_(list(self.tensors.values()), newest, share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The network has the averaged weights for as long as the block lasts."""
        kept = [p.detach().clone() for p in self._network.parameters()]
        self._put(list(self.tensors.values()))
        try:
            yield
        finally:
            self._put(kept)

    @torch.no_grad()
    def _put(self, values: list[Tensor]) -> None:
        for parameter, value in zip(self._network.parameters(), values, strict=True):  # shards know no joint copy
            parameter.copy_(value)
