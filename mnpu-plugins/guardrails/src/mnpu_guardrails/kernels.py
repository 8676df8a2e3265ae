"""Guardrails as machine code, one book at a time: each equals its rule in ``scale``, and what it remembers."""

from __future__ import annotations

import numpy as np
from numba import njit

from mnpu.guard_kernels import AGE, DAY, DAY_EQUITY, EQUITY, PEAK, VOLUME

__all__ = ["daily_loss", "drawdown", "leverage", "liquidity", "stale_data", "turnover"]

TOLERANCE, NO_LIMIT = 1e-9, 1e12


@njit(cache=True)
def scale_to(weights, tradable, rates, limit):
    """Scale what trades until the sum of ``rates`` times absolute weights meets the limit."""
    least, now = 0.0, 0.0
    for i in range(len(weights)):
        size = abs(weights[i]) * rates[i]
        now += size
        if not tradable[i]:
            least += size
    if not now - limit > TOLERANCE:
        return 1.0
    room = now - least
    return max(limit - least, 0.0) / room if room > TOLERANCE else 0.0


@njit(cache=True)
def scale(weights, tradable, part):
    """Scale what trades by one factor."""
    if part < 1.0:
        for i in range(len(weights)):
            if tradable[i]:
                weights[i] *= part


@njit(cache=True)
def reach(weights, held, tradable):
    """The proposal as far as it trades, with no more gross than the larger of the two books."""
    readable = True
    for i in range(len(weights)):
        readable &= np.isfinite(weights[i])
    wanted, drifted = 0.0, 0.0
    for i in range(len(weights)):
        if not readable:
            weights[i] = held[i]
        wanted += abs(weights[i])
        drifted += abs(held[i])
        if not tradable[i]:
            weights[i] = held[i]
    scale(weights, tradable, scale_to(weights, tradable, np.ones(len(weights)), max(wanted, drifted)))


@njit(cache=True)
def without_increase(weight, held):
    """The weight clipped to between the drifted one and zero."""
    return min(max(weight, min(held, 0.0)), max(held, 0.0))


@njit(cache=True)
def leverage(weights, held, tradable, numbers, series, past, params, state):
    """Params: leverage, margin use, then the margin rate of each symbol."""
    reach(weights, held, tradable)
    gross = scale_to(weights, tradable, np.ones(len(weights)), params[0])
    scale(weights, tradable, min(gross, scale_to(weights, tradable, params[2:], params[1])))


@njit(cache=True)
def stale_data(weights, held, tradable, numbers, series, past, params, state):
    """Params: bars."""
    reach(weights, held, tradable)
    for i in range(len(weights)):
        if tradable[i] and not series[AGE, i] <= params[0]:
            weights[i] = without_increase(weights[i], held[i])


@njit(cache=True)
def liquidity(weights, held, tradable, numbers, series, past, params, state):
    """Params: capital, days times participation."""
    reach(weights, held, tradable)
    size = max(numbers[EQUITY], 1e-12) * params[0]
    for i in range(len(weights)):
        most = min(series[VOLUME, i] * params[1] / size, NO_LIMIT)
        if np.isnan(series[VOLUME, i]):
            most = abs(without_increase(weights[i], held[i]))
        if tradable[i]:
            weights[i] = min(max(weights[i], -most), most)


@njit(cache=True)
def turnover(weights, held, tradable, numbers, series, past, params, state):
    """Params: per bar, per day, either as no limit; state: day and what has been added in it."""
    reach(weights, held, tradable)
    used = state[1] if state[0] == numbers[DAY] else 0.0
    most = min(params[0], max(params[1] - used, 0.0))
    added = 0.0
    for i in range(len(weights)):
        added += abs(weights[i] - without_increase(weights[i], held[i]))
    if added > most + 1e-12:
        for i in range(len(weights)):
            base = without_increase(weights[i], held[i])
            if tradable[i]:
                weights[i] = base + most / added * (weights[i] - base)
    for i in range(len(weights)):
        used += abs(weights[i] - without_increase(weights[i], held[i]))
    state[0], state[1] = numbers[DAY], used


@njit(cache=True)
def drawdown(weights, held, tradable, numbers, series, past, params, state):
    """Params: start, stop, resume, gross, floor; state: brake, halt, own peak."""
    reach(weights, held, tradable)
    start, stop, resume, gross, floor = params[0], params[1], params[2], params[3], params[4]
    if state[2] > 0.0:
        state[2] = max(state[2], numbers[EQUITY])
    peak = state[2] if state[2] > 0.0 else numbers[PEAK]
    down = 1.0 - numbers[EQUITY] / (peak if peak > 0.0 else 1.0)
    raw = min(max((down - start + 1e-12) / (stop - start), 0.0), 1.0)
    if raw >= 1.0 and floor == 0.0:
        state[1] = 1.0
    state[0] = 1.0 if state[1] > 0.0 else 0.0 if down <= resume else max(state[0], raw)
    if state[0] > 0.0:
        most = gross + state[0] * (floor - gross)
        scale(weights, tradable, scale_to(weights, tradable, np.ones(len(weights)), most))


@njit(cache=True)
def daily_loss(weights, held, tradable, numbers, series, past, params, state):
    """Params: loss, gross; state: the day of the last trip."""
    reach(weights, held, tradable)
    lost = numbers[EQUITY] <= numbers[DAY_EQUITY] * (1.0 - params[0]) + 1e-12
    if lost or state[0] == numbers[DAY]:
        state[0] = numbers[DAY]
        scale(weights, tradable, scale_to(weights, tradable, np.ones(len(weights)), params[1]))
