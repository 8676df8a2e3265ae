"""Compute the planned columns on a panel, and refuse data on which one of them would be wrong or empty."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mnpu.errors import DataError, MnpuError
from mnpu.features.api import Memo
from mnpu.features.evaluation import States, fill, fresh_states, jobs
from mnpu.features.plan import PlannedFeature
from mnpu.types import DatasetInfo, FeatureFrame, FeatureSpec, Panel, SeriesInfo, SideTable, table_of

__all__ = ["as_declared", "check", "compute", "compute_latest", "evaluate", "refuse_unknown", "require_series"]


def compute(planned: Sequence[PlannedFeature], panel: Panel, side: SideTable) -> FeatureFrame:
    """Compute every column over the whole panel.

    Parameters
    ----------
    planned : sequence of PlannedFeature
        F columns.
    panel : Panel
        T bars of A symbols.
    side : SideTable
        Holds every series that the columns read.

    Returns
    -------
    frame : FeatureFrame
        ``values`` float32 (T, A, F); NaN where a column has no value.

    Raises
    ------
    DataError
        A symbol lacks a field; a column needs price levels and a vendor adjusted them; a series is missing; the data
        is shorter than a warm-up; a column has no value at all, or an infinite one.
    """
    check(planned, panel, side)
    frame = _computed(planned, panel, side)
    for f, column in enumerate(planned):
        if np.isnan(frame.values[..., f]).all():
            raise _empty(column, panel, side)
    return frame


def compute_latest(planned: Sequence[PlannedFeature], panel: Panel, side: SideTable) -> FeatureFrame:
    """Compute the same columns on a few recent bars, where a column without a value is one more missing value.

    The data passed :func:`check` when the pipeline was fitted; rows before a column's warm-up are NaN or come from
    too short a past, so a caller keeps only those after the longest warm-up.
    """
    return _computed(planned, panel, side)


def _computed(planned: Sequence[PlannedFeature], panel: Panel, side: SideTable) -> FeatureFrame:
    values = np.empty((len(planned), *panel.shape), dtype=np.float32)
    _fill(planned, panel, side, values, 0, None)
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
    for f, column in enumerate(planned):
        if np.isinf(values[f]).any():
            t, a = np.argwhere(np.isinf(values[f]))[0]
            raise DataError(
                f"the value of {panel.symbols[a]} at {panel.times[t]:%Y-%m-%d %H:%M} is infinite, or too large",
                where=f"feature {column.name}",
                expected="a number, or NaN where it is undefined",
            )
    specs = tuple(as_declared(column.spec, side.info) for column in planned)
    names = tuple(column.name for column in planned)
    return FeatureFrame(panel.times, panel.symbols, np.moveaxis(values, 0, -1), names, panel.decidable, specs)


def _check_levels(spec: FeatureSpec, panel: Panel) -> None:
    adjusted = [a for a, info in enumerate(panel.datasets) if info.adjustment != "none"]
    if spec.scale_free or not spec.fields or not adjusted:
        return
    info, symbols = _of_first_dataset(adjusted, panel)
    raise DataError(
        f"it reads price levels, and those of {symbols} in dataset {info.name} are adjusted ({info.adjustment}) with "
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
        if not (side.series == name).any():
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
