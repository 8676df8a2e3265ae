"""What assets are, from a file of them: empty fields are filled, others are never overwritten."""

from __future__ import annotations

import sqlite3

import numpy as np

from mnpu.data.importing.cells import Context
from mnpu.data.importing.chunks import Chunk
from mnpu.data.importing.clocks import NO_TIME, localised
from mnpu.data.importing.parse import instants, names, numbers, text_of
from mnpu.data.importing.rows import CONFLICT, NEW, PRESENT
from mnpu.data.importing.verdict import Verdict

__all__ = ["update_assets"]

FIELDS = {
    "class": "asset_class",
    "currency": "currency",
    "calendar": "calendar",
    "base": "base",
    "listed": "listed",
    "delisted": "delisted",
    "delisting_return": "delisting_return",
}


def update_assets(connection: sqlite3.Connection, chunk: Chunk, context: Context, verdict: Verdict) -> np.ndarray:
    """Fill in what the store does not know of its assets; the status of each row (N,)."""
    dataset = context.entry.dataset
    name = dataset if isinstance(dataset, str) else dataset.name  # type: ignore[union-attr]
    symbols = names(chunk.columns[context.roles["symbol"]], context.entry.rename_symbols)
    verdict.refuse(symbols.bad, "encoding", "its symbol is no text in the file's encoding")
    verdict.refuse(symbols.code < 0, "name", "there is no symbol")
    told = {field: _cells(chunk, context, role, verdict) for role, field in FIELDS.items() if role in context.roles}
    status = np.full(len(chunk), PRESENT, dtype=np.int8)
    orphan, differs, words = np.zeros(len(chunk), bool), np.zeros(len(chunk), bool), symbols.of()
    detail: dict[int, str] = {}
    for row in np.flatnonzero(verdict.ok).tolist():
        query = f"SELECT {', '.join(FIELDS.values())} FROM assets WHERE dataset = ? AND symbol = ?"
        known = connection.execute(query, (name, words[row])).fetchone()
        if known is None:
            orphan[row] = True
            continue
        old = dict(zip(FIELDS.values(), known, strict=True))
        new = {field: cells[row] for field, cells in told.items() if cells[row] not in (None, "")}
        free = {field for field in new if old[field] in (None, "") or (field == "base" and old[field] == words[row])}
        against = [field for field in new if field not in free and old[field] != new[field]]
        if against:
            differs[row], status[row] = True, CONFLICT
            detail[row] = ", ".join(f"{field} is {new[field]}, was {old[field]} before" for field in against)
        elif changed := {field: new[field] for field in sorted(free) if old[field] != new[field]}:
            settings = ", ".join(f"{field} = ?" for field in changed)
            connection.execute(
                f"UPDATE assets SET {settings} WHERE dataset = ? AND symbol = ?", (*changed.values(), name, words[row])
            )
            status[row] = NEW
    verdict.refuse(orphan, "orphan", f"dataset {name} has no such symbol")
    verdict.refuse(differs, "conflict", "another value is there", detail=detail.__getitem__)
    return status


def _cells(chunk: Chunk, context: Context, role: str, verdict: Verdict) -> list[object]:
    column = chunk.columns[context.roles[role]]
    if role == "delisting_return":
        values, bad = numbers(column, missing=context.entry.missing)
        verdict.refuse(bad | (values < -1), "number", "its delisting return is no number from -1 on")
        return [None if value != value else value for value in values.tolist()]
    if role in ("listed", "delisted"):
        times = instants(column, context.entry.time)
        verdict.refuse(times.bad, "time", f"its {role} time cannot be read")
        at = localised(times, context.entry.time.zone or "UTC", where=context.where, key="time")
        return [None if ns == NO_TIME else ns for ns in at.tolist()]
    return [word or "" for word in text_of(column)[0].to_pylist()]
