"""What the cells of a piece say by their roles: times, names, numbers and texts; what cannot be read is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mnpu.data.importing.chunks import Chunk
from mnpu.data.importing.clocks import NO_TIME
from mnpu.data.importing.mapping import Entry
from mnpu.data.importing.parse import Instants, Names, instants, names, numbers, show, text_of
from mnpu.data.importing.verdict import Verdict

__all__ = ["NO", "YES", "Context", "number", "pairs", "placed", "series_of", "symbols_of", "text_cells", "times_of"]

YES, NO = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no", "", "none", "nan")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060\ufeff]")


@dataclass(frozen=True)
class Context:
    """What building the rows of one file needs to know.

    ``known`` maps assets of the entry's dataset (and its calendar) where the table refers to them; ``censored`` is
    the moment (ns) at or before which knowledge is left-censored.
    """

    entry: Entry
    path: Path
    roles: Mapping[str, str]
    knowledge: str | None
    now: int
    censored: int | None = None
    assets: frozenset[str] = frozenset()
    calendar: str = ""
    wide_series: str = field(default="")

    @property
    def where(self) -> str:
        """The file, for errors."""
        return str(self.path)


def times_of(chunk: Chunk, c: Context, verdict: Verdict) -> Instants:
    """The time of each row; every row needs one."""
    clock = chunk.columns[c.roles["clock"]] if "clock" in c.roles else None
    column = chunk.columns[c.roles["time"]]
    times = instants(column, c.entry.time, clock)
    verdict.refuse(times.missing, "time", "there is no time")
    verdict.refuse(times.bad, "time", "its time cannot be read", detail=lambda row: repr(show(column[row].as_py())))
    return times


def placed(event: np.ndarray, verdict: Verdict) -> None:
    """Refuse rows whose time does not exist, or exists twice, in its zone; ``event`` (N,) in ns, NO_TIME there."""
    verdict.refuse(event == NO_TIME, "time", "its time does not exist, or exists twice, in its zone")


def symbols_of(chunk: Chunk, c: Context, verdict: Verdict, *, needed: bool) -> Names:
    """The symbol of each row; where one is ``needed``, rows without it are refused."""
    entry, n = c.entry, len(chunk)
    fixed = entry.symbol
    if entry.symbol_from_file is not None:
        found = re.search(entry.symbol_from_file, c.path.name)
        fixed = entry.rename_symbols.get(found[1], found[1]) if found else ""
    if fixed is not None or "symbol" not in c.roles:
        code = np.full(n, 0 if fixed else -1, dtype=np.int32)
        result = Names(code, (fixed,) if fixed else (), np.zeros(n, dtype=bool))
    else:
        result = names(chunk.columns[c.roles["symbol"]], entry.rename_symbols)
    verdict.refuse(result.bad, "encoding", "its symbol is no text in the file's encoding")
    verdict.refuse(_unprintable(result), "name", "its symbol holds characters that cannot be seen")
    if needed:
        verdict.refuse(result.code < 0, "name", "there is no symbol")
    return result


def series_of(chunk: Chunk, c: Context, verdict: Verdict) -> Names:
    """The series of each row."""
    entry, n = c.entry, len(chunk)
    fixed = c.wide_series or entry.series_name
    if fixed is not None and fixed:
        found = Names(np.zeros(n, dtype=np.int32), (fixed,), np.zeros(n, dtype=bool))
    else:
        found = names(chunk.columns[c.roles["series"]], entry.rename_series)
    verdict.refuse(found.bad, "encoding", "its series is no text in the file's encoding")
    verdict.refuse(_unprintable(found), "name", "its series holds characters that cannot be seen")
    verdict.refuse(found.code < 0, "name", "there is no series")
    if entry.series is not None and entry.series.only:
        declared = np.array([*(name in entry.series.names for name in found.values), True])
        verdict.refuse(~declared[found.code], "undeclared", "its series is not declared")
    return replace(found, values=tuple(entry.prefix + name for name in found.values))


def _unprintable(found: Names) -> np.ndarray:
    """Rows whose name holds what nobody sees: a line break of a cell that was never closed, a space without width."""
    odd = np.array([*(bool(_CONTROL.search(name)) for name in found.values), False])
    result: np.ndarray = odd[found.code]
    return result


def pairs(first: Names, second: Names) -> tuple[list[tuple[str, ...]], np.ndarray]:
    """The pairs of names that occur, in order, and the code of each row's."""
    seconds = [*second.values, ""]
    at = np.where(second.code < 0, len(second.values), second.code).astype(np.int64)
    joint = np.where(first.code < 0, 0, first.code).astype(np.int64) * len(seconds) + at
    present, code = np.unique(joint, return_inverse=True)
    every = [*first.values] or [""]
    return [(every[k // len(seconds)], seconds[k % len(seconds)]) for k in present.tolist()], code


def number(chunk: Chunk, c: Context, role: str, verdict: Verdict) -> np.ndarray:
    """A role's cells as numbers, NaN where there are none."""
    if role not in c.roles:
        return np.full(len(chunk), np.nan)
    column = chunk.columns[c.roles[role]]
    values, bad = numbers(column, missing=c.entry.missing, decimal=c.entry.csv.decimal)
    verdict.refuse(bad, "number", f"{role} is no number", detail=lambda row: repr(show(column[row].as_py())))
    verdict.refuse(np.isinf(values), "number", f"{role} is infinite")
    scale = c.entry.scale
    factor = scale.get(role, 1.0) if isinstance(scale, dict) else 1.0 if role == "volume" else scale
    return values if factor == 1.0 else _rescaled(values, factor)


def _rescaled(values: np.ndarray, factor: float) -> np.ndarray:
    """``values * factor``, by a division where that is exact, so that 13625 / 10000 is 1.3625."""
    inverse = 1.0 / factor
    result: np.ndarray = values / round(inverse) if abs(inverse - round(inverse)) < 1e-9 * inverse else values * factor
    return result


def text_cells(chunk: Chunk, c: Context, role: str, verdict: Verdict) -> np.ndarray:
    """A role's cells as texts, empty where there are none."""
    if role not in c.roles:
        return np.full(len(chunk), "", dtype=object)
    text, bad = text_of(chunk.columns[c.roles[role]])
    verdict.refuse(bad, "encoding", f"its {role} is no text in the file's encoding")
    return np.array([word or "" for word in text.to_pylist()], dtype=object)
