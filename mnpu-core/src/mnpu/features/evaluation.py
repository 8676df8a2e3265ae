"""The columns of a pipeline as one graph of work: parts that are independent of one another, and how each is done.

Features that name the same kernel are one part, computed together in one pass; any other feature is a part of its
own. What features of a family share is computed once by `View.once`. A kernel's part is cut into blocks of rows, each
of which looks back over the warm-up before it; that the blocks fit together is a law of the conformance kit. How the
work is cut depends on the data alone, so the same values come out however many workers there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mnpu.errors import MnpuError, PluginError
from mnpu.features.api import Kernel, Memo, View
from mnpu.features.plan import PlannedFeature
from mnpu.types import Panel, SideTable

__all__ = ["Job", "States", "fill", "fresh_states", "jobs", "parts"]

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


def jobs(planned: Sequence[PlannedFeature], rows: int, *, first: int = 0) -> list[Job]:
    """All the work on rows ``first`` to ``rows``, in jobs that do not depend on one another."""
    work = []
    for kernel, columns in parts(planned):
        carries = any(planned[f].spec.state for f in columns)
        step = rows - first if kernel is None or carries else BLOCK
        work += [Job(columns, kernel, t, min(t + step, rows)) for t in range(first, rows, max(step, 1))]
    return work


def fresh_states(planned: Sequence[PlannedFeature], n_symbols: int) -> dict[str, np.ndarray]:
    """The states before the first bar, of the columns that carry one."""
    return {c.name: np.full((c.spec.state, n_symbols), np.nan) for c in planned if c.spec.state}


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
) -> None:
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
    """
    rows = slice(job.start - origin, job.stop - origin)
    if job.kernel is None:
        for f in job.columns:
            _write(out[f, rows], _column(planned[f], panel, side, job.start, states, memo))
        return
    reach = max(planned[f].spec.warmup for f in job.columns) - 1
    begin = max(job.start - reach, 0)
    block = panel if (begin, job.stop) == (0, len(panel.times)) else panel.rows(begin, job.stop)
    target = out[job.columns[0] : job.columns[-1] + 1, rows] if _adjacent(job.columns) else None
    values = np.empty((len(job.columns), job.stop - job.start, panel.shape[1]), out.dtype) if target is None else target
    _by_kernel(job, planned, View(block, side, first=job.start - begin, where=planned[job.columns[0]].name), values)
    if target is None:
        out[list(job.columns), rows] = values


def _adjacent(columns: Sequence[int]) -> bool:
    return columns[-1] - columns[0] + 1 == len(columns)


def _by_kernel(job: Job, planned: Sequence[PlannedFeature], view: View, out: np.ndarray) -> None:
    assert job.kernel is not None
    asked = [(planned[f].spec.function, planned[f].spec.params) for f in job.columns]
    try:
        with np.errstate(all="ignore"):
            job.kernel(view, asked, out)
    except MnpuError:
        raise
    except Exception as error:  # code of a plugin: whatever it raises is its failure, not the user's
        raise _raised(planned[job.columns[0]], error) from error


def _column(
    column: PlannedFeature, panel: Panel, side: SideTable, first: int, states: States, memo: Memo
) -> np.ndarray:
    """The rows of one column from ``first`` on, (T - first, A), or (T - first, 1) of a market-wide one."""
    spec = column.spec
    declared = {"fields": spec.fields, "series": spec.series, "where": spec.name}
    view = View(panel, side, **declared, first=first, state=states.get(spec.name), memo=memo)
    try:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            values = np.asarray(column.function(view, **spec.params))
    except MnpuError:
        raise
    except Exception as error:  # code of a plugin: whatever it raises is its failure, not the user's
        raise _raised(column, error) from error
    expected = panel.shape if spec.scope == "symbol" else panel.shape[:1]
    if values.shape != expected or values.dtype.kind not in "fiub":
        raise PluginError(
            f"returned {values.dtype} {values.shape}",
            where=f"feature {spec.name} of {column.dist}",
            expected=f"float64 {expected}, as its scope is {spec.scope!r}",
        )
    return values[first:] if spec.scope == "symbol" else values[first:, None]


def _raised(column: PlannedFeature, error: Exception) -> PluginError:
    return PluginError(f"raised {type(error).__name__}: {error}", where=f"feature {column.name} of {column.dist}")


def _write(out: np.ndarray, values: np.ndarray) -> None:
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused by whoever asked
        out[...] = values
