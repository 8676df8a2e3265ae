"""Small side tables made by hand, real ones from the shared files, and what was known of them, row by row."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mnpu.types import DatasetInfo, Panel, SeriesInfo, SideTable

DAY = pd.Timedelta(days=1)
AGES = 3650 * DAY


def utc(*stamps: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.to_datetime(list(stamps), utc=True, format="ISO8601")).as_unit("ns")


def decisions(
    times: pd.DatetimeIndex,
    symbols: Sequence[str] = ("A",),
    bases: Sequence[str] = (),
    **fields: np.ndarray,
) -> Panel:
    """A panel that is little more than its decision times; prices only where a feature reads them."""
    info = DatasetInfo("none", "", "1d", "close", "none", "", "XNYS", "USD", "")
    return Panel(
        times=times.as_unit("ns"),
        sessions=times.tz_localize(None).to_numpy().astype("datetime64[D]"),
        symbols=tuple(symbols),
        fields=fields,
        tradable=np.ones((len(times), len(symbols)), bool),
        datasets=(info,) * len(symbols),
        frequency="1d",
        calendar="XNYS",
        periods_per_year=252.0,
        bases=tuple(bases),
    )


def side_table(frame: pd.DataFrame, *, max_age: pd.Timedelta = AGES, kind: str = "macro") -> SideTable:
    """A side table of the columns ``event, known, series, value`` and perhaps ``symbol``."""
    frame = frame.dropna(subset="value").sort_values(["known", "event"], kind="stable")
    symbol = frame["symbol"].fillna("") if "symbol" in frame else pd.Series("", index=frame.index)
    names = frame["series"].unique().tolist()
    return SideTable(
        event_time=pd.DatetimeIndex(frame["event"]).as_unit("ns"),
        knowledge_time=pd.DatetimeIndex(frame["known"]).as_unit("ns"),
        series=frame["series"].to_numpy(dtype=object),
        symbol=symbol.to_numpy(dtype=object),
        value=frame["value"].to_numpy(dtype=float),
        info={name: SeriesInfo(name, "", "", "declared", "", max_age, "test", "none", kind) for name in names},
    )


def table(rows: Mapping[str, Sequence[tuple]], *, max_age: pd.Timedelta = AGES, kind: str = "macro") -> SideTable:
    """A side table from ``(event, known, value)`` or ``(event, known, value, symbol)`` rows of each series."""
    flat = [(series, *row, *([""] if len(row) == 3 else [])) for series, several in rows.items() for row in several]
    frame = pd.DataFrame(flat, columns=["series", "event", "known", "value", "symbol"])
    for name in ("event", "known"):
        frame[name] = utc(*frame[name].astype(str))
    return side_table(frame, max_age=max_age, kind=kind)


def rows_known(side: SideTable, series: str, at: pd.Timestamp, *, symbol: str = "", vintage: str = "last") -> pd.Series:
    """The slow way: of the rows known at a moment, the last (or first) of each period, by period."""
    frame = pd.DataFrame(
        {
            "event": side.event_time,
            "known": side.knowledge_time,
            "series": side.series,
            "symbol": side.symbol,
            "value": side.value,
        }
    )
    frame = frame[(frame["series"] == series) & (frame["symbol"] == symbol) & (frame["known"] <= at)]
    return (
        frame.sort_values("known", kind="stable")
        .drop_duplicates("event", keep=vintage)
        .set_index("event")["value"]
        .sort_index()
    )


def shared_file(name: str) -> Path:
    """A file of the shared data; the test is skipped where it is not there."""
    root = Path(os.environ.get("MNPU_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (root / name).exists():
        pytest.skip(f"the shared file {name} is not there (MNPU_SHARED_DATA names its folder)")
    return root / name


def shared_frame(name: str) -> pd.DataFrame:
    """A shared file with its clocks in nanoseconds."""
    frame = pd.read_parquet(shared_file(name))
    for column in frame.columns.intersection(["timestamp", "available_at"]):
        frame[column] = frame[column].dt.as_unit("ns")
    return frame
