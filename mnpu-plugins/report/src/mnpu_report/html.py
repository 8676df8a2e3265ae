"""The HTML renderer: one file that needs no network, for the screen and for paper."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from mnpu.report.format import numeric_columns
from mnpu.types import Figure, Section, Table
from mnpu_report.figures import draw

__all__ = ["render"]


@dataclass(frozen=True)
class _Block:
    """What the template needs of one block: which macro draws it, and with what."""

    kind: str
    content: Any


def render(title: str, sections: Sequence[Section]) -> str:
    """The report as one HTML file.

    Parameters
    ----------
    title : str
    sections : sequence of Section

    Returns
    -------
    page : str
        Style sheet and pictures are inside; no script, no address of anything outside. Everything that comes from
        the result is escaped. The same sections give the same characters.
    """
    folder = files("mnpu_report") / "templates"
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["inline"] = _inline
    template = environment.from_string((folder / "report.html.j2").read_text(encoding="utf-8"))
    return template.render(
        title=title,
        style=Markup((folder / "report.css").read_text(encoding="utf-8")),
        sections=[
            {"id": f"s{i}", "title": section.title, "blocks": [_block(block) for block in section.blocks]}
            for i, section in enumerate(sections)
        ],
    )


def _block(block: str | Table | Figure) -> _Block:
    if isinstance(block, Figure):
        return _Block("figure", draw(block))
    if isinstance(block, Table):
        return _Block("tiles" if block.kind == "tiles" else "table", _table(block))
    if block.startswith("> "):
        return _Block("note", block[2:])
    if block.startswith("- "):
        return _Block("list", [line[2:] for line in block.splitlines()])
    return _Block("paragraph", block)


def _table(table: Table) -> dict[str, Any]:
    right = numeric_columns(table)
    widest = [max((len(row[i]) for row in table.rows), default=0) for i in range(len(right))]
    css = ["num" if right[i] else _width(widest[i]) for i in range(len(right))]
    rows = [
        {
            "strong": i == table.highlight,
            "cells": [
                {"text": text, "css": _cell_css(css[j], text), "style": _shade(table, i, j)}
                for j, text in enumerate(row)
            ],
        }
        for i, row in enumerate(table.rows)
    ]
    columns = [{"text": text, "css": css[i]} for i, text in enumerate(table.columns)]
    return {"columns": columns, "rows": rows, "css": "shaded" if table.shade else "wide" if len(css) > 9 else ""}


def _width(widest: int) -> str:
    """A column of sentences wraps anywhere, one of a few words on paper only, one of words or dates never."""
    return "text" if widest > 28 else "words" if widest > 14 else ""


def _cell_css(css: str, text: str) -> str:
    mark = {"pass": "pass", "FAIL": "fail", "n/a": "none"}.get(text, "")
    return f"{css} {mark}".strip()


def _shade(table: Table, row: int, column: int) -> str:
    """Blue above zero, orange below: told apart by every reader, and by lightness in grey print."""
    value = table.shade[row][column] if table.shade else None
    if value is None:
        return ""
    rgb = "11, 95, 165" if value > 0 else "213, 94, 0"
    return f"background: rgba({rgb}, {min(1.0, abs(value)) * 0.55:.2f})"


def _inline(text: str) -> Markup:
    """Escape, then set ``**bold**`` and `` `code` ``; nothing else of Markdown means anything here."""
    safe = str(escape(text))
    safe = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", safe)
    safe = re.sub(r"`([^`]+)`", _code, safe)
    return Markup(safe)


def _code(found: re.Match[str]) -> str:
    """A name that may break after a bracket or a comma, rather than within a word."""
    text = re.sub(r"([\[,])", r"\1<wbr>", found[1])
    return f"<code>{text}</code>"
