"""Does a feature see the future? Replace the future, compute again, and compare what came before.

Two questions. *Future perturbation*: with everything that became known after a cut replaced, first by noise and then
by nothing, must every value up to the cut stay the same to the last bit? *Truncation*: with the data cut short
there, is it still the same number? The first is the stricter one and is what a run asks of every column; the second
also notices a feature that looks at how much data there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mnpu.features.compute import evaluate
from mnpu.features.plan import PlannedFeature
from mnpu.types import Panel, SideTable

__all__ = [
    "Leak",
    "choose_cuts",
    "future_perturbation",
    "known_by",
    "truncation",
    "with_noise_after",
    "with_nothing_after",
]

Same = Callable[[np.ndarray, np.ndarray], np.ndarray]

#: Truncated data may round differently: relative tolerance of a value, and of its column's largest for those near 0.
RELATIVE, OF_LARGEST = 1e-9, 1e-12


@dataclass(frozen=True)
class Leak:
    """A value that changed although nothing known at its decision did.

    ``replaced`` is what stood for the future after ``cut``; ``time`` and ``symbol`` name the last of the
    ``n_values`` that changed, from ``before`` to ``after``.
    """

    column: str
    cut: pd.Timestamp
    replaced: str
    time: pd.Timestamp
    symbol: str
    before: float
    after: float
    n_values: int

    def __str__(self) -> str:
        return (
            f"{self.column}: {self.symbol} at {self.time:%Y-%m-%d %H:%M} goes from {self.before:.6g} to "
            f"{self.after:.6g} when all after {self.cut:%Y-%m-%d %H:%M} is {self.replaced} ({self.n_values} values)"
        )


def future_perturbation(
    planned: Sequence[PlannedFeature],
    panel: Panel,
    side: SideTable,
    *,
    cuts: Sequence[int],
    rng: np.random.Generator,
) -> list[Leak]:
    """Recompute with the future replaced after each cut; empty where every column is honest.

    Parameters
    ----------
    planned : sequence of PlannedFeature
    panel : Panel
    side : SideTable
    cuts : sequence of int
        Rows; everything known after ``times[cut]`` is replaced. See :func:`choose_cuts`.
    rng : Generator
        Source of the noise.

    Returns
    -------
    leaks : list of Leak
        At most one for each column and cut.
    """
    base = evaluate(planned, panel, side)
    leaks: list[Leak] = []
    for cut in cuts:
        suspects = list(range(len(planned)))
        for replaced, future in (
            ("noise", with_noise_after(panel, side, cut, rng)),
            ("missing", with_nothing_after(panel, side, cut)),
        ):
            columns = [planned[f] for f in suspects]
            other = evaluate(columns, *future)[: cut + 1]
            found = list(_compare(columns, panel, base[: cut + 1][..., suspects], other, cut, replaced, _identical))
            leaks += found
            caught = {leak.column for leak in found}
            suspects = [f for f in suspects if planned[f].name not in caught]
    return leaks


def truncation(planned: Sequence[PlannedFeature], panel: Panel, side: SideTable, *, cuts: Sequence[int]) -> list[Leak]:
    """Recompute on the data cut short after each cut; empty where every value is the same to 1e-9."""
    base = evaluate(planned, panel, side)
    leaks: list[Leak] = []
    for cut in cuts:
        other = evaluate(planned, panel.rows(0, cut + 1), known_by(side, panel.times[cut]))
        leaks += _compare(planned, panel, base[: cut + 1], other, cut, "cut off", _close)
    return leaks


def choose_cuts(panel: Panel, side: SideTable, *, count: int, rng: np.random.Generator) -> tuple[int, ...]:
    """Rows after which a leak would show: some at random, the others where a wrong join would give itself away.

    Those are a row before a symbol's first bar and one inside a gap (where a backward fill takes its value from),
    and, for each series, the last decision before a publication (where a join by anything but the knowledge time
    already has it). At least two of ``count`` are random.
    """
    last = len(panel.times) - 1
    telling = list(dict.fromkeys([*_before_bars(panel, rng), *_before_publications(panel, side, rng)]))
    telling = [cut for cut in telling if 0 <= cut < last]
    chosen = rng.permutation(telling)[: max(count - 2, 0)].tolist() if telling else []
    others = np.setdiff1d(np.arange(last), chosen)
    random = rng.choice(others, size=min(count - len(chosen), len(others)), replace=False).tolist()
    return tuple(sorted(int(cut) for cut in (*chosen, *random)))


def with_noise_after(panel: Panel, side: SideTable, cut: int, rng: np.random.Generator) -> tuple[Panel, SideTable]:
    """The same tables with positive noise in every cell known after ``times[cut]``, gaps and tradability included."""
    fields = {name: _noisy(values, cut, rng) for name, values in panel.fields.items()}
    tradable = panel.tradable.copy()
    tradable[cut + 1 :] = rng.random(tradable[cut + 1 :].shape) < 0.5
    later = np.asarray(side.knowledge_time > panel.times[cut])
    value = np.array(side.value, dtype=float)
    value[later] = (np.abs(value[later]) + 1e-3) * np.exp(rng.normal(size=int(later.sum())))
    return replace(panel, fields=fields, tradable=tradable), replace(side, value=value)


def with_nothing_after(panel: Panel, side: SideTable, cut: int) -> tuple[Panel, SideTable]:
    """The same rows with nothing in them after ``times[cut]``, and the side rows known later left out."""
    fields = {name: values.copy() for name, values in panel.fields.items()}
    for values in fields.values():
        values[cut + 1 :] = np.nan
    tradable = panel.tradable.copy()
    tradable[cut + 1 :] = False
    return replace(panel, fields=fields, tradable=tradable), known_by(side, panel.times[cut])


def known_by(side: SideTable, time: pd.Timestamp) -> SideTable:
    """The rows of a side table that were known at ``time``."""
    rows = np.flatnonzero(np.asarray(side.knowledge_time <= time))
    return replace(
        side,
        event_time=side.event_time[rows],
        knowledge_time=side.knowledge_time[rows],
        series=side.series[rows],
        symbol=side.symbol[rows],
        value=side.value[rows],
    )


def _noisy(values: np.ndarray, cut: int, rng: np.random.Generator) -> np.ndarray:
    noisy = np.array(values, dtype=float)
    finite = np.abs(noisy[np.isfinite(noisy)])
    size = float(np.median(finite)) if len(finite) and np.median(finite) > 0 else 1.0
    noisy[cut + 1 :] = size * np.exp(rng.normal(size=noisy[cut + 1 :].shape))
    return noisy


def _compare(
    planned: Sequence[PlannedFeature],
    panel: Panel,
    before: np.ndarray,
    after: np.ndarray,
    cut: int,
    replaced: str,
    same: Same,
) -> Iterator[Leak]:
    for f, column in enumerate(planned):
        changed = np.argwhere(~same(before[..., f], after[..., f]))
        if len(changed):
            t, a = changed[-1]
            yield Leak(
                column.name,
                panel.times[cut],
                replaced,
                panel.times[t],
                panel.symbols[a],
                float(before[t, a, f]),
                float(after[t, a, f]),
                len(changed),
            )


def _identical(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before == after) | (np.isnan(before) & np.isnan(after))


def _close(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    finite = np.abs(before[np.isfinite(before)])
    near_zero = OF_LARGEST * (float(finite.max()) if len(finite) else 0.0)
    return np.isclose(after, before, rtol=RELATIVE, atol=near_zero, equal_nan=True)


def _before_bars(panel: Panel, rng: np.random.Generator) -> list[int]:
    """For each symbol that starts late or has gaps, one row whose next bar with prices comes only after it."""
    missing: Mapping[str, np.ndarray] = panel.fields
    absent = np.isnan(missing["close"]) if "close" in missing else ~panel.tradable
    ahead = np.logical_or.accumulate(~absent[::-1], axis=0)[::-1]
    rows = [np.flatnonzero(absent[:, a] & ahead[:, a]) for a in range(absent.shape[1])]
    return [int(rng.choice(gap)) for gap in rows if len(gap)]


def _before_publications(panel: Panel, side: SideTable, rng: np.random.Generator) -> list[int]:
    """For each series, the last decision before one of its publications."""
    cuts = []
    for name in dict.fromkeys(side.series.tolist()):
        known = side.knowledge_time[side.series == name]
        rows = np.unique(panel.times.searchsorted(known, side="left")) - 1
        rows = rows[(rows >= 0) & (rows < len(panel.times) - 1)]
        if len(rows):
            cuts.append(int(rng.choice(rows)))
    return cuts
