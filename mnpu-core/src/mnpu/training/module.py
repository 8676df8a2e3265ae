"""The one Lightning module: a network, its loss, and AdamW."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from mnpu.nn.network import Network
from mnpu.types import WindowBatch

__all__ = ["LightningForecaster"]

GRADIENT_CLIP = 1.0  # of the norm: one extreme return must not throw the weights away


class LightningForecaster(LightningModule):
    """Fit a network on windows by its head's own loss.

    Losses are kept as tensors and read once an epoch: Lightning's ``log`` costs more than a small network's step.

    Parameters
    ----------
    network : Network
    lr, weight_decay : float
        Of AdamW (Loshchilov and Hutter 2019). Matrices decay; biases, gains and what the backbone names in
        ``no_weight_decay`` do not.
    """

    def __init__(self, network: Network, *, lr: float, weight_decay: float) -> None:
        super().__init__()
        self.network, self.lr, self.weight_decay = network, lr, weight_decay
        self.train_losses: list[Tensor] = []
        self.validation_sum: list[Tensor] = []

    def training_step(self, batch: WindowBatch, batch_idx: int) -> Tensor:
        """Loss of a batch; the one that is kept is the head's, which validation measures too."""
        loss, own = self.network.losses(batch.x, batch.y)
        self.train_losses.append(loss.detach())
        return loss if own is None else loss + own

    def validation_step(self, batch: WindowBatch, batch_idx: int) -> None:
        """Add up the loss over validation windows, each with the same weight."""
        self.validation_sum.append(self.network.loss(batch.x, batch.y) * len(batch.x))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW with two groups of parameters."""
        spared = {f"backbone.{name}" for name in getattr(self.network.backbone, "no_weight_decay", ())}
        decay: list[Tensor] = []
        rest: list[Tensor] = []
        for name, parameter in self.network.named_parameters():
            (rest if parameter.ndim < 2 or name in spared else decay).append(parameter)
        groups = [{"params": decay, "weight_decay": self.weight_decay}, {"params": rest, "weight_decay": 0.0}]
        return torch.optim.AdamW([g for g in groups if g["params"]], lr=self.lr, fused=True)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip the gradient; Lightning's own clipping refuses the fused optimizer in mixed precision."""
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_CLIP)

    def transfer_batch_to_device(self, batch: WindowBatch, device: torch.device, dataloader_idx: int) -> Any:
        """Batches are gathered where the network is."""
        return batch
