"""Optimizers by name, and which parameters shrink."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from mnpu.errors import ConfigError

__all__ = ["OPTIMIZERS", "Lion", "make_optimizer"]

#: The names that a recipe may use.
OPTIMIZERS = ("adamw", "adam", "sgd", "lion")


class _Settings(Protocol):
    lr: float
    weight_decay: float

    @property
    def optimizer(self) -> str: ...

    @property
    def momentum(self) -> float | None: ...


def make_optimizer(network: nn.Module, settings: _Settings) -> torch.optim.Optimizer:
    """The optimizer of ``settings`` with two groups of parameters.

    Matrices decay; biases, gains and what the backbone names in ``no_weight_decay`` do not.

    Parameters
    ----------
    network : nn.Module
    settings : object
        ``optimizer`` is ``adamw`` (Loshchilov and Hutter 2019), ``adam`` (Kingma and Ba 2015; its decay is a part of
        the gradient), ``sgd`` with ``momentum`` (0.9 if None), or ``lion`` (Chen et al. 2023).
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
    groups = [group for group in groups if group["params"]]
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=settings.lr, fused=True)
    if settings.optimizer == "adam":
        return torch.optim.Adam(groups, lr=settings.lr, fused=True)
    if settings.optimizer == "sgd":
        momentum = 0.9 if settings.momentum is None else settings.momentum
        return torch.optim.SGD(groups, lr=settings.lr, momentum=momentum, fused=True)
    if settings.optimizer == "lion":
        return Lion(groups, lr=settings.lr)
    raise ConfigError(f"train.optimizer is {settings.optimizer!r}", expected=f"one of {', '.join(OPTIMIZERS)}")


class Lion(torch.optim.Optimizer):
    """The sign of a momentum (Chen et al. 2023, algorithm 2): every weight moves by ``lr``, up or down.

    Its rate wants to be 3 to 10 times smaller than AdamW's, and its decay as much larger.

    Parameters
    ----------
    params : iterable
        Parameters or groups of them.
    lr : float
    betas : (float, float), default=(0.9, 0.99)
        Share of the momentum in the direction of a step, and in the momentum after it.
    weight_decay : float, default=0.0
        Decoupled from the gradient, as in AdamW.
    """

    def __init__(
        self, params: Any, lr: float, *, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every weight that has a gradient."""
        if closure is not None:
            raise TypeError("this optimizer takes no closure")
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            if not moved:
                continue
            for p in moved:
                self.state[p].setdefault("momentum", torch.zeros_like(p))
            gradients, momenta = [p.grad for p in moved], [self.state[p]["momentum"] for p in moved]
            of_step, after = group["betas"]
            direction = torch._foreach_lerp(gradients, momenta, of_step)
            torch._foreach_sign_(direction)
            torch._foreach_mul_(moved, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(moved, direction, alpha=-group["lr"])
            torch._foreach_lerp_(momenta, gradients, 1 - after)
