"""An account bar by bar, as machine code: fill the orders, then hold the book. Imported only where it is used.

Glossary
--------
A symbols; ``held`` weights just before the fill and ``after`` just after it, fractions of the equity before and after
the trade's cost; ``d`` what is to be traded, fraction of the equity before the trade; ``money`` that equity in the
account's currency.

Per symbol, with the cost rates of a trade of size ``|d|``::

    rate(d) = (commission + half_spread) / 1e4 + impact * volatility * sqrt(|d| * money / volume)
    order   = target * (1 - sum rate(d) |d|) - held            the whole order, if all of it is filled
    filled  = order, cut to the share of the bar's volume and to whole lots; nothing where it is below the minimum
    after   = (held + filled) / (1 - cost),   cost = sum rate(part * d) part |d|,   part = filled / order

So an order that is filled whole ends at its target exactly, as in `mnpu.simulation.books`. The square-root law of
impact is that of Torre (1997) and Almgren et al. (2005), with the daily volatility and volume of the bar before.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mnpu.data.compiled import compiled
from mnpu.simulation.execution import KINDS, SETTINGS

__all__ = ["carry_over", "fill_row", "hold_row", "run_rows", "settle_row"]

#: Settings by their place in an array of them; the first six are the kinds of cost, in a row of costs too.
COMMISSION, HALF_SPREAD, IMPACT, BORROW, FUNDING, LIQUIDATION = range(len(KINDS))
PARTICIPATION, LOT, MINIMUM, CARRY, MAINTENANCE = range(len(KINDS), len(SETTINGS))
#: A quantity this close below a whole number of lots is that number: rounding, not a missing share.
ROUNDING = 1e-9
#: Volatility a bar that is charged where none is known: what a wild stock has in a day.
UNKNOWN_VOLATILITY = 0.05


@compiled
def fill_row(
    held: Any, targets: Any, sent: Any, fillable: Any, money: float, price: Any, volume: Any, usual: Any,
    volatility: Any, pending: Any, s: Any, after: Any, asked: Any, filled: Any, cost: Any,
) -> float:  # fmt: skip
    """Fill the orders of one bar.

    Parameters
    ----------
    held, targets : float64 (A,)
        Weights before the fill, and those wanted where ``sent`` (bool (A,)).
    fillable : bool (A,)
    money : float
        Equity before the trade, in the account's currency.
    price, volume, usual, volatility : float64 (A,)
        Of the fill, as quoted on that day; value traded in the bar of the fill; usual value traded a bar and
        volatility a bar, as known at the decision. NaN where unknown: nothing is filled where a limit needs it, and
        impact is that of a bar's whole volume.
    pending : float64 (A,)
        Shares that earlier orders still want; updated in place. A new order replaces them.
    s : float64 (11,)
        Settings, at the places above.
    after, asked, filled : float64 (A,)
        Written: weights after the fill; what was to be traded and what was, fractions of equity before the trade.
    cost : float64 (6,)
        Its first three are written: by kind, fraction of equity before the trade.

    Returns
    -------
    whole : float
        The cost of all kinds; 1 or more is a lost account.
    """
    n = len(held)
    rate = (s[COMMISSION] + s[HALF_SPREAD]) / 1e4
    expected = 0.0
    for i in range(n):
        asked[i] = filled[i] = 0.0
        if sent[i]:
            pending[i] = 0.0
        if not fillable[i]:
            continue
        if sent[i]:
            asked[i] = targets[i] - held[i]
        elif pending[i] != 0.0:
            asked[i] = pending[i] * price[i] / money
        if asked[i] != 0.0:
            expected += abs(asked[i]) * (rate + _impact(abs(asked[i]), money, usual[i], volatility[i], s))
    cost[:3] = 0.0
    whole = 0.0
    left = 1.0 - expected
    for i in range(n):
        after[i] = held[i]
        # What is held exactly as wanted is no trade, but still gives up its part of what the others cost.
        if asked[i] == 0.0 and not (sent[i] and fillable[i] and targets[i] != 0.0):
            continue
        order = targets[i] * left - held[i] if sent[i] else asked[i]
        shares = order * money / price[i]
        whole_lots = _whole_lots(shares, sent[i] and targets[i] == 0.0, price[i], s)
        got = _available(whole_lots, price[i], volume[i], s)
        pending[i] = whole_lots - got if s[CARRY] != 0.0 else 0.0
        part = 0.0
        if shares != 0.0:  # an order beyond all numbers is whole, too: what it costs then loses the account
            part = 1.0 if got == shares else got / shares
        filled[i] = asked[i] * part
        size = abs(filled[i])
        own = _impact(size, money, usual[i], volatility[i], s)
        cost[COMMISSION] += size * (s[COMMISSION] / 1e4)
        cost[HALF_SPREAD] += size * (s[HALF_SPREAD] / 1e4)
        cost[IMPACT] += size * own
        whole += size * (rate + own)
        after[i] = held[i] + order * part
    if whole < 1.0:
        for i in range(n):
            after[i] = after[i] / (1.0 - whole)
    return whole


@compiled
def hold_row(
    after: Any, returns: Any, income: Any, funding: Any, years: float, low: Any, high: Any, s: Any, drifted: Any,
    cost: Any,
) -> tuple[float, float, bool]:  # fmt: skip
    """Hold the book from one fill to the next.

    Parameters
    ----------
    after : float64 (A,)
        Weights just after the fill.
    returns, income, funding : float64 (A,)
        Change of price, cash received, and funding that a long position pays, fractions of the value at the fill.
    years : float
        Between the two fills, for what is borrowed.
    low, high : float64 (A,)
        Return from the fill to the lowest and the highest price before the next one; the returns themselves where
        unknown.
    s : float64 (11,)
    drifted : float64 (A,)
        Written: weights at the next fill.
    cost : float64 (6,)
        Its last three are written: borrow, funding, liquidation; fractions of the equity after the fill.

    Returns
    -------
    gross, growth : float
        Return of the book before what is paid, at least -1, and the equity at the next fill over that after this one.
    liquidated : bool
        The equity fell below ``MAINTENANCE`` of the position's size: all of it was closed, at the worst prices of
        the bar if those already were enough. That is the worst case: no account is told which came first.
    """
    n = len(after)
    gross, short, funded, worst, exposure = 0.0, 0.0, 0.0, 1.0, 0.0
    for i in range(n):
        w = after[i]
        if w == 0.0:
            continue
        gross += w * (returns[i] + income[i])
        funded += w * funding[i]
        if w < 0.0:
            short -= w
        move = low[i] if w > 0.0 else high[i]
        worst += w * (move + income[i])
        exposure += abs(w * (1.0 + move))
    gross = max(gross, -1.0)
    cost[BORROW], cost[FUNDING], cost[LIQUIDATION] = short * years * s[BORROW] / 1e4, funded, 0.0
    financing = cost[BORROW] + cost[FUNDING]
    growth = 1.0 + gross - financing
    worst -= financing
    limit = s[MAINTENANCE]
    if limit > 0.0 and exposure > 0.0 and worst < limit * exposure:
        cost[LIQUIDATION] = exposure * (s[COMMISSION] + s[HALF_SPREAD] + s[LIQUIDATION]) / 1e4
        drifted[:] = 0.0
        return max(worst + financing - 1.0, -1.0), max(worst - cost[LIQUIDATION], 0.0), True
    growth = max(growth, 0.0)
    for i in range(n):
        drifted[i] = after[i] * (1.0 + returns[i]) / growth if growth > 0.0 else 0.0
    return gross, growth, False


@compiled
def carry_over(pending: Any, factor: Any, t: int) -> None:
    """Shares of the day before as those of row ``t``, in place: after a split of 2 to 1 there are twice as many."""
    if t == 0 or len(factor) == 1:
        return
    for i in range(len(pending)):
        if pending[i] != 0.0 and factor[t, i] != factor[t - 1, i]:
            pending[i] *= factor[t, i] / factor[t - 1, i]


@compiled
def _impact(size: float, money: float, usual: float, volatility: float, s: Any) -> float:
    """Cost of one unit of a trade of ``size``, fraction of equity, by the square-root law."""
    if s[IMPACT] == 0.0:
        return 0.0
    if not usual > 0.0 or not volatility >= 0.0:
        return s[IMPACT] * (volatility if volatility >= 0.0 else UNKNOWN_VOLATILITY)
    return s[IMPACT] * volatility * np.sqrt(size * money / usual)


@compiled
def _whole_lots(shares: float, closing: bool, price: float, s: Any) -> float:
    """The order that is sent: whole lots, and none below the minimum. What closes a position is sent as it is."""
    if closing:
        return shares
    size = abs(shares)
    if s[LOT] > 0.0:
        size = np.floor(size / s[LOT] + ROUNDING) * s[LOT]
    if size * price < s[MINIMUM]:
        return 0.0
    return size if shares > 0.0 else -size


@compiled
def _available(asked: float, price: float, volume: float, s: Any) -> float:
    """What the bar's volume lets be filled of it."""
    if s[PARTICIPATION] == 0.0:
        return asked
    most = s[PARTICIPATION] * volume / price if volume > 0.0 else 0.0
    if abs(asked) <= most:
        return asked
    if s[LOT] > 0.0:
        most = np.floor(most / s[LOT] + ROUNDING) * s[LOT]
    return most if asked > 0.0 else -most


@compiled
def run_rows(
    targets: Any, rebalance: Any, market: Any, rows: Any, capital: float, s: Any, books: Any, costs: Any, path: Any,
    orders: Any,
) -> tuple[int, int]:  # fmt: skip
    """All bars of an account without guardrails.

    Parameters
    ----------
    targets : float64 (T, A)
    rebalance : bool (T,)
        A row with a number that is not finite, or without a rebalance, sends nothing.
    market : tuple of (T, A) arrays
        Fill price, fillable, returns, income.
    rows : tuple of (T, A) or (1, A) arrays
        Volume, usual volume, volatility, funding, low, high; one row stands for all. Then years (T,), and the split
        factor (T, A) or (1, A).
    capital : float
    s : float64 (11,)
    books : tuple of float64 (T, A)
        Written: weights before and after the fill, traded.
    costs : float64 (T, 6)
    path : float64 (3, T)
        Written: cost, gross and net.
    orders : tuple of arrays (N,)
        Written: row, symbol, weight asked for, filled. N is at least the number of orders.

    Returns
    -------
    lost_at : int
        Row in which the account was lost, -1 if never.
    n : int
        Orders that were written.
    """
    before, after, filled = books
    n_rows, n_assets = targets.shape
    held, pending, asked = np.zeros(n_assets), np.zeros(n_assets), np.zeros(n_assets)
    sent = np.zeros(n_assets, dtype=np.bool_)
    equity, n = 1.0, 0
    for t in range(n_rows):
        before[t] = held
        carry_over(pending, rows[7], t)
        sent[:] = rebalance[t] and np.isfinite(targets[t]).all()
        growth, n = settle_row(
            t, held, targets[t], sent, pending, equity * capital, market, rows, s, asked, after[t], filled[t], costs,
            path, orders, n,
        )  # fmt: skip
        equity *= 1.0 + path[2, t]
        if growth <= 0.0:
            return t, n
    return -1, n


@compiled
def settle_row(
    t: int, held: Any, targets: Any, sent: Any, pending: Any, money: float, market: Any, rows: Any, s: Any, asked: Any,
    after: Any, filled: Any, costs: Any, path: Any, orders: Any, n: int,
) -> tuple[float, int]:  # fmt: skip
    """Bar ``t``: fill its orders, write them down, and hold the book up to the next fill.

    Parameters are those of `fill_row`, `hold_row` and `run_rows`; ``held`` (A,) become the weights at the next fill.
    Without room for orders none are written down.

    Returns
    -------
    growth : float
        Equity at the next fill over that after this one; 0 or less is a lost account.
    n : int
        Orders that have been written.
    """
    price, fillable, returns, income = market
    volume, usual, volatility, funding, low, high, years, _ = rows
    whole = fill_row(
        held, targets, sent, fillable[t], money, price[t], _row(volume, t), _row(usual, t), _row(volatility, t),
        pending, s, after, asked, filled, costs[t],
    )  # fmt: skip
    if len(orders[0]) > 0:
        for i in range(len(held)):
            if asked[i] != 0.0:
                orders[0][n], orders[1][n] = t, i
                orders[2][n], orders[3][n] = asked[i], filled[i]
                n += 1
    path[0, t] = whole
    if whole >= 1.0:
        path[2, t] = -1.0
        after[:] = 0.0
        return 0.0, n
    gross, growth, liquidated = hold_row(
        after, returns[t], income[t], _row(funding, t), years[t], _row(low, t), _row(high, t), s, held, costs[t]
    )
    if liquidated:
        pending[:] = 0.0
    path[1, t] = gross
    path[2, t] = max((1.0 - whole) * growth - 1.0, -1.0)
    return growth, n


@compiled
def _row(values: Any, t: int) -> Any:
    """Row ``t``, or the one that stands for all."""
    return values[t] if len(values) > 1 else values[0]
