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

from mnpu.data.compiled import compiled
from mnpu_data_sentiment.words import ODD, grams_of, mixed

__all__ = ["novelty"]

ORDERS, COMPARED = 16, 3
REMEMBERED = 1 << 17
#: Pairs from which on a loop is worth the import of a compiler.
MANY = 2_000


@dataclass(frozen=True)
class Sets:
    """Texts as sets: ``hash[start[i] : stop[i]]`` are the sorted numbers of text i, ``minima[:, i]`` of each order."""

    hash: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    minima: np.ndarray


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
    filled = np.flatnonzero(sets.stop > sets.start)
    most = np.full(len(texts), np.nan)
    if not len(filled):
        return most
    minima = sets.minima[:, filled]
    candidates = np.stack([_latest_alike(minimum, symbol[filled]) for minimum in minima])  # (ORDERS, texts with words)
    age = known[filled] - known[filled[np.maximum(candidates, 0)]]
    candidates[age >= window] = -1
    most[filled] = 0.0
    for candidate in _promising(candidates, minima):
        rows = np.flatnonzero(candidate >= 0)
        text, earlier = filled[rows], filled[candidate[rows]]
        most[text] = np.maximum(most[text], _similarity(sets, text, earlier))
    return 1.0 - most


class Remembered:
    """The set of each text, computed once: a run asks for the same texts again and again, at other decisions."""

    def __init__(self) -> None:
        self._place, self._hash = dict[str, int](), np.empty(0, dtype=np.uint64)
        self._edges, self._minima = np.zeros(1, dtype=np.intp), np.empty((ORDERS, 0), dtype=np.uint64)

    def __call__(self, texts: Sequence[str]) -> Sets:
        """The sets of texts, in their order."""
        new = [text for text in dict.fromkeys(texts) if text not in self._place]
        if len(self._place) + len(new) > REMEMBERED:
            self.__init__()  # type: ignore[misc]
            new = list(dict.fromkeys(texts))
        if new:
            self._add(new)
        place = np.fromiter(map(self._place.__getitem__, texts), dtype=np.intp, count=len(texts))
        return Sets(self._hash, self._edges[place], self._edges[place + 1], self._minima[:, place])

    def _add(self, texts: Sequence[str]) -> None:
        grams = grams_of(texts)
        order = np.lexsort((grams.hash, grams.text))
        text, value = grams.text[order], grams.hash[order]
        once = np.concatenate([[True], (np.diff(text) != 0) | (value[1:] != value[:-1])]) if len(text) else order > 0
        text, value = text[once], value[once]
        edges = np.searchsorted(text, np.arange(len(texts) + 1))
        self._place.update(zip(texts, range(len(self._place), len(self._place) + len(texts)), strict=True))
        self._edges = np.concatenate([self._edges, self._edges[-1] + edges[1:]])
        self._minima = np.concatenate([self._minima, _minima(value, edges)], axis=1)
        self._hash = np.concatenate([self._hash, value])


_sets = Remembered()


def _minima(value: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """For each random order, the first element of each set, (ORDERS, sets); 0 where a set is empty."""
    filled = np.flatnonzero(np.diff(edges))
    minima = np.zeros((ORDERS, len(edges) - 1), dtype=np.uint64)
    for row, order in enumerate(mixed(np.arange(1, ORDERS + 1, dtype=np.uint64))):
        if len(filled):
            minima[row, filled] = np.minimum.reduceat(mixed(value ^ order), edges[filled])
    return minima


def _latest_alike(minimum: np.ndarray, symbol: np.ndarray) -> np.ndarray:
    """The latest earlier text of the same symbol with the same minimum, -1 where there is none.

    Numbers that begin with a hash of both and end with the place of the text are sorted by value, which is several
    times as quick as an order by two keys. Whom a hash brings together must still be alike.
    """
    bits = np.uint64(max(len(minimum) - 1, 1).bit_length())
    place = np.arange(len(minimum), dtype=np.uint64)
    both = np.sort((mixed(minimum ^ mixed(symbol.astype(np.uint64) * ODD)) >> bits << bits) | place)
    order = (both & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.intp)
    earlier, later = order[:-1], order[1:]
    alike = (minimum[later] == minimum[earlier]) & (symbol[later] == symbol[earlier])
    latest = np.full(len(minimum), -1)
    latest[later[alike]] = earlier[alike]
    return latest


def _promising(candidates: np.ndarray, minima: np.ndarray) -> Iterator[np.ndarray]:
    """The candidates that share the most minima with their text, the best first, each at most once."""
    shared, by_text = np.zeros(candidates.shape, dtype=np.int8), np.ascontiguousarray(minima.T)
    for row, candidate in zip(shared, candidates, strict=True):
        found = np.flatnonzero(candidate >= 0)
        row[found] = np.count_nonzero(by_text[found] == by_text[candidate[found]], axis=1)
    columns = np.arange(candidates.shape[1])
    for _ in range(COMPARED):
        place = shared.argmax(axis=0)
        best = np.where(shared[place, columns] > 0, candidates[place, columns], -1)
        yield best
        shared[candidates == best] = 0


def _similarity(sets: Sets, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Size of the intersection over that of the union, for pairs of texts."""
    common = np.zeros(len(one), dtype=np.intp)
    count = compiled(_common) if len(one) >= MANY else _common
    count(sets.hash, sets.start[one], sets.stop[one], sets.start[other], sets.stop[other], common)
    size = sets.stop - sets.start
    return common / (size[one] + size[other] - common)


def _common(value, start, stop, other_start, other_stop, out):  # type: ignore[no-untyped-def]
    """How many numbers two sorted stretches of ``value`` share, for each pair of them."""
    for k in range(len(out)):
        i, j, n = start[k], other_start[k], 0
        while i < stop[k] and j < other_stop[k]:
            if value[i] == value[j]:
                n += 1
                i += 1
                j += 1
            elif value[i] < value[j]:
                i += 1
            else:
                j += 1
        out[k] = n
