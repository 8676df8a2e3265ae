"""The laws of a feature bar by bar: a step gives the value of the batch, from no more data than was declared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mnpu.data.clock import utc
from mnpu.features.api import View
from mnpu.features.compute import evaluate
from mnpu.features.evaluation import of_view, quiet
from mnpu.features.leaks import OF_LARGEST, RELATIVE
from mnpu.features.memory import needs_of, still_needed
from mnpu.features.plan import PlannedFeature
from mnpu.features.stream import Stream
from mnpu.types import Panel, SideTable

if TYPE_CHECKING:
    from mnpu.testing.features import Market

__all__ = ["REMARKS", "STREAMING"]

#: Steps of a stream from a row that is chosen at random; rows at which a memory is tried.
STEPS, TRIED = 34, 3

Wrong = dict[str, str]


def _streams(market: Market) -> Wrong:
    """Steps from a row on give the rows of the batch.

    Inside the steps are a split, side rows that arrive and side rows that are revised; those of features that read
    no side data also hold a first bar and a hole.
    """
    bars = len(market.panel.times)
    first = int(market.rng.integers(bars // 2 - STEPS + 4, bars // 2))
    wrong = _stepped(market, first, min(first + STEPS, bars))
    if not any(column.spec.series for column in market.columns):
        wrong = {**_stepped(market, bars // 4 - 2, bars // 3 + 8), **wrong}
    return wrong


def _stepped(market: Market, first: int, stop: int) -> Wrong:
    panel, times = market.panel, market.panel.times
    stream = Stream(market.columns, panel.rows(0, first), market.side.known_by(times[first - 1]))
    wrong: Wrong = {}
    for t in range(first, stop):
        known = market.side.knowledge_time
        news = market.side.rows(np.flatnonzero(np.asarray((known > times[t - 1]) & (known <= times[t]))))
        told = f"after {t - first + 1} steps from bar {first + 1} on"
        for name, detail in _differing(market, t, stream.values(panel.rows(t, t + 1), news), told):
            wrong.setdefault(name, detail)
    return wrong


def _differing(market: Market, t: int, row: np.ndarray, told: str) -> Iterator[tuple[str, str]]:
    """The columns whose row (A, F) is not that of the batch."""
    for f, column in enumerate(market.columns):
        different = np.flatnonzero(~close(row[:, f], market.of(f)[t], market.of(f)))
        if len(different):
            a = int(different[0])
            where = f"{market.panel.symbols[a]} at {market.panel.times[t]:%Y-%m-%d %H:%M}"
            yield column.name, f"{where} is {row[a, f]:.12g} {told}, and {market.of(f)[t, a]:.12g} in the batch"


def close(row: np.ndarray, whole: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Where values are the same within the tolerance of a column."""
    finite = np.abs(column[np.isfinite(column)])
    near_zero = OF_LARGEST * (float(finite.max()) if len(finite) else 0.0)
    return np.isclose(row, whole, rtol=RELATIVE, atol=near_zero, equal_nan=True)


def _remembers(market: Market) -> Wrong:
    """Side data beyond the declared memory may be left out, or say something else."""
    wrong: Wrong = {}
    bars = len(market.panel.times)
    for f, column in enumerate(market.columns):
        if not column.spec.series or column.spec.state:
            continue
        for t in market.rng.integers(min(column.spec.warmup, bars - 1), bars, size=TRIED).tolist():
            panel, known = market.panel.rows(max(t - column.spec.warmup + 1, 0), t + 1), market.side
            known = known.known_by(market.panel.times[t])
            for how, side in _without(column, panel, known, market.rng):
                row = evaluate([column], panel, side)[-1, :, 0]
                if not close(row, market.of(f)[t], market.of(f)).all():
                    memory = column.meta.memory_for(column.spec.params)
                    wrong.setdefault(column.name, f"declares memory={memory}, and changes when what is older {how}")
    return wrong


def _without(
    column: PlannedFeature, panel: Panel, side: SideTable, rng: np.random.Generator
) -> Iterator[tuple[str, SideTable]]:
    """The table without what the newest value does not need, and with something else in its place."""
    instants = utc(panel.times).asi8
    needed = still_needed(side, needs_of([column]), lambda warmup: int(instants[max(len(instants) - warmup, 0)]))
    if needed.all():
        return
    yield "is left out", side.rows(np.flatnonzero(needed))
    value = np.where(needed, side.value, np.abs(side.value) * np.exp(rng.normal(size=len(side))) + 1.0)
    text = None if side.text is None else np.where(needed, side.text, "great losses of another kind")
    yield "is something else", replace(side, value=value, text=text)


def _defined(market: Market) -> Wrong:
    """What a kernel computes is what the function says."""
    wrong: Wrong = {}
    for f, column in enumerate(market.columns):
        if column.meta.kernel is None:
            continue
        view = View(market.panel, market.side, fields=column.spec.fields, series=column.spec.series, where=column.name)
        with quiet():
            defined, whole = np.broadcast_to(of_view(column, view), market.panel.shape), market.of(f)
        different = np.argwhere(~close(whole, defined, defined))
        if len(different):
            t, a = different[0]
            told = f"the kernel gives {whole[t, a]:.12g} and the function {defined[t, a]:.12g}"
            where = f"{market.panel.symbols[a]} at {market.panel.times[t]:%Y-%m-%d %H:%M}"
            wrong[column.name] = f"{told} for {where} ({len(different)} values)"
    return wrong


def _unbounded(market: Market) -> Wrong:
    """Reads side data and does not say how much of it."""
    return {
        column.name: "says no memory, so all side data is kept and a step takes the longer, the more there is"
        for column in market.columns
        if column.spec.series and column.meta.memory_for(column.spec.params) is None
    }


#: What must hold of a feature in a stream, and the check of it, which says what is wrong with which columns.
STREAMING: dict[str, Callable[[Market], Wrong]] = {
    "streams the batch values": _streams,
    "needs no more side data than its memory": _remembers,
    "has a kernel that equals its definition": _defined,
}

#: What is worth a remark where it does not hold.
REMARKS: dict[str, Callable[[Market], Wrong]] = {"steps in a time that does not grow": _unbounded}
