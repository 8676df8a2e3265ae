"""The training loop: steps on batches, a validation after every epoch, the best epoch's weights kept.

A loop of our own, because a framework's costs more than a small network's step (docs/benchmarks.md). What may watch it
or slow it down is a `mnpu.training.callbacks.Callback`; where it computes is a `mnpu.training.backends.Backend`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor, nn

from mnpu.config.models import ContrastiveConfig, MaskedConfig
from mnpu.errors import MnpuError
from mnpu.nn.network import Network
from mnpu.nn.protocols import telemetry_of
from mnpu.training.averages import Average
from mnpu.training.backends import Backend
from mnpu.training.batches import OrderedBatches, ShuffledBatches
from mnpu.training.callbacks import Callback
from mnpu.training.fitted import Epoch
from mnpu.training.optimizers import make_optimizer
from mnpu.training.schedules import factor
from mnpu.types import WindowBatch

__all__ = ["Loop", "Losses", "Outcome", "TrainSettings"]

log = logging.getLogger("mnpu.training")


class TrainSettings(Protocol):
    """The ``train`` block of a recipe."""

    epochs: int
    batch_size: int
    accumulate: int
    max_steps_per_epoch: int | None
    lr: float
    weight_decay: float
    momentum: float | None
    warmup_steps: int
    clip: float | None
    ema: float | None
    patience: int
    min_delta: float

    @property
    def optimizer(self) -> str:
        """One of `mnpu.training.optimizers.OPTIMIZERS`."""

    @property
    def schedule(self) -> str:
        """As in `mnpu.training.schedules.factor`."""

    @property
    def precision(self) -> int | str:
        """32, ``bf16`` or 16."""

    @property
    def pretrain(self) -> MaskedConfig | ContrastiveConfig | None:
        """What comes before training, or None."""


class Losses(nn.Module):
    """A network as training calls it: ``(B, L, F), (B, H)`` to the head's loss and the backbone's own or None."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor | None]:
        """Training minimises the sum of both."""
        return self.network.losses(x, y)


@dataclass(frozen=True)
class Outcome:
    """What comes out of a fit: the weights of its best epoch, and all epochs."""

    best: dict[str, Tensor]
    history: list[Epoch]


@dataclass
class Patience:
    """How long a fit has waited for a better validation loss."""

    smallest: float = float("inf")
    to_beat: float = float("inf")
    epochs: int = 0

    def is_best(self, loss: float) -> bool:
        """Whether it is the smallest so far; the first of equal ones is."""
        if loss >= self.smallest:
            return False
        self.smallest = loss
        return True

    def waited(self, loss: float, min_delta: float) -> int:
        """Epochs since a loss was smaller by ``min_delta`` than the one to beat."""
        if loss < self.to_beat - min_delta:
            self.to_beat, self.epochs = loss, 0
        else:
            self.epochs += 1
        return self.epochs


class Loop:
    """One fit in progress.

    Parameters
    ----------
    network : Network
    training : ShuffledBatches
    validation : OrderedBatches
    settings : TrainSettings
    backend : Backend
    callbacks : sequence of Callback
    where : str
        Which fit this is, for errors and the log.

    Attributes
    ----------
    optimizer : torch.optim.Optimizer
    epoch : int
        Number of the epoch in progress, from 0.
    step : int
        Steps of the optimizer so far, over all epochs.
    batch : WindowBatch
        The last one that was trained on; the next one is written over its ``x``.
    loss : Tensor ()
        The head's loss of it, without a graph.
    gradient_norm : Tensor ()
        Norm of all gradients of the last step before they were clipped.
    history : list of Epoch
    best : dict of str to Tensor
        The weights of the first epoch with the smallest validation loss.
    losses : list of Tensor
        The head's losses of this epoch's batches.
    patience : Patience
    lowered : float
        What callbacks have multiplied the learning rate by.
    stopped : str
        Why it stopped before the last epoch; empty where it did not.
    """

    batch: WindowBatch
    loss: Tensor
    gradient_norm: Tensor

    def __init__(
        self,
        network: Network,
        training: ShuffledBatches,
        validation: OrderedBatches,
        settings: TrainSettings,
        *,
        backend: Backend,
        callbacks: Sequence[Callback] = (),
        where: str = "",
    ) -> None:
        self.network, self.training, self.validation = network, training, validation
        self.settings, self.backend, self.where = settings, backend, where
        self.callbacks = tuple(callbacks)
        self.model = backend.prepare(Losses(network))
        self.optimizer = backend.prepare_optimizer(make_optimizer(network, settings))
        self._parameters = tuple(network.parameters())  # once: a walk through all modules costs a small step much
        self.average = None if settings.ema is None else Average(network, settings.ema)
        self.epoch = self.step = 0
        self.lowered = 1.0
        self.history: list[Epoch] = []
        self.best: dict[str, Tensor] = {}
        self.stopped = ""
        self.losses: list[Tensor] = []
        self.patience = Patience()
        self._asked = 1.0
        self._rates = [float(group["lr"]) for group in self.optimizer.param_groups]

    @property
    def total_steps(self) -> int:
        """Steps of all epochs, if none is left out."""
        return self.settings.epochs * self.training.steps

    @property
    def lr(self) -> float:
        """The learning rate of the last step, or of the first before it."""
        return float(self.optimizer.param_groups[0]["lr"])

    def stop(self, reason: str) -> None:
        """End the fit after this epoch; the best epoch so far is kept."""
        self.stopped = self.stopped or reason

    def lower_lr(self, factor: float) -> None:
        """Multiply the learning rate by ``factor``, between 0 and 1, from the next step to the last.

        Where several processes train, all of them do it together, after the epoch.
        """
        if self.backend.world > 1:
            self._asked *= factor
            return
        self.lowered *= factor
        self.set_lr()

    def run(self) -> None:
        """Train from where it stands to the last epoch, or until it has reason to stop."""
        try:
            self._tell("on_fit_start")
            while self.epoch < self.settings.epochs and not self.stopped:
                self._train()
                with nullcontext() if self.average is None else self.average.applied():
                    self._judge(self._validated())
                    self._tell("on_epoch")
                self._agree()
                self.epoch += 1
                self._tell("on_epoch_over")
            self._tell("on_fit_end")
        except BaseException as error:
            for callback in self.callbacks:
                callback.on_error(self, error)
            self._explain(error)
            raise

    def _agree(self) -> None:
        """Do what a callback has asked for in one of several processes in all of them."""
        if self.backend.world == 1:
            return
        self.stopped, asked = self.backend.agreed(self.stopped, self._asked)
        self._asked = 1.0
        self.lowered *= asked
        self.set_lr()

    def _train(self) -> None:
        """One epoch of steps."""
        on_gradients, on_step = self._listening("on_gradients"), self._listening("on_step")
        backend, optimizer, clip = self.backend, self.optimizer, self.settings.clip
        moving = self.settings.schedule != "constant" or self.settings.warmup_steps > 0
        done = self.step - self.epoch * self.training.steps  # not zero where a checkpoint was taken up
        among = self.training.accumulate
        batches = self.training.of_epoch(self.epoch, skip=done * among, reuse=True)
        self.model.train()
        for _ in range(done, self.training.steps):
            if moving:
                self.set_lr()
            optimizer.zero_grad()
            for batch in islice(batches, among):
                self._add_gradients(batch, among)
            backend.unscale(optimizer)
            for tell in on_gradients:
                tell(self)
            self.gradient_norm = backend.clip(self._parameters, clip)
            backend.step(optimizer)
            if self.average is not None:
                self.average.update()
            self.step += 1
            for tell in on_step:
                tell(self)

    def _add_gradients(self, batch: WindowBatch, among: int) -> None:
        """Forward and backward through one of ``among`` batches of a step, whose gradient is their mean."""
        with self.backend.autocast():
            loss, own = self.model(batch.x, batch.y)
        total = loss if own is None else loss + own
        self.backend.backward(total if among == 1 else total / among)
        self.batch, self.loss = batch, loss.detach()
        self.losses.append(self.loss)

    def set_lr(self) -> None:
        """Set the learning rate of the next step."""
        settings = self.settings
        part = self.lowered * factor(settings.schedule, self.step, total=self.total_steps, warmup=settings.warmup_steps)
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * part

    def _validated(self) -> Epoch:
        """Losses of the epoch that has just been trained."""
        on_validation = self._listening("on_validation")
        self.model.eval()
        total, seen = [], 0
        with self.backend.inference(self.network):
            for batch in self.validation:
                with self.backend.autocast():
                    loss, summaries = self.network.loss_and_summary(batch.x, batch.y)
                total.append(loss * len(batch.x))
                for tell in on_validation:
                    tell(self, seen, summaries)
                seen += len(batch.x)
        validation = self.backend.total(torch.stack(total).sum())
        train = self.backend.total(torch.stack(self.losses).mean())
        self.losses.clear()
        return Epoch(
            train=float(train) / self.backend.world,
            validation=float(validation) / self.validation.n_windows,
            telemetry=telemetry_of(self.network.backbone),
        )

    def _judge(self, epoch: Epoch) -> None:
        """Keep the weights of the best epoch; stop where patience ends."""
        self.history.append(epoch)
        self._refuse_nan(epoch)
        if self.patience.is_best(epoch.validation):
            self.best = self.backend.weights(self.network)
        if self.patience.waited(epoch.validation, self.settings.min_delta) >= self.settings.patience:
            self.stop(f"no better validation loss for {self.settings.patience} epochs")

    def _refuse_nan(self, epoch: Epoch) -> None:
        for name, value in (("training", epoch.train), ("validation", epoch.validation)):
            if value != value or value in (float("inf"), float("-inf")):
                raise MnpuError(
                    f"the {name} loss is {value} in epoch {len(self.history)}",
                    where=self.where,
                    expected="a finite number",
                    next_step="Lower train.lr, or look for extreme values in the features and labels.",
                )

    def _explain(self, error: BaseException) -> None:
        """Raise what a user can act on in place of the system's word for too little memory."""
        out = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if not out and not (isinstance(error, RuntimeError) and "can't allocate memory" in str(error)):
            return
        settings = self.settings
        size = f"train.batch_size {settings.batch_size} x model.lookback {self.training.windows.lookback}"
        raise MnpuError(
            f"out of memory in step {self.step + 1} ({size}, on the {self.backend.device})",
            where=self.where,
            next_step="Lower train.batch_size and raise train.accumulate by the same factor, or use a smaller network, "
            "a shorter model.lookback or train.precision: bf16.",
        ) from error

    def _tell(self, moment: str) -> None:
        for tell in self._listening(moment):
            tell(self)

    def _listening(self, moment: str) -> list[Callable[..., None]]:
        """The methods for a moment, of those callbacks that have one of their own."""
        inherited = getattr(Callback, moment)
        return [getattr(c, moment) for c in self.callbacks if getattr(type(c), moment) is not inherited]
