"""A small market with texts written by hand, and a reader who computes everything anew at each decision."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mnpu.features.compute import evaluate
from mnpu.features.plan import PlannedFeature, plan_function
from mnpu.types import DatasetInfo, Panel, SeriesInfo, SideTable
from mnpu_data_sentiment import sentiment

#: Real texts, read where they are and never copied.
SHARED = Path(os.environ.get("MNPU_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))

DAY = pd.Timedelta(days=1)
SYMBOLS = ("A", "B", "C")

Post = tuple[str, str, str]  # when it could be read, about what, its words


def decisions(times: Sequence[str] | pd.DatetimeIndex, symbols: tuple[str, ...] = SYMBOLS) -> Panel:
    """A panel without prices: texts need only the decision times and the symbols."""
    at = pd.DatetimeIndex(pd.to_datetime(times, utc=True, format="ISO8601")).as_unit("ns")
    info = DatasetInfo("none", "", "1d", "close", "none", "", "XNYS", "USD", "")
    return Panel(
        times=at,
        sessions=at.tz_localize(None).to_numpy().astype("datetime64[D]"),
        symbols=symbols,
        fields={},
        tradable=np.ones((len(at), len(symbols)), bool),
        datasets=(info,) * len(symbols),
        frequency="1d",
        calendar="XNYS",
        periods_per_year=252.0,
    )


def table(known: Any, symbol: Sequence[str], text: Sequence[str], *, series: str = "news") -> SideTable:
    """A side table of texts in the order of their knowledge; those of one moment stay in the order given."""
    at = pd.DatetimeIndex(pd.to_datetime(known, utc=True, format="ISO8601")).as_unit("ns")
    info = SeriesInfo(series, "irregular", "text", "observed", "", 3650 * DAY, "test", "none", "news")
    made = SideTable(
        event_time=at,
        knowledge_time=at,
        series=np.full(len(at), series, dtype=object),
        symbol=np.array(symbol, dtype=object),
        value=np.ones(len(at)),
        info={series: info},
        text=np.array(text, dtype=object),
    )
    return made.rows(np.argsort(at.asi8, kind="stable"))


def posts(*rows: Post) -> SideTable:
    return table([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])


def planned(name: str, **params: Any) -> list[PlannedFeature]:
    return plan_function(getattr(sentiment, name), params, source="sentiment", dist="mnpu-data-sentiment")


def values(name: str, panel: Panel, side: SideTable, **params: Any) -> np.ndarray:
    """The feature, (T, A)."""
    return evaluate(planned(name, **params), panel, side)[..., 0]


def brute(panel: Panel, side: SideTable, one: Callable[[pd.DataFrame, pd.Timestamp], float]) -> np.ndarray:
    """``one(what was read about the symbol, decision)`` at every decision, (T, A)."""
    read = pd.DataFrame({"known": side.knowledge_time, "symbol": side.symbol, "text": side.text})
    return np.array(
        [
            [one(read[(read["known"] <= t) & (read["symbol"] == symbol)], t) for symbol in panel.symbols]
            for t in panel.times
        ]
    )


def chatter(seed: int, *, days: int = 60, per_day: float = 4.0) -> tuple[Panel, SideTable]:
    """Decisions at 21:00 on every weekday, and posts at any minute about three symbols, the market and a stranger."""
    rng = np.random.default_rng(seed)
    panel = decisions(pd.bdate_range("2020-03-02 21:00", periods=days * 5 // 7, tz="UTC"))
    n = int(per_day * (days + 40))
    start = pd.Timestamp("2020-01-25", tz="UTC")
    known = start + pd.to_timedelta(np.sort(rng.integers(0, (days + 40) * 1440, size=n)), unit="min")
    words = ["beats", "record", "strong", "upgrade", "fraud", "lawsuit", "weak", "miss", "the", "quarter", "of", "it"]
    text = [" ".join(rng.choice(words, size=int(rng.integers(1, 7))).tolist()) for _ in range(n)]
    return panel, table(known, rng.choice(["A", "B", "", "ELSE"], size=n).tolist(), text)
