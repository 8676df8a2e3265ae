"""What a feature's docstring says of its formula, its gaps and where it comes from, for listings and pages.

The docstring is numpydoc: ``Returns`` holds the formula, ``Notes`` says when a value is missing and ends with a
sentence that begins with ``Source:``.
"""

from __future__ import annotations

import textwrap

from mnpu.plugins.describe import section

__all__ = ["formula_of", "notes_of", "reference_of"]

_SOURCE = "Source:"


def formula_of(docstring: str) -> str:
    """The text of ``Returns``, without the line that names the array; empty where there is none."""
    lines = section(docstring, "Returns")
    return _joined(lines[1:])


def notes_of(docstring: str) -> str:
    """The text of ``Notes`` up to the source of the formula."""
    return _joined(section(docstring, "Notes")).partition(_SOURCE)[0].strip()


def reference_of(docstring: str) -> str:
    """Where the formula (or its data) comes from: what follows ``Source:`` in ``Notes``, without its full stop."""
    return _joined(section(docstring, "Notes")).partition(_SOURCE)[2].strip().removesuffix(".")


def _joined(lines: list[str]) -> str:
    """Paragraphs as one line each."""
    text = textwrap.dedent("\n".join(lines)).strip()
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
