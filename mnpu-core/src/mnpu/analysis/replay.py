"""A finished result with the prices it was simulated at, so that its book can be taken apart or simulated anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mnpu.accounts import market_around
from mnpu.data.currency import in_account_currency
from mnpu.data.fills import fill_prices, holding_returns
from mnpu.errors import DataError
from mnpu.guard import Chain
from mnpu.simulation.costs import CostModel
from mnpu.simulation.market import market_for
from mnpu.simulation.simulate import SimulationOutcome, simulate
from mnpu.types import Panel, Positions, Result

__all__ = ["Replay", "replay"]

NEAR = 1e-9  #: Simple returns that differ by less are the same.


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
        not trade, then the whole gap. This is what the book earned.
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
    left_out: int = 0
    apart: float = 0.0

    def simulate(self, positions: Positions | None = None, *, rates: CostModel | None = None) -> SimulationOutcome:
        """Simulate the proposed, or other, positions on the same market, through the same guardrails."""
        return simulate(positions or self.proposed, **self.market, chain=self.chain, costs=rates or self.rates)

    def at_decisions(self, values: np.ndarray) -> np.ndarray:
        """The rows (T, ...) of an array over the whole panel."""
        return values[self.first : self.first + len(self.times)]


def replay(
    result: Result,
    panel: Panel,
    fill: str = "next_close",
    *,
    chain: Chain | None = None,
    rates: CostModel | None = None,
) -> Replay:
    """The decisions of a result whose returns the panel explains.

    Parameters
    ----------
    result : Result
        One strategy.
    panel : Panel
        The prices of the run: those of the whole store, or ``result.panel``. The latter ends with the last decision,
        so that the last two of them have no later prices and are left out.
    fill : {"next_close", "next_open", "vwap"}
        The fill rule of the run.
    chain : Chain, optional
        The run's guardrails; default none.
    rates : CostModel, optional
        The run's costs; default none.

    Raises
    ------
    DataError
        The panel has other symbols or bars, or its prices do not explain the gross returns of the result.
    """
    first, n = _place(result, panel)
    panel = in_account_currency(panel)
    fills = fill_prices(panel, fill)
    proposed, rows = result.proposed.rows(0, n), slice(first, first + n)
    market = market_around(panel, fills, first, first + n)
    moved = market_for(proposed, **market)
    returns = moved.returns + moved.income
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
        chain=chain or Chain(),
        rates=rates or CostModel(0.0, 0.0),
        left_out=len(result.times) - n,
    )
    return replace(found, apart=float(np.abs(found.simulate().net - found.net).max(initial=0.0)))


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
