"""A head whose forecast is a normal distribution a horizon.

Glossary
--------
B batch, D width of the summary, H horizons, Q quantile levels; m mean, s standard deviation, y target,
z = (y - m) / s, Phi and phi the standard normal distribution function and density.

Equations
---------
``m = W_m h + b_m``, ``s = softplus(W_s h + b_s) + FLOOR``; a quantile is ``m + s Phi^-1(tau)``.
``nll``: ``log s + z^2 / 2 + log(2 pi) / 2``, the logarithmic score (Gneiting and Raftery 2007, section 4.1).
``crps``: ``s (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi))`` (Gneiting and Raftery 2007, equation 21): proper as well,
linear instead of quadratic in an extreme outcome, in units of the target.

At the start the forecast for a summary of zeros is the standard normal, because targets arrive with unit spread.

Does not include: correlation between horizons, a mixture, heavier tails (``student_t``).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnpu.nn.checks import at_least_one, refuse
from mnpu.nn.levels import LEVELS, checked_levels, normal_quantiles, softplus_inverse

__all__ = ["FLOOR", "Gaussian"]

FLOOR = 1e-3  #: Smallest scale, in standard deviations of the target: a density must not grow without bound.


class Gaussian(nn.Module):
    """Normal distribution a horizon, trained by its logarithmic score or its CRPS; quantiles in closed form.

    Parameters
    ----------
    d_in, n_horizons : int
        Width D of the summary and number of horizons H.
    loss : {"nll", "crps"}, default="nll"
    levels : tuple of float
        Quantile levels Q of the forecast.
    """

    def __init__(
        self,
        d_in: int,
        n_horizons: int,
        *,
        loss: Literal["nll", "crps"] = "nll",
        levels: tuple[float, ...] = LEVELS,
    ) -> None:
        super().__init__()
        at_least_one("head", d_in=d_in, n_horizons=n_horizons)
        if loss not in ("nll", "crps"):
            raise refuse("head.loss", repr(loss), expected="nll or crps")
        self.levels = checked_levels(levels)
        self.kind, self.n_horizons = loss, n_horizons
        self.map = nn.Linear(d_in, 2 * n_horizons)
        self.register_buffer("z", torch.tensor(normal_quantiles(self.levels)), persistent=False)
        with torch.no_grad():
            self.map.bias.copy_(torch.tensor([0.0, softplus_inverse(1 - FLOOR)]).repeat(n_horizons))

    def parameters_of(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation: ``(B, D) -> (B, H), (B, H)``."""
        mean, raw = self.map(h).unflatten(-1, (self.n_horizons, 2)).unbind(-1)
        return mean, F.softplus(raw) + FLOOR

    def forecast(self, h: Tensor) -> Tensor:
        """``(B, D) -> (B, H, Q)``, in the order of ``levels``."""
        mean, scale = self.parameters_of(h)
        return mean.unsqueeze(-1) + scale.unsqueeze(-1) * self.z

    def loss(self, h: Tensor, y: Tensor) -> Tensor:
        """Mean score over batch and horizons: ``(B, D), (B, H) -> ()``."""
        mean, scale = self.parameters_of(h)
        z = (y - mean) / scale  # (B, H)
        if self.kind == "crps":
            return (scale * _crps_of_standard(z)).mean()
        return (scale.log() + z.square() / 2).mean() + math.log(2 * math.pi) / 2


def _crps_of_standard(z: Tensor) -> Tensor:
    """CRPS of the standard normal at outcomes ``z``; ``2 Phi(z) - 1`` is ``erf(z / sqrt 2)``."""
    density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    return z * torch.erf(z / math.sqrt(2)) + 2 * density - 1 / math.sqrt(math.pi)
