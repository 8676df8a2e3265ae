"""A head whose quantiles cannot cross, trained by the pinball loss.

Glossary
--------
B batch, D width of the summary, H horizons, Q quantile levels, M = Q // 2 levels on each side of the median.
m median, u and d the increments above and below it, y target, q a quantile at level tau.

Equations
---------
``q_{M+j} = m + sum_{i<=j} softplus(u_i)`` and ``q_{M-j} = m - sum_{i<=j} softplus(d_i)``: sums of non-negative
increments outward from the median, so ``q`` is monotone at any weights (Gasthaus et al. 2019 build a quantile
function from non-negative increments in the same way).
``loss = mean over B, H, Q of max(tau (y - q), (tau - 1)(y - q))``: the pinball loss (Koenker and Bassett 1978), a
proper scoring rule for each level (Gneiting and Raftery 2007, section 6.1).

At the start the biases make the quantiles those of a standard normal, because targets arrive with unit spread.

Does not include: tails beyond the outermost levels, a density, recalibration.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnpu.nn.checks import at_least_one
from mnpu.nn.levels import LEVELS, checked_levels, normal_quantiles, softplus_inverse

__all__ = ["Quantile", "pinball"]


def pinball(quantiles: Tensor, y: Tensor, levels: Tensor) -> Tensor:
    """Pinball loss of ``quantiles`` (..., Q) at ``levels`` (Q,) for outcomes ``y`` (...,), not averaged: (..., Q)."""
    error = y.unsqueeze(-1) - quantiles  # (..., Q)
    return torch.maximum(levels * error, (levels - 1) * error)


class Quantile(nn.Module):
    """Non-crossing quantiles, a median with increments outward, trained by the pinball loss.

    Parameters
    ----------
    d_in, n_horizons : int
        Width D of the summary and number of horizons H.
    levels : tuple of float
        Quantile levels Q, strictly increasing inside (0, 1), symmetric around 0.5, which is one of them.
    """

    def __init__(self, d_in: int, n_horizons: int, *, levels: tuple[float, ...] = LEVELS) -> None:
        super().__init__()
        at_least_one("head", d_in=d_in, n_horizons=n_horizons)
        self.levels = checked_levels(levels)
        self.n_horizons, self.n_sides = n_horizons, len(self.levels) // 2
        self.map = nn.Linear(d_in, n_horizons * len(self.levels))
        self.register_buffer("tau", torch.tensor(self.levels), persistent=False)
        with torch.no_grad():
            self.map.bias.copy_(_normal_start(self.levels).repeat(n_horizons))

    def forecast(self, h: Tensor) -> Tensor:
        """``(B, D) -> (B, H, Q)``, in the order of ``levels``."""
        raw = self.map(h).unflatten(-1, (self.n_horizons, -1))  # (B, H, Q)
        median, up, down = raw.split([1, self.n_sides, self.n_sides], dim=-1)
        above = median + F.softplus(up).cumsum(-1)  # (B, H, M), outward
        below = median - F.softplus(down).cumsum(-1)  # (B, H, M), outward
        return torch.cat([below.flip(-1), median, above], dim=-1)

    def loss(self, h: Tensor, y: Tensor) -> Tensor:
        """Mean pinball loss over batch, horizons and levels: ``(B, D), (B, H) -> ()``."""
        return pinball(self.forecast(h), y, self.tau).mean()


def _normal_start(levels: Sequence[float]) -> Tensor:
    """Biases (Q,), median first, then increments up and down, that give the quantiles of a standard normal."""
    upper = normal_quantiles(levels[len(levels) // 2 :])  # 0 at the median
    increments = [softplus_inverse(b - a) for a, b in pairwise(upper)]
    return torch.tensor([0.0, *increments, *increments])
