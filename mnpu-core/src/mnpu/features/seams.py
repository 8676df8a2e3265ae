"""Continuing a column on new rows, with proof that computing it anew would have given the same.

A feature's value may depend on rows before its warm-up by the last bits, where running sums carry them, or by more,
where its note is wrong. So the new rows are computed together with the ``SEAM`` rows before them, from as little
history as the warm-up says, and used only if the rows at the seam are what they were, to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mnpu.errors import MnpuError
from mnpu.features.api import Kernel, Memo
from mnpu.features.evaluation import BLOCK, Job, Work, fill, parts, write_rows
from mnpu.features.plan import PlannedFeature
from mnpu.types import Panel

__all__ = ["SEAM", "Continuation", "Continued", "continuations", "go_on"]

#: Old rows that are computed again beside the new ones.
SEAM = 8
#: Rows before those that continuing a state looks back on, on which it is tried.
_TRIAL = 64


@dataclass(frozen=True)
class Continued:
    """A column by number, of which ``rows`` rows are there.

    ``last`` are its last rows in full precision, (n, A), None for a kernel's; ``state`` is what it carries, (S, A).
    """

    number: int
    rows: int
    last: np.ndarray | None
    state: np.ndarray | None


@dataclass(frozen=True)
class Continuation:
    """Columns that are continued together, one or those of a kernel, on rows ``begin`` to ``stop`` of the panel."""

    kernel: Kernel | None
    columns: tuple[Continued, ...]
    begin: int
    stop: int


def continuations(planned: Sequence[PlannedFeature], panel: Panel, found: Sequence[Continued]) -> list[Continuation]:
    """What can be continued with less work than all of it would be."""
    tasks = []
    for rows in sorted({old.rows for old in found}):
        here = [old for old in found if old.rows == rows]
        for kernel, places in parts([planned[old.number] for old in here]):
            columns = tuple(here[place] for place in places)
            specs = [planned[old.number].spec for old in columns]
            back = max(spec.warmup for spec in specs) - 1 + SEAM
            begin = rows - (back if kernel is not None else 1 << (back - 1).bit_length())  # few panels share more
            if begin > 0:
                stop = panel.shape[0] if kernel is None else min(panel.shape[0], rows + BLOCK)
                tasks.append(Continuation(kernel, columns, begin, stop))
    return tasks


def go_on(work: Work, task: Continuation) -> list[Continued]:
    """Write the new rows of the columns; returns those that went on as if never interrupted.

    Of a kernel's columns only those up to ``task.stop``, so that little has to be held beside the values.
    """
    try:
        return _with_state(work, task) if task.columns[0].state is not None else _plain(work, task)
    except MnpuError:  # on part of the data; whoever computes on all of it will see whether it is one there, too
        return []


def _plain(work: Work, task: Continuation) -> list[Continued]:
    """Columns that carry nothing, as far as their rows at the seam are what they were."""
    begin, stop, plain = task.begin, task.stop, task.kernel is None
    first_new = task.columns[0].rows
    first, n = first_new - SEAM, len(task.columns)
    values = np.empty((n, stop - first, work.panel.shape[1]), np.float64 if plain else np.float32)
    planned = [work.planned[old.number] for old in task.columns]
    panel = work.panel.rows(begin, stop)
    job = Job(tuple(range(n)), task.kernel, first - begin, stop - begin)
    fill(job, planned, panel, work.side, values, states={}, memo=work.memo(begin), origin=first - begin)
    done, out = [], work.target.array
    for old, new in zip(task.columns, values, strict=True):
        before = old.last if plain else out[old.number, first:first_new]
        if before is None or not _same(new[:SEAM], before):
            continue
        write_rows(out[old.number, first_new:stop], new[SEAM:])
        done.append(Continued(old.number, stop, new[-SEAM:].copy() if plain else None, None))
    return done


def _with_state(work: Work, task: Continuation) -> list[Continued]:
    """One column that carries a state, if interrupting it changes nothing."""
    (old,) = task.columns
    assert old.state is not None
    column, rows = work.planned[old.number], work.panel.shape[0]
    if not _resumes(work, task):
        return []
    state = old.state.copy()
    values = _resumed(work, column, task.begin, old.rows, state)
    write_rows(work.target.array[old.number, old.rows :], values)
    last = None if old.last is None else np.concatenate([old.last, values])[-SEAM:]
    return [Continued(old.number, rows, last, state)]


def _resumes(work: Work, task: Continuation) -> bool:
    """Whether a column gives the same on recent rows, be it interrupted before the new ones or not."""
    (old,) = task.columns
    column = work.planned[old.number]
    begin = max(task.begin - column.spec.warmup - _TRIAL, 0)
    at_once, twice = (np.full((column.spec.state, work.panel.shape[1]), np.nan) for _ in range(2))
    values = _resumed(work, column, begin, begin, at_once)
    _resumed(work, column, begin, begin, twice, stop=old.rows)
    again = _resumed(work, column, task.begin, old.rows, twice)
    return _same(values[old.rows - begin :], again) and _same(at_once, twice)


def _resumed(
    work: Work, column: PlannedFeature, begin: int, first: int, state: np.ndarray, *, stop: int | None = None
) -> np.ndarray:
    """Rows ``first`` to ``stop`` of a column on the panel from ``begin`` on; its state is brought on."""
    stop = work.panel.shape[0] if stop is None else stop
    out = np.empty((1, stop - first, work.panel.shape[1]))
    job = Job((0,), None, first - begin, stop - begin)
    panel = work.panel.rows(begin, stop)
    fill(job, [column], panel, work.side, out, states={column.name: state}, memo=Memo(), origin=first - begin)
    return out[0]


def _same(new: np.ndarray, old: np.ndarray) -> bool:
    """Whether two arrays hold the same numbers to the last bit; any NaN is like any other."""
    if new.shape != old.shape:
        return False
    missing = np.isnan(new)
    bits = "int64" if new.dtype == np.float64 else "int32"
    same = np.ascontiguousarray(new).view(bits) == np.ascontiguousarray(old).view(bits)
    return bool(np.where(missing, np.isnan(old), same).all())
