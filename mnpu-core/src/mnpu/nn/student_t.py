"""A head whose forecast is a Student t distribution a horizon: a normal one with tails as heavy as the data ask for.

Glossary
--------
B batch, D width of the summary, H horizons, Q quantile levels; m location, s scale, nu degrees of freedom, u = 1 / nu,
y target, z = (y - m) / s.

Equations
---------
``m = W_m h + b_m``, ``s = softplus(W_s h + b_s) + FLOOR``, ``u = U_MIN + (U_MAX - U_MIN) sigmoid(W_u h + b_u)``, so
``2 < nu <= 1000`` and the variance ``s^2 nu / (nu - 2)`` exists (location-scale t: Lange, Little and Taylor 1989).
``nll = log s + (nu + 1) / 2 log(1 + z^2 / nu) + log B(1/2, nu/2) + log(nu) / 2``: the logarithmic score.
A quantile is ``m + s t(tau, nu)``; `mnpu.nn.student_quantiles` says how ``t`` is found.

At the start the forecast has unit variance and five degrees of freedom for a summary of zeros.

Does not include: skewness, an infinite variance (``nu <= 2``), correlation between horizons, the CRPS as a loss (its
closed form needs the distribution function, which torch does not have).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnpu.nn.checks import at_least_one
from mnpu.nn.gaussian import FLOOR
from mnpu.nn.levels import LEVELS, checked_levels, softplus_inverse
from mnpu.nn.student_quantiles import DEGREE, U_MAX, U_MIN, gap_coefficients

__all__ = ["StudentT"]

START = 5.0  #: Degrees of freedom before training.


class StudentT(nn.Module):
    """Student t distribution a horizon, more than two degrees of freedom, trained by its logarithmic score.

    Parameters
    ----------
    d_in, n_horizons : int
        Width D of the summary and number of horizons H.
    levels : tuple of float
        Quantile levels Q of the forecast.
    """

    def __init__(self, d_in: int, n_horizons: int, *, levels: tuple[float, ...] = LEVELS) -> None:
        super().__init__()
        at_least_one("head", d_in=d_in, n_horizons=n_horizons)
        self.levels = checked_levels(levels)
        self.n_horizons = n_horizons
        self.map = nn.Linear(d_in, 3 * n_horizons)
        gaps = torch.from_numpy(gap_coefficients(self.levels)).float()
        self.register_buffer("gaps", gaps, persistent=False)  # (K, M)
        share = (1 / START - U_MIN) / (U_MAX - U_MIN)
        start = [0.0, softplus_inverse(math.sqrt(1 - 2 / START) - FLOOR), math.log(share / (1 - share))]
        with torch.no_grad():
            self.map.bias.copy_(torch.tensor(start).repeat(n_horizons))

    def parameters_of(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Location, scale and degrees of freedom: ``(B, D) -> (B, H)``, three times."""
        location, scale, tail = self._raw(h)
        return location, F.softplus(scale) + FLOOR, 1 / (U_MIN + (U_MAX - U_MIN) * torch.sigmoid(tail))

    def forecast(self, h: Tensor) -> Tensor:
        """``(B, D) -> (B, H, Q)``, in the order of ``levels``."""
        location, scale, tail = (part.unsqueeze(-1) for part in self._raw(h))  # (B, H, 1)
        outward = (_chebyshev(2 * torch.sigmoid(tail) - 1) @ self.gaps).clamp(min=0).cumsum(-1)  # (B, H, M)
        t = torch.cat([-outward.flip(-1), torch.zeros_like(location), outward], dim=-1)  # (B, H, Q)
        return location + (F.softplus(scale) + FLOOR) * t

    def loss(self, h: Tensor, y: Tensor) -> Tensor:
        """Mean logarithmic score over batch and horizons: ``(B, D), (B, H) -> ()``."""
        location, scale, freedom = self.parameters_of(h)
        z = (y - location) / scale  # (B, H)
        nu = freedom.double()  # the difference of two large logarithms of gamma has few digits left in float32
        constant = torch.lgamma(nu / 2) - torch.lgamma((nu + 1) / 2) + (nu * math.pi).log() / 2
        return (constant.to(z.dtype) + scale.log() + (freedom + 1) / 2 * torch.log1p(z.square() / freedom)).mean()

    def _raw(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        location, scale, tail = self.map(h).unflatten(-1, (self.n_horizons, 3)).unbind(-1)
        return location, scale, tail


def _chebyshev(x: Tensor) -> Tensor:
    """Chebyshev polynomials of ``x`` (..., 1) in [-1, 1] up to DEGREE, by their recurrence: (..., K)."""
    terms = [torch.ones_like(x), x]
    for _ in range(DEGREE - 1):
        terms.append(2 * x * terms[-1] - terms[-2])
    return torch.cat(terms, dim=-1)
