"""The side data that a column can still need: what is further back than its memory is dropped.

A memory is measured at the oldest decision of a column's warm-up, so that whatever a bar of its window looked at is
still there. With a number n, that decision may ask what was known at each of its last n publications (of first prints,
where revisions do not count) about the n newest periods; with a span of time, for what became known within it. Kept
beyond that are what lies ahead, such as a scheduled event, and the last of what came before, which says that a series
is there at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd

from mnpu.data.clock import from_ns, utc
from mnpu.features.api import Memory
from mnpu.features.plan import PlannedFeature
from mnpu.types import SeriesInfo, SideTable

__all__ = ["Need", "Rows", "SideMemory", "needed", "needs_of", "still_needed"]

#: Rows of a series beyond twice those that were kept, from which on it is gone through again.
SLACK = 64


@dataclass(frozen=True)
class Need:
    """What one column needs of its series: ``memory`` at the decision ``warmup - 1`` bars before the newest.

    ``together`` where the periods of several series are compared with one another, such as an outcome and its
    forecast: a period that is kept of one is kept of all.
    """

    series: tuple[str, ...]
    memory: Memory
    warmup: int
    together: bool


def needs_of(planned: Sequence[PlannedFeature]) -> tuple[Need, ...]:
    """What the columns need of side data, each different need once."""
    found = [
        Need(column.spec.series, column.meta.memory_for(column.spec.params), column.spec.warmup, _together(column))
        for column in planned
        if column.spec.series
    ]
    return tuple(dict.fromkeys(found))


def _together(column: PlannedFeature) -> bool:
    return column.spec.kind == "calendar" and len(column.spec.series) > 1


@dataclass(frozen=True)
class Rows:
    """The rows of one series, as a side table is sorted; instants in nanoseconds."""

    series: str
    event: np.ndarray
    known: np.ndarray
    symbol: np.ndarray
    value: np.ndarray
    text: np.ndarray | None

    @classmethod
    def of(cls, side: SideTable, series: str) -> Rows:
        """Those of a series in a table; a few are not worth an index of all."""
        few = len(side) < SLACK and "_places" not in side.__dict__
        rows = np.flatnonzero(side.series == series) if few else side.find(series)
        event, known = utc(side.event_time).asi8[rows], utc(side.knowledge_time).asi8[rows]
        text = None if side.text is None else side.text[rows]
        return cls(series, event, known, side.symbol[rows], np.asarray(side.value, dtype=float)[rows], text)

    @classmethod
    def none(cls) -> Rows:
        """No row of no series."""
        nowhere, nobody = np.empty(0, dtype=np.int64), np.empty(0, dtype=object)
        return cls("", nowhere, nowhere, nobody, np.empty(0), None)

    def __len__(self) -> int:
        return len(self.value)

    def rows(self, keep: np.ndarray) -> Rows:
        """Those that a mask or positions pick."""
        text = None if self.text is None else self.text[keep]
        return Rows(self.series, self.event[keep], self.known[keep], self.symbol[keep], self.value[keep], text)

    def sorted(self) -> Rows:
        """The same in order of knowledge, then of event: what arrives row by row need not be."""
        return self if len(self) < 2 else self.rows(np.lexsort([self.event, self.known]))

    def joined(self, new: Rows) -> Rows:
        """These and others, in order of knowledge; of rows that stand alike in it, these first."""
        both = Rows(
            self.series,
            np.concatenate([self.event, new.event]),
            np.concatenate([self.known, new.known]),
            np.concatenate([self.symbol, new.symbol]),
            np.concatenate([self.value, new.value]),
            None if self.text is None and new.text is None else np.concatenate([_words(self), _words(new)]),
        )
        at = max(len(self), 1)
        last, first = both.known[at - 1], both.known[at : at + 1]
        return both if (first > last).all() else both.rows(np.lexsort([both.event, both.known]))

    def table(self, info: Mapping[str, SeriesInfo]) -> SideTable:
        """As a side table."""
        names = np.full(len(self), self.series, dtype=object)
        made = SideTable(from_ns(self.event), from_ns(self.known), names, self.symbol, self.value, info, self.text)
        made.__dict__["_places"] = self._places()
        return made

    def _places(self) -> dict[tuple[str, str | None], np.ndarray]:
        """What the table would find out about many series, of this one."""
        if not len(self):
            return {}
        every = np.arange(len(self))
        code, symbols = pd.factorize(self.symbol)
        places: dict[tuple[str, str | None], np.ndarray] = {(self.series, None): every}
        if len(symbols) == 1:
            places[self.series, str(symbols[0])] = every
            return places
        order = np.argsort(code, kind="stable")
        edges = pairwise([0, *np.cumsum(np.bincount(code)).tolist()])
        places.update({(self.series, str(name)): order[i:j] for name, (i, j) in zip(symbols, edges, strict=True)})
        return places


def _words(rows: Rows) -> np.ndarray:
    return np.full(len(rows), "", dtype=object) if rows.text is None else rows.text


def needed(rows: Rows, needs: Iterable[tuple[Need, int]], since: int | None = None) -> np.ndarray:
    """Boolean: the rows of a series that some column can still need.

    Parameters
    ----------
    rows : Rows
    needs : iterable of Need and int
        Each with the oldest decision that it is measured at, nanoseconds.
    since : int, optional
        End of the oldest period that is kept whatever the needs, nanoseconds.
    """
    wanted = tuple(needs)
    if any(need.memory is None for need, _ in wanted):
        return np.ones(len(rows), dtype=bool)
    keep = np.zeros(len(rows), dtype=bool) if since is None else rows.event >= since
    code, symbols = pd.factorize(rows.symbol)
    order = np.argsort(code, kind="stable")
    edges = np.searchsorted(code[order], np.arange(len(symbols) + 1))
    for start, stop in pairwise(edges.tolist()):
        mine = order[start:stop]
        for need, at in wanted:
            assert need.memory is not None
            keep[mine] |= _kept(rows.event[mine], rows.known[mine], need.memory, at)
    return keep


def still_needed(side: SideTable, needs: Sequence[Need], since: Callable[[int], int]) -> np.ndarray:
    """Boolean (N,): the rows of a table that columns with these needs can still need; ``since`` as in `SideMemory`."""
    held = {name: Rows.of(side, name) for need in needs for name in need.series}
    keep = np.zeros(len(side), dtype=bool)
    for name, rows in held.items():
        told = [(need, since(need.warmup)) for need in needs if name in need.series]
        keep[side.series == name] = needed(rows, told, oldest_together(told, held))
    return keep


def _kept(event: np.ndarray, known: np.ndarray, memory: int | pd.Timedelta, at: int) -> np.ndarray:
    """Which rows of one series and symbol, in order of knowledge, a decision at ``at`` or later can need."""
    if isinstance(memory, int):
        return _newest(event, known, memory, at)
    keep = known > at - pd.Timedelta(memory).as_unit("ns").value
    come = event[(event <= at) & (known <= at)]
    keep[np.flatnonzero(~keep)[-1:]] = True
    return keep | (event > at) | (event == (come.max() if len(come) else at))


def _newest(event: np.ndarray, known: np.ndarray, n: int, at: int) -> np.ndarray:
    """The rows behind the last ``n`` publications at ``at``, and behind the ``n`` newest periods at each of them."""
    seen = int(np.searchsorted(known, at, side="right"))
    keep = np.ones(len(event), dtype=bool)
    event, known = event[:seen], known[:seen]
    periods, first = np.unique(event, return_index=True)
    come, prints = periods[periods <= at], np.unique(known[first])
    if len(come) <= n or len(prints) <= n:
        return keep
    since = min(known[first][periods >= come[-n]].min(), np.unique(known)[-n], prints[-n])
    then = np.unique(event[known <= since])
    mine = event >= min(come[-n], then[-n] if len(then) >= n else then[0])
    printed = np.zeros(len(event), dtype=bool)
    printed[first] = True
    # A publication about older periods only is still one: a row tells of it, and their first that they were not new.
    for told in (np.ones(len(event), dtype=bool), printed):
        lonely = np.flatnonzero((known >= since) & told & ~mine & ~np.isin(known, known[mine & told]))
        stubs = lonely[np.unique(known[lonely], return_index=True)[1]]
        mine[stubs] = True
        mine[first[np.searchsorted(periods, event[stubs])]] = True
    keep[:seen] = mine
    return keep


class SideMemory:
    """The side rows that a pipeline can still need, series by series.

    Parameters
    ----------
    needs : sequence of Need
    side : SideTable
        What is known so far.
    since : callable
        ``since(bars)`` is the decision ``bars - 1`` before the newest, nanoseconds.
    """

    def __init__(self, needs: Sequence[Need], side: SideTable, since: Callable[[int], int]) -> None:
        self._since, self.info = since, dict(side.info)
        self._needs: dict[str, list[Need]] = {}
        for need in needs:
            for name in need.series:
                self._needs.setdefault(name, []).append(need)
        self._held: dict[str, Rows] = {}
        self._tables: dict[str, SideTable] = {}
        self._limit: dict[str, int] = {}
        #: The most observations that were asked for of all symbols together, by series and vintage.
        self.widest: dict[tuple[str, str], int] = {}
        self.take([Rows.of(side, name) for name in self._needs])

    @cached_property
    def nothing(self) -> SideTable:
        """A table without rows that knows every series."""
        return Rows.none().table(self.info)

    def table(self, series: str) -> SideTable:
        """What is held of a series: the same object, and what was derived of it, until there are other rows."""
        if series not in self._held:
            return self.nothing
        if series not in self._tables:
            self._tables[series] = self._held[series].table(self.info)
        return self._tables[series]

    def add(self, news: SideTable) -> None:
        """Take rows that became known since the last ones; the bar at which they were is there already."""
        if news.info.keys() - self.info.keys():
            self.info = {**self.info, **news.info}
            self.__dict__.pop("nothing", None)
            self._tables.clear()
        if len(news):
            self.take([Rows.of(news, name).sorted() for name in self._needs])

    def held(self) -> tuple[Rows, ...]:
        """All that is held, series by series."""
        return tuple(self._held.values())

    def take(self, rows: Sequence[Rows]) -> None:
        """Add rows of several series, and drop what can no longer be needed."""
        changed = [new for new in rows if len(new)]
        for new in changed:
            held = self._held.get(new.series)
            self._put(new.series, new if held is None else held.joined(new))
        for new in changed:  # when all are there: of some, periods are compared
            if len(self._held[new.series]) > self._limit.get(new.series, 0):
                self._trim(new.series)

    def _put(self, name: str, rows: Rows) -> None:
        self._held[name] = rows
        self._tables.pop(name, None)

    def _trim(self, name: str) -> None:
        needs = [(need, self._since(need.warmup)) for need in self._needs[name]]
        rows = self._held[name]
        keep = needed(rows, needs, oldest_together(needs, self._held))
        if not keep.all():
            self._put(name, rows.rows(keep))
        self._limit[name] = 2 * int(keep.sum()) + SLACK


def oldest_together(needs: Iterable[tuple[Need, int]], held: Mapping[str, Rows]) -> int | None:
    """End of the oldest period that some series needs, of those that are compared with one another; None for none."""
    ends = []
    for need, at in needs:
        if not need.together or not isinstance(need.memory, int):
            continue
        for other in need.series:
            if other in held and len(held[other]):
                periods = np.unique(held[other].event)
                over = periods[periods <= at]
                ends.append(int(over[-need.memory] if len(over) >= need.memory else periods[0]))
    return min(ends) if ends else None
