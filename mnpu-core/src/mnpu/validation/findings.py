"""What a validator says about a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mnpu.errors import DataError

__all__ = ["Context", "Finding", "breaches", "refuse_errors"]

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Context:
    """What a validator may know beside the table: ``name`` says which table it is, for messages."""

    name: str = ""


@dataclass(frozen=True)
class Finding:
    """One rule that a table breaks.

    Attributes
    ----------
    rule : str
        The rule, as it should be: ``low <= close <= high``.
    severity : {"error", "warning"}
        An error stops the run.
    count : int
        How many rows break it.
    sample : str
        The first of them, with its value.
    hint : str
        What to do about it, a full sentence.
    """

    rule: str
    severity: Severity
    count: int
    sample: str
    hint: str = ""


def breaches(
    rule: str,
    broken: np.ndarray,
    sample: Callable[..., str],
    *,
    hint: str,
    severity: Severity = "error",
) -> list[Finding]:
    """One finding if any cell of the boolean ``broken`` is true; ``sample`` gets the index of the first such cell."""
    cells = np.argwhere(broken)
    if not len(cells):
        return []
    return [Finding(rule, severity, len(cells), sample(*(int(i) for i in cells[0])), hint)]


def refuse_errors(findings: Sequence[Finding], *, where: str) -> None:
    """Raise DataError for the first error among ``findings``; warnings pass."""
    for finding in findings:
        if finding.severity == "error":
            raise DataError(
                f"{_rows(finding.count)} the rule {finding.rule} (first: {finding.sample})",
                where=where,
                next_step=finding.hint,
            )


def _rows(count: int) -> str:
    return "1 row breaks" if count == 1 else f"{count} rows break"
