"""The account between decisions, along two routes that must agree: step by step, and all of time at once.

An order decided at t is filled at fill t, on weights that have drifted since fill t - 1. Its cost is a fraction of
the equity before the trade, paid by the whole book in proportion; then the book earns its return to fill t + 1::

    cost[t]   = bps / 1e4 * sum |wanted[t] - drifted[t]|       over the symbols that trade
    gross[t]  = sum weights[t] * (returns[t] + income[t])      not below -1: no one owes more than the account
    net[t]    = (1 - cost[t]) * (1 + gross[t]) - 1
    drifted[t + 1] = weights[t] * (1 + returns[t]) / (1 + gross[t])

Income is cash: a dividend leaves the position smaller. A share that ended has the return -1 and becomes its income,
so that the position is closed without a trade. A symbol that does not trade keeps its shares. An account that is lost
stops, in cash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mnpu.guard import Chain
from mnpu.simulation.account import Account, order
from mnpu.simulation.costs import CostModel
from mnpu.simulation.market import Market
from mnpu.simulation.surroundings import Surroundings
from mnpu.types import Positions, Violation

__all__ = ["Books", "Orders", "closed_books", "is_path_free", "stepped_books"]


#: Rows that are worked on at a time.
BLOCK = 64


@dataclass(frozen=True)
class Orders:
    """Every order that reached the market, in the order of time.

    Attributes
    ----------
    row, symbol : int64 (N,)
        Of the decision, and the column of the symbol.
    asked, filled : float64 (N,)
        What was to be traded and what was, fractions of the equity before the trade.
    """

    row: np.ndarray
    symbol: np.ndarray
    asked: np.ndarray
    filled: np.ndarray


@dataclass(frozen=True)
class Books:
    """The book around each fill.

    Attributes
    ----------
    targets : float64 (T, A)
        What the guardrails allowed at the decision.
    before, after : float64 (T, A)
        Weights just before and after the fill.
    traded : float64 (T, A)
        Bought (positive) or sold, fraction of equity before the trade; the cost is charged on it.
    notional : float64 (T,)
        Sum of what was bought and sold.
    cost, gross, net : float64 (T,)
    violations : tuple of Violation
    lost_at : int or None
        Row in which the account was lost.
    kinds : mapping of str to float64 (T,) or None
        Costs by kind, fraction of equity before the trade, where they do not follow from ``traded`` alone.
    orders : Orders or None
        Where orders may be filled in part.
    reasons : callable or None
        Gives the violations where they are not made yet.
    """

    targets: np.ndarray
    before: np.ndarray
    after: np.ndarray
    traded: np.ndarray
    notional: np.ndarray
    cost: np.ndarray
    gross: np.ndarray
    net: np.ndarray
    violations: tuple[Violation, ...]
    lost_at: int | None
    kinds: Mapping[str, np.ndarray] | None = None
    orders: Orders | None = None
    reasons: Callable[[], tuple[Violation, ...]] | None = None


def is_path_free(positions: Positions, allowed: Positions, market: Market, chain: Chain) -> bool:
    """Whether ``allowed``, limited as if from cash, is what a step by step account would hold after each fill."""
    if chain.path_dependent or not positions.rebalance.all() or not np.isfinite(positions.weights).all():
        return False
    if market.fillable.all():
        return True  # nothing that is held ever fails to trade
    before = np.zeros(allowed.weights.shape, dtype=bool)
    before[1:] = (allowed.weights[:-1] != 0) & ~market.gone[:-1]
    stuck = ((allowed.weights != 0) | before) & ~market.fillable
    # A share that ended is out of every book, unless a guardrail had to count it at a decision where it did not trade.
    return not (stuck & ~(market.gone & (market.tradable | ~before))).any()


def closed_books(
    allowed: Positions, market: Market, costs: CostModel, reasons: Callable[[], tuple[Violation, ...]]
) -> Books:
    """All of time at once; right only where ``is_path_free``. ``reasons`` gives the violations."""
    weights, returns = allowed.weights, market.returns
    if market.gone.any():
        weights = np.where(market.gone, 0.0, weights)
    earned = returns + market.income if market.income.any() else returns
    before, traded = np.zeros_like(weights), np.empty_like(weights)
    gross, notional = np.empty(len(weights)), np.empty(len(weights))
    charged = []
    for start in range(0, len(weights), BLOCK):  # what is read and written in a block stays in the processor's cache
        rows = slice(start, start + BLOCK)
        gross[rows] = np.maximum(np.einsum("ta,ta->t", weights[rows], earned[rows]), -1.0)
        growth = np.where(gross[rows] > -1.0, 1.0 + gross[rows], 1.0)[:, None]
        later = before[start + 1 : start + 1 + BLOCK]
        drifted = np.add(returns[rows][: len(later)], 1.0, out=later)
        drifted *= weights[rows][: len(later)]
        drifted /= growth[: len(later)]
        np.subtract(weights[rows], before[rows], out=traded[rows])
        notional[rows] = np.abs(traded[rows]).sum(axis=1)
        charged.append(costs.by_kind(traded[rows]))
    kinds = {kind: np.concatenate([block[kind] for block in charged]) for kind in charged[0]} if charged else {}
    cost = np.add.reduce([*kinds.values(), np.zeros(len(weights))])
    net = np.maximum((1.0 - cost) * (1.0 + gross) - 1.0, -1.0)
    lost = np.flatnonzero((net <= -1.0) | (cost >= 1.0))
    books = Books(
        allowed.weights, before, weights, traded, notional, cost, gross, net, (), None, kinds, reasons=reasons
    )
    return _stopped(books, int(lost[0]), allowed, reasons) if len(lost) else books


def _stopped(books: Books, lost_at: int, allowed: Positions, reasons: Callable[[], tuple[Violation, ...]]) -> Books:
    """The books with nothing after the row in which the account was lost."""
    cut = lambda x: np.where((np.arange(len(x)) <= lost_at).reshape(-1, *[1] * (x.ndim - 1)), x, 0.0)  # noqa: E731
    gross, net, after = cut(books.gross), cut(books.net), cut(books.after)
    net[lost_at] = -1.0
    if books.cost[lost_at] >= 1.0:  # nothing is left to hold
        gross[lost_at], after[lost_at] = 0.0, 0.0
    said = lambda: tuple(v for v in reasons() if v.time <= allowed.times[lost_at])  # noqa: E731
    return Books(
        cut(books.targets), cut(books.before), after, cut(books.traded), cut(books.notional), cut(books.cost), gross,
        net, (), lost_at, {kind: cut(paid) for kind, paid in (books.kinds or {}).items()}, reasons=said,
    )  # fmt: skip


def stepped_books(
    positions: Positions, market: Market, chain: Chain, costs: CostModel, around: Surroundings | None = None
) -> Books:
    """Bar by bar, with the drifted book in front of the guardrails."""
    n_rows, n_assets = positions.weights.shape
    targets, before, after, traded = (np.zeros((n_rows, n_assets)) for _ in range(4))
    cost, gross, net = np.zeros(n_rows), np.zeros(n_rows), np.zeros(n_rows)
    violations: list[Violation] = list(positions.violations)
    account, lost_at = Account(n_assets), None
    for t in range(n_rows):
        told = None if around is None else around.book(t)
        book = account.seen(market.marks[t], market.tradable[t], positions.times[t], positions.symbols, told)
        sent, targets[t], reasons = order(positions.weights[t], bool(positions.rebalance[t]), chain, book)
        account.remember(positions.weights[t], targets[t], chain, book)
        violations += reasons
        before[t], traded[t], cost[t] = account.fill(targets[t], sent & market.fillable[t], costs)
        after[t] = account.weights
        if account.lost:
            net[t] = -1.0
        else:
            gross[t], net[t] = account.hold(market.returns[t], market.income[t])
        if account.lost:
            lost_at = t
            break
    notional = np.abs(traded).sum(axis=1)
    return Books(targets, before, after, traded, notional, cost, gross, net, tuple(violations), lost_at)
