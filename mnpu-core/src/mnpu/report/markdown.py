"""The Markdown renderer: tables as tables, curves as a line of blocks, nothing but text."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from mnpu.report.format import caption_of, number, numeric_columns
from mnpu.types import Figure, Line, Section, Table

__all__ = ["render"]

_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDTH = 48


def render(title: str, sections: Sequence[Section]) -> str:
    """The report as Markdown.

    Parameters
    ----------
    title : str
    sections : sequence of Section

    Returns
    -------
    text : str
        GitHub-flavoured Markdown. Text of the data is escaped: it cannot open a tag or break a table.
    """
    parts = [f"# {_text(title)}"]
    for section in sections:
        parts.append(f"## {_text(section.title)}")
        parts.extend(_block(block) for block in section.blocks)
    return "\n\n".join(parts) + "\n"


def _block(block: str | Table | Figure) -> str:
    if isinstance(block, Table):
        return _table(block)
    return _figure(block) if isinstance(block, Figure) else _text(block)


def _text(text: str) -> str:
    return text.replace("<", "&lt;")


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", _text(text).replace("\\", "\\\\").replace("|", "\\|")).strip()


def _table(table: Table) -> str:
    lines = [_row(table.columns), _row(["---:" if right else "---" for right in numeric_columns(table)])]
    for i, row in enumerate(table.rows):
        lines.append(_row([f"**{cell}**" if cell else cell for cell in row] if i == table.highlight else row))
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _figure(figure: Figure) -> str:
    caption = f"*{_text(caption_of(figure))}*"
    if figure.kind in ("calibration", "density"):
        return f"{caption}: the numbers are in the table."
    if figure.kind == "contour":
        return f"{caption}: {_extremes(figure)}"
    rows = tuple(_sketch(line, log=figure.log_y) for line in figure.lines)
    return f"{caption}\n\n{_table(Table(('Curve', 'First', 'Last', 'Lowest', 'Highest', 'Course'), rows))}"


def _extremes(figure: Figure) -> str:
    """Where a surface is lowest and highest: text has no room for all of it."""
    points = [(float(z), float(x), line.label) for line in figure.lines for x, z in zip(line.x, line.y, strict=True)]
    known = [point for point in points if np.isfinite(point[0])]
    if not known:
        return "no value is known."
    low, high = min(known), max(known)
    return f"lowest {number(low[0])} at ({low[1]:g}, {low[2]}), highest {number(high[0])} at ({high[1]:g}, {high[2]})."


def _sketch(line: Line, *, log: bool) -> tuple[str, ...]:
    y = np.asarray(line.y, dtype=float)
    known = y[np.isfinite(y)]
    if not known.size:
        return (line.label, "n/a", "n/a", "n/a", "n/a", "")
    ends = tuple(number(value) for value in (known[0], known[-1], known.min(), known.max()))
    return (line.label, *ends, f"`{_sparkline(np.log(known) if log else known)}`")


def _sparkline(y: np.ndarray) -> str:
    chunks = np.array_split(y, min(_WIDTH, len(y)))
    means = np.array([chunk.mean() for chunk in chunks])
    low, high = means.min(), means.max()
    steps = np.zeros(len(means), dtype=int) if high == low else ((means - low) / (high - low) * 7.999).astype(int)
    return "".join(_BLOCKS[step] for step in steps)
