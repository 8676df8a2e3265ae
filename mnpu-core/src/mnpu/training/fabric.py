"""One of several processes: Lightning's Fabric joins them, wraps the network, and averages its gradients."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments import ClusterEnvironment
from lightning.fabric.strategies import DDPStrategy, ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

from mnpu.training.backends import Backend

__all__ = ["Distributed", "Processes"]


class Processes(ClusterEnvironment):
    """Processes of this machine that were started by us."""

    def __init__(self, rank: int, world: int, port: int) -> None:
        self._rank, self._world, self._port = rank, world, port

    creates_processes_externally = True  # type: ignore[assignment]
    main_address = "127.0.0.1"  # type: ignore[assignment]

    @property
    def main_port(self) -> int:
        """Where they meet."""
        return self._port

    @staticmethod
    def detect() -> bool:
        """Never by itself."""
        return False

    def world_size(self) -> int:
        """How many there are."""
        return self._world

    def set_world_size(self, size: int) -> None:
        """Known already."""

    def global_rank(self) -> int:
        """Its number."""
        return self._rank

    def set_global_rank(self, rank: int) -> None:
        """Known already."""

    def local_rank(self) -> int:
        """All are on one machine."""
        return self._rank

    def node_rank(self) -> int:
        """All are on one machine."""
        return 0


class Distributed(Backend):
    """One of several processes, joined by Lightning's Fabric.

    Parameters
    ----------
    rank, world, port : int
        This process's number, how many there are, and where they meet.
    device : str
        ``cpu`` or ``cuda``.
    precision : int or str
        As for `Backend`.
    sharded : bool
        Every process has its part of the weights, instead of all.
    routed : bool
        A router may send no window to an expert, which then has no gradient.
    """

    def __init__(
        self, rank: int, world: int, port: int, *, device: str, precision: int | str, sharded: bool, routed: bool
    ) -> None:
        super().__init__(device, precision)
        self.rank, self.world, self._sharded = rank, world, sharded
        wire = "gloo" if device == "cpu" else "nccl"
        made: DDPStrategy | ModelParallelStrategy
        if self._sharded:
            made = ModelParallelStrategy(
                _sharded, data_parallel_size=world, tensor_parallel_size=1, process_group_backend=wire
            )
        else:
            made = DDPStrategy(process_group_backend=wire, find_unused_parameters=routed)
        self.fabric = Fabric(accelerator=device, devices=world, strategy=made, plugins=[Processes(rank, world, port)])
        # the one announces in the name of the other that all have met
        for name in ("lightning.fabric", "lightning.pytorch"):
            for quiet in (name, f"{name}.utilities.rank_zero"):
                logging.getLogger(quiet).setLevel(logging.ERROR)
        self.fabric.launch()
        self.device = str(self.fabric.device)

    def autocast(self) -> Any:
        """The precision of a forward pass."""
        return torch.autocast(torch.device(self.device).type, dtype=self.dtype, enabled=self.dtype is not None)

    def prepare(self, model: nn.Module) -> nn.Module:
        """The model on its device, wrapped so that gradients are averaged over processes."""
        return self.fabric.setup_module(model)

    def prepare_optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """As it is: Fabric has nothing to add to it where gradients are averaged in the backward pass."""
        return optimizer

    @contextmanager
    def inference(self, network: nn.Module) -> Iterator[None]:
        """As `Backend.inference`, with each process's part of the weights in place afterwards.

        Weights that were gathered wait for a backward pass: until then nothing that is written reaches them.
        """
        with super().inference(network):
            yield
        if isinstance(network, FSDPModule):
            network.reshard()

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of ``loss``, averaged over processes, to what is there."""
        self.fabric.backward(loss if self.scaler is None else self.scaler.scale(loss))

    def clip(self, parameters: Sequence[nn.Parameter], largest: float | None) -> Tensor:
        """As `Backend.clip`, with the norm over all shards."""
        norm = super().clip(parameters, largest)
        return norm.full_tensor() if hasattr(norm, "full_tensor") else norm

    def total(self, value: Tensor) -> Tensor:
        """The sum of ``value`` over all processes."""
        return self.fabric.all_reduce(value, reduce_op="sum")  # type: ignore[return-value]

    def weights(self, network: nn.Module) -> dict[str, Tensor]:
        """A copy of the whole network's tensors, gathered where they are spread."""
        tensors = network.state_dict()
        if self._sharded:
            tensors = {n: t.full_tensor() if hasattr(t, "full_tensor") else t for n, t in tensors.items()}
        return {name: tensor.detach().clone() for name, tensor in tensors.items()}

    def agreed(self, stopped: str, lowered: float) -> tuple[str, float]:
        """What the first process, which alone is watched, has been asked for."""
        said: tuple[str, float] = self.fabric.broadcast((stopped, lowered))
        return said


def _sharded(model: nn.Module, mesh: Any) -> nn.Module:
    """Spread the network's weights; its losses are methods, each of which must gather them."""
    network: nn.Module = model.network  # type: ignore[assignment]
    fully_shard(network, mesh=mesh["data_parallel"])
    for method in ("losses", "loss_and_summary"):  # what the loop calls
        register_fsdp_forward_method(network, method)
    return model
