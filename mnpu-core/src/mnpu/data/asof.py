"""The point-in-time join: the last value known at a decision, for each symbol or for the market.

One rule, whatever the form. At instant t a row is known if its ``knowledge_time`` is at or before t: what becomes known
at the very instant of a decision is visible to it. Of the periods known at t the newest counts (largest
``event_time``), in its latest vintage known at t or, on request, in its first; so a late revision of an old period
never displaces a newer one. Age is counted from the end of that period, and a value older than ``max_age`` is void.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from mnpu.data import asof_loops
from mnpu.data.clock import utc
from mnpu.data.compiled import compiled
from mnpu.errors import DataError
from mnpu.types import SideTable

__all__ = ["NEVER", "Joined", "Releases", "Vintage", "Windows", "as_of", "join_panel", "join_rows", "windows"]

Vintage = Literal["latest", "first"]

NEVER = np.iinfo("int64").min  #: Stands for "no instant", as in pandas' NaT.
_DAY_NS = 86_400e9
#: Below this many cells a loop is quicker by the interpreter than the import of a compiler.
_FEW_CELLS = 5_000


@dataclass(frozen=True)
class Releases:
    """What became known of one quantity, row by row, in the order of ``knowledge_time``.

    Attributes
    ----------
    code : int32 (N,)
        Whose value it is: an index below ``n_codes``.
    event_time, knowledge_time : int64 (N,)
        Nanoseconds since 1970, UTC.
    value : float64 (N,)
        Never NaN: a missing value is a missing row.
    n_codes : int
    """

    code: np.ndarray
    event_time: np.ndarray
    knowledge_time: np.ndarray
    value: np.ndarray
    n_codes: int

    @classmethod
    def of(cls, *, event_time: Any, knowledge_time: Any, value: Any, code: Any = None, n_codes: int = 1) -> Releases:
        """Rows in any order; of rows with equal code and instants the last one is the latest.

        Rows with a NaN value are left out. Without ``code`` all are of code 0.

        Raises
        ------
        DataError
            If the columns differ in length, or a code is not in ``0 .. n_codes - 1``.
        """
        known, event = _nanoseconds(knowledge_time), _nanoseconds(event_time)
        cells = np.ascontiguousarray(value, dtype="float64")
        codes = np.zeros(len(known), dtype="int32") if code is None else np.ascontiguousarray(code, dtype="int32")
        if len({len(known), len(event), len(cells), len(codes)}) > 1:
            raise DataError(
                f"columns of {len(codes)}, {len(event)}, {len(known)} and {len(cells)} rows",
                where="releases",
                expected="code, event_time, knowledge_time and value of one length",
            )
        _check_codes(codes, 0, n_codes, "releases")
        if np.isnan(cells).any():
            kept = ~np.isnan(cells)
            codes, event, known, cells = codes[kept], event[kept], known[kept], cells[kept]
        if (known[1:] < known[:-1]).any():
            order = np.argsort(known, kind="stable")
            codes, event, known, cells = codes[order], event[order], known[order], cells[order]
        return cls(codes, event, known, cells, n_codes)

    @classmethod
    def from_table(cls, table: SideTable, series: str, symbols: Sequence[str] | None = None) -> Releases:
        """The rows of a series: those of each of ``symbols``, coded by their place, or the market-wide ones.

        Rows of other symbols are left out. A name may be given more than once.
        """
        _check_series(table, series)
        names = ("",) if symbols is None else tuple(symbols)
        unique = {name: code for code, name in enumerate(dict.fromkeys(names))}
        found = [table.find(series, name) for name in unique]  # not by a look at everybody's
        rows = np.concatenate(found) if found else np.empty(0, dtype=np.intp)
        codes = np.repeat(np.arange(len(unique), dtype="int32"), [len(some) for some in found])
        order = np.argsort(rows, kind="stable")  # as they stand in the table: of equal rows the last one is the latest
        rows, codes = rows[order], codes[order]
        releases = cls.of(
            event_time=table.event_time[rows],
            knowledge_time=table.knowledge_time[rows],
            value=np.asarray(table.value, dtype="float64")[rows],
            code=codes,
            n_codes=len(unique),
        )
        return releases if len(unique) == len(names) else releases._repeated([unique[name] for name in names])

    def _repeated(self, wanted: Sequence[int]) -> Releases:
        """One code for each of ``wanted``, which are codes of this one and may repeat."""
        parts = [np.flatnonzero(self.code == code) for code in wanted]
        rows = np.concatenate(parts)
        codes = np.repeat(np.arange(len(wanted), dtype="int32"), [len(part) for part in parts])
        return Releases.of(
            event_time=self.event_time[rows],
            knowledge_time=self.knowledge_time[rows],
            value=self.value[rows],
            code=codes,
            n_codes=len(wanted),
        )

    def __len__(self) -> int:
        return len(self.value)


@dataclass(frozen=True)
class Joined:
    """The value known at each decision, and the row of the release that said it; of one shape, (N,) or (T, A).

    Attributes
    ----------
    value : float64
        NaN where nothing valid was known.
    row : int32
        Index into ``releases``; -1 where nothing valid was known.
    releases : Releases
    """

    value: np.ndarray
    row: np.ndarray
    releases: Releases

    @property
    def event_time(self) -> np.ndarray:
        """End of the period that each value describes, int64 nanoseconds; ``NEVER`` where there is none."""
        return self._of(self.releases.event_time)

    @property
    def knowledge_time(self) -> np.ndarray:
        """When each value became known, int64 nanoseconds; ``NEVER`` where there is none."""
        return self._of(self.releases.knowledge_time)

    def age(self, decisions: Any) -> np.ndarray:
        """Days from the end of the period to each decision, float64; NaN where nothing valid was known.

        ``decisions`` are the instants that were joined: (N,), or (T,) for a panel.
        """
        at = _nanoseconds(decisions)
        at = at[:, None] if self.value.ndim == 2 else at
        event = self.event_time
        known = event != NEVER
        return np.where(known, (at - np.where(known, event, 0)) / _DAY_NS, np.nan)

    def _of(self, instants: np.ndarray) -> np.ndarray:
        return np.append(instants, NEVER)[self.row]  # row -1 is the last one


def join_panel(
    decisions: Any, releases: Releases, *, max_age: pd.Timedelta | None = None, vintage: Vintage = "latest"
) -> Joined:
    """The last value known at each decision for every code: (T,) decisions to (T, A), one pass over the releases.

    Parameters
    ----------
    decisions : DatetimeIndex or int64 nanoseconds (T,)
        In any order; increasing ones are quickest.
    releases : Releases
        Of A codes.
    max_age : Timedelta, optional
        A value whose period ended earlier than this before the decision is void.
    vintage : {"latest", "first"}
        Of the newest period: as last revised, or as first printed.
    """
    at = _nanoseconds(decisions)
    if (at[1:] < at[:-1]).any():
        order = np.argsort(at, kind="stable")
        ordered = join_panel(at[order], releases, max_age=max_age, vintage=vintage)
        back = np.argsort(order, kind="stable")
        return Joined(ordered.value[back], ordered.row[back], releases)
    value = np.empty((len(at), releases.n_codes))
    row = np.empty(value.shape, dtype="int32")
    compiled(asof_loops.panel)(at, *_columns(releases), _first(vintage), _limit(max_age), value, row)
    return Joined(value, row, releases)


def join_rows(
    times: Any, codes: Any, releases: Releases, *, max_age: pd.Timedelta | None = None, vintage: Vintage = "latest"
) -> Joined:
    """The last value known at each row's own time for its own code, (N,); like ``pandas.merge_asof(by=)``.

    Rows may come in any order. In order of time, or of code and time, they are joined in one pass; otherwise they are
    sorted first.

    Parameters
    ----------
    times : DatetimeIndex or int64 nanoseconds (N,)
    codes : int (N,)
        Below ``releases.n_codes``; -1 for a row that has none, which gets NaN.
    releases : Releases
    max_age : Timedelta, optional
        A value whose period ended earlier than this before the row's time is void.
    vintage : {"latest", "first"}
        Of the newest period: as last revised, or as first printed.
    """
    at, who = _nanoseconds(times), np.ascontiguousarray(codes, dtype="int32")
    if len(at) != len(who):
        raise DataError(f"{len(at)} times and {len(who)} codes", where="join", expected="as many codes as times")
    _check_codes(who, -1, releases.n_codes, "join")
    value, row = np.empty(len(at)), np.empty(len(at), dtype="int32")
    rule = (_first(vintage), _limit(max_age))
    arguments = (at, who, *_columns(releases), releases.n_codes, *rule, value, row)
    if compiled(asof_loops.rows_by_time)(*arguments) or compiled(asof_loops.rows_by_code)(*arguments):
        return Joined(value, row, releases)
    order = np.argsort(at, kind="stable")
    ordered = join_rows(at[order], who[order], releases, max_age=max_age, vintage=vintage)
    value[order], row[order] = ordered.value, ordered.row
    return Joined(value, row, releases)


@dataclass(frozen=True)
class Windows:
    """The last n periods of each code as known after each of its releases, by code and time: K rows.

    Attributes
    ----------
    code : int32 (K,)
    knowledge_time : int64 (K,)
        Increasing within a code: what becomes known together is one release.
    event_time : int64 (K,)
        End of the newest period known.
    values : float64 (K, n)
        Oldest period first; NaN where fewer were known.
    n_codes : int
    """

    code: np.ndarray
    knowledge_time: np.ndarray
    event_time: np.ndarray
    values: np.ndarray
    n_codes: int

    def join(self, decisions: Any, values: Any = None, *, max_age: pd.Timedelta | None = None) -> Joined:
        """Bring one number for each release, (K,), to (T,) decisions for every code: (T, A).

        ``values`` are the newest ones by default; computed ones may be NaN, which is then what was known.
        """
        cells = self.values[:, -1] if values is None else np.asarray(values, dtype="float64")
        order = np.argsort(self.knowledge_time, kind="stable")
        rows = (self.code[order], self.event_time[order], self.knowledge_time[order])
        return join_panel(decisions, Releases(*rows, np.ascontiguousarray(cells[order]), self.n_codes), max_age=max_age)


def windows(releases: Releases, n: int = 1, *, vintage: Vintage = "latest") -> Windows:
    """The last ``n`` periods of each code after each of its releases, each period in the ``vintage`` known then.

    With ``vintage="first"`` a release that only revises is none.
    """
    if n < 1:
        raise DataError(f"a window of {n} periods", where="side table", expected="at least one")
    order = np.lexsort((releases.event_time, releases.knowledge_time, releases.code))
    if _first(vintage):
        place, _ = _periods(releases.code[order], releases.event_time[order])
        order = order[np.sort(np.unique(place, return_index=True)[1])]
    code, known, event = releases.code[order], releases.knowledge_time[order], releases.event_time[order]
    last = np.ones(len(order), dtype=bool)  # the last row of each release
    last[:-1] = (code[1:] != code[:-1]) | (known[1:] != known[:-1])
    place, periods = _periods(code, event)
    values = np.full((int(last.sum()), n), np.nan)
    newest = np.empty(len(values), dtype="int64")
    loop = asof_loops.replay if values.size < _FEW_CELLS else compiled(asof_loops.replay)
    loop(code, place, last, periods, releases.value[order], values, newest)
    return Windows(code[last], known[last], newest, values, releases.n_codes)


def as_of(
    decision_times: pd.DatetimeIndex,
    knowledge_time: pd.DatetimeIndex,
    values: np.ndarray,
    event_time: pd.DatetimeIndex,
    max_age: pd.Timedelta,
) -> tuple[np.ndarray, np.ndarray]:
    """The value known at each decision, and its age, of one series whose releases each say the newest period.

    This is :func:`join_panel` for one code without a compiler.

    Parameters
    ----------
    decision_times : DatetimeIndex (T,)
    knowledge_time : DatetimeIndex (K,)
        Increasing.
    values : float64 (K,)
    event_time : DatetimeIndex (K,)
        End of the period that each value describes.
    max_age : Timedelta

    Returns
    -------
    value, age_days : float64 (T,)
        NaN where nothing valid was known.
    """
    decisions, known, event = utc(decision_times).asi8, utc(knowledge_time).asi8, utc(event_time).asi8
    value, age = np.full(len(decisions), np.nan), np.full(len(decisions), np.nan)
    row = np.searchsorted(known, decisions, side="right") - 1
    found = row >= 0
    elapsed = decisions[found] - event[row[found]]
    fresh = elapsed <= max_age.value
    value[found] = np.where(fresh, np.asarray(values, dtype="float64")[row[found]], np.nan)
    age[found] = np.where(fresh, elapsed / _DAY_NS, np.nan)
    return value, age


def _columns(releases: Releases) -> tuple[np.ndarray, ...]:
    return releases.code, releases.event_time, releases.knowledge_time, releases.value


def _first(vintage: Vintage) -> bool:
    if vintage not in ("latest", "first"):
        raise DataError(f"no vintage {vintage!r}", where="join", expected="latest or first")
    return vintage == "first"


def _limit(max_age: pd.Timedelta | None) -> int:
    return int(np.iinfo("int64").max) if max_age is None else int(pd.Timedelta(max_age).as_unit("ns").value)


def _nanoseconds(times: Any) -> np.ndarray:
    """Instants as int64 nanoseconds; what is no integer array must have a zone."""
    if isinstance(times, np.ndarray) and times.dtype.kind in "iu":
        return np.ascontiguousarray(times, dtype="int64")
    return np.ascontiguousarray(utc(times).asi8)


def _check_codes(codes: np.ndarray, low: int, n_codes: int, where: str) -> None:
    if len(codes) and (int(codes.min()) < low or int(codes.max()) >= n_codes):
        raise DataError(
            f"codes from {codes.min()} to {codes.max()}", where=where, expected=f"codes from {low} to {n_codes - 1}"
        )


def _check_series(table: SideTable, series: str) -> None:
    if series not in table.info:
        raise DataError(f"no series {series!r}", where="side table", expected=f"one of {', '.join(table.info)}")


def _periods(code: np.ndarray, event: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The place of each row's period among all periods by code and time, (N,), and the end of each period, (P,)."""
    order = np.lexsort((event, code))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(code[order]) != 0) | (np.diff(event[order]) != 0)
    place = np.empty(len(order), dtype="int64")
    place[order] = np.cumsum(new) - 1
    return place, event[order][new]
