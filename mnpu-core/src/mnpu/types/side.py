"""Data beside prices: every value with the instant at which it could be read."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["SeriesInfo", "SideTable", "table_of"]


@dataclass(frozen=True)
class SeriesInfo:
    """What a side series declares: when it is known, and how long a value stays valid.

    ``release_lag`` is the declared rule in words (``period end + 15 days``), empty where knowledge times were
    observed. ``max_age`` is measured from ``event_time``; an older value is NaN at the decision. ``basis`` says
    where knowledge times come from: ``observed``, ``declared`` or ``left-censored``. ``kind`` says what it is:
    ``macro``, ``onchain``, ``funding``, ``fundamental``, ``benchmark``, ``calendar``, ``news`` or ``other``.
    """

    series: str
    frequency: str
    unit: str
    basis: str
    release_lag: str
    max_age: pd.Timedelta
    source: str
    licence: str
    kind: str = "macro"


@dataclass(frozen=True)
class SideTable:
    """Side data in long form: one row per value and vintage, sorted by ``knowledge_time``, then ``event_time``.

    ``knowledge_time`` is when the value could be read, ``event_time`` the end of the period that it describes.
    A revision is a new row with the same ``event_time``. ``symbol`` is ``""`` for market-wide rows. NaN values
    do not occur: a missing observation is a missing row.

    A text is a row of a series of kind ``news``, with the value 1 (a mention) and its words in ``text``, which is None
    where no row has any. An event of the economic calendar is four series of kind ``calendar``: ``NAME/scheduled``
    (value 1; its date may be known long before it), ``NAME/forecast``, ``NAME/actual`` and ``NAME/previous``.
    """

    event_time: pd.DatetimeIndex
    knowledge_time: pd.DatetimeIndex
    series: np.ndarray
    symbol: np.ndarray
    value: np.ndarray
    info: Mapping[str, SeriesInfo]
    text: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.value)

    def rows(self, keep: np.ndarray | slice) -> SideTable:
        """The rows that a boolean mask, an array of positions or a slice picks, in its order."""
        kept = replace(
            self,
            event_time=self.event_time[keep],
            knowledge_time=self.knowledge_time[keep],
            series=self.series[keep],
            symbol=self.symbol[keep],
            value=self.value[keep],
            text=None if self.text is None else self.text[keep],
        )
        if "_places" in self.__dict__:  # who asks for a part asks for the same series in it
            position = np.arange(len(self))[keep]
            if (np.diff(position) > 0).all():
                kept.__dict__["_places"] = _places_of(self._places, position, len(self))
        return kept

    def known_by(self, time: pd.Timestamp) -> SideTable:
        """The rows that were known at ``time``; equality is visible."""
        known = np.asarray(self.knowledge_time <= time)
        if known[: int(known.sum())].all():  # as it is sorted
            return self.rows(slice(0, int(known.sum())))
        return self.rows(np.flatnonzero(known))

    def revalued(self, value: np.ndarray, text: np.ndarray | None) -> SideTable:
        """The same rows with other values (N,) and texts; where each series stands is not looked for again."""
        other = replace(self, value=value, text=text)
        other.__dict__["_places"] = self._places
        return other

    @cached_property
    def derived(self) -> dict[Hashable, Any]:
        """What was computed of these rows alone, under a name of its maker's: several columns ask for the same."""
        return {}

    def find(self, series: str, symbol: str | None = None) -> np.ndarray:
        """Positions of the rows of a series, of one symbol (``""`` for the market) or of all, in order of knowledge."""
        return self._places.get((series, symbol), np.empty(0, dtype=np.intp))

    @cached_property
    def _places(self) -> dict[tuple[str, str | None], np.ndarray]:
        """Rows of each series, and of each symbol in it, found once: a table is read by many features."""
        places: dict[tuple[str, str | None], np.ndarray] = {}
        for series, rows in pd.Series(self.series).groupby(self.series, sort=False).indices.items():
            places[str(series), None] = rows
            for symbol, some in pd.Series(rows).groupby(self.symbol[rows], sort=False).indices.items():
                places[str(series), str(symbol)] = rows[some]
        return places


def _places_of(
    places: Mapping[tuple[str, str | None], np.ndarray], kept: np.ndarray, length: int
) -> dict[tuple[str, str | None], np.ndarray]:
    """Where the rows of each series stand among the ``kept`` positions, which increase, of ``length`` rows."""
    moved = np.full(length, -1, dtype=np.intp)
    moved[kept] = np.arange(len(kept))
    found = {key: moved[rows] for key, rows in places.items()}
    remaining = {key: rows[rows >= 0] for key, rows in found.items()}
    return {key: rows for key, rows in remaining.items() if len(rows)}


def table_of(kind: str) -> str:
    """The table or view of a store that holds the series of a kind."""
    return _TABLES.get(kind, "observations")


_TABLES = {
    "macro": "macro_observations",
    "onchain": "onchain_metrics",
    "funding": "funding_rates",
    "benchmark": "benchmarks",
    "calendar": "calendar_events",
    "news": "news",
}
