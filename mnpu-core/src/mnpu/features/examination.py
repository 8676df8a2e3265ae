"""The whole leak kit on the columns of a pipeline: every law, what broke it, and what kind of leak that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mnpu.features.diagnosis import diagnose
from mnpu.features.leaks import (
    Leak,
    choose_cuts,
    choose_nearby,
    future_perturbation,
    longest_warmup,
    nearby,
    remembered,
    truncation,
)
from mnpu.features.plan import PlannedFeature
from mnpu.features.vintages import choose_eves, later_vintages, shifted_knowledge
from mnpu.types import Panel, SideTable

__all__ = ["LAWS", "Examined", "examine"]

#: Cuts over the whole panel, on short stretches at random, and on the eves of publications.
CUTS, NEARBY, EVES = 10, 40, 40

#: What is asked of every column, in this order, in the words of a reader.
LAWS = {
    "future replaced": "nothing up to a cut changes when everything after it is noise or missing",
    "future cut off": "nothing up to a cut changes when the data ends there",
    "later vintages rewritten": "nothing up to a cut changes when revisions published after it do",
    "published later": "a value whose publication is delayed past a cut is as good as absent up to it",
    "answers to its data": "the column changes when all the data that it reads does",
}


@dataclass(frozen=True)
class Examined:
    """What the kit found of one column.

    ``broken`` names the laws that it breaks, in the order of ``LAWS``; ``diagnosis`` says what kind of leak that is,
    ``evidence`` one value that gave it away. All are empty where the column is honest.
    """

    column: str
    broken: tuple[str, ...]
    diagnosis: str
    evidence: str

    @property
    def honest(self) -> bool:
        """Whether every law holds."""
        return not self.broken


def examine(
    planned: Sequence[PlannedFeature],
    panel: Panel,
    side: SideTable,
    *,
    seed: int = 0,
    told: Callable[[str], None] = lambda law: None,
) -> list[Examined]:
    """Hold every column to every law of the kit.

    Parameters
    ----------
    planned : sequence of PlannedFeature
    panel : Panel
    side : SideTable
    seed : int, default=0
        Of the cuts and of the noise.
    told : callable, optional
        Called with the name of each law before it is asked.

    Returns
    -------
    examined : list of Examined
        One for each column, in the order of the pipeline.
    """
    rng = np.random.default_rng(seed)
    cuts = choose_cuts(panel, side, count=CUTS, rng=rng)
    near = choose_nearby(panel, warmup=longest_warmup(planned), random=NEARBY, rng=rng)
    eves = choose_eves(panel, side, count=EVES, rng=rng)
    laws: dict[str, Callable[[], list[Leak]]] = {
        "future replaced": lambda: [
            *future_perturbation(planned, panel, side, cuts=cuts, rng=rng),
            *nearby(planned, panel, side, cuts=list(dict.fromkeys([*near, *eves])), rng=rng),
        ],
        "future cut off": lambda: truncation(planned, panel, side, cuts=cuts),
        "later vintages rewritten": lambda: later_vintages(planned, panel, side, cuts=eves, rng=rng),
        "published later": lambda: shifted_knowledge(planned, panel, side, cuts=eves, rng=rng),
    }
    broken: dict[str, dict[str, str]] = {column.name: {} for column in planned}
    for law, ask in laws.items():
        told(law)
        for leak in ask():
            broken[leak.column].setdefault(law, str(leak))
    told("answers to its data")
    for name in remembered(planned, panel, side, rng=rng):
        broken[name]["answers to its data"] = "the same values when all data that it reads is replaced"
    return [_examined(column, broken[column.name], panel, side, rng) for column in planned]


def _examined(
    column: PlannedFeature, broken: dict[str, str], panel: Panel, side: SideTable, rng: np.random.Generator
) -> Examined:
    if not broken:
        return Examined(column.name, (), "", "")
    deaf = "answers to its data" in broken  # whatever else it seems to break, it is its memory that does
    name = "answers from memory" if deaf else diagnose(column, panel, side, rng=rng)
    return Examined(column.name, tuple(law for law in LAWS if law in broken), name, next(iter(broken.values())))
