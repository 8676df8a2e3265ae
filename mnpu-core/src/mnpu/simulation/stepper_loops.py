"""An account under guardrails, bar by bar, as machine code. Imported only where it is used.

The steps are those of `mnpu.simulation.account.Account` and of `mnpu.guard.Chain`: see, limit, order, fill, hold,
remember. Rows in which a rule changed something are noted; their reasons are for the reference to give.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mnpu.data.compiled import compiled
from mnpu.guard_kernels import AGE, DAY, DAY_EQUITY, EQUITY, PEAK, VOLUME, YEAR
from mnpu.guard_loops import decide_row, remember_row
from mnpu.simulation.account import ROUNDING

__all__ = ["decide_bar", "new_clock", "new_view", "note_bar", "run_weights", "see"]


@compiled
def run_weights(
    asked: Any, scale: float, rebalance: Any, market: Any, told: Any, rules: Any, rates: Any, books: Any, path: Any,
    noted: Any,
) -> int:  # fmt: skip
    """All bars of an account without a size.

    Parameters
    ----------
    asked : float64 (T, A)
        Proposals, all to be multiplied by
    scale : float
    rebalance : bool (T,)
    market : tuple of (T, A) arrays
        Marks, tradable, fillable, returns, income; last, days (T,), counted from 1.
    told : tuple
        Past returns (T + K - 1, A) and how many were seen before each row (T + K, A), as `mnpu.guard_kernels.past_of`
        gives them; volume and age (T, A), or (1, A) for all of time; K and the bars of a year.
    rules : tuple
        Addresses, places and parameters of a `mnpu.guard_kernels.CompiledChain`.
    rates : float64 (2,)
        Commission and half-spread, fractions of what is traded.
    books : tuple of float64 (T, A), or (1, A) where they are not kept
        Written: allowed, before and after the fill, traded.
    path : float64 (4, T)
        Written: cost, gross, net, notional; zeros before.
    noted : tuple
        Written: bool (T,), where a rule may have a reason; numbers (T, 5) and memory (T, m) of the book that the
        guardrails saw, or one row where they are not kept.

    Returns
    -------
    lost_at : int
        Row in which the account was lost, -1 if never.
    """
    marks, tradable, fillable, returns, income, days = market
    targets, befores, afters, tradeds = books
    touched, numbers, states = noted
    n_rows, n_assets = asked.shape
    n_state, n_work, n_over = rules[1][-1, 1], rules[1][-1, 2], rules[1][-1, 3]
    state, work, over = np.zeros(n_state), np.zeros(n_work), np.zeros(n_over)
    weights, drifted, target = np.zeros(n_assets), np.zeros(n_assets), np.zeros(n_assets)
    spare = np.zeros((2, n_assets))
    view, clock = new_view(n_assets), new_clock()
    marked = view[0]
    equity, at_fill = 1.0, 1.0
    kept, stated = int(len(targets) > 1), int(len(numbers) > 1)
    for t in range(n_rows):
        row = t * kept
        see(t, weights, marks, tradable, at_fill, days[t], clock, told, view)
        note_bar(t * stated, view, state, numbers, states)
        readable = rebalance[t]
        for i in range(n_assets):
            target[i] = asked[t, i] * scale if rebalance[t] else marked[i]
            readable &= np.isfinite(target[i])
        touched[t] = decide_bar(t, target, view, told, rules, state, work, over, spare)
        notional = 0.0
        for i in range(n_assets):
            sent = fillable[t, i] and (readable or abs(target[i] - marked[i]) > ROUNDING)
            traded = target[i] - drifted[i] if sent else 0.0
            targets[row, i], befores[row, i], tradeds[row, i] = target[i], drifted[i], traded
            weights[i] = np.nan if sent else drifted[i]
            notional += abs(traded)
        cost = notional * rates[0] + notional * rates[1]
        path[0, t], path[3, t] = cost, notional
        if cost >= 1.0:
            afters[row] = 0.0
            path[2, t] = -1.0
            return t
        gross = 0.0
        for i in range(n_assets):
            weights[i] = target[i] if np.isnan(weights[i]) else weights[i] / (1.0 - cost)
            afters[row, i] = weights[i]
            gross += weights[i] * (returns[t, i] + income[t, i])
        at_fill = equity * (1.0 - cost)
        gross = max(gross, -1.0)
        net = max((1.0 - cost) * (1.0 + gross) - 1.0, -1.0)
        path[1, t], path[2, t] = gross, net
        equity *= 1.0 + net
        if net <= -1.0:
            return t
        for i in range(n_assets):
            drifted[i] = weights[i] * (1.0 + returns[t, i]) / (1.0 + gross)
    return -1


@compiled
def note_bar(row: int, view: Any, state: Any, numbers: Any, states: Any) -> None:
    """Write what guardrails are about to see, and their memory, into a row for those who ask for reasons."""
    for k in range(len(state)):
        states[row, k] = state[k]
    for k in range(len(view[2])):
        numbers[row, k] = view[2][k]


@compiled
def decide_bar(
    t: int, target: Any, view: Any, told: Any, rules: Any, state: Any, work: Any, over: Any, spare: Any
) -> bool:  # fmt: skip
    """``target`` (A,) becomes what the chain allows of it at decision ``t``, and remembers; if a rule has a reason."""
    marked, open_, number, series = view
    past, seen, bars = told[0], told[1], told[4]
    first = t if bars > 0 else 0
    book = (marked, open_, number, series, past[first : first + bars], seen[first : first + bars + 1])
    touched = decide_row(target, book, rules, state, work, over, spare)
    remember_row(target, book, rules, state, work, over)
    return touched


@compiled
def new_clock() -> Any:
    """What an account knows of its equity so far: peak, day, equity at the day's start, last equity (4,)."""
    return np.array([1.0, 0.0, 1.0, 1.0])


@compiled
def new_view(n_assets: int) -> Any:
    """Room for what guardrails see: the drifted book, what trades, numbers and series."""
    return np.zeros(n_assets), np.zeros(n_assets, dtype=np.bool_), np.zeros(5), np.zeros((2, n_assets))


@compiled
def see(
    t: int, weights: Any, marks: Any, tradable: Any, at_fill: float, day: float, clock: Any, told: Any, view: Any
) -> None:  # fmt: skip
    """Write the book that guardrails see at decision ``t``, as `mnpu.simulation.account.Account.seen`, into ``view``.

    ``weights`` (A,) are those after the last fill; ``clock`` (4,) goes on.
    """
    _, _, volume, age, _, year = told
    marked, open_, numbers, series = view
    growth = 1.0
    for i in range(len(weights)):
        growth += weights[i] * marks[t, i]
    lost = growth <= 0.0  # between fill and decision; the fill will say so, until then the last book stands
    growth = 1.0 if lost else growth
    for i in range(len(weights)):
        marked[i] = weights[i] if lost else weights[i] * (1.0 + marks[t, i]) / growth
        open_[i] = tradable[t, i]
        series[VOLUME, i], series[AGE, i] = volume[t if len(volume) > 1 else 0, i], age[t if len(age) > 1 else 0, i]
    now = at_fill * growth
    clock[0] = max(clock[0], now)
    if day != clock[1]:
        clock[1], clock[2] = day, clock[3]
    clock[3] = now
    numbers[EQUITY], numbers[PEAK], numbers[DAY_EQUITY], numbers[DAY], numbers[YEAR] = (
        now,
        clock[0],
        clock[2],
        day,
        year,
    )
