"""Compute the planned columns on a panel, and refuse data on which one of them would be wrong or empty."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from mnpu.engine import Engine, LocalEngine
from mnpu.errors import MnpuError
from mnpu.features.checks import Inspected, check, infinite, inspect, refuse, refuse_unknown, require_series, too_large
from mnpu.features.evaluation import Target, Work, evaluate, evaluate_into, fresh_states, jobs, run
from mnpu.features.kept import Request, kept
from mnpu.features.plan import PlannedFeature
from mnpu.features.scales import find_level, scale_changes
from mnpu.progress import Progress, Silent
from mnpu.types import FeatureFrame, FeatureSpec, Panel, SeriesInfo, SideTable

__all__ = [
    "as_declared",
    "check",
    "compute",
    "compute_latest",
    "evaluate",
    "refuse_unknown",
    "require_series",
    "scale_changes",
]


def compute(
    planned: Sequence[PlannedFeature],
    panel: Panel,
    side: SideTable,
    *,
    engine: Engine | None = None,
    progress: Progress | None = None,
    cache: Path | None = None,
) -> FeatureFrame:
    """Compute every column over the whole panel.

    Parameters
    ----------
    planned : sequence of PlannedFeature
        F columns.
    panel : Panel
        T bars of A symbols.
    side : SideTable
        Holds every series that the columns read.
    engine : Engine, optional
        Where the work runs; the values are the same anywhere. By default here, one column after the other.
    progress : Progress, optional
        Shows how many columns are done.
    cache : Path, optional
        Folder whose columns are used as far as nothing they depend on has changed, and that gets what is new:
        `mnpu.data.cache.folder`. The values are the same with it and without.

    Returns
    -------
    frame : FeatureFrame
        ``values`` float32 (T, A, F); NaN where a column has no value.

    Raises
    ------
    DataError
        A symbol lacks a field; a column reads price levels, whatever it says, and a vendor adjusted them; a series is
        missing; the data is shorter than a warm-up; a column has no value at all, or an infinite one.
    """
    check(planned, panel, side)
    engine = LocalEngine() if engine is None else engine

    def accept(work: Work) -> None:
        level, *inspected = engine.map(_look, [-1, *range(len(planned))], shared=work)
        refuse([each for each in inspected if isinstance(each, Inspected)], planned, panel, side)
        if isinstance(level, MnpuError):
            raise level

    with (progress or Silent()).bar(len(planned)) as advance:
        values = None
        if cache is not None:
            values = kept(Request(planned, panel, side, engine, advance, accept), cache)
        if values is None:
            with _room((len(planned), *panel.shape), engine) as target:
                work = Work(planned, panel, side, target, fresh_states(planned, panel.shape[1]))
                run(work, jobs(planned, panel.shape[0]), engine=engine, advance=advance)
                accept(work)
                values = target.array
        return _frame(planned, panel, side, values)


def _look(work: Work, f: int) -> Inspected | MnpuError | None:
    """Look at one column, or, where ``f`` is -1, for levels in all of them: that takes longest, so it goes first."""
    return find_level(work) if f < 0 else inspect(work, f)


@contextmanager
def _room(shape: tuple[int, ...], engine: Engine) -> Iterator[Target]:
    """Where the columns are written: in memory, or in a file where the engine's workers share none."""
    if engine.shares_memory:
        yield Target(shape, "float32", held=np.empty(shape, dtype=np.float32))
        return
    with tempfile.TemporaryDirectory(prefix="mnpu-", ignore_cleanup_errors=True) as folder:
        path = Path(folder, "columns")
        with path.open("wb") as file:
            file.truncate(int(np.prod(shape)) * 4)
        yield Target(shape, "float32", str(path))


def compute_latest(planned: Sequence[PlannedFeature], panel: Panel, side: SideTable) -> FeatureFrame:
    """Compute the same columns on a few recent bars, where a column without a value is one more missing value.

    The data passed :func:`check` when the pipeline was fitted; rows before a column's warm-up are NaN or come from
    too short a past, so a caller keeps only those after the longest warm-up.
    """
    values = np.empty((len(planned), *panel.shape), dtype=np.float32)
    evaluate_into(values, planned, panel, side)
    for f, column in enumerate(planned):
        place = infinite(values[f])
        if place is not None:
            raise too_large(column, panel, *place)
    return _frame(planned, panel, side, values)


def as_declared(spec: FeatureSpec, info: Mapping[str, SeriesInfo]) -> FeatureSpec:
    """The spec with what its series declare about when they are known; as it is where one is not there."""
    if not all(name in info for name in spec.series):
        return spec
    declared = [info[name] for name in spec.series]
    lags, bases = tuple(each.release_lag for each in declared), tuple(each.basis for each in declared)
    return replace(spec, release_lags=lags, bases=bases)


def _frame(planned: Sequence[PlannedFeature], panel: Panel, side: SideTable, values: np.ndarray) -> FeatureFrame:
    """The frame of ``values``, float32 (F, T, A)."""
    specs = tuple(as_declared(column.spec, side.info) for column in planned)
    names = tuple(column.name for column in planned)
    return FeatureFrame(panel.times, panel.symbols, np.moveaxis(values, 0, -1), names, panel.decidable, specs)
