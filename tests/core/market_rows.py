"""A clean market as price rows, and ways of spoiling it: for tests of the market rules."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mnpu.data.calendars import get_calendar
from mnpu.data.rows import PriceRows, rows_of_frame
from mnpu.types import DatasetInfo, SeriesInfo, SideTable

SYMBOLS = ("AA", "BB", "CC", "DD", "EE", "FF")
INFO = DatasetInfo("made_up", "nobody", "1d", "close", "none", "", "XNYS", "USD", "none")


class AlwaysOpen:
    """A market that never closes; a session is a UTC day."""

    name = "24/7"
    continuous = True

    def contains(self, times):
        return np.ones(len(times), dtype=bool)

    def sessions(self, times):
        return (times - pd.Timedelta(1, "ns")).tz_localize(None).to_numpy().astype("datetime64[D]")


def session_closes(first: str, n: int) -> pd.DatetimeIndex:
    """Closes of the first ``n`` sessions of New York from a date on."""
    calendar = get_calendar("XNYS")
    days = pd.bdate_range(first, periods=n + 30).to_numpy().astype("datetime64[D]")
    noon = pd.DatetimeIndex(days).as_unit("ns").tz_localize("UTC") + pd.Timedelta(hours=17)
    return calendar.session_close(days[calendar.contains(noon)][:n])


def market_frame(seed: int = 7, n: int = 300, symbols: tuple[str, ...] = SYMBOLS) -> pd.DataFrame:
    """Random walks of 1.5 % a day with bars around them: nothing is wrong."""
    rng = np.random.default_rng(seed)
    times = session_closes("2015-01-02", n)
    parts = []
    for symbol in symbols:
        close = 50 * np.exp(np.cumsum(rng.normal(0, 0.015, n)))
        opened = close * np.exp(rng.normal(0, 0.004, n))
        parts.append(
            pd.DataFrame(
                {
                    "symbol": symbol,
                    "event_time": times,
                    "open": opened,
                    "high": np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, 0.004, n))),
                    "low": np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0, 0.004, n))),
                    "close": close,
                    "volume": np.round(np.exp(rng.normal(12, 0.5, n))),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def to_rows(frame: pd.DataFrame, **declared: str) -> PriceRows:
    """Price rows of a frame, in a dataset that declares what is given."""
    return rows_of_frame(frame, DatasetInfo(**{**INFO.__dict__, **declared}))


def side_table(
    value: object, *, event: pd.DatetimeIndex, kind: str = "macro", lag_days: float = 1.0, **columns: object
) -> SideTable:
    """One series, known some days after each period."""
    value = np.asarray(value, dtype="float64")
    info = SeriesInfo("x", "daily", "u", "declared", "", pd.Timedelta(days=60), "", "")
    object.__setattr__(info, "kind", kind)
    table = SideTable(
        event_time=event,
        knowledge_time=event + pd.Timedelta(days=lag_days),
        series=np.full(len(value), "x", dtype=object),
        symbol=np.full(len(value), columns.pop("symbol", ""), dtype=object),
        value=value,
        info={"x": info},
    )
    for name, cells in columns.items():
        object.__setattr__(table, name, cells)
    return table


def by_rule(findings: list) -> Mapping[str, object]:
    """Findings by their rule."""
    return {finding.rule: finding for finding in findings}
