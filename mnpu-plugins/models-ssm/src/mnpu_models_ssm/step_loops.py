"""Loops of one step of a whole Mamba mixer, to be compiled. Letters and steps as in `mnpu_models_ssm.mamba`.

Every product is a matrix with one vector, and what lies between them is a few hundred numbers: as torch operations it
would be some thirty calls, each longer than its work. There is no gradient.
"""

from __future__ import annotations

import math

import numpy as np
from numba.extending import register_jitable

from mnpu_models_ssm.conv_loops import share_of
from mnpu_models_ssm.scan_loops import RELAXED, power

__all__ = ["mixer"]

LOG2E = math.log2(math.e)


@register_jitable(fastmath=set(RELAXED))
def _product(matrix, vector, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` with ``matrix`` times ``vector``."""
    for i in range(matrix.shape[0]):
        row, total = matrix[i], matrix.dtype.type(0)
        for j in range(row.shape[0]):
            total += row[j] * vector[j]
        out[i] = total


@register_jitable
def _step_size(v):  # type: ignore[no-untyped-def]
    """``softplus(v)``, with no exponent above zero."""
    return v + math.log1p(math.exp(-v)) if v > 0 else math.log1p(math.exp(v))


def mixer(  # type: ignore[no-untyped-def]
    h, w_in, weight, bias, w_x, w_dt, b_dt, a, skip, w_out, before, x, y, after, x_next
):
    """From ``h`` (B, D) and the state to ``y`` (B, D) and the next state.

    ``a`` (E, N) is positive, exp(A_log); ``before`` and ``after`` (B, K-1, E); ``x`` and ``x_next`` (B, E, N); ``bias``
    belongs to the convolution's ``weight`` (E, 1, K); the other names are those of the parameters.
    """
    modes, rank, channels, held = a.shape[1], w_dt.shape[1], a.shape[0], before.shape[1]
    both, s, share = np.empty(2 * channels, h.dtype), np.empty(channels, h.dtype), np.empty(channels, h.dtype)
    chosen, scale = np.empty(w_x.shape[0], h.dtype), h.dtype.type(-LOG2E)
    for i in range(h.shape[0]):
        _product(w_in, h[i], both)
        u, z = both[:channels], both[channels:]
        for e in range(channels):
            s[e] = bias[e] + weight[e, 0, held] * u[e]
        for k in range(held):
            seen = before[i, k]
            for e in range(channels):
                s[e] += weight[e, 0, k] * seen[e]
            after[i, k] = before[i, k + 1] if k + 1 < held else u
        share_of(s, share)
        for e in range(channels):
            u[e] = s[e] * share[e]
        _product(w_x, u, chosen)
        b, c = chosen[rank : rank + modes], chosen[rank + modes :]
        _product(w_dt, chosen[:rank], s)
        share_of(z, share)
        for e in range(channels):
            dt = h.dtype.type(_step_size(s[e] + b_dt[e]))
            fed, to, out, total = dt * u[e], x_next[i, e], x[i, e], h.dtype.type(0)
            rate, down = a[e], dt * scale
            for n in range(modes):
                to[n] = power(down * rate[n]) * out[n] + fed * b[n]
                total += c[n] * to[n]
            s[e] = (total + skip[e] * u[e]) * z[e] * share[e]
        _product(w_out, s, y[i])
