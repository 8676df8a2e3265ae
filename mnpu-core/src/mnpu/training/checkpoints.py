"""Checkpoints of a fit in progress: killed at any moment, it goes on with the bits of one that was not.

::

    step-00000120.safetensors   weights, best weights, averages, the optimizer's state, random generators
    step-00000120.json          everything else, and the sha256 of both: written last, so without it there is none

The two newest are kept: where the newest was damaged, the one before is used. No pickle: nothing in a file is executed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from mnpu.atomic import write_atomically
from mnpu.errors import DataError, MnpuError
from mnpu.training.callbacks import Callback
from mnpu.training.fitted import Epoch
from mnpu.training.loop import Patience

if TYPE_CHECKING:
    from mnpu.training.loop import Loop

__all__ = ["Checkpoint", "Checkpoints", "Every", "plain"]

FORMAT = 1
KEPT = 2

log = logging.getLogger("mnpu.training")


@dataclass(frozen=True)
class Every:
    """How often a checkpoint is written: after so many epochs, or steps of the optimizer."""

    count: int
    unit: str

    @classmethod
    def parse(cls, text: str) -> Every:
        """Of ``3 epochs`` or ``500 steps``."""
        count, _, unit = text.partition(" ")
        return cls(int(count), unit.rstrip("s"))


@dataclass(frozen=True)
class Checkpoint:
    """One that was read and found whole."""

    path: Path
    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]

    def restore(self, loop: Loop) -> None:
        """Bring ``loop``, which has not begun, to where it stood.

        Raises
        ------
        DataError
            The checkpoint is that of another fit.
        """
        if self.state["fit"] != _identity(loop):
            raise DataError(
                "the checkpoint is that of another fit",
                where=str(self.path),
                expected=f"that of {loop.where} with this recipe's data, seed and network",
                next_step="Remove the folder, or begin a new run.",
            )
        self._restore_weights(loop)
        self._restore_optimizer(loop)
        state = self.state
        loop.epoch, loop.step = state["epoch"], state["step"]
        loop.lowered, loop.stopped = state["lowered"], state["stopped"]
        loop.patience = Patience(**state["patience"])
        loop.history[:] = [Epoch(**epoch) for epoch in state["history"]]
        if "losses" in self.tensors:
            loop.losses[:] = self.tensors["losses"].to(loop.backend.device).unbind()
        loop.set_lr()
        for callback in loop.callbacks:
            if callback.name in state["callbacks"]:
                callback.load_state(state["callbacks"][callback.name])
        self._restore_random(loop.backend.device)
        log.info("%s: resumed in step %d", loop.where, loop.step)

    @torch.no_grad()
    def _restore_weights(self, loop: Loop) -> None:
        for name, tensor in _of_network(loop).items():
            tensor.copy_(self.tensors[f"network.{name}"])
        loop.best = {name: tensor.to(loop.backend.device) for name, tensor in self._named("best.").items()}
        if loop.average is not None:
            loop.average.steps = self.state["averaged"]
            for name, tensor in loop.average.tensors.items():
                tensor.copy_(self.tensors[f"average.{name}"])

    def _restore_optimizer(self, loop: Loop) -> None:
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in self._named("optimizer.").items():
            place, _, kind = name.partition(".")
            moments.setdefault(int(place), {})[kind] = tensor
        loop.optimizer.load_state_dict({**loop.optimizer.state_dict(), "state": moments})
        if loop.backend.scaler is not None:
            loop.backend.scaler.load_state_dict(self.state["scaler"])

    def _restore_random(self, device: str) -> None:
        torch.random.set_rng_state(self.tensors["random"])
        if device == "cuda":
            torch.cuda.set_rng_state(self.tensors["random.cuda"])
        version, words, gauss = self.state["random"]
        random.setstate((version, tuple(words), gauss))
        kind, keys, *rest = self.state["numpy"]
        np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))

    def _named(self, prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): t for name, t in self.tensors.items() if name.startswith(prefix)}


class Checkpoints(Callback):
    """Writes a fit's state into a folder now and then, and finds it again.

    Parameters
    ----------
    folder : Path
        Of this fit alone.
    every : Every
    """

    name = "checkpoints"

    def __init__(self, folder: Path, every: Every) -> None:
        self.folder, self.every = Path(folder), every

    def on_step(self, loop: Loop) -> None:
        """Write, if it is time; after an epoch's last step, when it was validated."""
        if self.every.unit == "step" and loop.step % self.every.count == 0 and loop.step % loop.training.steps:
            self.write(loop)

    def on_epoch_over(self, loop: Loop) -> None:
        """Write, if it is time."""
        done = loop.epoch if self.every.unit == "epoch" else loop.step
        if done % self.every.count == 0:
            self.write(loop)

    def write(self, loop: Loop) -> None:
        """Write the state of ``loop`` and remove what is older than the one before."""
        tensors = save_tensors({name: t.cpu().contiguous() for name, t in _tensors(loop).items()})
        state = json.dumps(_state(loop), default=plain)
        record = {
            "format": FORMAT,
            "tensors": hashlib.sha256(tensors).hexdigest(),
            "state": hashlib.sha256(state.encode()).hexdigest(),
        }
        base = self.folder / f"step-{loop.step:08d}"
        try:
            write_atomically(base.with_suffix(".safetensors"), tensors)
            write_atomically(base.with_suffix(".json"), f"{json.dumps(record)}\n{state}\n".encode())
            for old in self._found()[KEPT:]:
                old.unlink()
                old.with_suffix(".safetensors").unlink(missing_ok=True)
        except OSError as error:
            raise MnpuError(
                f"the checkpoint cannot be written ({error.strerror or error})",
                where=str(self.folder),
                next_step="Make room, or set train.checkpoint_every: null.",
            ) from error

    def newest(self) -> Checkpoint | None:
        """The newest that is whole, None where there is none."""
        for path in self._found():
            try:
                return _read(path)
            except (OSError, ValueError, SafetensorError) as error:
                log.warning("%s is damaged (%s); an earlier one is used, if there is any", path, error)
        return None

    def _found(self) -> list[Path]:
        """What looks like a checkpoint, the newest first."""
        return sorted(self.folder.glob("step-*.json"), reverse=True)


def plain(number: Any) -> Any:
    """A number of numpy or torch as Python's own."""
    return number.item()


def _read(path: Path) -> Checkpoint:
    """A checkpoint; ValueError where a byte is not what was written."""
    lines = path.read_text(encoding="utf-8").split("\n")
    record, state = json.loads(lines[0]), lines[1] if len(lines) > 1 else ""
    content = path.with_suffix(".safetensors").read_bytes()
    for part, data in (("tensors", content), ("state", state.encode())):
        if not isinstance(record, dict) or hashlib.sha256(data).hexdigest() != record.get(part):
            raise ValueError(f"its {part} changed after it was written")
    if record.get("format") != FORMAT:
        raise ValueError(f"format {record.get('format')}, expected {FORMAT}")
    return Checkpoint(path, load_tensors(content), json.loads(state))


def _tensors(loop: Loop) -> dict[str, Tensor]:
    """Every tensor that the rest of the fit depends on, by a name that says whose it is."""
    tensors = {f"network.{name}": tensor for name, tensor in _of_network(loop).items()}
    tensors |= {f"best.{name}": tensor for name, tensor in loop.best.items()}
    if loop.average is not None:
        tensors |= {f"average.{name}": tensor for name, tensor in loop.average.tensors.items()}
    for place, values in loop.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{place}.{name}": value for name, value in values.items() if torch.is_tensor(value)}
    if loop.losses:
        tensors["losses"] = torch.stack(loop.losses)
    tensors["random"] = torch.random.get_rng_state()
    if loop.backend.device == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}  # a file holds no tensor twice


def _of_network(loop: Loop) -> dict[str, Tensor]:
    """Parameters and all buffers, also those that a bundle leaves out, such as counts since the epoch began."""
    return {**dict(loop.network.named_parameters()), **dict(loop.network.named_buffers())}


def _state(loop: Loop) -> dict[str, Any]:
    python = random.getstate()
    kind, keys, *rest = np.random.get_state()
    return {
        "fit": _identity(loop),
        "epoch": loop.epoch,
        "step": loop.step,
        "lowered": loop.lowered,
        "stopped": loop.stopped,
        "patience": asdict(loop.patience),
        "history": [asdict(epoch) for epoch in loop.history],
        "averaged": 0 if loop.average is None else loop.average.steps,
        "scaler": {} if loop.backend.scaler is None else loop.backend.scaler.state_dict(),
        "random": [python[0], list(python[1]), python[2]],
        "numpy": [str(kind), np.asarray(keys).tolist(), *rest],
        "callbacks": {callback.name: dict(callback.state()) for callback in loop.callbacks if callback.name},
    }


def _identity(loop: Loop) -> dict[str, Any]:
    """What tells one fit from another; that data and code are the same is the run's to know."""
    return {
        "where": loop.where,
        "seed": loop.training.seed,
        "windows": [len(loop.training.windows), loop.validation.n_windows],
        "weights": {name: list(tensor.shape) for name, tensor in loop.network.named_parameters()},
    }
