"""What watches a fit: the best epoch is kept, a bar is drawn where a person looks."""

from __future__ import annotations

import copy
import logging
import sys
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor

from mnpu.errors import MnpuError
from mnpu.nn.protocols import telemetry_of
from mnpu.training.fitted import Epoch
from mnpu.training.module import LightningForecaster

__all__ = ["Bar", "KeepBest"]

log = logging.getLogger("mnpu.training")


class KeepBest(Callback):
    """Stop early on the validation loss, and remember the weights of the best epoch.

    Parameters
    ----------
    n_windows : int
        Validation windows.
    patience : int
        Epochs without a better validation loss before it stops.
    where : str
        Which fit this is, for errors.
    """

    def __init__(self, n_windows: int, *, patience: int, where: str) -> None:
        self.n_windows, self.patience, self.where = n_windows, patience, where
        self.history: list[Epoch] = []
        self.weights: dict[str, Tensor] = {}
        self._best = float("inf")
        self._waited = 0

    def on_validation_epoch_end(self, trainer: Trainer, module: LightningForecaster) -> None:
        """Judge the epoch whose training steps have just ended."""
        epoch = Epoch(
            train=float(torch.stack(module.train_losses).mean()),
            validation=float(torch.stack(module.validation_sum).sum()) / self.n_windows,
            telemetry=telemetry_of(module.network.backbone),
        )
        module.train_losses.clear()
        module.validation_sum.clear()
        self.history.append(epoch)
        self._refuse_nan(epoch)
        self._warn_of_collapse(epoch)
        if epoch.validation < self._best:
            self._best, self._waited = epoch.validation, 0
            self.weights = copy.deepcopy(module.network.state_dict())
            return
        self._waited += 1
        trainer.should_stop = self._waited >= self.patience

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


class Bar(Callback):
    """A bar on standard error that disappears when the fit ends; nothing where nobody watches."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.drawn: Any = None

    def on_train_start(self, trainer: Trainer, module: LightningForecaster) -> None:
        """Open the bar, if standard error is a terminal."""
        if not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import Progress

        self.drawn = Progress(console=Console(stderr=True), transient=True)
        self.task = self.drawn.add_task(self.title, total=trainer.num_training_batches * (trainer.max_epochs or 1))
        self.drawn.start()

    def on_train_batch_end(self, *args: Any) -> None:
        """One step further."""
        if self.drawn is not None:
            self.drawn.advance(self.task)

    def on_train_end(self, trainer: Trainer, module: LightningForecaster) -> None:
        """Close the bar."""
        self._close()

    def on_exception(self, trainer: Trainer, module: LightningForecaster, exception: BaseException) -> None:
        """Close the bar."""
        self._close()

    def _close(self) -> None:
        if self.drawn is not None:
            self.drawn.stop()
            self.drawn = None
