"""Small markets that are made up on the spot, for the laws of a component.

They hold what a feature meets in reality: a symbol that is listed late, a hole, a bar without volume, a split; and side
series that are published late and revised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import repeat

import numpy as np
import pandas as pd

from mnpu.data.calendars import get_calendar
from mnpu.data.clock import from_ns, utc
from mnpu.types import DatasetInfo, Panel, SeriesInfo, SideTable

__all__ = ["BARS", "SYMBOLS", "synthetic_panel", "synthetic_side"]

#: Bars and symbols of the smallest market.
BARS, SYMBOLS = 240, 5


def synthetic_panel(
    rng: np.random.Generator, *, bars: int = BARS, symbols: int = SYMBOLS, frequency: str = "1d"
) -> Panel:
    """A panel of random walks with a late listing, a hole, a bar without volume and a split.

    Parameters
    ----------
    rng : Generator
    bars, symbols : int
        T and A; at least three symbols.
    frequency : {"1d", "1h"}
        The days of New York, or every hour of a market that never closes.

    Returns
    -------
    panel : Panel
        With every field, as traded; the first symbol is listed after a quarter of the bars, the second has a hole of
        three bars, the third splits two for one in the middle.
    """
    times = _clock(bars, frequency)
    noise = rng.normal(scale=0.01, size=(6, bars, symbols))
    close = 50.0 * np.exp(np.cumsum(noise[0], axis=0)) * rng.uniform(0.5, 2.0, size=symbols)
    opened = close * np.exp(noise[1])
    split = np.ones((bars, symbols))
    split[bars // 2 :, 2] = 2.0
    fields = {
        "open": opened,
        "high": np.maximum(opened, close) * np.exp(np.abs(noise[2])),
        "low": np.minimum(opened, close) * np.exp(-np.abs(noise[3])),
        "close": close,
        "volume": np.exp(12.0 + 30.0 * noise[4]),
        "split_factor": split,
    }
    tradable = np.ones((bars, symbols), bool)
    tradable[: bars // 4, 0] = False
    tradable[bars // 3 : bars // 3 + 3, 1] = False
    for name in fields.keys() - {"split_factor"}:
        fields[name][~tradable] = np.nan
    fields["volume"][-1 - bars // 5, -1] = 0.0
    calendar = get_calendar("XNYS" if frequency == "1d" else "CRYPTO")
    info = DatasetInfo("synthetic", "made up", frequency, "close", "none", "", calendar.name, "USD", "none")
    return Panel(
        times=times,
        sessions=calendar.sessions(times),
        symbols=tuple(f"S{a}" for a in range(symbols)),
        fields=fields,
        tradable=tradable,
        datasets=(info,) * symbols,
        frequency=frequency,
        calendar=calendar.name,
        periods_per_year=calendar.periods_per_year(frequency),
    )


def synthetic_side(
    series: Sequence[str], panel: Panel, rng: np.random.Generator, *, history: int = 600, kind: str = "macro"
) -> SideTable:
    """A side table with every series in it, of one kind, each row published late and some of them revised.

    Parameters
    ----------
    series : sequence of str
    panel : Panel
        Periods of ten bars (two for what is about a symbol) run from ``history`` periods before its first bar to its
        last.
    rng : Generator
    history : int, default=600
        Periods before the first bar.
    kind : str, default="macro"
        ``macro`` and ``benchmark`` are about the market, published 3 bars after their end and revised 5 or 13 bars
        later, before or after the next one is out. ``onchain``, ``funding``, ``fundamental`` and ``other`` are about
        every symbol but the last, published 1 bar after their end; those of the second one are revised 1 or 4 bars
        later. ``calendar`` takes names such as ``CPI/actual`` and announces an event 7 bars before it comes; a
        forecast is revised 2 bars before, and some events are called off 3 bars before. ``news`` are texts about the
        symbols and the market.

    Returns
    -------
    side : SideTable
    """
    step = _step(panel)
    rows = [row for name in series for row in _made_up(name, panel, rng, history, kind)]
    event, known, name, symbol, value, text = (
        (np.array(c, dtype=object) for c in zip(*rows, strict=True)) if rows else ((np.empty(0, dtype=object),) * 6)
    )
    event, known = event.astype(np.int64), known.astype(np.int64)
    order = np.lexsort((event, known))
    info = SeriesInfo("", "10 bars", "index", "observed", "", pd.Timedelta(60 * step, "ns"), "made up", "none", kind)
    return SideTable(
        event_time=from_ns(event[order]),
        knowledge_time=from_ns(known[order]),
        series=name[order],
        symbol=symbol[order],
        value=value[order].astype(float),
        info={one: replace(info, series=one) for one in series},
        text=text[order] if kind == "news" else None,
    )


def _step(panel: Panel) -> int:
    start, stop = utc(panel.times).asi8[[0, -1]]
    return int(stop - start) // max(len(panel.times) - 1, 1)


Row = tuple[int, int, str, str, float, str]


def _made_up(name: str, panel: Panel, rng: np.random.Generator, history: int, kind: str) -> list[Row]:
    start, step = int(utc(panel.times).asi8[0]), _step(panel)
    about_symbols = kind in ("onchain", "funding", "fundamental", "other")
    every = 2 if about_symbols else 10
    n_periods = history + len(panel.times) // every + 1
    ends = start + (np.arange(n_periods, dtype=np.int64) - history) * (every * step)
    if kind == "news":
        return _posts(name, panel, rng, ends)
    if kind == "calendar":
        return _events(name, rng, ends, step)
    rows: list[Row] = []
    for symbol in panel.symbols[:-1] if about_symbols else ("",):
        first = 100.0 * np.exp(np.cumsum(rng.normal(scale=0.01, size=n_periods)))
        revised = first * np.exp(rng.normal(scale=0.002, size=n_periods))
        late = 1 if about_symbols else 3
        # every other revision comes while its period is still the newest one, the others after the next is out
        soon, later = (late + 1, late + 4) if about_symbols else (late + 5, late + 13)
        again = np.where(np.arange(n_periods) % 2 == 0, soon, later)
        prints = [(np.full(n_periods, late), first), (again, revised)]
        for bars_late, printed in prints if symbol in ("", panel.symbols[1]) else prints[:1]:
            known = ends + bars_late * step
            rows += zip(ends.tolist(), known.tolist(), repeat(name), repeat(symbol), printed.tolist(), repeat(""))
    return rows


def _events(name: str, rng: np.random.Generator, ends: np.ndarray, step: int) -> list[Row]:
    """One part of an event: its schedule and its forecast are known 7 bars before, the outcome when it comes.

    A forecast changes 2 bars before, as forecasts do, and every fifth event is called off 3 bars before.
    """
    part = name.rpartition("/")[2]
    values = np.ones(len(ends)) if part == "scheduled" else rng.normal(loc=0.2, scale=0.3, size=len(ends))
    states = [(7 if part in ("scheduled", "forecast") else 0, values)]
    if part == "forecast":
        states.append((2, values + rng.normal(scale=0.1, size=len(ends))))
    rows: list[Row] = []
    if part == "scheduled":
        off = ends[::5]
        rows += zip(off.tolist(), (off - 3 * step).tolist(), repeat(name), repeat(""), repeat(0.0), repeat(""))
    for bars_before, told in states:
        known = ends - bars_before * step
        rows += zip(ends.tolist(), known.tolist(), repeat(name), repeat(""), told.tolist(), repeat(""))
    return rows


POSITIVE, NEGATIVE = "profit beats strong record growth upgrade great buy", "loss misses weak fraud decline crash sell"
WORDS = f"{POSITIVE} {NEGATIVE} the a of shares market quarter outlook".split(" ")


def _posts(name: str, panel: Panel, rng: np.random.Generator, ends: np.ndarray) -> list[Row]:
    rows: list[Row] = []
    for end in ends.tolist():
        for symbol in rng.choice(["", *panel.symbols[:-1]], size=3).tolist():
            words = " ".join(rng.choice(WORDS, size=int(rng.integers(3, 12))).tolist())
            rows.append((end, end + int(rng.integers(0, 60_000_000_000)), name, symbol, 1.0, words))
    return rows


def _clock(bars: int, frequency: str) -> pd.DatetimeIndex:
    if frequency == "1d":
        calendar = get_calendar("XNYS")
        days = calendar.between(np.datetime64("2001-01-02"), np.datetime64("2030-12-31"))
        return calendar.session_close(days[:bars])
    return pd.date_range("2001-01-01 01:00", periods=bars, freq="h", tz="UTC").as_unit("ns")
