"""From positions and prices to returns after costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Literal

import numpy as np
import pandas as pd

from mnpu.errors import MnpuError
from mnpu.guard import Chain
from mnpu.simulation.account import ROUNDING
from mnpu.simulation.books import Books, Orders, closed_books, is_path_free, stepped_books
from mnpu.simulation.costs import CostModel
from mnpu.simulation.execution import Conditions, Execution
from mnpu.simulation.ledger import ledger_books
from mnpu.simulation.market import Market, in_numbers, market_for
from mnpu.simulation.sized import compiled_ledger
from mnpu.simulation.stepper import compiled_books
from mnpu.simulation.surroundings import Surroundings
from mnpu.types import Positions

__all__ = ["SimulationOutcome", "simulate", "unsized_books"]

Method = Literal["closed", "compiled", "stepped"]


@dataclass(frozen=True)
class SimulationOutcome:
    """What the positions earned.

    Attributes
    ----------
    gross, net : float64 (T,)
        Simple return from fill t to fill t + 1 before and after costs.
    equity : float64 (T + 1,)
        Net asset value, starting at 1.
    turnover_oneway : float64 (T,)
        Half the traded fraction of equity, against drifted weights.
    costs : mapping of str to float64 (T,)
        By kind, fraction of equity before the trade.
    targets : Positions
        What the guardrails allowed at each decision, with their violations. But for the stepped route these are made
        when they are first asked for.
    positions : Positions
        What is held after each fill, same violations. It differs from ``targets`` where an order could not be filled
        and where none was sent.
    method : {"closed", "compiled", "stepped"}
        Which route was taken; they agree. A chain in which every rule has a kernel goes ``compiled`` where the path
        matters, with a size or without, and so does an account of a size without guardrails; any other ``stepped``.
    notes : tuple of str
        What a reader must know: a lost account, books that stood still for want of a price.
    orders : Orders or None
        Every order with what was filled of it, where the account has a size.
    """

    gross: np.ndarray
    net: np.ndarray
    equity: np.ndarray
    turnover_oneway: np.ndarray
    costs: Mapping[str, np.ndarray]
    method: Method
    notes: tuple[str, ...]
    _table: Callable[[], pd.DataFrame] = field(repr=False, compare=False)
    _books: Callable[[], tuple[Positions, Positions]] = field(repr=False, compare=False)
    orders: Orders | None = None

    @cached_property
    def _both(self) -> tuple[Positions, Positions]:
        return self._books()

    @property
    def targets(self) -> Positions:
        """What the guardrails allowed at each decision."""
        return self._both[0]

    @property
    def positions(self) -> Positions:
        """What is held after each fill."""
        return self._both[1]

    @cached_property
    def fills(self) -> pd.DataFrame:
        """One row per trade: ``time``, ``symbol``, ``weight_before``, ``weight_after``, ``price``, ``cost``."""
        return self._table()


def simulate(
    positions: Positions,
    prices: np.ndarray,
    fill_times: pd.DatetimeIndex,
    *,
    tradable: np.ndarray | None = None,
    marks: np.ndarray | None = None,
    cash: np.ndarray | None = None,
    ended: np.ndarray | None = None,
    chain: Chain | None = None,
    costs: CostModel | None = None,
    execution: Execution | None = None,
    conditions: Conditions | None = None,
    around: Surroundings | None = None,
    method: Literal["auto", "closed", "stepped"] = "auto",
) -> SimulationOutcome:
    """Trade the positions through the guardrails at the fill prices, starting from cash.

    Parameters
    ----------
    positions : Positions
        T decisions over A symbols, before the guardrails.
    prices : float64 ndarray (T + 1, A)
        Fill price of each decision, NaN where there is none; the last row values the final book.
    fill_times : DatetimeIndex (T,) or (T + 1,)
    tradable : bool ndarray (T, A), optional
        Where an order may be sent at the decision. Default: wherever there is a fill price.
    marks : float64 ndarray (T, A), optional
        Return from the last fill to the decision, for the book that the guardrails see. Default 0.
    cash : float64 ndarray (T + 1, A), optional
        Paid to the holder of one share between the fill before and this one, in the unit of the prices: dividends,
        and what a delisted share became. Default none.
    ended : bool ndarray (T + 1, A), optional
        Where the share ceased to exist between the fill before and this one: the position is closed without a trade.
    chain : Chain, optional
        Guardrails; default none.
    costs : CostModel, optional
        Default: free of cost.
    execution : Execution, optional
        What the size of the account limits. Default: orders of any size are filled whole.
    conditions : Conditions, optional
        What that depends on, and what loans cost.
    around : Surroundings, optional
        What the market has told by each decision, for guardrails that ask. Default: they are told nothing.
    method : {"auto", "closed", "stepped"}, default="auto"
        ``closed`` handles all of time at once and refuses what depends on the path; ``stepped`` is the reference, bar
        by bar in Python. ``auto`` takes the fastest that can be taken.

    Returns
    -------
    outcome : SimulationOutcome

    Notes
    -----
    NaN: no fill price means no trade, and the shares are kept; they are worth their last price until there is a new
    one. Semantics and formulas: `mnpu.simulation.books`. Cash earns nothing.
    """
    chain = chain or Chain()
    costs = costs or CostModel(0.0, 0.0)
    positions = in_numbers(positions)
    market = market_for(positions, prices, fill_times, tradable=tradable, marks=marks, cash=cash, ended=ended)
    if execution is not None or conditions is not None or costs.sized:
        if method == "closed":
            raise _depends_on_the_path()
        sized = (execution or Execution(), conditions or Conditions())
        made = compiled_ledger(positions, market, chain, costs, *sized, around=around) if method == "auto" else None
        if made is not None:
            return _outcome(positions, market, costs, made, "compiled")
        books = ledger_books(positions, market, chain, costs, *sized, around=around)
        return _outcome(positions, market, costs, books, "stepped")
    return _outcome(positions, market, costs, *unsized_books(positions, market, chain, costs, method, around))


def unsized_books(
    positions: Positions,
    market: Market,
    chain: Chain,
    costs: CostModel,
    method: str,
    around: Surroundings | None,
) -> tuple[Books, Method]:
    """The books of an account without a size, and the route that was taken."""
    if method == "stepped":
        return stepped_books(positions, market, chain, costs, around), "stepped"
    if method == "auto" and chain.path_dependent:
        return _bar_by_bar(positions, market, chain, costs, around)
    if positions.rebalance.all() and np.isfinite(positions.weights).all():
        weights, reasons = chain.at_once(positions, market.tradable)
        allowed = replace(positions, weights=weights)
        if is_path_free(positions, allowed, market, chain):
            return closed_books(allowed, market, costs, reasons), "closed"
    if method == "closed":
        raise _depends_on_the_path()
    return _bar_by_bar(positions, market, chain, costs, around)


def _bar_by_bar(
    positions: Positions, market: Market, chain: Chain, costs: CostModel, around: Surroundings | None
) -> tuple[Books, Method]:
    made = compiled_books(positions, market, chain, costs, around) if chain.guardrails else None
    if made is not None:
        return made, "compiled"
    return stepped_books(positions, market, chain, costs, around), "stepped"


def _depends_on_the_path() -> MnpuError:
    return MnpuError(
        "these positions depend on the path",
        where="simulation",
        expected="an order in every row, fills for everything held, and neither guardrails nor fills that look back",
        next_step="Use method 'auto'.",
    )


def _outcome(positions: Positions, market: Market, costs: CostModel, books: Books, method: Method) -> SimulationOutcome:
    return SimulationOutcome(
        gross=books.gross,
        net=books.net,
        equity=np.concatenate([[1.0], np.cumprod(1.0 + books.net)]),
        turnover_oneway=books.notional / 2,
        costs=costs.by_kind(books.traded) if books.kinds is None else books.kinds,
        method=method,
        notes=_notes(positions, market, books),
        _table=partial(_fills, positions, market, costs, books),
        _books=partial(_both, positions, books),
        orders=books.orders,
    )


def _both(positions: Positions, books: Books) -> tuple[Positions, Positions]:
    violations = books.violations if books.reasons is None else books.reasons()
    targets = replace(positions, weights=books.targets, violations=violations)
    return targets, replace(targets, weights=books.after)


def _fills(positions: Positions, market: Market, costs: CostModel, books: Books) -> pd.DataFrame:
    row, column = np.nonzero(books.traded)
    return pd.DataFrame(
        {
            "time": market.fill_times[row],
            "symbol": np.asarray(positions.symbols, dtype=object)[column],
            "weight_before": books.before[row, column],
            "weight_after": books.after[row, column],
            "price": market.prices[row, column],
            "cost": np.abs(books.traded[row, column]) * costs.bps / 1e4,  # commission and spread
        }
    )


def _notes(positions: Positions, market: Market, books: Books) -> tuple[str, ...]:
    notes = []
    if books.lost_at is not None:
        notes.append(f"The account was lost on {positions.times[books.lost_at]:%Y-%m-%d} and stops there.")
    stuck = 0 if market.fillable.all() else int(((np.abs(books.after) > ROUNDING) & ~market.fillable).sum())
    closed = 0
    if market.gone.any():
        closed = int(((books.before == 0) & market.gone & _held_before(books.after)).sum())
    if closed:
        notes.append(f"{closed} positions were closed by a delisting, at what it returned.")
    if stuck:
        notes.append(f"{stuck} positions were kept over a bar for want of a price, at their last known value.")
    return tuple(notes)


def _held_before(after: np.ndarray) -> np.ndarray:
    """Where something was held after the fill before, (T, A)."""
    held = np.zeros(after.shape, dtype=bool)
    held[1:] = after[:-1] != 0
    return held
