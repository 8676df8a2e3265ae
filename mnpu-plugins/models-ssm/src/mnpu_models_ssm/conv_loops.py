"""Loops of the short causal convolution and its SiLU, to be compiled: forward, and backward by hand.

Glossary: B windows, L steps, W channels, K taps. x (B, L, W); taps (K, W), the last one meets the present; bias (W,).

Equations: ``s_t = bias + sum_k taps_k x_{t-K+1+k}`` with zeros before the window, ``y_t = s_t p_t`` with
``p = 1 / (1 + exp(-s))``. Backward, with ``g`` the gradient of y: ``g_s = g p (1 + s (1 - p))``,
``g_x,t = sum_k taps_k g_s,t+K-1-k``, ``g_taps,k = sum_t g_s,t x_{t-K+1+k}``.

The innermost loop runs over channels, which stand side by side. Nothing is kept but x: s costs less than its memory.
Windows are independent: each writes its own part of every output, so any number of threads gives the same numbers.
"""

from __future__ import annotations

import math

import numpy as np
from numba.extending import register_jitable

from mnpu_models_ssm.scan_loops import RELAXED, power

__all__ = ["backward", "forward", "share_of"]

LOG2E = math.log2(math.e)


@register_jitable(fastmath=set(RELAXED))
def _sums(x, taps, bias, i, t, s):  # type: ignore[no-untyped-def]
    """Fill ``s`` (W,) with the convolution at step ``t`` of window ``i``."""
    last = taps.shape[0] - 1
    for w in range(s.shape[0]):
        s[w] = bias[w]
    for k in range(max(0, last - t), last + 1):
        tap, seen = taps[k], x[i, t - last + k]
        for w in range(s.shape[0]):
            s[w] += tap[w] * seen[w]


@register_jitable(fastmath=set(RELAXED))
def share_of(s, share):  # type: ignore[no-untyped-def]
    """Fill ``share`` with ``1 / (1 + exp(-s))``, of which no exponent is positive."""
    one, scale = s.dtype.type(1), s.dtype.type(-LOG2E)
    for w in range(s.shape[0]):
        small = power(abs(s[w]) * scale)
        share[w] = (one if s[w] >= 0 else small) / (one + small)


def forward(x, taps, bias, first, last, y):  # type: ignore[no-untyped-def]
    """Fill ``y`` (B, L, W) of the windows from ``first`` to ``last``."""
    s, share = np.empty(x.shape[2], x.dtype), np.empty(x.shape[2], x.dtype)
    for i in range(first, last):
        for t in range(x.shape[1]):
            _sums(x, taps, bias, i, t, s)
            share_of(s, share)
            out = y[i, t]
            for w in range(s.shape[0]):
                out[w] = s[w] * share[w]


def backward(x, taps, bias, g, first, last, g_x, g_taps, g_bias):  # type: ignore[no-untyped-def]
    """Add the gradients of windows ``first`` to ``last``; ``g_taps`` (B, K, W) and ``g_bias`` (B, W) by window."""
    end, one = taps.shape[0] - 1, x.dtype.type(1)
    s, share = np.empty(x.shape[2], x.dtype), np.empty(x.shape[2], x.dtype)
    for i in range(first, last):
        to_bias = g_bias[i]
        for t in range(x.shape[1]):
            _sums(x, taps, bias, i, t, s)
            share_of(s, share)
            g_y = g[i, t]
            for w in range(s.shape[0]):
                s[w] = g_y[w] * share[w] * (one + s[w] * (one - share[w]))
            for w in range(s.shape[0]):
                to_bias[w] += s[w]
            for k in range(max(0, end - t), end + 1):
                tap, to_tap, seen, to_seen = taps[k], g_taps[i, k], x[i, t - end + k], g_x[i, t - end + k]
                for w in range(s.shape[0]):
                    to_seen[w] += tap[w] * s[w]
                for w in range(s.shape[0]):
                    to_tap[w] += seen[w] * s[w]
