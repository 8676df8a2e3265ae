"""Guardrails as machine code: what kernels share, and the rounds of a chain. Imported only where it is used.

A chain is one of `mnpu.guard_kernels.CompiledChain`: its kernels are called by their addresses, so that the code of the
rounds is compiled once for all chains, whoever wrote the rules. The steps are those of `mnpu.guard_rounds`, of one
book at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from mnpu.data.compiled import compiled
from mnpu.guard_kernels import EXCESS, LIMIT, REMEMBER
from mnpu.guard_rounds import HALVINGS, PASSES, TRIES

__all__ = [
    "DE_RISK",
    "NO_LIMIT",
    "SIGNATURE",
    "TOLERANCE",
    "WARN",
    "address_of",
    "call",
    "decide_row",
    "gross_cap",
    "reach",
    "reduce",
    "remember_row",
    "scale",
    "scale_to",
    "size_of",
    "without_increase",
]

#: As `mnpu.guard_rounds.tolerance` in double precision.
TOLERANCE, NO_LIMIT = 1e-9, 1e12
#: Actions of a rule as a parameter of its kernel; 0 is to scale.
DE_RISK, WARN = 1.0, 2.0

_VECTOR, _TABLE = types.float64[::1], types.float64[:, ::1]
_ARGUMENTS = (
    types.int64, _VECTOR, _VECTOR, types.boolean[::1], _VECTOR, _TABLE, _TABLE, _TABLE, _VECTOR, _VECTOR, _VECTOR,
    _VECTOR,
)  # fmt: skip
#: Of every kernel, as `mnpu.guard_kernels` says.
SIGNATURE = types.boolean(*_ARGUMENTS)


def address_of(kernel: Any) -> int:
    """Where the machine code of a kernel begins; it is compiled now if it has not been."""
    made = kernel.get_compile_result(SIGNATURE)
    return int(made.library.get_pointer_to_function(made.fndesc.llvm_func_name))


@intrinsic
def call(typing, rules, i, task, weights, held, tradable, numbers, series, past, seen, state, work, over):  # type: ignore[no-untyped-def]
    """One task of rule ``i``, with its own parts of parameters, memory, work and excesses.

    The arrays are lent to the kernel, without counting who holds them: that would take longer than most kernels.
    """

    def code(context, builder, signature, values):  # type: ignore[no-untyped-def]
        kinds = signature.args
        addresses, places, params = cgutils.unpack_tuple(builder, values[0], 3)
        number, arrays = values[1], [*values[3:10], params, *values[10:]]

        def at(row, column):  # type: ignore[no-untyped-def]
            table = context.make_array(kinds[0].types[1])(context, builder, places)
            place = builder.add(builder.mul(row, context.get_constant(types.intp, 4)), column)
            return builder.load(builder.gep(table.data, [place]))

        def lent(kind, value, part=None):  # type: ignore[no-untyped-def]
            whole = context.make_array(kind)(context, builder, value)
            whole.meminfo = cgutils.get_null_value(whole.meminfo.type)
            whole.parent = cgutils.get_null_value(whole.parent.type)
            if part is not None:
                column = context.get_constant(types.intp, part)
                first = at(number, column)
                length = builder.sub(at(builder.add(number, context.get_constant(types.intp, 1)), column), first)
                whole.data = builder.gep(whole.data, [first])
                whole.nitems = length
                whole.shape = cgutils.pack_array(builder, [length])
            return whole._getvalue()

        given = [values[2]]
        for k, value in enumerate(arrays):
            given.append(lent(_ARGUMENTS[k + 1], value, k - 7 if k >= 7 else None))
        table = context.make_array(kinds[0].types[0])(context, builder, addresses)
        kind = context.call_conv.get_function_type(SIGNATURE.return_type, SIGNATURE.args)
        function = builder.inttoptr(builder.load(builder.gep(table.data, [number])), kind.as_pointer())
        status, found = context.call_conv.call_function(builder, function, SIGNATURE.return_type, SIGNATURE.args, given)
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return found

    listed = types.Tuple((types.uint64[::1], types.int64[:, ::1], _VECTOR))
    return SIGNATURE.return_type(listed, types.intp, *_ARGUMENTS[:8], *_ARGUMENTS[9:]), code


@compiled
def size_of(weights: Any) -> float:
    """Gross exposure."""
    total = 0.0
    for i in range(len(weights)):
        total += abs(weights[i])
    return total


@compiled
def without_increase(weight: float, held: float) -> float:
    """The weight clipped to between the drifted one and zero."""
    return min(max(weight, min(held, 0.0)), max(held, 0.0))


@compiled
def reduce(weights: Any, held: Any) -> None:
    """Take back every increase."""
    for i in range(len(weights)):
        weights[i] = without_increase(weights[i], held[i])


@compiled
def scale(weights: Any, tradable: Any, part: float) -> None:
    """Scale what trades by one factor."""
    if part < 1.0:
        for i in range(len(weights)):
            if tradable[i]:
                weights[i] *= part


@compiled
def scale_to(weights: Any, tradable: Any, limit: float) -> None:
    """Scale what trades until the gross meets the limit, or until it is gone."""
    least, now = 0.0, 0.0
    for i in range(len(weights)):
        size = abs(weights[i])
        now += size
        if not tradable[i]:
            least += size
    scale(weights, tradable, part_of(least, now, limit))


@compiled
def part_of(least: float, now: float, limit: float) -> float:
    """The factor by which a measure that is linear in the scale meets its limit; ``least`` has what trades gone."""
    if not now - limit > TOLERANCE:
        return 1.0
    room = now - least
    return max(limit - least, 0.0) / room if room > TOLERANCE else 0.0


@compiled
def reach(weights: Any, held: Any, tradable: Any) -> None:
    """The proposal as far as it trades, with no more gross than the larger of the two books."""
    whole = True
    for i in range(len(weights)):
        whole &= tradable[i] & np.isfinite(weights[i])
    if whole:
        return
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
    scale_to(weights, tradable, max(wanted, drifted))


@compiled
def gross_cap(
    task: int, weights: Any, held: Any, tradable: Any, numbers: Any, series: Any, past: Any, seen: Any, params: Any,
    state: Any, work: Any, over: Any,
) -> bool:  # fmt: skip
    """`mnpu.guard.GrossCap`; its parameter is the cap."""
    if task == EXCESS:
        over[0] = max(size_of(weights) - params[0], 0.0)
    if task != LIMIT:
        return False
    readable = True
    for i in range(len(weights)):
        readable &= np.isfinite(weights[i])
    wanted, drifted, room, fixed = 0.0, 0.0, 0.0, 0.0
    for i in range(len(weights)):
        if not readable:
            weights[i] = held[i]
        wanted += abs(weights[i])
        drifted += abs(held[i])
        if tradable[i]:
            room += abs(weights[i])
        else:
            weights[i] = held[i]
            fixed += abs(held[i])
    cap = min(max(wanted, drifted), params[0])
    excess = fixed + room - cap
    above = fixed + room > params[0] + TOLERANCE / 2.0
    if excess > TOLERANCE and room > 0.0:
        scale(weights, tradable, 1.0 - min(excess, room) / room)
    return above


@compiled
def _round(weights: Any, book: Any, rules: Any, state: Any, work: Any, over: Any, backwards: bool = False) -> bool:
    """Every rule in turn, or in turn from the last; whether one of them said something."""
    held, tradable, numbers, series, past, seen = book
    said, n = False, len(rules[0])
    for k in range(n):
        i = n - 1 - k if backwards else k
        said |= call(rules, i, LIMIT, weights, held, tradable, numbers, series, past, seen, state, work, over)
    return said


@compiled
def _excess(weights: Any, book: Any, rules: Any, state: Any, work: Any, over: Any) -> None:
    held, tradable, numbers, series, past, seen = book
    for i in range(len(rules[0])):
        call(rules, i, EXCESS, weights, held, tradable, numbers, series, past, seen, state, work, over)


@compiled
def _moved(one: Any, other: Any) -> bool:
    found = False
    for i in range(len(one)):
        found |= abs(one[i] - other[i]) > 1e-3 * TOLERANCE
    return found


@compiled
def _rounds(
    weights: Any, book: Any, rules: Any, state: Any, work: Any, over: Any, before: Any, backwards: bool = False
) -> tuple[bool, bool]:
    """As `mnpu.guard_rounds.rounds`; whether the book was still moving, and whether a rule did or said something."""
    before[:] = weights
    said = _round(weights, book, rules, state, work, over, backwards)
    for i in range(len(weights)):
        said |= weights[i] != before[i]
    moving = len(rules[0]) > 1 and _moved(weights, before)
    for _ in range(PASSES):
        if not moving:
            break
        before[:] = weights
        _round(weights, book, rules, state, work, over, backwards)
        moving = _moved(weights, before)
        if not moving:
            weights[:] = before
    return moving, said


@compiled
def _within(over: Any, bound: Any) -> bool:
    """Whether no excess is above its bound; not where one is NaN."""
    fine = True
    for k in range(len(over)):
        fine &= over[k] <= bound[k]
    return fine


@compiled
def _safe(weights: Any, start: Any, book: Any, rules: Any, state: Any, work: Any, over: Any) -> None:
    """As `mnpu.guard_rounds._safe`, in place, for a book that may be above a limit; ``over`` is its excess."""
    held, tradable = book[0], book[1]
    limit = np.full(len(over), TOLERANCE)
    broken = not _within(over, limit)
    flat = np.where(tradable, 0.0, held)
    _excess(flat, book, rules, state, work, over)
    if not _within(over, limit):
        _excess(held, book, rules, state, work, over)
        least = _least(start, over + TOLERANCE, book, rules, state, work, over)
        weights[:] = least
    elif broken:
        low, high = 0.0, 1.0
        part = np.empty_like(weights)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            part[:] = flat + middle * (weights - flat)
            _excess(part, book, rules, state, work, over)
            if _within(over, limit):
                low = middle
            else:
                high = middle
        weights[:] = flat + low * (weights - flat)


@compiled
def _least(start: Any, bound: Any, book: Any, rules: Any, state: Any, work: Any, over: Any) -> Any:
    """As `mnpu.guard_rounds._least`, from the proposal ``start`` and from the drifted book."""
    held = book[0]
    best = np.empty_like(held)
    for from_held in (False, True):
        weights = held.copy() if from_held else start.copy()
        for _ in range(TRIES):
            if not _left(weights, bound, book, rules, state, work, over, best):
                break
            if np.max(np.abs(best - weights)) <= TOLERANCE:
                return weights
            weights[:] = best
    return held


@compiled
def _left(start: Any, bound: Any, book: Any, rules: Any, state: Any, work: Any, over: Any, best: Any) -> bool:
    """As `mnpu.guard_rounds._left`; the book is written to ``best``."""
    held, tradable, numbers, series, past, seen = book
    least, n = np.inf, len(rules[0])
    before = np.empty_like(start)
    for backwards in (False, True):
        weights = start.copy()
        _rounds(weights, book, rules, state, work, over, before, backwards)
        for k in range(n):
            i = n - 1 - k if backwards else k
            before[:] = weights
            call(rules, i, LIMIT, weights, held, tradable, numbers, series, past, seen, state, work, over)
            if k > 0 and not np.any(weights != before):
                continue  # what the rule before has left
            _excess(weights, book, rules, state, work, over)
            total = over.sum()
            if _within(over, bound) and total < least - TOLERANCE:
                least = total
                best[:] = weights
    return np.isfinite(least)


@compiled
def decide_row(weights: Any, book: Any, rules: Any, state: Any, work: Any, over: Any, spare: Any) -> bool:
    """What the chain allows of a book, as `mnpu.guard.Chain.limit`.

    Parameters
    ----------
    weights : float64 (A,)
        The proposal; becomes what is allowed.
    book : tuple
        Drifted weights (A,), tradable (A,), numbers, series, past and seen, as kernels take them.
    rules : tuple
        Addresses, places and parameters of a `CompiledChain`.
    state, work, over : float64
        All rules' memories, work and excesses, one behind the other.
    spare : float64 (2, A)
        Overwritten.

    Returns
    -------
    touched : bool
        A rule changed something, or is above a limit, or warns: only then is there a reason to give.
    """
    held, places = book[0], rules[1]
    for i in range(len(rules[0])):
        if places[i + 1, 2] > places[i, 2]:
            work[places[i, 2]] = 0.0
    readable = True
    for i in range(len(weights)):
        readable &= np.isfinite(weights[i])
    if not readable:
        weights[:] = held
    start, before = spare[0], spare[1]
    start[:] = weights
    moving, said = _rounds(weights, book, rules, state, work, over, before)
    if said and len(rules[0]) > 1:  # else every rule has seen this very book, and found it within its limits
        _excess(weights, book, rules, state, work, over)
        broken = moving
        for k in range(len(over)):
            broken |= over[k] > TOLERANCE
        if broken:
            _safe(weights, start, book, rules, state, work, over)
    return said or not readable


@compiled
def remember_row(weights: Any, book: Any, rules: Any, state: Any, work: Any, over: Any) -> None:
    """What the rules must know at the next decision, in place, where ``weights`` is what is allowed."""
    held, tradable, numbers, series, past, seen = book
    places = rules[1]
    for i in range(len(rules[0])):
        if places[i + 1, 1] > places[i, 1]:
            call(rules, i, REMEMBER, weights, held, tradable, numbers, series, past, seen, state, work, over)
