"""Figures as inline SVG: deterministic, without a network, in colours that colour-blind readers tell apart.

The palette is that of Okabe and Ito (2008), ordered so that the strategy itself is the strongest line.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from mnpu.report.format import caption_of
from mnpu.types import Figure, Line

__all__ = ["Picture", "draw"]

_INK, _GRID, _MUTED = "#1f2933", "#e4e7eb", "#616e7c"
_PALETTE = ("#0b5fa5", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7b8794")
_DASHES = ("", "", "6 2", "3 1.5", "9 2 2 2", "1 1", "4 4")
_POINTS = 700  # more than this is finer than a printed line; the extremes of each stretch are kept
_HEIGHTS = {"line": 3.5, "area": 2.5, "bar": 2.8, "calibration": 4.2, "contour": 4.2, "density": 2.8}
_LEVELS = 12
_RC = {
    "svg.fonttype": "none",
    "svg.image_inline": True,
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _MUTED,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.7,
    "axes.unicode_minus": True,
    "path.simplify": True,
}


@dataclass(frozen=True)
class Picture:
    """A drawn figure: its SVG, and a legend of (label, colour, dash pattern) that the page sets as text."""

    title: str
    svg: str
    legend: tuple[tuple[str, str, str], ...]
    kind: str


def draw(figure: Figure) -> Picture:
    """Draw a figure as an SVG element without prolog, metadata, date or reference to anything outside.

    Parameters
    ----------
    figure : Figure

    Returns
    -------
    picture : Picture
        The same figure always gives the same characters.
    """
    square = figure.kind in _SQUARE
    with matplotlib.rc_context({**_RC, "svg.hashsalt": f"mnpu {figure.title}"}):
        canvas = Canvas(figsize=(4.6 if square else 9.2, _HEIGHTS[figure.kind]))
        axes = canvas.add_subplot()
        _KINDS[figure.kind](axes, figure)
        _dress(axes, figure)
        below = (
            0.13 if square else 0.45 / _HEIGHTS[figure.kind] if figure.x_label else 0.1
        )  # what sticks out is cut off
        canvas.subplots_adjust(left=0.13 if square else 0.05, right=0.97 if square else 0.995, top=0.97, bottom=below)
        page = io.StringIO()
        canvas.savefig(page, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    lines = () if figure.kind == "contour" else figure.lines  # a surface says its heights itself
    legend = tuple((line.label, _colour(i), _dash(i)) for i, line in enumerate(lines))
    return Picture(caption_of(figure), _bare(page.getvalue(), figure.title), legend, figure.kind)


def _lines(axes: Axes, figure: Figure) -> None:
    for i, line in reversed(list(enumerate(figure.lines))):  # the strategy last, so that it lies on top
        x, y = _thin(line)
        axes.plot(
            x,
            y,
            color=_colour(i),
            linewidth=1.8 if i == 0 else 1.1,
            alpha=1.0 if i == 0 else 0.85,
            **_dashed(i),
            solid_joinstyle="round",
        )


def _area(axes: Axes, figure: Figure) -> None:
    _lines(axes, figure)
    if figure.lines:
        x, y = _thin(figure.lines[0])
        axes.fill_between(x, y, 0, color=_colour(0), alpha=0.13, linewidth=0)


def _bars(axes: Axes, figure: Figure) -> None:
    n = max(1, len(figure.lines))
    for i, line in enumerate(figure.lines):
        at = np.arange(len(line.y)) + (i - (n - 1) / 2) * 0.8 / n
        axes.bar(at, np.asarray(line.y, dtype=float), width=0.8 / n, color=_colour(i))
    if figure.lines:
        axes.set_xticks(np.arange(len(figure.lines[0].y)), [str(x) for x in figure.lines[0].x])


def _calibration(axes: Axes, figure: Figure) -> None:
    axes.plot([0, 100], [0, 100], color=_MUTED, linewidth=0.9, dashes=(3, 3))
    for i, line in reversed(list(enumerate(figure.lines))):
        axes.plot(line.x, line.y, color=_colour(i), linewidth=1.5, marker="o", markersize=4.5, markeredgewidth=0)
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_aspect("equal")


def _contour(axes: Axes, figure: Figure) -> None:
    rows = sorted((float(line.label), np.asarray(line.y, dtype=float)) for line in figure.lines)
    z = np.array([row for _, row in rows])
    if min(z.shape, default=0) < 2 or not np.isfinite(z).any():
        return
    x, y = np.asarray(figure.lines[0].x), [at for at, _ in rows]
    axes.contourf(x, y, z, levels=_LEVELS, cmap="Blues_r", alpha=0.75)
    drawn = axes.contour(x, y, z, levels=_LEVELS, colors=_MUTED, linewidths=0.6)
    axes.clabel(drawn, np.asarray(drawn.levels)[1::3], fmt="%.3g", fontsize=7, colors=_INK)
    axes.plot([0], [0], marker="+", markersize=9, color=_PALETTE[1], markeredgewidth=1.8)
    axes.grid(visible=False)
    axes.set_aspect("equal")


def _density(axes: Axes, figure: Figure) -> None:
    for i, line in enumerate(figure.lines):
        x, y = np.asarray(line.x, dtype=float), np.asarray(line.y, dtype=float)
        mark = len(x) == 2 and x[0] == x[1]
        axes.plot(x, y, color=_colour(i), linewidth=2.2 if mark else 1.4, **_dashed(i))
        if not mark:
            axes.fill_between(x, y, 0, color=_colour(i), alpha=0.13, linewidth=0)
    axes.set_ylim(bottom=0.0)


_KINDS = {
    "line": _lines,
    "area": _area,
    "bar": _bars,
    "calibration": _calibration,
    "contour": _contour,
    "density": _density,
}
_SQUARE = ("calibration", "contour")


def _dress(axes: Axes, figure: Figure) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_MUTED)
    axes.tick_params(length=0, pad=5)
    axes.set_xlabel(figure.x_label)
    axes.set_ylabel(figure.y_label if figure.kind in _SQUARE else "")
    if figure.kind in ("line", "area"):
        axes.grid(axis="x", visible=False)
        axes.margins(x=0.0)
        if figure.lines and isinstance(figure.lines[0].x, pd.DatetimeIndex):
            locator = AutoDateLocator(minticks=3, maxticks=10)
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
    if figure.log_y:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_formatter(NullFormatter())
    elif figure.kind == "density":  # its height means nothing but that the area is one
        axes.yaxis.set_major_locator(NullLocator())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 2.5, 5, 10]))
    if figure.x_label == "epoch":
        axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    suffix = "%" if figure.y_label.endswith("%") and figure.kind != "calibration" else ""
    style = "g" if figure.log_y else f".{_decimals(axes)}f"
    label = FuncFormatter(lambda value, _: f"{value:{style}}{suffix}".replace("-", "\N{MINUS SIGN}"))
    axes.yaxis.set_major_formatter(label)


def _decimals(axes: Axes) -> int:
    """As many as the ticks of the vertical axis need, so that all of them have the same."""
    return max((len(f"{tick:g}".partition(".")[2]) for tick in axes.get_yticks()), default=0)


def _colour(i: int) -> str:
    return _PALETTE[i % len(_PALETTE)]


def _dash(i: int) -> str:
    return _DASHES[i % len(_DASHES)]


def _dashed(i: int) -> dict[str, Any]:
    pattern = _dash(i)
    return {"dashes": tuple(float(step) for step in pattern.split())} if pattern else {}


def _thin(line: Line) -> tuple[np.ndarray, np.ndarray]:
    """At most ``_POINTS`` points: the lowest and the highest of each stretch, and both ends."""
    x = line.x.tz_localize(None).to_numpy() if isinstance(line.x, pd.DatetimeIndex) else np.asarray(line.x)
    y = np.asarray(line.y, dtype=float)
    if len(y) <= _POINTS:
        return x, y
    keep = {0, len(y) - 1}
    for stretch in np.array_split(np.arange(len(y)), _POINTS // 2):
        known = stretch[np.isfinite(y[stretch])]
        if known.size:
            keep.update((int(known[y[known].argmin()]), int(known[y[known].argmax()])))
    at = np.array(sorted(keep))
    return x[at], y[at]


def _bare(svg: str, title: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # ids of groups repeat from figure to figure
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)  # not needed inside HTML, and the page names no address at all
    svg = re.sub(r'(<svg) width="[^"]*"| height="[^"]*"', lambda found: found[1] or "", svg, count=2)
    escaped = title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return svg.replace("<svg", f'<svg role="img" aria-label="{escaped}"', 1).strip()
