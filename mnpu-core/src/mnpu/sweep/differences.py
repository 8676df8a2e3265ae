"""Whether one treatment is better than another over several data sets: ranks, Friedman's test, Nemenyi's distance.

Source: Demsar (2006), "Statistical comparisons of classifiers over multiple data sets". A data set is a place on all
axes but the treatment's and the seed's; seeds of one data set are not independent of one another, so they are averaged
before anything is ranked. Departs from it in Friedman's test: its p-value comes from permuted ranks, because few data
sets are too few for the chi-squared law.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from mnpu.errors import ConfigError
from mnpu.sweep.catalogue import Catalogue

__all__ = ["Comparison", "compared", "critical_difference", "critical_value", "ranked"]

SEED = "seed"
_PERMUTATIONS = 20_000
#: Scores that are nearer, as a part of the larger, tie: rounding parts them, and may do so in one way in all data sets.
_TIED = 1e-9
_erf = np.vectorize(math.erf)


@dataclass(frozen=True)
class Comparison:
    """Treatments by rank, the best first.

    Attributes
    ----------
    metric, direction : str
    treatments : list of str (k,)
    datasets : list of str (N,)
    scores : float64 ndarray (N, k)
        Means over the seeds.
    spread : float64 ndarray (N, k)
        Standard deviations over the seeds, NaN for one.
    ranks : float64 ndarray (k,)
        Mean ranks, 1 is the best, ties share.
    friedman, p : float
        The statistic, and the share of permutations that reach it.
    distance : float
        Mean ranks that differ by less are not distinguishable at ``alpha``.
    groups : list of list of int
        Maximal groups that are not.
    left_out : list of str
        Data sets in which a treatment is missing.
    """

    metric: str
    direction: str
    alpha: float
    treatments: list[str]
    datasets: list[str]
    scores: np.ndarray
    spread: np.ndarray
    ranks: np.ndarray
    friedman: float
    p: float
    distance: float
    groups: list[list[int]]
    left_out: list[str]


def compared(
    catalogue: Catalogue, *, metric: str, direction: str, treatment: str = "", alpha: float = 0.05
) -> Comparison:
    """Compare the places of the treatment's axis.

    Raises
    ------
    ConfigError
        There is no such metric or axis, fewer than two treatments, or no data set that has all of them.
    """
    treatment = treatment or catalogue.kept.treatment
    rest = [name for name in catalogue.kept.axes if name not in (treatment, SEED)]
    if treatment not in catalogue.kept.axes:
        raise ConfigError(f"no axis '{treatment}'", expected=f"one of {', '.join(catalogue.kept.axes)}")
    if catalogue.entries and not any(metric in entry.values for entry in catalogue.entries):
        known = sorted({name for entry in catalogue.entries for name in entry.values})
        raise ConfigError(f"no metric '{metric}'", expected=f"one of {', '.join(known)}")
    found: dict[str, dict[str, list[float]]] = {}
    for entry in catalogue.entries:
        value = entry.values.get(metric)
        if value is not None and math.isfinite(value):
            dataset = " ".join(entry.at(rest)) or catalogue.kept.name
            found.setdefault(dataset, {}).setdefault(entry.axes[treatment], []).append(value)
    names = list(dict.fromkeys(entry.axes[treatment] for entry in catalogue.entries))
    whole = {dataset: by for dataset, by in found.items() if len(by) == len(names)}
    if len(names) < 2 or not whole:
        raise ConfigError(
            f"there are {len(names)} places on '{treatment}' and {len(whole)} data sets with a {metric} for each",
            expected="two places or more, and one data set or more",
            next_step="Run the sweep to its end, or choose another axis or metric.",
        )
    scores = np.array([[np.mean(by[name]) for name in names] for by in whole.values()])
    spread = np.array([[_deviation(by[name]) for name in names] for by in whole.values()])
    ranks = ranked(scores if direction == "minimise" else -scores)
    order = np.argsort(ranks.mean(axis=0), kind="stable")
    mean = ranks.mean(axis=0)[order]
    distance = critical_difference(len(names), len(whole), alpha)
    statistic, p = _friedman(ranks)
    return Comparison(
        metric=metric,
        direction=direction,
        alpha=alpha,
        treatments=[names[i] for i in order],
        datasets=list(whole),
        scores=scores[:, order],
        spread=spread[:, order],
        ranks=mean,
        friedman=statistic,
        p=p,
        distance=distance,
        groups=_groups(mean, distance),
        left_out=[dataset for dataset in found if dataset not in whole],
    )


def ranked(values: np.ndarray) -> np.ndarray:
    """Ranks in each row of (N, k), the smallest is 1; ties, and what only rounding parts, share their mean."""
    one, other = values[:, :, None], values[:, None, :]
    tied = np.abs(one - other) <= _TIED * np.maximum(np.abs(one), np.abs(other))
    below, equal = ((other < one) & ~tied).sum(axis=2), tied.sum(axis=2)
    return below + (equal + 1) / 2.0


def critical_difference(k: int, n: int, alpha: float) -> float:
    """Nemenyi's ``q sqrt(k (k + 1) / (6 N))`` for k treatments over N data sets."""
    return critical_value(k, alpha) * math.sqrt(k * (k + 1) / (6.0 * n))


@cache
def critical_value(k: int, alpha: float) -> float:
    """``q``: the upper ``alpha`` point of the range of k standard normal numbers, over the square root of two."""
    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _range_below(middle, k) < 1.0 - alpha else (low, middle)
    return (low + high) / 2.0 / math.sqrt(2.0)


def _range_below(width: float, k: int) -> float:
    """Probability that the range of k standard normal numbers is below ``width``: the integral over the largest."""
    z = np.linspace(-9.0, 9.0 + width, 6001)
    density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    inside = 0.5 * (_erf(z / math.sqrt(2.0)) - _erf((z - width) / math.sqrt(2.0)))
    values = density * inside ** (k - 1)
    return float(k * ((values[1:] + values[:-1]).sum() / 2.0) * (z[1] - z[0]))


def _deviation(values: Sequence[float]) -> float:
    """Over the seeds; that of equal values is 0, which the rounding of their mean would hide."""
    if len(values) < 2:
        return float("nan")
    return 0.0 if min(values) == max(values) else float(np.std(values, ddof=1))


def _friedman(ranks: np.ndarray) -> tuple[float, float]:
    """``12 N / (k (k + 1)) (sum R^2 - k (k + 1)^2 / 4)``, and its p-value from permutations within data sets."""
    n, k = ranks.shape
    factor = 12.0 * n / (k * (k + 1))

    def statistic(mean: np.ndarray) -> np.ndarray:
        found: np.ndarray = factor * ((mean**2).sum(axis=-1) - k * (k + 1) ** 2 / 4.0)
        return found

    rng = np.random.default_rng(0)
    drawn = np.zeros((_PERMUTATIONS, k))
    for row in ranks:
        drawn += rng.permuted(np.broadcast_to(row, (_PERMUTATIONS, k)), axis=1)
    own = float(statistic(ranks.mean(axis=0)))
    reached = int((statistic(drawn / n) >= own - 1e-9).sum())
    return own, (reached + 1) / (_PERMUTATIONS + 1)


def _groups(ranks: np.ndarray, distance: float) -> list[list[int]]:
    """Maximal runs of sorted mean ranks within ``distance``, of two or more."""
    found: list[list[int]] = []
    for first in range(len(ranks)):
        last = int(np.flatnonzero(ranks - ranks[first] < distance)[-1])
        if last > first and not (found and found[-1][-1] >= last):
            found.append(list(range(first, last + 1)))
    return found


def pareto(points: Mapping[str, tuple[float, float]], *, better: Sequence[str]) -> list[str]:
    """Names of the points that none other beats in both numbers; ``better`` is maximise or minimise for each."""
    sign = [1.0 if which == "maximise" else -1.0 for which in better]
    signed = {name: (sign[0] * x, sign[1] * y) for name, (x, y) in points.items()}

    def beaten(name: str) -> bool:
        x, y = signed[name]
        return any(a >= x and b >= y and (a, b) != (x, y) for a, b in signed.values())

    return sorted((name for name in points if not beaten(name)), key=lambda name: points[name][0])
