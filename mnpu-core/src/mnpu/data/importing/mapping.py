"""What a mapping file may say: which files hold what, which column means what, and when a row became known.

A mapping is YAML with the strict scalars of a pipeline, and every fault is told with its line and column.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from mnpu.config.explain import explain, first_of
from mnpu.config.tree import Tree
from mnpu.config.yaml import read_file
from mnpu.data.importing.words import (
    LONGEST_DAYS,
    CalendarName,
    Capture,
    Clock,
    Duration,
    Frequency,
    Moment,
    Regex,
    Text,
    TimePattern,
    Zone,
)
from mnpu.errors import ConfigError

__all__ = [
    "AssetSpec",
    "Assets",
    "CsvFormat",
    "DatasetSpec",
    "DayEnds",
    "Entry",
    "Knowledge",
    "Lag",
    "LoadedMapping",
    "ImportMapping",
    "SeriesRules",
    "SeriesSpec",
    "TimeFormat",
    "load_mapping",
]

Kind = Literal["macro", "onchain", "funding", "fundamental", "benchmark", "calendar", "news", "other"]
Period = Literal["instant", "day", "month", "quarter", "mid_month", "year"]
TableName = Literal[
    "prices", "observations", "calendar", "news", "news_scores", "corporate_actions", "universe", "assets"
]

_TIME = ("time", "date", "clock")

#: The columns that each table can have, by the role that a mapping gives them.
ROLES: Mapping[str, frozenset[str]] = {
    "prices": frozenset({*_TIME, "symbol", "open", "high", "low", "close", "adj_close", "volume"}),
    "observations": frozenset({*_TIME, "symbol", "series", "value", "fiscal_year"}),
    "calendar": frozenset(
        {*_TIME, "symbol", "series", "forecast", "actual", "previous", "impact", "cancelled", "replaces"}
    ),
    "news": frozenset({*_TIME, "symbol", "series", "id", "text", "body"}),
    "news_scores": frozenset({*_TIME, "series", "id", "text", "body", "model", "score"}),
    "corporate_actions": frozenset({*_TIME, "symbol", "kind", "label", "ratio", "amount"}),
    "universe": frozenset({*_TIME, "universe", "symbol", "end"}),
    "assets": frozenset({"symbol", "class", "currency", "calendar", "base", "listed", "delisted", "delisting_return"}),
}

_SIDE = ("observations", "calendar", "news", "news_scores")
_SCHEDULES = ("calendar", "corporate_actions", "universe")
#: The keys that mean something in some tables only; in another one they would be passed over in silence.
ONLY_IN: Mapping[str, tuple[str, ...]] = {
    "wide": ("observations",),
    **dict.fromkeys(("period", "day_ends", "series", "series_name", "rename_series", "prefix"), _SIDE),
    **dict.fromkeys(("negative", "assets"), ("prices",)),
    **dict.fromkeys(("kind", "label"), ("corporate_actions",)),
    "universe": ("universe",),
    "model": ("news_scores",),
}


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class CsvFormat(_Block):
    """How a text file is written."""

    delimiter: str | None = Field(
        default=None, description="One character; detected among comma, semicolon, tab and bar."
    )
    header: bool | list[str] = Field(
        default=True, description="False, or the names of the columns of a file without one."
    )
    encoding: str = Field(default="utf-8", description="Of the file's bytes.")
    decimal: Literal[".", ","] = "."
    skip_lines: int = Field(default=0, ge=0, description="Lines before the header.")
    quoted_newlines: bool = Field(default=False, description="Whether a quoted cell may hold a line break.")


class TimeFormat(_Block):
    """How times are written."""

    format: TimePattern | None = Field(
        default=None, description="As in strptime, for example %d/%m/%Y; ISO is detected."
    )
    unit: Literal["s", "ms", "us", "ns"] | None = Field(default=None, description="Of numbers since 1970.")
    zone: Zone | None = Field(default=None, description="Of times that carry none.")


class Lag(_Block):
    """A release rule: so long after the end of the period, or at a time of day that many days later."""

    days: int = Field(default=0, ge=0, le=LONGEST_DAYS)
    hours: float = Field(default=0, ge=0, le=24 * LONGEST_DAYS)
    time: Clock | None = Field(default=None, description="Time of day of the release.")
    zone: Zone = "UTC"


class Knowledge(_Block):
    """When a row could first be read."""

    column: str | None = Field(default=None, description="The column that says so.")
    lag: Lag | None = Field(default=None, description="A rule for rows without a recorded moment.")
    lead: Duration | None = Field(default=None, description="How long before its date a schedule is known.")
    censored: Moment | None = Field(
        default=None, description="Moments at or before this one (or the column's earliest) may be older than they say."
    )
    censored_column: str | None = Field(default=None, description="A column that says which rows are left-censored.")
    zone: Zone | None = Field(default=None, description="Of times in the column that carry none.")


class DayEnds(_Block):
    """The time of day at which a dated value stood fast."""

    time: Clock
    zone: Zone = "UTC"


class DatasetSpec(_Block):
    """What a dataset of prices declares."""

    name: Text
    vendor: Text
    frequency: Frequency
    stamp: Literal["close", "open", "session_date"]
    adjustment: Literal["none", "split", "split+dividend"] = "none"
    adjusted_as_of: str = ""
    calendar: CalendarName
    currency: Text
    licence: Text
    note: str = ""

    @model_validator(mode="after")
    def _dated(self) -> DatasetSpec:
        if (self.adjustment == "none") != (not self.adjusted_as_of):
            raise PydanticCustomError("adjusted", "adjusted_as_of where, and only where, the vendor adjusted prices")
        return self


class AssetSpec(_Block):
    """What an asset is."""

    asset_class: str | None = Field(default=None, alias="class")
    currency: str | None = None
    calendar: CalendarName | None = None
    base: str | None = None
    listed: str | None = None
    delisted: str | None = None
    delisting_return: float | None = Field(default=None, ge=-1)


class Assets(_Block):
    """What the assets of a dataset are: all of them, and single ones."""

    asset_class: str = Field(default="", alias="class")
    base: dict[Regex, str] = Field(
        default={}, description="From a pattern of symbols to the name that side data is filed by."
    )
    symbols: dict[str, AssetSpec] = {}


class SeriesRules(_Block):
    """What one series says differently from the others of its entry."""

    kind: Kind | None = None
    frequency: str | None = None
    unit: str | None = None
    max_age: Duration | None = None
    source: str | None = None
    licence: str | None = None
    note: str | None = None
    period: Period | None = None
    day_ends: DayEnds | None = None
    knowledge: Knowledge | None = None


class SeriesSpec(SeriesRules):
    """What the series of an entry declare."""

    names: dict[str, SeriesRules] = {}
    only: bool = Field(default=False, description="Whether a series that names does not list is refused.")


class Entry(_Block):
    """Files of one shape, and what they hold."""

    files: str | list[str]
    table: TableName
    optional: bool = Field(default=False, description="Whether it is no fault if no file matches.")
    format: Literal["csv", "parquet", "sqlite"] | None = None
    member: str = Field(default="", description="The file inside a zip or tar archive.")
    query: str | None = Field(default=None, description="Of an SQLite file: the SELECT that gives the rows.")
    csv: CsvFormat = CsvFormat()
    columns: dict[str, str] = Field(
        default={}, description="From a role to the column's name; common names are detected."
    )
    wide: dict[str, str] = Field(default={}, description="From a series to its column, for one column a series.")
    where: dict[str, list[str | int | float | bool]] = Field(
        default={}, description="Only rows with one of these values."
    )
    where_not: dict[str, list[str | int | float | bool]] = Field(
        default={}, description="No rows with one of these values."
    )
    symbol: str | None = Field(default=None, description="Of every row.")
    symbol_from_file: Capture | None = Field(
        default=None, description="Its first group in the file's name is the symbol."
    )
    rename_symbols: dict[str, str] = {}
    rename_series: dict[str, str] = {}
    prefix: str = Field(default="", description="Before the name of every series.")
    series_name: str | None = Field(default=None, description="Of every row.")
    time: TimeFormat = TimeFormat()
    period: Period = Field(default="instant", description="What a time stands for; a period is over at its end.")
    day_ends: DayEnds | None = Field(
        default=None, description="When a day is over; by default at its last second, UTC."
    )
    missing: list[str | int | float] = Field(default=[], description="Cells that mean that there is no value.")
    scale: dict[str, float] | float = Field(
        default=1.0, description="Factor of prices or values, or one for each column."
    )
    negative: bool = Field(default=False, description="Whether prices may be zero or negative.")
    knowledge: Knowledge | None = None
    dataset: DatasetSpec | str | None = None
    assets: Assets = Assets()
    series: SeriesSpec | None = None
    universe: str | None = None
    kind: Literal["split", "dividend"] | None = None
    label: str = Field(default="", description="Tells a dividend from others of its day, as special.")
    model: str = Field(default="", description="Who computed the scores of texts.")
    source: str = ""


class ImportMapping(_Block):
    """A mapping file."""

    imports: list[Entry] = Field(min_length=1)


@dataclass(frozen=True)
class LoadedMapping:
    """A checked mapping; ``where(i)`` is the place of its i-th entry."""

    path: Path
    entries: tuple[Entry, ...]
    tree: Tree
    sha256: str

    def where(self, index: int, *keys: str | int) -> str:
        """File, line and column of a value of an entry, or of the entry itself."""
        return self.tree.where(("imports", index, *keys))


def load_mapping(path: str | os.PathLike[str], *, env: Mapping[str, str] = os.environ) -> LoadedMapping:
    """Read and check a mapping file.

    Raises
    ------
    ConfigError
        With file, line and column; the first of several, the others listed below it.
    """
    path = Path(path)
    tree = read_file(path, env=env)
    try:
        mapping = ImportMapping.model_validate(tree.value)
    except ValidationError as error:
        raise first_of(explain(error, tree, ImportMapping)) from None
    faults = [fault for index, entry in enumerate(mapping.imports) for fault in _faults(entry, index, tree)]
    if faults:
        raise first_of(faults)
    return LoadedMapping(path, tuple(mapping.imports), tree, hashlib.sha256(path.read_bytes()).hexdigest())


def _faults(entry: Entry, index: int, tree: Tree) -> list[ConfigError]:
    """What does not fit together in one entry."""
    here, found = ("imports", index), []

    def fault(key: str, what: str, *, expected: str = "", step: str = "") -> None:
        place = tree.where((*here, *key.split("."))) if key else tree.where(here)
        found.append(
            ConfigError(
                f"imports.{index}{'.' + key if key else ''} {what}", where=place, expected=expected, next_step=step
            )
        )

    def out_of_place(key: str, tables: Sequence[str]) -> None:
        if entry.table not in tables:
            fault(
                key,
                f"says nothing in a table of {entry.table}",
                expected=f"it in a table of {' or '.join(tables)}",
                step="Remove it.",
            )

    for key, tables in ONLY_IN.items():
        if key in entry.model_fields_set:
            out_of_place(key, tables)
    if entry.knowledge is not None and entry.knowledge.lead is not None:
        out_of_place("knowledge.lead", _SCHEDULES)
    roles = ROLES[entry.table]
    for role in entry.columns:
        if role not in roles:
            place = tree.where_key((*here, "columns", role))
            found.append(_unknown_role(f"columns.{role}", roles, place, index))
    scales = entry.scale if isinstance(entry.scale, dict) else {"": entry.scale}
    for role, factor in scales.items():
        if role and role not in roles:
            place = tree.where_key((*here, "scale", role))
            found.append(_unknown_role(f"scale.{role}", roles, place, index))
        if factor == 0:
            fault("scale", "has a factor of 0", expected="what each value is multiplied by")
    if isinstance(entry.csv.header, list) and (twice := _first_repeated(entry.csv.header)) is not None:
        place = tree.where((*here, "csv", "header"))
        found.append(
            ConfigError(f"imports.{index}.csv.header names {twice!r} twice", where=place, expected="each once")
        )
    if entry.table == "prices" and not isinstance(entry.dataset, DatasetSpec):
        fault("dataset", "does not declare a dataset", expected="a map with name, vendor, frequency, stamp, ...")
    if entry.table in ("corporate_actions", "assets") and entry.dataset is None:
        fault("", "names no dataset", expected="dataset: the name of the dataset that its symbols belong to")
    if entry.table in ("observations", "calendar", "news") and entry.series is None:
        fault("", "does not declare its series", expected="series: {kind, frequency, max_age, source, licence, ...}")
    if entry.series is not None:
        wanted = {"calendar": "calendar", "news": "news"}.get(entry.table)
        if wanted and entry.series.kind not in (None, wanted):
            fault("series", f"has kind {entry.series.kind}", expected=f"kind {wanted} in a table of {entry.table}")
        for key in ("max_age", "source", "licence"):
            if getattr(entry.series, key) is None and not _told_by_all(entry.series, key):
                fault("series", f"does not say its {key}", step="It is required for every series.")
    return found


def _told_by_all(series: SeriesSpec, key: str) -> bool:
    return series.only and all(getattr(rules, key) is not None for rules in series.names.values())


def _first_repeated(names: Sequence[str]) -> str | None:
    return next((name for i, name in enumerate(names) if name in names[:i]), None)


def _unknown_role(key: str, roles: frozenset[str], place: str, index: int) -> ConfigError:
    from difflib import get_close_matches

    near = get_close_matches(key.partition(".")[2], roles, n=1)
    return ConfigError(
        f"imports.{index}.{key} is no role" + ("" if near else f", expected one of {', '.join(sorted(roles))}"),
        where=place,
        next_step=f"Did you mean '{near[0]}'?" if near else "Remove it.",
    )
