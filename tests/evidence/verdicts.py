"""What the rows of synthetic markets amount to: is what was planted found by each model, and nothing in nothing?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median

from tests.evidence.models import IC, MODELS, Model
from tests.evidence.rows import Row

__all__ = ["BAND", "LEVEL", "SEEDS", "WANTED", "Nulls", "Verdict", "binomial_band", "current", "nulls", "verdict"]

SEEDS = 20
WANTED = 0.8  #: Share of the known information coefficient that the median over the seeds must reach.
LEVEL, BAND = 0.05, 0.99  #: Of the test on a null, and of the band around the share of its rejections.


@dataclass(frozen=True)
class Verdict:
    """A model on planted signals. ``share`` is that of the known coefficient which the median over the seeds reaches.

    ``of_score`` compares with what the planted feature itself achieved on the same decisions.
    """

    model: Model
    ics: tuple[float, ...]
    of_score: float

    @property
    def share(self) -> float:
        """Median over the known coefficient."""
        return median(self.ics) / IC

    @property
    def passes(self) -> bool:
        """All seeds are there, and enough is found."""
        return len(self.ics) >= SEEDS and self.share >= WANTED


@dataclass(frozen=True)
class Nulls:
    """Fits where nothing can be found: how many, how many found something at 5 %, and how many may."""

    n: int
    rejected: int
    band: tuple[int, int]

    @property
    def passes(self) -> bool:
        """The number of rejections is one that chance gives."""
        return self.band[0] <= self.rejected <= self.band[1]


def current(rows: Sequence[Row]) -> list[Row]:
    """The rows of today's models under today's settings, one for each seed, by model and seed."""
    found = {
        (MODELS[row.model].number, row.seed, row.plant): row
        for row in rows
        if row.model in MODELS and row.digest == MODELS[row.model].digest(row.plant) and row.seed < SEEDS
    }
    return [found[key] for key in sorted(found)]


def verdict(model: Model, rows: Sequence[Row]) -> Verdict:
    """One model's rows on signals."""
    own = [row for row in rows if row.model == model.name and row.plant == "signal"]
    return Verdict(model, tuple(row.ic for row in own), median(row.ic / row.score_ic for row in own) if own else 0.0)


def nulls(rows: Sequence[Row]) -> Nulls:
    """All rows on nulls, pooled: each has a market of its own, so they are independent."""
    own = [row for row in rows if row.plant == "null"]
    return Nulls(len(own), sum(row.rejects for row in own), binomial_band(len(own), LEVEL, BAND))


def binomial_band(n: int, p: float, level: float) -> tuple[int, int]:
    """The smallest and the largest count that are not in a tail: each tail has at most ``(1 - level) / 2``."""
    tail = (1 - level) / 2
    chances = [comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
    low = next(k for k in range(n + 1) if sum(chances[: k + 1]) > tail)
    high = next(k for k in range(n, -1, -1) if sum(chances[k:]) > tail)
    return low, high
