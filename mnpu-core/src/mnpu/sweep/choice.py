"""What the best trial of a sweep is worth, given that it was chosen on the very numbers that it is shown with.

The trials of a block are judged on one set of decisions, and the best of them is better there than it deserves. Three
numbers say by how much: the deflated Sharpe ratio of the best, once after as many independent trials as all of them
amount to and once after all of them; and the probability that such a choice is overfitted (CSCV). Only a range that no
trial has read says what is left: see `mnpu.sweep.look`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mnpu.errors import MnpuError
from mnpu.judging import is_beyond_luck
from mnpu.metrics.overfitting import BLOCKS, pbo
from mnpu.metrics.significance import dsr
from mnpu.metrics.trials import counted_trials, effective_trials
from mnpu.results_returns import Returns, read_returns
from mnpu.sweep.catalogue import Catalogue, Entry, axes_of

__all__ = ["Choice", "Look", "choices", "cscv_blocks", "said"]

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
    effective : int or None
        Independent trials that the finished ones amount to.
    bars : int
        Returns that all finished trials share.
    dsr, dsr_all : float or None
        Deflated Sharpe ratio of the best after the effective number of trials, and after all of them.
    pbo : float or None
        Probability of backtest overfitting of choosing by Sharpe ratio among the finished trials whose returns differ.
    pbo_blocks : int
        Into which the bars were cut.
    pbo_paths : tuple of float
        Where the split makes several histories: the same on each, from the lowest to the highest.
    locked : str
        The locked range, empty where none is declared.
    looks : list of Look
    reason : str
        Why numbers are missing.
    """

    block: str
    best: Entry
    value: float
    trials: int
    effective: int | None
    bars: int
    dsr: float | None
    dsr_all: float | None
    pbo: float | None
    pbo_blocks: int
    pbo_paths: tuple[float, ...]
    locked: str
    looks: list[Look]
    reason: str = ""

    @property
    def luck(self) -> bool:
        """Whether luck is a likely reason: so it is where nobody can say."""
        return not is_beyond_luck(self.dsr)


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
    told: dict[str, Any] = {"effective": None, "bars": 0, "dsr": None, "dsr_all": None}
    told.update(pbo=None, pbo_blocks=0, pbo_paths=(), reason="")
    try:
        returns, paths = _returns(catalogue, entries)
        told.update(_judged(returns, entries.index(best), failed), **_overfitted(returns, paths))
    except MnpuError as error:
        told["reason"] = str(error)
    return Choice(
        block=block,
        best=best,
        value=value,
        trials=len(entries) + failed,
        locked=str(best.facts.get("locked") or "").partition(" ")[0],
        looks=_looks(catalogue, block),
        **told,
    )


def _returns(catalogue: Catalogue, entries: Sequence[Entry]) -> tuple[np.ndarray, np.ndarray]:
    """Net returns (N, T) on the bars that all trials have, and those of P paths (P, N, T); none for one history."""
    series = [_read(catalogue, entry) for entry in entries]
    common = series[0].times
    for each in series[1:]:
        common = common.intersection(each.times)
    for entry in entries:
        if entry.span is not None:
            common = common[(common >= entry.span[0]) & (common <= entry.span[1])]
    rows = [each.times.get_indexer(common) for each in series]
    net = np.stack([each.net[own] for each, own in zip(series, rows, strict=True)])
    paths = [each.paths for each in series if each.paths is not None]
    if len(paths) < len(series) or len({len(each) for each in paths}) > 1:
        return net, np.zeros((0, *net.shape))
    return net, np.stack([each[:, own] for each, own in zip(paths, rows, strict=True)], axis=1)


def _read(catalogue: Catalogue, entry: Entry) -> Returns:
    found = read_returns(catalogue.runs / entry.run_id)
    if found is None:
        raise MnpuError("the run holds no result", where=str(catalogue.runs / entry.run_id))
    return found


def _judged(returns: np.ndarray, best: int, failed: int) -> dict[str, Any]:
    ratios = np.array([_ratio(net) for net in returns])
    everyone = counted_trials(np.concatenate([ratios, np.full(failed, np.nan)]))
    alike = effective_trials(returns)
    deflated = [
        dsr(returns[best], trials_sharpe_variance=of.sharpe_variance, n_trials=of.n_effective).value
        for of in (alike, everyone)
    ]
    return {
        "effective": alike.n_effective,
        "bars": returns.shape[1],
        "dsr": deflated[0],
        "dsr_all": deflated[1],
    }


def _ratio(net: np.ndarray) -> float:
    spread = float(net.std(ddof=1))
    return float(net.mean()) / spread if spread > 0 else float("nan")


def cscv_blocks(bars: int) -> int:
    """Sixteen, or the largest even number of blocks of two bars or more that there is room for; 0 for none."""
    return min(BLOCKS, bars // 4 * 2)


def _overfitted(returns: np.ndarray, paths: np.ndarray) -> dict[str, Any]:
    blocks = cscv_blocks(returns.shape[1])
    different = np.unique(returns, axis=0, return_index=True)[1]  # a seed that changes nothing is no other strategy
    if len(different) < 2 or blocks < 2:
        return {"reason": "there is nothing to choose among" if len(different) < 2 else "there are too few bars"}
    returns, paths = returns[np.sort(different)], paths[:, np.sort(different)]
    every = tuple(sorted(pbo(path, blocks=blocks).pbo for path in paths))
    return {"pbo": pbo(returns, blocks=blocks).pbo, "pbo_blocks": blocks, "pbo_paths": every}


def _looks(catalogue: Catalogue, block: str) -> list[Look]:
    found = []
    for row in catalogue.looks:
        axes = axes_of(row)
        if catalogue.block_of(axes) == block:
            place = " ".join(f"{axis}={value}" for axis, value in axes.items())
            values = [row.get(f"metric.{name}") for name in (catalogue.kept.objective, "sharpe", "psr")]
            found.append(Look(row["run_id"], place, row["status"], int(row.get("looks") or 1), *values))
    return found


def said(choice: Choice, *, objective: str, sweep: str) -> list[str]:
    """What people are told of a choice, as sentences; the first names the block."""
    best, value = choice.best, f"{choice.value:.3g}"
    lines = [
        f"{choice.block}: the best of {choice.trials} by {objective} is {best.place} with {value} "
        f"(run {best.run_id}); it was chosen on these numbers."
    ]
    if choice.dsr is None:
        lines.append(f"What the choice is worth is not known ({choice.reason or 'no Sharpe ratio'}).")
    else:
        luck = "not distinguishable from luck" if choice.luck else "luck is not a likely reason"
        lines.append(
            f"Its deflated Sharpe ratio is {choice.dsr:.2f} after {_count(choice.effective)} that all amount to, "
            f"{_two(choice.dsr_all)} if all {choice.trials} count: {luck}."
        )
    if choice.pbo is not None:
        paths = choice.pbo_paths
        beside = f"; {paths[0]:.2f} to {paths[-1]:.2f} on the {len(paths)} paths of the split" if paths else ""
        chance = ": to choose among them is no better than chance" if choice.pbo >= COIN else ""
        lines.append(
            f"The probability that the choice is overfitted is {choice.pbo:.2f} ({choice.pbo_blocks} blocks of "
            f"{choice.bars:,} bars{beside}){chance}."
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
