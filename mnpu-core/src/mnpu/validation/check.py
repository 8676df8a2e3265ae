"""Check a whole store: every validator on every table that it reads, with what the store knows beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from mnpu.data.calendars import Calendar, get_calendar
from mnpu.data.clock import FIRST_NS, LAST_NS
from mnpu.data.rows import PriceRows
from mnpu.data.store import Store
from mnpu.errors import MnpuError
from mnpu.frequencies import FREQUENCIES
from mnpu.types import DatasetInfo, Panel, SideTable
from mnpu.validation.coverage import Coverage, price_coverage, side_coverage
from mnpu.validation.findings import SAMPLES, Actions, AssetFacts, Context, Finding

__all__ = ["Checked", "Reported", "Validator", "check_store", "findings_frame"]

#: Read as price rows and side tables, not as they are stored.
TYPED = frozenset({"prices", "observations"})

PARTS = ("scheduled", "forecast", "actual", "previous")

#: What a bar's length is called where a series says how often it comes.
IN_WORDS = {"1h": "hourly", "1d": "daily", "1w": "weekly"}


class Validator(Protocol):
    """What is registered as a validator. ``reads`` names the types it is given; panels and side tables without it."""

    def check(self, table: Any, context: Context | None) -> list[Finding]:
        """What is wrong with the table."""


@dataclass(frozen=True)
class Reported:
    """A finding, the table that it is about (``prices of NAME``, ``side data``, or a stored one), and who found it."""

    table: str
    validator: str
    finding: Finding


@dataclass(frozen=True)
class Checked:
    """What a check of a store found: findings, errors first, and what is there, missing and refused."""

    path: Path
    reported: tuple[Reported, ...]
    coverage: tuple[Coverage, ...]

    @property
    def errors(self) -> tuple[Reported, ...]:
        """Those that would stop a run."""
        return tuple(r for r in self.reported if r.finding.severity == "error")


def check_store(
    store: Store, validators: Mapping[str, Validator], *, say: Callable[[str], None] = lambda _: None
) -> Checked:
    """Run every validator on every table of a store that it reads.

    Parameters
    ----------
    store : Store
    validators : mapping of str to validator
        By name. One that reads panels, but no price rows, is given the panel of each dataset.
    say : callable, optional
        Called with the name of each table before it is checked.

    Returns
    -------
    checked : Checked
    """
    facts = _Facts(store)
    reported = _structure(store)
    coverage: list[Coverage] = []
    for name, whole, context in _tables(store, facts, validators):
        say(name)
        table, found = _in_reach(name, whole)
        for validator, instance in validators.items():
            if _is_for(instance, table):
                found += [Reported(name, validator, finding) for finding in instance.check(table, context)]
        reported += found
        refused = [r.finding.index for r in found if r.finding.severity == "error" and r.finding.index is not None]
        if isinstance(table, PriceRows) and len(table):
            coverage.append(price_coverage(table, context.calendar, refused))
        if isinstance(table, SideTable) and len(table):
            coverage += side_coverage(table, refused)
    order = sorted(range(len(reported)), key=lambda i: reported[i].finding.severity != "error")
    return Checked(store.path, tuple(reported[i] for i in order), tuple(coverage))


def _in_reach(name: str, table: Any) -> tuple[Any, list[Reported]]:
    """The rows whose clocks can be reckoned with, and what to say of the others, which no rule could be asked about."""
    if not isinstance(table, (PriceRows, SideTable)) or not len(table):
        return table, []
    event, known = (getattr(times, "asi8", times) for times in (table.event_time, table.knowledge_time))
    outside = np.minimum(event, known) < FIRST_NS
    outside |= np.maximum(event, known) > LAST_NS
    if not outside.any():
        return table, []
    at = np.flatnonzero(outside)
    records = tuple({"event_time": int(event[i]), "knowledge_time": int(known[i])} for i in at[:SAMPLES])
    hint = "They were not written by an import: restore the store, or delete them."
    found = Finding("times lie between 1700 and 2200", "error", len(at), f"{records[0]} (ns)", hint, records)
    rest = np.flatnonzero(~outside)
    kept = table.take(rest) if isinstance(table, PriceRows) else table.rows(rest)
    return kept, [Reported(name, "structure", found)]


def _structure(store: Store) -> list[Reported]:
    """What no table shows alone: rows that refer to nothing, and datasets whose bars nobody can place in time."""
    found = [
        Finding(
            f"rows of {table} refer to rows of {parent}",
            "error",
            count,
            f"{count} do not",
            "Declare what they are about.",
        )
        for (table, parent), count in store.dangling().items()
    ]
    for info in store.datasets():
        for what, known, name in (
            ("frequency", info.frequency in FREQUENCIES, info.frequency),
            ("calendar", _calendar(info.calendar) is not None, info.calendar),
        ):
            if not known:
                hint = "Correct its declaration; until then its rows are not checked."
                found.append(Finding(f"a dataset has a known {what}", "error", 1, f"{info.name} has {name!r}", hint))
    return [Reported("store", "structure", finding) for finding in found]


def _placed(info: DatasetInfo) -> bool:
    """Whether the bars of a dataset can be placed in time."""
    return info.frequency in FREQUENCIES and _calendar(info.calendar) is not None


def findings_frame(checked: Checked) -> pd.DataFrame:
    """Findings as a table; ``rows`` holds the first broken rows as JSON."""
    names = ("table", "validator", "rule", "severity", "count", "sample", "hint", "rows")
    rows = [
        (
            r.table,
            r.validator,
            r.finding.rule,
            r.finding.severity,
            r.finding.count,
            r.finding.sample,
            r.finding.hint,
            json.dumps([{k: _plain(v) for k, v in record.items()} for record in r.finding.records], ensure_ascii=False),
        )
        for r in checked.reported
    ]
    return pd.DataFrame(rows, columns=list(names)).astype({"count": "int64"})


def _plain(cell: Any) -> Any:
    if isinstance(cell, float):
        return cell if np.isfinite(cell) else None
    return cell if isinstance(cell, (str, int, bool)) or cell is None else str(cell)


def _is_for(validator: Validator, table: Any) -> bool:
    reads = getattr(validator, "reads", (Panel, SideTable))
    if isinstance(table, Panel) and PriceRows in reads:
        return False  # it has seen the rows that the panel is made of
    return isinstance(table, reads)


def _tables(store: Store, facts: _Facts, validators: Mapping[str, Validator]) -> Iterator[tuple[str, Any, Context]]:
    """Every table of the store with its name and context, one at a time."""
    known = store.tables()
    if any(pd.DataFrame in getattr(v, "reads", ()) for v in validators.values()):
        for name in known:
            if name not in TYPED:
                yield name, store.table(name), Context(name, bases=facts.bases, now=facts.now)
    panels = any(_is_for(v, _NO_PANEL) for v in validators.values())
    for info in filter(_placed, store.datasets()):
        context = facts.context(info)
        yield f"prices of {info.name}", store.price_rows(info.name), context
        if panels:
            spans = [asset for asset in store.assets() if asset.dataset == info.name]
            start, end = min(a.first_bar for a in spans).date(), max(a.last_bar for a in spans).date()
            symbols = [asset.symbol for asset in spans]
            panel = store.panel(symbols, start=start, end=end, frequency=info.frequency, dataset=info.name)
            yield f"panel of {info.name}", panel, context
    for kind, series in _series(store).items():  # one after the other: each kind has its own samples, and less to hold
        name = f"side data, {kind}"
        yield name, store.side(series), Context(name, bases=facts.bases, now=facts.now)


def _series(store: Store) -> dict[str, list[str]]:
    """Every series as a side table names it, by kind; an event of the calendar is its four parts."""
    declared = store.table("series")
    kinds = declared["kind"] if "kind" in declared else ["macro"] * len(declared)
    names: dict[str, list[str]] = {}
    for name, kind in sorted(zip(declared["series"].astype(str), kinds, strict=True), key=lambda pair: pair[1]):
        names.setdefault(kind, []).extend([f"{name}/{part}" for part in PARTS] if kind == "calendar" else [name])
    return names


_NO_PANEL = object.__new__(Panel)  # stands for any panel where only the type is asked


class _Facts:
    """What a store has on record about its symbols, read once."""

    def __init__(self, store: Store) -> None:
        self.assets = store.table("assets")
        self.actions = store.table("corporate_actions")
        self.frequency = {info.name: info.frequency for info in store.datasets()}
        self.now = pd.Timestamp.now("UTC").as_unit("ns").value
        base = self.assets["base"] if "base" in self.assets else self.assets["symbol"]
        self.beside = store.side_spans()
        # rows may be filed under either; a view looks for the symbol first
        self.bases = frozenset(base.dropna().astype(str)) | frozenset(self.assets["symbol"].astype(str))

    def context(self, info: DatasetInfo) -> Context:
        """What is known about one dataset's symbols."""
        own = self.assets[self.assets["dataset"] == info.name]
        actions = self.actions[self.actions["dataset"] == info.name]
        return Context(
            name=f"prices of {info.name}",
            calendar=_calendar(info.calendar),
            assets={str(row["symbol"]): _asset(row) for _, row in own.iterrows()},
            actions={str(symbol): _actions(rows) for symbol, rows in actions.groupby("symbol")},
            bases=self.bases,
            spans=self._spans(info),
            now=self.now,
        )

    def _spans(self, info: DatasetInfo) -> dict[str, tuple[tuple[str, int, int], ...]]:
        """Where each symbol is in other datasets, and in series such as marks, that come as often as these bars."""
        others = self.assets[self.assets["dataset"] != info.name]
        others = others[others["dataset"].map(self.frequency) == info.frequency]
        spans: dict[str, list[tuple[str, int, int]]] = {}
        for symbol, *span in others[["symbol", "dataset", "first_bar", "last_bar"]].itertuples(index=False, name=None):
            spans.setdefault(str(symbol), []).append(tuple(span))
        for series, symbol, frequency, first, last in self.beside:
            if frequency in (info.frequency, IN_WORDS.get(info.frequency)):
                spans.setdefault(symbol, []).append((series, first, last))
        return {symbol: tuple(found) for symbol, found in spans.items()}


def _calendar(name: str) -> Calendar | None:
    try:
        return get_calendar(name)
    except MnpuError:
        return None


def _asset(row: pd.Series) -> AssetFacts:
    def instant(name: str) -> int | None:
        return int(row[name]) if name in row and pd.notna(row[name]) else None

    def text(name: str) -> str:
        return str(row[name]) if name in row and pd.notna(row[name]) else ""

    return AssetFacts(text("asset_class"), text("base") or text("symbol"), instant("listed"), instant("delisted"))


def _actions(rows: pd.DataFrame) -> Actions:
    known = rows["knowledge_time"].to_numpy("int64")
    return Actions(rows["event_time"].to_numpy("int64"), rows["ratio"].to_numpy("float64"), known)
