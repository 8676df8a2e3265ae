"""The loop of pre-training: epochs over the training windows of a fold, without a look at their labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from mnpu.config.models import ContrastiveConfig, MaskedConfig
from mnpu.errors import ConfigError, MnpuError
from mnpu.training.batches import ShuffledBatches, Windows
from mnpu.training.callbacks import Callback
from mnpu.training.loop import TrainSettings
from mnpu.training.memory import explained
from mnpu.training.optimizers import make_optimizer
from mnpu.training.pretraining.columns import Columns
from mnpu.training.pretraining.contrastive import Contrastive
from mnpu.training.pretraining.masked import Masked
from mnpu.training.reproducible import derived_seed

__all__ = ["Pretraining", "pretrain"]

GRADIENT_CLIP = 1.0
Settings: TypeAlias = MaskedConfig | ContrastiveConfig
PATCH = 8  #: Bars of a hidden patch where the recipe does not say, in windows of at least 16.


@dataclass
class _AdamW:
    lr: float
    weight_decay: float
    optimizer: str = "adamw"
    momentum: float | None = None


class Pretraining(Callback):
    """Keeps the losses of pre-training with a fit's checkpoints: one that goes on does not pre-train again."""

    name = "pretraining"

    def __init__(self) -> None:
        self.losses: tuple[float, ...] = ()

    def state(self) -> Mapping[str, Any]:
        """The losses."""
        return {"losses": list(self.losses)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """The losses, back."""
        self.losses = tuple(state["losses"])


def pretrain(
    backbone: nn.Module,
    windows: Windows,
    has_gaps: np.ndarray,
    train: TrainSettings,
    *,
    seed: int,
    where: str,
    autocast: torch.dtype | None = None,
) -> tuple[float, ...]:
    """Pre-train a backbone by the recipe's objective; its weights change in place.

    Parameters
    ----------
    backbone : nn.Module
    windows : Windows
        All of the training range, whether their labels are known or not: they are not read.
    has_gaps : bool ndarray (F,)
        Features that bring a mask column.
    train : TrainSettings
        ``pretrain`` says what is minimised; ``batch_size`` and ``max_steps_per_epoch`` hold here too.
    seed : int
        What is shuffled, hidden and distorted follows from it.
    where : str
        Which fit this is, for errors.
    autocast : torch.dtype, optional
        Smaller numbers for matrix products.

    Returns
    -------
    losses : tuple of float
        Mean loss of each epoch; none where the recipe asks for no pre-training.

    Raises
    ------
    ConfigError
        If a size is impossible.
    MnpuError
        If the loss is not finite.
    """
    settings = train.pretrain
    if settings is None:
        return ()
    device = windows.first.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(derived_seed(seed, 0))  # the layers that are thrown away afterwards
        objective = _objective(backbone, Columns(has_gaps), windows, settings, train.batch_size).to(device)
    batches = ShuffledBatches(
        windows, train.batch_size, max_steps=train.max_steps_per_epoch, seed=derived_seed(seed, 1)
    )
    optimizer = make_optimizer(objective, _AdamW(settings.lr, settings.weight_decay))
    generator = torch.Generator().manual_seed(derived_seed(seed, 2))
    narrow = nullcontext if autocast is None else (lambda: torch.autocast(device.type, dtype=autocast))
    objective.train()
    losses = []
    for _ in range(settings.epochs):
        with explained(
            f"in pre-training (train.batch_size {batches.size} x model.lookback {windows.lookback}, on the {device})",
            where=where,
            next_step="Lower train.batch_size, or use a smaller network or a shorter model.lookback.",
        ):
            losses.append(_epoch(objective, batches, optimizer, generator, narrow))
        if not math.isfinite(losses[-1]):
            raise MnpuError(
                f"the loss of pre-training is {losses[-1]} in epoch {len(losses)}",
                where=where,
                expected="a finite number",
                next_step="Lower train.pretrain.lr, or look for extreme values in the features.",
            )
    optimizer.zero_grad()  # no gradient of this loss reaches the training
    telemetry = getattr(backbone, "telemetry", None)
    if telemetry is not None:
        telemetry()  # reading starts the counts anew: those of pre-training are no part of the first epoch's
    return tuple(losses)


def _epoch(
    objective: Masked | Contrastive,
    batches: ShuffledBatches,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    narrow: Callable[[], Any],
) -> float:
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        with narrow():
            loss = objective.loss(batch, generator)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(objective.parameters(), GRADIENT_CLIP)
        optimizer.step()
        losses.append(loss.detach())
    return float(torch.stack(losses).mean())


def _objective(
    backbone: nn.Module, columns: Columns, windows: Windows, settings: Settings, batch_size: int
) -> Masked | Contrastive:
    if isinstance(settings, MaskedConfig):
        length = settings.patch_length or max(min(PATCH, windows.lookback // 2), 1)
        return Masked(backbone, columns, lookback=windows.lookback, share=settings.share, patch_length=length)
    if min(batch_size, len(windows)) < 2:
        raise ConfigError(
            f"train.batch_size is {batch_size}, and the fold has {len(windows)} training windows",
            expected="two windows in a step, because contrastive pre-training compares them",
        )
    return Contrastive(
        backbone,
        columns,
        temperature=settings.temperature,
        jitter=settings.jitter,
        scaling=settings.scaling,
        hidden=settings.hidden,
    )
