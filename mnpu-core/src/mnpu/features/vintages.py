"""Does a feature use a value before it was published? Rewrite and delay what was published, and compare.

*Later vintages*: revisions that were published after a cut get other values; nothing up to the cut may change.
*Shifted knowledge*: some values that were known at a cut are published after it instead. To everything up to the cut
they must then be as good as absent; a column that still sees them was joined by the period that they describe, or by
the row that they stand in, and not by the moment at which they could be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mnpu.data.clock import from_ns, utc
from mnpu.features.compute import evaluate
from mnpu.features.leaks import AHEAD, Leak, compare, longest_warmup
from mnpu.features.plan import PlannedFeature
from mnpu.types import Panel, SideTable

__all__ = ["choose_eves", "later_vintages", "shifted_knowledge"]

#: The newest publications before a cut, of which half are delayed.
RECENT = 40


def later_vintages(
    planned: Sequence[PlannedFeature], panel: Panel, side: SideTable, *, cuts: Sequence[int], rng: np.random.Generator
) -> list[Leak]:
    """Recompute with every revision after each cut rewritten; empty where nothing up to the cut changes.

    Parameters
    ----------
    planned : sequence of PlannedFeature
    panel : Panel
    side : SideTable
    cuts : sequence of int
        Rows; see :func:`mnpu.features.leaks.choose_cuts`.
    rng : Generator
        Source of the noise.

    Returns
    -------
    leaks : list of Leak
        At most one for each column: a column that was caught is not asked again.
    """
    suspects = [column for column in planned if column.spec.series]
    leaks: list[Leak] = []
    revision = _revisions(side)
    before: np.ndarray | None = None  # the same for every cut
    for cut in cuts:
        rows = revision & np.asarray(side.knowledge_time > panel.times[cut])
        if suspects and rows.any():
            before = evaluate(suspects, panel, side) if before is None else before
            value = np.array(side.value, dtype=float)
            value[rows] = (np.abs(value[rows]) + 1e-3) * np.exp(rng.normal(size=int(rows.sum())))
            other = side.revalued(value, side.text)
            after = evaluate(suspects, panel, other)[: cut + 1]
            leaks += compare(suspects, panel, before[: cut + 1], after, cut, "later vintages rewritten")
            kept = _without(suspects, leaks)
            before = before[..., [f for f, column in enumerate(suspects) if column in kept]]
            suspects = kept
    return leaks


def shifted_knowledge(
    planned: Sequence[PlannedFeature], panel: Panel, side: SideTable, *, cuts: Sequence[int], rng: np.random.Generator
) -> list[Leak]:
    """Recompute with recent publications delayed past each cut, and without them: empty where that is the same.

    Only the bars that a delayed publication could touch are computed: from the warm-up before the first period that one
    of them describes until a while after the cut. They see the whole side table, however far back it goes.

    Parameters and result are those of :func:`later_vintages`.
    """
    suspects, leaks = [column for column in planned if column.spec.series], []
    for cut in cuts:
        rows = _recent(side, panel, cut, rng)
        if suspects and len(rows):
            late, others = _delayed(side, panel, cut, rows, rng), np.ones(len(side), dtype=bool)
            others[rows] = False
            start = _first_touched(panel, side, rows, longest_warmup(suspects))
            part = panel.rows(min(start, cut), cut + 1 + AHEAD)
            leaks += _changed(suspects, part, side.rows(others), late, cut - min(start, cut), "published later")
            suspects = _without(suspects, leaks)
    return leaks


def choose_eves(panel: Panel, side: SideTable, *, count: int, rng: np.random.Generator) -> tuple[int, ...]:
    """Up to ``count`` rows, each the last decision before a publication: half of them before a revision, if any.

    What is not known until a moment is seen too early on the decisions before it, if it is seen too early at all.
    """
    eves = panel.times.searchsorted(side.knowledge_time, side="left") - 1
    inside, revision = (eves >= 0) & (eves < len(panel.times) - 1), _revisions(side)
    revised, first = np.unique(eves[inside & revision]), np.unique(eves[inside & ~revision])
    some = rng.permutation(revised)[: max(count // 2, count - len(first))]
    others = rng.permutation(np.setdiff1d(first, some))[: count - len(some)]
    return tuple(sorted(int(row) for row in (*some, *others)))


def _changed(
    planned: Sequence[PlannedFeature], panel: Panel, side: SideTable, other: SideTable, cut: int, how: str
) -> list[Leak]:
    before, after = (evaluate(planned, panel, table)[: cut + 1] for table in (side, other))
    return list(compare(planned, panel, before, after, cut, how))


def _without(suspects: Sequence[PlannedFeature], leaks: Sequence[Leak]) -> list[PlannedFeature]:
    caught = {leak.column for leak in leaks}
    return [column for column in suspects if column.name not in caught]


def _revisions(side: SideTable) -> np.ndarray:
    """Rows whose period had been published before, boolean (N,)."""
    again = np.zeros(len(side), dtype=bool)
    for series in dict.fromkeys(side.series.tolist()):
        rows = side.find(series)
        key = np.rec.fromarrays([side.symbol[rows].astype(str), utc(side.event_time[rows]).asi8])
        _, first = np.unique(key, return_index=True)  # rows stand in order of knowledge
        again[rows] = True
        again[rows[first]] = False
    return again


def _recent(side: SideTable, panel: Panel, cut: int, rng: np.random.Generator) -> np.ndarray:
    """Half of the newest rows that were known at the cut, of every series alike."""
    known = np.asarray(side.knowledge_time <= panel.times[cut])
    chosen = []
    for series in dict.fromkeys(side.series.tolist()):
        rows = side.find(series)
        rows = rows[known[rows]][-RECENT:]
        newest = rows[-1:]  # always: it is what a decision at the cut sees
        chosen += [newest, rng.choice(rows, size=len(rows) // 2, replace=False)]
    return np.unique(np.concatenate(chosen)) if chosen else np.empty(0, dtype=int)


def _first_touched(panel: Panel, side: SideTable, rows: np.ndarray, warmup: int) -> int:
    """The first bar to compute where what ``rows`` say may be seen from their event or their publication on."""
    begins = min(side.event_time[rows].min(), side.knowledge_time[rows].min())
    return max(int(panel.times.searchsorted(begins)) - warmup - AHEAD, 0)


def _delayed(side: SideTable, panel: Panel, cut: int, rows: np.ndarray, rng: np.random.Generator) -> SideTable:
    """The table with ``rows`` published some time after the cut, sorted again."""
    known = utc(side.knowledge_time).asi8.copy()
    now = utc(panel.times[[cut]]).asi8[0]
    known[rows] = now + 1 + rng.integers(0, 90 * 86_400_000_000_000, size=len(rows))
    late = replace(side, knowledge_time=from_ns(known))
    return late.rows(np.lexsort([utc(side.event_time).asi8, known]))
