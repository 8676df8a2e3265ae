"""`mnpu_guardrails.concentration` as machine code, and what kernels do with an action.

The levels are found by the same halvings, on sums of the sizes in order, so that a level costs a search and not a pass.
"""

from __future__ import annotations

import numpy as np

from mnpu.data.compiled import compiled
from mnpu.guard_kernels import EXCESS, LIMIT, REMEMBER
from mnpu.guard_loops import TOLERANCE, WARN, reach, reduce, size_of
from mnpu_guardrails.concentration import HALVINGS

__all__ = ["above", "concentration", "derisked"]


@compiled
def above(over, least):
    """Whether any excess is larger."""
    found = False
    for k in range(len(over)):
        found |= over[k] > least
    return found


@compiled
def derisked(action, weights, held, over):
    """With the excesses of a book: take back its increases where it is above a limit; true for a mere warning."""
    if action == WARN:
        return True
    if above(over, TOLERANCE):
        reduce(weights, held)
    return False


@compiled
def herfindahl(weights):
    """Sum of squared shares of gross; 0 for a flat book."""
    total, squares = 0.0, 0.0
    for i in range(len(weights)):
        total += abs(weights[i])
        squares += weights[i] * weights[i]
    return squares / (total * total) if total > 1e-9 else 0.0


@compiled
def sums_at(level, ordered, sums):
    """Sum and sum of squares of the fixed sizes and of the others cut to a level.

    ``ordered`` (A,) are the others, the smallest first; ``sums`` (2, A + 1) the sums of the first of them and of their
    squares, the fixed ones included.
    """
    n = len(ordered)
    below = np.searchsorted(ordered, level, side="right")
    rest = n - below
    return sums[0, below] + rest * level, sums[1, below] + rest * level * level


@compiled
def holds(which, level, ordered, sums, bound):
    """Whether gross, the way to the least measure, or the measure is still within its bound at a level."""
    total, squares = sums_at(level, ordered, sums)
    if which == 0:
        return total <= bound
    if which == 1:
        return level * total <= squares * (1 + 1e-12)
    return (squares / (total * total) if total > 1e-9 else 0.0) <= bound


@compiled
def largest(which, low, high, ordered, sums, bound):
    """The largest level for which a condition holds that holds up to it."""
    if holds(which, high, ordered, sums, bound):
        return high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if holds(which, middle, ordered, sums, bound):
            low = middle
        else:
            high = middle
    return low


@compiled
def evened(fixed, sizes, limit, gross):
    """The level that sizes are cut to, and whether the squared shares with the ``fixed`` then meet the limit."""
    ordered = np.sort(sizes)
    sums = np.zeros((2, len(sizes) + 1))
    top = ordered[-1]
    for i in range(len(fixed)):
        top = max(top, fixed[i])
        sums[0, 0] += fixed[i]
        sums[1, 0] += fixed[i] * fixed[i]
    for i in range(len(ordered)):
        sums[0, i + 1] = sums[0, i] + ordered[i]
        sums[1, i + 1] = sums[1, i] + ordered[i] * ordered[i]
    most = largest(0, 0.0, top, ordered, sums, gross)
    best = largest(1, 0.0, most, ordered, sums, 0.0)
    level = best
    if holds(2, best, ordered, sums, limit - 1e-6):
        level = largest(2, best, most, ordered, sums, limit)
    total, _ = sums_at(level, ordered, sums)
    return level, holds(2, level, ordered, sums, limit) and total - sums[0, 0] > 1e-9


@compiled
def concentration(task, weights, held, tradable, numbers, series, past, seen, params, state, work, over):
    """Params: action, positions."""
    if task == REMEMBER:
        return False
    if task == LIMIT:
        legal = herfindahl(weights) <= 1.0 / params[1]
        for i in range(len(weights)):
            legal &= np.isfinite(weights[i]) and (tradable[i] or weights[i] == held[i])
        if legal:
            return False
        asked = weights.copy()
        readable = True
        for i in range(len(weights)):
            readable &= np.isfinite(weights[i])
        if not readable:
            asked[:] = held
        reach(weights, held, tradable)
    over[0] = max(herfindahl(weights) - 1.0 / params[1], 0.0)
    if task == EXCESS:
        if params[0] == WARN:
            over[0] = 0.0
        return False
    exceeded = above(over, TOLERANCE / 2.0)
    if params[0] != 0.0:
        if derisked(params[0], weights, held, over):
            return above(over, TOLERANCE)
        asked[:] = weights
    if herfindahl(weights) > 1.0 / params[1] + TOLERANCE:
        _even(asked, weights, held, tradable, 1.0 / params[1] + 0.1 * TOLERANCE)
    return exceeded


@compiled
def _even(proposed, weights, held, tradable, limit):
    """As ``project_from`` of the rule, of a book that is above its limit."""
    fixed = np.where(tradable, 0.0, np.abs(held))
    own = np.where(tradable, np.abs(weights), 0.0)
    asked = np.where(tradable, np.abs(proposed), 0.0)
    either = np.where(tradable, np.maximum(np.abs(proposed), np.abs(held)), 0.0)
    larger = max(size_of(proposed), size_of(held))
    level, enough = evened(fixed, own, limit, larger)
    if enough:
        for i in range(len(weights)):
            if tradable[i]:
                weights[i] = min(own[i], level) * np.sign(weights[i])
        return
    level, met = evened(fixed, either, limit, larger)
    stuck = size_of(fixed) > TOLERANCE
    for i in range(len(weights)):
        if tradable[i]:
            both = min(either[i], level)
            way = np.sign(proposed[i]) if asked[i] >= both - 1e-12 else np.sign(held[i])
            weights[i] = both * way if met or stuck else 0.0
