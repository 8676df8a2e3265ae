"""Pictures of all columns together: what is there, what each foretold, and which say much the same."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from mnpu.feature_tools.look import Look
from mnpu.feature_tools.profile import Profile, Profiles
from mnpu.feature_tools.svg import (
    ACCENT,
    BLANK,
    GRID,
    INK,
    MUTED,
    Drawing,
    Panel,
    diverging,
    number,
    sequential,
    shorten,
    ticks,
    time_ticks,
)

__all__ = ["caption", "cluster_map", "coverage_map", "information_map", "overview", "target_of"]

BINS = 120
MISSING, GREY = "#e69f00", "#7b8794"
LABEL = 46  #: Characters of a column's name beside a row.


def overview(looked: Look, found: Profiles) -> dict[str, str]:
    """Every picture of all columns, by the name of its file."""
    return {
        "coverage.svg": coverage_map(looked),
        "information.svg": information_map(looked, found),
        "clusters.svg": cluster_map(looked, found),
    }


def caption(looked: Look) -> str:
    """What was looked at, in one line."""
    times = looked.times
    n = len(looked.frame.symbols)
    return (
        f"{len(times):,} decisions of {n} symbol{'s' if n > 1 else ''}, {times[0]:%Y-%m-%d} to"
        f" {times[-1]:%Y-%m-%d}: {looked.range}"
    )


def _room(names: tuple[str, ...]) -> float:
    """Width of the column of names."""
    return 26 + 6.1 * max(len(shorten(name, LABEL)) for name in names)


def _row_height(n: int) -> float:
    return 18.0 if n <= 60 else 13.0


def _head(width: float, height: float, title: str, looked: Look) -> Drawing:
    drawing = Drawing(width, height, title)
    drawing.text(16, 28, title, size=17, bold=True)
    drawing.text(16, 46, caption(looked), size=11, colour=MUTED)
    if looked.n_test:
        said = f"{looked.n_test:,} of these decisions are seen by test ranges: what is chosen by them has no test left"
        drawing.text(16, 62, said, size=11, colour="#b54708", bold=True)
    return drawing


def _name(drawing: Drawing, x: float, y: float, name: str, size: float) -> None:
    drawing.text(x, y, shorten(name, LABEL), size=size, colour=INK, anchor="end")


def coverage_map(looked: Look) -> str:
    """Share of the cells that have a value, columns by time."""
    names, times, cells = looked.frame.names, looked.times, looked.cells
    bins = min(BINS, len(times))
    place = (np.arange(len(times)) * bins) // len(times)
    wanted = np.bincount(place, weights=cells.sum(axis=1), minlength=bins)
    left, row, width = _room(names), _row_height(len(names)), 640.0
    top = 104.0
    drawing = _head(left + width + 76, top + row * len(names) + 40, "What is there of each column", looked)
    step = width / bins
    _legend_of_shares(drawing, left, 76)
    for f, name in enumerate(names):
        values = looked.frame.values[looked.start : looked.stop, :, f]
        there = np.bincount(place, weights=(cells & np.isfinite(values)).sum(axis=1), minlength=bins)
        y = top + f * row
        _name(drawing, left - 8, y + row * 0.5 + 3.5, name, min(10.5, row - 3))
        colours = [_share_colour(a, b) for a, b in zip(there, wanted, strict=True)]
        edges = [0, *(k for k in range(1, bins) if colours[k] != colours[k - 1]), bins]
        for a, b in pairwise(edges):
            drawing.rect(left + a * step, y + 0.75, (b - a) * step + 0.05, row - 1.5, colours[a])
        share = there.sum() / max(wanted.sum(), 1)
        drawing.text(left + width + 52, y + row * 0.5 + 3.5, f"{100 * share:.1f} %", size=10, anchor="end")
    axis = Panel(drawing, left, top, width, row * len(names) + 2, (times[0].value, times[-1].value), (0, 1))
    axis.frame_x(time_ticks(times))
    return drawing.save()


def _share_colour(there: float, wanted: float) -> str:
    if wanted == 0:
        return BLANK
    return MISSING if there == 0 else sequential(round(there / wanted * 20) / 20)


def _legend_of_shares(drawing: Drawing, x: float, y: float) -> None:
    drawing.rect(x, y, 12, 11, MISSING)
    drawing.text(x + 17, y + 9.5, "no value", size=10.5, colour=MUTED)
    for k in range(20):
        drawing.rect(x + 86 + 4 * k, y, 4.2, 11, sequential(k / 19))
    drawing.text(x + 172, y + 9.5, "a few to all cells in which a decision could be made", size=10.5, colour=MUTED)


def information_map(looked: Look, found: Profiles) -> str:
    """Rank information coefficient of every column with its interval, and by year."""
    names, row = looked.frame.names, _row_height(len(found.columns))
    years = sorted({year for column in found.columns for year in column.information.rank_ic_by_year})
    left, middle, cell, top = _room(names), 360.0, 34.0 if len(years) <= 14 else 22.0, 122.0
    right = left + middle + 34
    drawing = _head(
        max(right + cell * len(years) + 28, right + 320),
        top + row * len(names) + 54,
        "What each column foretold: rank IC",
        looked,
    )
    drawing.text(left, 84, f"mean and 95 % interval, {target_of(looked)}", size=11.5, bold=True)
    _legend_of_dots(drawing, left, 98)
    drawing.text(right, 84, "by year", size=11.5, bold=True)
    drawing.text(right, 98, "a dot: an interval without zero; –: too few decisions", size=10.5, colour=MUTED)
    axis = Panel(drawing, left, top, middle, row * len(names), _range_of(found), (0, 1))
    for mark in ticks(*axis.x, 8):
        x = axis.px(mark)
        drawing.line(x, top - 4, x, top + row * len(names), MUTED if mark == 0 else GRID, width=1.1 if mark == 0 else 1)
        label = number(round(mark, 9))
        for y in (top - 7, top + row * len(names) + 16):
            drawing.text(x, y, label, size=10, colour=MUTED, anchor="middle")
    strongest = _strongest(found)
    for f, column in enumerate(found.columns):
        y = top + (f + 0.5) * row
        _name(drawing, left - 10, y + 3.5, column.name, min(10.5, row - 3))
        _interval(axis, column, y)
        for k, year in enumerate(years):
            _year_cell(drawing, column, year, right + k * cell, y - row / 2, cell, row, strongest)
    for k, year in enumerate(years):
        words = str(year) if cell > 30 else f"’{year % 100:02d}"
        drawing.text(right + (k + 0.5) * cell, top - 7, words, size=10, colour=MUTED, anchor="middle")
    _legend_of_signs(drawing, right, top + row * len(names) + 12, strongest)
    return drawing.save()


def target_of(looked: Look) -> str:
    """The target in words."""
    return f"{looked.labels.name} over {looked.bars} bar{'s' if looked.bars > 1 else ''}"


def _legend_of_dots(drawing: Drawing, x: float, y: float) -> None:
    drawing.dot(x + 4, y - 3.5, 4, ACCENT)
    drawing.text(x + 13, y, "without zero", size=10.5, colour=MUTED)
    drawing.dot(x + 96, y - 3.5, 4, GREY)
    drawing.text(x + 105, y, "with zero", size=10.5, colour=MUTED)
    drawing.dot(x + 170, y - 3.5, 4, GREY)
    drawing.dot(x + 170, y - 3.5, 2.2, "#ffffff")
    drawing.text(x + 179, y, "over time, not across symbols", size=10.5, colour=MUTED)


def _range_of(found: Profiles) -> tuple[float, float]:
    """Room for every interval across symbols, else for all; zero is always in it."""
    ends = [0.0]
    judged = [column.information for column in found.columns if column.information.rank_ic.low is not None]
    across = [about for about in judged if about.method == "cross-section"] or judged  # the others are far less sure
    for about in across:
        ends += [v for v in (about.rank_ic.low, about.rank_ic.high) if v is not None]
    low, high = min(ends), max(ends)
    margin = 0.04 * ((high - low) or 0.02)
    return low - margin, high + margin


def _strongest(found: Profiles) -> float:
    """The coefficient that is drawn in full colour: the 95th percentile of those that have an interval."""
    sizes = [
        abs(e.value)
        for c in found.columns
        for e in c.information.rank_ic_by_year.values()
        if e.value is not None and e.low is not None
    ]
    return max(float(np.percentile(sizes, 95)) if sizes else 0.05, 0.01)


def _interval(axis: Panel, column: Profile, y: float) -> None:
    rank, drawing = column.information.rank_ic, axis.on
    if rank.value is None or rank.low is None or rank.high is None:
        drawing.text(axis.px(0.0) + 8, y + 3.5, "no interval", size=9.5, colour=MUTED)
        return
    colour = ACCENT if rank.excludes_zero else GREY
    note = f"{column.name}: {rank.value:+.4f} ({rank.low:+.4f} to {rank.high:+.4f}), {rank.n:,} decisions"
    drawing.line(axis.px(max(rank.low, axis.x[0])), y, axis.px(min(rank.high, axis.x[1])), y, colour, width=2.2)
    if not axis.x[0] <= rank.value <= axis.x[1]:
        return
    drawing.dot(axis.px(rank.value), y, 4.0, colour, note=note)
    if column.information.method == "time":
        drawing.dot(axis.px(rank.value), y, 2.2, "#ffffff")


def _year_cell(
    drawing: Drawing, column: Profile, year: int, x: float, y: float, w: float, h: float, strongest: float
) -> None:
    estimate = column.information.rank_ic_by_year.get(year)
    if estimate is None or estimate.value is None or estimate.low is None:
        drawing.rect(x + 0.5, y + 0.5, w - 1, h - 1, BLANK)
        drawing.text(x + w / 2, y + h / 2 + 3.5, "–", size=10, colour=MUTED, anchor="middle")
        return
    share = estimate.value / strongest
    note = f"{column.name}, {year}: {estimate.value:+.4f} ({estimate.low:+.4f} to {estimate.high:+.4f})"
    drawing.rect(x + 0.5, y + 0.5, w - 1, h - 1, diverging(round(share * 40) / 40), note=note)
    if estimate.excludes_zero:
        drawing.dot(x + w / 2, y + h / 2, 2.4, "#ffffff" if abs(share) > 0.55 else INK)


def _legend_of_signs(drawing: Drawing, x: float, y: float, strongest: float) -> None:
    for k in range(41):
        drawing.rect(x + 3 * k, y, 3.2, 10, diverging((k - 20) / 20))
    for share, anchor in ((-1, "start"), (0, "middle"), (1, "end")):
        label = number(share * strongest, 2)
        drawing.text(x + 61.5 * (share + 1), y + 23, label, size=10, colour=MUTED, anchor=anchor)


def cluster_map(looked: Look, found: Profiles) -> str:
    """Rank correlations of every two columns, in the order of their clusters."""
    names, order = looked.frame.names, found.clusters.order
    n = len(names)
    cell = 26.0 if n <= 20 else max(6.0, 620.0 / n)
    left, top = _room(names), 112.0
    side = cell * n
    drawing = _head(
        max(left + side + 30, left + 500), top + side + 26, "Which columns say much the same: rank correlation", looked
    )
    _legend_of_signs(drawing, left, 68, 1.0)
    told = f"outlined: clusters, {found.threshold:g} or more on average, sign ignored"
    drawing.text(left + 140, 77, told, size=10.5, colour=MUTED)
    size = min(10.5, cell - 0.5)
    for i, f in enumerate(order.tolist()):
        _name(drawing, left - 8, top + (i + 0.5) * cell + size * 0.35, names[f], size)
        _correlations_of(drawing, found.correlations[f, order], left, top + i * cell, cell)
    at = 0
    for group in found.clusters.groups:
        if len(group) > 1:
            place, length = at * cell, len(group) * cell
            outline = f' stroke="{INK}" stroke-width="1.6"'
            drawing.rect(left + place, top + place, length, length, "none", extra=outline)
        at += len(group)
    return drawing.save()


def _correlations_of(drawing: Drawing, row: np.ndarray, x: float, y: float, cell: float) -> None:
    """One row of the map: neighbours of one colour are one rectangle; numbers where there is room for them."""
    colours = [diverging(round(rho * 20) / 20) if np.isfinite(rho) else BLANK for rho in row.tolist()]
    edges = [0, *(k for k in range(1, len(row)) if colours[k] != colours[k - 1]), len(row)]
    for a, b in pairwise(edges):
        drawing.rect(x + a * cell, y, (b - a) * cell + 0.05, cell + 0.05, colours[a])
    for j, rho in enumerate(row.tolist() if cell >= 24 else []):
        if np.isfinite(rho) and abs(rho) < 1.0 - 1e-9:
            ink = "#ffffff" if abs(rho) > 0.6 else INK if abs(rho) > 0.2 else MUTED
            words = f"{rho:.2f}".replace("-0.00", "0.00").replace("-", "−").replace("0.", ".")
            drawing.text(x + (j + 0.5) * cell, y + cell / 2 + 3, words, size=8.5, colour=ink, anchor="middle")
