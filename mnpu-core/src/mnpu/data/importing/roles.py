"""Which column of a file plays which role: as declared, else by the names that are common."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from mnpu.data.importing.mapping import ROLES, Entry
from mnpu.errors import DataError

__all__ = ["find_roles", "knowledge_column"]

COMMON = {
    "time": ("timestamp", "time", "datetime", "event_time", "start"),
    "date": ("date", "day", "session", "ex_date"),
    "clock": ("time",),
    "symbol": ("symbol", "ticker", "asset", "code"),
    "series": ("series", "metric", "event", "indicator", "source"),
    "adj_close": ("adj_close", "adj close", "adjusted close", "adjclose"),
    "volume": ("volume", "vol"),
    "text": ("text", "headline", "title"),
    "actual": ("actual", "value"),
}
KNOWLEDGE = ("available_at", "knowledge_time")
NEEDED = {
    "prices": ("close",),
    "observations": ("value",),
    "calendar": ("actual",),
    "news": ("text",),
    "news_scores": ("score",),
    "corporate_actions": (),
    "universe": (),
    "assets": (),
}


def find_roles(entry: Entry, names: Sequence[str], *, where: str) -> dict[str, str]:
    """The file's column for each role that it has; DataError if one that is needed is not there."""
    for role, name in [*entry.columns.items(), *entry.wide.items()]:
        if name not in names:
            raise _absent(f"no column {name!r} for {role}", names, name, where)
    found = dict(entry.columns)
    spelt = {name.strip().lower(): name for name in reversed(names)}
    for role in sorted(ROLES[entry.table] - set(found)):
        known = [spelt[word] for word in COMMON.get(role, (role,)) if word in spelt]
        if known:
            found[role] = known[0]
    _one_clock(found, entry)
    needed = list(NEEDED[entry.table]) if not entry.wide else []
    if {"cancelled", "replaces"} & set(found):  # news of a schedule has no outcome
        needed.clear()
    if entry.table not in ("assets", "news_scores"):
        needed.append("time")
    if entry.table == "news_scores" and "id" not in found:
        needed.append("text")
    if entry.table in ("observations", "calendar", "news", "news_scores") and not (entry.series_name or entry.wide):
        needed.append("series")
    if entry.table in ("prices", "corporate_actions", "universe", "assets"):
        needed += [] if entry.symbol or entry.symbol_from_file else ["symbol"]
    for role in needed:
        if role not in found:
            raise _absent(f"no column for {role}", names, role, where)
    return found


def _one_clock(found: dict[str, str], entry: Entry) -> None:
    """A date stands for the time; ``clock`` is a time of day only beside a date."""
    declared = entry.columns
    if "date" in found and ("time" not in found or found["time"].strip().lower() == "time") and "time" not in declared:
        clock = declared.get("clock") or found.pop("time", None)
        found["time"] = found.pop("date")
        found.pop("clock", None)
        if clock is not None:
            found["clock"] = clock
        return
    found.pop("date", None)
    if "clock" not in declared:
        found.pop("clock", None)


def knowledge_column(entry: Entry, names: Sequence[str], *, where: str) -> str | None:
    """The column with the moment of knowledge: declared, or (where no rule is declared either) called so."""
    rule = entry.knowledge or (entry.series.knowledge if entry.series else None)
    if rule is not None:
        if rule.column is not None and rule.column not in names:
            raise _absent(f"no column {rule.column!r} for knowledge", names, rule.column, where)
        return rule.column
    return next((name for name in KNOWLEDGE if name in names), None)


def _absent(what: str, names: Sequence[str], wanted: str, where: str) -> DataError:
    shown = [name if name.isprintable() else ascii(name) for name in names]
    near = get_close_matches(wanted, shown, n=1)
    return DataError(
        what,
        where=where,
        expected=f"one of {', '.join(name[:40] for name in shown[:30]) or 'none, as the file has no columns'}",
        next_step=f"Did you mean {near[0]!r}? Say it under columns." if near else "Name it under columns.",
    )
