"""Where a step computes and in which numbers: one process here, several by a subclass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from mnpu.errors import ConfigError

__all__ = ["Backend", "Layout", "refuse_precision"]

PRECISIONS: dict[str, torch.dtype | None] = {"32": None, "bf16": torch.bfloat16, "16": torch.float16}


@dataclass(frozen=True)
class Layout:
    """How many processes fit together, each on a device of its own, and how they share the weights.

    Attributes
    ----------
    devices : int
    strategy : {"auto", "ddp", "fsdp"}
        Every process has all weights (``auto`` means that too), or its part of them.
    """

    devices: int = 1
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"


def refuse_precision(precision: int | str, device: str, *, where: str = "") -> None:
    """Raise ConfigError where networks cannot be trained in ``precision`` on ``device``, ``cpu`` or ``cuda``."""
    if str(precision) == "16" and device != "cuda":
        raise ConfigError(
            f"train.precision is 16 on a {device}",
            where=where,
            expected="32 or bf16",
            next_step="16 bits need a GPU.",
        )


class Backend:
    """One process on one device.

    A distributed one overrides what differs: `prepare` wraps the model, `prepare_optimizer` the optimizer, `backward`
    adds gradients up over processes, `total` sums a number over them, and `weights` gathers what is spread.

    Parameters
    ----------
    device : str
        ``cpu`` or ``cuda``.
    precision : int or str
        32, ``bf16`` or 16: weights stay in 32 bits, matrix products take the smaller ones. 16 scales the loss, so that
        small gradients do not vanish, and leaves out a step whose gradients overflow; it needs a GPU.
    """

    #: This process among all, and their number.
    rank, world = 0, 1

    def __init__(self, device: str = "cpu", precision: int | str = 32) -> None:
        if str(precision) not in PRECISIONS:
            raise ConfigError(f"train.precision is {precision!r}", expected="32, bf16 or 16")
        refuse_precision(precision, device)
        self.device, self.dtype = device, PRECISIONS[str(precision)]
        self.scaler = torch.amp.GradScaler("cuda") if self.dtype is torch.float16 else None

    def prepare(self, model: nn.Module) -> nn.Module:
        """The model as it is called in training, ``model(x, y)``, on its device."""
        return model.to(self.device)

    def prepare_optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """The optimizer as it is stepped."""
        return optimizer

    def autocast(self) -> AbstractContextManager[object]:
        """The precision of a forward pass."""
        return nullcontext() if self.dtype is None else torch.autocast(self.device, dtype=self.dtype)

    @contextmanager
    def inference(self, network: nn.Module) -> Iterator[None]:
        """Forward passes of ``network`` that no backward pass follows."""
        with torch.inference_mode():
            yield

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of ``loss`` to what is there."""
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Bring all gradients of a step to their true size."""
        if self.scaler is not None:
            self.scaler.unscale_(optimizer)

    def clip(self, parameters: Sequence[nn.Parameter], largest: float | None) -> Tensor:
        """Shrink gradients of ``parameters`` to a norm of at most ``largest``, if any; the norm before, a scalar."""
        if largest is None:
            return torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        return torch.nn.utils.clip_grad_norm_(parameters, largest)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Move the weights."""
        if self.scaler is None:
            optimizer.step()
            return
        self.scaler.step(optimizer)
        self.scaler.update()

    def total(self, value: Tensor) -> Tensor:
        """The sum of ``value`` over all processes."""
        return value

    def agreed(self, stopped: str, lowered: float) -> tuple[str, float]:
        """Why the fit stops, if it does, and by what its learning rate is lowered, in all processes alike."""
        return stopped, lowered

    def weights(self, network: nn.Module) -> dict[str, Tensor]:
        """A copy of the whole network's tensors."""
        return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
