"""`mnpu_guardrails.exposure` as machine code: the same steps, of one book at a time.

Params: action, gross, net, per symbol, number of groups (-1 where groups are not limited), the group of each symbol
(-1 for none), the cap of each group. What is not limited is infinity.
"""

from __future__ import annotations

import numpy as np

from mnpu.data.compiled import compiled
from mnpu.guard_kernels import EXCESS, LIMIT
from mnpu.guard_loops import DE_RISK, TOLERANCE, WARN, reach, reduce, size_of

__all__ = ["exposure"]


@compiled
def exposure(task, weights, held, tradable, numbers, series, past, seen, params, state, work, over):
    """Gross, net, symbols and groups."""
    if task == EXCESS:
        if params[0] == WARN:
            over[:] = 0.0
        else:
            exposed(weights, params, over)
    if task != LIMIT or allows(weights, held, tradable, params, over):
        return False
    if params[0] == WARN:
        reach(weights, held, tradable)
        return exposed(weights, params, over) > TOLERANCE
    if params[0] == DE_RISK:
        reach(weights, held, tradable)
        if exposed(weights, params, over) > TOLERANCE:
            reduce(weights, held)
    solve(weights, held, tradable, params, over)
    return True


@compiled
def exposed(weights, params, over):
    """How far a book is above each limit: gross, net, symbols, groups; the largest of them."""
    n, groups = len(weights), int(params[4])
    gross, net, worst = 0.0, 0.0, 0.0
    for k in range(groups):
        over[2 + n + k] = -params[5 + n + k]
    for i in range(n):
        size = abs(weights[i])
        gross += size
        net += weights[i]
        over[2 + i] = max(size - params[3], 0.0)
        worst = max(worst, over[2 + i])
        if groups > 0 and params[5 + i] >= 0.0:
            over[2 + n + int(params[5 + i])] += size
    over[0], over[1] = max(gross - params[1], 0.0), max(abs(net) - params[2], 0.0)
    for k in range(groups):
        over[2 + n + k] = max(over[2 + n + k], 0.0)
        worst = max(worst, over[2 + n + k])
    return max(worst, max(over[0], over[1]))


@compiled
def allows(weights, held, tradable, params, over):
    """Whether the book is within every limit and leaves what does not trade alone; never for NaN."""
    gross, net = 0.0, 0.0
    for i in range(len(weights)):
        if not (tradable[i] or weights[i] == held[i]) or not abs(weights[i]) <= params[3]:
            return False
        gross += abs(weights[i])
        net += weights[i]
    if not (gross <= params[1] and np.isfinite(gross) and abs(net) <= params[2]):
        return False
    return params[4] < 0.0 or exposed(weights, params, over) <= 0.0


@compiled
def net_of(weights):
    """Sum of all weights."""
    total = 0.0
    for i in range(len(weights)):
        total += weights[i]
    return total


@compiled
def solve(weights, held, tradable, params, over):
    """The nearest legal book, in place."""
    n, grouped = len(weights), params[4] >= 0.0
    gross, net, symbol = params[1], params[2], params[3]
    readable = True
    for i in range(n):
        readable &= np.isfinite(weights[i])
    wanted = weights.copy() if readable else held.copy()
    book, hard = np.empty(n), np.empty(max(int(params[4]), 0))
    for i in range(n):
        book[i] = min(max(wanted[i], -symbol), symbol) if tradable[i] else held[i]
    caps, ids = params[5 + n :], params[5 : 5 + n]
    if grouped:
        groups_of(held, ids, hard)
        hard[:] = np.maximum(hard, caps)
        meet_groups(book, tradable, ids, caps, min(net, 1e12))
    side = -1.0 if net_of(book) < 0.0 else 1.0
    larger, of_held = max(size_of(wanted), size_of(held)), size_of(held)
    gross_cap = min(larger, gross)
    floors = np.empty((2, n))
    for i in range(n):
        book[i] *= side
        least = min(min(wanted[i] * side, held[i] * side), 0.0)
        floors[0, i] = max(least, -symbol)
        floors[1, i] = max(least, -max(abs(held[i]), symbol)) if grouped else min(floors[0, i], held[i] * side)
    net_hard = max(abs(net_of(held)), net)
    meet_net(book, tradable, floors, gross_cap, net, net_hard, ids, caps, hard)
    shrink(book, tradable, gross_cap, net)
    shrink(book, tradable, max(gross_cap, of_held), net_hard)
    for i in range(n):
        book[i] *= side
    if not (grouped and as_good(wanted, book, held, tradable, params, over)):
        wanted[:] = book
    weights[:] = wanted


@compiled
def as_good(wanted, allowed, held, tradable, params, over):
    """Whether the proposal is reachable, lets no excess grow, and has no larger total excess than ``allowed``."""
    for i in range(len(wanted)):
        if not (tradable[i] or wanted[i] == held[i]):
            return False
    exposed(held, params, over)
    of_held = over.copy()
    exposed(allowed, params, over)
    total = over.sum()
    exposed(wanted, params, over)
    for k in range(len(over)):
        if not over[k] <= of_held[k] + TOLERANCE:
            return False
    return over.sum() <= total + TOLERANCE


@compiled
def groups_of(sizes, ids, sums):
    """Sum of absolute values in each group."""
    sums[:] = 0.0
    for i in range(len(sizes)):
        if len(sums) > 0 and ids[i] >= 0.0:
            sums[int(ids[i])] += abs(sizes[i])


@compiled
def meet_groups(book, tradable, ids, caps, net):
    """Shrink the tradable members of each group until its cap is met, tilted where the net of the book needs it."""
    g = len(caps)
    longs, shorts, size, from_longs, most, least = (
        np.zeros(g), np.zeros(g), np.zeros(g), np.zeros(g), np.zeros(g), np.zeros(g),
    )  # fmt: skip
    for i in range(len(book)):
        if ids[i] >= 0.0:
            k = int(ids[i])
            size[k] += abs(book[i])
            if tradable[i] and book[i] > 0.0:
                longs[k] += book[i]
            elif tradable[i]:
                shorts[k] -= book[i]
    total, share, up, down = 0.0, 0.0, 0.0, 0.0
    for k in range(g):
        both, over = longs[k] + shorts[k], size[k] - caps[k]
        size[k] = min(over if over > TOLERANCE else 0.0, both)
        from_longs[k] = size[k] * longs[k] / (both if both > 0.0 else 1.0)
        most[k] = min(size[k], longs[k]) - from_longs[k]
        least[k] = from_longs[k] - max(size[k] - shorts[k], 0.0)
        total += size[k]
        share += from_longs[k]
        up += most[k]
        down += least[k]
    middle = (net_of(book) + total) / 2
    wish = min(max(share, middle - net / 2), middle + net / 2) - share
    room = up if wish > 0.0 else down
    part = min(abs(wish), room) / (room if room > 0.0 else 1.0)
    for k in range(g):
        if wish > 0.0:
            from_longs[k] += part * most[k]
        elif wish < 0.0:
            from_longs[k] -= part * least[k]
    for i in range(len(book)):
        if ids[i] >= 0.0 and tradable[i]:
            k = int(ids[i])
            if book[i] > 0.0:
                book[i] -= book[i] * min(from_longs[k] / (longs[k] if longs[k] > 0.0 else 1.0), 1.0)
            else:
                cut = (size[k] - from_longs[k]) / (shorts[k] if shorts[k] > 0.0 else 1.0)
                book[i] -= book[i] * min(cut, 1.0)


@compiled
def move(book, pool, amount, tol):
    """Take ``amount`` of the pool from the book, in proportion, at most all of it."""
    size = size_of(pool)
    if size > tol and amount != 0.0:
        part = min(amount, size) / size
        for i in range(len(book)):
            book[i] -= pool[i] * part


@compiled
def lower(book, tradable, floor, need, ids, caps):
    """Lower the book toward a floor, as far as needed and as the caps of the groups leave."""
    if not need > TOLERANCE:
        return
    room = np.zeros(len(book))
    for i in range(len(book)):
        if tradable[i]:
            room[i] = max(book[i] - floor[i], 0.0)
    if len(caps) > 0:
        asked, left = np.zeros(len(caps)), np.zeros(len(caps))
        groups_of(room, ids, asked)
        groups_of(book, ids, left)
        for i in range(len(book)):
            if ids[i] >= 0.0:
                k = int(ids[i])
                if asked[k] > 0.0:
                    room[i] *= min(max(caps[k] - left[k], 0.0), asked[k]) / asked[k]
    move(book, room, need, TOLERANCE)


@compiled
def meet_net(book, tradable, floors, gross, net, net_hard, ids, caps, hard):
    """Lower the net of a book that is net long to its limit, or as near as it can go."""
    need = net_of(book) - net
    if need > TOLERANCE:
        move(book, np.where(tradable & (book > 0.0), book, 0.0), need, TOLERANCE)
    lower(book, tradable, floors[0], min(net_of(book) - net, gross - size_of(book)), ids, caps)
    # What the drifted book offset must stay offset, even where that spends gross or a symbol's own limit.
    for f in range(2):
        lower(book, tradable, floors[f], net_of(book) - net_hard, ids, caps)
        if len(caps) > 0:
            lower(book, tradable, floors[f], net_of(book) - net_hard, ids, hard)


@compiled
def shrink(book, tradable, gross, net):
    """Shrink both sides in proportion until the gross is met, tilted to keep the net within its bounds."""
    long, short, now, size = 0.0, 0.0, 0.0, 0.0
    for i in range(len(book)):
        now += book[i]
        size += abs(book[i])
        if tradable[i] and book[i] > 0.0:
            long += book[i]
        elif tradable[i]:
            short -= book[i]
    if not size - gross > TOLERANCE:
        return
    total = min(size - gross, long + short)
    total = max(min(total, min(2 * long + net - now, 2 * short + net + now)), 0.0)
    least = max(max(total - short, (now + total - net) / 2), 0.0)
    most = min(min(total, (now + total + net) / 2), long)
    both = long + short
    share = total * long / (both if both > 0.0 else 1.0)
    from_longs = min(max(share, least), most)
    from_shorts = total - from_longs
    part = min(from_longs, long) / long if long > 0.0 else 0.0
    other = min(from_shorts, short) / short if short > 0.0 else 0.0
    for i in range(len(book)):
        if tradable[i]:
            book[i] -= book[i] * (part if book[i] > 0.0 else other)
