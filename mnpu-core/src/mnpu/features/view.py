"""What a feature may read: a panel and a side table as they were known, and nothing that was not declared."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mnpu.data.history import Known, as_of, known_windows
from mnpu.data.resample import resample
from mnpu.errors import ConfigError, DataError, PluginError
from mnpu.features.memo import Memo, Reads
from mnpu.features.revisions import revised_windows
from mnpu.features.schedules import since_last, until_next
from mnpu.features.texts import Texts, decayed_sums, window_sums
from mnpu.types import Panel, SideTable

if TYPE_CHECKING:
    from mnpu.features.coarse import CoarseView

__all__ = ["View", "Vintage"]

Vintage = Literal["latest", "first"]


class View:
    """What a feature may read: the declared fields and series of a panel and a side table.

    Parameters
    ----------
    panel : Panel
    side : SideTable
    fields, series : sequence of str, optional
        What the feature declared; anything is allowed where None, which is convenient in a notebook.
    where : str
        Name of the feature, for messages.
    first : int, default=0
        The first row whose value is wanted.
    state : float64 (S, A), optional
        What the feature carries from bar to bar; NaN where nothing was carried yet.
    memo : Memo, optional
        Holds what several features share.
    """

    def __init__(
        self,
        panel: Panel,
        side: SideTable,
        *,
        fields: Sequence[str] | None = None,
        series: Sequence[str] | None = None,
        where: str = "view",
        first: int = 0,
        state: np.ndarray | None = None,
        memo: Memo | None = None,
    ) -> None:
        self._panel, self._side, self._fields, self._series, self._where = panel, side, fields, series, where
        self._first, self._state, self._memo = first, state, Memo() if memo is None else memo
        self._reads: Reads | None = None  # noted while something is computed for several features

    @property
    def first(self) -> int:
        """The first row whose value is wanted: 0 over a whole panel, the last row in a step of an agent.

        A feature may leave earlier rows at whatever they are, and one that carries a state has seen them already.
        """
        self._alone("first")
        return self._first

    @property
    def state(self) -> np.ndarray:
        """What the feature carries from bar to bar, float64 (S, A), to be written in place; NaN before the first bar.

        It stands after row ``first - 1``; the feature brings it on to the last row.
        """
        self._alone("state")
        if self._state is None:
            raise PluginError(
                "reads a state, which it did not declare", where=self._where, expected="@feature(state=...)"
            )
        return self._state

    def once(self, function: Callable[..., np.ndarray], *args: Any) -> np.ndarray:
        """``function(view, *args)``, read-only, computed once for all features that ask for it on the same data.

        For what features of a family share, such as logarithms or true ranges. Whoever asks must have declared all
        that the function reads, be it computed already or not. The function must not use ``first`` nor ``state``;
        ``args`` are hashable.
        """

        def make() -> tuple[np.ndarray, Reads]:
            view, reads = copy.copy(self), Reads()
            view._reads = reads
            return _read_only(function(view, *args)), reads

        kinds = tuple(type(arg) for arg in args)  # 1, 1.0 and True are equal as keys
        values, read = self._memo.get((function, args, kinds), make)
        for name, kind in read:
            self._declared(name, self._fields if kind == "field" else self._series, kind)
        return values

    def _alone(self, what: str) -> None:
        if self._reads is not None:
            raise PluginError(
                f"reads view.{what} in what is computed once for several features",
                where=self._where,
                expected="a function of fields and series alone",
                next_step="Call the function without view.once.",
            )

    @property
    def times(self) -> pd.DatetimeIndex:
        """Decision times (T,), UTC."""
        return self._panel.times

    @property
    def instants(self) -> np.ndarray:
        """The same in nanoseconds since 1970, (T,) int64."""
        return _read_only(self._panel.instants)

    @property
    def sessions(self) -> np.ndarray:
        """Trading day of each decision, (T,) datetime64[D]."""
        return _read_only(self._panel.sessions)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols (A,)."""
        return self._panel.symbols

    @property
    def tradable(self) -> np.ndarray:
        """Where a symbol is listed and has a bar, boolean (T, A)."""
        return _read_only(self._panel.tradable)

    @property
    def decidable(self) -> np.ndarray:
        """Where a symbol is tradable and known to belong to the universe, boolean (T, A).

        Whoever compares symbols counts these. A panel also holds those that join later, and that they will is the
        future: a mean over all that have a bar would know it.
        """
        return _read_only(self._panel.decidable)

    @property
    def shape(self) -> tuple[int, int]:
        """``(T, A)``."""
        return self._panel.shape

    @property
    def frequency(self) -> str:
        """Length of the bars, such as ``1d``."""
        return self._panel.frequency

    @property
    def calendar(self) -> str:
        """Name of the calendar of its sessions, such as ``XNYS``."""
        return self._panel.calendar

    @property
    def periods_per_year(self) -> float:
        """Bars in a year, for annualisation."""
        return self._panel.periods_per_year

    def __getitem__(self, field: str) -> np.ndarray:
        """The panel field, float64 (T, A), read-only; NaN where the symbol has no bar."""
        self._declared(field, self._fields, "field")
        values = self._panel.fields.get(field)
        if values is None:
            raise DataError(
                f"the panel has no field {field!r}",
                where=self._where,
                expected=f"one of {', '.join(sorted(self._panel.fields))}",
            )
        return _read_only(values)

    def coarser(self, frequency: str) -> CoarseView:
        """The same symbols in longer bars, each shown from its close on, for features of several time frames.

        Its fields are the declared ones, its rows the K bars that are finished. See ``CoarseView.at_decisions``. The
        ``warmup`` of a feature that looks back over n longer bars covers n + 1 of them, in bars of the panel: the
        first one is left out where the data begin in the middle of it.
        """
        from mnpu.features.coarse import CoarseView  # it is a view itself

        told = self._panel.fields if self._fields is None else self._fields
        fields = {name: self._panel.fields[name] for name in told if name in self._panel.fields}
        panel = resample(replace(self._panel, fields=fields), frequency)
        made = CoarseView(self, panel, self._side, fields=self._fields, series=self._series, where=self._where)
        made._reads = self._reads
        return made

    def known(self, series: str, n: int = 1, *, symbol: str = "", vintage: Vintage = "latest") -> Known:
        """The last ``n`` observations of a series, as known at each of its K publications: ``values`` (K, n).

        Oldest first, read-only, NaN where fewer than n were known. Revisions count from their own publication on;
        ``vintage="first"`` keeps the first print of each period. ``symbol`` asks for the rows that are filed under a
        symbol, K = 0 where there are none; by default those about the whole market.
        """
        self._askable(series, n)
        known = known_windows(self._table(series), series, n, symbol=symbol, vintage=vintage)
        return replace(known, values=_read_only(known.values))

    def by_symbol(
        self,
        series: str,
        function: Callable[[np.ndarray], np.ndarray] | None = None,
        n: int = 1,
        *,
        vintage: Vintage = "latest",
    ) -> np.ndarray:
        """One number for each decision and symbol, (T, A), from the rows that are filed under each symbol.

        Parameters
        ----------
        series : str
        function : callable, optional
            Takes what was known at each publication, (K, n), and returns one number for each, (K,). By default the
            newest observation.
        n : int, default=1
            Observations that it is given, oldest first; NaN where fewer were known.
        vintage : {"latest", "first"}

        Returns
        -------
        values : float64 (T, A)
            NaN where a symbol has no row, before its first one and where the newest is older than ``max_age``.
        """
        values, brought = np.full(self.shape, np.nan), {}
        for a, name in enumerate(self._filed(series)):
            if name and name not in brought:
                known = self.known(series, n, symbol=name, vintage=vintage)
                newest = known.values[:, -1] if function is None else function(known.values)
                brought[name] = self.at_decision(known, newest)
            if name:
                values[:, a] = brought[name]
        return values

    def filed(self, series: str) -> tuple[str, ...]:
        """The name under which rows of a series about each symbol are filed, (A,): its own, else its base, else ``""``.

        For :meth:`known`, where a feature needs more of each symbol's publications than their values.
        """
        self._available(series)
        return tuple(self._filed(series))

    def age(self, series: str, *, symbol: str = "") -> np.ndarray:
        """Days from the end of the newest known period to each decision, (T,); NaN where nothing valid was known."""
        known = self.known(series, symbol=symbol)
        max_age = self._side.info[series].max_age
        return as_of(self.times, known.knowledge_time, known.values[:, -1], known.event_time, max_age)[1]

    def age_by_symbol(self, series: str) -> np.ndarray:
        """The same for each symbol, (T, A)."""
        ages = [
            self.age(series, symbol=name) if name else np.full(self.shape[0], np.nan) for name in self._filed(series)
        ]
        return np.stack(ages, axis=1)

    def until_next(self, series: str) -> np.ndarray:
        """Days from each decision to the next event whose date was known by then, (T,); NaN where none was.

        An event that was called off or moved counts under its old date until that became known.
        """
        self._available(series)
        return until_next(self._table(series), series, self.times)

    def since_last(self, series: str) -> np.ndarray:
        """Days from the last event that had come to each decision, (T,); NaN before the first one.

        What had been called off has not come.
        """
        self._available(series)
        return since_last(self._table(series), series, self.times)

    def texts(self, series: str) -> Texts:
        """The texts of a series with their symbols, in the order in which they became known.

        What is computed of one text may use this text and earlier ones. :meth:`decayed` and :meth:`within` bring it
        to decisions.
        """
        self._available(series)
        key, derived = ("texts", series, self._panel.symbols, self._panel.bases), self._table(series).derived
        if key not in derived:
            derived[key] = self._texts(series)
        texts: Texts = derived[key]
        return texts

    def _texts(self, series: str) -> Texts:
        side = self._table(series)
        rows = side.find(series)
        place = {name: a for a, name in reversed(list(enumerate(self._filed(series)))) if name}
        symbol = np.full(len(side), -1, dtype=np.intp)
        for name, a in place.items():
            symbol[side.find(series, name)] = a
        words = np.full(len(rows), "", dtype=object) if side.text is None else side.text[rows]
        columns = (_read_only(symbol[rows]), _read_only(words), _read_only(side.value[rows]))
        return Texts(series, side.knowledge_time[rows], *columns)

    def decayed(self, texts: Texts, values: np.ndarray, half_life: pd.Timedelta, *, market: bool = False) -> np.ndarray:
        """The sum of ``value * 0.5 ** (age / half_life)`` over the texts known at each decision.

        ``values`` (N,) is one number for each text, NaN for nothing. (T, A) by symbol, or (T,) over all texts where
        ``market``. A half-life of no length, or less, is refused. What is older than 50 half-lives adds nothing that
        a float could tell beside the rest, and alone it is 0: a ``memory`` of 50 half-lives is enough.
        """
        self._lasting(half_life, "half-life", texts.series)
        return self._summed(texts, values, market, partial(decayed_sums, half_life=half_life))

    def within(self, texts: Texts, values: np.ndarray, window: pd.Timedelta, *, market: bool = False) -> np.ndarray:
        """The sum of the values (N,) of the texts that became known after ``t - window`` and at or before t.

        (T, A) by symbol, or (T,) over all texts where ``market``. A window of no length, or less, is refused.
        """
        self._lasting(window, "window", texts.series)
        return self._summed(texts, values, market, partial(window_sums, window=window))

    def _lasting(self, length: pd.Timedelta, what: str, series: str) -> None:
        """PluginError unless a length of time is longer than nothing; NaT is not."""
        if not length > pd.Timedelta(0):
            raise PluginError(
                f"the {what} of {series} is {length}",
                where=self._where,
                expected="longer than nothing",
                next_step="Bound the parameter that it comes from, as in Annotated[float, Field(gt=0)].",
            )

    def _summed(self, texts: Texts, values: np.ndarray, market: bool, sums: Callable[..., np.ndarray]) -> np.ndarray:
        values = np.asarray(values, dtype=float)
        if values.shape != texts.value.shape:
            raise PluginError(
                f"values for {texts.series} have shape {values.shape}",
                where=self._where,
                expected=f"one number for each text, shape {texts.value.shape}",
            )
        if market:
            return np.asarray(sums(self.times, texts.whole, values, n_codes=1)[:, 0])
        found = sums(self.times, texts.groups, values, n_codes=self.shape[1])
        filed = self._filed(texts.series)
        first = {name: a for a, name in reversed(list(enumerate(filed)))}
        return found[:, [first[name] for name in filed]]  # symbols that share a base share their texts

    def _filed(self, series: str) -> list[str]:
        """The name under which rows about each symbol are filed: its own, else its base, else none."""
        bases = self._panel.bases or self._panel.symbols
        key, derived = ("filed", series, self._panel.symbols, bases), self._table(series).derived
        if key not in derived:
            derived[key] = [self._filed_for(series, *names) for names in zip(self._panel.symbols, bases, strict=True)]
        filed: list[str] = derived[key]
        return filed

    def _filed_for(self, series: str, symbol: str, base: str) -> str:
        if symbol == base:
            return symbol if len(self._table(series).find(series, symbol)) else ""
        found = [name for name in dict.fromkeys((symbol, base)) if name and len(self._table(series).find(series, name))]
        if len(found) > 1:  # which one is meant must not depend on what is filed later
            raise DataError(
                f"rows of series {series!r} are filed under {symbol} and under its base {base}",
                where=self._where,
                expected="one name for what is about a symbol",
                next_step=f"Import them under one name, or set the base of {symbol} to {symbol}.",
            )
        return found[0] if found else ""

    def revised(self, series: str) -> Known:
        """What each publication changed: ``values`` (K, 2), the period that was newest before it, before and after.

        NaN in the first row, before which nothing was known. A publication that left the period alone has two equal
        values.
        """
        self._available(series)
        known = revised_windows(self._table(series), series)
        return replace(known, values=_read_only(known.values))

    def at_decision(self, known: Known, values: np.ndarray, *, max_age: pd.Timedelta | None = None) -> np.ndarray:
        """Bring one number for each publication, (K,), to the decisions, (T,).

        A decision sees the newest publication whose ``knowledge_time`` is at or before it; NaN before the first one,
        and where the newest observation is older than ``max_age``, by default the one that the series declares.
        """
        values = self._one_each(values, known.series, len(known.knowledge_time))
        valid = self._side.info[known.series].max_age if max_age is None else max_age
        return as_of(self.times, known.knowledge_time, values, known.event_time, valid)[0]

    def _one_each(self, values: np.ndarray, series: str, publications: int) -> np.ndarray:
        values = np.asarray(values, dtype=float)
        if values.shape != (publications,):
            raise PluginError(
                f"values for {series} have shape {values.shape}",
                where=self._where,
                expected=f"one number for each publication, shape {(publications,)}",
            )
        return values

    def _table(self, series: str) -> SideTable:
        """Where the rows of a series are."""
        return self._side

    def _askable(self, series: str, n: int) -> None:
        self._available(series)
        if n < 1:
            raise PluginError(f"asks for {n} observations of {series}", where=self._where, expected="at least one")

    def _available(self, series: str) -> None:
        self._declared(series, self._series, "series")
        if series not in self._side.info:
            raise DataError(
                f"series {series!r} is not in the side table",
                where=self._where,
                expected=f"one of {', '.join(sorted(self._side.info)) or 'none, the table is empty'}",
                next_step="Run: mnpu data info.",
            )

    def _declared(self, name: str, declared: Sequence[str] | None, kind: str) -> None:
        if declared is None or name in declared:
            if self._reads is not None:
                self._reads.add((name, kind))
            return
        argument = "fields" if kind == "field" else "series"
        raise ConfigError(
            f"reads the {kind} {name!r}, which it did not declare",
            where=self._where,
            expected=f"one of {', '.join(declared) or 'none'}",
            next_step=f"Add it to @feature({argument}=...).",
        )


def _read_only(values: np.ndarray) -> np.ndarray:
    array = np.asarray(values)
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array
