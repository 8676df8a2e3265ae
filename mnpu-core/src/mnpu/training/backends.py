"""Where a step computes and in which numbers: one process here, several by a subclass."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from mnpu.errors import ConfigError

__all__ = ["Backend"]

PRECISIONS: dict[str, torch.dtype | None] = {"32": None, "bf16": torch.bfloat16}


class Backend:
    """One process on one device.

    A distributed one overrides what differs: `prepare` wraps the model, `prepare_optimizer` the optimizer, `backward`
    adds gradients up over processes, `total` sums a number over them, and `weights` gathers what is spread.

    Parameters
    ----------
    device : str
        ``cpu`` or ``cuda``.
    precision : int or str
        32 or ``bf16``: weights stay in 32 bits, matrix products take the smaller ones.
    """

    #: This process among all, and their number.
    rank, world = 0, 1

    def __init__(self, device: str = "cpu", precision: int | str = 32) -> None:
        if str(precision) not in PRECISIONS:
            raise ConfigError(f"train.precision is {precision!r}", expected="32 or bf16")
        self.device, self.dtype = device, PRECISIONS[str(precision)]

    def prepare(self, model: nn.Module) -> nn.Module:
        """The model as it is called in training, ``model(x, y)``, on its device."""
        return model.to(self.device)

    def prepare_optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """The optimizer as it is stepped."""
        return optimizer

    def autocast(self) -> AbstractContextManager[object]:
        """The precision of a forward pass."""
        return nullcontext() if self.dtype is None else torch.autocast(self.device, dtype=self.dtype)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of ``loss`` to what is there."""
        loss.backward()

    def clip(self, network: nn.Module, largest: float) -> Tensor:
        """Shrink all gradients to a norm of at most ``largest``; the norm before, a scalar."""
        return torch.nn.utils.clip_grad_norm_(network.parameters(), largest)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Move the weights."""
        optimizer.step()

    def total(self, value: Tensor) -> Tensor:
        """The sum of ``value`` over all processes."""
        return value

    def weights(self, network: nn.Module) -> dict[str, Tensor]:
        """A copy of the whole network's tensors."""
        return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
