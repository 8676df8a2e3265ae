"""One fit in several processes, each with its part of every batch: Lightning's DDP, or shards of the weights (FSDP).

::

    this process                       process 0 .. n-1
    network, windows, settings  ──▶    Loop on every n-th window of each batch; gradients are averaged
    best weights, history       ◀──    (process 0 watches, and says when it stops)

Windows lie in memory that the processes share. A batch is the batch of one process, so the result is that of one process
but for the order of sums. Processes are started by `multiprocessing`; Lightning's Fabric joins them and wraps the
network. With ``fsdp`` weights, gradients and the optimizer's state are spread over the processes (PyTorch's
``fully_shard``), and gathered as one unit for each pass.
"""

from __future__ import annotations

import json
import pickle
import socket
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
import torch.multiprocessing
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments import ClusterEnvironment
from lightning.fabric.strategies import DDPStrategy, ModelParallelStrategy
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mnpu.errors import ConfigError, MnpuError
from mnpu.nn.network import Network
from mnpu.training.backends import Backend
from mnpu.training.batches import OrderedBatches, ShuffledBatches
from mnpu.training.callbacks import Callback
from mnpu.training.fitted import Epoch
from mnpu.training.loop import Loop, Losses, TrainSettings
from mnpu.training.reproducible import derived_seed, reproducible

__all__ = ["Distributed", "Job", "Outcome", "train"]

Strategy = Literal["ddp", "fsdp"]


@dataclass(frozen=True)
class Job:
    """A fit to be done, as it is sent to every process.

    ``windows`` are on the CPU; ``seed`` is for what is random in the network, such as dropout.
    """

    network: Network
    training: ShuffledBatches
    validation: OrderedBatches
    settings: TrainSettings
    callbacks: Sequence[Callback]
    where: str
    seed: int
    threads: int
    device: str
    strategy: Strategy
    world: int
    port: int = field(default=0)


@dataclass(frozen=True)
class Outcome:
    """What the first process sends back."""

    best: dict[str, Tensor]
    history: list[Epoch]


def train(job: Job) -> Outcome:
    """Train in ``job.world`` processes and wait for them.

    Raises
    ------
    ConfigError
        There are fewer GPUs than processes, a batch cannot be parted evenly, or a setting does not go with several
        processes.
    MnpuError
        A process failed; its own error where it is one of ours.
    """
    _refuse_impossible(job)
    with tempfile.TemporaryDirectory(prefix="mnpu-fit-") as folder:
        # torch's own port 0 is not seen by the other processes; this one is free now and taken in a moment
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            job = Job(**{**vars(job), "port": probe.getsockname()[1]})
        try:
            processes = torch.multiprocessing.start_processes(
                _work, args=(job, folder), nprocs=job.world, join=False, start_method="spawn"
            )
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise MnpuError(
                f"the network or a callback cannot be sent to another process ({error})",
                where=job.where,
                expected="classes and functions with a name in a module",
                next_step="Define them in an importable module, or set runtime.devices: 1.",
            ) from error
        try:
            while not processes.join(timeout=1.0):
                pass
        except torch.multiprocessing.ProcessException as error:
            raise _own_error(Path(folder), job) from error
        finally:
            for process in processes.processes:
                if process.is_alive():
                    process.terminate()
        return _outcome(Path(folder), job)


def _refuse_impossible(job: Job) -> None:
    world = job.world
    if job.device == "cuda" and torch.cuda.device_count() < world:
        raise ConfigError(
            f"runtime.devices is {world}, and torch finds {torch.cuda.device_count()} GPU",
            expected="a GPU for each process",
        )
    if job.training.size % world or len(job.training.windows) < job.training.size:
        raise ConfigError(
            f"train.batch_size is {job.training.size} with {len(job.training.windows)} training windows",
            where=job.where,
            expected=f"a multiple of runtime.devices, {world}, and no more than the windows",
        )
    if job.validation.n_windows < world:
        raise ConfigError(
            f"runtime.devices is {world} and there are {job.validation.n_windows} validation windows",
            where=job.where,
            expected="a window for each process",
        )
    if job.strategy == "fsdp" and str(job.settings.precision) == "16":
        raise ConfigError("train.precision is 16 under runtime.strategy fsdp", expected="32 or bf16")


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
        """This one's number."""
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
    strategy : {"ddp", "fsdp"}
        Every process has all weights, or its part of them.
    """

    def __init__(
        self, rank: int, world: int, port: int, *, device: str, precision: int | str, strategy: Strategy
    ) -> None:
        super().__init__(device, precision)
        self.rank, self.world, self._sharded = rank, world, strategy == "fsdp"
        wire = "gloo" if device == "cpu" else "nccl"
        made: DDPStrategy | ModelParallelStrategy
        if self._sharded:
            made = ModelParallelStrategy(
                _sharded, data_parallel_size=world, tensor_parallel_size=1, process_group_backend=wire
            )
        else:
            # a router may send no window to an expert, which then has no gradient
            made = DDPStrategy(process_group_backend=wire, find_unused_parameters=True)
        self.fabric = Fabric(accelerator=device, devices=world, strategy=made, plugins=[Processes(rank, world, port)])
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

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of ``loss``, averaged over processes, to what is there."""
        self.fabric.backward(loss if self.scaler is None else self.scaler.scale(loss))

    def clip(self, network: nn.Module, largest: float | None) -> Tensor:
        """As `Backend.clip`, with the norm over all shards."""
        norm = super().clip(network, largest)
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
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    network: nn.Module = model.network  # type: ignore[assignment]
    fully_shard(network, mesh=mesh["data_parallel"])
    for method in ("losses", "loss", "forecast"):
        register_fsdp_forward_method(network, method)
    return model


def _work(rank: int, job: Job, folder: str) -> None:
    """One process: train, and if it is the first, write down what came out."""
    place = Path(folder)
    try:
        with reproducible(derived_seed(job.seed, rank), threads=job.threads, cuda=job.device == "cuda"):
            loop = _loop(rank, job)
            loop.run()
        if rank == 0:
            _write(loop, place)
    except BaseException as error:
        told = error.as_dict() if isinstance(error, MnpuError) else {"what": traceback.format_exc()}
        (place / f"error-{rank}.json").write_text(json.dumps(told), encoding="utf-8")
        raise
    finally:
        if torch.distributed.is_initialized():
            with suppress(RuntimeError):  # a process that failed has left the others
                torch.distributed.destroy_process_group()


def _loop(rank: int, job: Job) -> Loop:
    backend = Distributed(
        rank,
        job.world,
        job.port,
        device=job.device,
        precision=job.settings.precision,
        strategy=job.strategy,
    )
    device = backend.device
    return Loop(
        job.network.to(device),
        job.training.part(rank, job.world, device),
        job.validation.part(rank, job.world, device),
        job.settings,
        backend=backend,
        callbacks=job.callbacks if rank == 0 else (),
        where=job.where,
    )


def _write(loop: Loop, folder: Path) -> None:
    save_file({name: tensor.cpu().contiguous() for name, tensor in loop.best.items()}, folder / "best.safetensors")
    states = {callback.name: dict(callback.state()) for callback in loop.callbacks}
    told = {"history": [asdict(epoch) for epoch in loop.history], "callbacks": states}
    (folder / "outcome.json").write_text(json.dumps(told, default=float), encoding="utf-8")


def _outcome(folder: Path, job: Job) -> Outcome:
    told = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
    for callback in job.callbacks:
        callback.load_state(told["callbacks"][callback.name])
    return Outcome(load_file(folder / "best.safetensors"), [Epoch(**epoch) for epoch in told["history"]])


def _own_error(folder: Path, job: Job) -> MnpuError:
    """The error of the first process that failed by itself; the others lost it and fail, too."""
    for path in sorted(folder.glob("error-*.json"), key=lambda p: p.stat().st_mtime_ns):
        told: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        kind = {k.__name__: k for k in (MnpuError, *MnpuError.__subclasses__())}.get(told.get("type", ""))
        if kind is not None:
            return kind(told["what"], where=told["where"], expected=told["expected"], next_step=told["next_step"])
        return MnpuError(f"a process of the fit failed:\n{told['what']}", where=job.where)
    return MnpuError(
        "a process of the fit was killed",
        where=job.where,
        next_step="If memory was short, lower train.batch_size or runtime.devices.",
    )
