"""Every analysis of one result, as named tables, with the reason for each that could not be made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from mnpu.analysis import attribution, benchmarks, scenarios, sensitivity
from mnpu.analysis.brinson import brinson_fachler
from mnpu.analysis.capacity import Capacity, capacity, liquidity
from mnpu.analysis.factors import Regression, factor_regression, universe_factors
from mnpu.analysis.regimes import regime_table
from mnpu.analysis.replay import Replay
from mnpu.errors import MnpuError
from mnpu.types import Result

__all__ = ["TABLES", "Analysis", "Assumptions", "Total", "analyse"]

#: What each table holds, in reading order.
TABLES = {
    "symbols": "gross return by symbol",
    "sides": "gross return of long and short positions",
    "groups": "gross return by group",
    "decisions": "gross return by what was decided: market, timing, tilt, selection",
    "costs_paid": "from gross to net",
    "benchmarks": "net return beside the universe",
    "brinson": "allocation and selection by group, beside the equal-weighted universe",
    "factors": "regression of the net return on factors",
    "regimes": "net return by kind of market",
    "lags": "fills earlier and later",
    "costs": "other costs",
    "seeds": "other seeds",
    "capacity": "net Sharpe ratio against capital",
    "crises": "crises in the data",
    "shocks": "shocks at once",
    "liquidity": "closing the book in a thinner market",
}


class Total(NamedTuple):
    """What attribution explains: compound gross and net return of the analysed decisions."""

    gross: float
    net: float
    decisions: int
    left_out: int


@dataclass(frozen=True)
class Assumptions:
    """What an analysis takes for granted.

    Attributes
    ----------
    groups : mapping of symbol to group
        Such as sectors; empty: none.
    shares : mapping of symbol to float
        Shares outstanding, for the cap-weighted benchmark; empty: unknown.
    factors : mapping of name to float64 (T,)
        Beside those of the universe.
    capital : float
        In the currency of the prices, for the cost of closing the book.
    impact : float
        Y of the square-root law.
    seeds : mapping of run to Result
        Runs that differ in their seed alone, this one among them; empty: none.
    """

    groups: Mapping[str, str] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    factors: Mapping[str, np.ndarray] = field(default_factory=dict)
    capital: float = 1e6
    impact: float = 1.0
    seeds: Mapping[str, Result] = field(default_factory=dict)


@dataclass(frozen=True)
class Analysis:
    """Tables of rows by name, ``reasons`` for those that are missing, and what needs more than rows to be said."""

    total: Total
    tables: Mapping[str, Sequence[Any]]
    reasons: Mapping[str, str]
    lags: sensitivity.Lags | None = None
    capacity: Capacity | None = None
    regression: Regression | None = None
    seeds: sensitivity.Seeds | None = None


def analyse(replay: Replay, given: Assumptions) -> Analysis:
    """Make every table; one that cannot be made has its error as a reason.

    Parameters
    ----------
    replay : Replay
    given : Assumptions
    """
    made: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for name, make in _makers(replay, given).items():
        try:
            made[name] = make()
        except MnpuError as error:
            reasons[name] = str(error)
    whole = ("lags", "seeds", "capacity", "factors")
    tables = {name: made[name] for name in TABLES if name in made and name not in whole}
    for name in whole:
        if name in made:
            tables[name] = made[name].coefficients if name == "factors" else made[name].rows
    gross, net = (float(np.prod(1.0 + series) - 1.0) for series in (replay.gross, replay.net))
    return Analysis(
        Total(gross, net, len(replay.times), replay.left_out),
        {name: tables[name] for name in TABLES if name in tables},
        reasons,
        lags=made.get("lags"),
        capacity=made.get("capacity"),
        regression=made.get("factors"),
        seeds=made.get("seeds"),
    )


def _makers(replay: Replay, given: Assumptions) -> dict[str, Callable[[], Any]]:
    market = benchmarks.equal_weight(replay)

    def with_groups(make: Callable[[Replay, Mapping[str, str]], Any]) -> Any:
        if not given.groups:
            raise MnpuError("no groups of symbols were given")
        return make(replay, given.groups)

    def caps() -> np.ndarray | None:
        return benchmarks.caps_from_shares(replay, given.shares) if given.shares else None

    def explained() -> Regression:
        series = {**universe_factors(replay), **given.factors}
        return factor_regression(replay.net, series, periods_per_year=replay.periods_per_year)

    def seeds() -> sensitivity.Seeds:
        if len(given.seeds) < 2:
            raise MnpuError("there is no other run of this recipe with another seed")
        return sensitivity.seed_table(given.seeds)

    return {
        "symbols": lambda: attribution.by_symbol(replay),
        "sides": lambda: attribution.by_side(replay),
        "groups": lambda: with_groups(attribution.by_group),
        "decisions": lambda: attribution.by_decision(replay, market),
        "costs_paid": lambda: attribution.gross_to_net(replay),
        "benchmarks": lambda: benchmarks.excess_table(replay, caps=caps()),
        "brinson": lambda: with_groups(brinson_fachler),
        "factors": explained,
        "regimes": lambda: regime_table(replay),
        "lags": lambda: sensitivity.lag_table(replay),
        "costs": lambda: sensitivity.cost_table(replay),
        "seeds": seeds,
        "capacity": lambda: capacity(replay, impact=given.impact),
        "crises": lambda: scenarios.crises(replay),
        "shocks": lambda: [*scenarios.shocks(replay), scenarios.spread_row(replay)[0]],
        "liquidity": lambda: scenarios.liquidity_losses(
            replay, liquidity(replay), capital=given.capital, impact=given.impact
        ),
    }
