"""How new a text is against the texts about the same symbol that were known before it.

Texts are compared as sets of words and pairs of words, by Jaccard's similarity. Comparing all pairs would take the
square of their number: MinHash (Broder, 1997) finds, for each text, the latest earlier one that shares each of a few
minima of random orders, which two texts do with the probability of their similarity. The most promising of these
candidates are then compared exactly, so that a novelty is never too small, and for a repeated text it is exactly 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mnpu_data_sentiment.words import grams_of, mixed

__all__ = ["novelty"]

ORDERS, COMPARED = 16, 3


@dataclass(frozen=True)
class Sets:
    """Each of N texts as a set: ``key`` (M,) is sorted and holds ``text * n + rank``, ``hash`` (M,) its numbers."""

    key: np.ndarray
    hash: np.ndarray
    n: int
    start: np.ndarray  # (N + 1,)


def novelty(texts: Sequence[str], symbol: np.ndarray, known: np.ndarray, window: int) -> np.ndarray:
    """One minus the largest similarity with an earlier text about the same symbol, (N,).

    Parameters
    ----------
    texts : sequence of str (N,)
        In the order in which they became known; of two that became known at once, the later one of the sequence is
        compared with the earlier one, never the other way round.
    symbol : int (N,)
    known : int64 (N,)
        Nanoseconds, not decreasing.
    window : int
        Nanoseconds: only texts that became known after ``known[i] - window`` count.

    Returns
    -------
    novelty : float64 (N,)
        1 for words that were not read before, 0 for a repetition; NaN for a text without words.
    """
    sets = _sets(texts)
    filled = np.flatnonzero(np.diff(sets.start))
    most = np.full(len(texts), np.nan)
    if not len(filled):
        return most
    minima = _minima(sets, filled)
    candidates = np.stack([_latest_alike(minimum, symbol[filled]) for minimum in minima])  # (ORDERS, texts with words)
    age = known[filled] - known[filled[np.maximum(candidates, 0)]]
    candidates[age >= window] = -1
    most[filled] = 0.0
    for candidate in _promising(candidates, minima):
        rows = np.flatnonzero(candidate >= 0)
        text, earlier = filled[rows], filled[candidate[rows]]
        most[text] = np.maximum(most[text], _similarity(sets, text, earlier))
    return 1.0 - most


def _sets(texts: Sequence[str]) -> Sets:
    grams = grams_of(texts)
    values, rank = np.unique(grams.hash, return_inverse=True)
    n = max(len(values), 1)
    key = np.sort(grams.text * n + rank)
    key = key[np.diff(key, prepend=-1) > 0]  # once in each text; np.unique would hash, which takes ten times as long
    start = np.searchsorted(key, np.arange(len(texts) + 1) * n)
    return Sets(key, values[key % n], n, start)


def _minima(sets: Sets, filled: np.ndarray) -> np.ndarray:
    """For each random order, the first element of each set that has one, (ORDERS, texts with words)."""
    minima = []
    for order in mixed(np.arange(1, ORDERS + 1, dtype=np.uint64)):
        minima.append(np.minimum.reduceat(mixed(sets.hash ^ order), sets.start[filled]))
    return np.stack(minima)


def _latest_alike(minimum: np.ndarray, symbol: np.ndarray) -> np.ndarray:
    """The latest earlier text of the same symbol with the same minimum, -1 where there is none."""
    order = np.lexsort((minimum, symbol))  # stable: texts that are alike stay in the order of knowledge
    alike = (minimum[order][1:] == minimum[order][:-1]) & (symbol[order][1:] == symbol[order][:-1])
    latest = np.full(len(minimum), -1)
    latest[order[1:][alike]] = order[:-1][alike]
    return latest


def _promising(candidates: np.ndarray, minima: np.ndarray) -> Iterator[np.ndarray]:
    """The candidates that share the most minima with their text, the best first, each at most once."""
    shared = np.stack([(minima == minima[:, candidate]).sum(axis=0) for candidate in candidates])
    shared[candidates < 0] = 0
    columns = np.arange(candidates.shape[1])
    for _ in range(COMPARED):
        place = shared.argmax(axis=0)
        best = np.where(shared[place, columns] > 0, candidates[place, columns], -1)
        yield best
        shared[candidates == best] = 0


def _similarity(sets: Sets, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Size of the intersection over that of the union, for pairs of texts."""
    size = np.diff(sets.start)
    owner = np.repeat(np.arange(len(one)), size[one])
    first = np.cumsum(size[one]) - size[one]
    element = sets.key[sets.start[one][owner] + np.arange(len(owner)) - first[owner]] % sets.n
    wanted = other[owner] * sets.n + element
    found = sets.key[np.minimum(np.searchsorted(sets.key, wanted), len(sets.key) - 1)] == wanted
    common = np.bincount(owner, weights=found, minlength=len(one))
    return common / (size[one] + size[other] - common)
