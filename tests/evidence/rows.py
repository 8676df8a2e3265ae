"""Fits as rows, and how rows are kept: a line of JSON each, appended, so that a long run can go on after a stop."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["REAL_ROWS", "ROWS", "RealRow", "Row", "append", "read"]

ROWS = Path(__file__).with_name("rows.jsonl")
REAL_ROWS = Path(__file__).with_name("real_rows.jsonl")


@dataclass(frozen=True)
class Row:
    """What one fit on one market achieved out of sample.

    Attributes
    ----------
    plant : str
        ``signal`` or ``null``.
    model, digest : str
        Name, and a hash of the settings.
    seed : int
    ic, low, high : float
        Mean over the test decisions of the correlation across symbols of the median with the return, and its 95 %
        interval.
    rank_ic : float
    score_ic : float
        What the planted feature itself achieves on the same decisions.
    n : int
        Test decisions.
    epochs : int
        Until training stopped.
    seconds : float
        Of the fit and the forecasts.
    """

    plant: str
    model: str
    digest: str
    seed: int
    ic: float
    low: float
    high: float
    rank_ic: float
    score_ic: float
    n: int
    epochs: int
    seconds: float

    @property
    def rejects(self) -> bool:
        """Whether the interval excludes zero: the two-sided test at 5 % that there is no information."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class RealRow:
    """What one strategy achieved on one recipe, over all of its test ranges.

    Attributes
    ----------
    recipe, model, digest : str
        File name of the recipe, name of the strategy, and a hash of the settings.
    seed : int
    decisions : str
        Hash of the cells (time, symbol) with a forecast: rows that are compared must share it.
    values, errors : dict of str to float
        Metrics by name, and the standard errors of those that have one.
    seconds : float
        Of the fits and the forecasts; 0 for a rule.
    """

    recipe: str
    model: str
    digest: str
    seed: int
    decisions: str
    values: dict[str, float]
    errors: dict[str, float]
    seconds: float


Kept = TypeVar("Kept", Row, RealRow)


def read(kind: type[Kept], path: Path) -> list[Kept]:
    """The rows of ``path``; none where it does not exist. A last line that was cut off is no row."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [kind(**json.loads(line)) for line in lines if line.endswith("\n")]


def append(row: Row | RealRow, path: Path) -> None:
    """Add a row at the end of ``path``; a line that was cut off goes."""
    held = path.read_text(encoding="utf-8") if path.exists() else ""
    if not held.endswith("\n"):
        path.write_text(held[: held.rfind("\n") + 1], encoding="utf-8", newline="\n")
    with path.open("a", encoding="utf-8", newline="\n") as stream:
        stream.write(json.dumps(_rounded(asdict(row))) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(held) for name, held in value.items()}
    return round(value, 6) if isinstance(value, float) else value
