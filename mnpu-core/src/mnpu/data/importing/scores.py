"""Scores of texts, from a file of them: each a row of a model, known when it was computed."""

from __future__ import annotations

import sqlite3

import numpy as np

from mnpu.data.importing.build import digests
from mnpu.data.importing.cells import Context, number, series_of, text_cells, times_of
from mnpu.data.importing.chunks import Chunk
from mnpu.data.importing.clocks import NO_TIME, event_times
from mnpu.data.importing.knowledge import FUTURE, UNKNOWN, known_of
from mnpu.data.importing.rows import CONFLICT, NEW, PRESENT
from mnpu.data.importing.verdict import Verdict

__all__ = ["insert_scores"]

KEY = "source = ? AND id = ? AND model = ? AND knowledge_time = ?"


def insert_scores(connection: sqlite3.Connection, chunk: Chunk, context: Context, verdict: Verdict) -> np.ndarray:
    """Write the scores that are not there yet; the status of each row (N,)."""
    source = series_of(chunk, context, verdict).of()
    sources = {name for (name,) in connection.execute("SELECT series FROM series WHERE kind = 'news'")}
    verdict.refuse(np.array([name not in sources for name in source], dtype=bool), "orphan", "no texts of its source")
    model = text_cells(chunk, context, "model", verdict)
    if "model" not in context.roles:
        model[:] = context.entry.model
    verdict.refuse(np.array([not word for word in model], dtype=bool), "name", "there is no model")
    score = number(chunk, context, "score", verdict)
    verdict.refuse(score != score, "missing", "there is no score")
    verdict.refuse(np.abs(score) > 1, "number", "score is not between -1 and 1")
    known = _known(chunk, context, verdict)
    return _written(
        connection,
        [*zip(source, _names(chunk, context, verdict), model, known.tolist(), score.tolist(), strict=True)],
        verdict,
    )


def _known(chunk: Chunk, c: Context, verdict: Verdict) -> np.ndarray:
    event = np.full(len(chunk), NO_TIME)
    if "time" in c.roles:
        event = event_times(times_of(chunk, c, verdict), c.entry, c.entry.period, c.entry.day_ends, where=c.where)
    known = known_of(chunk, c, c.entry.knowledge, event, verdict)[0]
    verdict.refuse(known == NO_TIME, "unknown", UNKNOWN)
    verdict.refuse(known > c.now, "future", FUTURE)
    return known


def _names(chunk: Chunk, c: Context, verdict: Verdict) -> np.ndarray:
    """The texts that the rows are about: by their own names, else by their words, as an import of texts names them."""
    if "id" in c.roles:
        return text_cells(chunk, c, "id", verdict)
    return digests(text_cells(chunk, c, "text", verdict), text_cells(chunk, c, "body", verdict))


def _written(connection: sqlite3.Connection, rows: list[tuple], verdict: Verdict) -> np.ndarray:
    status = np.full(len(rows), PRESENT, dtype=np.int8)
    differs, detail = np.zeros(len(rows), dtype=bool), {}
    for i in np.flatnonzero(verdict.ok).tolist():
        *key, score = rows[i]
        found = connection.execute(f"SELECT score FROM news_scores WHERE {KEY}", key).fetchone()
        if found is None:
            connection.execute("INSERT INTO news_scores VALUES (?, ?, ?, ?, ?, NULL)", rows[i])
            status[i] = NEW
        elif found[0] != score:
            differs[i], status[i] = True, CONFLICT
            detail[i] = f"score is {score}, was {found[0]} before"
    verdict.refuse(differs, "conflict", "another value is there with the same key", detail=detail.__getitem__)
    return status
