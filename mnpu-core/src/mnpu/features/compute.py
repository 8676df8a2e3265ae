"""Compute the planned columns on a panel, and refuse data on which one of them would be wrong or empty."""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mnpu.engine import Engine, LocalEngine
from mnpu.errors import DataError, MnpuError
from mnpu.features.api import Memo
from mnpu.features.evaluation import States, Target, Work, fill, fresh_states, jobs, run
from mnpu.features.kept import Request, kept
from mnpu.features.plan import PlannedFeature
from mnpu.progress import Progress, Silent
from mnpu.types import DatasetInfo, FeatureFrame, FeatureSpec, Panel, SeriesInfo, SideTable, table_of

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

#: Fields in the currency of a price, and the share of a column's values that may change when they are multiplied:
#: where two prices are nearly equal, rounding may decide.
MONEY = ("open", "high", "low", "close", "dividend", "total_close", "delisting")
FEW = 1e-3
#: Rows on which that is tried.
NEWEST = 64


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
        refuse(list(engine.map(inspect, range(len(planned)), shared=work)), planned, panel, side)
        _check_scale_free(planned, panel, side)

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


@dataclass(frozen=True)
class Inspected:
    """What one column looks like: whether it holds anything, and the place (T, A) of its first infinite value."""

    empty: bool
    infinite: tuple[int, int] | None


def inspect(work: Work, f: int) -> Inspected:
    """Look at the column with number ``f``."""
    values = work.target.array[f]
    return Inspected(bool(np.isnan(values).all()), _infinite(values))


def refuse(inspected: Sequence[Inspected], planned: Sequence[PlannedFeature], panel: Panel, side: SideTable) -> None:
    """Refuse a column that is infinite somewhere, or has no value at all."""
    for column, found in zip(planned, inspected, strict=True):
        if found.infinite is not None:
            raise _too_large(column, panel, *found.infinite)
    for column, found in zip(planned, inspected, strict=True):
        if found.empty:
            raise _empty(column, panel, side)


def compute_latest(planned: Sequence[PlannedFeature], panel: Panel, side: SideTable) -> FeatureFrame:
    """Compute the same columns on a few recent bars, where a column without a value is one more missing value.

    The data passed :func:`check` when the pipeline was fitted; rows before a column's warm-up are NaN or come from
    too short a past, so a caller keeps only those after the longest warm-up.
    """
    values = np.empty((len(planned), *panel.shape), dtype=np.float32)
    _fill(planned, panel, side, values, 0, None)
    for f, column in enumerate(planned):
        place = _infinite(values[f])
        if place is not None:
            raise _too_large(column, panel, *place)
    return _frame(planned, panel, side, values)


def evaluate(
    planned: Sequence[PlannedFeature], panel: Panel, side: SideTable, *, first: int = 0, states: States | None = None
) -> np.ndarray:
    """Values of every column from row ``first`` on, float64 (T - first, A, F), without any check on the data.

    ``states`` holds what columns carry, as it stands before ``first``, and is brought on; by default nothing was
    carried yet.
    """
    values = np.empty((len(planned), panel.shape[0] - first, panel.shape[1]))
    _fill(planned, panel, side, values, first, states)
    return np.moveaxis(values, 0, -1)


def _fill(
    planned: Sequence[PlannedFeature],
    panel: Panel,
    side: SideTable,
    out: np.ndarray,
    first: int,
    states: States | None,
) -> None:
    carried = fresh_states(planned, panel.shape[1]) if states is None else states
    memo = Memo()
    for job in jobs(planned, panel.shape[0], first=first):
        fill(job, planned, panel, side, out, states=carried, memo=memo, origin=first)


def scale_changes(
    planned: Sequence[PlannedFeature], panel: Panel, side: SideTable, values: np.ndarray, symbols: Sequence[int]
) -> np.ndarray:
    """Where ``values`` change when the prices of each of ``symbols`` are multiplied by a number of its own.

    Boolean, of the shape of ``values``, which are those of the last rows; nowhere true for a scale-free column. The
    numbers are powers of two, so that ratios stay equal to the last bit; they differ between symbols, as adjustments
    do, so that comparing prices of two symbols shows.
    """
    factor = np.ones(panel.shape[1])
    factor[list(symbols)] = 2.0 ** (1 + np.arange(len(symbols)) * 5 % 11)
    money = {name: field * factor for name, field in panel.fields.items() if name in MONEY}
    scaled = replace(panel, fields={**panel.fields, **money})
    other = evaluate(planned, scaled, side, first=len(panel.times) - len(values))
    size = np.max(np.abs(values), axis=(0, 1), initial=0.0, where=np.isfinite(values))
    changed: np.ndarray = ~np.isclose(other, values, rtol=1e-6, atol=1e-9 * size, equal_nan=True)
    return changed


def _infinite(values: np.ndarray) -> tuple[int, int] | None:
    """The first place (T, A) that is infinite."""
    found = np.isinf(values)
    if not found.any():
        return None
    t, a = np.unravel_index(int(found.argmax()), found.shape)
    return int(t), int(a)


def _too_large(column: PlannedFeature, panel: Panel, t: int, a: int) -> DataError:
    return DataError(
        f"the value of {panel.symbols[a]} at {panel.times[t]:%Y-%m-%d %H:%M} is infinite, or too large",
        where=f"feature {column.name}",
        expected="a number, or NaN where it is undefined",
    )


def check(planned: Sequence[PlannedFeature], panel: Panel, side: SideTable) -> None:
    """Refuse a panel or a side table that some column cannot be computed on."""
    lacking = _lacking({name for column in planned for name in column.spec.fields}, panel)
    for column in planned:
        _check_levels(column.spec, panel)
        _check_fields(column, panel, lacking)
        _check_series(column, side)
        _check_length(column.spec, panel)


def require_series(
    planned: Sequence[PlannedFeature], held: Iterable[str] | Mapping[str, SeriesInfo], *, where: str
) -> None:
    """Refuse a store that lacks a series of some column; each missing series is named once, with who reads it.

    Parameters
    ----------
    planned : sequence of PlannedFeature
    held : iterable of str, or mapping of str to SeriesInfo
        The series that the store holds; a message names those of the table that is read, where it is known.
    where : str
        The store, for the message.
    """
    names = list(held)
    missing: dict[str, PlannedFeature] = {}
    for column in planned:
        missing.update({name: column for name in column.spec.series if name not in names and name not in missing})
    errors = [_missing(name, column, _alike(column, held, names), where) for name, column in missing.items()]
    if errors:
        name, column = next(iter(missing.items()))
        raise _missing(name, column, _alike(column, held, names), where, others=errors[1:])


def _alike(column: PlannedFeature, held: Iterable[str] | Mapping[str, SeriesInfo], names: list[str]) -> list[str]:
    """The series of the column's own table, where it is known which are; all where there is none."""
    if not isinstance(held, Mapping):
        return names
    return [name for name, info in held.items() if table_of(info.kind) == table_of(column.spec.kind)] or names


def refuse_unknown(planned: Sequence[PlannedFeature], whole: SideTable) -> None:
    """Refuse the columns that read a series of ``whole``, of which nothing was known in the chosen range.

    ``whole`` holds all rows of such series, whenever they became known, so that the message can say what they cover.
    """
    for column in planned:
        for name in column.spec.series:
            if name in whole.info:
                raise _unread(name, column, _coverage(name, whole))


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


def _check_levels(spec: FeatureSpec, panel: Panel) -> None:
    if not spec.scale_free and spec.fields and (adjusted := _adjusted(panel)):
        raise _levels("it reads price levels", spec, adjusted, panel)


def _check_scale_free(planned: Sequence[PlannedFeature], panel: Panel, side: SideTable) -> None:
    """Refuse a column that says it is scale-free, and is not, where it could read an adjusted level.

    The newest rows tell, after a warm-up of their own.
    """
    adjusted = _adjusted(panel)
    claims = [f for f, column in enumerate(planned) if column.spec.scale_free and column.spec.fields]
    if not adjusted or not claims:
        return
    columns, rows = [planned[f] for f in claims], len(panel.times)
    recent = panel.rows(max(rows - max(column.spec.warmup for column in columns) - NEWEST, 0), rows)
    first = 0 if any(column.spec.state for column in columns) else max(len(recent.times) - NEWEST, 0)
    values = evaluate(columns, recent, side, first=first)
    share = scale_changes(columns, recent, side, values, adjusted).mean(axis=(0, 1))
    for column, changed in zip(columns, share.tolist(), strict=True):
        if changed > FEW:
            what = "it reads price levels, although it says that it is scale-free"
            raise _levels(what, column.spec, adjusted, panel)


def _adjusted(panel: Panel) -> list[int]:
    return [a for a, info in enumerate(panel.datasets) if info.adjustment != "none"]


def _levels(what: str, spec: FeatureSpec, adjusted: Sequence[int], panel: Panel) -> DataError:
    info, symbols = _of_first_dataset(adjusted, panel)
    return DataError(
        f"{what}, and those of {symbols} in dataset {info.name} are adjusted ({info.adjustment}) with "
        f"knowledge of {info.adjusted_as_of}, so nobody knew them at the time",
        where=f"feature {spec.name}",
        expected="prices as traded, or a scale-free feature",
        next_step="Remove the feature or choose a dataset without adjustment.",
    )


def _lacking(fields: Iterable[str], panel: Panel) -> dict[str, list[int]]:
    """The listed symbols, by number, that have no value of a field at all."""
    listed: np.ndarray = np.any(panel.tradable, axis=0)
    found = {}
    for name in fields:
        values = panel.fields.get(name)
        present: np.ndarray = np.zeros(len(listed), bool) if values is None else np.isfinite(values).any(axis=0)
        found[name] = np.flatnonzero(listed & ~present).tolist()
    return found


def _check_fields(column: PlannedFeature, panel: Panel, without: Mapping[str, list[int]]) -> None:
    for name in column.spec.fields:
        lacking = without[name]
        if lacking:
            info, symbols = _of_first_dataset(lacking, panel)
            raise DataError(
                f"dataset {info.name} has no {name} for {symbols} in table prices, which {column.dist} reads",
                where=f"feature {column.name}",
                expected=f"the field {name} for every symbol",
                next_step="Remove the feature or the symbol, or choose another dataset.",
            )


def _of_first_dataset(rows: Sequence[int], panel: Panel) -> tuple[DatasetInfo, str]:
    """The dataset of the first of these symbols, and up to three of those that are in it."""
    info = panel.datasets[rows[0]]
    symbols = [panel.symbols[a] for a in rows if panel.datasets[a] == info]
    more = f" and {len(symbols) - 3} more" if len(symbols) > 3 else ""
    return info, ", ".join(symbols[:3]) + more


def _check_series(column: PlannedFeature, side: SideTable) -> None:
    for name in column.spec.series:
        if not len(side.find(name)):
            there = sorted(set(side.series.tolist()))
            raise _unread(name, column) if name in side.info else _missing(name, column, there, "the side table")


def _missing(
    name: str, column: PlannedFeature, held: Sequence[str], where: str, *, others: Sequence[MnpuError] = ()
) -> DataError:
    """A series that is not there: its table, the plugin that reads it, and what to do."""
    close = difflib.get_close_matches(name, held, n=1)
    guess = f"Did you mean {close[0]!r}? " if close else ""
    return DataError(
        f"series {name!r} of table {table_of(column.spec.kind)}, which {column.dist} reads, is not in {where}",
        where=f"feature {column.name}",
        expected=f"one that is there ({_some(held)})",
        next_step=f"{guess}See what is there with: mnpu data info. Import the series, or remove the feature.",
        others=others,
    )


def _unread(name: str, column: PlannedFeature, covered: str = "") -> DataError:
    """A series that the store declares, and of which nothing was known by the end of the range."""
    return DataError(
        f"nothing of series {name!r} of table {table_of(column.spec.kind)}, which {column.dist} reads, was known by "
        "the end of the data",
        where=f"feature {column.name}",
        expected=f"some, and {covered}" if covered else "a value that was known by then",
        next_step="Choose other dates or remove the feature.",
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return (", ".join(names[:20]) or "no series at all") + more


def _check_length(spec: FeatureSpec, panel: Panel) -> None:
    bars = len(panel.times)
    if bars < spec.warmup:
        raise DataError(
            f"the data has {bars} bars{_span(panel)}, too short a history",
            where=f"feature {spec.name}",
            expected=f"at least {spec.warmup} bars",
            next_step="Start earlier or shorten its window.",
        )


def _empty(column: PlannedFeature, panel: Panel, side: SideTable) -> DataError:
    covered = "; ".join(_coverage(name, side) for name in column.spec.series)
    return DataError(
        f"has no value in {len(panel.times)} bars{_span(panel)}",
        where=f"feature {column.name}",
        expected=f"some, and {covered}" if covered else f"some after its warm-up of {column.spec.warmup} bars",
        next_step="Choose other dates or remove the feature.",
    )


def _coverage(name: str, side: SideTable) -> str:
    known = side.knowledge_time[side.series == name]
    if len(known) == 0:
        return f"{name} has no value at all"
    age = side.info[name].max_age
    days = "" if age is None else f" (void when older than {age / np.timedelta64(1, 'D'):g} days)"
    return f"{name} became known between {known.min():%Y-%m-%d} and {known.max():%Y-%m-%d}{days}"


def _span(panel: Panel) -> str:
    if len(panel.times) == 0:
        return ""
    return f" from {panel.times[0]:%Y-%m-%d} to {panel.times[-1]:%Y-%m-%d}"
