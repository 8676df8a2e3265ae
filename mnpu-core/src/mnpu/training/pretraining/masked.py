"""Masked pre-training: stretches of each column are hidden, and the backbone learns to fill them in.

After Nie, Nguyen, Sinthong and Kalagnanam (2023), "A Time Series is Worth 64 Words" (PatchTST, arXiv:2211.14730),
section 3.2: non-overlapping patches of every column are hidden independently of the other columns, and the loss is the
mean squared error of the hidden ones.

Glossary
--------
B batch, L lookback, F features, F' inputs (features and the masks of those with gaps), D model width, P bars of a
patch, N patches of a window, r share that is hidden.

1. the window is cut into N patches of P bars that end at its last bar; the first may be shorter
2. ``round(r N)`` of the N patches of each column, at least one and never all, are hidden in each window anew: their
   values become 0, as those of a missing bar do, and so do their masks
3. ``h = backbone(x)`` (B, L, D), and one linear map (D, F) reads the values of step t off ``h_t``
4. the mean of the squared errors over hidden values that were known

A causal backbone fills a gap from what came before and from the other columns at the same bar; one that is not causal
also from what comes after.

Departures: the map is one for all steps where the paper has one for each patch; columns may be mixed by the backbone.

Does not include: a learnt token for what is hidden, random replacements, a loss of what was not hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mnpu.errors import ConfigError
from mnpu.training.pretraining.columns import Columns
from mnpu.types import WindowBatch

__all__ = ["Masked", "hidden_patches"]


class Masked(nn.Module):
    """The reconstruction of hidden patches by a backbone and a linear map that is thrown away afterwards.

    Parameters
    ----------
    backbone : nn.Module
        ``(B, L, F') -> (B, L, D)``.
    columns : Columns
    lookback : int
        L, at least two patches.
    share : float
        Share r of the patches that is hidden, between 0 and 1.
    patch_length : int
        Bars P of a patch.
    """

    def __init__(
        self, backbone: nn.Module, columns: Columns, *, lookback: int, share: float, patch_length: int
    ) -> None:
        super().__init__()
        if patch_length >= lookback:
            raise ConfigError(
                f"train.pretrain.patch_length is {patch_length}",
                expected=f"less than model.lookback, {lookback}: something of a window must stay in sight",
            )
        self.columns, self.share, self.patch_length = columns, share, patch_length
        self.backbone = backbone
        self.read = nn.Linear(int(backbone.d_out), columns.n_values)  # type: ignore[arg-type]

    def loss(self, batch: WindowBatch, generator: torch.Generator) -> Tensor:
        """Mean squared error of hidden known values, plus the backbone's own loss where it has one; a scalar."""
        x = batch.x
        shape = (len(x), x.shape[1], self.columns.n_values)
        hidden = hidden_patches(shape, self.patch_length, self.share, generator).to(x.device)
        seen = self.columns.without(x, hidden)
        rebuilt = self.read(self.backbone(seen).float())  # (B, L, F)
        asked = hidden & self.columns.present(x)
        error = (rebuilt - self.columns.values(x)).square()
        loss = torch.where(asked, error, 0.0).sum() / asked.sum().clamp(min=1)
        own = getattr(self.backbone, "summary_and_loss", None)  # such as what keeps experts evenly used
        return loss if own is None else loss + own(seen)[1].float()


def hidden_patches(shape: tuple[int, int, int], patch_length: int, share: float, generator: torch.Generator) -> Tensor:
    """Which values of windows (B, L, F) are hidden: bool, whole patches, equally many in each column of each window."""
    windows, lookback, n_values = shape
    n_patches = -(-lookback // patch_length)
    n_hidden = min(max(round(share * n_patches), 1), n_patches - 1)
    order = torch.rand(windows, n_values, n_patches, generator=generator).argsort(-1)  # a permutation
    chosen = (order < n_hidden).repeat_interleave(patch_length, dim=-1)  # (B, F, N P)
    return chosen[..., n_patches * patch_length - lookback :].transpose(1, 2)  # the last patch ends at the last bar
