"""Cells of a file as rows of a table, with both clocks; a row that cannot be one is refused with its reason."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from mnpu.data.importing.clocks import (
    NO_TIME,
    bar_close,
    event_times,
    lagged,
    localised,
    recorded,
    session_open,
)
from mnpu.data.importing.files import Chunk
from mnpu.data.importing.mapping import DatasetSpec, Entry, Knowledge, SeriesRules, duration_ns
from mnpu.data.importing.parse import Instants, Names, dates_alone, instants, names, numbers, show
from mnpu.data.importing.rows import BASES, SHAPES, Rows
from mnpu.data.importing.verdict import Verdict

__all__ = [
    "FUTURE",
    "UNKNOWN",
    "Context",
    "build",
    "digests",
    "known_of",
    "number",
    "series_of",
    "text_cells",
    "times_of",
]

OBSERVED, DECLARED, CENSORED = range(len(BASES))
PRICES = ("open", "high", "low", "close", "adj_close")
YES, NO = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no", "", "none", "nan")


@dataclass(frozen=True)
class Context:
    """What building the rows of one file needs to know.

    ``known`` maps assets of the entry's dataset (and its calendar) where the table refers to them; ``censored`` is
    the moment (ns) at or before which knowledge is left-censored.
    """

    entry: Entry
    path: Path
    roles: Mapping[str, str]
    knowledge: str | None
    now: int
    censored: int | None = None
    assets: frozenset[str] = frozenset()
    calendar: str = ""
    wide_series: str = field(default="")

    @property
    def where(self) -> str:
        """The file, for errors."""
        return str(self.path)


def build(chunk: Chunk, context: Context) -> tuple[Rows, Verdict]:
    """The rows of a piece that may come in, and the judgement on all of them."""
    makers = {
        "prices": _prices,
        "observations": _observations,
        "calendar": _calendar,
        "news": _news,
        "corporate_actions": _actions,
        "universe": _universe,
    }
    verdict = Verdict(len(chunk))
    return makers[context.entry.table](chunk, context, verdict), verdict


def _prices(chunk: Chunk, c: Context, verdict: Verdict) -> Rows:
    spec = c.entry.dataset
    assert isinstance(spec, DatasetSpec)
    symbol = _symbols(chunk, c, verdict, needed=True)
    times = times_of(chunk, c, verdict)
    event = bar_close(times, spec, c.entry.time.zone, where=c.where)
    if spec.stamp != "session_date" and (event == NO_TIME).any():
        _placed(localised(times, c.entry.time.zone, where=c.where, key="time"), verdict)
    verdict.refuse(event == NO_TIME, "calendar", f"no bar of calendar {spec.calendar} ends then")
    shape = SHAPES["prices"]
    values = {name: number(chunk, c, name, verdict) for name in shape.values if name in c.roles}
    for name in values.keys() & set(PRICES):
        if not c.entry.negative:
            verdict.refuse(values[name] <= 0, "price", f"{name} is not positive")
    verdict.refuse(values["close"] != values["close"], "missing", "there is no close")
    if "volume" in values:
        verdict.refuse(values["volume"] < 0, "price", "volume is negative")
    known, basis = known_of(chunk, c, c.entry.knowledge, event, verdict, by_default=event)
    _order_of_clocks(event, known, c, verdict)
    empty = np.full(len(chunk), np.nan)
    columns = {name: values.get(name, empty) for name in shape.values}
    fixed = {"dataset": spec.name}
    return _rows(
        "prices",
        fixed,
        ("dataset",),
        [(name,) for name in symbol.values],
        symbol.code,
        event,
        known,
        columns,
        basis,
        verdict,
    )


def _observations(chunk: Chunk, c: Context, verdict: Verdict) -> Rows:
    series, symbol = series_of(chunk, c, verdict), _symbols(chunk, c, verdict, needed=False)
    event, known, basis = _side_clocks(chunk, c, series, verdict)
    value = number(chunk, c, "value", verdict)
    verdict.refuse(value != value, "missing", "there is no value")
    _of_its_year(chunk, c, event, verdict)
    scopes, code = _pairs(series, symbol)
    return _rows("observations", {}, (), scopes, code, event, known, {"value": value}, basis, verdict)


def _of_its_year(chunk: Chunk, c: Context, event: np.ndarray, verdict: Verdict) -> None:
    """Refuse rows whose fiscal year is not that of their period, give or take one: one of the two is a typo."""
    if "fiscal_year" not in c.roles:
        return
    year, bad = numbers(chunk.columns[c.roles["fiscal_year"]], missing=c.entry.missing, decimal=c.entry.csv.decimal)
    ends = event.view("datetime64[ns]").astype("datetime64[Y]").astype(np.int64) + 1970
    verdict.refuse(
        (event != NO_TIME) & (bad | (np.abs(year - ends) > 1)),
        "year",
        "its fiscal year is not that of its period",
        detail=lambda row: f"{show(chunk.columns[c.roles['fiscal_year']][row].as_py())}, ends in {ends[row]}",
    )


def _news(chunk: Chunk, c: Context, verdict: Verdict) -> Rows:
    series, symbol = series_of(chunk, c, verdict), _symbols(chunk, c, verdict, needed=False)
    event, known, basis = _side_clocks(chunk, c, series, verdict)
    text, body = text_cells(chunk, c, "text", verdict), text_cells(chunk, c, "body", verdict)
    verdict.refuse(np.array([not word.strip() for word in text], dtype=bool), "missing", "there is no text")
    own = text_cells(chunk, c, "id", verdict) if "id" in c.roles else None
    ids = digests(text, body) if own is None else own
    scopes, code = _pairs(series, symbol)
    columns = {"text": text, "body": body}
    return _rows("news", {}, (), scopes, code, event, known, columns, basis, verdict, extra=ids)


def digests(text: np.ndarray, body: np.ndarray) -> np.ndarray:
    """What tells texts apart that have no name of their own, (N,)."""
    made = [hashlib.sha256(f"{a}\0{b}".encode()).hexdigest()[:16] for a, b in zip(text, body, strict=True)]
    return np.array(made, dtype=object)


def _calendar(chunk: Chunk, c: Context, verdict: Verdict) -> Rows:
    """The announcement of each event, known so long before, and its outcome, known when it was released.

    An event that was called off, and the date from which one was moved, end an announcement.
    """
    series, symbol = series_of(chunk, c, verdict), _symbols(chunk, c, verdict, needed=False)
    scopes, code = _pairs(series, symbol)
    scopes = [(f"{about} {name}".strip(),) for name, about in scopes]
    event = event_times(times_of(chunk, c, verdict), c.entry, c.entry.period, c.entry.day_ends, where=c.where)
    _placed(event, verdict)
    rule = c.entry.knowledge or (c.entry.series.knowledge if c.entry.series else None)
    impact = text_cells(chunk, c, "impact", verdict)
    forecast, actual, previous = (number(chunk, c, name, verdict) for name in ("forecast", "actual", "previous"))
    n, empty = len(chunk), np.full(len(chunk), np.nan)
    lead = None if rule is None or rule.lead is None else duration_ns(rule.lead)
    trial = Verdict(n)
    known, basis = known_of(chunk, c, rule, event, trial)
    unknown, cancelled = known == NO_TIME, _flags(chunk, c, "cancelled", verdict)
    announced = np.full(n, NO_TIME) if lead is None else np.where(event == NO_TIME, NO_TIME, event - lead)
    verdict.refuse(unknown & ((announced == NO_TIME) | ~np.isnan(actual) | cancelled), "unknown", UNKNOWN)
    verdict.refuse(~unknown & ~np.isnan(actual) & (known < event), "order", "its outcome is known before it comes")
    verdict.refuse(cancelled & ~np.isnan(actual), "kind", "it was called off, and has an outcome")
    outcome = ~unknown & (~np.isnan(actual) | (announced == NO_TIME) | cancelled)
    verdict.refuse(outcome & (known > c.now), "future", FUTURE)
    verdict.refuse(~outcome & (announced > c.now), "future", FUTURE)
    released = _maybe(known, ~np.isnan(actual))
    moved = _moved(chunk, c, event, verdict)
    declared = np.full(n, DECLARED, dtype=np.int8)
    stands, nothing = np.zeros(n, dtype=np.int64), {"released": np.full(n, None), "actual": empty, "previous": empty}

    def part(at: np.ndarray, told: np.ndarray, cells: dict[str, np.ndarray], of: np.ndarray, which: np.ndarray) -> Rows:
        rows = _rows("calendar", {}, (), scopes, code, at, told, {**cells, "impact": impact}, of, verdict)
        return rows.take(np.flatnonzero(which[rows.row]))

    parts = []
    if lead is not None:
        scheduled = {**nothing, "forecast": forecast, "cancelled": stands}
        parts.append(part(event, announced, scheduled, declared, ~cancelled | (announced < known)))
    came = {"released": released, "forecast": forecast, "actual": actual, "previous": previous}
    parts.append(part(event, known, {**came, "cancelled": cancelled.astype(np.int64)}, basis, outcome))
    if "replaces" in c.roles:
        told, of = (known, basis) if lead is None else (announced, declared)
        gone = {**nothing, "forecast": empty, "cancelled": stands + 1}
        parts.append(part(moved, told, gone, of, moved != NO_TIME))
    return _together(parts)


def _moved(chunk: Chunk, c: Context, event: np.ndarray, verdict: Verdict) -> np.ndarray:
    """The date (ns) that each event had before it was moved, NO_TIME where it was not."""
    if "replaces" not in c.roles:
        return np.full(len(chunk), NO_TIME)
    told = instants(chunk.columns[c.roles["replaces"]], c.entry.time)
    verdict.refuse(told.bad, "time", "the date that it replaces cannot be read")
    at = event_times(told, c.entry, c.entry.period, c.entry.day_ends, where=c.where)
    return np.where(told.missing | (at == event), NO_TIME, at)


def _flags(chunk: Chunk, c: Context, role: str, verdict: Verdict) -> np.ndarray:
    """Which rows say yes, (N,); an empty cell says no."""
    if role not in c.roles:
        return np.zeros(len(chunk), dtype=bool)
    column = chunk.columns[c.roles[role]]
    words = np.array([show(cell).strip().lower() for cell in column.to_pylist()], dtype=object)
    yes = np.isin(words, YES)
    bad = ~yes & ~np.isin(words, NO)
    verdict.refuse(bad, "kind", f"{role} is neither yes nor no", detail=lambda row: repr(show(column[row].as_py())))
    return yes


def _actions(chunk: Chunk, c: Context, verdict: Verdict) -> Rows:
    name = c.entry.dataset if isinstance(c.entry.dataset, str) else c.entry.dataset.name  # type: ignore[union-attr]
    symbol = _symbols(chunk, c, verdict, needed=True)
    verdict.refuse(~np.isin(symbol.of(), list(c.assets)), "orphan", f"dataset {name} has no such symbol")
    event = session_open(times_of(chunk, c, verdict), c.calendar)
    verdict.refuse(event == NO_TIME, "calendar", f"no session of calendar {c.calendar}")
    ratio, amount = number(chunk, c, "ratio", verdict), number(chunk, c, "amount", verdict)
    kind = np.full(len(chunk), c.entry.kind, dtype=object) if c.entry.kind else text_cells(chunk, c, "kind", verdict)
    split, dividend = kind == "split", kind == "dividend"
    verdict.refuse(~(split | dividend), "kind", "neither a split nor a dividend")
    verdict.refuse(split & ~(ratio > 0), "price", "a split without a positive ratio")
    verdict.refuse(dividend & ~(amount >= 0), "price", "a dividend without an amount")
    known, basis = _scheduled(chunk, c, event, verdict)
    fixed = {"dataset": name, "source": c.entry.source or c.path.name}
    columns = {"ratio": np.where(split, ratio, np.nan), "amount": np.where(dividend, amount, np.nan)}
    scopes, code = _pairs(symbol, _labels(chunk, c))
    return _rows(
        "corporate_actions",
        fixed,
        ("dataset",),
        scopes,
        code,
        event,
        known,
        columns,
        basis,
        verdict,
        extra=kind,
    )


def _labels(chunk: Chunk, c: Context) -> Names:
    """What tells corporate actions of one day and kind apart; empty where nothing has to."""
    if "label" in c.roles:
        return names(chunk.columns[c.roles["label"]], {})
    n, label = len(chunk), c.entry.label
    return Names(np.full(n, 0 if label else -1, dtype=np.int32), (label,) if label else (), np.zeros(n, dtype=bool))


def _universe(chunk: Chunk, c: Context, verdict: Verdict) -> Rows:
    symbol = _symbols(chunk, c, verdict, needed=True)
    zone = c.entry.time.zone
    start = localised(times_of(chunk, c, verdict), zone or "UTC", where=c.where, key="time")
    _placed(start, verdict)
    n = len(chunk)
    ends = np.full(n, None)
    if "end" in c.roles:
        told = instants(chunk.columns[c.roles["end"]], c.entry.time)
        verdict.refuse(told.bad, "time", "its end cannot be read")
        at = localised(told, zone or "UTC", where=c.where, key="time")
        ends = _maybe(at, ~told.missing)
        verdict.refuse(~told.missing & (at <= start), "order", "it ends before it starts")
    if "universe" in c.roles:
        universe = names(chunk.columns[c.roles["universe"]], {})
        verdict.refuse(universe.code < 0, "name", "there is no universe")
    else:
        universe = Names(np.zeros(n, dtype=np.int32), (c.entry.universe or c.path.stem,), np.zeros(n, dtype=bool))
    scopes, code = _pairs(universe, symbol)
    known, basis = _scheduled(chunk, c, start, verdict)
    return _rows("universe", {}, (), scopes, code, start, known, {"end": ends}, basis, verdict)


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060\ufeff]")
UNKNOWN = "when it became known is unknown: neither a moment nor a rule"
FUTURE = "it says that it becomes known in the future"
DATE = "it is a date, and nothing says what it stands for; say period: day (or instant, for its first moment)"


def times_of(chunk: Chunk, c: Context, verdict: Verdict) -> Instants:
    """The time of each row; every row needs one."""
    clock = chunk.columns[c.roles["clock"]] if "clock" in c.roles else None
    column = chunk.columns[c.roles["time"]]
    times = instants(column, c.entry.time, clock)
    verdict.refuse(times.missing, "time", "there is no time")
    verdict.refuse(times.bad, "time", "its time cannot be read", detail=lambda row: repr(show(column[row].as_py())))
    return times


def _placed(event: np.ndarray, verdict: Verdict) -> None:
    verdict.refuse(event == NO_TIME, "time", "its time does not exist, or exists twice, in its zone")


def _symbols(chunk: Chunk, c: Context, verdict: Verdict, *, needed: bool) -> Names:
    entry, n = c.entry, len(chunk)
    fixed = entry.symbol
    if entry.symbol_from_file is not None:
        found = re.search(entry.symbol_from_file, c.path.name)
        fixed = entry.rename_symbols.get(found[1], found[1]) if found else ""
    if fixed is not None or "symbol" not in c.roles:
        code = np.full(n, 0 if fixed else -1, dtype=np.int32)
        result = Names(code, (fixed,) if fixed else (), np.zeros(n, dtype=bool))
    else:
        result = names(chunk.columns[c.roles["symbol"]], entry.rename_symbols)
    verdict.refuse(result.bad, "encoding", "its symbol is no text in the file's encoding")
    verdict.refuse(_unprintable(result), "name", "its symbol holds characters that cannot be seen")
    if needed:
        verdict.refuse(result.code < 0, "name", "there is no symbol")
    return result


def series_of(chunk: Chunk, c: Context, verdict: Verdict) -> Names:
    """The series of each row."""
    entry, n = c.entry, len(chunk)
    fixed = c.wide_series or entry.series_name
    if fixed is not None and fixed:
        found = Names(np.zeros(n, dtype=np.int32), (fixed,), np.zeros(n, dtype=bool))
    else:
        found = names(chunk.columns[c.roles["series"]], entry.rename_series)
    verdict.refuse(found.bad, "encoding", "its series is no text in the file's encoding")
    verdict.refuse(_unprintable(found), "name", "its series holds characters that cannot be seen")
    verdict.refuse(found.code < 0, "name", "there is no series")
    if entry.series is not None and entry.series.only:
        declared = np.array([*(name in entry.series.names for name in found.values), True])
        verdict.refuse(~declared[found.code], "undeclared", "its series is not declared")
    return replace(found, values=tuple(entry.prefix + name for name in found.values))


def _unprintable(found: Names) -> np.ndarray:
    """Rows whose name holds what nobody sees: a line break of a cell that was never closed, a space without width."""
    odd = np.array([*(bool(_CONTROL.search(name)) for name in found.values), False])
    result: np.ndarray = odd[found.code]
    return result


def _pairs(first: Names, second: Names) -> tuple[list[tuple[str, ...]], np.ndarray]:
    """The pairs of names that occur, in order, and the code of each row's."""
    seconds = [*second.values, ""]
    at = np.where(second.code < 0, len(second.values), second.code).astype(np.int64)
    joint = np.where(first.code < 0, 0, first.code).astype(np.int64) * len(seconds) + at
    present, code = np.unique(joint, return_inverse=True)
    every = [*first.values] or [""]
    return [(every[k // len(seconds)], seconds[k % len(seconds)]) for k in present.tolist()], code


def number(chunk: Chunk, c: Context, role: str, verdict: Verdict) -> np.ndarray:
    """A role's cells as numbers, NaN where there are none."""
    if role not in c.roles:
        return np.full(len(chunk), np.nan)
    column = chunk.columns[c.roles[role]]
    values, bad = numbers(column, missing=c.entry.missing, decimal=c.entry.csv.decimal)
    verdict.refuse(bad, "number", f"{role} is no number", detail=lambda row: repr(show(column[row].as_py())))
    verdict.refuse(np.isinf(values), "number", f"{role} is infinite")
    scale = c.entry.scale
    factor = scale.get(role, 1.0) if isinstance(scale, dict) else 1.0 if role == "volume" else scale
    return values if factor == 1.0 else _rescaled(values, factor)


def _rescaled(values: np.ndarray, factor: float) -> np.ndarray:
    """``values * factor``, by a division where that is exact, so that 13625 / 10000 is 1.3625."""
    inverse = 1.0 / factor
    result: np.ndarray = values / round(inverse) if abs(inverse - round(inverse)) < 1e-9 * inverse else values * factor
    return result


def text_cells(chunk: Chunk, c: Context, role: str, verdict: Verdict) -> np.ndarray:
    """A role's cells as texts, empty where there are none."""
    if role not in c.roles:
        return np.full(len(chunk), "", dtype=object)
    from mnpu.data.importing.parse import text_of

    text, bad = text_of(chunk.columns[c.roles[role]])
    verdict.refuse(bad, "encoding", f"its {role} is no text in the file's encoding")
    return np.array([word or "" for word in text.to_pylist()], dtype=object)


def _side_clocks(
    chunk: Chunk, c: Context, series: Names, verdict: Verdict
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both clocks and the basis; a series may have rules of its own."""
    times, spec = times_of(chunk, c, verdict), c.entry.series
    assert spec is not None
    n = len(chunk)
    event, known = np.full(n, NO_TIME), np.full(n, NO_TIME)
    basis = np.full(n, DECLARED, dtype=np.int8)
    cut = len(c.entry.prefix)
    groups: dict[int, tuple[SeriesRules | None, list[int]]] = {}
    for code, name in enumerate(series.values):
        rules = spec.names.get(name[cut:])
        own = rules if rules is not None and (rules.period or rules.day_ends or rules.knowledge) else None
        groups.setdefault(id(own), (own, []))[1].append(code)
    for own, codes in groups.values():
        rows = np.flatnonzero(np.isin(series.code, codes))
        whole = len(rows) == n
        some = Instants(times.ns[rows], times.bad[rows], times.missing[rows], times.aware)
        said = (own and own.period) or spec.period
        period = said or c.entry.period
        ends = (own and own.day_ends) or spec.day_ends or c.entry.day_ends
        event[rows] = event_times(some, c.entry, period, ends, where=c.where)
        rule = (own and own.knowledge) or spec.knowledge or c.entry.knowledge
        part = chunk if whole else _taken(chunk, rows)
        trial = Verdict(len(rows))
        known[rows], basis[rows] = known_of(part, c, rule, event[rows], trial)
        if not said and "period" not in c.entry.model_fields_set and "clock" not in c.roles:
            by_rule = (basis[rows] == DECLARED) & (known[rows] != NO_TIME)
            trial.refuse(by_rule & dates_alone(part.columns[c.roles["time"]]), "time", DATE)
        for code in range(1, len(trial.rules)):
            mask = np.zeros(n, dtype=bool)
            mask[rows[trial.code == code]] = True
            verdict.refuse(mask, *trial.rules[code])
    _placed(event, verdict)
    verdict.refuse(known == NO_TIME, "unknown", UNKNOWN)
    _order_of_clocks(event, known, c, verdict)
    return event, known, basis


def _taken(chunk: Chunk, rows: np.ndarray) -> Chunk:
    which = pa.array(rows)
    return Chunk({name: column.take(which) for name, column in chunk.columns.items()}, chunk.line[rows])


def known_of(
    chunk: Chunk,
    c: Context,
    rule: Knowledge | None,
    event: np.ndarray,
    verdict: Verdict,
    *,
    by_default: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """When each row became known and how that is known; NO_TIME where it is not."""
    known = np.full(len(chunk), NO_TIME) if by_default is None else by_default.copy()
    basis = np.full(len(chunk), DECLARED, dtype=np.int8)
    if rule is not None and rule.lag is not None:
        known = lagged(event, rule.lag)
    column = (rule.column or None) if rule is not None else c.knowledge
    if column is None:
        return known, basis
    told, at = recorded(chunk.columns[column], (rule.zone if rule else None) or c.entry.time.zone, where=c.where)
    verdict.refuse(told.bad, "time", "the moment of its knowledge cannot be read")
    given = ~told.missing & ~told.bad
    verdict.refuse(
        given & (at == NO_TIME), "time", "the moment of its knowledge does not exist, or exists twice, in its zone"
    )
    if by_default is not None and (rule is None or (rule.lag is None and rule.lead is None)):
        known[~given] = NO_TIME
        verdict.refuse(told.missing, "unknown", UNKNOWN)
    known[given] = at[given]
    basis[given] = OBSERVED
    if c.censored is not None:
        basis[given & (at <= c.censored)] = CENSORED
    if rule is not None and rule.censored_column is not None:
        flagged = chunk.columns[rule.censored_column]
        yes = np.array([show(cell).lower() in YES for cell in flagged.to_pylist()], dtype=bool)
        basis[given & yes] = CENSORED
    return known, basis


def _scheduled(chunk: Chunk, c: Context, event: np.ndarray, verdict: Verdict) -> tuple[np.ndarray, np.ndarray]:
    """Knowledge of a schedule, which may be known before it takes effect."""
    rule = c.entry.knowledge
    lead = (
        None
        if rule is None or rule.lead is None
        else np.where(event == NO_TIME, NO_TIME, event - duration_ns(rule.lead))
    )
    known, basis = known_of(chunk, c, rule, event, verdict, by_default=lead)
    verdict.refuse(known == NO_TIME, "unknown", UNKNOWN)
    verdict.refuse(known > c.now, "future", FUTURE)
    return known, basis


def _order_of_clocks(event: np.ndarray, known: np.ndarray, c: Context, verdict: Verdict) -> None:
    both = (event != NO_TIME) & (known != NO_TIME)
    verdict.refuse(
        both & (known < event),
        "order",
        "it is known before what it describes is over",
        detail=lambda row: f"{pd.Timestamp(known[row], tz='UTC')} < {pd.Timestamp(event[row], tz='UTC')}",
    )
    verdict.refuse(both & (known > c.now), "future", FUTURE, detail=lambda row: str(pd.Timestamp(known[row], tz="UTC")))


def _rows(
    table: str,
    fixed: Mapping[str, str],
    fixed_key: tuple[str, ...],
    scopes: Sequence[tuple[str, ...]],
    code: np.ndarray,
    event: np.ndarray,
    known: np.ndarray,
    values: Mapping[str, np.ndarray],
    basis: np.ndarray,
    verdict: Verdict,
    *,
    extra: np.ndarray | None = None,
) -> Rows:
    """Rows that nothing refused, with their scopes in the order of the table's key."""
    order = sorted(range(len(scopes)), key=lambda i: scopes[i])
    place = np.empty(len(scopes) + 1, dtype=np.int64)
    place[order] = np.arange(len(scopes))
    place[-1] = -1
    rows = Rows(
        SHAPES[table],
        fixed,
        fixed_key,
        [scopes[i] for i in order],
        place[code],
        event,
        known,
        extra,
        values,
        basis,
        np.arange(len(event)),
    )
    return rows if bool(verdict.ok.all()) else rows.take(np.flatnonzero(verdict.ok))


def _maybe(ns: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Instants as objects, None where there is none."""
    cells = np.full(len(ns), None, dtype=object)
    cells[there] = ns[there]
    return cells


def _together(parts: Sequence[Rows]) -> Rows:
    first = parts[0]
    if len(parts) == 1:
        return first
    return replace(
        first,
        code=np.concatenate([p.code for p in parts]),
        event=np.concatenate([p.event for p in parts]),
        known=np.concatenate([p.known for p in parts]),
        values={name: np.concatenate([p.values[name] for p in parts]) for name in first.values},
        basis=np.concatenate([p.basis for p in parts]),
        row=np.concatenate([p.row for p in parts]),
    )
