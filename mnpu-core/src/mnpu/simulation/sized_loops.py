"""An account of a size under guardrails, bar by bar, as machine code. Imported only where it is used.

What guardrails see, decide and remember is that of `mnpu.simulation.stepper_loops`; orders are filled and the book is
held as in `mnpu.simulation.order_loops`. What earlier orders still want is a proposal like any other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mnpu.data.compiled import compiled
from mnpu.guard_kernels import EQUITY
from mnpu.simulation.account import ROUNDING
from mnpu.simulation.order_loops import carry_over, settle_row
from mnpu.simulation.stepper_loops import decide_bar, new_clock, new_view, note_bar, see

__all__ = ["run_sized"]


@compiled
def run_sized(
    asked: Any, scale: float, rebalance: Any, world: Any, told: Any, rules: Any, market: Any, gone: Any, rows: Any,
    capital: float, s: Any, books: Any, costs: Any, path: Any, orders: Any, noted: Any,
) -> tuple[int, int]:  # fmt: skip
    """All bars of an account of a size.

    Parameters
    ----------
    asked, scale, rebalance, told, rules
        As `mnpu.simulation.stepper_loops.run_weights` takes them.
    world : tuple
        Its ``market``: marks and tradable (T, A) first, the days (T,) last.
    market, rows, capital, s
        As `mnpu.simulation.order_loops.run_rows` takes them.
    gone : bool (T, A)
        Where the share has ended by the fill: no order for it waits any longer.
    books : tuple of float64 (T, A), or (1, A) where they are not kept
        Written: allowed, before and after the fill, traded.
    costs : float64 (T, 6)
    path : float64 (4, T)
        Written: cost, gross, net, notional; zeros before.
    orders : tuple of arrays (N,)
        Written, if N is not 0: row, symbol, weight asked for, filled.
    noted : tuple
        Written: bool (T,), numbers and memory as in ``run_weights``; bool (T,), where what was proposed is what earlier
        orders still want, and that proposal (T, A), or (1, A) where it is not kept.

    Returns
    -------
    lost_at : int
        Row in which the account was lost, -1 if never.
    n : int
        Orders that were written.
    """
    marks, tradable, days = world[0], world[1], world[5]
    allowed, befores, afters, tradeds = books
    touched, numbers, states, waited, waiting = noted
    n_rows, n_assets = asked.shape
    n_state, n_work, n_over = rules[1][-1, 1], rules[1][-1, 2], rules[1][-1, 3]
    state, work, over = np.zeros(n_state), np.zeros(n_work), np.zeros(n_over)
    weights, drifted, pending, last = np.zeros(n_assets), np.zeros(n_assets), np.zeros(n_assets), np.zeros(n_assets)
    size, spare, sent = np.zeros(n_assets), np.zeros((2, n_assets)), np.zeros(n_assets, dtype=np.bool_)
    view, clock = new_view(n_assets), new_clock()
    marked, number = view[0], view[2]
    equity, at_fill, n = 1.0, 1.0, 0
    kept, stated = int(len(allowed) > 1), int(len(numbers) > 1)
    for t in range(n_rows):
        row = t * kept
        target = allowed[row]
        see(t, weights, marks, tradable, at_fill, days[t], clock, told, view)
        note_bar(t * stated, view, state, numbers, states)
        waited[t] = not rebalance[t] and _any(pending)
        readable = rebalance[t]
        for i in range(n_assets):
            if waited[t]:
                price = last[i] * (1.0 + marks[t, i])
                target[i] = marked[i] + pending[i] * price / (number[EQUITY] * capital)
                waiting[t * stated, i] = target[i]
            else:
                target[i] = asked[t, i] * scale if rebalance[t] else marked[i]
            readable &= np.isfinite(target[i])
        touched[t] = decide_bar(t, target, view, told, rules, state, work, over, spare)
        for i in range(n_assets):
            alone = waiting[t * stated, i] if waited[t] else marked[i]
            sent[i] = readable or abs(target[i] - alone) > ROUNDING
            befores[row, i] = drifted[i]
            if gone[t, i]:
                pending[i] = 0.0
        carry_over(pending, rows[7], t)
        growth, n = settle_row(
            t, drifted, target, sent, pending, equity * capital, market, rows, s, size, afters[row], tradeds[row],
            costs, path, orders, n,
        )  # fmt: skip
        for i in range(n_assets):
            weights[i] = afters[row, i]
            path[3, t] += abs(tradeds[row, i])
            if np.isfinite(market[0][t, i]):
                last[i] = market[0][t, i]
        at_fill = equity * (1.0 - path[0, t])
        equity *= 1.0 + path[2, t]
        if growth <= 0.0:
            return t, n
    return -1, n


@compiled
def _any(values: Any) -> bool:
    found = False
    for i in range(len(values)):
        found |= values[i] != 0.0
    return found
