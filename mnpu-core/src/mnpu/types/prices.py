"""Prices as they were known, and what a set of them declares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

__all__ = ["Adjustment", "DatasetInfo", "Panel"]

Adjustment = Literal["none", "split", "split+dividend"]


@dataclass(frozen=True)
class DatasetInfo:
    """What a dataset of prices declares about itself.

    Attributes
    ----------
    name : str
        Key of the dataset in the store.
    vendor, licence, note : str
        Origin, licence, and what a reader must know (survivorship, rounding, quote side).
    frequency : str
        Length of a bar: ``1m`` to ``1w``, see `mnpu.frequencies`.
    stamp : str
        What the vendor's time stamp means: ``session_date``, ``open`` or ``close``.
    adjustment : {"none", "split", "split+dividend"}
        What the vendor already applied to the prices. ``none`` is as traded.
    adjusted_as_of : str
        Date of the knowledge inside adjusted prices (ISO), empty for ``none``.
    calendar : str
        ``FX``, ``CRYPTO``, or the code of an exchange such as ``XNYS``.
    currency : str
        Currency of the prices.
    """

    name: str
    vendor: str
    frequency: str
    stamp: str
    adjustment: Adjustment
    adjusted_as_of: str
    calendar: str
    currency: str
    licence: str
    note: str = ""


@dataclass(frozen=True)
class Panel:
    """Prices as known at each decision.

    Attributes
    ----------
    times : DatetimeIndex (T,)
        Decision times, UTC, strictly increasing: the close of each bar.
    sessions : ndarray (T,) of datetime64[D]
        The session (trading day) each bar belongs to, in the calendar's own time zone.
    symbols : tuple of str (A,)
    fields : mapping of str to float64 ndarray (T, A)
        Some of ``open high low close vwap volume split_factor dividend total_close delisting``. Row t holds what was
        known at ``times[t]``.
        Prices and volumes are continuous over splits: as traded, times (volumes: divided by) ``split_factor``,
        the product of all splits up to and including bar t. So a later split never changes an earlier row, and
        ``close / split_factor`` is the price as traded. ``dividend`` is the cash per share, in the same units, of the
        first bar without it, 0 in other bars; ``total_close`` the close with dividends bought back, for returns
        only. ``delisting`` is the cash that a share became after its last bar, NaN in all rows but that one. Bars
        that were put together also have ``open_factor``, the split factor of their open, and ``open_dividend``, what
        of the dividends is paid at it. ``vwap`` is the volume weighted average price of the bar, where somebody knows
        it.
    tradable : bool ndarray (T, A)
        True where the symbol is listed and has a bar at t: it is neither halted nor missing.
    datasets : tuple of DatasetInfo (A,)
        Where each symbol's prices come from.
    frequency, calendar : str
    periods_per_year : float
        Bars in a year of the calendar, for annualisation.
    bases : tuple of str (A,)
        Name under which side data about each symbol is filed where it is not filed under the symbol itself: ``BTC``
        for ``BTCUSD``. Empty where every symbol stands for itself.
    member : bool ndarray (T, A), optional
        Whether the symbol belongs to the universe at t. Who does not can be sold, but is no choice; None is everyone.
    """

    times: pd.DatetimeIndex
    sessions: np.ndarray
    symbols: tuple[str, ...]
    fields: Mapping[str, np.ndarray]
    tradable: np.ndarray
    datasets: tuple[DatasetInfo, ...]
    frequency: str
    calendar: str
    periods_per_year: float
    bases: tuple[str, ...] = ()
    member: np.ndarray | None = None

    def __getitem__(self, name: str) -> np.ndarray:
        """The field ``name``, float64 (T, A)."""
        return self.fields[name]

    @property
    def shape(self) -> tuple[int, int]:
        """``(T, A)``."""
        return len(self.times), len(self.symbols)

    @property
    def instants(self) -> np.ndarray:
        """The decision times in nanoseconds since 1970, (T,) int64."""
        return np.asarray(self.times.as_unit("ns").asi8)

    @property
    def decidable(self) -> np.ndarray:
        """Boolean (T, A): where a symbol is tradable and belongs to the universe, so that a position may be taken."""
        return self.tradable if self.member is None else self.tradable & self.member

    def rows(self, start: int, stop: int) -> Panel:
        """The bars ``start <= t < stop``."""
        return replace(
            self,
            times=self.times[start:stop],
            sessions=self.sessions[start:stop],
            fields={name: values[start:stop] for name, values in self.fields.items()},
            tradable=self.tradable[start:stop],
            member=None if self.member is None else self.member[start:stop],
        )
