"""Mean and second moment of a forecast, from its quantiles.

Between quantiles the law is that of a normal quantile function whose scale changes at each level: linear in
``z = inverse normal(level)``, with the outermost pieces continued into the tails. A normal forecast so gives its own
mean and variance exactly, whatever its levels; skew and fat shoulders are kept as far as the levels show them.
"""

from __future__ import annotations

from functools import cache
from statistics import NormalDist

import numpy as np

from mnpu.types import Forecast

__all__ = ["mean_and_variance"]

_NORMAL = NormalDist()


def mean_and_variance(forecast: Forecast, horizon: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the ``horizon``-th horizon.

    Parameters
    ----------
    forecast : Forecast
    horizon : int, default=0

    Returns
    -------
    mean, variance : float64 ndarray (T, A)
        In units of the label and its square; NaN where there is no forecast. The variance of one number is zero.
    """
    weights, products = _moment_weights(forecast.levels)
    quantiles = forecast.quantiles[:, :, horizon]  # (T, A, Q)
    mean = quantiles @ weights
    around = quantiles - mean[..., None]  # first centred, so that a small spread is not lost beside a large mean
    variance = np.einsum("taq,qp,tap->ta", around, products, around, optimize=True)
    return mean, np.maximum(variance, 0.0)


@cache
def _moment_weights(levels: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """``w`` (Q,) and ``M`` (Q, Q): the mean is ``w q`` and the mean of squares ``q M q``."""
    n = len(levels)
    weights, products = np.zeros(n), np.zeros((n, n))
    if n == 1:
        return np.ones(1), np.ones((1, 1))
    z = [_NORMAL.inv_cdf(level) for level in levels]
    for k in range(n - 1):
        low = -np.inf if k == 0 else z[k]
        high = np.inf if k == n - 2 else z[k + 1]
        zeroth, first, second = _partial_moments(low, high)
        # on this piece q(z) = u q_k + v q_{k+1}, with u = (z_{k+1} - z) / d and v = (z - z_k) / d
        d, left, right = z[k + 1] - z[k], z[k], z[k + 1]
        weights[k] += (right * zeroth - first) / d
        weights[k + 1] += (first - left * zeroth) / d
        cross = (-left * right * zeroth + (left + right) * first - second) / d**2
        products[k, k] += (right**2 * zeroth - 2 * right * first + second) / d**2
        products[k + 1, k + 1] += (left**2 * zeroth - 2 * left * first + second) / d**2
        products[k, k + 1] += cross
        products[k + 1, k] += cross
    return weights, products


def _partial_moments(low: float, high: float) -> tuple[float, float, float]:
    """Integrals of 1, z and z squared under the normal density from ``low`` to ``high``."""
    edge = lambda z: (0.0, 0.0) if np.isinf(z) else (_NORMAL.pdf(z), z * _NORMAL.pdf(z))  # noqa: E731
    (p_low, zp_low), (p_high, zp_high) = edge(low), edge(high)
    zeroth = _NORMAL.cdf(high) - _NORMAL.cdf(low)
    return zeroth, p_low - p_high, zeroth + zp_low - zp_high
