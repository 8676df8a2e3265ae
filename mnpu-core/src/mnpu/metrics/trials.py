"""How many independent trials a pile of backtests amounts to, by clustering their returns.

Two hundred settings of one idea are not two hundred ideas. Trials whose returns move together count once: average
linkage on correlations, cut at a fixed level. Source: Lopez de Prado and Lewis (2019), "Detection of false investment
strategies using unsupervised learning methods". We depart from it in the cut: they choose the number of clusters by the
silhouettes of k-means, which finds clusters in independent trials too and so understates them; a level does not, and
gives the same answer in every run.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from mnpu.errors import MnpuError
from mnpu.metrics import many

__all__ = ["Trials", "clusters", "counted_trials", "effective_trials", "trials_in_clusters"]

ALIKE = 0.5  #: Mean correlation from which trials count as one.
CHANCE = 0.05  #: Probability that any pair of independent trials reaches the level by chance, at most.


@dataclass(frozen=True)
class Trials:
    """What the deflated Sharpe ratio needs of N trials.

    Attributes
    ----------
    n : int
        Trials.
    n_effective : int
        Clusters of them.
    labels : int64 ndarray (N,)
        Cluster of each, from 0, in the order of their first members.
    sharpe_variance : float
        Variance of the Sharpe ratio per bar of a trial that is drawn from a cluster drawn at random; 0 of one cluster.
    """

    n: int
    n_effective: int
    labels: np.ndarray
    sharpe_variance: float


def counted_trials(sharpe_bar: np.ndarray) -> Trials:
    """Trials of which only the ratios are known: every one counts as independent.

    Parameters
    ----------
    sharpe_bar : float64 ndarray (N,)
        Sharpe ratios per bar, all of bars of one length; NaN for a trial that failed, which counts but has none.
    """
    known = sharpe_bar[np.isfinite(sharpe_bar)]
    spread = float(known.var(ddof=1)) if len(known) > 1 else 0.0
    return Trials(len(sharpe_bar), len(sharpe_bar), np.arange(len(sharpe_bar)), spread)


def effective_trials(returns: np.ndarray, *, alike: float = ALIKE) -> Trials:
    """Number of clusters among trials, and the variance of their Sharpe ratios.

    Parameters
    ----------
    returns : float64 ndarray (N, T)
        Returns per bar of N trials on the same bars; those of a trial that never traded are zeros.
    alike : float, default=0.5
        Mean correlation from which two groups are one; raised for short records to what independent trials would not
        reach by chance.

    Raises
    ------
    MnpuError
        No trials, fewer than five bars, or a return that is not finite.
    """
    returns = np.asarray(returns, dtype=np.float64)
    if returns.ndim != 2 or not len(returns) or returns.shape[1] < 5:
        raise MnpuError(
            f"the returns of the trials have the shape {returns.shape}", expected="(trials, five bars or more)"
        )
    if not np.isfinite(returns).all():
        bad = int(np.flatnonzero(~np.isfinite(returns).all(axis=1))[0])
        raise MnpuError(f"trial {bad} has a return that is not finite", expected="trials on the same bars")
    labels = clusters(_correlations(returns), max(alike, _by_chance(*returns.shape)))
    with np.errstate(invalid="ignore"):
        sharpe = np.nan_to_num(many.sharpe_bar(many.moments(returns)))  # one that never traded: 0
    return trials_in_clusters(sharpe, labels)


def trials_in_clusters(sharpe_bar: np.ndarray, labels: np.ndarray) -> Trials:
    """Trials whose clusters are known, some of which may have no ratio.

    Parameters
    ----------
    sharpe_bar : float64 ndarray (N,)
        Sharpe ratios per bar, all of bars of one length; NaN for a trial that failed, which counts but has none.
    labels : int64 ndarray (N,)
        Cluster of each, every number from 0 to the highest.
    """
    there = np.isfinite(sharpe_bar)
    ratios, members = sharpe_bar[there], np.unique(labels[there], return_inverse=True)[1]
    n_clusters = int(members.max()) + 1 if len(members) else 0  # with a ratio
    if n_clusters < 2:
        return Trials(len(labels), int(labels.max()) + 1, labels, 0.0)
    weights = 1.0 / (n_clusters * np.bincount(members)[members])
    spread = float(weights @ (ratios - weights @ ratios) ** 2) * n_clusters / (n_clusters - 1)
    return Trials(len(labels), int(labels.max()) + 1, labels, spread)


def clusters(similarity: np.ndarray, level: float) -> np.ndarray:
    """Cluster (N,) of each of N things by average linkage, groups joined while their mean similarity reaches ``level``.

    Parameters
    ----------
    similarity : float64 ndarray (N, N)
        Symmetric.
    level : float

    Notes
    -----
    A chain of nearest neighbours: two groups that are each other's nearest are joined at once, or, below the level,
    are finished, for no later group can be nearer to them. The order of the things decides ties only.
    """
    near = np.array(similarity, dtype=np.float64)
    np.fill_diagonal(near, -np.inf)
    n = len(near)
    label, size, active = np.arange(n), np.ones(n), np.ones(n, dtype=bool)
    chain: list[int] = []
    while active.any():
        if not chain:
            chain.append(int(np.argmax(active)))
        here = chain[-1]
        best = int(np.argmax(near[here]))
        if len(chain) > 1 and near[here, chain[-2]] >= near[here, best]:
            best = chain[-2]
        if near[here, best] == -np.inf or (len(chain) > 1 and best == chain[-2] and near[here, best] < level):
            finished = [here] if near[here, best] == -np.inf else [here, best]
            active[finished] = False
            near[finished], near[:, finished] = -np.inf, -np.inf
            del chain[-len(finished) :]
        elif len(chain) > 1 and best == chain[-2]:
            del chain[-2:]
            _join(near, size, here, best)
            label[label == best], active[best] = here, False
        else:
            chain.append(best)
    return np.unique(_first_member(label), return_inverse=True)[1]


def _join(near: np.ndarray, size: np.ndarray, one: int, other: int) -> None:
    """Make the row of ``one`` that of both, and take ``other`` out."""
    both = (size[one] * near[one] + size[other] * near[other]) / (size[one] + size[other])
    size[one] += size[other]
    near[one], near[:, one] = both, both
    near[one, one] = -np.inf
    near[other], near[:, other] = -np.inf, -np.inf


def _first_member(label: np.ndarray) -> np.ndarray:
    """Each label replaced by the place where it first occurs."""
    _, first, position = np.unique(label, return_index=True, return_inverse=True)
    return first[position]


def _correlations(returns: np.ndarray) -> np.ndarray:
    """Correlations (N, N); trials that do not vary are alike, and unlike all others."""
    centred = returns - returns.mean(axis=1, keepdims=True)
    size = np.sqrt(np.vecdot(centred, centred))
    flat = size <= many.FLAT * np.sqrt(returns.shape[1])
    z = centred / np.where(flat, 1.0, size)[:, None]
    z[flat] = 0.0
    return z @ z.T + np.outer(flat, flat)


def _by_chance(n: int, bars: int) -> float:
    """The correlation that no pair of n independent trials of ``bars`` bars reaches, but for the chance above.

    Fisher's transform of a correlation is normal with variance 1 / (T - 3).
    """
    pairs = max(n * (n - 1) / 2, 1.0)
    return float(np.tanh(NormalDist().inv_cdf(1.0 - CHANCE / pairs) / np.sqrt(bars - 3)))
