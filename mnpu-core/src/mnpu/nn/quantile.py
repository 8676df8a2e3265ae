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

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnpu.nn.checks import at_least_one, refuse

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

    def __init__(
        self, d_in: int, n_horizons: int, *, levels: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
    ) -> None:
        super().__init__()
        at_least_one("head", d_in=d_in, n_horizons=n_horizons)
        self.levels = _checked(levels)
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


def _checked(levels: Sequence[float]) -> tuple[float, ...]:
    levels = tuple(float(level) for level in levels)
    increasing = all(a < b for a, b in pairwise(levels))
    inside = all(0 < level < 1 for level in levels)
    symmetric = all(math.isclose(a + b, 1, abs_tol=1e-9) for a, b in zip(levels, reversed(levels), strict=True))
    if not (increasing and inside and symmetric and 0.5 in levels):
        raise refuse(
            "head.levels",
            list(levels),
            expected="strictly increasing levels between 0 and 1, symmetric around 0.5, which is one of them",
            next_step="Remove the setting to use the default.",
        )
    return levels


def _normal_start(levels: Sequence[float]) -> Tensor:
    """Biases (Q,), median first, then increments up and down, that give the quantiles of a standard normal."""
    upper = [NormalDist().inv_cdf(level) for level in levels[len(levels) // 2 :]]  # 0 at the median
    increments = [math.log(math.expm1(b - a)) for a, b in pairwise(upper)]  # inverse of softplus
    return torch.tensor([0.0, *increments, *increments])
