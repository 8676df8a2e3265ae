"""`mnpu_guardrails.risk` as machine code, of one book at a time and of past returns.

Params: action, limit, bars, smallest share of them with a return, then the probability of the tail. Of ``work`` the
first number says whether the next A + K are a book and its returns, so that a book is measured once a decision; the
rest is room for two more series and the worst returns.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from mnpu.data.compiled import compiled
from mnpu.guard_kernels import EXCESS, REMEMBER, YEAR
from mnpu.guard_loops import TOLERANCE, WARN, reach, reduce, without_increase
from mnpu_guardrails.risk import GOLDEN, HALVINGS, SECTIONS

__all__ = ["tail_risk", "volatility_target"]


@compiled
def volatility_target(task, weights, held, tradable, numbers, series, past, seen, params, state, work, over):
    """Without a tail."""
    return risk_rule(task, weights, held, tradable, numbers[YEAR], past, seen, params, work, over)


@compiled
def tail_risk(task, weights, held, tradable, numbers, series, past, seen, params, state, work, over):
    """With a tail."""
    return risk_rule(task, weights, held, tradable, numbers[YEAR], past, seen, params, work, over)


@compiled
def risk_rule(task, weights, held, tradable, year, past, seen, params, work, over):
    """Either rule: the fifth parameter is the probability of the tail, or 0 for the volatility."""
    if task == REMEMBER or (task == EXCESS and params[0] == WARN):
        over[:] = 0.0
        return False
    rows = past[max(len(past) - int(params[2]), 0) :]
    before = seen[max(len(past) - int(params[2]), 0)]
    if task == EXCESS:
        measure(weights, held, rows, before, seen[-1], year, params, work, over)
        return False
    reach(weights, held, tradable)
    if params[0] != 0.0:
        measure(weights, held, rows, before, seen[-1], year, params, work, over)
        exceeded = over[0] > TOLERANCE or over[1] > TOLERANCE
        if params[0] == WARN:
            return exceeded
        if exceeded:
            reduce(weights, held)
    for i in range(len(weights)):
        if tradable[i] and not (seen[-1, i] - before[i]) / params[2] >= params[3]:
            weights[i] = without_increase(weights[i], held[i])
    x = returned(weights, rows, work)
    if surely_within(x, params):
        return False
    now = risk(x, year, params, work)
    if now > params[1] + TOLERANCE:
        project(weights, held, tradable, rows, year, params, work, now)
    return now > params[1] + TOLERANCE / 2.0


@compiled
def measure(weights, held, rows, before, after, year, params, work, over):
    """Risk above its limit, and how far symbols without enough history grow."""
    x = returned(weights, rows, work)
    over[0] = 0.0 if surely_within(x, params) else max(risk(x, year, params, work) - params[1], 0.0)
    over[1] = 0.0
    for i in range(len(weights)):
        if not (after[i] - before[i]) / params[2] >= params[3]:
            over[1] += abs(weights[i] - without_increase(weights[i], held[i]))


@compiled
def returned(weights, rows, work):
    """Return of the book in each scenario (K,), from the work if that is of the same book."""
    n, k = len(weights), len(rows)
    x, same = work[1 + n : 1 + n + k], work[0] > 0.0
    for i in range(n):
        same &= work[1 + i] == weights[i]
    if not same:
        work[0] = 1.0
        work[1 : 1 + n] = weights
        weighted(weights, rows, x)
    return x


@partial(compiled, relaxed=("reassoc", "contract"))
def weighted(weights, rows, x):
    """Sum over all symbols, in any order."""
    if len(weights) == 1:
        for k in range(len(rows)):
            x[k] = rows[k, 0] * weights[0]
        return
    for k in range(len(rows)):
        total = 0.0
        for i in range(len(weights)):
            total += rows[k, i] * weights[i]
        x[k] = total


@partial(compiled, relaxed=("reassoc", "contract"))
def squares(x):
    """Sum of squares, in any order."""
    total = 0.0
    for k in range(len(x)):
        total += x[k] * x[k]
    return total


@compiled
def surely_within(x, params):
    """Whether the tail of the returns (K,) cannot be above its limit, whatever their order.

    The mean of its losses is at most their root mean square, and their squares are some of all squares. That is one
    sum, where the tail itself has to be looked for.
    """
    size = params[4] * len(x)
    return size > 0.0 and np.sqrt(squares(x) / size) <= params[1] * (1.0 - 1e-12)


@compiled
def risk(x, year, params, work):
    """Annualised root mean square of the returns (K,), or the mean loss in their tail."""
    n = len(x)
    if params[4] == 0.0:
        return np.sqrt(squares(x) / n * year)
    size = params[4] * n
    whole = int(np.floor(size + 1e-12))
    worst = work[len(work) - whole - 1 :]
    worst[:] = np.inf
    for k in range(n):
        if x[k] < worst[whole]:
            at = whole
            while at > 0 and worst[at - 1] > x[k]:
                worst[at] = worst[at - 1]
                at -= 1
            worst[at] = x[k]
    total = 0.0
    for k in range(whole):
        total += worst[k]
    if size - whole > 1e-12:
        total += (size - whole) * worst[whole]
    return -total / size


@compiled
def mixed(one, other, part, x):
    """Write a mixture of two series."""
    for k in range(len(x)):
        x[k] = one[k] + part * (other[k] - one[k])
    return x


@compiled
def best(one, other, year, params, work, spare):
    """Share of the second series in the mixture of least risk."""
    if params[4] == 0.0:
        size, toward = 0.0, 0.0
        for k in range(len(one)):
            size += (other[k] - one[k]) * (other[k] - one[k])
            toward -= one[k] * (other[k] - one[k])
        return min(max(toward / (size if size > 0.0 else 1.0), 0.0), 1.0)
    low, high = 0.0, 1.0
    for _ in range(SECTIONS):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        down = risk(mixed(one, other, left, spare), year, params, work)
        if down < risk(mixed(one, other, right, spare), year, params, work):
            high = right
        else:
            low = left
    return (low + high) / 2


@compiled
def project(weights, held, tradable, rows, year, params, work, now):
    """What trades scaled by one factor, or drawn to the mixture of the flat and the drifted book of least risk."""
    n, k = len(weights), len(rows)
    x = work[1 + n : 1 + n + k]
    start, spare = work[1 + n + k : 1 + n + 2 * k], work[1 + n + 2 * k : 1 + n + 3 * k]
    anchor, bound = np.where(tradable, 0.0, held), params[1]
    flat = True
    for i in range(n):
        flat &= anchor[i] == 0.0
    if flat:
        start[:] = 0.0
        part = (bound + 0.5 * TOLERANCE) / now  # both measures double where the book does
    else:
        weighted(anchor, rows, start)
        if risk(start, year, params, work) > bound:
            bound, reached = least(anchor, held, rows, start, year, params, work, spare)
            if not now > bound + TOLERANCE:
                return
            if reached:
                weights[:] = anchor
                work[0] = 0.0
                return
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            if risk(mixed(start, x, middle, spare), year, params, work) <= bound + 0.5 * TOLERANCE:
                low = middle
            else:
                high = middle
        part = low
    for i in range(n):
        if tradable[i]:
            weights[i] = anchor[i] + part * (weights[i] - anchor[i])
    mixed(start, x, part, x)
    work[1 : 1 + n] = weights


@compiled
def least(anchor, held, rows, start, year, params, work, spare):
    """Move anchor and its returns to the mixture with the drifted book of least risk; the bound, and if that is it."""
    other, third = np.empty(len(rows)), np.empty(len(rows))
    weighted(held, rows, other)
    share = best(start, other, year, params, work, spare)
    mixed(start, other, share, third)
    lowest = risk(third, year, params, work)
    of_one, of_other = risk(start, year, params, work), risk(other, year, params, work)
    if of_one <= lowest:
        share, lowest = 0.0, of_one
    if of_other <= lowest:
        share, lowest = 1.0, of_other
    mixed(start, other, share, start)
    for i in range(len(anchor)):
        anchor[i] = held[i] if share == 1.0 else anchor[i] + share * (held[i] - anchor[i])
    reached = lowest > params[1] * (1.0 - 1e-6)
    return max(params[1], lowest) if reached else params[1], reached
