"""Types, keys, order and units of every table, by its pandera model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mnpu.data.rows import PriceRows
from mnpu.types import SideTable
from mnpu.validation.bars import Table
from mnpu.validation.findings import SAMPLES, Context, Finding, Rule

__all__ = ["Schema"]

MODEL = Rule(
    "a table has the columns, types, ranges and keys of its model",
    "error",
    "What reads a text as a number, milliseconds as nanoseconds or one row twice is wrong without a sign.",
    "Correct the mapping of the import; the rule names the column.",
)
ORDER = Rule(
    "rows are sorted by symbol, event_time, knowledge_time",
    "error",
    "Every read relies on the order in which rows lie.",
    "Read the rows through the store, which sorts them.",
)


class Schema:
    """Tables have the columns, types, ranges, keys and order that ``mnpu.validation.models`` declares."""

    reads = (PriceRows, SideTable, pd.DataFrame)
    rules = (MODEL, ORDER)

    def check(self, table: Table | pd.DataFrame, context: Context | None = None) -> list[Finding]:
        """Breaches of the table's model; a raw table is known by ``context.name``, an unknown one passes."""
        if isinstance(table, PriceRows):
            return [*_order(table), *validate("prices", _frame(table))]
        if isinstance(table, SideTable):
            return validate("observations", _side_frame(table))
        if isinstance(table, pd.DataFrame) and context is not None:
            return validate(context.name, table)
        return []


def validate(name: str, frame: pd.DataFrame) -> list[Finding]:
    """What pandera says about a table, one finding for each column and check; nothing for a table without a model."""
    from pandera.errors import SchemaErrors

    from mnpu.validation.models import MODELS

    if name not in MODELS or frame.empty:
        return []
    blank = [column for column in frame if frame[column].dtype == object and frame[column].isna().all()]
    try:  # a column without a value has no type of its own
        MODELS[name].validate(frame.astype(dict.fromkeys(blank, "float64")), lazy=True)
    except SchemaErrors as error:
        return _findings(name, frame, error.failure_cases)
    return []


def _findings(name: str, frame: pd.DataFrame, cases: pd.DataFrame) -> list[Finding]:
    findings = []
    table_wide = cases["schema_context"] == "DataFrameSchema"
    column = cases["column"].where(~table_wide | (cases["check"] == "column_in_dataframe"), "").astype(str)
    for (of, check), group in cases.assign(column=column).groupby(["column", "check"], sort=False):
        at = pd.to_numeric(group["index"], errors="coerce").dropna().astype("int64").unique()
        case = group["failure_case"].iloc[0]
        what = str(case) if check == "column_in_dataframe" else of
        rule = _said(what, str(check))
        sample = f"{_row(frame, int(at[0]))}" if len(at) else f"the column is {case}"
        records = tuple(_row(frame, int(i)) for i in at[:SAMPLES])
        count = max(len(at), 1)
        findings.append(
            Finding(rule, "error", count, f"{name}: {sample}", MODEL.hint, records, at if len(at) else None)
        )
    return findings


def _said(column: str, check: str) -> str:
    if check == "multiple_fields_uniqueness":
        return "rows have different keys"
    if check == "column_in_dataframe":
        return f"there is a column {column}"
    return f"{column}: {check}" if column else check


def _row(frame: pd.DataFrame, i: int) -> dict[str, Any]:
    return {str(name): cell.item() if hasattr(cell, "item") else cell for name, cell in frame.iloc[i].items()}


def _order(rows: PriceRows) -> list[Finding]:
    keys = [rows.code.astype("int64"), rows.event_time, rows.knowledge_time]
    backwards, equal = np.zeros(max(len(rows) - 1, 0), dtype=bool), np.ones(max(len(rows) - 1, 0), dtype=bool)
    for key in keys:
        step = np.diff(key)
        backwards |= equal & (step < 0)
        equal &= step == 0
    at = np.flatnonzero(backwards) + 1
    if not len(at):
        return []
    records = tuple({"symbol": rows.symbols[rows.code[i]], "event_time": int(rows.event_time[i])} for i in at[:SAMPLES])
    return [Finding(ORDER.text, ORDER.severity, len(at), str(records[0]), ORDER.hint, records, at)]


def _frame(rows: PriceRows) -> pd.DataFrame:
    symbol = pd.Categorical.from_codes(rows.code.astype("int64"), categories=pd.Index(rows.symbols))
    keys = {"symbol": symbol, "event_time": rows.event_time, "knowledge_time": rows.knowledge_time}
    return pd.DataFrame({**keys, **rows.columns}, copy=False)


def _side_frame(table: SideTable) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "series": table.series,
            "symbol": table.symbol,
            "event_time": table.event_time.asi8,
            "knowledge_time": table.knowledge_time.asi8,
            "value": table.value,
        }
    )
