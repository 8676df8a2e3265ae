"""One column on one page: what is there, how it is distributed, what it foretold, how it moves."""

from __future__ import annotations

import numpy as np

from mnpu.feature_tools.look import Look
from mnpu.feature_tools.pictures import GREY, caption, target_of
from mnpu.feature_tools.profile import Profile, one_series
from mnpu.feature_tools.svg import ACCENT, INK, MUTED, WARM, Drawing, Panel, number, shorten, ticks, time_ticks
from mnpu.features.statistics import autocorrelation

__all__ = ["sheet"]

WIDTH, WIDE, TALL = 1092.0, 424.0, 190.0
LEFTS, TOPS = (72.0, 640.0), (204.0, 478.0, 752.0)
MOST_LAGS = 40
POINTS = 700  #: Of a curve; finer than a printed line.
RECENT = 250  #: Decisions that are drawn of a column that moves too fast for a longer line.
FAST = 0.9  #: Autocorrelation from bar to bar, below which it does.


def sheet(looked: Look, f: int, column: Profile, *, symbol: str = "") -> str:
    """Six panels about column ``f``, as the text of an SVG file.

    Parameters
    ----------
    looked : Look
    f : int
    column : Profile
        Of this column.
    symbol : str, optional
        Whose values are drawn through time; by default one with the most values.
    """
    drawing = Drawing(WIDTH, 980, column.name)
    values = looked.values(f)
    _head(drawing, looked, column)
    places = [(x, y) for y in TOPS for x in LEFTS]
    _coverage(drawing, *places[0], looked, values)
    _distribution(drawing, *places[1], looked, values, column)
    _years(drawing, *places[2], looked, column)
    _running(drawing, *places[3], looked, column)
    _memory(drawing, *places[4], looked, values, column)
    _through_time(drawing, *places[5], looked, values, column, symbol)
    return drawing.save()


def _head(drawing: Drawing, looked: Look, column: Profile) -> None:
    drawing.text(28, 36, shorten(column.name, 90), size=20, bold=True)
    drawing.text(28, 56, caption(looked), size=11.5, colour=MUTED)
    rank, stale, r = column.information.rank_ic, column.staleness, column.autocorrelation[0]
    interval = "no interval" if rank.low is None else f"{number(rank.low, 2)} to {number(rank.high or 0.0, 2)}"
    tiles = [
        ("cells with a value", f"{100 * column.coverage.share:.1f} %", ""),
        ("unit", shorten(column.unit or "none", 24), "one for the market" if column.scope == "market" else ""),
        ("rank IC", "–" if rank.value is None else number(rank.value, 3), interval),
        ("t-statistic", "–" if rank.t is None else number(rank.t, 2), "allows for overlap"),
        ("bars since it changed", "–" if stale is None else number(stale.mean, 3), "on average"),
        ("from bar to bar", "–" if r is None else number(r, 3), "autocorrelation"),
    ]
    for k, (label, value, note) in enumerate(tiles):
        x = 28 + k * 174.4
        drawing.rect(x, 74, 166, 62, "#f5f7fa")
        drawing.text(x + 12, 91, label, size=10.5, colour=MUTED)
        drawing.text(x + 12, 113, value, size=17 if len(value) < 14 else 12, bold=True)
        drawing.text(x + 12, 128, note, size=9.5, colour=MUTED)
    said = list(column.warnings[:1])
    if looked.n_test:
        said.insert(0, f"{looked.n_test:,} of these decisions are seen by test ranges")
    if said:
        drawing.text(28, 154, shorten(". ".join(said), 170), size=11, colour="#b54708", bold=True)


def _coverage(drawing: Drawing, x: float, y: float, looked: Look, values: np.ndarray) -> None:
    times, cells = looked.times, looked.cells
    bins = min(120, len(times))
    place = (np.arange(len(times)) * bins) // len(times)
    wanted = np.bincount(place, weights=cells.sum(axis=1), minlength=bins)
    there = np.bincount(place, weights=(cells & np.isfinite(values)).sum(axis=1), minlength=bins)
    share = np.divide(100.0 * there, wanted, out=np.full(bins, np.nan), where=wanted > 0)
    at = times.asi8[(np.arange(bins) * len(times)) // bins].astype(float)
    panel = Panel(drawing, x, y, WIDE, TALL, _span(looked), (0.0, 100.0))
    panel.heading("Coverage", "share of the symbols that could be decided about, with a value")
    panel.frame_y([0, 25, 50, 75, 100], unit=" %")
    panel.frame_x(time_ticks(times))
    points = panel.points(at, share)
    drawing.area([(px, panel.py(0.0)) if np.isfinite(py) else (px, np.nan) for px, py in points], points, ACCENT, 0.18)
    drawing.path(points, ACCENT, width=1.6)


def _distribution(drawing: Drawing, x: float, y: float, looked: Look, values: np.ndarray, column: Profile) -> None:
    spread = column.distribution
    if spread is None or not spread.varies:
        panel = Panel(drawing, x, y, WIDE, TALL, (0, 1), (0, 1))
        panel.heading("Distribution")
        return panel.empty("there is no value" if spread is None else f"it has one value, {number(spread.mean)}")
    known = values[looked.cells & np.isfinite(values)].astype(float)
    low, high = _middle(spread.quantiles)
    edges = np.linspace(low, high, 61)
    counts = np.histogram(known, edges)[0] / len(known) * 100
    panel = Panel(drawing, x, y, WIDE, TALL, (low, high), (0.0, max(float(counts.max()) * 1.14, 1e-9)))
    outside = 100 * float(np.mean((known < low) | (known > high)))
    cut = f"; {outside:.2g} % lie outside" if outside else ""
    panel.heading("Distribution", f"share of {spread.n:,} values in each of 60 steps{cut}")
    facts = [f"mean {number(spread.mean)}", f"sd {number(spread.sd)}", f"skew {number(spread.skew or 0.0, 2)}"]
    facts += [f"zeros {100 * spread.zeros:.2g} %"] if spread.zeros else []
    facts += [f"extremes {100 * spread.extremes:.2g} %"] if spread.extremes is not None else []
    drawing.text(x + WIDE, y - 28, "  ·  ".join(facts), size=10.5, colour=MUTED, anchor="end")
    panel.frame_y(unit=" %")
    panel.frame_x([(mark, number(round(mark, 12))) for mark in ticks(low, high, 6)])
    panel.bars(edges.tolist(), counts.tolist(), ACCENT)
    for level, label in ((0.05, "5 %"), (0.5, "median"), (0.95, "95 %")):
        at = panel.px(spread.quantiles[level])
        drawing.line(at, y, at, y + TALL, WARM, width=1.2, dash="" if level == 0.5 else "4 3")
        inside = at < x + WIDE - 44
        drawing.text(
            at + (4 if inside else -4), y + 9, label, size=9.5, colour=WARM, anchor="start" if inside else "end"
        )


def _middle(quantiles: dict[float, float]) -> tuple[float, float]:
    """The range that is drawn: all of it, or no further than the inner 98 % is wide beyond it."""
    inner = quantiles[0.99] - quantiles[0.01]
    if inner <= 0:
        return quantiles[0.0], quantiles[1.0]
    low = max(quantiles[0.0], quantiles[0.01] - 0.25 * inner)
    return low, min(quantiles[1.0], quantiles[0.99] + 0.25 * inner)


def _years(drawing: Drawing, x: float, y: float, looked: Look, column: Profile) -> None:
    by_year, rank = column.information.rank_ic_by_year, column.information.rank_ic
    told = {year: e for year, e in by_year.items() if e.low is not None and e.high is not None and e.value is not None}
    how = "mean across symbols" if column.information.method == "cross-section" else "correlation over time"
    note = f"{how}, 95 % interval, against {target_of(looked)}"
    if not told:
        panel = Panel(drawing, x, y, WIDE, TALL, (0, 1), (0, 1))
        panel.heading("Rank IC by year", note)
        return panel.empty(rank.reason or "no year has enough decisions for an interval")
    ends = [0.0, *(e.low for e in told.values() if e.low), *(e.high for e in told.values() if e.high)]
    margin = 0.06 * (max(ends) - min(ends))
    years = sorted(by_year)
    panel = Panel(
        drawing, x, y, WIDE, TALL, (years[0] - 0.6, years[-1] + 0.6), (min(ends) - margin, max(ends) + margin)
    )
    panel.heading("Rank IC by year", note)
    if rank.low is not None and rank.high is not None and rank.value is not None:
        top, base = panel.py(min(rank.high, panel.y[1])), panel.py(max(rank.low, panel.y[0]))
        drawing.rect(x, top, WIDE, base - top, ACCENT, extra=' fill-opacity="0.09"')
    panel.frame_y()
    panel.zero()
    if rank.value is not None and rank.low is not None:
        drawing.line(x, panel.py(rank.value), x + WIDE, panel.py(rank.value), ACCENT, width=1.1, dash="5 3")
        drawing.text(x + WIDE, panel.py(rank.value) - 4, "all", size=9.5, colour=ACCENT, anchor="end")
    every = max(1, -(-len(years) // 12))
    panel.frame_x([(float(year), str(year)) for year in years[::every]])
    for year, e in told.items():
        colour = ACCENT if e.excludes_zero else GREY
        at = panel.px(year)
        drawing.line(at, panel.py(e.low or 0.0), at, panel.py(e.high or 0.0), colour, width=2.4)
        drawing.dot(at, panel.py(e.value or 0.0), 4.2, colour, note=f"{year}: {e.value:+.4f}, {e.n} decisions")
    for year in years:
        if year not in told:
            drawing.text(panel.px(year), panel.py(0.0) - 5, "few", size=9, colour=MUTED, anchor="middle")


def _running(drawing: Drawing, x: float, y: float, looked: Look, column: Profile) -> None:
    series, bars = column.information.series, round(looked.panel.periods_per_year)
    title = "Rank IC, added up"
    if series is None or not np.isfinite(series[:, 1]).any():
        panel = Panel(drawing, x, y, WIDE, TALL, (0, 1), (0, 1))
        panel.heading(title)
        return panel.empty("it has no cross-section: nothing is told decision by decision")
    total = np.cumsum(np.nan_to_num(series[:, 1])) / bars  # a year at an IC of 1 adds 1
    low, high = min(float(total.min()), 0.0), max(float(total.max()), 0.0)
    margin = 0.05 * ((high - low) or 1.0)
    panel = Panel(drawing, x, y, WIDE, TALL, _span(looked), (low - margin, high + margin))
    panel.heading(title, f"sum over decisions / {bars}: it climbs by the mean rank IC in a year")
    panel.frame_y()
    panel.zero()
    panel.frame_x(time_ticks(looked.times))
    at = _thin(len(total))
    drawing.path(panel.points(looked.times.asi8[at].astype(float), total[at]), ACCENT, width=1.7)


def _memory(drawing: Drawing, x: float, y: float, looked: Look, values: np.ndarray, column: Profile) -> None:
    own, cells = values, looked.cells
    if column.scope == "market":
        own, cells = one_series(values, cells)
    lags = list(range(1, min(MOST_LAGS, max(len(own) - 21, 1)) + 1))
    found = [np.nan if r is None else r for r in autocorrelation(own, cells, lags)]
    whose = "of the market's value" if column.scope == "market" else "mean over symbols"
    if not np.isfinite(found).any():
        panel = Panel(drawing, x, y, WIDE, TALL, (0, 1), (0, 1))
        panel.heading("Autocorrelation")
        return panel.empty("it does not vary, or no symbol has 20 pairs of values")
    low = min(0.0, float(np.nanmin(found)))
    panel = Panel(drawing, x, y, WIDE, TALL, (0.0, lags[-1] + 0.8), (low - 0.05 * (1 - low), 1.02))
    panel.heading("Autocorrelation", f"{whose}, by lag in bars")
    panel.frame_y()
    panel.zero()
    panel.frame_x([(float(k), str(k)) for k in (1, 5, 10, 15, 20, 30, 40) if k <= lags[-1]])
    for lag, r in zip(lags, found, strict=True):
        if np.isfinite(r):
            drawing.line(panel.px(lag), panel.py(0.0), panel.px(lag), panel.py(r), ACCENT, width=3.0)
            drawing.dot(panel.px(lag), panel.py(r), 2.6, ACCENT, note=f"lag {lag}: {r:+.3f}")


def _through_time(
    drawing: Drawing, x: float, y: float, looked: Look, values: np.ndarray, column: Profile, symbol: str
) -> None:
    known = np.where(looked.cells, values, np.nan).astype(float)
    market = column.scope == "market"
    a = looked.frame.symbols.index(symbol) if symbol else int(np.isfinite(known).sum(axis=0).argmax())
    fast = len(known) > POINTS and (column.autocorrelation[0] or 0.0) < FAST
    at = np.arange(len(known) - RECENT, len(known)) if fast else _thin(len(known))
    own = known[:, a] if not market else np.where(looked.cells.any(axis=1), values[:, 0].astype(float), np.nan)
    band = not market and known.shape[1] >= 5
    title = "Through time" if market else f"Through time: {looked.frame.symbols[a]}"
    note = "the market's value" if market else "beside the median and the middle 90 % of all symbols" if band else ""
    note += f", the last {RECENT} decisions" if fast else ""
    if not np.isfinite(own[at]).any():
        panel = Panel(drawing, x, y, WIDE, TALL, (0, 1), (0, 1))
        panel.heading(title)
        return panel.empty("there is no value")
    low5 = mid = high95 = np.full(len(at), np.nan)
    if band:
        rows = np.flatnonzero(np.isfinite(known[at]).any(axis=1))
        low5, mid, high95 = (np.full(len(at), np.nan) for _ in range(3))
        low5[rows], mid[rows], high95[rows] = np.nanpercentile(known[at][rows], [5, 50, 95], axis=1)
    shown = np.concatenate([own[at], low5, high95])
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    margin = 0.05 * ((high - low) or abs(high) or 1.0)
    stamps = looked.times.asi8[at].astype(float)
    panel = Panel(drawing, x, y, WIDE, TALL, (stamps[0], stamps[-1]), (low - margin, high + margin))
    panel.heading(title, ", ".join(filter(None, [column.unit, note])))
    panel.frame_y()
    panel.zero()
    panel.frame_x(time_ticks(looked.times[at]))
    if band:
        drawing.area(panel.points(stamps, low5), panel.points(stamps, high95), ACCENT, 0.14)
        drawing.path(panel.points(stamps, mid), ACCENT, width=1.1)
    drawing.path(panel.points(stamps, own[at]), WARM if band else INK, width=1.1)


def _span(looked: Look) -> tuple[float, float]:
    return float(looked.times[0].value), float(looked.times[-1].value)


def _thin(n: int) -> np.ndarray:
    """At most ``POINTS`` rows, evenly spaced, the last one among them."""
    return np.unique(np.linspace(0, n - 1, min(n, POINTS)).round().astype(int))
