"""The columns of a pipeline bar by bar: the values of the batch, in time that does not grow with history.

A stream holds what the next row can depend on and nothing else: bars for the longest warm-up, the side rows that the
columns' memories reach back to, and what recursive features carry. A step computes the newest row of each column on
bars that are shared by columns with about the same warm-up (so what features share is computed once), each family with
a kernel in one call of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from mnpu.data.asof import Releases
from mnpu.data.clock import from_ns, utc
from mnpu.data.history import Known
from mnpu.errors import DataError
from mnpu.features.api import Kernel, Memo, View, Vintage
from mnpu.features.by_symbol import KnownBySymbol, names_in
from mnpu.features.checks import infinite, too_large
from mnpu.features.compute import as_declared, compute_latest
from mnpu.features.evaluation import Job, by_kernel, fill, fresh_states, kernel_view, of_view, quiet
from mnpu.features.evaluation import parts as parts_of
from mnpu.features.memory import Rows, SideMemory, needs_of
from mnpu.features.plan import PlannedFeature
from mnpu.features.recent import RecentBars, panel_of
from mnpu.types import DatasetInfo, FeatureFrame, Panel, SeriesInfo, SideTable

__all__ = ["Stream"]

Made = TypeVar("Made")

#: Columns whose warm-up is no longer than this look at the same bars; the others at those of up to twice as many.
SHORT = 32


class Stream:
    """Computes a pipeline's columns for one bar after the other.

    Parameters
    ----------
    planned : sequence of PlannedFeature
        F columns.
    history : Panel
        Bars before the first step: as many as the longest warm-up, or all there are where a column carries a state,
        which is brought through all of them.
    side : SideTable
        Side data known at the last bar of the history.
    rows : int, default=0
        Bars at the end of the history that :attr:`frame` is computed for.
    keep : int, default=1
        Bars that :meth:`last` can give, if more than the longest warm-up.
    where : str
        Who asks, for messages.

    Attributes
    ----------
    frame : FeatureFrame
        The columns at the last ``rows`` bars of the history.
    """

    def __init__(
        self,
        planned: Sequence[PlannedFeature],
        history: Panel,
        side: SideTable,
        *,
        rows: int = 0,
        keep: int = 1,
        where: str = "stream",
    ) -> None:
        if not len(history.times):
            raise DataError("no bar of history", where=where, expected="at least one", next_step="Pass more bars.")
        self._prepare(planned, where)
        self.frame = self._begin(history, side, rows)
        self._bars = RecentBars(history, max(self._longest, keep))
        self._side = SideMemory(needs_of(self.planned), side, self._bars.since)

    def _prepare(self, planned: Sequence[PlannedFeature], where: str) -> None:
        self.planned, self._where, self._broken = tuple(planned), where, False
        self.names = tuple(column.name for column in self.planned)
        self._groups = _groups(self.planned)
        self._longest = max((rows for rows, _, _ in self._groups), default=1)
        self._specs: tuple[Any, Any] = (None, ())

    def _begin(self, history: Panel, side: SideTable, rows: int) -> FeatureFrame:
        """Bring the states through the history, and compute the columns of its last rows."""
        bars, wanted = len(history.times), min(rows, len(history.times))
        self._states = fresh_states(self.planned, len(history.symbols))
        recent = history.rows(max(bars - wanted - self._longest + 1, 0), bars) if wanted else history.rows(bars, bars)
        plain = [column for column in self.planned if column.name not in self._states]
        frame = compute_latest(plain, recent, side)
        values = np.empty((len(self.planned), wanted, len(history.symbols)), dtype=np.float32)
        whole, memo = np.empty((1, bars if self._states else 0, len(history.symbols))), Memo()
        for f, column in enumerate(self.planned):
            if column.name in self._states:
                fill(Job((0,), None, 0, bars), [column], history, side, whole, states=self._states, memo=memo)
                values[f] = whole[0, bars - wanted :]
            else:
                values[f] = frame.values[frame.values.shape[0] - wanted :, :, frame.names.index(column.name)]
        return self._framed(history.rows(bars - wanted, bars), np.moveaxis(values, 0, -1), side.info)

    def step(self, bar: Panel, news: SideTable | None = None) -> FeatureFrame:
        """The columns at one bar, a frame of one row.

        Parameters
        ----------
        bar : Panel
            T = 1, after the last; the same symbols and fields as the history.
        news : SideTable, optional
            Side data that became known since the last bar, up to and at this one.

        Raises
        ------
        DataError
            More than one bar, one that is not new, side data from the future, or a value that is infinite.
        """
        values = self.values(bar, news)
        with np.errstate(over="ignore"):  # what is too large becomes infinite
            row = values.astype(np.float32)
        if place := infinite(row):
            self._broken = True  # whoever asked lacks this row
            a, f = place
            raise too_large(self.planned[f], bar, 0, a)
        return self._framed(bar, row[None], self._side.info)

    def values(self, bar: Panel, news: SideTable | None = None) -> np.ndarray:
        """The same in float64, (A, F), as they are before the cast."""
        self._check(bar, news)
        self._bars.append(bar)
        self._broken = True  # until all is brought on
        if news is not None:
            self._side.add(news)
        out = np.empty((len(self.planned), 1, len(bar.symbols)))
        for rows, kernel, numbers in self._groups:
            panel = self._bars.last(rows)
            if kernel is None:
                with quiet():
                    self._one_by_one(numbers, panel, out)
            else:
                columns = [self.planned[f] for f in numbers]
                view = kernel_view(columns, panel, self._side.nothing, panel.shape[0] - 1)
                together = np.empty((len(numbers), 1, panel.shape[1]))
                by_kernel(kernel, columns, view, together)
                out[list(numbers)] = together
        self._broken = False
        return out[:, 0].T

    def last(self, bars: int) -> Panel:
        """The newest bars, as many as are asked for and held."""
        return self._bars.last(bars)

    @property
    def time(self) -> pd.Timestamp:
        """The last decision."""
        return pd.Timestamp(self._bars.newest, unit="ns", tz="UTC")

    def _one_by_one(self, numbers: Sequence[int], panel: Panel, out: np.ndarray) -> None:
        memo, first, side, states = Memo(), panel.shape[0] - 1, self._side, self._states
        for f in numbers:
            column = self.planned[f]
            state = states.get(column.spec.name) if column.spec.state else None
            out[f] = of_view(column, _StepView(panel, side, column, first, state, memo))

    def _framed(self, panel: Panel, values: np.ndarray, info: Mapping[str, SeriesInfo]) -> FeatureFrame:
        """The frame of values (T, A, F), with what the series declare, which seldom changes."""
        if self._specs[0] is not info:
            self._specs = (info, tuple(as_declared(column.spec, info) for column in self.planned))
        return FeatureFrame(panel.times, panel.symbols, values, self.names, panel.decidable, self._specs[1])

    def _check(self, bar: Panel, news: SideTable | None) -> None:
        self._refuse_broken()
        instants = utc(bar.times).asi8
        if len(instants) != 1 or instants[0] <= self._bars.newest:
            raise DataError(
                f"{len(instants)} bars, the first at {bar.times[0] if len(instants) else 'no time'}",
                where=self._where,
                expected=f"one bar after {self.time}",
            )
        for name in ("symbols", "frequency", "calendar", "bases"):
            given, held = getattr(bar, name), getattr(self._bars.like, name)
            if given != held:
                raise DataError(f"{name} {given}", where=self._where, expected=str(held))
        if news is not None and np.isnan(news.value).any():
            raise DataError("side data without a value", where=self._where, expected="no row where there is none")
        known = utc(news.knowledge_time).asi8 if news is not None and len(news) else instants
        if known.max() > instants[0]:
            raise DataError(
                f"side data known at {from_ns(known).max()}",
                where=self._where,
                expected=f"nothing that becomes known after the bar, {bar.times[0]}",
                next_step="Pass it with the first bar after that.",
            )
        if known.min() <= self._bars.newest:
            raise DataError(
                f"side data known at {from_ns(known).min()}",
                where=self._where,
                expected=f"what became known after the last bar, {self.time}",
                next_step="Pass each row once; what comes late is known from the moment at which it came.",
            )

    def _refuse_broken(self) -> None:
        if self._broken:
            raise DataError(
                "a step was left half done", where=self._where, expected="a new one, from a history or a stored state"
            )

    def state(self) -> dict[str, np.ndarray]:
        """All that is held, as arrays without objects: what ``numpy.savez`` stores and :meth:`restore` reads."""
        self._refuse_broken()
        like = self._bars.like
        told = {
            "columns": _needs(self.planned),
            "panel": {name: getattr(like, name) for name in ("symbols", "frequency", "calendar", "bases")},
            "periods_per_year": like.periods_per_year,
            "keep": self._bars.capacity,
            "datasets": [asdict(info) for info in like.datasets],
            "series": [{**asdict(info), "max_age": info.max_age.value} for info in self._side.info.values()],
        }
        stored = {f"bars.{name}": values for name, values in self._bars.arrays().items()}
        stored |= {f"state.{f}": self._states[name] for f, name in enumerate(self.names) if name in self._states}
        for k, rows in enumerate(self._side.held()):
            stored |= {f"side.{k}.{name}": values for name, values in _stored(rows).items()}
        return {"told": np.array(json.dumps(told)), **{name: values.copy() for name, values in stored.items()}}

    @classmethod
    def restore(
        cls, planned: Sequence[PlannedFeature], state: Mapping[str, np.ndarray], *, where: str = "stream"
    ) -> Stream:
        """A stream that goes on where the one whose :meth:`state` this is had come.

        Raises
        ------
        DataError
            The state is that of other columns.
        """
        told = json.loads(str(state["told"]))
        stream = cls.__new__(cls)
        stream._prepare(planned, where)
        stored, asked = told["columns"], _needs(planned)
        if stored != asked:
            other = sorted({str(one[0]) for one in [*stored, *asked] if (one in stored) != (one in asked)})
            other = other or ["another order"]
            raise DataError(
                f"the state is that of other columns ({other[0]})", where=where, expected=", ".join(stream.names)
            )
        same = {name: tuple(v) if isinstance(v, list) else v for name, v in told["panel"].items()}
        datasets = tuple(DatasetInfo(**info) for info in told["datasets"])
        held = panel_of(_under("bars.", state), **same, datasets=datasets, periods_per_year=told["periods_per_year"])
        stream._bars = RecentBars(held, told["keep"])
        stream._states = {
            name: np.array(state[f"state.{f}"]) for f, name in enumerate(stream.names) if f"state.{f}" in state
        }
        infos = [SeriesInfo(**{**info, "max_age": pd.Timedelta(info["max_age"], "ns")}) for info in told["series"]]
        known = Rows.none().table({info.series: info for info in infos})
        stream._side = SideMemory(needs_of(stream.planned), known, stream._bars.since)
        numbers = dict.fromkeys(name.split(".")[1] for name in state if name.startswith("side."))
        stream._side.take([_rows_of(_under(f"side.{k}.", state)) for k in numbers])
        stream.frame = stream._framed(
            held.rows(0, 0), np.empty((0, len(held.symbols), len(stream.names)), np.float32), known.info
        )
        return stream


class _StepView(View):
    """The view of one column in a step: what is made of side data is kept until there is other side data."""

    def __init__(
        self,
        panel: Panel,
        memory: SideMemory,
        column: PlannedFeature,
        first: int,
        state: np.ndarray | None,
        memo: Memo,
    ) -> None:
        spec = column.spec  # what View.__init__ sets, without a call for each column of each bar
        self._panel, self._side, self._fields, self._series = panel, memory.nothing, spec.fields, spec.series
        self._where, self._first, self._state, self._memo, self._memory = spec.name, first, state, memo, memory
        self._reads = None

    def __getitem__(self, field: str) -> np.ndarray:
        if self._reads is None and field in (self._fields or ()) and field in self._panel.fields:
            return self._panel.fields[field]  # read-only, as `RecentBars` hands it out
        return super().__getitem__(field)

    def known(self, series: str, n: int = 1, *, symbol: str = "", vintage: Vintage = "latest") -> Known:
        key = ("known", series, n, symbol, vintage)
        return self._kept(series, key, lambda: View.known(self, series, n, symbol=symbol, vintage=vintage))

    def revised(self, series: str) -> Known:
        return self._kept(series, ("revised", series), lambda: View.revised(self, series))

    def by_symbol(
        self,
        series: str,
        function: Callable[[np.ndarray], np.ndarray] | None = None,
        n: int = 1,
        *,
        vintage: Vintage = "latest",
    ) -> np.ndarray:
        known = self._known_by_symbol(series, n, vintage)
        newest = known.last(1)[:, 0]
        if function is not None:
            newest = known.each(lambda past: self._one_each(function(past), series, len(past)), n)
        return known.at(self.instants, newest, self._side.info[series].max_age)

    def age_by_symbol(self, series: str) -> np.ndarray:
        return self._known_by_symbol(series, 1, "latest").age(self.instants, self._side.info[series].max_age)

    def _known_by_symbol(self, series: str, n: int, vintage: Vintage) -> KnownBySymbol:
        """For all symbols together: there may be hundreds, and in a step each of them is asked for a few rows."""
        self._askable(series, n)
        table, filed, widest = self._table(series), self._filed(series), self._memory.widest
        n = widest[series, vintage] = max(n, widest.get((series, vintage), 1))

        def make() -> KnownBySymbol:
            return KnownBySymbol(Releases.from_table(table, series, names_in(filed)), filed, n, vintage)

        return self._kept(series, ("by symbol", series, n, vintage), make)

    def _table(self, series: str) -> SideTable:
        return self._memory.table(series)

    def _kept(self, series: str, key: Hashable, make: Callable[[], Made]) -> Made:
        self._available(series)
        derived = self._table(series).derived
        if key not in derived:
            derived[key] = make()
        kept: Made = derived[key]
        return kept


def _groups(planned: Sequence[PlannedFeature]) -> list[tuple[int, Kernel | None, tuple[int, ...]]]:
    """Columns that are computed on the same bars: how many of these, the kernel if there is one, and which columns."""
    groups: list[tuple[int, Kernel | None, tuple[int, ...]]] = []
    alone: dict[int, list[int]] = {}
    for kernel, numbers in parts_of(planned):
        warmup = max(2, *(planned[f].spec.warmup for f in numbers))  # a recursion may look at the bar before
        if kernel is None:
            alone.setdefault(max(warmup - 1, SHORT - 1).bit_length(), []).extend(numbers)
        else:
            groups.append((warmup, kernel, numbers))
    for some in alone.values():
        groups.append((max(2, *(planned[f].spec.warmup for f in some)), None, tuple(some)))
    return groups


def _needs(planned: Sequence[PlannedFeature]) -> list[list[Any]]:
    """What decides which data a state holds for each column."""
    specs = [column.spec for column in planned]
    memories = [str(column.meta.memory_for(column.spec.params)) for column in planned]
    return [
        [spec.name, column.dist, spec.warmup, spec.state, list(spec.fields), list(spec.series), memory]
        for column, spec, memory in zip(planned, specs, memories, strict=True)
    ]


def _stored(rows: Rows) -> dict[str, np.ndarray]:
    stored = {"series": np.array(rows.series), "event": rows.event, "known": rows.known, "value": rows.value}
    stored["symbol"] = np.array(rows.symbol.tolist(), dtype=str)
    if rows.text is not None:
        stored["text"] = np.array(rows.text.tolist(), dtype=str)
    return stored


def _rows_of(stored: Mapping[str, np.ndarray]) -> Rows:
    text = stored["text"].astype(object) if "text" in stored else None
    series, symbol = str(stored["series"]), stored["symbol"].astype(object)
    return Rows(series, stored["event"], stored["known"], symbol, stored["value"], text)


def _under(prefix: str, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}
