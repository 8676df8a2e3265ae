"""The laws of a feature source, checked on a small market that is made up on the spot.

Every feature of the source is computed with its defaults. The market holds what a feature meets in reality: a symbol
that is listed late, a hole, a bar without volume, a split; and side series that are published late and revised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from mnpu.data.calendars import get_calendar
from mnpu.data.clock import from_ns, utc
from mnpu.errors import ConfigError, MnpuError
from mnpu.features.api import View
from mnpu.features.coarse import CoarseView
from mnpu.features.compute import evaluate, scale_changes
from mnpu.features.leaks import choose_cuts, future_perturbation, remembered, truncation
from mnpu.features.plan import PlannedFeature, features_of, model_of, plan_function, series_needed
from mnpu.features.vintages import choose_eves, later_vintages, shifted_knowledge
from mnpu.testing import LawOutcome
from mnpu.types import DatasetInfo, Panel, SeriesInfo, SideTable

__all__ = ["LAWS", "laws", "synthetic_panel", "synthetic_side"]

#: Bars and symbols of the smallest market; it grows with the longest warm-up.
BARS, SYMBOLS = 240, 5
#: Prices are multiplied by this, which no rounding of a float hides.
CUTS = 6
#: First bars that a feature of longer bars is tried from: those of a week and of a day.
STARTS = 25


@dataclass(frozen=True)
class Market:
    """What one feature is tried on."""

    column: PlannedFeature
    panel: Panel
    side: SideTable
    seed: int

    def values(self, panel: Panel | None = None) -> np.ndarray:
        """The column, float64 (T, A), on this market's panel or another."""
        return evaluate([self.column], self.panel if panel is None else panel, self.side)[..., 0]


def laws(module: ModuleType, *, seed: int = 0) -> list[LawOutcome]:
    """Check every law for every feature of a source.

    Parameters
    ----------
    module : module
        The source: a module with functions marked by :func:`mnpu.feature`.
    seed : int, default=0
        Of the made-up market.

    Returns
    -------
    outcomes : list of LawOutcome
        ``law`` reads ``function: what must hold``.
    """
    functions = features_of(module)
    if not functions:
        return [LawOutcome("has features", False, f"{module.__name__} has no function marked with @feature")]
    outcomes = []
    for name, function in functions.items():
        try:
            columns = plan_function(function, {}, source=module.__name__.rpartition(".")[2])
        except MnpuError as error:
            outcomes.append(LawOutcome(f"{name}: works with its defaults", False, str(error)))
            continue
        outcomes += [outcome for column in columns for outcome in _of(name, column, seed)]
    return outcomes


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


def _of(name: str, column: PlannedFeature, seed: int) -> Iterator[LawOutcome]:
    market = _market(column, seed, "1d")
    if not _is_for(market) and _is_for(hourly := _market(column, seed, "1h")):
        market = hourly  # it reads days beside its bars
    for law, check in LAWS.items():
        try:
            detail = check(market)
        except MnpuError as error:
            detail = str(error)
        yield LawOutcome(f"{name}: {law}", not detail, detail)


def _market(column: PlannedFeature, seed: int, frequency: str) -> Market:
    rng = np.random.default_rng(seed)
    panel = synthetic_panel(rng, bars=max(BARS, 2 * column.spec.warmup + 60), frequency=frequency)
    return Market(column, panel, _side_for(column, panel, rng), seed)


def _is_for(market: Market) -> bool:
    """Whether the feature can be asked for on bars of this length at all."""
    try:
        market.values()
    except ConfigError:
        return False
    except MnpuError:  # a failure, for the laws to tell
        return True
    return True


def _side_for(column: PlannedFeature, panel: Panel, rng: np.random.Generator) -> SideTable:
    return synthetic_side(series_needed([column]), panel, rng, kind=column.spec.kind)


def _documented(market: Market) -> str:
    """It is listed by the first line of its docstring, and checked by the types of its parameters."""
    spec, fields = market.column.spec, model_of(market.column.function).model_fields
    untyped = [name for name in spec.params if fields[name].annotation is Any]
    if untyped:
        return f"no type for {', '.join(untyped)}"
    return "" if spec.description else "has no docstring"


def _has_values(market: Market) -> str:
    values = market.values()
    if np.isinf(values).any():
        return "has infinite values; return NaN where it is undefined"
    return "" if np.isfinite(values).any() else "has no finite value on a market that has everything"


def _future(market: Market) -> str:
    rng = np.random.default_rng(market.seed)
    leaks = future_perturbation([market.column], market.panel, market.side, cuts=_cuts(market, rng), rng=rng)
    return str(leaks[0]) if leaks else ""


def _truncation(market: Market) -> str:
    rng = np.random.default_rng(market.seed)
    cuts = [max(cut, market.column.spec.warmup - 1) for cut in _cuts(market, rng)]
    leaks = truncation([market.column], market.panel, market.side, cuts=sorted(set(cuts)))
    return str(leaks[0]) if leaks else ""


def _vintages(market: Market) -> str:
    rng = np.random.default_rng(market.seed)
    eves = choose_eves(market.panel, market.side, count=2 * CUTS, rng=rng)
    leaks = later_vintages([market.column], market.panel, market.side, cuts=eves, rng=rng)
    return str(leaks[0]) if leaks else ""


def _publication(market: Market) -> str:
    rng = np.random.default_rng(market.seed)
    eves = choose_eves(market.panel, market.side, count=2 * CUTS, rng=rng)
    leaks = future_perturbation([market.column], market.panel, market.side, cuts=eves, rng=rng)
    leaks += shifted_knowledge([market.column], market.panel, market.side, cuts=eves, rng=rng)
    return str(leaks[0]) if leaks else ""


def _cuts(market: Market, rng: np.random.Generator) -> tuple[int, ...]:
    return choose_cuts(market.panel, market.side, count=CUTS, rng=rng)


def _warmup_enough(market: Market) -> str:
    """The last row of exactly ``warmup`` bars is the value that a longer history gives.

    Not so where a state is carried, in which all history is.
    """
    if market.column.spec.state:
        return ""
    warmup, whole = market.column.spec.warmup, market.values()
    bars = len(market.panel.times)
    for last in (warmup + 1, bars // 2 + 7, bars - 1):
        alone = market.values(market.panel.rows(last - warmup + 1, last + 1))[-1]
        if not np.allclose(alone, whole[last], rtol=1e-9, atol=1e-12, equal_nan=True):
            return f"declares {warmup} bars, but {warmup} bars alone give {alone} and the whole history {whole[last]}"
    return ""


def _warmup_kept(market: Market) -> str:
    """A feature of bars has no value before it has seen as many as it says it needs, unless it starts short.

    Longer bars begin at their own hours, so that fewer bars than in the worst case may do: such a value may be there
    early if it is the one that a longer history gives.
    """
    warmup, whole = market.column.spec.warmup, market.values()
    early = np.isfinite(whole[: warmup - 1])
    if not early.any() or market.column.spec.short_start:
        return ""
    row = int(np.argwhere(early)[0, 0])
    told = f"declares {warmup} bars and has a value after {row + 1}"
    if not _reads_longer_bars(market):
        return told
    for start in range(1, min(STARTS, len(whole) - warmup)):
        alone = market.values(market.panel.rows(start, start + warmup - 1))
        there, longer = np.isfinite(alone), whole[start : start + warmup - 1]
        if not np.allclose(alone[there], longer[there], rtol=1e-9, atol=1e-12, equal_nan=True):
            return f"{told}, which is not that of a longer history"
    return ""


def _reads_longer_bars(market: Market) -> bool:
    """Whether the feature asks for bars of another length."""
    asked: list[str] = []

    class Watched(View):
        def coarser(self, frequency: str) -> CoarseView:
            asked.append(frequency)
            return super().coarser(frequency)

    spec = market.column.spec
    view = Watched(market.panel, market.side, fields=spec.fields, series=spec.series)
    with np.errstate(all="ignore"):
        market.column.function(view, **spec.params)
    return bool(asked)


def _scale_free(market: Market) -> str:
    if not market.column.spec.scale_free:
        return ""
    values = evaluate([market.column], market.panel, market.side)
    changed = scale_changes([market.column], market.panel, market.side, values, range(market.panel.shape[1]))[..., 0]
    if not changed.any():
        return ""
    t, a = np.argwhere(changed)[0]
    return (
        f"the value {values[t, a, 0]:.6g} of {market.panel.symbols[a]} changes when the prices of each symbol are "
        "multiplied by a number of its own; declare scale_free=False"
    )


def _deterministic(market: Market) -> str:
    same = np.array_equal(market.values(), market.values(), equal_nan=True)
    return "" if same else "two computations on the same data differ"


def _input_kept(market: Market) -> str:
    before = {name: values.copy() for name, values in market.panel.fields.items()}
    side, tradable = market.side.value.copy(), market.panel.tradable.copy()
    market.values()
    changed = [name for name, values in before.items() if not np.array_equal(values, market.panel[name], True)]
    if not np.array_equal(side, market.side.value) or not np.array_equal(tradable, market.panel.tradable):
        changed.append("side data or tradability")
    return f"changes its input: {', '.join(changed)}" if changed else ""


def _answers(market: Market) -> str:
    rng = np.random.default_rng(market.seed)
    deaf = remembered([market.column], market.panel, market.side, rng=rng)
    return "gives the same values when all data that it reads is replaced" if deaf else ""


def _unknown_refused(market: Market) -> str:
    try:
        plan_function(market.column.function, {"no_such_parameter": 1}, source=market.column.spec.source)
    except ConfigError:
        return ""
    return "accepts a parameter that it does not have"


#: What must hold, and the check of it, which returns what is wrong or an empty text.
LAWS: dict[str, Callable[[Market], str]] = {
    "says what it is": _documented,
    "has values": _has_values,
    "does not see the future": _future,
    "is the same on data cut short": _truncation,
    "does not see a later vintage": _vintages,
    "sees nothing before it is published": _publication,
    "needs no more bars than its warm-up": _warmup_enough,
    "has no value before its warm-up": _warmup_kept,
    "is scale-free if it says so": _scale_free,
    "is deterministic": _deterministic,
    "leaves its input alone": _input_kept,
    "answers to its data": _answers,
    "refuses unknown parameters": _unknown_refused,
}
