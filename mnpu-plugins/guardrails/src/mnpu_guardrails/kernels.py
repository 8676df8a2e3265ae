"""Guardrails as machine code, one book at a time; the signature is that of `mnpu.guard_kernels`.

Each equals its rule in every action; its parameters are what the rule's ``kernel_params`` gives, the action first. The
larger ones have files of their own.
"""

from __future__ import annotations

import numpy as np

from mnpu.data.compiled import compiled
from mnpu.guard_kernels import AGE, DAY, DAY_EQUITY, EQUITY, EXCESS, LIMIT, PEAK, REMEMBER, VOLUME
from mnpu.guard_loops import (
    NO_LIMIT,
    TOLERANCE,
    WARN,
    part_of,
    reach,
    reduce,
    scale,
    scale_to,
    size_of,
    without_increase,
)
from mnpu_guardrails.kernels_concentration import above, concentration, derisked
from mnpu_guardrails.kernels_exposure import exposure
from mnpu_guardrails.kernels_risk import tail_risk, volatility_target

__all__ = [
    "concentration",
    "daily_loss",
    "drawdown",
    "exposure",
    "kill_switch",
    "leverage",
    "liquidity",
    "stale_data",
    "tail_risk",
    "turnover",
    "volatility_target",
]


@compiled
def no_more_than(weights, most, over):
    """The excess of gross over a limit."""
    over[0] = max(size_of(weights) - most, 0.0)


@compiled
def leverage(task, weights, held, tradable, numbers, series, past, seen, params, state, work, over):
    """Params: action, leverage, margin use, then the margin rate of each symbol."""
    if task == REMEMBER:
        return False
    if task == LIMIT:
        reach(weights, held, tradable)
    gross, margin, fixed_gross, fixed_margin = 0.0, 0.0, 0.0, 0.0
    for i in range(len(weights)):
        size = abs(weights[i])
        tied = size * params[3 + i]
        gross += size
        margin += tied
        if not tradable[i]:
            fixed_gross += size
            fixed_margin += tied
    over[0], over[1] = max(gross - params[1], 0.0), max(margin - params[2], 0.0)
    if task == EXCESS:
        if params[0] == WARN:
            over[:] = 0.0
        return False
    if params[0] == WARN:
        return above(over, TOLERANCE)
    exceeded = above(over, TOLERANCE / 2.0)
    if params[0] != 0.0 and above(over, TOLERANCE):
        reduce(weights, held)
        gross, margin = 0.0, 0.0
        for i in range(len(weights)):
            gross += abs(weights[i])
            margin += abs(weights[i]) * params[3 + i]
    scale(weights, tradable, min(part_of(fixed_gross, gross, params[1]), part_of(fixed_margin, margin, params[2])))
    return exceeded


@compiled
def stale_over(weights, held, series, params, over):
    """How far each stale weight grows."""
    for i in range(len(weights)):
        stale = not series[AGE, i] <= params[1]
        over[i] = abs(weights[i] - without_increase(weights[i], held[i])) if stale else 0.0


@compiled
def stale_data(task, weights, held, tradable, numbers, series, past, seen, params, state, work, over):
    """Params: action, bars."""
    if task == EXCESS:
        stale_over(weights, held, series, params, over)
        if params[0] == WARN:
            over[:] = 0.0
    if task != LIMIT:
        return False
    reach(weights, held, tradable)
    if params[0] != 0.0:
        stale_over(weights, held, series, params, over)
        if derisked(params[0], weights, held, over):
            return above(over, TOLERANCE)
    grown = False
    for i in range(len(weights)):
        if not series[AGE, i] <= params[1]:
            least = without_increase(weights[i], held[i])
            grown |= abs(weights[i] - least) > TOLERANCE / 2.0
            weights[i] = least if tradable[i] else weights[i]
    return grown


@compiled
def most_liquid(i, weights, held, numbers, series, params):
    """Largest weight of one symbol."""
    if np.isnan(series[VOLUME, i]):
        return abs(without_increase(weights[i], held[i]))
    size = max(numbers[EQUITY], 1e-12) * params[1]
    return min(max(series[VOLUME, i] * params[2] / size, 0.0), NO_LIMIT)


@compiled
def liquidity_over(weights, held, numbers, series, params, over):
    """How far each weight is above what can be sold."""
    for i in range(len(weights)):
        over[i] = max(abs(weights[i]) - most_liquid(i, weights, held, numbers, series, params), 0.0)


@compiled
def liquidity(task, weights, held, tradable, numbers, series, past, seen, params, state, work, over):
    """Params: action, capital, days times participation."""
    if task == EXCESS:
        liquidity_over(weights, held, numbers, series, params, over)
        if params[0] == WARN:
            over[:] = 0.0
    if task != LIMIT:
        return False
    reach(weights, held, tradable)
    if params[0] != 0.0:
        liquidity_over(weights, held, numbers, series, params, over)
        if derisked(params[0], weights, held, over):
            return above(over, TOLERANCE)
    exceeded = False
    for i in range(len(weights)):
        most = most_liquid(i, weights, held, numbers, series, params)
        exceeded |= abs(weights[i]) > most + TOLERANCE / 2.0
        if tradable[i]:
            weights[i] = min(max(weights[i], -most), most)
    return exceeded


@compiled
def same_day(kept, today):
    """Whether what is kept, 0 for nothing, is of this day; a clock that goes back begins no new one."""
    return kept != 0.0 and kept >= today


@compiled
def latest(kept, today):
    """The later day; 0 is none."""
    return kept if kept != 0.0 and kept > today else today


@compiled
def added_to(weights, held):
    """Sum of all increases."""
    total = 0.0
    for i in range(len(weights)):
        total += abs(weights[i] - without_increase(weights[i], held[i]))
    return total


@compiled
def turnover_over(weights, held, params, used, over):
    """What is added above both limits."""
    added = added_to(weights, held)
    over[0], over[1] = max(added - params[1], 0.0), max(added - max(params[2] - used, 0.0), 0.0)


@compiled
def turnover(task, weights, held, tradable, numbers, series, past, seen, params, state, work, over):
    """Params: action, per bar, per day, either as no limit; state: day and what has been added in it."""
    used = state[1] if same_day(state[0], numbers[DAY]) else 0.0
    if task == REMEMBER:
        state[1] = used + added_to(weights, held)
        state[0] = latest(state[0], numbers[DAY])
        return False
    if task == EXCESS:
        turnover_over(weights, held, params, used, over)
        if params[0] == WARN:
            over[:] = 0.0
        return False
    reach(weights, held, tradable)
    if params[0] != 0.0:
        turnover_over(weights, held, params, used, over)
        if derisked(params[0], weights, held, over):
            return above(over, TOLERANCE)
    most = min(params[1], max(params[2] - used, 0.0))
    added = added_to(weights, held)
    if added > most + 1e-12:
        for i in range(len(weights)):
            base = without_increase(weights[i], held[i])
            if tradable[i]:
                weights[i] = base + most / added * (weights[i] - base)
    return added > most + TOLERANCE / 2.0


@compiled
def drawdown(task, weights, held, tradable, numbers, series, past, seen, params, state, work, over):
    """Params: action, start, stop, resume, gross, floor; state: brake, halt, own peak."""
    start, stop, resume, gross, floor = params[1], params[2], params[3], params[4], params[5]
    own = state[2]
    if own > 0.0 and np.isfinite(numbers[EQUITY]):
        own = max(own, numbers[EQUITY])
    peak = own if own > 0.0 else numbers[PEAK]
    down = 1.0 - numbers[EQUITY] / (peak if peak > 0.0 else 1.0)
    known = np.isfinite(down)  # an equity that is not known sets no brake and releases none
    raw = min(max((down - start + 1e-12) / (stop - start), 0.0), 1.0) if known else 0.0
    halted = 1.0 if raw >= 1.0 and floor == 0.0 else state[1]
    brake = 1.0 if halted > 0.0 else 0.0 if known and down <= resume else max(state[0], raw)
    if task == REMEMBER:
        state[0], state[1], state[2] = brake, halted, own
        return False
    return capped(task, weights, held, tradable, gross + brake * (floor - gross), brake > 0.0, params[0], over)


@compiled
def capped(task, weights, held, tradable, most, braked, action, over):
    """Limit or excess of a brake: a cap on gross while it is on."""
    limit = most if braked else NO_LIMIT
    if task == EXCESS:
        no_more_than(weights, limit, over)
        if action == WARN:
            over[0] = 0.0
        return False
    reach(weights, held, tradable)
    if not braked:
        return False
    if action != 0.0:
        no_more_than(weights, limit, over)
        if derisked(action, weights, held, over):
            return above(over, TOLERANCE)
    exceeded = size_of(weights) > limit + TOLERANCE / 2.0
    scale_to(weights, tradable, limit)
    return exceeded


@compiled
def daily_loss(task, weights, held, tradable, numbers, series, past, seen, params, state, work, over):
    """Params: action, loss, gross; state: the day of the last trip."""
    tripped = numbers[EQUITY] <= numbers[DAY_EQUITY] * (1.0 - params[1]) + 1e-12 or same_day(state[0], numbers[DAY])
    if task == REMEMBER:
        if tripped:
            state[0] = latest(state[0], numbers[DAY])
        return False
    return capped(task, weights, held, tradable, params[2], tripped, params[0], over)


@compiled
def kill_switch(task, weights, held, tradable, numbers, series, past, seen, params, state, work, over):
    """Params: action, whether it is on, whether only to reduce; state: whether it has been on."""
    on = params[1] > 0.0 or state[0] > 0.0
    if task == REMEMBER:
        state[0] = 1.0 if on else 0.0
        return False
    if task == EXCESS:
        measured = added_to(weights, held) if params[2] > 0.0 else size_of(weights)
        over[0] = max(measured - (0.0 if on else NO_LIMIT), 0.0) if params[0] != WARN else 0.0
        return False
    reach(weights, held, tradable)
    if not on:
        return False
    measured = added_to(weights, held) if params[2] > 0.0 else size_of(weights)
    if params[0] == WARN:
        return measured > TOLERANCE
    for i in range(len(weights)):
        if params[2] > 0.0:
            weights[i] = without_increase(weights[i], held[i])
        else:
            weights[i] = 0.0 if tradable[i] else held[i]
    return measured > TOLERANCE / 2.0
