"""What the values of a column depend on, as short texts: two columns with the same keys have the same values.

*Identity*: the function by its name, its parameters and what its note says of it; the code of the distribution that
brings it, of core and of the module that defines it; the libraries beneath, the machine, and the switches of the
numeric libraries. *Data*: the rows of the panel's clock, of what was tradable and of the fields that the column
declares, up to a row, so that the data of an older entry can be recognised as the beginning of newer data; and the
rows of the side series that it reads.

A key says what code *would* be loaded from the files as they are. Files that were changed after this process began
may differ from what it has loaded, so their columns have no key and are not kept. Nor have those of functions that
were added by hand, whose code nobody can name.
"""

from __future__ import annotations

import datetime as dt
import enum
import functools
import hashlib
import json
import os
import platform
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mnpu.errors import MnpuError, PluginError
from mnpu.features.plan import PlannedFeature
from mnpu.hashing import packages, version_of
from mnpu.plugins.loader import CORE
from mnpu.types import Panel, SideTable

__all__ = ["Data", "digest", "identities", "slot", "started"]

#: A file's time is read from a clock that ticks this coarsely, in seconds.
_TICK = 0.1
_LOADED = time.time()
#: The files as they were when first asked about: a clock that was set back hides a change.
_seen: dict[tuple[Path, ...], list[tuple[str, int, int]]] = {}
_LIBRARIES = ("numpy", "pandas", "numba", "llvmlite", "scipy")
_SWITCHES = ("NUMBA_", "NPY_", "OMP_", "OPENBLAS_", "MKL_")
_PLAIN = (bool, int, float, str, type(None), dt.timedelta, dt.date, np.generic)  # their text says all of them


def identities(planned: Sequence[PlannedFeature]) -> list[str | None]:
    """What decides each column beside the data; None where it cannot be told."""
    owners = {(column.dist, column.function.__module__.partition(".")[0]) for column in planned}
    code = {owner: None if owner[0] == "local" else _code(*owner) for owner in owners}
    return [_identity(column, code[column.dist, column.function.__module__.partition(".")[0]]) for column in planned]


def _identity(column: PlannedFeature, code: str | None) -> str | None:
    try:
        params = _text(column.spec.params)
    except TypeError:
        return None
    if code is None:
        return None
    spec = column.spec
    told = [
        spec.name,
        spec.source,
        spec.function,
        params,
        spec.fields,
        spec.series,
        spec.scope,
        spec.warmup,
        spec.state,
    ]
    where = [column.dist, column.function.__module__, column.function.__qualname__]
    return digest([told, where, spec.short_start, spec.kind, code, environment()])


def slot(panel: Panel) -> str:
    """What all panels share that could begin alike: symbols, where they come from, and the first instant."""
    distinct = {info: n for n, info in enumerate(dict.fromkeys(panel.datasets))}
    datasets = [[repr(info) for info in distinct], [distinct[info] for info in panel.datasets]]
    start = int(panel.times.asi8[0]) if len(panel.times) else 0
    return digest(
        [panel.symbols, datasets, panel.frequency, panel.calendar, panel.periods_per_year, panel.bases, start]
    )


class Data:
    """The data of a panel and a side table, up to several of its rows.

    Parameters
    ----------
    panel : Panel
        T bars.
    side : SideTable
    fields : iterable of str
        The panel fields that will be asked about.
    lengths : iterable of int
        Numbers of rows, at most T, up to which data will be asked about; T is always among them.
    """

    def __init__(self, panel: Panel, side: SideTable, *, fields: Iterable[str], lengths: Iterable[int] = ()) -> None:
        self._panel, self._side = panel, side
        self._lengths = sorted({*lengths, panel.shape[0]})
        clock = np.stack([panel.times.asi8, panel.sessions.astype("datetime64[D]").astype(np.int64)], axis=1)
        choice = panel.tradable if panel.member is None else np.stack([panel.tradable, panel.member], axis=1)
        self._rows = {"": self._running(str(panel.times.dtype), clock), " ": self._running("tradable", choice)}
        for name in sorted(set(fields)):
            held = panel.fields.get(name)
            self._rows[name] = {} if held is None else self._running(name, held)
        self._series: dict[tuple[str, int | None], str] = {}

    def _running(self, name: str, values: np.ndarray) -> dict[int, str]:
        """Digest of the first rows, for each length."""
        running = hashlib.sha256(f"{name} {values.dtype.str} {values.shape[1:]}".encode())
        found, done = {}, 0
        for length in self._lengths:
            if length > done:
                running.update(np.ascontiguousarray(values[done:length]).data)
            found[length], done = running.hexdigest(), length
        return found

    @property
    def rows(self) -> int:
        """T."""
        return self._panel.shape[0]

    def key(self, column: PlannedFeature, length: int) -> str:
        """The data that the first ``length`` rows of a column depend on: what was known at the last of them."""
        rows = [self._rows[name].get(length, "") for name in ("", " ", *column.spec.fields)]
        return digest([rows, [self._known(series, length) for series in column.spec.series]])

    def side_key(self, column: PlannedFeature) -> str:
        """All side data that a column is given, whenever it became known."""
        return digest([self._known(series, None) for series in column.spec.series])

    def _known(self, series: str, length: int | None) -> str:
        if (series, length) not in self._series:
            self._series[series, length] = self._of_series(series, length)
        return self._series[series, length]

    def _of_series(self, series: str, length: int | None) -> str:
        side, rows = self._side, self._side.find(series)
        if length is not None:
            last = self._panel.times[length - 1]
            rows = rows[np.asarray(side.knowledge_time[rows] <= last)]
        found = hashlib.sha256(repr([series, len(rows), side.info.get(series)]).encode())
        for instants in (side.event_time, side.knowledge_time):
            found.update(f"{instants.dtype}".encode())
            found.update(np.ascontiguousarray(instants.asi8[rows]).data)
        found.update(np.ascontiguousarray(side.value[rows], dtype=float).data)
        for texts in (side.symbol, side.text):
            found.update(b"" if texts is None else json.dumps([str(text) for text in texts[rows].tolist()]).encode())
        return found.hexdigest()


@functools.cache
def environment() -> str:
    """Python, the libraries that numbers come from, the processor and the switches that they obey."""
    versions = [version_of(name) for name in _LIBRARIES]
    return digest([sys.version, sys.platform, platform.machine(), versions, _processor(), _switches()])


def _processor() -> list[str]:
    """What numpy chooses its loops by; compiled code asks the same processor."""
    core = sys.modules.get("numpy._core._multiarray_umath")
    features: Mapping[str, bool] = getattr(core, "__cpu_features__", {})
    return sorted(name for name, there in features.items() if there)


def _switches() -> list[list[str]]:
    return sorted([name, value] for name, value in os.environ.items() if name.startswith(_SWITCHES))


def _code(dist: str, module: str) -> str | None:
    """The code of a distribution, of a module's package, of core and of what they require; None if it cannot be told.

    Where core and the module come from is what Python says that has loaded them.
    """
    try:
        places = sorted({*_loaded("mnpu"), *_loaded(module), *(packages(dist) if dist != CORE else ())})
        files = [told for place in places for told in _files(place)]
        changed = max((when for _, _, when in files), default=0)
        if changed > (started() - _TICK) * 1e9 or _seen.setdefault(tuple(places), files) != files:
            return None
        return _code_of(tuple(files), dist)
    except (MnpuError, OSError, ValueError):
        return None


def _loaded(module: str) -> list[Path]:
    """The folders of a top-level module, or its file."""
    top = sys.modules.get(module)
    folders = [Path(folder) for folder in getattr(top, "__path__", ())]
    file = getattr(top, "__file__", None)
    if not folders and file is None:
        raise PluginError(f"the source of {module} was not found")
    return folders or [Path(str(file))]


@functools.lru_cache(maxsize=64)
def _code_of(files: tuple[tuple[str, int, int], ...], dist: str) -> str:
    """Digest of the sources; of what lies beside them, size and time will do."""
    found = hashlib.sha256(digest([_requirements(name) for name in (CORE, dist)]).encode())
    for path, size, when in files:
        if path.endswith(".py"):
            found.update(f"{path} {size}\n".encode())
            found.update(Path(path).read_bytes())
        else:
            found.update(f"{path} {size} {when}\n".encode())
    return found.hexdigest()


def _files(place: Path) -> list[tuple[str, int, int]]:
    """Path, size and time of the last change of every file that belongs to a package, without what Python wrote."""
    if not place.is_dir():
        return [_told(str(place), place.stat())]
    found, folders = [], [str(place)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    folders += [] if entry.name == "__pycache__" else [entry.path]
                else:
                    found.append(_told(entry.path, entry.stat()))
    return sorted(found)


def _told(path: str, told: os.stat_result) -> tuple[str, int, int]:
    return path, told.st_size, max(told.st_mtime_ns, told.st_ctime_ns)


def _requirements(dist: str) -> list[list[str]]:
    """What a distribution requires, with the versions that are here."""
    try:
        told = metadata.requires(dist) or []
    except metadata.PackageNotFoundError:
        return []
    names = {match[0] for text in told if (match := re.match(r"[A-Za-z0-9._-]+", text))}
    return [[dist, version_of(dist)], *([name, version_of(name)] for name in sorted(names))]


@functools.cache
def started() -> float:
    """When this process began, in seconds of the epoch; code that is loaded is as old as that or younger."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        return min(time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK"), _LOADED)
    except (OSError, ValueError, IndexError, AttributeError):  # another system
        return _LOADED


def _text(value: Any) -> str:
    """One text for one value, with its type; TypeError where the text would not say all of it."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_text(key)}:{_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}[" + ",".join(map(_text, value)) + "]"
    if isinstance(value, enum.Enum) or type(value) in (pd.Timedelta, pd.Timestamp) or isinstance(value, _PLAIN):
        return f"{type(value).__qualname__} {value!r}"
    raise TypeError(type(value))


def digest(told: Sequence[Any]) -> str:
    """Thirty-two hex characters that stand for plain values."""
    return hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()[:32]
