"""Quantiles of Student's t as a smooth function of its degrees of freedom, without an incomplete beta function.

Glossary
--------
nu degrees of freedom, u = 1 / nu, tau level, t(tau, nu) its quantile, K nodes, M levels above the median.

Method
------
With ``t = sqrt(nu) tan(theta)`` the distribution function is ``1/2 + c(nu) int_0^theta cos(phi)^(nu - 1) dphi``, where
``c(nu) = Gamma((nu + 1) / 2) / (sqrt(pi) Gamma(nu / 2))``: a smooth integrand on a bounded range, so Gauss-Legendre
nodes give it to rounding, and bisection inverts it. ``t(tau, nu)`` is smooth in ``u`` down to the normal law at
``u = 0``, so a Chebyshev polynomial through K nodes gives every ``nu`` (Trefethen 2013, chapter 8). What is
interpolated is the gap between neighbouring levels, never negative, so that quantiles do not cross however
close the levels are.

The tables are made once, in float64, when a head is built; a forecast is a matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.polynomial import chebyshev

__all__ = ["U_MAX", "U_MIN", "gap_coefficients", "quantile_of_student"]

U_MIN, U_MAX = 1e-3, 0.499  #: 1 / nu: from as good as normal (1,000 degrees of freedom) to just above two degrees
DEGREE = 32
NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)


def gap_coefficients(levels: Sequence[float]) -> np.ndarray:
    """Chebyshev coefficients (K, M) in u of the gaps between the median and the levels above it, innermost first."""
    x = chebyshev.chebpts1(DEGREE + 1)
    u = U_MIN + (U_MAX - U_MIN) * (x + 1) / 2
    upper = [level for level in levels if level > 0.5]
    table = np.array([[quantile_of_student(level, 1 / v) for level in upper] for v in u])  # (K, M)
    gaps = np.diff(table, axis=1, prepend=0.0)
    return chebyshev.chebfit(x, gaps, DEGREE) if upper else np.zeros((DEGREE + 1, 0))


def quantile_of_student(level: float, freedom: float) -> float:
    """The quantile of Student's t with ``freedom`` > 1 degrees of freedom at ``level`` in (0.5, 1)."""
    constant = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
    low, high = 0.0, math.pi / 2
    for _ in range(60):  # bisection down to the last bits of an angle
        middle = (low + high) / 2
        if constant * _cosine_power_integral(middle, freedom - 1) < level - 0.5:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom) * math.tan((low + high) / 2)


def _cosine_power_integral(theta: float, power: float) -> float:
    """``int_0^theta cos(phi)^power dphi`` for ``theta`` up to pi / 2."""
    # Beyond 12 / sqrt(power) the integrand is below the rounding of the sum; nodes spent there would be lost.
    theta = min(theta, 12 / math.sqrt(power)) if power > 0 else theta
    phi = theta * (NODES + 1) / 2
    return float(theta / 2 * (WEIGHTS @ np.cos(phi) ** power))
