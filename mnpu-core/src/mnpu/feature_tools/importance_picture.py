"""The falls of every column in one picture: rank IC, pinball loss and net Sharpe ratio, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mnpu.feature_tools.importance import Importance
from mnpu.feature_tools.pictures import GREY, LABEL
from mnpu.feature_tools.svg import ACCENT, GRID, INK, MUTED, Drawing, Panel, number, shorten, ticks

__all__ = ["importance_picture"]

TITLES = {
    "rank_ic": ("rank IC", "fall of the correlation"),
    "pinball": ("pinball loss", "rise of the loss, 10⁻⁴ of its unit"),
    "sharpe": ("net Sharpe ratio", "fall, annualised"),
}
SCALES = {"rank_ic": 1.0, "pinball": 1e4, "sharpe": 1.0}
WIDE = 250.0


def importance_picture(found: Sequence[Importance], *, run_id: str, settings: Mapping[str, Any]) -> str:
    """The text of an SVG file; the columns in the order in which they are given."""
    row = 20.0 if len(found) <= 60 else 14.0
    left, top = 26 + 6.1 * max(len(shorten(item.name, LABEL)) for item in found), 116.0
    drawing = Drawing(left + 3 * (WIDE + 34) + 8, top + row * len(found) + 44, "What the network makes of each column")
    drawing.text(16, 28, "What the network makes of each column", size=17, bold=True)
    how = (
        f"run {run_id}: how much worse the test ranges are forecast when a column tells nothing,"
        f" {settings['repeats']} exchanges, blocks of {settings['block_bars']} decisions"
    )
    drawing.text(16, 46, how, size=11, colour=MUTED)
    drawing.dot(20, 62.5, 4, ACCENT)
    drawing.text(29, 66, "interval without zero", size=10.5, colour=MUTED)
    drawing.dot(160, 62.5, 4, GREY)
    drawing.text(169, 66, "with zero", size=10.5, colour=MUTED)
    drawing.line(238, 57, 238, 68, MUTED, width=1.6)
    drawing.text(245, 66, "a fold by itself", size=10.5, colour=MUTED)
    for f, item in enumerate(found):
        y = top + (f + 0.5) * row
        drawing.text(left - 10, y + 3.5, shorten(item.name, LABEL), size=10.5, colour=INK, anchor="end")
        if f % 2:
            drawing.parts.insert(0, _stripe(left, y - row / 2, 3 * (WIDE + 34) - 30, row))
    for k, measure in enumerate(TITLES):
        _falls(drawing, found, measure, left + k * (WIDE + 34), top, row)
    return drawing.save()


def _stripe(x: float, y: float, w: float, h: float) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" fill="#f8fafc"/>'


def _falls(drawing: Drawing, found: Sequence[Importance], measure: str, x: float, top: float, row: float) -> None:
    title, note = TITLES[measure]
    drawing.text(x, top - 26, title, size=12, bold=True)
    drawing.text(x, top - 12, note, size=10.5, colour=MUTED)
    scale = SCALES[measure]
    ends = [0.0]
    for item in found:
        fall = item.falls[measure]
        marks = (fall.low, fall.high, fall.value, *item.by_fold.get(measure, []))
        ends += [v * scale for v in marks if v is not None]
    margin = 0.05 * ((max(ends) - min(ends)) or 1.0)
    axis = Panel(drawing, x, top, WIDE, row * len(found), (min(ends) - margin, max(ends) + margin), (0, 1))
    base = top + row * len(found)
    for mark in ticks(*axis.x, 6):
        at = axis.px(mark)
        drawing.line(at, top - 4, at, base, MUTED if mark == 0 else GRID, width=1.1 if mark == 0 else 1.0)
        drawing.text(at, base + 16, number(round(mark, 9)), size=10, colour=MUTED, anchor="middle")
    for f, item in enumerate(found):
        fall, y = item.falls[measure], top + (f + 0.5) * row
        if fall.value is None:
            drawing.text(axis.px(0.0) + 6, y + 3.5, "undefined", size=9.5, colour=MUTED)
            continue
        colour = ACCENT if fall.excludes_zero else GREY
        for own in item.by_fold.get(measure, []):
            if own is not None:
                drawing.line(axis.px(own * scale), y - 5, axis.px(own * scale), y + 5, MUTED, width=1.6)
        if fall.low is not None and fall.high is not None:
            drawing.line(axis.px(fall.low * scale), y, axis.px(fall.high * scale), y, colour, width=2.4)
        words = f"{item.name}: {fall.value * scale:+.4g}"
        drawing.dot(axis.px(fall.value * scale), y, 4.2, colour, note=words)
