"""The newest bars in arrays that are written row by row, so that a step costs the same after any history."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from mnpu.data.clock import from_ns, utc
from mnpu.errors import DataError
from mnpu.types import Panel

__all__ = ["RecentBars", "RecentPanel", "panel_of"]

#: Arrays of a panel beside its fields, by the name that they are stored under.
TIMES, SESSIONS, TRADABLE, MEMBER = "times", "sessions", "tradable", "member"
FIELD = "field."


class _Instants:
    """Nanoseconds that become an index of times when somebody asks for it: most features never do."""

    def __get__(self, panel: Panel | None, owner: type) -> Any:
        if panel is None:
            return self
        held = panel.__dict__["_instants"]
        if isinstance(held, np.ndarray):
            held = panel.__dict__["_instants"] = from_ns(held)
        return held

    def __set__(self, panel: Panel, instants: Any) -> None:
        panel.__dict__["_instants"] = instants


class RecentPanel(Panel):
    """A panel whose ``times`` were given as nanoseconds."""

    times = _Instants()  # type: ignore[assignment]

    @property
    def instants(self) -> np.ndarray:
        """The same in nanoseconds since 1970, (T,)."""
        held = self.__dict__["_instants"]
        return held if isinstance(held, np.ndarray) else np.asarray(held.asi8)

    @cached_property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        """``(T, A)``."""
        return self.tradable.shape[0], len(self.symbols)


class RecentBars:
    """The last bars of a panel, ``capacity`` of them or as many as there were, and room for as many again.

    Rows that were handed out are never written again: an array that is full is left to whoever still looks at it, and
    its newest rows are copied to a fresh one, once in ``capacity`` steps.

    Parameters
    ----------
    history : Panel
    capacity : int
        At least 1.
    """

    def __init__(self, history: Panel, capacity: int) -> None:
        rows = len(history.times)
        held = history.rows(max(rows - capacity, 0), rows)
        self._like, self._capacity = held, capacity
        self._arrays = {name: self._roomy(values) for name, values in _arrays_of(held).items()}
        self._stop = len(held.times)

    def __len__(self) -> int:
        return min(self._stop, self._capacity)

    @property
    def capacity(self) -> int:
        """Bars that are kept at least."""
        return self._capacity

    @property
    def like(self) -> Panel:
        """A panel with the same symbols, datasets and calendar."""
        return self._like

    @property
    def newest(self) -> int:
        """The last decision time, nanoseconds."""
        return int(self._arrays[TIMES][self._stop - 1])

    def since(self, bars: int) -> int:
        """The decision time ``bars - 1`` before the last one, nanoseconds, or the first that is held."""
        return int(self._arrays[TIMES][max(self._stop - bars, 0)])

    def append(self, bar: Panel) -> None:
        """Add a panel of one bar."""
        lacking = [name for name in self._like.fields if name not in bar.fields]
        if lacking:
            raise DataError(
                f"the bar has no field {lacking[0]!r}", where="stream", expected=", ".join(self._like.fields)
            )
        if self._stop == len(self._arrays[TIMES]):
            self._arrays = {name: self._roomy(values[-self._capacity :]) for name, values in self._arrays.items()}
            self._stop = self._capacity
        t, arrays = self._stop, self._arrays
        for name in self._like.fields:
            arrays[FIELD + name][t] = bar.fields[name][0]
        arrays[TRADABLE][t] = bar.tradable[0]
        arrays[TIMES][t] = utc(bar.times).asi8[0]
        arrays[SESSIONS][t] = bar.sessions[0]
        if MEMBER in arrays:
            arrays[MEMBER][t] = True if bar.member is None else bar.member[0]
        self._stop = t + 1

    def last(self, bars: int) -> Panel:
        """The newest ``bars`` bars, or as many as there are."""
        stop = self._stop
        start = max(stop - min(bars, self._capacity), 0)
        like, arrays = self._like, self._arrays
        return RecentPanel(
            times=arrays[TIMES][start:stop],  # type: ignore[arg-type]  # becomes an index when it is asked for
            sessions=arrays[SESSIONS][start:stop],
            symbols=like.symbols,
            fields={name: _read_only(arrays[FIELD + name][start:stop]) for name in like.fields},
            tradable=arrays[TRADABLE][start:stop],
            datasets=like.datasets,
            frequency=like.frequency,
            calendar=like.calendar,
            periods_per_year=like.periods_per_year,
            bases=like.bases,
            member=arrays[MEMBER][start:stop] if MEMBER in arrays else None,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that is held, by name, to be stored."""
        return _arrays_of(self.last(self._capacity))

    def _roomy(self, values: np.ndarray) -> np.ndarray:
        """The rows at the head of an array for twice as many as are kept."""
        room = np.empty((2 * self._capacity, *values.shape[1:]), values.dtype)
        room[: len(values)] = values
        return room


def _read_only(rows: np.ndarray) -> np.ndarray:
    rows.flags.writeable = False
    return rows


def _arrays_of(panel: Panel) -> dict[str, np.ndarray]:
    arrays = {FIELD + name: np.asarray(values, dtype=float) for name, values in panel.fields.items()}
    arrays |= {TIMES: utc(panel.times).asi8, SESSIONS: panel.sessions.astype("datetime64[D]")}
    arrays[TRADABLE] = panel.tradable
    if panel.member is not None:
        arrays[MEMBER] = panel.member
    return arrays


def panel_of(arrays: Mapping[str, np.ndarray], **same: Any) -> Panel:
    """The panel that :meth:`RecentBars.arrays` stored; ``same`` is what is not in arrays, such as ``symbols``."""
    fields = {name.removeprefix(FIELD): values for name, values in arrays.items() if name.startswith(FIELD)}
    return Panel(
        times=from_ns(arrays[TIMES]),
        sessions=arrays[SESSIONS],
        fields=fields,
        tradable=arrays[TRADABLE],
        member=arrays.get(MEMBER),
        **same,
    )
