"""Longer bars out of shorter ones, by the sessions of the calendar, and never one that is not finished.

A bar belongs to the longer bar whose span holds its close, as the calendar says: an hour of New York ends with its
half day at 13:00, a day of the foreign-exchange market at 17:00 New York in both seasons, a week with its last
session. The longer bar is stamped with the close *by the calendar*, whether or not its last shorter bar came, and it
is shown only to those whose own clock has reached that instant. So the bars that are made of data cut short at t are
the bars of the whole data that close at or before t, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from mnpu.data.calendars import Calendar, get_calendar
from mnpu.data.clock import from_ns, utc
from mnpu.errors import ConfigError, DataError
from mnpu.frequencies import length_ns, nests
from mnpu.types import Panel

__all__ = ["Groups", "last_finished", "resample", "resample_bars"]

Rule = Callable[[np.ndarray, np.ndarray, "Groups"], np.ndarray]


class Groups(NamedTuple):
    """Which shorter bars make which longer one.

    ``closes`` (K,) are the ends (ns) of the finished longer bars; the rows ``starts[k] <= t < stops[k]`` make the
    k-th.
    """

    closes: np.ndarray
    starts: np.ndarray
    stops: np.ndarray


def resample(panel: Panel, frequency: str) -> Panel:
    """The panel with longer bars.

    Parameters
    ----------
    panel : Panel
    frequency : str
        Longer than the panel's own.

    Returns
    -------
    panel : Panel
        One row for each longer bar that has a shorter one and is finished at the panel's last decision. Left out is
        a first bar that the panel begins in the middle of. ``open`` is the first, ``high`` the highest, ``low`` the
        lowest, ``close`` the last of the bars that are there; ``volume`` and ``dividend`` are sums; ``vwap`` is the
        mean, weighted by volume. ``tradable``
        where the symbol had a tradable bar. ``open_factor`` is the split factor of the open, which a split within
        the longer bar leaves behind, and ``open_dividend`` that of the dividends which is paid at the open.

    Raises
    ------
    ConfigError
        If ``frequency`` is not longer.
    DataError
        If a bar closes while the market is shut, or a field has no rule.

    Notes
    -----
    NaN: a bar that is missing is no part of the longer one. A bar that is there but lacks a high, for example, makes
    the high of the longer one missing: it cannot be known.
    """
    calendar = get_calendar(panel.calendar)
    groups = _groups(panel.times, calendar, panel.frequency, frequency)
    present = panel.tradable
    parts = _with_those_of_opens(panel.fields)
    fields = {name: _rule(name)(values, present, groups) for name, values in parts.items() if name != "vwap"}
    if "vwap" in parts and "volume" not in parts:
        raise DataError("vwap without volume", where="resample", expected="what weighs the average prices")
    if "vwap" in parts:
        fields["vwap"] = _weighted(parts["vwap"], parts["volume"], present, groups)
    fields, tradable = _ended(fields, _any(present, groups))
    return replace(
        panel,
        times=from_ns(groups.closes),
        sessions=calendar.sessions(from_ns(groups.closes)),
        fields=fields,
        tradable=tradable,
        member=None if panel.member is None else panel.member[groups.stops - 1],
        frequency=frequency,
        periods_per_year=calendar.periods_per_year(frequency),
    )


def _with_those_of_opens(fields: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """The fields, and factor and dividend of each open, which are those of its bar until bars are put together."""
    if "open" not in fields:
        return fields
    ofs = {"open_factor": "split_factor", "open_dividend": "dividend"}
    return {**{name: fields[whole] for name, whole in ofs.items() if whole in fields}, **fields}


def resample_bars(
    times: pd.DatetimeIndex, columns: Mapping[str, np.ndarray], *, calendar: str, frequency: str, source_frequency: str
) -> tuple[pd.DatetimeIndex, dict[str, np.ndarray]]:
    """The bars of one symbol, closing at ``times`` (N,), put together to longer ones (K,); rules as in ``resample``.

    DataError also where the times have no zone or do not increase.
    """
    groups = _groups(utc(times), get_calendar(calendar), source_frequency, frequency)
    present = np.ones((len(times), 1), dtype=bool)
    together = {
        name: _rule(name)(np.asarray(cells, dtype=float)[:, None], present, groups)[:, 0]
        for name, cells in columns.items()
    }
    return from_ns(groups.closes), together


def last_finished(times: pd.DatetimeIndex, closes: pd.DatetimeIndex) -> np.ndarray:
    """Row of the last bar of ``closes`` (K,) that is finished at each of ``times`` (T,), -1 before the first."""
    return np.searchsorted(closes.asi8, times.asi8, side="right") - 1


def _groups(times: pd.DatetimeIndex, calendar: Calendar, source: str, frequency: str) -> Groups:
    if not nests(source, frequency):
        raise ConfigError(
            f"bars of {source} cannot become bars of {frequency}",
            where="data.frequency",
            expected=f"a frequency longer than {source}",
        )
    if (np.diff(times.asi8) <= 0).any():
        at = int(np.flatnonzero(np.diff(times.asi8) <= 0)[0])
        raise DataError(f"{times[at + 1]} follows {times[at]}", where="resample", expected="increasing closes")
    if not len(times):
        nothing = np.zeros(0, dtype=np.int64)
        return Groups(nothing, nothing, nothing)
    closes, starts = np.unique(calendar.bar_close(times, frequency).asi8, return_index=True)
    stops = np.append(starts[1:], len(times))
    begun_before = calendar.bar_open(from_ns(closes[:1]), frequency).asi8[0] < times.asi8[0] - length_ns(source)
    first = 1 if begun_before else 0
    last = np.searchsorted(closes, times.asi8[-1], side="right")  # a later close has not come yet
    return Groups(closes[first:last], starts[first:last], stops[first:last])


def _edge(present: np.ndarray, groups: Groups, *, last: bool) -> np.ndarray:
    """Row of the first or last bar that is there in each group and column, -1 where there is none."""
    rows = np.arange(len(present))[:, None]
    if last:
        return _reduce(np.maximum, np.where(present, rows, -1), groups)
    found = _reduce(np.minimum, np.where(present, rows, len(present)), groups)
    return np.where(found < len(present), found, -1)


def _reduce(operation: np.ufunc, values: np.ndarray, groups: Groups) -> np.ndarray:
    if not len(groups.closes):
        return np.zeros((0, values.shape[1]), dtype=values.dtype)
    reduced: np.ndarray = operation.reduceat(values[: groups.stops[-1]], groups.starts, axis=0)
    return reduced


def _any(present: np.ndarray, groups: Groups) -> np.ndarray:
    return _reduce(np.logical_or, present, groups)


def _taken(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    if not len(rows):
        return np.zeros(rows.shape)
    return np.where(rows >= 0, np.take_along_axis(values, np.maximum(rows, 0), axis=0), np.nan)


def _first(values: np.ndarray, present: np.ndarray, groups: Groups) -> np.ndarray:
    return _taken(values, _edge(present, groups, last=False))


def _last(values: np.ndarray, present: np.ndarray, groups: Groups) -> np.ndarray:
    return _taken(values, _edge(present, groups, last=True))


def _highest(values: np.ndarray, present: np.ndarray, groups: Groups) -> np.ndarray:
    found = _reduce(np.maximum, np.where(present, values, -np.inf), groups)
    return np.where(_any(present, groups), found, np.nan)


def _lowest(values: np.ndarray, present: np.ndarray, groups: Groups) -> np.ndarray:
    return -_highest(-values, present, groups)


def _sum(values: np.ndarray, present: np.ndarray, groups: Groups) -> np.ndarray:
    found = _reduce(np.add, np.where(present, values, 0.0), groups)
    return np.where(_any(present, groups), found, np.nan)


def _weighted(values: np.ndarray, weights: np.ndarray, present: np.ndarray, groups: Groups) -> np.ndarray:
    """Mean by weight; a bar of no weight counts for nothing, and what is unknown of one that has any is unknown."""
    present = present & ~(weights == 0)
    amount = np.where(weights == 0, 0.0, values * weights)
    whole = _sum(weights, present, groups)
    return np.divide(_sum(amount, present, groups), whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _factor(values: np.ndarray, present: np.ndarray, groups: Groups) -> np.ndarray:
    """A factor holds from its bar on, whether or not the symbol has one."""
    return values[groups.stops - 1]


def _settled(values: np.ndarray, present: np.ndarray, groups: Groups) -> np.ndarray:
    """Cash that a share became, in a row without a bar."""
    there = np.isfinite(values)
    return np.where(_any(there, groups), _reduce(np.add, np.where(there, values, 0.0), groups), np.nan)


def _ended(fields: dict[str, np.ndarray], tradable: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A share that ended within a longer bar cannot be traded at its close: the bar is cash, and nothing else."""
    gone = tradable & np.isfinite(fields.get("delisting", np.full(tradable.shape, np.nan)))
    if not gone.any():
        return fields, tradable
    paid = np.nan_to_num(fields.get("dividend", np.zeros(tradable.shape)))
    bare = {name: values if name in LASTING else np.where(gone, np.nan, values) for name, values in fields.items()}
    bare["delisting"] = np.where(gone, fields["delisting"] + paid, fields["delisting"])
    return bare, tradable & ~gone


#: Fields that do not need a bar.
LASTING = frozenset({"split_factor", "delisting", "rate"})

#: How each field of a panel is put together. ``np.maximum`` hands on NaN, so an unknown high stays unknown.
RULES: Mapping[str, Rule] = {
    "open": _first,
    "high": _highest,
    "low": _lowest,
    "close": _last,
    "volume": _sum,
    "split_factor": _factor,
    "open_factor": _first,
    "rate": _factor,
    "open_rate": _first,
    "dividend": _sum,
    "open_dividend": _first,
    "total_close": _last,
    "delisting": _settled,
}


def _rule(name: str) -> Rule:
    if name not in RULES:
        raise DataError(
            f"no rule puts values of {name!r} together", where="resample", expected=f"one of {', '.join(RULES)}"
        )
    return RULES[name]
