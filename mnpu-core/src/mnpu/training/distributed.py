"""One fit in several processes, each with its part of every batch: Lightning's DDP, or shards of the weights (FSDP).

::

    this process                       process 0 .. n-1
    network, windows, settings  ──▶    Loop on every n-th window of each batch; gradients are averaged
    best weights, history       ◀──    (process 0 watches, and says when it stops)

Windows lie in memory that the processes share. A batch is the batch of one process, so the result is that of one
process but for the order of sums. Processes are started by `multiprocessing`; Lightning's Fabric joins them and wraps
the network. With ``fsdp`` weights, gradients and the optimizer's state are spread over the processes (PyTorch's
``fully_shard``), and gathered as one unit for each pass.
"""

from __future__ import annotations

import copy
import json
import os
import pickle
import socket
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing
from safetensors.torch import load_file, save_file

from mnpu.atomic import write_atomically
from mnpu.errors import ConfigError, DataError, MnpuError
from mnpu.nn.network import Network
from mnpu.training.backends import Layout
from mnpu.training.batches import OrderedBatches, ShuffledBatches
from mnpu.training.callbacks import Callback
from mnpu.training.checkpoints import plain
from mnpu.training.fitted import Epoch
from mnpu.training.loop import Loop, Outcome, TrainSettings
from mnpu.training.reproducible import derived_seed, reproducible

__all__ = ["Job", "train_in_processes"]


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
    layout: Layout
    port: int = 0

    @property
    def world(self) -> int:
        """Number of processes."""
        return self.layout.devices

    @property
    def sharded(self) -> bool:
        """Whether every process has its part of the weights alone."""
        return self.layout.strategy == "fsdp"


def train_in_processes(job: Job) -> Outcome:
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
            job = replace(job, port=probe.getsockname()[1])
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
        except (torch.multiprocessing.ProcessRaisedException, torch.multiprocessing.ProcessExitedException) as error:
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
    if job.sharded and str(job.settings.precision) == "16":
        raise ConfigError("train.precision is 16 under runtime.strategy fsdp", expected="32 or bf16")


def _work(rank: int, job: Job, folder: str) -> None:
    """One process: train, and if it is the first, write down what came out."""
    place, status = Path(folder), 0
    try:
        with reproducible(derived_seed(job.seed, rank), threads=job.threads, cuda=job.device == "cuda"):
            loop = _loop(rank, job)
            loop.run()
        if rank == 0:
            _write(loop, place)
        torch.distributed.barrier()  # who leaves first would cut the others off
    except BaseException as error:
        status = 1
        told = error.as_dict() if isinstance(error, MnpuError) else {"what": traceback.format_exc()}
        write_atomically(place / f"error-{rank}.json", json.dumps(told).encode())
    sys.stdout.flush()
    sys.stderr.flush()
    # Taking a gloo group apart may wait for ever: it holds the interpreter's lock and joins a thread that wants it.
    os._exit(status)


def _loop(rank: int, job: Job) -> Loop:
    from mnpu.training.fabric import Distributed  # Lightning takes seconds to import, and the parent has no need of it

    backend = Distributed(
        rank,
        job.world,
        job.port,
        device=job.device,
        precision=job.settings.precision,
        sharded=job.sharded,
        routed=hasattr(job.network.backbone, "summary_and_loss"),
    )
    device = backend.device
    return Loop(
        copy.deepcopy(job.network).to(device),  # what was sent lies in memory that all processes share
        job.training.part(rank, job.world, device),
        job.validation.part(rank, job.world, device),
        job.settings,
        backend=backend,
        callbacks=job.callbacks if rank == 0 else (),
        where=job.where,
    )


def _write(loop: Loop, folder: Path) -> None:
    save_file({name: tensor.cpu().contiguous() for name, tensor in loop.best.items()}, folder / "best.safetensors")
    states = {callback.name: dict(callback.state()) for callback in loop.callbacks if callback.name}
    told = {"history": [asdict(epoch) for epoch in loop.history], "callbacks": states}
    (folder / "outcome.json").write_text(json.dumps(told, default=plain), encoding="utf-8")


def _outcome(folder: Path, job: Job) -> Outcome:
    told = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
    for callback in (c for c in job.callbacks if c.name):
        callback.load_state(told["callbacks"][callback.name])
    return Outcome(load_file(folder / "best.safetensors"), [Epoch(**epoch) for epoch in told["history"]])


def _own_error(folder: Path, job: Job) -> MnpuError:
    """The error of the first process that failed by itself; the others lost it and fail, too."""
    for path in sorted(folder.glob("error-*.json"), key=lambda p: p.stat().st_mtime_ns):
        told: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for kind in (MnpuError, ConfigError, DataError):
            if told.get("type") == kind.__name__:
                return kind(told["what"], where=told["where"], expected=told["expected"], next_step=told["next_step"])
        return MnpuError(f"a process of the fit failed:\n{told['what']}", where=job.where)
    return MnpuError(
        "a process of the fit was killed",
        where=job.where,
        next_step="If memory was short, lower train.batch_size or runtime.devices.",
    )
