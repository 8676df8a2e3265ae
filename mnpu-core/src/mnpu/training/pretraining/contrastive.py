"""Contrastive pre-training: two distorted views of a window must be found among the views of all windows.

After Chen, Kornblith, Norouzi and Hinton (2020), "A Simple Framework for Contrastive Learning of Visual
Representations" (SimCLR, arXiv:2002.05709), section 2.1, with the InfoNCE loss of van den Oord, Li and Vinyals (2018,
arXiv:1807.03748). The distortions are those of time series: jitter and scaling (Um et al. 2017, arXiv:1706.00527), and
hidden bars (Yue et al. 2022, TS2Vec, arXiv:2106.10466, section 3.2).

Glossary
--------
B batch, L lookback, F features, D model width, tau temperature. Views 2B: view i and view i + B are of one window.

1. a view of ``x`` is ``a x + s e`` with a factor ``a = exp(c n)`` for each column of each window, ``n`` and ``e``
   standard normal, of which each bar is hidden with probability r; what was missing stays missing
2. ``z = W_2 relu(W_1 summary(view))``, of length 1
3. ``loss = -mean_i log(exp(z_i z_j / tau) / sum_{k in K(i)} exp(z_i z_k / tau))`` with j the other view of i's window

K(i) are all views but i itself, and but those of other windows of the same symbol that share a bar with it: they are
nearly the same window, and no example of a different one.

Does not include: a queue or a momentum encoder, crops (backbones take windows of one length), a loss for each step.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnpu.nn.protocols import summary_and_loss_of
from mnpu.training.pretraining.columns import Columns
from mnpu.types import WindowBatch

__all__ = ["Contrastive", "info_nce", "not_apart"]


class Contrastive(nn.Module):
    """InfoNCE of two views of each window, through a projection that is thrown away afterwards.

    Parameters
    ----------
    backbone : nn.Module
        ``(B, L, F') -> (B, L, D)``.
    columns : Columns
    temperature : float
        tau: the smaller, the more the loss looks at the most similar windows.
    jitter : float
        Deviation s of the noise, in units of the scaled features.
    scaling : float
        Deviation c of the logarithm of each column's factor.
    hidden : float
        Probability r that a bar of a view is hidden.
    """

    def __init__(
        self,
        backbone: nn.Module,
        columns: Columns,
        *,
        temperature: float,
        jitter: float,
        scaling: float,
        hidden: float,
    ) -> None:
        super().__init__()
        self.columns, self.temperature = columns, temperature
        self.jitter, self.scaling, self.hidden = jitter, scaling, hidden
        self.backbone = backbone
        width = int(backbone.d_out)  # type: ignore[arg-type]
        self.project = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def loss(self, batch: WindowBatch, generator: torch.Generator) -> Tensor:
        """InfoNCE of the batch, plus the backbone's own loss where it has one; a scalar."""
        views = torch.cat([self.view(batch.x, generator), self.view(batch.x, generator)])  # (2B, L, F')
        h, own = summary_and_loss_of(self.backbone, views)
        apart = not_apart(batch.time, batch.symbol, lookback=batch.x.shape[1])
        with torch.autocast(device_type=h.device.type, enabled=False):
            loss = info_nce(self.project(h.float()), apart, temperature=self.temperature)
        return loss if own is None else loss + own.float()

    def view(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """A distorted copy of windows ``x`` (B, L, F')."""
        values, n_values = self.columns.values(x), self.columns.n_values

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator).to(x.device)

        factor = torch.exp(self.scaling * normal(len(x), 1, n_values))
        noisy = factor * values + self.jitter * normal(*values.shape)
        changed = torch.cat([noisy, x[..., n_values:]], dim=-1)
        gone = (torch.rand(len(x), x.shape[1], 1, generator=generator) < self.hidden).to(x.device)
        return self.columns.without(changed, gone | ~self.columns.present(x))


def not_apart(time: Tensor, symbol: Tensor, *, lookback: int) -> Tensor:
    """Pairs of different windows (B, B), bool, that share a bar of the same symbol; ``time`` (B,) is their last bar."""
    shared = (symbol[:, None] == symbol[None]) & ((time[:, None] - time[None]).abs() < lookback)
    return shared & ~torch.eye(len(time), dtype=torch.bool, device=time.device)


def info_nce(z: Tensor, left_out: Tensor, *, temperature: float) -> Tensor:
    """The loss of projections ``z`` (2B, D), views i and i + B of one window; ``left_out`` (B, B) are no comparison."""
    n = len(z) // 2
    z = F.normalize(z, dim=-1)
    similar = z @ z.T / temperature  # (2B, 2B)
    itself = torch.eye(2 * n, dtype=torch.bool, device=z.device)
    similar = similar.masked_fill(itself | left_out.repeat(2, 2), float("-inf"))
    partner = torch.arange(2 * n, device=z.device).roll(n)
    return F.cross_entropy(similar, partner)
