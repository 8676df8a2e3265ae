"""The training loop: steps on batches, a validation after every epoch, the best epoch's weights kept.

A loop of our own, because a framework's costs more than a small network's step (docs/benchmarks.md). What may watch it
or slow it down is a `mnpu.training.callbacks.Callback`; where it computes is a `mnpu.training.backends.Backend`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from mnpu.errors import MnpuError
from mnpu.nn.network import Network
from mnpu.nn.protocols import telemetry_of
from mnpu.training.backends import Backend
from mnpu.training.batches import OrderedBatches, ShuffledBatches
from mnpu.training.callbacks import Callback
from mnpu.training.fitted import Epoch
from mnpu.training.optimizers import make_optimizer
from mnpu.types import WindowBatch

__all__ = ["Loop", "Losses", "TrainSettings"]

log = logging.getLogger("mnpu.training")

GRADIENT_CLIP = 1.0  # of the norm: one extreme return must not throw the weights away


class TrainSettings(Protocol):
    """The ``train`` block of a recipe."""

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    patience: int
    max_steps_per_epoch: int | None

    @property
    def precision(self) -> int | str:
        """32 or ``bf16``."""


class Losses(nn.Module):
    """A network as training calls it: ``(B, L, F), (B, H)`` to the head's loss and the backbone's own or None."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor | None]:
        """Training minimises the sum of both."""
        return self.network.losses(x, y)


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
        The last one that was trained on.
    loss : Tensor ()
        The head's loss of it, without a graph.
    gradient_norm : Tensor ()
        Norm of all gradients of the last step before they were clipped.
    history : list of Epoch
    best : dict of str to Tensor
        The weights of the first epoch with the smallest validation loss.
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
        self.epoch = self.step = 0
        self.history: list[Epoch] = []
        self.best: dict[str, Tensor] = {}
        self.stopped = ""
        self._losses: list[Tensor] = []
        self._smallest, self._waited = float("inf"), 0

    @property
    def total_steps(self) -> int:
        """Steps of all epochs, if none is left out."""
        return self.settings.epochs * len(self.training)

    @property
    def lr(self) -> float:
        """The learning rate of the last step, or of the first before it."""
        return float(self.optimizer.param_groups[0]["lr"])

    def stop(self, reason: str) -> None:
        """End the fit after this epoch; the best epoch so far is kept."""
        self.stopped = self.stopped or reason

    def lower_lr(self, factor: float) -> None:
        """Multiply the learning rate by ``factor``, between 0 and 1, from the next step on."""
        for group in self.optimizer.param_groups:
            group["lr"] *= factor

    def run(self) -> None:
        """Train from where it stands to the last epoch, or until it has reason to stop."""
        try:
            self._tell("on_fit_start")
            while self.epoch < self.settings.epochs and not self.stopped:
                self._train()
                self._judge(self._validated())
                self._tell("on_epoch")
                self.epoch += 1
            self._tell("on_fit_end")
        except BaseException as error:
            for callback in self.callbacks:
                callback.on_error(self, error)
            raise

    def _train(self) -> None:
        """One epoch of steps."""
        on_gradients, on_step = self._listening("on_gradients"), self._listening("on_step")
        backend, network, optimizer = self.backend, self.network, self.optimizer
        self.model.train()
        for batch in self.training.of_epoch(self.epoch):
            optimizer.zero_grad()
            with backend.autocast():
                loss, own = self.model(batch.x, batch.y)
            backend.backward(loss if own is None else loss + own)
            self.batch, self.loss = batch, loss.detach()
            self._losses.append(self.loss)
            for tell in on_gradients:
                tell(self)
            self.gradient_norm = backend.clip(network, GRADIENT_CLIP)
            backend.step(optimizer)
            self.step += 1
            for tell in on_step:
                tell(self)

    def _validated(self) -> Epoch:
        """Losses of the epoch that has just been trained."""
        self.model.eval()
        total = []
        with torch.inference_mode():
            for batch in self.validation:
                with self.backend.autocast():
                    loss = self.network.loss(batch.x, batch.y)
                total.append(loss * len(batch.x))
        validation = self.backend.total(torch.stack(total).sum())
        train = self.backend.total(torch.stack(self._losses).mean())
        self._losses.clear()
        return Epoch(
            train=float(train) / self.backend.world,
            validation=float(validation) / self.validation.n_windows,
            telemetry=telemetry_of(self.network.backbone),
        )

    def _judge(self, epoch: Epoch) -> None:
        """Keep the weights of the best epoch; stop where patience ends."""
        self.history.append(epoch)
        self._refuse_nan(epoch)
        self._warn_of_collapse(epoch)
        if epoch.validation < self._smallest:
            self._smallest, self._waited = epoch.validation, 0
            self.best = self.backend.weights(self.network)
            return
        self._waited += 1
        if self._waited >= self.settings.patience:
            self.stop(f"no better validation loss for {self._waited} epochs")

    def _warn_of_collapse(self, epoch: Epoch) -> None:
        for name, value in epoch.telemetry.items():
            if value and name.rpartition(".")[2] == "collapsed":
                log.warning("%s: %s in epoch %d", self.where, name, len(self.history))

    def _refuse_nan(self, epoch: Epoch) -> None:
        for name, value in (("training", epoch.train), ("validation", epoch.validation)):
            if value != value or value in (float("inf"), float("-inf")):
                raise MnpuError(
                    f"the {name} loss is {value} in epoch {len(self.history)}",
                    where=self.where,
                    expected="a finite number",
                    next_step="Lower train.lr, or look for extreme values in the features and labels.",
                )

    def _tell(self, moment: str) -> None:
        for tell in self._listening(moment):
            tell(self)

    def _listening(self, moment: str) -> list[Callable[[Loop], None]]:
        """The methods for a moment, of those callbacks that have one of their own."""
        inherited = getattr(Callback, moment)
        return [getattr(c, moment) for c in self.callbacks if getattr(type(c), moment) is not inherited]
