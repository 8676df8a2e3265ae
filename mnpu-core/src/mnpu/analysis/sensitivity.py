"""How far the result hangs on what was assumed: when orders are filled, what they cost, and which seed was drawn.

The lag counts bars from a decision to its fill: 1 is the run itself, 0 fills one bar earlier, which no one can, 2 one
bar later. An edge that is worth a strategy survives a bar; one that is large at lag 0 and small at lag 1 lies in the
bar in which the order was waiting. Either it dies that fast, or a time stamp is too early: both are a red flag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import NamedTuple

import numpy as np

from mnpu.analysis.replay import Replay
from mnpu.errors import DataError
from mnpu.metrics import many
from mnpu.metrics.dependence import influence_on_sharpe, newey_west_lags, newey_west_se
from mnpu.metrics.returns import sharpe
from mnpu.simulation.costs import CostModel
from mnpu.types import Positions, Result

__all__ = ["CostRow", "LagRow", "Lags", "SeedRow", "Seeds", "cost_table", "lag_table", "scaled", "seed_table"]

LAGS, COSTS = (0, 1, 2), (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0)
SUSPECT, CLEAR = 0.5, 2.0  #: A fall of the Sharpe ratio by more than both, in its unit and in errors, is a flag.


class LagRow(NamedTuple):
    """Net of costs, with fills ``lag`` bars after the decision."""

    lag: int
    sharpe: float | None
    se: float | None
    mean_ann: float
    gross_ann: float
    turnover_oneway: float


class Lags(NamedTuple):
    """Every lag on the run's fills. ``fall`` is the Sharpe ratio at lag 0 less that at lag 1, ``fall_se`` its error."""

    rows: tuple[LagRow, ...]
    decisions: int
    fall: float | None
    fall_se: float | None
    red_flag: bool
    words: str


class CostRow(NamedTuple):
    """All rates times ``factor``: trades are made anew, through the same guardrails."""

    factor: float
    bps: float
    sharpe: float | None
    se: float | None
    mean_ann: float
    cost_ann: float


class SeedRow(NamedTuple):
    """One seed's run on the common decisions."""

    run: str
    seed: int
    sharpe: float | None
    se: float | None
    total_return: float


class Seeds(NamedTuple):
    """Runs that differ in their seed alone, on the decisions that all of them have.

    ``spread``: standard deviation between the seeds (ddof 1). It comes from fitting alone; the error of each Sharpe
    ratio comes from the sample, which all seeds share, and does not shrink by averaging over them.
    """

    rows: tuple[SeedRow, ...]
    mean: float | None
    spread: float | None
    lowest: float | None
    highest: float | None
    decisions: int


def lag_table(replay: Replay, lags: Sequence[int] = LAGS) -> Lags:
    """Simulate the proposed positions with fills earlier and later.

    Parameters
    ----------
    replay : Replay
    lags : sequence of int
        From 0 up; 1 has to be among them.

    Returns
    -------
    lags : Lags
        All lags see the fills of the run, beginning in cash: lag k takes in row t the weights decided k - 1 rows
        before. Lag 1 is the run itself. Where a lag has no decision for a fill, nothing is ordered: lag 2 begins a bar
        later, and lag 0 holds its last book for a bar more.
    """
    if 1 not in lags or min(lags) < 0:
        raise DataError(f"the lags are {list(lags)}", where="lags", expected="0 or more, and 1 among them")
    shared = len(replay.times) - max(max(lags) - 1, 0) - max(1 - min(lags), 0)
    if shared < 3:
        raise DataError(f"{shared} decisions are left", where="lags", expected="three or more that every lag fills")
    q, net, rows = replay.periods_per_year, {}, []
    for lag in sorted(set(lags)):
        outcome = replay.simulate(_filled_after(replay.proposed, lag))
        net[lag], ratio = outcome.net, sharpe(outcome.net, q)
        means = float(outcome.net.mean() * q), float(outcome.gross.mean() * q)
        rows.append(LagRow(lag, ratio.value, ratio.se, *means, float(outcome.turnover_oneway.mean())))
    fall, error = (None, None) if 0 not in net else _fall(net[0], net[1], q)
    flag = fall is not None and error is not None and fall > SUSPECT and fall > CLEAR * error
    return Lags(tuple(rows), len(replay.times), fall, error, flag, _words(fall, error, flag))


def _filled_after(positions: Positions, lag: int) -> Positions:
    """What is ordered at each fill, ``lag`` bars after it was decided; nothing where that lies outside the run."""
    n = len(positions.times)
    decided = np.arange(n) + 1 - lag
    inside = (decided >= 0) & (decided < n)
    decided = decided.clip(0, n - 1)
    ordered = np.flatnonzero(positions.rebalance[: decided[0] + 1])
    if len(ordered):  # an order that was due before the first fill is sent with it
        decided[0] = ordered[-1]
    weights = np.where(inside[:, None], positions.weights[decided], 0.0)
    return replace(positions, weights=weights, rebalance=positions.rebalance[decided] & inside)


def _fall(before: np.ndarray, after: np.ndarray, q: float) -> tuple[float | None, float | None]:
    """Difference of two Sharpe ratios of the same bars, annualised, with its Newey-West error."""
    ratios = [many.sharpe_bar(many.moments(series)) for series in (before, after)]
    if not np.isfinite(ratios).all():
        return None, None
    influence = influence_on_sharpe(before) - influence_on_sharpe(after)
    error = newey_west_se(influence, lags=newey_west_lags(len(influence)))
    return float((ratios[0] - ratios[1]) * np.sqrt(q)), float(error * np.sqrt(q))


def _words(fall: float | None, error: float | None, flag: bool) -> str:
    if fall is None or error is None:
        return "lag 0 and lag 1 cannot be compared: one of them does not vary, or lag 0 was not asked for"
    said = f"the Sharpe ratio falls by {fall:.2f} ± {error:.2f} from lag 0 to lag 1"
    if flag:
        return f"red flag: {said}; the edge lies in the bar between decision and fill, or a time stamp is too early"
    return f"no red flag: {said}"


def scaled(rates: CostModel, factor: float, *, only: Sequence[str] | None = None) -> CostModel:
    """The same costs with every rate, or only those named, times ``factor``."""
    names = [field.name for field in fields(rates)]
    return replace(rates, **{name: getattr(rates, name) * factor for name in names if only is None or name in only})


def cost_table(replay: Replay, factors: Sequence[float] = COSTS) -> list[CostRow]:
    """Simulate the proposed positions at other rates, in the order of the factors."""
    q, rows = replay.periods_per_year, []
    for factor in factors:
        rates = scaled(replay.rates, factor)
        outcome = replay.simulate(rates=rates)
        ratio = sharpe(outcome.net, q)
        paid = float(sum(values.mean() for values in outcome.costs.values()) * q)
        rows.append(CostRow(factor, rates.bps, ratio.value, ratio.se, float(outcome.net.mean() * q), paid))
    return rows


def seed_table(results: Mapping[str, Result]) -> Seeds:
    """Sharpe ratios of runs that differ in their seed alone.

    Parameters
    ----------
    results : mapping of run id to Result
        Each with its run. They are judged on the decisions that all of them have.

    Raises
    ------
    DataError
        Fewer than two runs, one that says no seed, or no common decisions.
    """
    if len(results) < 2 or any(result.run is None for result in results.values()):
        raise DataError(f"{len(results)} runs", where="seeds", expected="two or more, each with its seed")
    common = None
    for result in results.values():
        common = result.times if common is None else common.intersection(result.times)
    assert common is not None
    if len(common) < 3:
        raise DataError(f"the runs have {len(common)} decisions in common", where="seeds", expected="three or more")
    rows = []
    for name, result in results.items():
        net = result.net[result.times.isin(common)]
        ratio = sharpe(net, result.periods_per_year)
        assert result.run is not None
        rows.append(SeedRow(name, result.run.seed, ratio.value, ratio.se, float(np.prod(1.0 + net) - 1.0)))
    rows.sort(key=lambda row: (row.seed, row.run))
    known = np.array([row.sharpe for row in rows if row.sharpe is not None])
    mean, low, high = (float(f()) if len(known) else None for f in (known.mean, known.min, known.max))
    spread = float(known.std(ddof=1)) if len(known) > 1 else None
    return Seeds(tuple(rows), mean, spread, low, high, len(common))
