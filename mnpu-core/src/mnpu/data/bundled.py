"""The data that ships inside the package, with the instant at which each value became known.

Daily bars are known at their session's close, hourly ones at the end of their hour. A macro series without release
dates gets a declared, conservative lag; a series with vintages gets the dates on which they were published. What
each file holds is declared beside it: ``datasets.json``, ``series.csv``, ``corporate_actions.csv``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from mnpu.data.calendars import get_calendar
from mnpu.data.clock import day_end, utc
from mnpu.errors import DataError
from mnpu.types import DatasetInfo, SeriesInfo

__all__ = ["Bars", "Observations", "datasets", "knowledge_clocks", "load_bars", "load_observations", "series", "splits"]

#: What is declared of a dataset beside the fields of its ``DatasetInfo``.
NO_FIELDS = ("file", "quotes", "asset_class")
FREQUENCY = {"1d": pd.Timedelta(days=1), "1h": pd.Timedelta(hours=1)}
QUARTER_HOUR_AFTER_CLOSE = pd.Timedelta(hours=16, minutes=15)


@dataclass(frozen=True)
class Bars:
    """Rows of one dataset, sorted by symbol and time; ``columns`` maps price columns to float64 (N,).

    ``asset_class`` says what each symbol is; ``*`` stands for every symbol that it does not name.
    """

    info: DatasetInfo
    symbol: np.ndarray
    event_time: pd.DatetimeIndex
    knowledge_time: pd.DatetimeIndex
    columns: Mapping[str, np.ndarray]
    asset_class: Mapping[str, str]


@dataclass(frozen=True)
class Observations:
    """Rows of one series with their vintages; ``n_missing`` counts the empty cells that were left out."""

    info: SeriesInfo
    note: str
    event_time: pd.DatetimeIndex
    knowledge_time: pd.DatetimeIndex
    value: np.ndarray
    basis: np.ndarray
    n_missing: int


def _resource(name: str) -> bytes:
    return (files("mnpu.data") / "bundle" / name).read_bytes()


def _frame(name: str) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(_resource(name)))


def _table(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(_resource(name).decode("utf-8"))))


def datasets() -> list[dict[str, Any]]:
    """What each dataset of prices declares, with the file that it is in and what its symbols are."""
    declared: list[dict[str, Any]] = json.loads(_resource("datasets.json"))
    return declared


def series() -> list[dict[str, str]]:
    """What each macro series declares: event, lag, maximum age, source and licence."""
    return _table("series.csv")


def splits() -> list[dict[str, str]]:
    """The corporate actions of the as-traded dataset, with their source."""
    return _table("corporate_actions.csv")


def load_bars(declared: Mapping[str, Any]) -> Bars:
    """The bars of one dataset with their clocks; DataError for a bar outside the dataset's calendar."""
    frame = _frame(declared["file"])
    if "quotes" in declared:
        frame = frame[frame["quotes"] == declared["quotes"]]
    frame = frame.sort_values(["symbol", "timestamp"], kind="stable")
    fields: dict[str, Any] = {key: text for key, text in declared.items() if key not in NO_FIELDS}
    info = DatasetInfo(**fields)
    times = bar_close(utc(frame["timestamp"], where=info.name), info)
    if "close" not in frame:  # the vendor publishes adjusted closes only: they are the close
        frame = frame.rename(columns={"adj_close": "close"})
    names = [name for name in ("open", "high", "low", "close", "adj_close", "volume") if name in frame]
    columns = {name: frame[name].to_numpy(dtype="float64") for name in names}
    return Bars(info, frame["symbol"].to_numpy(dtype=object), times, times, columns, declared["asset_class"])


def bar_close(stamps: pd.DatetimeIndex, info: DatasetInfo) -> pd.DatetimeIndex:
    """When the bar that the vendor stamped ``stamps`` closed, which is when it became known."""
    calendar = get_calendar(info.calendar)
    if info.stamp == "session_date":
        dates, rows = np.unique(stamps.tz_localize(None).to_numpy().astype("datetime64[D]"), return_inverse=True)
        return calendar.session_close(dates)[rows]
    closes = stamps + FREQUENCY[info.frequency] if info.stamp == "open" else stamps
    outside = ~calendar.contains(closes)
    if outside.any():
        raise DataError(
            f"a bar closes at {closes[outside][0]}, outside the sessions ({outside.sum()} such bars)",
            where=info.name,
            expected=f"bars within calendar {info.calendar}",
        )
    return closes


def load_observations() -> list[Observations]:
    """Every macro series of the package."""
    plain, vintages = _frame("macro_series.parquet"), _frame("macro_vintages.parquet")
    declared = {row["series"]: row for row in series()}
    found = set(plain["series"]) | set(vintages["series"])
    if found != set(declared):
        raise DataError(f"series and their declarations differ: {sorted(found ^ set(declared))}", where="series.csv")
    groups = {**dict(list(plain.groupby("series"))), **dict(list(vintages.groupby("series")))}
    return [_observations(declared[name], groups[name]) for name in sorted(declared)]


def _observations(row: Mapping[str, str], frame: pd.DataFrame) -> Observations:
    n_missing = int(frame["value"].isna().sum())
    frame = frame.dropna(subset="value")
    if "available_at" in frame:
        frame = first_prints_and_revisions(frame)
        known = day_end(pd.DatetimeIndex(frame["available_at"]))
        event = event_end(pd.DatetimeIndex(frame["timestamp"]), row["event"])
        basis = np.where(frame["available_at"] == frame["available_at"].min(), "left-censored", "observed")
    else:
        event, known = knowledge_clocks(pd.DatetimeIndex(frame["timestamp"]), row)
        basis = np.full(len(frame), row["basis"])
    info = SeriesInfo(
        series=row["series"],
        frequency=row["frequency"],
        unit=row["unit"],
        basis=row["basis"],
        release_lag=_lag_in_words(row),
        max_age=pd.Timedelta(days=int(row["max_age_days"])),
        source=row["source"],
        licence=row["licence"],
    )
    values = frame["value"].to_numpy(dtype="float64")
    return Observations(info, row["note"], event, known, values, basis.astype(object), n_missing)


def first_prints_and_revisions(frame: pd.DataFrame) -> pd.DataFrame:
    """Drop the rows that repeat the value of the vintage before: they are no news."""
    frame = frame.sort_values(["timestamp", "available_at"], kind="stable")
    same = frame["value"].eq(frame["value"].shift()) & frame["timestamp"].eq(frame["timestamp"].shift())
    return frame[~same]


def event_end(stamps: pd.DatetimeIndex, event: str) -> pd.DatetimeIndex:
    """The last second of the period that a row stamped at its first day (or month) describes."""
    naive = stamps.tz_localize(None)
    if event == "month":
        return day_end(naive + pd.offsets.MonthEnd(0))
    if event == "quarter":
        return day_end(naive + pd.offsets.QuarterEnd(0))
    if event == "mid_month":
        return day_end(naive + pd.Timedelta(days=14))
    return day_end(naive)


def knowledge_clocks(stamps: pd.DatetimeIndex, row: Mapping[str, str]) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex]:
    """Event and knowledge times of a series without release dates, by its declared lag."""
    if row["event"] == "vix":
        wall = stamps.tz_localize(None) + QUARTER_HOUR_AFTER_CLOSE
        at = utc(wall.tz_localize("America/New_York"))
        return at, at
    event = event_end(stamps, row["event"])
    return event, event + pd.Timedelta(days=int(row["lag_days"]))


def _lag_in_words(row: Mapping[str, str]) -> str:
    if row["basis"] != "declared":
        return ""
    if row["event"] == "vix":
        return "same day, 16:15 New York"
    start = "period end" if row["event"] in ("month", "quarter") else "event day"
    return f"{start} + {row['lag_days']} days"
