"""A sweep's trials as rows that may be compared: equal decisions in every block, and what luck would have made of them.

Rows of a block whose decisions differ (one model warms up longer) are trimmed to the longest stretch of decisions that
all of them share, cell by cell, and measured again on it. Where that is less than four fifths of the longest row, the
block is refused: then the rows are not about the same thing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mnpu import ledger
from mnpu.errors import MnpuError
from mnpu.judging import Judge
from mnpu.metrics.compute import compute
from mnpu.results_io import read_result
from mnpu.sweep import kept
from mnpu.sweep.trials import label, place_of
from mnpu.trials import decision_set, facts
from mnpu.types import Judgement, Result

__all__ = ["COLUMNS", "Catalogue", "Entry", "axes_of", "looks_of", "read_catalogue", "restricted"]

#: Of a table, where nothing else is asked for; ``seconds`` are those of the wall.
COLUMNS = (
    "total_return_net",
    "sharpe",
    "dsr",
    "pbo",
    "max_drawdown",
    "rank_ic",
    "coverage_0.90",
    "crps",
    "cost_total",
    "seconds",
)
MIN_COMMON = 0.8


@dataclass(frozen=True)
class Entry:
    """A finished trial. ``values`` are its metrics on the block's common decisions, whose hash is ``decisions``.

    ``judgement`` says whether its Sharpe ratio can be told from luck.
    """

    run_id: str
    trial: str
    axes: Mapping[str, str]
    decisions: str
    values: Mapping[str, float | None]
    facts: Mapping[str, Any]
    judgement: Judgement | None = None

    @property
    def place(self) -> str:
        """For people: ``model=omni seed=3``."""
        return place_of(self.axes)

    def at(self, axes: Sequence[str]) -> tuple[str, ...]:
        """Its place on some axes."""
        return tuple(self.axes.get(name, "") for name in axes)


@dataclass(frozen=True)
class Catalogue:
    """Entries in the order of the axes, trials that failed, and what was trimmed, as sentences.

    ``looks`` are rows of the ledger: trials of the sweep that were judged on the locked range.
    """

    kept: kept.Kept
    entries: list[Entry]
    failed: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)
    looks: Sequence[Mapping[str, Any]] = field(default_factory=list)
    runs: Path = field(default=Path())

    @property
    def missing(self) -> int:
        """Trials that are still to be run."""
        return max(self.kept.trials - len(self.entries) - len(self.failed), 0)

    def block_of(self, axes: Mapping[str, str]) -> str:
        """The block that a place on the axes belongs to, as text."""
        return " ".join(axes.get(name, "") for name in self.kept.blocks) or self.kept.name


def looks_of(name: str) -> str:
    """What the looks of a sweep at its locked range are filed under: no sweep can have such a name."""
    return f"{name}@locked"


def read_catalogue(runs: Path, name: str) -> Catalogue:
    """All trials of a sweep.

    Raises
    ------
    ConfigError
        There is no such sweep.
    MnpuError
        Rows of a block have too few decisions in common, or the run of one that has to be trimmed is gone.
    """
    definition = kept.read(runs, name)
    rows, broken = ledger.read_rows(runs)
    rows = ledger.in_time(rows)
    own = {row["trial"]: row for row in rows if row.get("sweep") == name}
    done = [row for row in own.values() if row["status"] == "finished"]
    failed = [_failure(row) for row in own.values() if row["status"] != "finished"]
    entries, notes, judge = [], [*broken], Judge(runs)
    blocks: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in done:
        blocks.setdefault(tuple(axes_of(row).get(axis, "") for axis in definition.blocks), []).append(row)
    for block, members in blocks.items():
        found, said = _equal(members, runs, " ".join(block) or name)
        notes += [*said, *_mixed(members, " ".join(block) or name)]
        entries += [_judged(entry, judge) for entry in found]
    looks = [row for row in rows if row.get("sweep") == looks_of(name)]
    entries = _in_order(entries, definition.axes)
    return Catalogue(definition, entries, failed, notes, looks, runs)


def _in_order(entries: Sequence[Entry], axes: Sequence[str]) -> list[Entry]:
    """By place on the axes, the last one fastest: numbers by their size, all else as it first came."""
    places = {axis: list(dict.fromkeys(entry.axes.get(axis, "") for entry in entries)) for axis in axes}
    order = {axis: {place: k for k, place in enumerate(_sorted(own))} for axis, own in places.items()}
    return sorted(entries, key=lambda entry: [order[axis][entry.axes.get(axis, "")] for axis in axes])


def _sorted(places: Sequence[str]) -> list[str]:
    try:
        return sorted(places, key=float)
    except ValueError:
        return list(places)


def axes_of(row: Mapping[str, Any]) -> dict[str, str]:
    """A row's place on the axes, as text."""
    return {name: label(value) for name, value in json.loads(row["axes"]).items()}


def _failure(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"run_id": row["run_id"], "trial": row["trial"], "axes": axes_of(row), "error": row.get("error") or ""}


def _equal(members: Sequence[Mapping[str, Any]], runs: Path, block: str) -> tuple[list[Entry], list[str]]:
    """Entries of one block on the same decisions, and what had to be trimmed."""
    if len({row.get("decisions") for row in members}) == 1:
        return [_entry(row, _values(row), row) for row in members], []
    results = [_result(row, runs) for row in members]
    spans, share, shortest = _common(results)
    if share < MIN_COMMON:
        odd = members[shortest]
        raise MnpuError(
            f"{block}: the rows have {share:.0%} of their decisions in common",
            expected=f"{MIN_COMMON:.0%} or more, for only equal decisions can be compared",
            next_step=f"Look at run {odd['run_id']} ({place_of(axes_of(odd))}), which has the fewest.",
        )
    entries = []
    for row, result, span in zip(members, results, spans, strict=True):
        part = restricted(result, span)
        values = {name: metric.value for name, metric in compute(part).items()}
        of_row = facts(part)
        named = {**row, "decisions": of_row["decisions"]}
        entries.append(_entry(named, {**values, "seconds": row["seconds"]}, of_row))
    if len({entry.decisions for entry in entries}) != 1:
        raise MnpuError(f"{block}: the trimmed rows still differ in their decisions", expected="equal sets")
    count = spans[0][1] - spans[0][0]
    note = f"{block}: {len(members)} rows are trimmed to the {count:,} decisions that all have ({share:.1%})."
    return entries, [note]


def _mixed(members: Sequence[Mapping[str, Any]], block: str) -> list[str]:
    """What is not the same and should be: data in a block; code and environment of rows that differ by their seed."""
    found = []
    if len({row.get("data_hash") for row in members}) > 1:
        found.append(f"{block}: the rows are of different data.")
    by_place: dict[str, set[tuple[Any, Any]]] = {}
    for row in members:
        place = " ".join(value for axis, value in axes_of(row).items() if axis != "seed")
        by_place.setdefault(place, set()).add((row.get("code_hash"), row.get("env_hash")))
    mixed = [place for place, made in by_place.items() if len(made) > 1]
    if mixed:
        found.append(f"{block}: the code or the environment changed between rows of {', '.join(mixed)}.")
    return found


def _entry(row: Mapping[str, Any], values: Mapping[str, float | None], of_row: Mapping[str, Any]) -> Entry:
    told = {name: of_row.get(name) for name in ("sharpe_bar", "n", "skew", "kurtosis", "periods_per_year")}
    kept_as = ("recipe_id", "name", "data_hash", "cpu_seconds", "seed", "n_decisions", "locked")
    ids = {name: row.get(name) for name in kept_as}
    return Entry(row["run_id"], row["trial"], axes_of(row), str(row.get("decisions")), values, {**told, **ids})


def _values(row: Mapping[str, Any]) -> dict[str, float | None]:
    metrics = {name.removeprefix("metric."): value for name, value in row.items() if name.startswith("metric.")}
    return {**metrics, "seconds": row.get("seconds")}


def _result(row: Mapping[str, Any], runs: Path) -> Result:
    try:
        return read_result(runs / row["run_id"])
    except MnpuError as error:
        raise MnpuError(
            f"{error.what}",
            where=str(runs / row["run_id"]),
            expected="the whole run: its decisions differ from the other rows', so they are to be trimmed",
        ) from error


def _common(results: Sequence[Result]) -> tuple[list[tuple[int, int]], float, int]:
    """The longest stretch on which all have the same cells: in each result's rows, its share, and who has the fewest.

    The share is that of the decisions of whoever has the most.
    """
    symbols = sorted({symbol for result in results for symbol in result.positions.symbols})
    times = results[0].times
    for result in results[1:]:
        times = times.intersection(result.times)
    cells = np.stack([_cells(result, times, symbols) for result in results])
    same = (cells == cells[:1]).all(axis=(0, 2))
    rows = np.stack([result.times.get_indexer(times) for result in results])
    follows = (np.diff(rows, axis=1) == 1).all(axis=0)  # a stretch has no gap in any of them
    best, start = (0, 0), 0
    for t in range(len(times)):
        if t and not follows[t - 1]:
            start = t
        if not same[t]:
            start = t + 1
        elif t + 1 - start > best[1] - best[0]:
            best = (start, t + 1)
    spans = [(int(own[best[0]]), int(own[best[0]]) + best[1] - best[0]) if best[1] else (0, 0) for own in rows]
    counts = [int(decision_set(result).sum()) for result in results]
    shared = int(cells[0, best[0] : best[1]].sum())
    return spans, shared / max(*counts, 1), int(np.argmin(counts))


def _cells(result: Result, times: pd.DatetimeIndex, symbols: Sequence[str]) -> np.ndarray:
    chosen = decision_set(result)[result.times.get_indexer(times)]
    found = np.zeros((len(times), len(symbols)), dtype=bool)
    found[:, [symbols.index(symbol) for symbol in result.positions.symbols]] = chosen
    return found


def restricted(result: Result, span: tuple[int, int]) -> Result:
    """A result's rows ``span[0] <= t < span[1]``, as if it had begun there with a net asset value of 1."""
    part = slice(*span)

    def book(of: Any) -> Any:
        return replace(of, times=of.times[part], weights=of.weights[part], rebalance=of.rebalance[part], violations=())

    net = result.net[part]
    return replace(
        result,
        times=result.times[part],
        fill_times=result.fill_times[part],
        gross=result.gross[part],
        net=net,
        equity=np.concatenate([[1.0], np.cumprod(1.0 + net)]),
        turnover_oneway=result.turnover_oneway[part],
        costs={kind: values[part] for kind, values in result.costs.items()},
        proposed=book(result.proposed),
        positions=book(result.positions),
        forecast=None if result.forecast is None else result.forecast.rows(*span),
        labels=None if result.labels is None else result.labels[part],
        panel=None if result.panel is None else result.panel.rows(*span),
        comparisons=tuple(restricted(other, span) for other in result.comparisons),
        fills=None,
    )


def _judged(entry: Entry, judge: Judge) -> Entry:
    """An entry with what `mnpu.judging` says of its numbers, after every recipe of its question."""
    found = judge.of_row({**entry.facts, "run_id": entry.run_id, "decisions": entry.decisions})
    return replace(entry, judgement=found, values={**entry.values, "dsr": found.dsr.value, "pbo": found.pbo.value})
