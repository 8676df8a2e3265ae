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

__all__ = ["BLOCK", "RELAXED", "STRIDE", "backward", "forward"]

BLOCK = 128
STRIDE = 16
RELAXED = ("contract", "reassoc")  #: a product and a sum rounded once, a sum over the lanes of a vector
LN2 = float(np.log(2))

# Single precision by hand: the C library's function takes one number at a time. Taylor's series of 2**r for |r| <= 1/2,
# error 1.2e-7 at its ends and none at 0, where a long memory lives.
_LOWEST, _HALF, _ONE, _BIAS, _FRACTION = np.float32(-126), np.float32(0.5), np.float32(1), np.int32(127), np.int32(23)
_C1, _C2, _C3, _C4, _C5, _C6 = (
    np.float32(c) for c in (0.693147181, 0.240226507, 0.0555041087, 0.00961812911, 0.00133335581, 0.000154035304)
)


def power(z):  # type: ignore[no-untyped-def]
    """``2**z`` for ``z`` up to 0, in its own precision."""
    return np.exp2(z)


def _single(z):  # type: ignore[no-untyped-def]
    if z < _LOWEST:
        z = _LOWEST
    whole = np.int32(z - _HALF)  # the nearest integer, since z is not positive
    r = z - np.float32(whole)
    series = _C1 + r * (_C2 + r * (_C3 + r * (_C4 + r * (_C5 + r * _C6))))
    return (_ONE + r * series) * np.int32((whole + _BIAS) << _FRACTION).view(np.float32)


def _double(z):  # type: ignore[no-untyped-def]
    return np.exp2(z)


@overload(power, jit_options={"fastmath": set(RELAXED)})
def _power(z):  # type: ignore[no-untyped-def]
    return _single if z == types.float32 else _double


def forward(u, delta, a, b, c, skip, first, last, marks, y):  # type: ignore[no-untyped-def]
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


@register_jitable(fastmath=set(RELAXED))
def _again(  # type: ignore[no-untyped-def]
    u, delta, a, b, i, low, high, start, stop, states, decays, fed
):
    """States, decays and delta u of the steps from ``start`` to ``stop``, from the state before them, ``states[0]``."""
    width = high - low
    for t in range(start, stop):
        s = t - start
        now, dt, given = u[i, t, low:high], delta[i, t, low:high], fed[s]
        before, after, decay = states[s], states[s + 1], decays[s]
        for d in range(width):
            given[d] = dt[d] * now[d]
        for n in range(a.shape[0]):
            rate, x, x_next, kept, write = a[n, low:high], before[n], after[n], decay[n], b[i, t, n]
            for d in range(width):
                kept[d] = power(dt[d] * rate[d])
            for d in range(width):
                x_next[d] = kept[d] * x[d] + given[d] * write


@register_jitable(fastmath=set(RELAXED))
def _back(  # type: ignore[no-untyped-def]
    dt, given, a, b, c, g_y, low, before, after, decay, g, g_x, g_a, g_b, g_c, g_fed, g_dt
):
    """One step backward: adds to ``g_a``, ``g_b`` and ``g_c``, fills ``g_fed`` and ``g_dt``, moves ``g``."""
    width = dt.shape[0]
    high = low + width
    for d in range(width):
        g_fed[d] = 0
        g_dt[d] = 0
    for n in range(a.shape[0]):
        write, read = b[n], c[n]
        rate, g_rate = a[n, low:high], g_a[n, low:high]
        x_before, x, kept, g_n = before[n], after[n], decay[n], g[n]
        to_b = to_c = write * 0
        # Four loops, not one: the compiler vectorises only loops of few arrays, as it must prove that none overlap.
        for d in range(width):
            g_x[d] = g_n[d] + read * g_y[d]
            to_c += g_y[d] * x[d]
        for d in range(width):
            g_fed[d] += g_x[d] * write
            to_b += g_x[d] * given[d]
        for d in range(width):
            g_n[d] = g_x[d] * kept[d]
            g_x[d] = g_n[d] * x_before[d]
        for d in range(width):
            g_dt[d] += g_x[d] * rate[d]
            g_rate[d] += g_x[d] * dt[d]
        g_b[n] += to_b
        g_c[n] += to_c


def backward(  # type: ignore[no-untyped-def]
    u, delta, a, b, c, skip, marks, g_y, first, last, g_u, g_delta, g_a, g_b, g_c, g_skip
):
    """Add the gradients of windows ``first`` to ``last``; ``g_a`` (B, N, D) and ``g_skip`` (B, D) by window."""
    length, channels = u.shape[1], u.shape[2]
    modes, ln2 = a.shape[0], u.dtype.type(LN2)  # a holds log2(e) times the rates
    states, decays = np.empty((STRIDE + 1, modes, BLOCK), u.dtype), np.empty((STRIDE, modes, BLOCK), u.dtype)
    fed, g, g_x = np.empty((STRIDE, BLOCK), u.dtype), np.empty((modes, BLOCK), u.dtype), np.empty(BLOCK, u.dtype)
    g_fed, g_dt = np.empty(BLOCK, u.dtype), np.empty(BLOCK, u.dtype)
    for i in range(first, last):
        for low in range(0, channels, BLOCK):
            high = min(low + BLOCK, channels)
            width = high - low
            g[:] = 0
            for k in range(marks.shape[1] - 1, -1, -1):
                start, stop = k * STRIDE, min(k * STRIDE + STRIDE, length)
                states[0, :, :width] = marks[i, k, :, low:high]
                _again(u, delta, a, b, i, low, high, start, stop, states, decays, fed)
                for t in range(stop - 1, start - 1, -1):
                    s = t - start
                    # sliced here: a slice of a slice would no longer be known to lie side by side
                    now, dt, out = u[i, t, low:high], delta[i, t, low:high], g_y[i, t, low:high]
                    _back(
                        *(dt, fed[s], a, b[i, t], c[i, t], out, low, states[s], states[s + 1], decays[s]),
                        *(g, g_x, g_a[i], g_b[i, t], g_c[i, t], g_fed, g_dt),
                    )
                    to_u, to_delta, to_skip = g_u[i, t, low:high], g_delta[i, t, low:high], g_skip[i, low:high]
                    for d in range(width):
                        to_u[d] = g_fed[d] * dt[d] + skip[low + d] * out[d]
                    for d in range(width):
                        to_delta[d] = g_dt[d] * ln2 + g_fed[d] * now[d]
                    for d in range(width):
                        to_skip[d] += out[d] * now[d]
