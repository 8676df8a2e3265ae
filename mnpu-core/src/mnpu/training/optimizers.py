"""Optimizers by name, and which parameters shrink."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

__all__ = ["make_optimizer"]


class _Settings(Protocol):
    lr: float
    weight_decay: float


def make_optimizer(network: nn.Module, settings: _Settings) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019) with two groups of parameters.

    Matrices decay; biases, gains and what the backbone names in ``no_weight_decay`` do not.
    """
    backbone = getattr(network, "backbone", None)
    spared = {f"backbone.{name}" for name in getattr(backbone, "no_weight_decay", ())}
    decay: list[Tensor] = []
    rest: list[Tensor] = []
    for name, parameter in network.named_parameters():
        (rest if parameter.ndim < 2 or name in spared else decay).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": decay, "weight_decay": settings.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=settings.lr, fused=True)
