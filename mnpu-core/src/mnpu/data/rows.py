"""Raw price rows of one dataset, every vintage kept: what validators look at before a panel is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from mnpu.data.clock import from_ns, utc
from mnpu.types import DatasetInfo, Panel

__all__ = ["BASES", "PRICE_COLUMNS", "PriceRows", "rows_of_frame", "rows_of_panel"]

PRICE_COLUMNS = ("open", "high", "low", "close", "adj_close", "volume")
#: How it is known when a row became known: somebody recorded it, a rule says so, or it was there when recording began.
BASES = ("observed", "declared", "left-censored")


@dataclass(frozen=True)
class PriceRows:
    """Rows of one dataset, sorted by symbol, event time and knowledge time: one for each bar and vintage.

    Attributes
    ----------
    info : DatasetInfo
    symbols : tuple of str (A,)
        Also those without a row.
    code : int32 ndarray (N,)
        Index into ``symbols``.
    event_time, knowledge_time : int64 ndarray (N,)
        Nanoseconds since 1970, UTC: the close of the bar, and when the row could be read.
    columns : mapping of str to float64 ndarray (N,)
        Some of ``open high low close adj_close volume``; NaN where missing, absent where all are.
    """

    info: DatasetInfo
    symbols: tuple[str, ...]
    code: np.ndarray
    event_time: np.ndarray
    knowledge_time: np.ndarray
    columns: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.code)

    def __getitem__(self, name: str) -> np.ndarray:
        """The column ``name``, float64 (N,)."""
        return self.columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    @property
    def events(self) -> pd.DatetimeIndex:
        """``event_time`` as instants."""
        return from_ns(self.event_time)

    @cached_property
    def same_symbol(self) -> np.ndarray:
        """Boolean (N,): whether the row before has the same symbol."""
        same = np.zeros(len(self), dtype=bool)
        same[1:] = self.code[1:] == self.code[:-1]
        return same

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each symbol's rows begin, (A + 1,); the last entry is N."""
        return np.searchsorted(self.code, np.arange(len(self.symbols) + 1)).astype("int64")

    @cached_property
    def first_print(self) -> np.ndarray:
        """Boolean (N,): whether a row is the first vintage of its bar."""
        repeated = self.same_symbol.copy()
        repeated[1:] &= self.event_time[1:] == self.event_time[:-1]
        return ~repeated

    def take(self, index: np.ndarray) -> PriceRows:
        """The rows at ``index`` (or where it is true), in their order."""
        columns = {name: values[index] for name, values in self.columns.items()}
        return replace(
            self,
            code=self.code[index],
            event_time=self.event_time[index],
            knowledge_time=self.knowledge_time[index],
            columns=columns,
        )


def rows_of_frame(frame: pd.DataFrame, info: DatasetInfo, *, symbols: tuple[str, ...] = ()) -> PriceRows:
    """Rows of a table with ``symbol``, ``event_time``, perhaps ``knowledge_time``, and some price columns.

    Parameters
    ----------
    frame : DataFrame
        In any order; it is not changed. Times are timezone-aware. Without ``knowledge_time`` a row is known at its
        ``event_time``.
    info : DatasetInfo
    symbols : tuple of str, optional
        Symbols of the dataset beside those that have rows.

    Raises
    ------
    DataError
        If times have no zone.
    """
    names = tuple(sorted({*symbols, *frame["symbol"].astype(str).unique()}))
    code = pd.Index(names).get_indexer(frame["symbol"].astype(str)).astype("int32")
    event = utc(frame["event_time"], where="event_time").asi8
    known = utc(frame["knowledge_time"], where="knowledge_time").asi8 if "knowledge_time" in frame else event
    order = np.lexsort((known, event, code))
    columns = {n: frame[n].to_numpy(dtype="float64")[order] for n in PRICE_COLUMNS if n in frame}
    columns = {name: values for name, values in columns.items() if not np.isnan(values).all()}
    return PriceRows(info, names, code[order], event[order], known[order], columns)


def rows_of_panel(panel: Panel) -> PriceRows:
    """The bars of a panel as rows: continuous over splits, known at their close."""
    n_times, n_assets = panel.shape
    present = np.zeros((n_times, n_assets), dtype=bool)
    names = [name for name in PRICE_COLUMNS if name in panel.fields]
    for name in names:
        present |= ~np.isnan(panel[name])
    code, row = np.nonzero(present.T)
    event = panel.times.asi8[row]
    columns = {name: panel[name][row, code] for name in names}
    columns = {name: values for name, values in columns.items() if not np.isnan(values).all()}
    return PriceRows(panel.datasets[0], panel.symbols, code.astype("int32"), event, event, columns)
