"""Which inputs of a network are values, and which say whether a value was there."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["Columns"]


class Columns:
    """The layout of scaled windows: F values, then a mask for each feature with gaps.

    Parameters
    ----------
    has_gaps : bool ndarray (F,)
        As in `mnpu.data.scaling.Scaler`.
    """

    def __init__(self, has_gaps: np.ndarray) -> None:
        self.n_values = len(has_gaps)
        self.with_gaps = torch.from_numpy(np.flatnonzero(has_gaps))

    def values(self, x: Tensor) -> Tensor:
        """``(B, L, F') -> (B, L, F)``, a view."""
        return x[..., : self.n_values]

    def present(self, x: Tensor) -> Tensor:
        """Where a value was known: ``(B, L, F') -> (B, L, F)``, bool."""
        known = torch.ones_like(self.values(x), dtype=torch.bool)
        known[..., self.with_gaps.to(x.device)] = x[..., self.n_values :] > 0.5
        return known

    def without(self, x: Tensor, hidden: Tensor) -> Tensor:
        """``x`` (B, L, F') as if the values at ``hidden`` (B, L, F) had been missing: zero, and their masks too."""
        masks = hidden[..., self.with_gaps.to(x.device)]
        return x.masked_fill(torch.cat([hidden, masks], dim=-1), 0.0)
