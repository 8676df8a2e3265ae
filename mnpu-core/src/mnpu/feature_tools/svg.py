"""A small kit that draws SVG: panels with axes, and marks in them, as text that needs no library to be written.

Checking features needs no plotting library, as checking data does not. Colours are the report's (Okabe and Ito), which
colour-blind readers tell apart, and which differ in lightness too. The same numbers give the same characters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd

__all__ = [
    "ACCENT",
    "BLANK",
    "GRID",
    "INK",
    "MUTED",
    "WARM",
    "Drawing",
    "Panel",
    "diverging",
    "number",
    "sequential",
    "shorten",
    "ticks",
    "time_ticks",
]

INK, MUTED, GRID, BLANK = "#1f2933", "#616e7c", "#e4e7eb", "#f5f7fa"
ACCENT, WARM, PALE = "#0b5fa5", "#d55e00", "#deebf7"


def _mix(low: str, high: str, share: float) -> str:
    parts = ((int(low[i : i + 2], 16), int(high[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in parts)


def sequential(share: float) -> str:
    """Pale to deep blue for 0 to 1."""
    return _mix(PALE, ACCENT, min(max(share, 0.0), 1.0))


def diverging(value: float) -> str:
    """Vermilion over white to blue for -1 to 1: equal sizes look equally strong."""
    return _mix("#ffffff", ACCENT if value > 0 else WARM, min(abs(value), 1.0))


def number(value: float, digits: int = 3) -> str:
    """A short number with a true minus sign."""
    return f"{value:.{digits}g}".replace("-", "−")


def shorten(text: str, most: int) -> str:
    """The text, its middle left out where it is longer than ``most`` characters: names differ at their ends."""
    return text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[-(most - most // 2) :]}"


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers between two numbers, at most about ``most``."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    raw = span / max(most - 1, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def time_ticks(times: pd.DatetimeIndex, most: int = 7) -> list[tuple[float, str]]:
    """Position (ns) and label of round dates: years, or months where the span is short."""
    first, last = times[0], times[-1]
    years = range(first.year, last.year + 2)
    if len(years) > 3:
        step = next(s for s in (1, 2, 5, 10, 20, 50) if len(years) / s <= most)
        stamps = [(pd.Timestamp(y, 1, 1, tz="UTC"), str(y)) for y in years if y % step == 0]
    else:
        months = pd.date_range(first.normalize().replace(day=1), last, freq="MS", tz=None)
        step = max(1, -(-len(months) // most))
        stamps = [(m, f"{m:%b %Y}") for m in months[::step]]
    return [(float(stamp.value), label) for stamp, label in stamps if first <= stamp <= last]


@dataclass
class Drawing:
    """The elements of a picture; ``save`` gives its text."""

    width: float
    height: float
    title: str
    parts: list[str] = field(default_factory=list)

    def rect(self, x: float, y: float, w: float, h: float, colour: str, *, note: str = "", extra: str = "") -> None:
        """A filled rectangle; ``note`` is shown where a mouse rests on it."""
        inner = f"<title>{escape(note)}</title>" if note else ""
        self.parts.append(
            f'<rect x="{x:.4g}" y="{y:.5g}" width="{max(w, 0):.4g}" height="{max(h, 0):.4g}" fill="{colour}"{extra}'
            + (f">{inner}</rect>" if inner else "/>")
        )

    def line(
        self, x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1.0, dash: str = ""
    ) -> None:
        """A straight line."""
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<line x1="{x1:.5g}" y1="{y1:.5g}" x2="{x2:.5g}" y2="{y2:.5g}" stroke="{colour}" stroke-width="{width:g}"'
            f"{dashes}/>"
        )

    def dot(self, x: float, y: float, radius: float, colour: str, *, note: str = "") -> None:
        """A filled circle."""
        inner = f"<title>{escape(note)}</title>" if note else ""
        self.parts.append(f'<circle cx="{x:.5g}" cy="{y:.5g}" r="{radius:g}" fill="{colour}">{inner}</circle>')

    def path(self, points: Sequence[tuple[float, float]], colour: str, *, width: float = 1.4) -> None:
        """A line through points; a point that is not finite interrupts it."""
        words, pen = [], "M"
        for x, y in points:
            if not (math.isfinite(x) and math.isfinite(y)):
                pen = "M"
                continue
            words.append(f"{pen}{x:.1f} {y:.1f}")
            pen = "L"
        if words:
            self.parts.append(
                f'<path d="{"".join(words)}" fill="none" stroke="{colour}" stroke-width="{width:g}"'
                ' stroke-linejoin="round" stroke-linecap="round"/>'
            )

    def area(
        self, low: Sequence[tuple[float, float]], high: Sequence[tuple[float, float]], colour: str, opacity: float
    ) -> None:
        """The space between two curves of equal length, in the stretches in which both are finite."""
        ok = [math.isfinite(a[1]) and math.isfinite(b[1]) for a, b in zip(low, high, strict=True)]
        edges = np.flatnonzero(np.diff(np.r_[False, ok, False]))
        for start, stop in edges.reshape(-1, 2).tolist():
            outline = [*high[start:stop], *reversed(low[start:stop])]
            words = "L".join(f"{x:.1f} {y:.1f}" for x, y in outline)
            self.parts.append(f'<path d="M{words}Z" fill="{colour}" fill-opacity="{opacity:g}"/>')

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = 11,
        colour: str = INK,
        anchor: str = "start",
        bold: bool = False,
        turned: float = 0.0,
    ) -> None:
        """One line of text; ``turned`` in degrees around its own point."""
        weight = ' font-weight="600"' if bold else ""
        turn = f' transform="rotate({turned:g} {x:.5g} {y:.5g})"' if turned else ""
        self.parts.append(
            f'<text x="{x:.5g}" y="{y:.5g}" font-size="{size:g}" fill="{colour}" text-anchor="{anchor}"{weight}{turn}>'
            f"{escape(words)}</text>"
        )

    def save(self) -> str:
        """The text of an SVG file."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}"'
            f' width="{self.width:g}" height="{self.height:g}" role="img"'
            " font-family=\"system-ui, 'DejaVu Sans', sans-serif\">\n"
            f"<title>{escape(self.title)}</title>\n"
            '<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(self.parts) + "\n</svg>\n"
        )


@dataclass
class Panel:
    """A rectangle with two axes in a drawing. Ranges are those of the data; ``px`` and ``py`` place a point."""

    on: Drawing
    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]

    def px(self, value: float) -> float:
        """Place of a horizontal value."""
        low, high = self.x
        return self.left + (value - low) / ((high - low) or 1.0) * self.width

    def py(self, value: float) -> float:
        """Place of a vertical value, upwards."""
        low, high = self.y
        return self.top + self.height - (value - low) / ((high - low) or 1.0) * self.height

    def heading(self, title: str, note: str = "") -> None:
        """What the panel shows, and in smaller letters its unit or how it was measured."""
        self.on.text(self.left - 44, self.top - 28, title, size=12.5, bold=True)
        if note:
            self.on.text(self.left - 44, self.top - 13, note, size=10.5, colour=MUTED)

    def frame_y(self, marks: Sequence[float] | None = None, *, unit: str = "", scale: float = 1.0) -> None:
        """Horizontal grid lines with their numbers, times ``scale``."""
        for mark in ticks(*self.y, 6) if marks is None else marks:
            at = self.py(mark)
            self.on.line(self.left, at, self.left + self.width, at, GRID)
            label = number(round(mark * scale, 12), 4) + unit
            self.on.text(self.left - 6, at + 3.5, label, size=10, colour=MUTED, anchor="end")

    def frame_x(self, marks: Sequence[tuple[float, str]]) -> None:
        """Labels below, and the line that they stand on."""
        base = self.top + self.height
        self.on.line(self.left, base, self.left + self.width, base, MUTED, width=0.8)
        for at, label in marks:
            x = self.px(at)
            self.on.line(x, base, x, base + 3, MUTED, width=0.8)
            self.on.text(x, base + 15, label, size=10, colour=MUTED, anchor="middle")

    def zero(self) -> None:
        """The line at zero, where it is in range."""
        if self.y[0] <= 0.0 <= self.y[1]:
            self.on.line(self.left, self.py(0.0), self.left + self.width, self.py(0.0), MUTED, width=0.9)

    def points(self, x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
        """Places of many points."""
        return [(self.px(a), self.py(b)) for a, b in zip(x, y, strict=True)]

    def empty(self, reason: str) -> None:
        """Says why there is nothing to draw."""
        self.on.rect(self.left, self.top, self.width, self.height, BLANK)
        words, line = [], ""
        for word in reason.split():
            if len(line) + len(word) > self.width / 6.2:
                words.append(line)
                line = ""
            line = f"{line} {word}".strip()
        for k, row in enumerate([*words, line]):
            at = self.top + self.height / 2 + 14 * (k - len(words) / 2)
            self.on.text(self.left + self.width / 2, at, row, size=11, colour=MUTED, anchor="middle")

    def bars(self, edges: Sequence[float], heights: Sequence[float], colour: str) -> None:
        """Touching bars from zero up."""
        for (a, b), height in zip(pairwise(edges), heights, strict=True):
            if height:
                top, base = self.py(height), self.py(0.0)
                self.on.rect(self.px(a) + 0.25, min(top, base), self.px(b) - self.px(a) - 0.5, abs(base - top), colour)
