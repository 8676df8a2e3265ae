"""Refuse data on which a column would be wrong or empty, and say what is missing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mnpu.errors import DataError, MnpuError
from mnpu.features.evaluation import Work
from mnpu.features.plan import PlannedFeature
from mnpu.types import DatasetInfo, FeatureSpec, Panel, SeriesInfo, SideTable, table_of

__all__ = [
    "Inspected",
    "adjusted_symbols",
    "check",
    "infinite",
    "inspect",
    "levels_error",
    "refuse",
    "refuse_unknown",
    "require_series",
    "too_large",
]


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


def refuse_unknown(planned: Sequence[PlannedFeature], whole: SideTable) -> None:
    """Refuse the columns that read a series of ``whole``, of which nothing was known in the chosen range.

    ``whole`` holds all rows of such series, whenever they became known, so that the message can say what they cover.
    """
    for column in planned:
        for name in column.spec.series:
            if name in whole.info:
                raise _unread(name, column, _coverage(name, whole))


@dataclass(frozen=True)
class Inspected:
    """What one column looks like: whether it holds anything, and the place (T, A) of its first infinite value."""

    empty: bool
    infinite: tuple[int, int] | None


def inspect(work: Work, f: int) -> Inspected:
    """Look at the column with number ``f``."""
    values = work.target.array[f]
    empty = bool(np.isnan(values[-1:]).all() and np.isnan(values).all())  # one row tells nearly always
    return Inspected(empty, infinite(values))


def refuse(inspected: Sequence[Inspected], planned: Sequence[PlannedFeature], panel: Panel, side: SideTable) -> None:
    """Refuse a column that is infinite somewhere, or has no value at all."""
    for column, found in zip(planned, inspected, strict=True):
        if found.infinite is not None:
            raise too_large(column, panel, *found.infinite)
    for column, found in zip(planned, inspected, strict=True):
        if found.empty:
            raise _empty(column, panel, side)


def infinite(values: np.ndarray) -> tuple[int, int] | None:
    """The first place (T, A) that is infinite."""
    found = np.isinf(values)
    if not found.any():
        return None
    t, a = np.unravel_index(int(found.argmax()), found.shape)
    return int(t), int(a)


def too_large(column: PlannedFeature, panel: Panel, t: int, a: int) -> DataError:
    """The error about an infinite value."""
    return DataError(
        f"the value of {panel.symbols[a]} at {panel.times[t]:%Y-%m-%d %H:%M} is infinite, or too large",
        where=f"feature {column.name}",
        expected="a number, or NaN where it is undefined",
    )


def _check_levels(spec: FeatureSpec, panel: Panel) -> None:
    if not spec.scale_free and spec.fields and (adjusted := adjusted_symbols(panel)):
        raise levels_error("it reads price levels", spec, adjusted, panel)


def adjusted_symbols(panel: Panel) -> list[int]:
    """The symbols, by number, whose prices a vendor adjusted with later knowledge."""
    return [a for a, info in enumerate(panel.datasets) if info.adjustment != "none"]


def levels_error(what: str, spec: FeatureSpec, adjusted: Sequence[int], panel: Panel) -> DataError:
    """The error about a column that reads levels of adjusted prices."""
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


def _alike(column: PlannedFeature, held: Iterable[str] | Mapping[str, SeriesInfo], names: list[str]) -> list[str]:
    """The series of the column's own table, where it is known which are; all where there is none."""
    if not isinstance(held, Mapping):
        return names
    return [name for name, info in held.items() if table_of(info.kind) == table_of(column.spec.kind)] or names


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
