"""What happens to a share beside its price: splits, dividends, listing, halts and the end of its listing.

All of it counts from the moment it could be known, so a row of a panel never changes because of what came later:

* a split multiplies prices from the first bar at the new price on, and none before it;
* a dividend is cash of the first bar that trades without it;
* a symbol is tradable only while it is listed, and where it has a bar;
* after its last bar a delisted share becomes cash: its last price and the return of the delisting.

A correction of a split or a dividend is a later row about the same event; it counts from its own knowledge time.
Several dividends of one day, a regular one and a special one, have labels that tell them apart, and are added up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from mnpu.data.bars import Bars
from mnpu.data.calendars import Calendar
from mnpu.data.clock import from_ns
from mnpu.errors import DataError
from mnpu.types import Panel

__all__ = [
    "NO_ACTIONS",
    "Actions",
    "Listing",
    "bar_returns",
    "delisting_field",
    "delistings",
    "dividend_field",
    "known_dividends",
    "known_splits",
    "read_dividends",
    "read_splits",
    "settlements",
    "split_factor",
    "total_close",
    "traded",
]

Actions = tuple[np.ndarray, np.ndarray]

NO_ACTIONS: Actions = (np.zeros(0, dtype=np.int64), np.zeros(0))


class Listing(NamedTuple):
    """When a symbol could be traded, both ends included (ns), and what it returned after its last bar.

    None is unknown: no limit, and a delisting at the last price.
    """

    listed: int | None = None
    delisted: int | None = None
    delisting_return: float | None = None


def known_splits(event: np.ndarray, knowledge: np.ndarray, ratio: np.ndarray) -> Actions:
    """Moments (ns) at which the newest known ratio of any split changes the factor, and by how much.

    Parameters
    ----------
    event, knowledge : int64 (N,)
        Open of the first session at the new price, and when the row could be read, ns.
    ratio : float64 (N,)
        New shares for one old share. A later row about the same event replaces the earlier one.
    """
    at, changes = _vintages(event, knowledge, np.log(np.asarray(ratio, dtype=float)))
    return at, np.exp(changes)


def known_dividends(
    event: np.ndarray, knowledge: np.ndarray, amount: np.ndarray, label: Sequence[str] | None = None
) -> Actions:
    """Moments (ns) at which cash is known to be paid, and how much; a correction pays the difference.

    Parameters as in `known_splits`: ``event`` is the open of the ex-date, ``amount`` cash per share as traded then. A
    row corrects those of the same event and ``label``; by default all of an event.
    """
    event, knowledge, amount = np.asarray(event), np.asarray(knowledge), np.asarray(amount, dtype=float)
    of = np.zeros(len(amount), dtype=np.intp) if label is None else np.unique(label, return_inverse=True)[1]
    parts = [_vintages(event[of == k], knowledge[of == k], amount[of == k]) for k in range(of.max(initial=0) + 1)]
    at, paid = (np.concatenate(both) for both in zip(*parts, strict=True))
    order = np.argsort(at, kind="stable")
    return at[order], paid[order]


def _vintages(event: np.ndarray, knowledge: np.ndarray, values: np.ndarray) -> Actions:
    """Each row's value less that of the row about the same event before it, at the moment when it counts."""
    event, knowledge = np.asarray(event, dtype=np.int64), np.asarray(knowledge, dtype=np.int64)
    order = np.lexsort([knowledge, event])
    event, knowledge, values = event[order], knowledge[order], values[order]
    repeated = np.append(False, event[1:] == event[:-1])[: len(event)]
    changes = values - np.where(repeated, np.append(0.0, values[:-1])[: len(values)], 0.0)
    at = np.maximum(event, knowledge)
    order = np.argsort(at, kind="stable")
    return at[order], changes[order]


def read_splits(connection: sqlite3.Connection, dataset: str, symbol: str) -> Actions:
    """When each split could be seen in the price (ns), and its ratio of new shares to old."""
    return known_splits(*_read(connection, dataset, symbol, "split", "ratio")[:3])


def read_dividends(connection: sqlite3.Connection, dataset: str, symbol: str) -> Actions:
    """When each dividend was known to be paid (ns), and its cash per share."""
    return known_dividends(*_read(connection, dataset, symbol, "dividend", "amount"))


def _read(
    connection: sqlite3.Connection, dataset: str, symbol: str, kind: str, column: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
    """Event and knowledge time (ns), value and label of each row about one kind of action."""
    rows = connection.execute(
        f"SELECT event_time, knowledge_time, {column}, label FROM corporate_actions"
        " WHERE dataset = ? AND symbol = ? AND kind = ?",
        (dataset, symbol, kind),
    ).fetchall()
    event, knowledge, value, label = zip(*rows, strict=True) if rows else ((), (), (), ())
    clocks = np.array(event, dtype="int64"), np.array(knowledge, dtype="int64")
    return *clocks, np.array(value, dtype="float64"), label


def split_factor(times: np.ndarray, splits: Actions) -> np.ndarray:
    """Product of the ratios of all splits seen up to and including each bar (T,), 1 before the first."""
    at, ratio = splits
    return np.concatenate([[1.0], np.cumprod(ratio)])[np.searchsorted(at, times, side="right")]


def dividend_field(
    times: np.ndarray, tradable: np.ndarray, factor: np.ndarray, dividends: Sequence[Actions], calendar: Calendar
) -> np.ndarray:
    """Cash per share (T, A) of the first bar without each dividend, in units of the split-continuous prices.

    0 in a bar without one, NaN where there is no bar. What went ex before a symbol's first bar is nobody's, and what
    would go ex after its last one is part of what the delisting returned.
    """
    field = np.where(tradable, 0.0, np.nan)
    for a, (at, amount) in enumerate(dividends):
        rows = np.flatnonzero(tradable[:, a])
        if not len(rows) or not len(at):
            continue
        opened = calendar.bar_open(from_ns(times[rows[:1]]), "1d").asi8[0]
        bar = np.searchsorted(times[rows], at, side="left")
        here = (at >= opened) & (bar < len(rows))
        np.add.at(field[:, a], rows[bar[here]], amount[here])
    return field * factor


def traded(bars: Bars, listings: Sequence[Listing], halts: Sequence[bool]) -> np.ndarray | None:
    """Which bars (N,) lie within their symbol's listing and, where declared, in no halt: no volume, or no close.

    None where nothing is declared, so that nothing has to be copied.
    """
    if not any(halts) and all(listing[:2] == (None, None) for listing in listings):
        return None
    keep = np.zeros(len(bars.times), dtype=bool)
    for a, (listing, halted) in enumerate(zip(listings, halts, strict=True)):
        at = bars.symbol(a)
        inside = np.ones(len(at), dtype=bool)
        if listing.listed is not None:
            inside &= at >= listing.listed
        if listing.delisted is not None:
            inside &= at <= listing.delisted
        rows = slice(bars.starts[a], bars.stops[a])
        if halted:
            inside &= np.isfinite(bars.columns["close"][rows])
            inside &= bars.columns["volume"][rows] != 0 if "volume" in bars.columns else True
        keep[rows] = inside
    return keep


def delisting_field(
    times: np.ndarray, close: np.ndarray, symbols: Sequence[str], listings: Sequence[Listing]
) -> np.ndarray:
    """Cash per share (T, A) in the first row after a symbol's last bar and not before its delisting, NaN elsewhere.

    It is the last close, with the return of the delisting where that is known.
    """
    field = np.full(close.shape, np.nan)
    for a, listing in enumerate(listings):
        earned = 0.0 if listing.delisting_return is None else float(listing.delisting_return)
        if not -1.0 <= earned < np.inf:
            raise DataError(
                f"the return of its delisting is {earned}", where=symbols[a], expected="a number, at least -1"
            )
        rows = np.flatnonzero(np.isfinite(close[:, a]))
        if listing.delisted is None or not len(rows):
            continue
        row = max(int(rows[-1]) + 1, int(np.searchsorted(times, listing.delisted, side="left")))
        if row < len(times):
            field[row, a] = close[rows[-1], a] * (1.0 + earned)
    return field


def settlements(panel: Panel, *, opens: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """What a holder of one share gets in each bar beside its price: ``cash`` (T, A), and where the share ``ended``.

    ``cash`` is the dividends of the bar and, where the share ended, what it became; 0 elsewhere. For who is filled at
    ``opens`` it is what is paid after the open before and up to this one: what goes ex within a longer bar is for who
    holds it over that bar, and stands in the next row. That of the row before the panel is left out.
    """
    cash, ended = np.zeros(panel.shape), np.zeros(panel.shape, dtype=bool)
    if "dividend" in panel.fields:
        paid = np.nan_to_num(panel["dividend"])
        if opens and "open_dividend" in panel.fields:
            at_open = np.nan_to_num(panel["open_dividend"])
            later, paid = paid - at_open, at_open.copy()
            paid[1:] += later[:-1]
        cash += paid
    if "delisting" in panel.fields:
        ended = np.isfinite(panel["delisting"])
        cash += np.nan_to_num(panel["delisting"])
    return cash, ended


def total_close(close: np.ndarray, dividend: np.ndarray) -> np.ndarray:
    """Close (T, A) with every dividend up to each bar bought back into the share at the close of its bar.

    Its returns are total returns, ``(close + dividend) / previous close - 1``, and no later dividend changes an
    earlier row. It starts at the close. NaN where the close is.
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # a price of zero is refused before anyone reads this
        paid = np.nan_to_num(dividend / close)
    return close * np.cumprod(1.0 + paid, axis=0)


def bar_returns(panel: Panel) -> np.ndarray:
    """Simple total return (T, A) of each bar over the one before, NaN where either close is missing."""
    returns = np.full(panel.shape, np.nan)
    close = panel["close"]
    received = close if "dividend" not in panel.fields else close + np.nan_to_num(panel["dividend"])
    returns[1:] = received[1:] / close[:-1] - 1
    return returns


def delistings(panel: Panel) -> list[tuple[str, pd.Timestamp, float]]:
    """Symbols that ended within the panel, when what was held became cash, and the return on the last close."""
    if "delisting" not in panel.fields:
        return []
    found = []
    for t, a in np.argwhere(np.isfinite(panel["delisting"])):
        before = panel["close"][:t, a]
        last = before[np.isfinite(before)][-1]
        found.append((panel.symbols[a], panel.times[t], float(panel["delisting"][t, a] / last - 1.0)))
    return found
