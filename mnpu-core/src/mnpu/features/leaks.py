"""Does a feature see the future? Replace the future, compute again, and compare what came before.

*Future perturbation*: with everything that became known after a cut replaced, first by noise and then by nothing,
must every value up to the cut stay the same to the last bit? *Truncation*: with the data cut short there, is it still
the same number? The first is the stricter one; the second also notices a feature that looks at how much data there
is, or at when the next bar comes.

A look one bar ahead shows at its own cut only. *Nearby* therefore asks both questions at many cuts, each on a short
stretch of bars: one of every weekday, hour and end of a month, and the eve of every symbol's largest move, so that
a feature that looks ahead on few occasions has few places to hide. *Remembered* asks whether a column answers to its
data at all: one that returns what it computed before would pass every comparison.
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
    "choose_nearby",
    "compare",
    "future_perturbation",
    "identical",
    "longest_warmup",
    "nearby",
    "remembered",
    "truncation",
    "with_noise_after",
    "with_nothing_after",
]

Same = Callable[[np.ndarray, np.ndarray], np.ndarray]

#: Truncated data may round differently: relative tolerance of a value, and of its column's largest for those near 0.
RELATIVE, OF_LARGEST = 1e-9, 1e-12

#: Bars after a nearby cut, and before it beyond the warm-up; how many of each kind of bar are cut after; and how many
#: eves of large moves.
AHEAD, OF_EACH, EVES = 30, 3, 24


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
            found = list(compare(columns, panel, base[: cut + 1][..., suspects], other, cut, replaced, identical))
            leaks += found
            caught = {leak.column for leak in found}
            suspects = [f for f in suspects if planned[f].name not in caught]
    return leaks


def truncation(planned: Sequence[PlannedFeature], panel: Panel, side: SideTable, *, cuts: Sequence[int]) -> list[Leak]:
    """Recompute on the data cut short after each cut; empty where every value is the same to 1e-9."""
    base = evaluate(planned, panel, side)
    leaks: list[Leak] = []
    for cut in cuts:
        other = evaluate(planned, panel.rows(0, cut + 1), side.known_by(panel.times[cut]))
        leaks += compare(planned, panel, base[: cut + 1], other, cut, "cut off", _close)
    return leaks


def nearby(
    planned: Sequence[PlannedFeature], panel: Panel, side: SideTable, *, cuts: Sequence[int], rng: np.random.Generator
) -> list[Leak]:
    """Recompute the bars around each cut with noise after it, and cut short there; empty where nothing changes.

    Parameters
    ----------
    planned : sequence of PlannedFeature
    panel : Panel
    side : SideTable
    cuts : sequence of int
        See :func:`choose_nearby`.
    rng : Generator
        Source of the noise.

    Returns
    -------
    leaks : list of Leak
        At most one for each column: a column that was caught is not asked again.
    """
    leaks: list[Leak] = []
    suspects = list(planned)
    for cut in cuts:
        if suspects:
            found = _around(suspects, panel, side, cut, max(cut - longest_warmup(planned) - AHEAD, 0), rng)
            leaks += found
            caught = {leak.column for leak in found}
            suspects = [column for column in suspects if column.name not in caught]
    return leaks


def _around(
    planned: Sequence[PlannedFeature], panel: Panel, side: SideTable, cut: int, start: int, rng: np.random.Generator
) -> list[Leak]:
    """The leaks of one cut, on the bars from ``start`` until a while after it."""
    part, row = panel.rows(start, min(cut + 1 + AHEAD, len(panel.times))), cut - start
    side = _begun_by(side, part.times[-1])
    base = evaluate(planned, part, side)[: row + 1]
    noisy = evaluate(planned, *with_noise_after(part, side, row, rng))[: row + 1]
    short = evaluate(planned, part.rows(0, row + 1), side.known_by(part.times[row]))
    found = {leak.column: leak for leak in compare(planned, part, base, short, row, "cut off", _close)}
    found.update({leak.column: leak for leak in compare(planned, part, base, noisy, row, "noise", identical)})
    return list(found.values())


def _begun_by(side: SideTable, time: pd.Timestamp) -> SideTable:
    """The rows that were known at ``time`` or describe what was over by then: those that a wrong join could show it."""
    return side.rows(np.flatnonzero(np.asarray((side.knowledge_time <= time) | (side.event_time <= time))))


def longest_warmup(planned: Sequence[PlannedFeature]) -> int:
    """Bars, the present one included, that the most patient column looks back over."""
    return max((column.spec.warmup for column in planned), default=1)


def remembered(
    planned: Sequence[PlannedFeature], panel: Panel, side: SideTable, *, rng: np.random.Generator
) -> list[str]:
    """Columns that vary, say what data they read, and do not change when every cell of it does.

    Such a column gives an answer from memory (a module-level cache, a file), and whether that answer was computed
    from the future cannot be seen by replacing the future.
    """
    base = evaluate(planned, panel, side)
    suspects = [f for f, column in enumerate(planned) if _reads(column) and _varies(base[..., f])]
    for noise in (True, False):
        if not suspects:
            break
        columns = [planned[f] for f in suspects]
        other = evaluate(columns, *(_all_noise(panel, side, rng) if noise else _all_missing(panel, side)))
        suspects = [f for i, f in enumerate(suspects) if identical(base[..., f], other[..., i]).all()]
    return [planned[f].name for f in suspects]


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


def choose_nearby(
    panel: Panel, *, warmup: int, random: int, rng: np.random.Generator, rows: tuple[int, int] | None = None
) -> tuple[int, ...]:
    """Rows to ask :func:`nearby` about, after ``warmup`` bars where there are as many.

    Three of every weekday, hour, last bar of a month and last bar of a year; the eve of the largest move of a price or
    a volume, for up to two dozen pairs of a symbol and a field; and ``random`` others. ``rows`` is the half-open range
    to choose from, by default all.
    """
    first, stop = rows or (0, len(panel.times))
    stop = min(stop, len(panel.times) - 1)  # the last bar has no future
    first = min(max(first, warmup - 1), max(stop - 1, 0))
    inside = np.arange(first, stop)
    if not len(inside):
        return ()
    month = panel.sessions.astype("datetime64[M]").astype(np.int64)
    weekday = (panel.sessions.astype("datetime64[D]").astype(np.int64) + 3) % 7
    kinds = [weekday[inside], 100 + np.asarray(panel.times.hour)[inside], 200 + (np.diff(month) != 0)[inside]]
    chosen = [rng.choice(inside, size=min(random, len(inside)), replace=False)]
    for kind in kinds:
        for value in np.unique(kind):
            alike = inside[kind == value]
            chosen.append(rng.choice(alike, size=min(OF_EACH, len(alike)), replace=False))
    years_ends = inside[np.diff(month // 12)[inside] != 0]  # too few to be met among the ends of months
    chosen.append(rng.choice(years_ends, size=min(OF_EACH, len(years_ends)), replace=False))
    eves = _before_large_moves(panel, first, stop)
    chosen.append(rng.permutation(eves)[:EVES])
    return tuple(np.unique(np.concatenate(chosen)).astype(int).tolist())


def _before_large_moves(panel: Panel, first: int, stop: int) -> np.ndarray:
    """For each field and symbol, the row in ``[first, stop)`` before the largest relative move."""
    eves = []
    for values in panel.fields.values():
        size = np.log(np.where(values > 0, values, np.nan)[first : stop + 1])
        move = np.abs(np.diff(size, axis=0))
        largest = np.where(np.isfinite(move), move, -1.0)
        eves.append(first + largest.argmax(axis=0)[largest.max(axis=0) > 0])
    return np.unique(np.concatenate(eves)) if eves else np.empty(0, dtype=int)


def with_noise_after(panel: Panel, side: SideTable, cut: int, rng: np.random.Generator) -> tuple[Panel, SideTable]:
    """The same tables with positive noise in every cell known after ``times[cut]``, gaps and tradability included."""
    fields = {name: _noisy(values, cut, rng) for name, values in panel.fields.items()}
    tradable = panel.tradable.copy()
    tradable[cut + 1 :] = rng.random(tradable[cut + 1 :].shape) < 0.5
    later = np.asarray(side.knowledge_time > panel.times[cut])
    value = np.array(side.value, dtype=float)
    value[later] = (np.abs(value[later]) + 1e-3) * np.exp(rng.normal(size=int(later.sum())))
    other = side.revalued(value, _other_words(side, later, rng))
    return replace(panel, fields=fields, tradable=tradable), other


def with_nothing_after(panel: Panel, side: SideTable, cut: int) -> tuple[Panel, SideTable]:
    """The same rows with nothing in them after ``times[cut]``, and the side rows known later left out."""
    fields = {name: values.copy() for name, values in panel.fields.items()}
    for values in fields.values():
        values[cut + 1 :] = np.nan
    tradable = panel.tradable.copy()
    tradable[cut + 1 :] = False
    return replace(panel, fields=fields, tradable=tradable), side.known_by(panel.times[cut])


def _all_noise(panel: Panel, side: SideTable, rng: np.random.Generator) -> tuple[Panel, SideTable]:
    fields = {name: _noisy(values, -1, rng) for name, values in panel.fields.items()}
    value = (np.abs(side.value) + 1e-3) * np.exp(rng.normal(size=len(side)))
    words = _other_words(side, np.ones(len(side), dtype=bool), rng)
    return replace(panel, fields=fields), side.revalued(value, words)


def _other_words(side: SideTable, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """The texts with those of ``rows`` replaced by one of a few that are made of their words in another order."""
    if side.text is None:
        return None
    texts = np.array(side.text, dtype=object)
    some = rng.choice(texts, size=min(len(texts), 256))
    words = np.array([word for text in some for word in text.split()] or ["nothing"], dtype=object)
    others = [" ".join([*rng.choice(words, size=int(rng.integers(1, 20))), f"other{i}"]) for i in range(64)]
    texts[rows] = rng.choice(np.array(others, dtype=object), size=int(np.count_nonzero(rows)))
    return texts


def _all_missing(panel: Panel, side: SideTable) -> tuple[Panel, SideTable]:
    fields = {name: np.full_like(values, np.nan) for name, values in panel.fields.items()}
    before_all = pd.Timestamp.min.tz_localize("UTC")
    return replace(panel, fields=fields, tradable=np.zeros_like(panel.tradable)), side.known_by(before_all)


def _reads(column: PlannedFeature) -> bool:
    return bool(column.spec.fields or column.spec.series)


def _varies(values: np.ndarray) -> bool:
    finite = values[np.isfinite(values)]
    return bool(len(finite)) and finite.min() < finite.max()


def _noisy(values: np.ndarray, cut: int, rng: np.random.Generator) -> np.ndarray:
    noisy = np.array(values, dtype=float)
    finite = np.abs(noisy[np.isfinite(noisy)])
    size = float(np.median(finite)) if len(finite) and np.median(finite) > 0 else 1.0
    noisy[cut + 1 :] = size * np.exp(rng.normal(size=noisy[cut + 1 :].shape))
    return noisy


def compare(
    planned: Sequence[PlannedFeature],
    panel: Panel,
    before: np.ndarray,
    after: np.ndarray,
    cut: int,
    replaced: str,
    same: Same | None = None,
) -> Iterator[Leak]:
    """One leak for each column, last axis, with a value that is not the same (to the bit, unless ``same`` is given)."""
    same = same or identical
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


def identical(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where two arrays have the same bits; NaN is NaN."""
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
