"""All columns of `alpha158`, or of `alpha360`, in one pass over a block of bars: what runs in place of definitions.

Symbols are taken ``LANES`` at a time into series that lie close together in memory; each family of columns that
something was asked of is computed on them by compiled loops, as far back as the longest window that was asked for,
and divided and stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from mnpu.data.compiled import compiled
from mnpu.features import alpha_loops as loops
from mnpu.features import alpha_windows as over
from mnpu.features.alpha_loops import LANES, TAKEN, TINY, WINDOWS
from mnpu.features.api import View

__all__ = ["alpha158", "alpha360"]

#: What a result is divided by: the newest close, the newest volume, or nothing.
CLOSE, VOLUME, NOTHING = 0, 1, 2

#: The family that computes each operator, which of its outputs it is, and what that is divided by.
OPERATORS = {
    "MA": ("line", 0, CLOSE),
    "STD": ("line", 1, CLOSE),
    "BETA": ("line", 3, CLOSE),
    "RESI": ("line", 4, CLOSE),
    "RSQR": ("line", 6, NOTHING),
    "CORR": ("with_volume", 5, NOTHING),
    "CORD": ("with_growth", 5, NOTHING),
    "VMA": ("volumes", 0, VOLUME),
    "VSTD": ("volumes", 1, VOLUME),
    "WVMA": ("moves", 2, NOTHING),
    "SUMP": ("changes", 0, NOTHING),
    "SUMN": ("changes", 1, NOTHING),
    "SUMD": ("changes", 2, NOTHING),
    "CNTP": ("changes", 3, NOTHING),
    "CNTN": ("changes", 4, NOTHING),
    "CNTD": ("changes", 5, NOTHING),
    "VSUMP": ("volume_changes", 0, NOTHING),
    "VSUMN": ("volume_changes", 1, NOTHING),
    "VSUMD": ("volume_changes", 2, NOTHING),
    "MAX": ("extremes", 0, CLOSE),
    "MIN": ("extremes", 1, CLOSE),
    "RSV": ("extremes", 2, NOTHING),
    "IMAX": ("extremes", 3, NOTHING),
    "IMIN": ("extremes", 4, NOTHING),
    "IMXD": ("extremes", 5, NOTHING),
    "RANK": ("order", 0, NOTHING),
    "QTLU": ("order", 1, CLOSE),
    "QTLD": ("order", 2, CLOSE),
}

#: The fields that a family reads; of those some columns are divided by.
READS = {
    "line": ("close",),
    "with_volume": ("close", "volume"),
    "with_growth": ("close", "volume"),
    "volumes": ("volume",),
    "moves": ("close", "volume"),
    "changes": ("close",),
    "volume_changes": ("volume",),
    "extremes": (),  # see EXTREMES
    "order": ("close",),
}

#: The fields that single columns of a family read, whose others then stand in for what nobody asks for.
EXTREMES = {
    "MAX": ("high", "close"),
    "MIN": ("low", "close"),
    "RSV": ("high", "low", "close"),
    "IMAX": ("high", "close"),
    "IMIN": ("low", "close"),
    "IMXD": ("high", "low", "close"),
}

#: The columns of the newest bar: what is divided by what.
NEWEST: dict[str, Callable[[over.Bars], tuple[np.ndarray, np.ndarray]]] = {
    "KMID": lambda b: (b.close - b.open, b.open),
    "KLEN": lambda b: (b.high - b.low, b.open),
    "KMID2": lambda b: (b.close - b.open, b.high - b.low + TINY),
    "KUP": lambda b: (b.high - np.maximum(b.open, b.close), b.open),
    "KUP2": lambda b: (b.high - np.maximum(b.open, b.close), b.high - b.low + TINY),
    "KLOW": lambda b: (np.minimum(b.open, b.close) - b.low, b.open),
    "KLOW2": lambda b: (np.minimum(b.open, b.close) - b.low, b.high - b.low + TINY),
    "KSFT": lambda b: (2 * b.close - b.high - b.low, b.open),
    "KSFT2": lambda b: (2 * b.close - b.high - b.low, b.high - b.low + TINY),
    "OPEN0": lambda b: (b.open, b.close),
    "HIGH0": lambda b: (b.high, b.close),
    "LOW0": lambda b: (b.low, b.close),
    "VWAP0": lambda b: (b.vwap, b.close),
}
NO_LAG = np.zeros(1, np.int64)


@dataclass
class Asked:
    """What is asked of one family: how many windows, the place of its outputs, and where each column goes."""

    operators: dict[str, dict[int, int]] = field(default_factory=dict)
    n_windows: int = 0
    place: np.ndarray = field(default_factory=lambda: np.full(7, -1))
    by: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    slots: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    def settle(self) -> None:
        """Number the columns of the results: for each operator one for each window."""
        self.n_windows = 1 + max(k for windows in self.operators.values() for k in windows)
        self.by = np.empty(len(self.operators) * self.n_windows, np.int64)
        self.slots = np.full(len(self.by), -1)
        for i, (operator, windows) in enumerate(self.operators.items()):
            _, output, by = OPERATORS[operator]
            self.place[output] = i * self.n_windows
            self.by[self.place[output] :][: self.n_windows] = by
            for k, slot in windows.items():
                self.slots[self.place[output] + k] = slot


@dataclass
class Plan:
    """The columns of Alpha158 that are asked for, by what computes them; slots are places among the columns."""

    newest: list[tuple[str, np.ndarray]]
    lags: np.ndarray
    lag_slots: np.ndarray
    families: dict[str, Asked]
    fields: tuple[str, ...]


@cache
def plan(names: tuple[str, ...]) -> Plan:
    """Sort the columns by what computes them."""
    newest: list[tuple[str, np.ndarray]] = []
    lags: dict[int, int] = {}
    families: dict[str, Asked] = {}
    for slot, name in enumerate(names):
        if name in NEWEST:
            newest.append((name, np.array([slot])))
            continue
        operator = name.rstrip("0123456789")
        w = int(name[len(operator) :])
        if operator == "ROC":
            lags[w] = slot
            continue
        asked = families.setdefault(OPERATORS[operator][0], Asked())
        asked.operators.setdefault(operator, {})[WINDOWS.index(w)] = slot
    for asked in families.values():
        asked.settle()
    reads = [READS[family] for family in families]
    reads += [EXTREMES[operator] for operator in families.get("extremes", Asked()).operators]
    fields = tuple(sorted({name for some in reads for name in some}))
    return Plan(newest, np.array([*lags], np.int64), np.array([*lags.values()], np.int64), families, fields)


class Lanes:
    """LANES symbols of a block: their series (T, LANES), and room for what is computed of them."""

    def __init__(self, fields: Sequence[str], rows: int, first: int, columns: int, n_windows: int) -> None:
        self.first = first
        self.series = {name: _room(rows, LANES) for name in fields}
        self.time = _room(rows, LANES)
        self.time[:] = np.arange(rows)[:, None]
        self.divisors = _room(3, rows - first, LANES)
        self.divisors[NOTHING] = 1.0
        self.acc = _room(loops.ROWS * LANES)
        self.held = _room(2, WINDOWS[-1] + 2, LANES)
        self.taken = _room(n_windows * TAKEN, rows - first, LANES)
        self.res = _room(columns, rows - first, LANES)

    def load(self, fields: dict[str, np.ndarray], start: int, n: int) -> None:
        """Take up n symbols from ``start`` on; the other lanes are missing."""
        for name, series in self.series.items():
            series[:, :n] = fields[name][:, start : start + n]
            series[:, n:] = np.nan
        if "close" in self.series:
            self.divisors[CLOSE] = self.series["close"][self.first :]
        if "volume" in self.series:
            np.add(self.series["volume"][self.first :], TINY, out=self.divisors[VOLUME])

    def compute(self, family: str, asked: Asked) -> np.ndarray:
        """Results of a family, (columns, T - first, LANES)."""
        res = self.res[: len(asked.slots)]
        FAMILIES[family](self, asked, res)
        return res

    def moments(
        self, x: np.ndarray, y: np.ndarray, asked: Asked, res: np.ndarray, floor: float, relative: float, floor_y: float
    ) -> None:
        """Everything that follows from means, squares and products."""
        taken = self.taken[: asked.n_windows * TAKEN]
        compiled(loops.co_moments)(x, y, self.first, asked.n_windows, self.acc, taken)
        cells = taken.reshape(len(taken), -1), x[self.first :].reshape(-1), res.reshape(len(res), -1)
        compiled(loops.statistics)(cells[0], cells[1], asked.n_windows, floor, relative, floor_y, asked.place, cells[2])

    def changes(self, x: np.ndarray, asked: Asked, res: np.ndarray) -> None:
        """Rises and falls."""
        compiled(loops.changes)(x, over.change(x), self.first, asked.n_windows, self.acc, asked.place, res)


def _line(s: Lanes, asked: Asked, res: np.ndarray) -> None:
    s.moments(s.series["close"], s.time, asked, res, 0.0, over.FLAT_PRICE, 0.0)


def _with_volume(s: Lanes, asked: Asked, res: np.ndarray) -> None:
    close, logs = over.log_volumes(s.series["close"], s.series["volume"])
    s.moments(close, logs, asked, res, 0.0, over.FLAT_PRICE, over.FLAT)


def _with_growth(s: Lanes, asked: Asked, res: np.ndarray) -> None:
    ratios, logs = over.log_ratios(s.series["close"], s.series["volume"])
    s.moments(ratios, logs, asked, res, over.FLAT, 0.0, over.FLAT)


def _volumes(s: Lanes, asked: Asked, res: np.ndarray) -> None:
    s.moments(s.series["volume"], s.time, asked, res, 0.0, 0.0, 0.0)


def _moves(s: Lanes, asked: Asked, res: np.ndarray) -> None:
    moves = over.weighted_moves(s.series["close"], s.series["volume"])
    s.moments(moves, s.time, asked, res, 0.0, 0.0, 0.0)


def _changes(s: Lanes, asked: Asked, res: np.ndarray) -> None:
    s.changes(s.series["close"], asked, res)


def _volume_changes(s: Lanes, asked: Asked, res: np.ndarray) -> None:
    s.changes(s.series["volume"], asked, res)


def _extremes(s: Lanes, asked: Asked, res: np.ndarray) -> None:
    there = s.series.get("high", s.series.get("low"))
    high, low, close = (s.series.get(name, there) for name in ("high", "low", "close"))
    compiled(loops.extremes)(high, low, close, s.first, asked.n_windows, s.acc, asked.place, res)


def _order(s: Lanes, asked: Asked, res: np.ndarray) -> None:
    close = s.series["close"]
    there = np.where(np.isnan(close), np.inf, close)
    compiled(loops.order)(there, s.first, asked.n_windows, s.acc, s.held, asked.place, res)


FAMILIES: dict[str, Callable[[Lanes, Asked, np.ndarray], None]] = {
    "line": _line,
    "with_volume": _with_volume,
    "with_growth": _with_growth,
    "volumes": _volumes,
    "moves": _moves,
    "changes": _changes,
    "volume_changes": _volume_changes,
    "extremes": _extremes,
    "order": _order,
}


def alpha158(view: View, names: Sequence[str], out: np.ndarray) -> None:
    """Fill ``out`` (n, T - first, A) with the columns of these names."""
    asked = plan(tuple(names))
    flat, column, row = _flat(out)
    newest = over.Bars(view, first=view.first)
    for name, slot in asked.newest:
        compiled(loops.lagged)(*NEWEST[name](newest), NO_LAG, slot, 0, flat, column, row)
    if len(asked.lags):
        close = over.finite(view["close"])
        compiled(loops.lagged)(close, close, asked.lags, asked.lag_slots, view.first, flat, column, row)
    if not asked.families:
        return
    fields = {name: over.finite(view[name]) for name in asked.fields}
    rows, n_symbols = view.shape
    widest = max(len(each.slots) for each in asked.families.values())
    longest = max(each.n_windows for each in asked.families.values())
    lanes = Lanes(asked.fields, rows, view.first, widest, longest)
    for start in range(0, n_symbols, LANES):
        n = min(LANES, n_symbols - start)
        lanes.load(fields, start, n)
        for family, each in asked.families.items():
            res = lanes.compute(family, each)
            compiled(loops.store)(res, each.by, lanes.divisors, each.slots, flat, column, row, start, n)


def alpha360(view: View, names: Sequence[str], out: np.ndarray) -> None:
    """Fill ``out`` (n, T - first, A) with the columns of these names."""
    flat, column, row = _flat(out)
    bars = over.Bars(view)
    for name, lags, slots in lags_of(tuple(names)):
        values = getattr(bars, name)
        divisor = values + TINY if name == "volume" else bars.close
        compiled(loops.lagged)(values, divisor, lags, slots, view.first, flat, column, row)


@cache
def lags_of(names: tuple[str, ...]) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """The columns of each field of Alpha360: field, lags and slots."""
    found: dict[str, dict[int, int]] = {}
    for slot, name in enumerate(names):
        title = name.rstrip("0123456789")
        found.setdefault(title.lower(), {})[int(name[len(title) :])] = slot
    return [(name, np.array([*lags]), np.array([*lags.values()])) for name, lags in found.items()]


def _room(*shape: int) -> np.ndarray:
    """An array that begins at a line of the processor's cache, so that LANES numbers lie in as few as they can."""
    cells = math.prod(shape)
    room = np.empty(cells + 8)
    start = (-room.ctypes.data % 64) // 8
    return room[start : start + cells].reshape(shape)


def _flat(out: np.ndarray) -> tuple[np.ndarray, int, int]:
    """All memory from the first cell of ``out`` to its last, in one row, and how far its columns and rows lie apart."""
    column, row = (step // out.itemsize for step in out.strides[:2])
    cells = (out.shape[0] - 1) * column + (out.shape[1] - 1) * row + out.shape[2]
    return np.lib.stride_tricks.as_strided(out, (cells,), (out.itemsize,)), column, row
