"""Texts as they were published, and sums over those that were known at a decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd

from mnpu.data.clock import utc
from mnpu.data.compiled import compiled

__all__ = ["Group", "Texts", "decayed_sum", "decayed_sums", "window_sum", "window_sums"]

#: From here on a loop is worth the import of a compiler.
_MANY = 5_000


@dataclass(frozen=True)
class Group:
    """Texts that are added up together: their ``rows``, when each became ``known`` (int64 ns), and the sums' column."""

    code: int
    rows: np.ndarray
    known: np.ndarray


@dataclass(frozen=True)
class Texts:
    """The N texts of a series, in the order in which they became known.

    Attributes
    ----------
    series : str
    knowledge_time : DatetimeIndex (N,)
        Publication, not decreasing.
    symbol : int (N,)
        Index of the symbol that each is about, -1 for the market or a symbol that is not among the view's.
    text : object (N,)
    value : float64 (N,)
        1 for a mention.
    """

    series: str
    knowledge_time: pd.DatetimeIndex
    symbol: np.ndarray
    text: np.ndarray
    value: np.ndarray

    def __len__(self) -> int:
        return len(self.value)

    @cached_property
    def groups(self) -> list[Group]:
        """The texts about each symbol, for sums by symbol."""
        order = np.argsort(self.symbol.astype(np.int32), kind="stable")
        symbol, known = self.symbol[order], utc(self.knowledge_time).asi8
        edges = [*np.flatnonzero(np.diff(symbol, prepend=-2)).tolist(), len(order)]
        rows = [order[start:stop] for start, stop in pairwise(edges) if symbol[start] >= 0]
        return [Group(int(self.symbol[some[0]]), some, known[some]) for some in rows]

    @cached_property
    def whole(self) -> list[Group]:
        """All texts as one group, for sums over the market."""
        return [_everything(self.knowledge_time)]


def decayed_sum(
    decisions: pd.DatetimeIndex, known: pd.DatetimeIndex, values: np.ndarray, half_life: pd.Timedelta
) -> np.ndarray:
    """At each decision, the sum of ``value * 0.5 ** (age / half_life)`` over what was known by then, (T,).

    Parameters
    ----------
    decisions : DatetimeIndex (T,)
    known : DatetimeIndex (N,)
        When each value became known, not decreasing; equality is visible.
    values : float64 (N,)
        NaN counts as nothing.
    half_life : Timedelta
    """
    return decayed_sums(decisions, [_everything(known)], values, half_life, n_codes=1)[:, 0]


def window_sum(
    decisions: pd.DatetimeIndex, known: pd.DatetimeIndex, values: np.ndarray, window: pd.Timedelta
) -> np.ndarray:
    """At each decision t, the sum of the values that became known after ``t - window`` and at or before t, (T,).

    NaN counts as nothing. Sums of whole numbers are exact, and a huge value leaves no trace once it is out of the
    window.
    """
    return window_sums(decisions, [_everything(known)], values, window, n_codes=1)[:, 0]


def decayed_sums(
    decisions: pd.DatetimeIndex, groups: Sequence[Group], values: np.ndarray, half_life: pd.Timedelta, *, n_codes: int
) -> np.ndarray:
    """`decayed_sum` of each group, (T, n_codes): zeros for a code without a group."""
    at, life, weighty = utc(decisions).asi8, float(half_life.value), np.nan_to_num(values)
    sums = np.zeros((len(at), n_codes))
    accumulate = compiled(_decay) if len(values) >= _MANY else _decay
    for group in groups:
        levels = np.zeros(len(group.rows) + 1)
        steps = np.exp2(-np.diff(group.known, prepend=group.known[:1]) / life)
        accumulate(steps, weighty[group.rows], levels)
        row = np.searchsorted(group.known, at, side="right")
        age = at - np.append(0, group.known)[row]
        sums[:, group.code] = np.where(row > 0, levels[row] * np.exp2(-age / life), 0.0)
    return sums


def window_sums(
    decisions: pd.DatetimeIndex, groups: Sequence[Group], values: np.ndarray, window: pd.Timedelta, *, n_codes: int
) -> np.ndarray:
    """`window_sum` of each group, (T, n_codes): zeros for a code without a group."""
    at, weighty = utc(decisions).asi8, np.nan_to_num(values)
    sums = np.zeros((len(at), n_codes))
    for group in groups:
        # Each group is added up by itself: in one sum over all, later values of one would round those of the next.
        inside = weighty[group.rows]
        last = np.searchsorted(group.known, at, side="right")
        first = np.searchsorted(group.known, at - window.value, side="right")
        if _exact(inside):
            total = np.concatenate([[0.0], np.cumsum(inside)])
            sums[:, group.code] = total[last] - total[first]
        else:
            sums[:, group.code] = _spans(inside, first, last)
    return sums


def _exact(values: np.ndarray) -> bool:
    """Whether sums of all of them have no rounding: whole numbers that together stay within 2**53."""
    return bool((values == np.rint(values)).all()) and float(np.abs(values).sum()) < 2.0**53


def _spans(values: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The sum of ``values[first:last]`` of each pair, (T,), of those values alone.

    A difference of two running sums would keep what rounded away beside an earlier, larger value.
    """
    out = np.zeros(len(first))
    filled = np.flatnonzero(first < last)  # reduceat reads an empty span as one value
    if len(filled):
        edges = np.stack([first[filled], last[filled]], axis=1).ravel()
        out[filled] = np.add.reduceat(np.append(values, 0.0), edges)[::2]
    return out


def _everything(known: pd.DatetimeIndex) -> Group:
    return Group(0, np.arange(len(known)), utc(known).asi8)


def _decay(steps, values, levels):  # type: ignore[no-untyped-def]
    """Add each value to what the step to it leaves of the level before; the bits are the same when compiled."""
    level = 0.0
    for i in range(len(values)):
        level = level * steps[i] + values[i]
        levels[i + 1] = level
