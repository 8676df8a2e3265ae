"""The parts of a report, described so that any renderer can show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Block", "Figure", "Line", "Section", "Table"]


@dataclass(frozen=True)
class Line:
    """One curve of a figure: ``x`` and ``y`` of equal length."""

    label: str
    x: Any
    y: Any


@dataclass(frozen=True)
class Figure:
    """A picture, described so that any renderer can draw it.

    ``contour`` is a surface: each line is a row of it, at the height that its label says as a number, and all have the
    same ``x``. ``density`` are areas above a number; a line of two points with one ``x`` marks a number.
    """

    title: str
    lines: tuple[Line, ...]
    kind: Literal["line", "area", "bar", "calibration", "contour", "density"] = "line"
    y_label: str = ""
    x_label: str = ""
    log_y: bool = False


@dataclass(frozen=True)
class Table:
    """A table of ready-formatted cells; ``highlight`` is the row to set in bold, if any.

    ``tiles`` are a few label and value pairs that a renderer may set large. ``shade`` gives each cell a number from
    -1 to 1 that a renderer may colour it by, None for no colour.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    highlight: int | None = None
    kind: Literal["grid", "tiles"] = "grid"
    shade: tuple[tuple[float | None, ...], ...] | None = None


Block = str | Table | Figure


@dataclass(frozen=True)
class Section:
    """One part of a report: paragraphs (Markdown inline), tables and figures in reading order."""

    title: str
    blocks: tuple[Block, ...]
