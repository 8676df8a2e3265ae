"""From bars to a ``Panel``: choose the dataset of each symbol, align the bars, make splits continuous."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mnpu.data.actions import Actions, Listing, delisting_field, dividend_field, split_factor, total_close, traded
from mnpu.data.bars import Bars, align
from mnpu.data.calendars import canonical, get_calendar
from mnpu.data.clock import from_ns
from mnpu.errors import ConfigError, DataError
from mnpu.types import DatasetInfo, Panel

__all__ = ["build_panel", "choose_datasets"]

PRICES = ("open", "high", "low", "close")

Spans = Mapping[tuple[str, str], tuple[pd.Timestamp, pd.Timestamp]]


def choose_datasets(
    symbols: Sequence[str],
    datasets: Sequence[DatasetInfo],
    assets: Sequence[Any],
    choice: str | Mapping[str, str] | None,
    frequency: str,
    calendar: str | None,
) -> tuple[DatasetInfo, ...]:
    """The dataset of each symbol, one for each of ``symbols``, all with one frequency and one calendar."""
    if not symbols:
        raise ConfigError("no symbols", where="data.symbols", expected="at least one")
    if twice := [symbol for symbol, n in Counter(symbols).items() if n > 1]:
        raise ConfigError(f"{twice[0]} appears twice", where="data.symbols", expected="each symbol once")
    named = {info.name: info for info in datasets}
    if not named:
        raise DataError("the store holds no dataset", where="data.store", next_step="Build one with: mnpu init DIR")
    wanted = [choice] if isinstance(choice, str) else list((choice or {}).values())
    for name in wanted:
        if name not in named:
            raise ConfigError(
                f"no dataset {name!r}",
                where="data.dataset",
                expected=f"one of {', '.join(named)}",
                next_step=_did_you_mean(name, named),
            )
    homes: dict[str, list[str]] = {}
    for asset in assets:
        homes.setdefault(asset.symbol, []).append(asset.dataset)
    chosen = tuple(named[_home(symbol, homes, choice)] for symbol in symbols)
    _agree(symbols, chosen, frequency, calendar)
    return chosen


def _home(symbol: str, homes: Mapping[str, list[str]], choice: str | Mapping[str, str] | None) -> str:
    found = homes.get(symbol, [])
    if not found:
        raise DataError(
            f"no symbol {symbol!r} in the store",
            where="data.symbols",
            expected=f"one of {', '.join(sorted(homes))}",
            next_step=_did_you_mean(symbol, homes),
        )
    wanted = choice if isinstance(choice, str) else (choice or {}).get(symbol)
    if wanted is None and len(found) > 1:
        raise ConfigError(
            f"{symbol} is in several datasets ({', '.join(found)})",
            where="data.symbols",
            expected="a choice",
            next_step=f"Set data.dataset to one of them, or to {{{symbol}: {found[0]}}}.",
        )
    if wanted is not None and wanted not in found:
        raise DataError(
            f"{symbol} is not in dataset {wanted}", where="data.dataset", expected=f"one of {', '.join(found)}"
        )
    return wanted or found[0]


def _agree(symbols: Sequence[str], chosen: Sequence[DatasetInfo], frequency: str, calendar: str | None) -> None:
    calendar = canonical(calendar or chosen[0].calendar)
    for symbol, info in zip(symbols, chosen, strict=True):
        if info.frequency != frequency:
            raise ConfigError(
                f"{symbol} has {info.frequency} bars in {info.name}",
                where="data.frequency",
                expected=frequency,
                next_step=f"Set data.frequency to {info.frequency}, or leave {symbol} out.",
            )
        if canonical(info.calendar) != calendar:
            raise ConfigError(
                f"{symbol} trades on calendar {info.calendar} in {info.name}",
                where="data.calendar",
                expected=calendar,
                next_step="Put symbols of different calendars into different pipelines.",
            )


def _did_you_mean(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"Did you mean {close[0]}?" if close else "Run: mnpu data info"


def build_panel(
    symbols: tuple[str, ...],
    datasets: tuple[DatasetInfo, ...],
    bars: Bars,
    splits: Sequence[Actions],
    *,
    sessions: tuple[np.datetime64, np.datetime64],
    spans: Spans,
    dividends: Sequence[Actions] | None = None,
    listings: Sequence[Listing] | None = None,
    halts: Sequence[bool] | None = None,
) -> Panel:
    """Align ``bars``, whose columns are taken, on the union of the closes between two sessions, both included.

    Parameters
    ----------
    symbols, datasets : A each
    bars : Bars
        Of A symbols.
    splits, dividends : A each, pairs of arrays
        When each was known and had happened (ns), and its ratio or its cash per share, see `mnpu.data.actions`.
        ``dividends`` None: none are known, and the panel has no such field.
    sessions : pair of datetime64[D]
    spans : mapping of (dataset, symbol) to first and last bar
        For messages.
    listings : A each, optional
        Bars outside of them are left out; a delisting adds the field ``delisting``.
    halts : bool, A each, optional
        Where a bar without volume means that nothing could be traded; it is left out.
    """
    first, last = sessions
    if last < first:
        raise ConfigError(f"{last} is before data.start {first}", where="data.end", expected="a later date")
    listings = listings or [Listing()] * len(symbols)
    halts = halts or [False] * len(symbols)
    bars = bars.where(traded(bars, listings, halts))
    calendar = get_calendar(datasets[0].calendar)
    union = bars.union()
    days = calendar.sessions(from_ns(union))
    inside = (days >= first) & (days <= last)
    times, days = union[inside], days[inside]
    fields, tradable = align(times, bars)
    for a, symbol in enumerate(symbols):
        if not tradable[:, a].any():
            raise _no_data(symbol, datasets[a], sessions, spans)
    fields["split_factor"] = np.stack([split_factor(times, one) for one in splits], axis=1)
    fields = _continuous(fields)
    if any(len(at) for at, _ in dividends or ()):
        cash = dividend_field(times, tradable, fields["split_factor"], dividends or (), calendar)
        fields |= {"dividend": cash, "total_close": total_close(fields["close"], cash)}
    if any(listing != Listing() for listing in listings):  # most have none, and it is a whole field
        ended = delisting_field(times, fields["close"], symbols, listings)
        if np.isfinite(ended).any():
            fields["delisting"] = ended
    return Panel(
        times=from_ns(times),
        sessions=days,
        symbols=symbols,
        fields=fields,
        tradable=tradable,
        datasets=datasets,
        frequency=datasets[0].frequency,
        calendar=calendar.name,
        periods_per_year=calendar.periods_per_year(datasets[0].frequency),
    )


def _continuous(fields: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Prices times, volumes divided by the split factor, in place; nothing is to be done where there is no split."""
    factor = fields["split_factor"]
    split = (factor != 1.0).any(axis=0)
    for name in (*PRICES, "volume"):
        if name in fields and split.any():
            scaled = np.divide if name == "volume" else np.multiply
            fields[name][:, split] = scaled(fields[name][:, split], factor[:, split])
    return fields


def _no_data(symbol: str, info: DatasetInfo, sessions: tuple[np.datetime64, np.datetime64], spans: Spans) -> DataError:
    low, high = spans[info.name, symbol]
    return DataError(
        f"{symbol} has no bar from {sessions[0]} to {sessions[1]} in {info.name}",
        where="data.start, data.end",
        expected=f"a range that meets {low:%Y-%m-%d} to {high:%Y-%m-%d}",
        next_step="Change the dates, or leave the symbol out.",
    )
