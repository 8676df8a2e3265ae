"""What the rules about price rows share: one row for each bar, returns within a symbol, and findings about rows."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from mnpu.data.clock import from_ns
from mnpu.data.rows import PriceRows, rows_of_panel
from mnpu.types import Panel, SideTable
from mnpu.validation.findings import SAMPLES, Context, Finding, Rule

__all__ = [
    "Table",
    "bars_of",
    "close_of",
    "found",
    "log_returns",
    "no_volume",
    "rows_of",
    "side_found",
    "step_of",
    "typical",
]

Table = Panel | SideTable | PriceRows


def rows_of(table: Table) -> PriceRows | None:
    """The table as price rows, None if it is about something else."""
    if isinstance(table, PriceRows):
        return table
    return rows_of_panel(table) if isinstance(table, Panel) else None


def bars_of(table: Table) -> tuple[PriceRows, np.ndarray] | None:
    """The first vintage of every bar, and which row of the table each is; None if it has no prices."""
    rows = rows_of(table)
    if rows is None or not len(rows):
        return None
    first = rows.first_print
    return (rows, np.arange(len(rows))) if first.all() else (rows.take(first), np.flatnonzero(first))


def close_of(bars: PriceRows) -> np.ndarray:
    """The close, or the adjusted one where there is no other, float64 (N,)."""
    if "close" in bars:
        return bars["close"]
    return bars["adj_close"] if "adj_close" in bars else np.full(len(bars), np.nan)


def log_returns(bars: PriceRows) -> np.ndarray:
    """Logarithmic return of each bar on the one before, (N,); NaN at a symbol's first bar and beside prices <= 0."""
    close = close_of(bars)
    with np.errstate(invalid="ignore", divide="ignore"):
        level = np.where(close > 0, np.log(np.where(close > 0, close, 1.0)), np.nan)
    moved = np.full(len(bars), np.nan)
    moved[1:] = np.where(bars.same_symbol[1:], np.diff(level), np.nan)
    return moved


def typical(bars: PriceRows, size: np.ndarray) -> np.ndarray:
    """The median of ``size`` (N,) over each symbol's rows where it is above 0, spread over its rows; NaN if none."""
    medians = pd.Series(np.where(size > 0, size, np.nan)).groupby(bars.code).median()
    return medians.reindex(np.arange(len(bars.symbols))).to_numpy()[bars.code]


def no_volume(bars: PriceRows, context: Context | None) -> np.ndarray:
    """Boolean (A,): symbols that nobody trades: by their class, or in a dataset that has no volume at all."""
    assets = context.assets if context is not None else {}
    classes = [assets[s].asset_class if s in assets else "" for s in bars.symbols]
    nowhere = "volume" not in bars or not (np.nan_to_num(bars["volume"]) > 0).any()
    return np.array([kind == "index" or (not kind and nowhere) for kind in classes], dtype=bool)


def step_of(rows: PriceRows) -> int:
    """Nanoseconds from one bar of the dataset's frequency to the next: ``5m``, ``1h``, ``1d``."""
    number, unit = re.fullmatch(r"(\d*)(\w+)", rows.info.frequency).groups()  # type: ignore[union-attr]
    return int(number or 1) * {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}[unit] * 1_000_000_000


def found(
    rule: Rule, rows: PriceRows, broken: np.ndarray, describe: Callable[[int], str], *, origin: np.ndarray | None = None
) -> list[Finding]:
    """One finding about the rows where ``broken`` (N,) is true or which it lists, none if there are none.

    Parameters
    ----------
    rule : Rule
    rows : PriceRows
    broken : ndarray
        Boolean (N,), or row numbers, the worst first.
    describe : callable
        ``describe(i)`` says what is wrong with row i, after the symbol and the date.
    origin : ndarray (N,), optional
        Which row of the original table each row is.
    """
    index = np.flatnonzero(broken) if broken.dtype == bool else broken
    if not len(index):
        return []
    records = tuple(_record(rows, int(i), describe(int(i))) for i in index[:SAMPLES])
    head = f"{rows.symbols[rows.code[index[0]]]} on {records[0]['event_time']:%Y-%m-%d %H:%M} {records[0]['what']}"
    original = np.sort(index if origin is None else origin[index]).astype("int64")
    return [Finding(rule.text, rule.severity, len(index), head, rule.hint, records, original)]


def side_found(rule: Rule, table: SideTable, broken: np.ndarray, describe: Callable[[int], str]) -> list[Finding]:
    """As ``found``, about the rows of a side table."""
    index = np.flatnonzero(broken) if broken.dtype == bool else broken
    if not len(index):
        return []
    records = side_records(table, index, describe)
    head = records[0]
    name = " ".join(part for part in (head["series"], head["symbol"]) if part)
    sample = f"{name} of {head['event_time']:%Y-%m-%d %H:%M} {head['what']}"
    return [Finding(rule.text, rule.severity, len(index), sample, rule.hint, records, np.sort(index).astype("int64"))]


def side_records(table: SideTable, index: np.ndarray, describe: Callable[[int], str]) -> tuple[dict[str, Any], ...]:
    """The first rows of a side table that ``index`` lists, by column name."""
    return tuple(
        {
            "series": str(table.series[i]),
            "symbol": str(table.symbol[i]),
            "event_time": table.event_time[i],
            "knowledge_time": table.knowledge_time[i],
            "value": float(table.value[i]),
            "what": describe(int(i)),
        }
        for i in index[:SAMPLES]
    )


def _record(rows: PriceRows, i: int, what: str) -> dict[str, Any]:
    event, known = from_ns([rows.event_time[i], rows.knowledge_time[i]])
    cells = {name: float(values[i]) for name, values in rows.columns.items()}
    return {"symbol": rows.symbols[rows.code[i]], "event_time": event, "knowledge_time": known, **cells, "what": what}
