"""The profile of every column: what it is like, what it foretold, and which other columns say the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mnpu.errors import MnpuError
from mnpu.feature_tools.look import Look
from mnpu.features.api import View
from mnpu.features.clusters import Clusters, cluster, rank_correlations
from mnpu.features.statistics import (
    Coverage,
    Distribution,
    Staleness,
    autocorrelation,
    coverage,
    distribution,
    staleness,
)
from mnpu.metrics.information import Estimate, by_decision, mean_of, outcome_order, over_time

__all__ = ["Age", "Information", "Profile", "Profiles", "one_series", "profile"]

MOSTLY_MISSING = 0.5  #: Coverage below this.
NEARLY_CONSTANT = 0.95  #: Share of one value from this on.
NEAR_DUPLICATE = 0.99  #: Absolute rank correlation from this on.


@dataclass(frozen=True)
class Age:
    """Days from the newest row that a column could have read to the decision, median and most, by series."""

    series: str
    median: float
    most: float


@dataclass(frozen=True)
class Information:
    """What a column foretold: ``ic`` and ``rank_ic`` over the range and by year.

    ``method`` says what was correlated: ``cross-section`` (symbols, at each decision; then the mean) or ``time``.
    ``series`` (T', 2) are ic and rank_ic by decision, None where the correlation is one over time. ``icir`` is their
    mean over their standard deviation, not annualised.
    """

    method: str
    ic: Estimate
    rank_ic: Estimate
    ic_by_year: dict[int, Estimate]
    rank_ic_by_year: dict[int, Estimate]
    icir: float | None
    series: np.ndarray | None


@dataclass(frozen=True)
class Profile:
    """One column."""

    name: str
    unit: str
    scope: str
    coverage: Coverage
    staleness: Staleness | None
    ages: tuple[Age, ...]
    distribution: Distribution | None
    autocorrelation: tuple[float | None, ...]
    information: Information
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Profiles:
    """All columns, their rank correlations (F, F), and the clusters that these make at ``threshold``."""

    columns: tuple[Profile, ...]
    correlations: np.ndarray
    clusters: Clusters
    threshold: float

    @property
    def outside(self) -> tuple[int, float]:
        """Columns whose interval of the rank IC leaves zero out, and how many would if none foretold anything."""
        judged = [c.information.rank_ic for c in self.columns if c.information.rank_ic.low is not None]
        return sum(estimate.excludes_zero for estimate in judged), 0.05 * len(judged)


def profile(looked: Look, *, threshold: float = 0.7, each: Callable[[str], None] = lambda name: None) -> Profiles:
    """Measure every column.

    Parameters
    ----------
    looked : Look
    threshold : float, default=0.7
        Absolute rank correlation from which columns make a cluster.
    each : callable
        Called with the name of every column that is done.
    """
    outcome, cells, years = np.ascontiguousarray(looked.outcome), looked.cells, looked.years
    order = outcome_order(outcome)
    correlations = rank_correlations(looked.frame.values[looked.start : looked.stop], cells)
    columns = []
    for f, name in enumerate(looked.frame.names):
        columns.append(_column(looked, f, outcome, order, years, correlations))
        each(name)
    return Profiles(tuple(columns), correlations, cluster(correlations, threshold=threshold), threshold)


def _column(
    looked: Look, f: int, outcome: np.ndarray, order: np.ndarray, years: np.ndarray, correlations: np.ndarray
) -> Profile:
    values, cells, spec = looked.values(f), looked.cells, looked.spec(f)
    covered = coverage(values, cells, years)
    if looked.across(f):
        about = _across(values, outcome, cells, order, years, looked.bars)
    else:
        about = _over_time(looked, f, values, outcome, years)
    own, where = (values, cells) if spec.scope == "symbol" else one_series(values, cells)
    spread = distribution(own, where)
    return Profile(
        name=looked.frame.names[f],
        unit=spec.unit,
        scope=spec.scope,
        coverage=covered,
        staleness=staleness(own, where),
        ages=_ages(looked, f),
        distribution=spread,
        autocorrelation=tuple(autocorrelation(own, where)),
        information=about,
        warnings=_warnings(f, covered, spread, correlations, looked.frame.names),
    )


def _across(
    values: np.ndarray, outcome: np.ndarray, cells: np.ndarray, order: np.ndarray, years: np.ndarray, bars: int
) -> Information:
    linear, ranked = by_decision(values, outcome, cells, order)
    nothing = "no decision has three symbols that differ in it and in the outcome"

    def by_year(series: np.ndarray) -> dict[int, Estimate]:
        return {y: mean_of(series[years == y], horizon=bars, nothing=nothing) for y in np.unique(years).tolist()}

    known = ranked[np.isfinite(ranked)]
    spread = float(known.std(ddof=1)) if len(known) > 1 else 0.0
    return Information(
        "cross-section",
        mean_of(linear, horizon=bars, nothing=nothing),
        mean_of(ranked, horizon=bars, nothing=nothing),
        by_year(linear),
        by_year(ranked),
        float(known.mean()) / spread if spread > 0 else None,
        np.stack([linear, ranked], axis=1),
    )


def _over_time(looked: Look, f: int, values: np.ndarray, outcome: np.ndarray, years: np.ndarray) -> Information:
    """Against the mean outcome of all symbols where the column is the market's, else of each symbol by itself."""
    if looked.spec(f).scope == "symbol":
        x, y = np.where(looked.cells, values, np.nan), np.where(looked.cells, outcome, np.nan)
    else:
        own, where = one_series(values, looked.cells)
        known = looked.cells & np.isfinite(outcome)
        count = known.sum(axis=1, keepdims=True)
        total = np.where(known, outcome, 0.0).sum(axis=1, keepdims=True)
        y = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
        x = np.where(where, own, np.nan)

    def estimate(rows: np.ndarray, ranked: bool) -> Estimate:
        return over_time(x[rows], y[rows], horizon=looked.bars, ranked=ranked)

    def by_year(ranked: bool) -> dict[int, Estimate]:
        return {year: estimate(years == year, ranked) for year in np.unique(years).tolist()}

    everything: np.ndarray = np.ones(len(years), dtype=bool)
    overall = estimate(everything, False), estimate(everything, True)
    return Information("time", *overall, by_year(False), by_year(True), None, None)


def one_series(values: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A market-wide column once, (T, 1): it has the same value for every symbol."""
    where: np.ndarray = np.any(cells, axis=1)[:, None]
    return np.ascontiguousarray(values[:, :1]), where


def _ages(looked: Look, f: int) -> tuple[Age, ...]:
    """How long the newest row of each series had been known, over the decisions and symbols that had one."""
    view, spec, found = View(looked.panel, looked.side), looked.spec(f), []
    at = looked.times.asi8
    for series in spec.series:
        try:
            names = [""] if len(looked.side.find(series, "")) else [n for n in dict.fromkeys(view.filed(series)) if n]
        except MnpuError:  # filed under two names: whoever reads it is told so
            continue
        days = []
        for name in names:
            known = looked.side.knowledge_time[looked.side.find(series, name)].asi8  # in order
            newest = np.searchsorted(known, at, side="right") - 1
            seen = newest >= 0
            days.append((at[seen] - known[newest[seen]]) / 86_400e9)
        every = np.concatenate(days) if days else np.zeros(0)
        if len(every):
            found.append(Age(series, float(np.median(every)), float(every.max())))
    return tuple(found)


def _warnings(
    f: int, covered: Coverage, spread: Distribution | None, correlations: np.ndarray, names: tuple[str, ...]
) -> tuple[str, ...]:
    said = []
    if covered.share < MOSTLY_MISSING:
        said.append(f"mostly missing: {100 * covered.share:.0f} % of the cells have a value")
    if spread is not None and not spread.varies:
        said.append("constant: it has one value")
    elif spread is not None and spread.commonest >= NEARLY_CONSTANT:
        said.append(f"nearly constant: {100 * spread.commonest:.1f} % of its values are the same one")
    earlier = np.abs(np.nan_to_num(correlations[f, :f]))
    alike = np.flatnonzero(earlier >= NEAR_DUPLICATE)
    if len(alike):
        g = int(earlier.argmax())
        more = f", and of {len(alike) - 1} more" if len(alike) > 1 else ""
        said.append(f"near duplicate of {names[g]} (rank correlation {correlations[f, g]:+.3f}){more}")
    return tuple(said)
