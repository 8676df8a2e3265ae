"""Which columns say much the same: rank correlations, and the groups that they make.

Groups come from average linkage (Sokal and Michener, 1958) on the distance ``1 - |rho|``: two groups are as far apart
as their columns are on average, and the nearest two are joined until none are nearer than the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Clusters", "cluster", "rank_correlations"]

CELLS = 100_000  #: Of each column that are ranked; more change a correlation by less than 0.003.


@dataclass(frozen=True)
class Clusters:
    """Groups of columns. ``number`` (F,) counts them in the order of ``order`` (F,), which keeps each together."""

    number: np.ndarray
    order: np.ndarray

    @property
    def groups(self) -> list[list[int]]:
        """The columns of each group, the first group first."""
        return [
            [int(f) for f in self.order if self.number[f] == k] for k in range(int(self.number.max(initial=-1)) + 1)
        ]


def rank_correlations(values: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Spearman correlation of every two columns, (F, F), over the cells in which both have a value.

    Parameters
    ----------
    values : ndarray (T, A, F)
    cells : bool ndarray (T, A)
        Cells that count. Of more than 100,000 every k-th decision is taken, all symbols of it.

    Notes
    -----
    Each column is ranked among all its own values, over decisions and symbols together: that is the order in which a
    network sees it. NaN: where a column does not vary.
    """
    step = max(1, -(-int(cells.sum()) // CELLS))
    some = values[::step][cells[::step]]  # (N, F)
    known = np.isfinite(some)
    scores = np.zeros(some.shape, dtype=np.float64)
    for f in range(some.shape[1]):
        scores[known[:, f], f] = _centred_ranks(some[known[:, f], f])
    there = known.astype(np.float64)
    both = there.T @ there
    mean = np.divide(scores.T @ there, both, out=np.zeros_like(both), where=both > 0)  # of f where g is there too
    square = np.divide((scores**2).T @ there, both, out=np.zeros_like(both), where=both > 0)
    product = np.divide(scores.T @ scores, both, out=np.zeros_like(both), where=both > 0)
    spread = np.sqrt(np.maximum(square - mean**2, 0.0))
    size = spread * spread.T
    found = np.divide(product - mean * mean.T, size, out=np.full_like(size, np.nan), where=size > 1e-12)
    return np.clip(found, -1.0, 1.0)


def cluster(correlations: np.ndarray, *, threshold: float = 0.7) -> Clusters:
    """Groups of columns whose absolute correlation is at least ``threshold`` on average.

    Parameters
    ----------
    correlations : float64 ndarray (F, F)
        An unknown one counts as none.
    threshold : float, default=0.7
        In (0, 1].
    """
    distance = 1.0 - np.abs(np.nan_to_num(correlations))
    joined = _linkage(distance)
    number, members = np.arange(len(distance)), {f: [f] for f in range(len(distance))}
    for a, b, height in joined:
        if height <= 1.0 - threshold + 1e-12:
            number[number == number[members[b][0]]] = number[members[a][0]]
        members[a] = members[a] + members.pop(b)
    order = np.array([f for leaves in members.values() for f in leaves], dtype=np.int64)
    names = {old: new for new, old in enumerate(dict.fromkeys(number[order].tolist()))}
    return Clusters(np.array([names[n] for n in number.tolist()], dtype=np.int64), order)


def _linkage(distance: np.ndarray) -> list[tuple[int, int, float]]:
    """Joins in order, ``(kept, dissolved, height)``: each group is named by one of its columns."""
    apart = distance.copy()
    np.fill_diagonal(apart, np.inf)
    size = np.ones(len(apart))
    joined = []
    for _ in range(len(apart) - 1):
        a, b = sorted(divmod(int(apart.argmin()), len(apart)))
        joined.append((a, b, float(apart[a, b])))
        merged = (size[a] * apart[a] + size[b] * apart[b]) / (size[a] + size[b])
        apart[a], apart[:, a] = merged, merged
        apart[b], apart[:, b] = np.inf, np.inf
        apart[a, a] = np.inf
        size[a] += size[b]
    return joined


def _centred_ranks(values: np.ndarray) -> np.ndarray:
    """Average ranks as shares from -0.5 to 0.5, so that sums stay small."""
    ordered = np.sort(values)
    ranks = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return ranks / (2.0 * max(len(values), 1)) - 0.5
