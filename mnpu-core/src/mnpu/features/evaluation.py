"""The columns of a pipeline as one graph of work: parts that are independent of one another, and how each is done.

Features that name the same kernel are one part, computed together in one pass; any other feature is a part of its
own. What features of a family share is computed once by `View.once`. A kernel's part is cut into blocks of rows, each
of which looks back over the warm-up before it; that the blocks fit together is a law of the conformance kit. How the
work is cut depends on the data alone, so the same values come out however many workers there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from mnpu.engine import Engine, LocalEngine
from mnpu.errors import MnpuError, PluginError
from mnpu.features.api import Kernel, Memo, View
from mnpu.features.plan import PlannedFeature
from mnpu.types import Panel, SideTable

__all__ = [
    "Job",
    "States",
    "Target",
    "Work",
    "by_kernel",
    "evaluate",
    "evaluate_into",
    "fill",
    "fresh_states",
    "jobs",
    "kernel_view",
    "of_view",
    "parts",
    "quiet",
    "run",
    "write_rows",
]

#: Rows of a block of a kernel's part.
BLOCK = 128

#: What each column carries, by name: float64 (S, A).
States = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Job:
    """Some columns, by number, on the rows ``start`` to ``stop``."""

    columns: tuple[int, ...]
    kernel: Kernel | None
    start: int
    stop: int


@dataclass(frozen=True)
class Target:
    """Where jobs write: an array of this process, or the part of a file from ``offset`` on, which any process opens."""

    shape: tuple[int, ...]
    dtype: str
    path: str = ""
    offset: int = 0
    held: np.ndarray | None = None

    @cached_property
    def array(self) -> np.ndarray:
        """The array, to be written into."""
        if self.held is not None:
            return self.held
        return np.asarray(np.memmap(self.path, self.dtype, mode="r+", offset=self.offset, shape=self.shape))

    def __reduce__(self) -> tuple[type[Target], tuple[Any, ...]]:
        assert self.path  # an array of this process alone is no place for another to write to
        return Target, (self.shape, self.dtype, self.path, self.offset)


@dataclass
class Work:
    """What all jobs read, and where they write.

    Attributes
    ----------
    planned : sequence of PlannedFeature
        F columns.
    panel, side
        T bars of A symbols, and side data.
    target : Target
        (F, T - origin, A); row 0 is row ``origin`` of the panel.
    states : dict of str to float64 (S, A)
        What the columns carry, as it stands before their first row; brought on in place.
    origin : int
    last : int
        How many of the last rows of plain columns are wanted in full precision.
    memos : dict of int to Memo
        What is shared on panels that begin at a row, for `View.once`.
    """

    planned: Sequence[PlannedFeature]
    panel: Panel
    side: SideTable
    target: Target
    states: dict[str, np.ndarray]
    origin: int = 0
    last: int = 0
    memos: dict[int, Memo] = field(default_factory=dict)

    def memo(self, begin: int) -> Memo:
        """What is shared on the panel from row ``begin`` on."""
        return self.memos.setdefault(begin, Memo())

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "memos": {}}  # each process computes its own


@dataclass(frozen=True)
class Done:
    """What a job leaves beside its values: what its columns carry, and their last rows, by number, in float64."""

    states: Mapping[str, np.ndarray]
    last: Mapping[int, np.ndarray]


def run(
    work: Work, todo: Sequence[Job], *, engine: Engine, advance: Callable[[float], None] | None = None
) -> dict[int, np.ndarray]:
    """Do the jobs where ``engine`` does them; returns the last rows of plain columns, in float64.

    ``advance`` is told how many columns were done since it was told last.
    """
    last: dict[int, np.ndarray] = {}
    rows = max(work.panel.shape[0] - work.origin, 1)
    for job, done in zip(todo, engine.map(_do, todo, shared=work), strict=True):
        work.states.update(done.states)
        last.update(done.last)
        if advance is not None:
            advance(len(job.columns) * (job.stop - job.start) / rows)
    return last


def _do(work: Work, job: Job) -> Done:
    last = fill(
        job,
        work.planned,
        work.panel,
        work.side,
        work.target.array,
        states=work.states,
        memo=work.memo(0),
        origin=work.origin,
        last=work.last,
    )
    names = [work.planned[f].name for f in job.columns]
    return Done({name: work.states[name] for name in names if name in work.states}, last)


def parts(planned: Sequence[PlannedFeature]) -> list[tuple[Kernel | None, tuple[int, ...]]]:
    """The columns that are computed together, each with their kernel, in the order of the first of them."""
    found: list[tuple[Kernel | None, list[int]]] = []
    place: dict[Kernel, int] = {}
    for f, column in enumerate(planned):
        kernel = column.meta.kernel
        if kernel is not None and kernel in place:
            found[place[kernel]][1].append(f)
            continue
        if kernel is not None:
            place[kernel] = len(found)
        found.append((kernel, [f]))
    return [(kernel, tuple(columns)) for kernel, columns in found]


def jobs(
    planned: Sequence[PlannedFeature], rows: int, *, first: int = 0, columns: Sequence[int] | None = None
) -> list[Job]:
    """All the work on rows ``first`` to ``rows``, in jobs that do not depend on one another.

    Of the given ``columns``, by number, or of all.
    """
    numbers = range(len(planned)) if columns is None else columns
    work = []
    for kernel, places in parts([planned[f] for f in numbers]):
        together = tuple(numbers[place] for place in places)
        step = rows - first if kernel is None else BLOCK  # a kernel carries no state from block to block
        work += [Job(together, kernel, t, min(t + step, rows)) for t in range(first, rows, max(step, 1))]
    return work


def fresh_states(planned: Sequence[PlannedFeature], n_symbols: int) -> dict[str, np.ndarray]:
    """The states before the first bar, of the columns that carry one."""
    return {c.name: np.full((c.spec.state, n_symbols), np.nan) for c in planned if c.spec.state}


def evaluate(
    planned: Sequence[PlannedFeature],
    panel: Panel,
    side: SideTable,
    *,
    first: int = 0,
    states: States | None = None,
) -> np.ndarray:
    """Values of every column from row ``first`` on, float64 (T - first, A, F), without any check on the data.

    ``states`` holds what columns carry, as it stands before ``first``, and is brought on; by default nothing was
    carried yet.
    """
    values = np.empty((len(planned), panel.shape[0] - first, panel.shape[1]))
    evaluate_into(values, planned, panel, side, first=first, states=states)
    return np.moveaxis(values, 0, -1)


def evaluate_into(
    out: np.ndarray,
    planned: Sequence[PlannedFeature],
    panel: Panel,
    side: SideTable,
    *,
    first: int = 0,
    states: States | None = None,
) -> None:
    """The same into an array (F, T - first, A) of this process, float64 or float32."""
    carried = fresh_states(planned, panel.shape[1]) if states is None else dict(states)
    work = Work(planned, panel, side, Target(out.shape, out.dtype.str, held=out), carried, origin=first)
    run(work, jobs(planned, panel.shape[0], first=first), engine=LocalEngine())


def fill(
    job: Job,
    planned: Sequence[PlannedFeature],
    panel: Panel,
    side: SideTable,
    out: np.ndarray,
    *,
    states: States,
    memo: Memo,
    origin: int = 0,
    last: int = 0,
) -> dict[int, np.ndarray]:
    """Do one job: write its rows into ``out``.

    Parameters
    ----------
    job : Job
    planned : sequence of PlannedFeature
        F columns.
    panel, side
        T bars of A symbols, and side data.
    out : ndarray (F, T - origin, A)
        float64 or float32; row 0 is row ``origin`` of the panel.
    states : mapping of name to float64 (S, A)
        What the columns carry, as it stands before the job's first row; brought on in place.
    memo : Memo
        Of whole panels, for `View.once`.
    origin : int, default=0
    last : int, default=0

    Returns
    -------
    last : dict of int to float64 (last, A)
        The ``last`` rows of columns without a kernel, by number, as they are before they become float32.
    """
    rows = slice(job.start - origin, job.stop - origin)
    if job.kernel is None:
        exact = {}
        for f in job.columns:
            values = _column(planned[f], panel, side, job.start, states, memo)
            write_rows(out[f, rows], values)
            if last:
                exact[f] = np.array(np.broadcast_to(values[-last:], (len(values[-last:]), panel.shape[1])), dtype=float)
        return exact
    reach = max(planned[f].spec.warmup for f in job.columns) - 1
    begin = max(job.start - reach, 0)
    block = panel if (begin, job.stop) == (0, len(panel.times)) else panel.rows(begin, job.stop)
    target = out[job.columns[0] : job.columns[-1] + 1, rows] if _adjacent(job.columns) else None
    values = np.empty((len(job.columns), job.stop - job.start, panel.shape[1]), out.dtype) if target is None else target
    columns = [planned[f] for f in job.columns]
    by_kernel(job.kernel, columns, kernel_view(columns, block, side, job.start - begin), values)
    if target is None:
        out[list(job.columns), rows] = values
    return {}


def _adjacent(columns: Sequence[int]) -> bool:
    return columns[-1] - columns[0] + 1 == len(columns)


def kernel_view(columns: Sequence[PlannedFeature], panel: Panel, side: SideTable, first: int) -> View:
    """What a kernel may read for these columns: the fields that they declare, and no side data."""
    fields = sorted({name for column in columns for name in column.spec.fields})
    return View(panel, side, fields=fields, series=(), where=columns[0].name, first=first)


def by_kernel(kernel: Kernel, columns: Sequence[PlannedFeature], view: View, out: np.ndarray) -> None:
    """Let a kernel write its columns, (n, T - first, A)."""
    asked = [(column.spec.function, column.spec.params) for column in columns]
    try:
        with np.errstate(all="ignore"):
            kernel(view, asked, out)
    except MnpuError:
        raise
    except (Exception, SystemExit) as error:  # code of a plugin: whatever it raises is its failure, not the user's
        raise _raised(columns[0], error) from error


def _column(
    column: PlannedFeature, panel: Panel, side: SideTable, first: int, states: States, memo: Memo
) -> np.ndarray:
    """The rows of one column from ``first`` on, (T - first, A), or (T - first, 1) of a market-wide one."""
    spec, state = column.spec, states.get(column.name)
    view = View(
        panel, side, fields=spec.fields, series=spec.series, where=spec.name, first=first, state=state, memo=memo
    )
    with quiet():
        return of_view(column, view)


def quiet() -> np.errstate:
    """Where features are asked: what is divided by zero is missing, not worth a warning."""
    return np.errstate(divide="ignore", invalid="ignore", over="ignore")


def of_view(column: PlannedFeature, view: View) -> np.ndarray:
    """The rows of one column from the view's first on, (T - first, A), or (T - first, 1) of a market-wide one."""
    spec, shape, first = column.spec, view.shape, view.first
    try:
        returned = column.function(view, **spec.params)
        values = returned if type(returned) is np.ndarray else np.asarray(returned)
    except MnpuError:
        raise
    except (Exception, SystemExit) as error:  # code of a plugin: whatever it raises is its failure, not the user's
        raise _raised(column, error) from error
    expected = shape if spec.scope == "symbol" else shape[:1]
    masked = "masked " if isinstance(returned, np.ma.MaskedArray) else ""  # what it hides would be seen
    if masked or values.shape != expected or values.dtype.kind not in "fiub":
        raise PluginError(
            f"returned {masked}{values.dtype} {values.shape}",
            where=f"feature {spec.name} of {column.dist}",
            expected=f"float64 {expected}, as its scope is {spec.scope!r}",
        )
    return values[first:] if spec.scope == "symbol" else values[first:, None]


def _raised(column: PlannedFeature, error: BaseException) -> PluginError:
    return PluginError(f"raised {type(error).__name__}: {error}", where=f"feature {column.name} of {column.dist}")


def write_rows(out: np.ndarray, values: np.ndarray) -> None:
    """Put values in float64 into rows that may be float32."""
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused by whoever asked
        out[...] = values
