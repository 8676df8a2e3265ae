"""One pandera model for each table of a store: columns, types, ranges, keys. pandera is imported with this module only.

Instants are integers, nanoseconds since 1970 in UTC, as they are stored. Columns that an older schema lacks are
optional. A third party that adds a table writes a model like these and validates with it in a validator of its own.
"""

from __future__ import annotations

from typing import Any, Optional, TypeAlias

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from mnpu.data.clock import FIRST_NS, LAST_NS
from mnpu.data.rows import BASES

__all__ = ["MODELS"]

KINDS = ("macro", "onchain", "funding", "fundamental", "benchmark", "calendar", "news", "other")

Text: TypeAlias = Series[Any]
Instant: TypeAlias = Series[np.int64]
Number: TypeAlias = Series[float]


def text(**rules: Any) -> Any:
    """A text that is there and not empty."""
    return pa.Field(nullable=False, str_length={"min_value": 1}, **rules)


def instant() -> Any:
    """An instant between 1700 and 2200."""
    return pa.Field(ge=FIRST_NS, le=LAST_NS)


def basis() -> Any:
    """Where a knowledge time comes from."""
    return pa.Field(isin=BASES, nullable=False)


def _check(says: str) -> Any:
    """A check of a whole table, named twice: pandera forgets ``name`` in the second model that inherits the check."""
    return pa.dataframe_check(name=says, error=says)


def _known_after(frame: pd.DataFrame) -> pd.Series:
    return frame["knowledge_time"] >= frame["event_time"]


def _nanoseconds(frame: pd.DataFrame) -> pd.Series:
    """Seconds or milliseconds that were read as nanoseconds all lie within the first weeks of 1970."""
    near = np.abs(pd.to_numeric(frame["event_time"], errors="coerce")) < 2e15
    return ~near if len(frame) >= 3 and near.mean() > 0.5 else pd.Series(True, index=frame.index)


class _Table(pa.DataFrameModel):
    class Config:
        strict = False  # a store of a newer version may have more


class _TwoClocks(_Table):
    event_time: Instant = instant()
    knowledge_time: Instant = instant()
    basis: Optional[Text] = basis()  # noqa: UP045 pandera reads the annotation on Python 3.10

    @_check("instants are nanoseconds")
    def nanoseconds(cls, frame: pd.DataFrame) -> pd.Series:
        """Units of the stamps."""
        return _nanoseconds(frame)


class Datasets(_Table):
    """What each set of prices declares."""

    name: Text = text(unique=True)
    frequency: Text = text(str_matches=r"^\d+(min|m|h|d)$")
    stamp: Text = text(isin=("session_date", "open", "close"))
    adjustment: Text = text(isin=("none", "split", "split+dividend"))
    calendar: Text = text()
    currency: Text = pa.Field()  # empty where its assets have several


class Assets(_Table):
    """The symbols of each dataset."""

    dataset: Text = text()
    symbol: Text = text(str_matches=r"^\S{1,32}$")
    asset_class: Optional[Text] = pa.Field(nullable=True)  # noqa: UP045
    base: Optional[Text] = pa.Field(nullable=True)  # noqa: UP045

    @_check("a symbol is listed before it is delisted")
    def order(cls, frame: pd.DataFrame) -> Any:
        """Listing and delisting."""
        if not {"listed", "delisted"} <= set(frame.columns):
            return True
        listed, delisted = (pd.to_numeric(frame[name]) for name in ("listed", "delisted"))
        return ~(listed > delisted)

    class Config:
        unique = ("dataset", "symbol")


class Universes(_Table):
    """Membership by date."""

    universe: Text = text()
    symbol: Text = text()
    start: Instant = instant()

    @_check("a membership starts before it ends")
    def order(cls, frame: pd.DataFrame) -> Any:
        """Start and end."""
        return ~(frame["start"] > pd.to_numeric(frame["end"])) if "end" in frame else True

    class Config:
        unique = ("universe", "symbol", "start", "knowledge_time")


class Prices(_TwoClocks):
    """Bars; a price may be negative here, ``ohlcv`` knows where it may not."""

    symbol: Text = pa.Field(nullable=False)
    open: Optional[Number] = pa.Field(nullable=True)  # noqa: UP045
    high: Optional[Number] = pa.Field(nullable=True)  # noqa: UP045
    low: Optional[Number] = pa.Field(nullable=True)  # noqa: UP045
    close: Optional[Number] = pa.Field(nullable=True)  # noqa: UP045
    adj_close: Optional[Number] = pa.Field(nullable=True)  # noqa: UP045
    volume: Optional[Number] = pa.Field(nullable=True)  # noqa: UP045

    @_check("knowledge_time >= event_time")
    def known_after(cls, frame: pd.DataFrame) -> pd.Series:
        """A bar is known at its close at the earliest."""
        return _known_after(frame)

    @_check("cells are finite or missing")
    def finite(cls, frame: pd.DataFrame) -> Any:
        """No infinite price."""
        cells = frame.select_dtypes("float64").to_numpy()
        return ~pd.Series(np.isinf(cells).any(axis=1), index=frame.index)

    class Config:
        unique = ("symbol", "event_time", "knowledge_time")


class CorporateActions(_TwoClocks):
    """Splits and dividends; they are announced before they take effect."""

    dataset: Text = text()
    symbol: Text = text()
    kind: Text = text(isin=("split", "dividend"))
    label: Text = pa.Field(nullable=False)
    ratio: Optional[Number] = pa.Field(nullable=True, gt=0)  # noqa: UP045
    amount: Optional[Number] = pa.Field(nullable=True, ge=0)  # noqa: UP045

    @_check("a split has a ratio, a dividend an amount")
    def complete(cls, frame: pd.DataFrame) -> Any:
        """Which number goes with which kind."""
        missing = pd.Series(np.nan, index=frame.index)
        ratio, amount = (frame.get(name, missing) for name in ("ratio", "amount"))
        return ~(((frame["kind"] == "split") & ratio.isna()) | ((frame["kind"] == "dividend") & amount.isna()))

    class Config:
        unique = ("dataset", "symbol", "event_time", "knowledge_time", "kind", "label")


class SeriesTable(_Table):
    """What each side series declares."""

    series: Text = text(unique=True)
    basis: Text = basis()
    max_age: Instant = pa.Field(gt=0)
    kind: Optional[Text] = pa.Field(isin=KINDS)  # noqa: UP045


class Observations(_TwoClocks):
    """Values of the side series, one row for each period, symbol and vintage."""

    series: Text = text()
    symbol: Optional[Text] = pa.Field(nullable=False)  # noqa: UP045
    value: Number = pa.Field(nullable=False, ge=-np.finfo(float).max, le=np.finfo(float).max)


class CalendarEvents(_TwoClocks):
    """Scheduled releases: a schedule is known before its event, what was released is not."""

    series: Text = text()
    forecast: Optional[Number] = pa.Field(nullable=True)  # noqa: UP045
    actual: Optional[Number] = pa.Field(nullable=True)  # noqa: UP045
    previous: Optional[Number] = pa.Field(nullable=True)  # noqa: UP045

    @_check("an actual value is known when it was released")
    def released(cls, frame: pd.DataFrame) -> Any:
        """No outcome before its release."""
        if not {"actual", "released"} <= set(frame.columns):
            return True
        at = pd.to_numeric(frame["released"], errors="coerce").fillna(frame["event_time"])
        return ~(frame["actual"].notna() & (frame["knowledge_time"] < at))

    class Config:
        unique = ("series", "event_time", "knowledge_time")


class News(_TwoClocks):
    """Texts with the moment of their publication."""

    source: Text = text()
    id: Text = pa.Field(nullable=False)
    symbol: Text = pa.Field(nullable=False)
    text: Text = text()

    @_check("knowledge_time >= event_time")
    def known_after(cls, frame: pd.DataFrame) -> pd.Series:
        """A text is known when it was published."""
        return _known_after(frame)


class NewsScores(_Table):
    """Scores of texts by a model, known when the model had run."""

    source: Text = text()
    id: Text = pa.Field(nullable=False)
    model: Text = text()
    knowledge_time: Instant = instant()
    score: Optional[Number] = pa.Field(nullable=True)  # noqa: UP045


#: Model by the name of the table in the store.
MODELS: dict[str, type[pa.DataFrameModel]] = {
    "datasets": Datasets,
    "assets": Assets,
    "universes": Universes,
    "prices": Prices,
    "corporate_actions": CorporateActions,
    "series": SeriesTable,
    "observations": Observations,
    "calendar_events": CalendarEvents,
    "news": News,
    "news_scores": NewsScores,
}
