"""When each row happened and when it became known, by a column or by a rule, and how that is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from mnpu.data.importing.cells import YES, Context, placed, times_of
from mnpu.data.importing.chunks import Chunk
from mnpu.data.importing.clocks import NO_TIME, event_times, lagged, recorded
from mnpu.data.importing.mapping import Knowledge, SeriesRules
from mnpu.data.importing.parse import Instants, Names, dates_alone, show
from mnpu.data.importing.verdict import Verdict
from mnpu.data.importing.words import duration_ns
from mnpu.data.rows import BASES

__all__ = [
    "DECLARED",
    "FUTURE",
    "TWO",
    "UNKNOWN",
    "known_by_date",
    "known_of",
    "order_of_clocks",
    "scheduled",
    "side_clocks",
]

OBSERVED, DECLARED, CENSORED = range(len(BASES))
UNKNOWN = "when it became known is unknown: neither a moment nor a rule"
FUTURE = "it says that it becomes known in the future"
TWO = "its date is one, and the session of its instant another; write the date of its session alone"
DATE = "it is a date, and nothing says what it stands for; say period: day (or instant, for its first moment)"


def side_clocks(chunk: Chunk, c: Context, series: Names, verdict: Verdict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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
        wall = None if times.wall is None else times.wall[rows]
        some = Instants(times.ns[rows], times.bad[rows], times.missing[rows], times.aware, wall)
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
    placed(event, verdict)
    verdict.refuse(known == NO_TIME, "unknown", UNKNOWN)
    order_of_clocks(event, known, c, verdict)
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


def scheduled(chunk: Chunk, c: Context, event: np.ndarray, verdict: Verdict) -> tuple[np.ndarray, np.ndarray]:
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


def known_by_date(chunk: Chunk, c: Context) -> np.ndarray:
    """Whose recorded moment of knowledge is a date without a time of day, (N,)."""
    column = c.knowledge if c.entry.knowledge is None else c.entry.knowledge.column
    return dates_alone(chunk.columns[column]) if column else np.zeros(len(chunk), dtype=bool)


def order_of_clocks(event: np.ndarray, known: np.ndarray, c: Context, verdict: Verdict) -> None:
    """Refuse rows that are known before what they describe is over, or later than now; both clocks (N,) in ns."""
    both = (event != NO_TIME) & (known != NO_TIME)
    verdict.refuse(
        both & (known < event),
        "order",
        "it is known before what it describes is over",
        detail=lambda row: f"{pd.Timestamp(known[row], tz='UTC')} < {pd.Timestamp(event[row], tz='UTC')}",
    )
    verdict.refuse(both & (known > c.now), "future", FUTURE, detail=lambda row: str(pd.Timestamp(known[row], tz="UTC")))
