"""The reference page of a source with hundreds of signals: one row for all that differ in their number alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mnpu.features.catalogue import Signal

__all__ = ["MANY", "Row", "is_set", "rows", "span"]

#: A source of more signals than this is shown as a table.
MANY = 60


@dataclass(frozen=True)
class Row:
    """Signals whose names end in different numbers, and whose texts are the same but for these."""

    signals: tuple[Signal, ...]
    what: str
    formula: str
    notes: str

    @property
    def names(self) -> str:
        """All of them where they are few, else the first and the last."""
        return span([signal.spec.function for signal in self.signals])

    @property
    def warmup(self) -> str:
        """Their warm-ups in the same order."""
        bars = [str(signal.spec.warmup) for signal in self.signals]
        return bars[0] if len(set(bars)) == 1 else span(bars, mark="")


def is_set(found: Sequence[Signal]) -> bool:
    """Whether the signals of one source are too many for a section each."""
    return len(found) > MANY


def rows(found: Sequence[Signal]) -> list[Row]:
    """The rows of the table, in the order of the signals."""
    grouped: dict[tuple[str, ...], list[Signal]] = {}
    for signal in found:
        spec = signal.spec
        stem = spec.function.rstrip("0123456789")
        own = re.compile(rf"(?<!e-)\b{spec.function[len(stem) :]}\b" if stem != spec.function else r"(?!)")
        texts = [own.sub("n", text) for text in (spec.description, signal.formula, signal.notes)]
        key = (stem, *texts, spec.unit, *spec.fields)
        grouped.setdefault(key, []).append(signal)
    return [_row(tuple(signals), *key[1:4]) for key, signals in grouped.items()]


def span(names: Sequence[str], *, mark: str = "`") -> str:
    """``a, b, c``, or ``a … z`` where there are more than six."""
    told = [f"{mark}{name}{mark}" for name in names]
    return ", ".join(told) if len(told) < 7 else f"{told[0]} … {told[-1]}"


def _row(signals: tuple[Signal, ...], what: str, formula: str, notes: str) -> Row:
    if len(signals) == 1:  # its own number
        return Row(signals, signals[0].spec.description, signals[0].formula, notes)
    return Row(signals, what, formula, notes)
