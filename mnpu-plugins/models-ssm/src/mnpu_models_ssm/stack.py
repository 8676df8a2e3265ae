"""What state-space backbones share: blocks stacked on a residual stream, and how step sizes start.

Glossary
--------
B batch, L lookback, F input columns, D model width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnpu.nn.recompute import through

__all__ = ["Block", "Norm", "Stack", "gated", "step_size_bias", "wide"]

EPSILON = 1e-5  #: of every norm, as published


class Stack(nn.Module):
    """Blocks, one after the other, between an embedding of the columns and a last norm.

    A block maps (B, L, D) to the same; its ``last`` gives the last step alone, its ``step`` one step from a state.

    Parameters
    ----------
    n_features, d_model : int
    blocks : iterable of Module
        Consumed after the embedding is made, so that weights are drawn in the order in which data flows.
    norm : Module
        The last one.
    """

    causal = True
    streams = True
    checkpoint_activations = False
    #: How names of parameters end that are time scales or skips, not directions.
    scales: tuple[str, ...] = ("A_log", ".D", "dt_bias", "dt_proj.bias")

    def __init__(self, n_features: int, d_model: int, blocks: Iterable[nn.Module], norm: nn.Module) -> None:
        super().__init__()
        self.d_out = d_model
        self.embed = nn.Linear(n_features, d_model)
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm

    @property
    def no_weight_decay(self) -> frozenset[str]:
        """Parameters that are ``scales``: pulling them to zero would change the memory, not the size."""
        return frozenset(name for name, _ in self.named_parameters() if name.endswith(self.scales))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, L, D)``."""
        h = self.embed(x)  # (B, L, D)
        for block in self.blocks:
            h = through(self, block, h)  # (B, L, D)
        return self.norm(h)

    def summary(self, x: Tensor) -> Tensor:
        """The last step of ``forward``; the last block computes only what that one needs: ``(B, L, F) -> (B, D)``."""
        h = self.embed(x)  # (B, L, D)
        for block in self.blocks[:-1]:
            h = through(self, block, h)  # (B, L, D)
        return self.norm(through(self, self.blocks[-1].last, h))  # (B, D)

    def initial_state(self, batch: int) -> list[Any]:
        """The state before the first bar, one for each block: zeros, of a size that does not grow."""
        return [block.initial_state(batch) for block in self.blocks]

    def step(self, x: Tensor, state: list[Any]) -> tuple[Tensor, list[Any]]:
        """One bar in constant time: ``(B, F)`` and the states to ``(B, D)`` and the next states."""
        h, following = self.embed(x), []  # (B, D)
        for block, before in zip(self.blocks, state, strict=True):
            h, after = block.step(h, before)  # (B, D)
            following.append(after)
        return self.norm(h), following


class Block(nn.Module):
    """``h + mixer(RMSNorm(h))``."""

    def __init__(self, d_model: int, mixer: nn.Module) -> None:
        super().__init__()
        self.norm = Norm(d_model)
        self.mixer = mixer

    def forward(self, h: Tensor) -> Tensor:
        """``(B, L, D) -> (B, L, D)``."""
        return h + self.mixer(self.norm(h))

    def last(self, h: Tensor) -> Tensor:
        """``(B, L, D) -> (B, D)``: the last step of ``forward``."""
        return h[:, -1] + self.mixer.last(self.norm(h))

    def initial_state(self, batch: int) -> Any:
        """That of the mixer."""
        return self.mixer.initial_state(batch)

    def step(self, h: Tensor, state: Any) -> tuple[Tensor, Any]:
        """``(B, D)`` and a state to ``(B, D)`` and the next state."""
        y, state = self.mixer.step(self.norm(h), state)
        return h + y, state


class Norm(nn.RMSNorm):
    """Root mean square norm in the digits of its weight: torch has no fast one for input and weight of two kinds."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., W) -> (..., W)``."""
        return super().forward(x.to(self.weight.dtype))


def step_size_bias(count: int, smallest: float, largest: float) -> Tensor:
    """Biases (count,) whose softplus is spread log-uniformly from ``smallest`` to ``largest``."""
    size = torch.empty(count).uniform_(math.log(smallest), math.log(largest)).exp().clamp(min=1e-4)
    return size + torch.log(-torch.expm1(-size))  # the inverse of softplus


def wide(*values: Tensor) -> tuple[Tensor, ...]:
    """The values with at least the digits of float32: a product of decays over a window needs them."""
    return tuple(v.float() if v.dtype in (torch.bfloat16, torch.float16) else v for v in values)


def gated(y: Tensor, gate: Tensor) -> Tensor:
    """``y silu(gate)``."""
    return y * F.silu(gate)
