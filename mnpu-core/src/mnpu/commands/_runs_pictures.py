"""Pictures of an analysis: attribution, regimes, and the capacity curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mnpu.feature_tools.svg import ACCENT, GRID, INK, MUTED, WARM, Drawing, Panel, number, shorten, ticks

if TYPE_CHECKING:
    from mnpu.analysis.summary import Analysis

__all__ = ["pictures"]

WIDE, ROW, LABEL, MOST = 420.0, 18.0, 28, 40


def pictures(found: Analysis, run_id: str) -> dict[str, str]:
    """The text of each SVG file, by its name; a picture without numbers is left out."""
    drawn = {"attribution.svg": _attribution(found, run_id), "regimes.svg": _regimes(found, run_id)}
    if found.capacity is not None:
        drawn["capacity.svg"] = _capacity(found, run_id)
    return {name: text for name, text in drawn.items() if text}


def _head(width: float, height: float, title: str, note: str) -> Drawing:
    drawing = Drawing(width, height, title)
    drawing.text(16, 28, title, size=17, bold=True)
    drawing.text(16, 46, note, size=11, colour=MUTED)
    return drawing


def _axis(drawing: Drawing, top: float, rows: int, values: Sequence[float], *, left: float, unit: str = "") -> Panel:
    """A horizontal axis under ``rows`` rows, zero always on it."""
    low, high = min(0.0, *values), max(0.0, *values)
    margin = 0.06 * ((high - low) or 1.0)
    axis = Panel(drawing, left, top, WIDE, ROW * rows, (low - margin, high + margin), (0, 1))
    for mark in ticks(*axis.x, 7):
        at = axis.px(mark)
        drawing.line(at, top - 4, at, top + ROW * rows, MUTED if abs(mark) < 1e-12 else GRID)
        label = number(round(mark, 9)) + unit
        drawing.text(at, top + ROW * rows + 15, label, size=10, colour=MUTED, anchor="middle")
    return axis


def _attribution(found: Analysis, run_id: str) -> str:
    """Contributions of decisions, sides, groups, costs and the largest symbols, percent of the starting capital."""
    symbols = sorted(found.tables.get("symbols", ()), key=lambda part: -abs(part.contribution))[:MOST]
    blocks: list[tuple[str, Sequence[Any]]] = [
        ("by what was decided", found.tables.get("decisions", ())),
        ("by side", found.tables.get("sides", ())),
        ("by group", found.tables.get("groups", ())),
        ("from gross to net", found.tables.get("costs_paid", ())),
        ("by symbol" if len(symbols) < MOST else f"by symbol, the {MOST} largest", symbols),
    ]
    blocks = [(title, parts) for title, parts in blocks if parts]
    if not blocks:
        return ""
    left, count = 190.0, sum(len(parts) for _, parts in blocks)
    height = 78 + count * ROW + len(blocks) * 26 + 34
    said = f"run {run_id}: linked contributions, % of the starting capital; each block has its own scale"
    drawing = _head(left + WIDE + 70, height, "Where the return came from", said)
    top = 78.0
    for title, parts in blocks:
        drawing.text(16, top + 6, title, size=11.5, bold=True)
        top += 14
        values = [100 * part.contribution for part in parts]
        axis = _axis(drawing, top, len(parts), values, left=left)
        for k, part in enumerate(parts):
            _bar(axis, top + k * ROW, part.name, 100 * part.contribution)
        top += len(parts) * ROW + 24
    drawing.height = top + 8
    return drawing.save()


def _bar(axis: Panel, y: float, name: str, value: float) -> None:
    zero, end = axis.px(0.0), axis.px(value)
    words = f"{name}: {value:+.2f} %"
    axis.on.rect(min(zero, end), y + 3, abs(end - zero), ROW - 6, ACCENT if value >= 0 else WARM, note=words)
    axis.on.text(axis.left - 8, y + 13, shorten(name, LABEL), size=10.5, colour=INK, anchor="end")
    axis.on.text(
        axis.left + axis.width + 8, y + 13, f"{round(value, 1) + 0.0:+.1f}".replace("-", "−"), size=10.5, colour=MUTED
    )


def _regimes(found: Analysis, run_id: str) -> str:
    """Net Sharpe ratio of every regime, with one and two errors."""
    rows = [row for row in found.tables.get("regimes", ()) if row.sharpe is not None and row.se is not None]
    if not rows:
        return ""
    left = 190.0
    ends = [row.sharpe + k * row.se for row in rows for k in (-2, 2)]
    said = f"run {run_id}: annualised, net, with one (thick) and two (thin) standard errors"
    drawing = _head(left + WIDE + 90, 84 + ROW * len(rows) + 30, "Sharpe ratio by kind of market", said)
    axis = _axis(drawing, 84.0, len(rows), ends, left=left)
    for k, row in enumerate(rows):
        y = 84.0 + (k + 0.5) * ROW
        label = row.kind if row.kind == row.regime else f"{row.kind}: {row.regime}"
        drawing.text(left - 8, y + 3.5, label, size=10.5, colour=INK, anchor="end")
        for times, width in ((2, 1.2), (1, 3.0)):
            ends_of = (axis.px(row.sharpe - times * row.se), axis.px(row.sharpe + times * row.se))
            drawing.line(ends_of[0], y, ends_of[1], y, ACCENT, width=width)
        words = f"{label}: {row.sharpe:.2f} ± {row.se:.2f}, {row.decisions:,} decisions"
        drawing.dot(axis.px(row.sharpe), y, 4.0, ACCENT, note=words)
        drawing.text(left + WIDE + 8, y + 3.5, f"{row.decisions:,}", size=10, colour=MUTED)
    drawing.text(left + WIDE + 8, 78, "decisions", size=10, colour=MUTED)
    return drawing.save()


def _capacity(found: Analysis, run_id: str) -> str:
    """Net Sharpe ratio with its error against capital on a logarithmic axis, down to about minus its size."""
    assert found.capacity is not None
    told = [(math.log10(r.capital), r.sharpe, r.se) for r in found.capacity.rows if r.sharpe is not None and r.se]
    if len(told) < 2:
        return ""
    best = max(abs(told[0][1]), 0.5)
    told = [row for row in told if row[1] > -2.5 * best]
    if len(told) < 2:
        return ""
    first, last = told[0][0], told[-1][0]
    low, high = min(ratio - se for _, ratio, se in told), max(ratio + se for _, ratio, se in told)
    said = f"run {run_id}: square-root impact, factor {found.capacity.impact:g}; band of one standard error"
    drawing = _head(640, 380, "How much money it bears", said)
    panel = Panel(drawing, 66, 84, 540, 240, (first, last), (min(low, 0.0), max(high, 0.0)))
    panel.frame_y()
    panel.zero()
    panel.frame_x([(float(k), f"10^{k}") for k in range(math.ceil(first), math.floor(last) + 1)])
    band = [[(panel.px(at), panel.py(ratio + k * se)) for at, ratio, se in told] for k in (-1, 1)]
    drawing.area(band[0], band[1], ACCENT, 0.15)
    drawing.path([(panel.px(at), panel.py(ratio)) for at, ratio, _ in told], ACCENT, width=2.0)
    zero = found.capacity.zero
    if zero is not None and first <= math.log10(zero) <= last:
        at = panel.px(math.log10(zero))
        drawing.line(at, 84, at, 324, WARM, dash="4 3")
        drawing.text(at - 5, 96, f"nothing left at {zero:,.0f}", size=10.5, colour=WARM, anchor="end")
    drawing.text(336, 366, "capital, currency of the prices", size=11, colour=MUTED, anchor="middle")
    drawing.text(22, 76, "net Sharpe ratio", size=11, colour=MUTED)
    return drawing.save()
