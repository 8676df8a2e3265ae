"""What the best trial of a sweep is worth, given that it was chosen on the very numbers that it is shown with.

The trials of a block are judged on one set of decisions, and the best of them is better there than it deserves. What
`mnpu.judging` says of it stands beside it: its deflated Sharpe ratio after the independent trials that all of its
question amount to, and the probability that such a choice is overfitted. Here is only added what is left if no two
trials resemble each other: its ratio after all trials of the block, one by one. Only a range that no trial has read
says more: see `mnpu.sweep.look`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mnpu.judging import is_beyond_luck
from mnpu.metrics.overfitting import BLOCKS
from mnpu.metrics.significance import deflated_sharpe
from mnpu.metrics.trials import counted_trials
from mnpu.sweep.catalogue import Catalogue, Entry, axes_of
from mnpu.sweep.trials import place_of
from mnpu.types import Judgement

__all__ = ["Choice", "Look", "choices", "said"]

COIN = 0.5  #: The probability of overfitting where what is chosen says nothing about what it will be.


class Look(NamedTuple):
    """A trial that was judged on the locked range.

    ``number``: how many looks at the range, of any run, there had been with this one. ``value`` is the objective there,
    ``psr`` the probability that the true Sharpe ratio is above zero; None where the run failed.
    """

    run_id: str
    place: str
    status: str
    number: int
    value: float | None
    sharpe: float | None
    psr: float | None


@dataclass(frozen=True)
class Choice:
    """The best trial of one block.

    Attributes
    ----------
    block : str
    best : Entry
    value : float
        Its objective.
    trials : int
        Of the block, failed ones among them.
    dsr_all : float or None
        Deflated Sharpe ratio of the best if every trial of the block counts as independent.
    locked : str
        The locked range, empty where none is declared.
    looks : list of Look
    """

    block: str
    best: Entry
    value: float
    trials: int
    dsr_all: float | None
    locked: str
    looks: list[Look]

    @property
    def judgement(self) -> Judgement | None:
        """Of the best, after every trial of its question: at its decisions, on its data or under its name."""
        return self.best.judgement

    @property
    def luck(self) -> bool:
        """Whether luck is a likely reason: so it is where nobody can say."""
        return self.judgement is None or not is_beyond_luck(self.judgement.dsr.value)


def choices(catalogue: Catalogue) -> list[Choice]:
    """The best trial of each block in which one has a value of the objective."""
    kept = catalogue.kept
    sign = 1.0 if kept.direction == "maximise" else -1.0
    blocks: dict[str, list[Entry]] = {}
    for entry in catalogue.entries:
        blocks.setdefault(catalogue.block_of(entry.axes), []).append(entry)
    found = []
    for block, entries in blocks.items():
        valued = [(entry, value) for entry in entries if _finite(value := entry.values.get(kept.objective))]
        if valued:
            best, value = max(valued, key=lambda pair: sign * float(pair[1] or 0.0))
            found.append(_choice(catalogue, block, entries, best, float(value or 0.0)))
    return found


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _choice(catalogue: Catalogue, block: str, entries: Sequence[Entry], best: Entry, value: float) -> Choice:
    failed = sum(catalogue.block_of(one["axes"]) == block for one in catalogue.failed)
    return Choice(
        block=block,
        best=best,
        value=value,
        trials=len(entries) + failed,
        dsr_all=_one_by_one(entries, best, failed),
        locked=str(best.facts.get("locked") or "").partition(" ")[0],
        looks=_looks(catalogue, block),
    )


def _one_by_one(entries: Sequence[Entry], best: Entry, failed: int) -> float | None:
    own = [best.facts.get(name) for name in ("sharpe_bar", "n", "skew", "kurtosis")]
    if any(number is None for number in own):
        return None
    ratio, n, skew, kurtosis = map(float, own)  # type: ignore[arg-type]
    ratios = [float("nan") if entry.facts.get("sharpe_bar") is None else entry.facts["sharpe_bar"] for entry in entries]
    every = counted_trials(np.array([*ratios, *[float("nan")] * failed]))
    found = deflated_sharpe(ratio, n, skew, kurtosis, every.sharpe_variance, every.n_effective)
    return found if math.isfinite(found) else None


def _looks(catalogue: Catalogue, block: str) -> list[Look]:
    found = []
    for row in catalogue.looks:
        axes = axes_of(row)
        if catalogue.block_of(axes) == block:
            values = [row.get(f"metric.{name}") for name in (catalogue.kept.objective, "sharpe", "psr")]
            found.append(Look(row["run_id"], place_of(axes), row["status"], int(row.get("looks") or 1), *values))
    return found


def said(choice: Choice, *, objective: str, sweep: str) -> list[str]:
    """What people are told of a choice, as sentences; the first names the block."""
    best, value = choice.best, f"{choice.value:.3g}"
    lines = [
        f"{choice.block}: the best of {choice.trials} by {objective} is {best.place} with {value} "
        f"(run {best.run_id}); it was chosen on these numbers."
    ]
    found = choice.judgement
    if found is None or found.dsr.value is None:
        reason = "no Sharpe ratio" if found is None else found.dsr.reason
        return [*lines, f"What the choice is worth is not known ({reason}).", *_said_of_the_lock(choice, sweep)]
    lines.append(
        f"Its deflated Sharpe ratio is {found.dsr.value:.2f} after {found.n_trials} trials that amount to "
        f"{found.n_trials_eff} independent ones, {_two(choice.dsr_all)} if the {choice.trials} of this block count one "
        f"by one: {found.words}."
    )
    if found.pbo.value is None:
        lines.append(f"The probability that the choice is overfitted {found.pbo.reason}.")
    else:
        chance = ": to choose among them is no better than chance" if found.pbo.value >= COIN else ""
        lines.append(
            f"The probability that a choice among the {found.n_strategies} strategies at these decisions is overfitted "
            f"is {found.pbo.value:.2f} ({BLOCKS} blocks){chance}."
        )
    return [*lines, *(_said_of_the_lock(choice, sweep))]


def _count(trials: int | None) -> str:
    return "the one independent trial" if trials == 1 else f"the {trials} independent trials"


def _two(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _said_of_the_lock(choice: Choice, sweep: str) -> list[str]:
    if not choice.locked:
        return []
    span = choice.locked.replace("..", " to ")
    if not choice.looks:
        return [f"No trial has read {span}, which is locked. Look once: mnpu sweep look {sweep}."]
    found = []
    for look in choice.looks:
        gave = f"Sharpe ratio {_two(look.sharpe)}, above zero with probability {_two(look.psr)}"
        found.append(
            f"Look {look.number} at the locked range {span}, by {look.place} (run {look.run_id}): "
            f"{gave if look.status == 'finished' else look.status}."
        )
    return found
