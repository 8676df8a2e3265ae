"""Cells of a file as rows of a table, with both clocks; a row that cannot be one is refused with its reason."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mnpu.data.clock import DAY_NS
from mnpu.data.importing.cells import (
    NO,
    YES,
    Context,
    number,
    pairs,
    placed,
    series_of,
    symbols_of,
    text_cells,
    times_of,
)
from mnpu.data.importing.chunks import Chunk
from mnpu.data.importing.clocks import NO_TIME, bar_close, event_times, localised, of_two_sessions, session_open
from mnpu.data.importing.knowledge import (
    DECLARED,
    FUTURE,
    TWO,
    UNKNOWN,
    known_by_date,
    known_of,
    order_of_clocks,
    scheduled,
    side_clocks,
)
from mnpu.data.importing.mapping import DatasetSpec
from mnpu.data.importing.parse import Names, instants, names, numbers, show
from mnpu.data.importing.rows import SHAPES, Rows
from mnpu.data.importing.verdict import Verdict
from mnpu.data.importing.words import duration_ns

__all__ = ["build", "digests"]

PRICES = ("open", "high", "low", "close", "adj_close")


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
    symbol = symbols_of(chunk, c, verdict, needed=True)
    times = times_of(chunk, c, verdict)
    event = bar_close(times, spec, c.entry.time.zone, where=c.where)
    if spec.stamp == "session_date":
        verdict.refuse(of_two_sessions(times, spec.calendar), "time", TWO)
    elif (event == NO_TIME).any():
        placed(localised(times, c.entry.time.zone, where=c.where, key="time"), verdict)
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
    order_of_clocks(event, known, c, verdict)
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
    series, symbol = series_of(chunk, c, verdict), symbols_of(chunk, c, verdict, needed=False)
    event, known, basis = side_clocks(chunk, c, series, verdict)
    value = number(chunk, c, "value", verdict)
    verdict.refuse(value != value, "missing", "there is no value")
    _of_its_year(chunk, c, event, verdict)
    scopes, code = pairs(series, symbol)
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
    series, symbol = series_of(chunk, c, verdict), symbols_of(chunk, c, verdict, needed=False)
    event, known, basis = side_clocks(chunk, c, series, verdict)
    text, body = text_cells(chunk, c, "text", verdict), text_cells(chunk, c, "body", verdict)
    verdict.refuse(np.array([not word.strip() for word in text], dtype=bool), "missing", "there is no text")
    own = text_cells(chunk, c, "id", verdict) if "id" in c.roles else None
    ids = digests(text, body) if own is None else own
    scopes, code = pairs(series, symbol)
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
    series, symbol = series_of(chunk, c, verdict), symbols_of(chunk, c, verdict, needed=False)
    scopes, code = pairs(series, symbol)
    scopes = [(f"{about} {name}".strip(),) for name, about in scopes]
    event = event_times(times_of(chunk, c, verdict), c.entry, c.entry.period, c.entry.day_ends, where=c.where)
    placed(event, verdict)
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
    symbol = symbols_of(chunk, c, verdict, needed=True)
    verdict.refuse(~np.isin(symbol.of(), list(c.assets)), "orphan", f"dataset {name} has no such symbol")
    event = session_open(times_of(chunk, c, verdict), c.calendar)
    verdict.refuse(event == NO_TIME, "calendar", f"no session of calendar {c.calendar}")
    ratio, amount = number(chunk, c, "ratio", verdict), number(chunk, c, "amount", verdict)
    kind = np.full(len(chunk), c.entry.kind, dtype=object) if c.entry.kind else text_cells(chunk, c, "kind", verdict)
    split, dividend = kind == "split", kind == "dividend"
    verdict.refuse(~(split | dividend), "kind", "neither a split nor a dividend")
    verdict.refuse(split & ~(ratio > 0), "price", "a split without a positive ratio")
    verdict.refuse(dividend & ~(amount >= 0), "price", "a dividend without an amount")
    known, basis = scheduled(chunk, c, event, verdict)
    # What is announced on the day itself is known as it takes effect: nobody trades at the new price unaware.
    of_its_day = known_by_date(chunk, c) & (event <= known) & (known - event < DAY_NS)
    known = np.where(of_its_day, event, known)
    fixed = {"dataset": name, "source": c.entry.source or c.path.name}
    columns = {"ratio": np.where(split, ratio, np.nan), "amount": np.where(dividend, amount, np.nan)}
    scopes, code = pairs(symbol, _labels(chunk, c))
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
    symbol = symbols_of(chunk, c, verdict, needed=True)
    zone = c.entry.time.zone
    start = localised(times_of(chunk, c, verdict), zone or "UTC", where=c.where, key="time")
    placed(start, verdict)
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
    scopes, code = pairs(universe, symbol)
    known, basis = scheduled(chunk, c, start, verdict)
    return _rows("universe", {}, (), scopes, code, start, known, {"end": ends}, basis, verdict)


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
