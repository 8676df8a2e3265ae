"""Loops of the selective scan, to be compiled: forward, and backward by hand. Letters as in `mnpu_models_ssm.scan`.

The innermost loop runs over channels, which stand side by side, so it fills the processor's vectors; time and modes run
outside it. BLOCK channels at a time, so that what a step touches stays in the nearest cache. ``a`` comes as (N, D)
and times log2(e), because a power of two is cheaper than one of e.

Backward, from the last step to the first, with ``g`` (N, D) the gradient of the state (g_y that of the output)::

    g_x      = g + c_t g_y           gradient of x_t
    g_c,t    = sum_d g_y x_t         g_b,t = sum_d g_x delta_t u_t         g_fed = sum_n g_x b_t
    w        = g_x decay_t x_{t-1}   gradient of delta_t a
    g_delta  = sum_n w a + g_fed u_t        g_a += w delta_t        g_u = g_fed delta_t + skip g_y
    g        = g_x decay_t

States are not kept but for one in STRIDE steps (``marks``), from which the others are computed again.
Windows are independent: each writes its own part of every output, so any number of threads gives the same numbers.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

__all__ = ["BLOCK", "STRIDE", "backward", "forward"]

BLOCK = 128
STRIDE = 16
LN2 = float(np.log(2))

# Single precision by hand: the C library's function takes one number at a time. Taylor's series of 2**r for |r| <= 1/2,
# error 1.2e-7 at its ends and none at 0, where a long memory lives.
_LOWEST, _HALF, _ONE, _BIAS, _FRACTION = np.float32(-126), np.float32(0.5), np.float32(1), np.int32(127), np.int32(23)
_C1, _C2, _C3, _C4, _C5, _C6 = (
    np.float32(c) for c in (0.693147181, 0.240226507, 0.0555041087, 0.00961812911, 0.00133335581, 0.000154035304)
)


def power(z):  # noqa: ANN001, ANN201
    """``2**z`` for ``z`` up to 0, in its own precision."""
    return np.exp2(z)


def _single(z):  # noqa: ANN001, ANN202
    if z < _LOWEST:
        z = _LOWEST
    whole = np.int32(z - _HALF)  # the nearest integer, since z is not positive
    r = z - np.float32(whole)
    series = _C1 + r * (_C2 + r * (_C3 + r * (_C4 + r * (_C5 + r * _C6))))
    return (_ONE + r * series) * np.int32((whole + _BIAS) << _FRACTION).view(np.float32)


def _double(z):  # noqa: ANN001, ANN202
    return np.exp2(z)


@overload(power)
def _power(z):  # noqa: ANN001, ANN202
    return _single if z == types.float32 else _double


def forward(u, delta, a, b, c, skip, first, last, marks, y):  # noqa: ANN001, ANN201
    """Fill ``y`` (B, L, D) and ``marks`` (B, K, N, D) of the windows from ``first`` to ``last``."""
    length, channels = u.shape[1], u.shape[2]
    modes = a.shape[0]
    state, fed = np.empty((modes, BLOCK), u.dtype), np.empty(BLOCK, u.dtype)
    for i in range(first, last):
        for low in range(0, channels, BLOCK):
            high = min(low + BLOCK, channels)
            width = high - low
            state[:] = 0
            for t in range(length):
                if t % STRIDE == 0 and t // STRIDE < marks.shape[1]:
                    marks[i, t // STRIDE, :, low:high] = state[:, :width]
                now, dt, out = u[i, t, low:high], delta[i, t, low:high], y[i, t, low:high]
                for d in range(width):
                    fed[d] = dt[d] * now[d]
                    out[d] = skip[low + d] * now[d]
                for n in range(modes):
                    rate, x, write, read = a[n, low:high], state[n], b[i, t, n], c[i, t, n]
                    for d in range(width):
                        x[d] = power(dt[d] * rate[d]) * x[d] + fed[d] * write
                        out[d] += read * x[d]


@register_jitable
def _again(u, delta, a, b, start, stop, states, decays):  # noqa: ANN001, ANN202
    """States and decays of the steps from ``start`` to ``stop``, from the state before them, ``states[0]``."""
    width = u.shape[1]
    for t in range(start, stop):
        now, dt = u[t], delta[t]
        before, after, decay = states[t - start], states[t - start + 1], decays[t - start]
        for n in range(a.shape[0]):
            rate, x, x_next, kept, write = a[n], before[n], after[n], decay[n], b[t, n]
            for d in range(width):
                z = power(dt[d] * rate[d])
                kept[d] = z
                x_next[d] = z * x[d] + dt[d] * now[d] * write


@register_jitable
def _back(now, dt, a, b, c, g_y, before, after, decay, g, g_a, g_b, g_c, g_fed, g_dt):  # noqa: ANN001, ANN202
    """One step backward: adds to ``g_a``, ``g_b`` and ``g_c``, fills ``g_fed`` and ``g_dt``, moves ``g``."""
    width = now.shape[0]
    for d in range(width):
        g_fed[d] = 0
        g_dt[d] = 0
    for n in range(a.shape[0]):
        write, read = b[n], c[n]
        rate, x_before, x, kept, g_n, g_rate = a[n], before[n], after[n], decay[n], g[n], g_a[n]
        to_b = to_c = g_b[n] * 0
        for d in range(width):
            g_x = g_n[d] + read * g_y[d]
            to_c += g_y[d] * x[d]
            to_b += g_x * (dt[d] * now[d])
            g_fed[d] += g_x * write
            passed = g_x * kept[d]
            w = passed * x_before[d]
            g_dt[d] += w * rate[d]
            g_rate[d] += w * dt[d]
            g_n[d] = passed
        g_b[n] += to_b
        g_c[n] += to_c


def backward(  # noqa: ANN201
    u, delta, a, b, c, skip, marks, g_y, first, last, g_u, g_delta, g_a, g_b, g_c, g_skip  # noqa: ANN001
):
    """Add the gradients of the windows from ``first`` to ``last``; ``g_a`` (B, N, D) and ``g_skip`` (B, D) by window."""
    length, channels = u.shape[1], u.shape[2]
    modes, ln2 = a.shape[0], u.dtype.type(LN2)  # a holds log2(e) times the rates
    states, decays = np.empty((STRIDE + 1, modes, BLOCK), u.dtype), np.empty((STRIDE, modes, BLOCK), u.dtype)
    g, fed, step = np.empty((modes, BLOCK), u.dtype), np.empty(BLOCK, u.dtype), np.empty(BLOCK, u.dtype)
    for i in range(first, last):
        for low in range(0, channels, BLOCK):
            high = min(low + BLOCK, channels)
            width = high - low
            now, dt, rates, out = u[i, :, low:high], delta[i, :, low:high], a[:, low:high], g_y[i, :, low:high]
            g[:] = 0
            for k in range(marks.shape[1] - 1, -1, -1):
                start, stop = k * STRIDE, min(k * STRIDE + STRIDE, length)
                states[0, :, :width] = marks[i, k, :, low:high]
                _again(now, dt, rates, b[i], start, stop, states, decays)
                for t in range(stop - 1, start - 1, -1):
                    s = t - start
                    _back(
                        *(now[t], dt[t], rates, b[i, t], c[i, t], out[t], states[s], states[s + 1], decays[s]),
                        *(g, g_a[i, :, low:high], g_b[i, t], g_c[i, t], fed, step),
                    )
                    for d in range(width):
                        g_u[i, t, low + d] = fed[d] * dt[t, d] + skip[low + d] * out[t, d]
                        g_delta[i, t, low + d] = step[d] * ln2 + fed[d] * now[t, d]
                        g_skip[i, low + d] += out[t, d] * now[t, d]
