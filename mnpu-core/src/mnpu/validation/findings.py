"""What a validator says about a table."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from mnpu.data.calendars import Calendar
from mnpu.errors import DataError

__all__ = ["Actions", "AssetFacts", "Context", "Finding", "Rule", "breaches", "log_findings", "refuse_errors"]

Severity = Literal["error", "warning"]

#: How many broken rows a finding carries along.
SAMPLES = 5


@dataclass(frozen=True)
class AssetFacts:
    """What is on record about a symbol. ``base`` is the name under which its side data is filed."""

    asset_class: str = ""
    base: str = ""
    listed: int | None = None
    delisted: int | None = None


@dataclass(frozen=True)
class Actions:
    """Corporate actions of one symbol: when each took effect (int64 ns), and its split ratio (NaN for a dividend).

    ``knowledge_time`` (int64 ns) is when each row became known, None where nobody says.
    """

    event_time: np.ndarray
    ratio: np.ndarray
    knowledge_time: np.ndarray | None = None


@dataclass(frozen=True)
class Context:
    """What a validator may know beside the table. Everything but the name may be missing.

    Attributes
    ----------
    name : str
        Which table it is, for messages.
    calendar : Calendar or None
        Of the table's prices.
    assets : mapping of str to AssetFacts
        What is on record about each symbol.
    actions : mapping of str to Actions
        Corporate actions by symbol.
    bases : frozenset of str
        Every name under which side data of the store's symbols may be filed: symbols and their bases; empty where that
        is not known.
    spans : mapping of str to tuples
        Where each symbol is in other datasets, and in series, of the same frequency: ``(name, first, last)`` in ns.
    now : int or None
        The present instant, ns: nothing is known later.
    """

    name: str = ""
    calendar: Calendar | None = None
    assets: Mapping[str, AssetFacts] = field(default_factory=dict)
    actions: Mapping[str, Actions] = field(default_factory=dict)
    bases: frozenset[str] = frozenset()
    spans: Mapping[str, tuple[tuple[str, int, int], ...]] = field(default_factory=dict)
    now: int | None = None


@dataclass(frozen=True)
class Rule:
    """One rule as the documentation states it: ``text`` is how data should be, ``why`` what goes wrong otherwise."""

    text: str
    severity: Severity
    why: str
    hint: str


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
    records : tuple of mappings
        The first few broken rows, by column name.
    index : int64 ndarray or None
        Which rows of the table break it, where the rule is about rows.
    """

    rule: str
    severity: Severity
    count: int
    sample: str
    hint: str = ""
    records: tuple[Mapping[str, Any], ...] = ()
    index: np.ndarray | None = field(default=None, compare=False, repr=False)


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
    """Raise DataError if there is an error among ``findings``, the first first; warnings pass."""
    errors = [
        DataError(
            f"{_rows(finding.count)} the rule {finding.rule} (first: {finding.sample})",
            where=where,
            next_step=finding.hint,
        )
        for finding in findings
        if finding.severity == "error"
    ]
    if errors:
        first = errors[0]
        raise DataError(first.what, where=where, next_step=first.next_step, others=errors[1:])


def log_findings(findings: Sequence[Finding], *, table: str, validator: str) -> None:
    """Say each finding to the run's log as one JSON line, before an error among them ends the run."""
    log = logging.getLogger("mnpu.validation")
    if not log.hasHandlers():  # nobody keeps a log: the standard library would print to stderr
        return
    for finding in findings:
        facts = {
            "table": table,
            "validator": validator,
            "rule": finding.rule,
            "severity": finding.severity,
            "count": finding.count,
            "sample": finding.sample,
            "hint": finding.hint,
            "rows": [{name: _plain(cell) for name, cell in record.items()} for record in finding.records],
        }
        level = logging.ERROR if finding.severity == "error" else logging.WARNING
        log.log(level, "finding", extra={"facts": facts})


def _rows(count: int) -> str:
    return "1 row breaks" if count == 1 else f"{count} rows break"


def _plain(cell: Any) -> Any:
    if isinstance(cell, pd.Timestamp):
        return cell.isoformat()
    return None if isinstance(cell, float) and not np.isfinite(cell) else cell
