"""Bars of several symbols, one symbol after the other, and how they come to lie on the rows of a panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Bars", "align"]


@dataclass
class Bars:
    """Bars of A symbols as columns.

    Attributes
    ----------
    starts, stops : int64 (A,)
        The bars of symbol a are ``starts[a] : stops[a]``, by time; symbols may lie in any order.
    times : int64 (N,)
        Closes, nanoseconds UTC.
    columns : dict of str to float64 (N,)
        ``align`` takes each one out, so that a column and its place in the panel are not both held for all.
    """

    starts: np.ndarray
    stops: np.ndarray
    times: np.ndarray
    columns: dict[str, np.ndarray]

    @classmethod
    def of(cls, symbols: Sequence[tuple[np.ndarray, Mapping[str, np.ndarray]]]) -> Bars:
        """The bars of each symbol, its closes and columns; a column that one of them lacks is NaN there."""
        sizes = np.array([len(times) for times, _ in symbols], dtype=np.int64)
        stops = np.cumsum(sizes)
        names = dict.fromkeys(name for _, columns in symbols for name in columns)
        return cls(
            stops - sizes,
            stops,
            np.concatenate([times for times, _ in symbols]),
            {
                name: np.concatenate([columns.get(name, np.full(len(times), np.nan)) for times, columns in symbols])
                for name in names
            },
        )

    def where(self, keep: np.ndarray | None) -> Bars:
        """The bars for which ``keep`` (N,) is true; itself where that is None."""
        if keep is None:
            return self
        before = np.append(0, np.cumsum(keep))
        columns = {name: cells[keep] for name, cells in self.columns.items()}
        return Bars(before[self.starts], before[self.stops], self.times[keep], columns)

    def union(self) -> np.ndarray:
        """Every close of any symbol, once, in order."""
        sizes = self.stops - self.starts
        if not len(self.times):
            return self.times
        longest = self.symbol(int(np.argmax(sizes)))
        if all(_slice_of(self.symbol(a), longest) is not None for a in range(len(sizes))):
            return longest.copy()
        return np.unique(self.times)

    def symbol(self, a: int) -> np.ndarray:
        """The closes of symbol a."""
        return self.times[self.starts[a] : self.stops[a]]


def align(times: np.ndarray, bars: Bars) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Columns (T, A) with NaN where a symbol has no bar, and where it has one; all-NaN columns are left out.

    Takes the columns out of ``bars``.
    """
    n_symbols = len(bars.starts)
    places = [_place(times, bars.symbol(a), int(bars.starts[a])) for a in range(n_symbols)]
    tradable = np.zeros((len(times), n_symbols), dtype=bool)
    for a, (rows, _) in enumerate(places):
        tradable[rows, a] = True
    fields = {}
    for name in list(bars.columns):
        cells = bars.columns.pop(name)
        if name == "close" or np.isfinite(cells).any():
            values = np.full(tradable.shape, np.nan)
            for a, (rows, here) in enumerate(places):
                values[rows, a] = cells[here]
            fields[name] = values
    return fields, tradable


def _place(times: np.ndarray, at: np.ndarray, first: int) -> tuple[slice | np.ndarray, slice | np.ndarray]:
    """Rows of the panel, and the bars that go there; as slices where no bar in between is missing."""
    low, high = np.searchsorted(at, times[:1]), np.searchsorted(at, times[-1:], side="right")
    start, stop = (int(low[0]), int(high[0])) if len(times) else (0, 0)
    inside = at[start:stop]
    rows = _slice_of(inside, times)
    if rows is not None:
        return rows, slice(first + start, first + stop)
    here = np.isin(inside, times, assume_unique=True)
    return np.searchsorted(times, inside[here]), first + start + np.flatnonzero(here)


def _slice_of(part: np.ndarray, whole: np.ndarray) -> slice | None:
    """Where ``part`` lies in ``whole`` as one piece, None where it does not."""
    start = int(np.searchsorted(whole, part[0])) if len(part) else 0
    found = slice(start, start + len(part))
    return found if np.array_equal(part, whole[found]) else None
