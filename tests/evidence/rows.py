"""One fit as a row, and how rows are kept: a line of JSON each, appended, so that a long run can go on after a stop."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["ROWS", "Row", "append", "read"]

ROWS = Path(__file__).with_name("rows.jsonl")


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


def read(path: Path = ROWS) -> list[Row]:
    """The rows of ``path``; none where it does not exist. A last line that was cut off is no row."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [Row(**json.loads(line)) for line in lines if line.endswith("\n")]


def append(rows: Iterable[Row], path: Path = ROWS) -> None:
    """Add rows at the end of ``path``."""
    text = "".join(json.dumps(_rounded(row)) + "\n" for row in rows)
    with path.open("a", encoding="utf-8", newline="\n") as stream:
        stream.write(text)


def _rounded(row: Row) -> dict[str, object]:
    return {name: round(value, 5) if isinstance(value, float) else value for name, value in asdict(row).items()}
