"""A finished result with the prices it was simulated at, so that its book can be taken apart or simulated anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from mnpu.accounts import account_around, market_around
from mnpu.data.currency import in_account_currency
from mnpu.data.fills import Fills, fill_prices, holding_returns
from mnpu.errors import DataError
from mnpu.guard import Chain
from mnpu.simulation.costs import CostModel
from mnpu.simulation.execution import Conditions, Execution
from mnpu.simulation.market import Market, market_for
from mnpu.simulation.simulate import SimulationOutcome, simulate
from mnpu.simulation.surroundings import Surroundings, surroundings
from mnpu.types import Panel, Positions, Result, SideTable

__all__ = ["Replay", "Terms", "replay"]

NEAR = 1e-9  #: Simple returns that differ by less are the same.


@dataclass(frozen=True)
class Terms:
    """On which terms a run's orders were filled.

    Attributes
    ----------
    fill : {"next_close", "next_open", "vwap"}
    chain : Chain
        The run's guardrails.
    rates : CostModel
    execution : Execution or None
        What the size of its account limited; None: nothing.
    funding : str or None
        Side series of what its positions paid.
    """

    fill: str = "next_close"
    chain: Chain = field(default_factory=Chain)
    rates: CostModel = field(default_factory=lambda: CostModel(0.0, 0.0))
    execution: Execution | None = None
    funding: str | None = None


@dataclass(frozen=True)
class Replay:
    """A strategy's evaluated decisions, T of them over A symbols, with all that the market did.

    Attributes
    ----------
    name : str
    times, fill_times : DatetimeIndex (T,)
    symbols : tuple of str (A,)
    proposed : Positions
        Before the guardrails.
    held : float64 (T, A)
        Weights after each fill.
    returns : float64 (T, A)
        What a unit of each symbol earned from fill t to fill t + 1, dividends and delistings included; 0 while it does
        not trade, then the whole gap. This is what the book earned: where a broker closed it, up to that price.
    known : float64 (T, A)
        The same, but NaN where a symbol does not trade or does not belong to the universe: what a benchmark may count.
    gross, net : float64 (T,)
    costs : mapping of str to float64 (T,)
        By kind, fraction of equity before the trade.
    turnover_oneway : float64 (T,)
    periods_per_year : float
    panel : Panel
        The prices, of ``first + T`` bars and more, in the currency of the account.
    first : int
        Row of the panel in which the first decision was made.
    market : mapping
        What `simulate` takes beside the positions.
    chain : Chain
    rates : CostModel
    fill : {"next_close", "next_open", "vwap"}
    execution : Execution or None
    conditions : Conditions or None
        What the market let an account of a size do, and charged it for.
    around : Surroundings or None
        What guardrails that look beyond the account were told.
    left_out : int
        Decisions at the end of the result for which the panel holds no later prices.
    apart : float
        Largest difference of the net returns between the run and its positions simulated again.
    """

    name: str
    times: pd.DatetimeIndex
    fill_times: pd.DatetimeIndex
    symbols: tuple[str, ...]
    proposed: Positions
    held: np.ndarray
    returns: np.ndarray
    known: np.ndarray
    gross: np.ndarray
    net: np.ndarray
    costs: Mapping[str, np.ndarray]
    turnover_oneway: np.ndarray
    periods_per_year: float
    panel: Panel
    first: int
    market: Mapping[str, Any]
    chain: Chain
    rates: CostModel
    fill: str = "next_close"
    execution: Execution | None = None
    conditions: Conditions | None = None
    around: Surroundings | None = None
    left_out: int = 0
    apart: float = 0.0

    @property
    def sized(self) -> bool:
        """Whether the account has a size, so that its orders are simulated one by one."""
        return self.execution is not None or self.conditions is not None or self.rates.sized

    def simulate(
        self, positions: Positions | None = None, *, rates: CostModel | None = None, execution: Execution | None = None
    ) -> SimulationOutcome:
        """Simulate the proposed, or other, positions on the same market, through the same guardrails."""
        return simulate(
            positions or self.proposed,
            **self.market,
            chain=self.chain,
            costs=rates or self.rates,
            execution=execution or self.execution,
            conditions=self.conditions,
            around=self.around,
        )

    def at_decisions(self, values: np.ndarray) -> np.ndarray:
        """The rows (T, ...) of an array over the whole panel."""
        return values[self.first : self.first + len(self.times)]


def replay(result: Result, panel: Panel, terms: Terms | None = None, *, side: SideTable | None = None) -> Replay:
    """The decisions of a result whose returns the panel explains.

    Parameters
    ----------
    result : Result
        One strategy.
    panel : Panel
        The prices of the run: those of the whole store, or ``result.panel``. The latter ends with the last decision,
        so that the last two of them have no later prices and are left out.
    terms : Terms, optional
        Those of the run. Default: filled at the next close, without guardrails and free of cost.
    side : SideTable, optional
        With the series of funding; without it no funding is paid.

    Raises
    ------
    DataError
        The panel has other symbols or bars, or its prices do not explain the gross returns of the result.
    """
    terms = terms or Terms()
    first, n = _place(result, panel)
    panel = in_account_currency(panel)
    fills = fill_prices(panel, terms.fill)
    proposed, rows = result.proposed.rows(0, n), slice(first, first + n)
    market = market_around(panel, fills, first, first + n)
    account = _account(terms, panel, side, fills, (first, first + n))
    returns = _earned(result, market_for(proposed, **market), account["conditions"])
    held = result.positions.weights[:n]
    _refuse_others(np.maximum((held * returns).sum(axis=1), -1.0), result.gross[:n], result)
    belongs = np.ones(held.shape, dtype=bool) if panel.member is None else panel.member[rows]
    found = Replay(
        name=result.name,
        times=result.times[:n],
        fill_times=result.fill_times[:n],
        symbols=result.positions.symbols,
        proposed=proposed,
        held=held,
        returns=returns,
        known=np.where(belongs, holding_returns(fills)[rows], np.nan),
        gross=result.gross[:n],
        net=result.net[:n],
        costs={kind: values[:n] for kind, values in result.costs.items()},
        turnover_oneway=result.turnover_oneway[:n],
        periods_per_year=result.periods_per_year,
        panel=panel,
        first=first,
        market=market,
        chain=terms.chain,
        fill=terms.fill,
        around=_around(result, panel, first, n, terms.chain),
        left_out=len(result.times) - n,
        **account,
    )
    return replace(found, apart=float(np.abs(found.simulate().net - found.net).max(initial=0.0)))


def _account(terms: Terms, panel: Panel, side: SideTable | None, fills: Fills, rows: tuple[int, int]) -> dict[str, Any]:
    found = account_around(
        (panel, side, fills),
        rows,
        fill=terms.fill,
        costs=terms.rates,
        execution=terms.execution,
        funding=terms.funding,
    )
    return {"rates": found.pop("costs"), "execution": None, "conditions": None, **found}


def _earned(result: Result, moved: Market, conditions: Conditions | None) -> np.ndarray:
    """Return of each symbol from fill to fill; where the book was liquidated, up to the worst price of the bar."""
    n = len(moved.returns)
    returns = moved.returns + moved.income
    closed = np.asarray(result.costs.get("liquidation", np.zeros(n)))[:n] > 0
    if conditions is None or not closed.any():
        return returns
    low, high = conditions.extremes(moved.returns)
    worst = np.where(result.positions.weights[:n] > 0, low, high) + moved.income
    return np.where(closed[:, None], worst, returns)


def _around(result: Result, panel: Panel, first: int, n: int, chain: Chain) -> Surroundings | None:
    """What the guardrails were told, by the panel and by the forecast that the result keeps."""
    if not chain.path_dependent:
        return None
    told = surroundings(panel, (first, first + n), lookback=chain.lookback)
    if result.forecast is None:
        return told
    return replace(told, quantiles=result.forecast.quantiles[:n, :, 0], levels=result.forecast.levels)


def _place(result: Result, panel: Panel) -> tuple[int, int]:
    """Row of the first decision, and how many decisions the panel has later prices for."""
    where = f"analysis of {result.name}"
    if panel.symbols != result.positions.symbols:
        raise DataError("the prices are of other symbols than the positions", where=where, expected="the run's panel")
    if not len(result.times):
        raise DataError("there are no decisions", where=where, expected="a finished run")
    first = int(panel.times.searchsorted(result.times[0]))
    n = min(len(result.times), len(panel.times) - 2 - first)
    if n < 3:
        raise DataError(
            f"the prices reach {max(n, 0)} decisions of {len(result.times)}", where=where, expected="three or more"
        )
    if not panel.times[first : first + n].equals(result.times[:n]):
        raise DataError("the prices have other bars than the decisions", where=where, expected="the run's panel")
    return first, n


def _refuse_others(explained: np.ndarray, gross: np.ndarray, result: Result) -> None:
    apart = np.abs(explained - gross)
    if apart.max() > NEAR:
        t = int(apart.argmax())
        raise DataError(
            f"the prices explain a gross return of {explained[t]:.6g} on {result.times[t]:%Y-%m-%d}, {gross[t]:.6g} "
            "was simulated",
            where=f"analysis of {result.name}",
            expected="the prices and the fill rule of the run",
            next_step="Analyse the run with its own prices, or run the pipeline again.",
        )
