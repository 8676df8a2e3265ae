"""Texts as they were published, and sums over those that were known at a decision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from mnpu.data.clock import utc
from mnpu.data.compiled import compiled

__all__ = ["FORGOTTEN_HALF_LIVES", "Groups", "Texts", "decayed_sum", "decayed_sums", "window_sum", "window_sums"]

#: After so many half-lives a text says nothing any more: 0.5 ** 50 is lost in the rounding of a number beside 1.
FORGOTTEN_HALF_LIVES = 50

#: From here on a loop is worth the import of a compiler.
_MANY = 5_000
#: Instants whose answers are kept: of a few windows of a few columns.
KEPT = 64

Each = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class Groups:
    """Texts that are added up together, G groups of them one behind the other.

    Attributes
    ----------
    code : int (G,)
        The column of each group's sums.
    rows : int (N,)
        Texts by group, in the order in which they became known.
    edges : int (G + 1,)
        Where each group begins in ``rows``.
    known : int64 (N,)
        Nanoseconds at which each of ``rows`` became known.
    moments : int64
        The same of all texts, of every group and of none, not decreasing.
    """

    code: np.ndarray
    rows: np.ndarray
    edges: np.ndarray
    known: np.ndarray
    moments: np.ndarray

    @cached_property
    def _keys(self) -> np.ndarray:
        """Increasing numbers for group and row, so that one search answers for all groups."""
        return np.repeat(np.arange(len(self.code)), np.diff(self.edges)) * (len(self.moments) + 1) + self.rows

    def seen(self, at: np.ndarray) -> np.ndarray:
        """How many of ``rows`` lie before the first one of each group that is not known at ``at``, (T, G)."""
        told = np.searchsorted(self.moments, at, side="right")
        key = told.tobytes()  # many sums are asked for at the same instants
        if key not in self._seen:
            if len(self._seen) >= KEPT:
                self._seen.clear()
            begins = np.arange(len(self.code)) * (len(self.moments) + 1)
            self._seen[key] = np.searchsorted(self._keys, begins + told[:, None])
        return self._seen[key]

    @cached_property
    def _seen(self) -> dict[bytes, np.ndarray]:
        return {}

    @cached_property
    def _steps(self) -> dict[float, np.ndarray]:
        return {}

    def steps(self, life: float) -> np.ndarray:
        """What is left of a weight at the next text of its group, (N,); 1 at the first one, before which is nothing."""
        if life not in self._steps:
            passed = np.diff(self.known, prepend=self.known[:1])
            passed[self.edges[:-1][np.diff(self.edges) > 0]] = 0
            self._steps[life] = np.exp2(-passed / life)
        return self._steps[life]


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
    whole_of : (Texts, int), optional
        What this is a part of, and the place there of its first text.
    """

    series: str
    knowledge_time: pd.DatetimeIndex
    symbol: np.ndarray
    text: np.ndarray
    value: np.ndarray
    whole_of: tuple[Texts, int] | None = None

    def __len__(self) -> int:
        return len(self.value)

    def each(self, function: Each) -> np.ndarray:
        """``function`` of the texts, read-only: computed once for all columns that ask for it.

        ``function`` takes the sequence of texts and returns one row for each, which depends on this text alone.
        """
        if function not in self._each:
            values = np.asarray(self._computed(function)).view()
            values.flags.writeable = False
            self._each[function] = values
        return self._each[function]

    def _computed(self, function: Each) -> np.ndarray:
        """The values of a part from those of the whole, unless that is so much longer that it would not pay."""
        if self.whole_of is None or 2 * len(self) < len(self.whole_of[0]):
            return function(self.text.tolist())
        whole, start = self.whole_of
        return whole.each(function)[start : start + len(self)]

    def between(self, after: pd.Timestamp, until: pd.Timestamp) -> Texts:
        """The texts that became known after ``after``, up to and at ``until``; the same object for the same texts."""
        start, stop = (int(self.knowledge_time.searchsorted(time, side="right")) for time in (after, until))
        if (start, stop) not in self._parts:
            some = slice(start, max(start, stop))
            cut = (self.knowledge_time[some], self.symbol[some], self.text[some], self.value[some])
            whole = (self, start)
            self._parts[start, stop] = self if len(cut[0]) == len(self) else Texts(self.series, *cut, whole)
        return self._parts[start, stop]

    @cached_property
    def _each(self) -> dict[Each, np.ndarray]:
        return {}

    @cached_property
    def _parts(self) -> dict[tuple[int, int], Texts]:
        return {}

    @cached_property
    def groups(self) -> Groups:
        """The texts about each symbol, for sums by symbol."""
        code = self.symbol.astype(np.int32)
        rows = np.argsort(code, kind="stable")
        rows = rows[np.searchsorted(code[rows], 0) :]  # without those about the market
        codes, first = np.unique(code[rows], return_index=True)
        moments = utc(self.knowledge_time).asi8
        return Groups(codes, rows, np.append(first, len(rows)), moments[rows], moments)

    @cached_property
    def whole(self) -> Groups:
        """All texts as one group, for sums over the market."""
        return _everything(self.knowledge_time)


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
    return decayed_sums(decisions, _everything(known), values, half_life, n_codes=1)[:, 0]


def window_sum(
    decisions: pd.DatetimeIndex, known: pd.DatetimeIndex, values: np.ndarray, window: pd.Timedelta
) -> np.ndarray:
    """At each decision t, the sum of the values that became known after ``t - window`` and at or before t, (T,).

    NaN counts as nothing. Sums of whole numbers are exact, and a huge value leaves no trace once it is out of the
    window.
    """
    return window_sums(decisions, _everything(known), values, window, n_codes=1)[:, 0]


def decayed_sums(
    decisions: pd.DatetimeIndex, groups: Groups, values: np.ndarray, half_life: pd.Timedelta, *, n_codes: int
) -> np.ndarray:
    """`decayed_sum` of each group, (T, n_codes): zeros for a code without a group."""
    at, life, weighty = utc(decisions).asi8, float(half_life.value), np.nan_to_num(values)[groups.rows]
    accumulate = compiled(_decay) if len(values) >= _MANY else _decay
    levels = np.zeros(len(weighty) + 1)
    accumulate(groups.steps(life), weighty, groups.edges, levels)
    seen = groups.seen(at)
    age = at[:, None] - np.append(0, groups.known)[seen]
    sums = np.zeros((len(at), n_codes))
    heard = (seen > groups.edges[:-1]) & (age <= FORGOTTEN_HALF_LIVES * life)
    sums[:, groups.code] = np.where(heard, levels[seen] * np.exp2(-age / life), 0.0)
    return sums


def window_sums(
    decisions: pd.DatetimeIndex, groups: Groups, values: np.ndarray, window: pd.Timedelta, *, n_codes: int
) -> np.ndarray:
    """`window_sum` of each group, (T, n_codes): zeros for a code without a group."""
    at = utc(decisions).asi8
    last, first = groups.seen(at), groups.seen(at - window.value)
    sums = np.zeros((len(at), n_codes))
    if (values == 1).all():  # most sums are counts
        sums[:, groups.code] = last - first
        return sums
    weighty = np.nan_to_num(values)[groups.rows]
    if _exact(weighty):
        total = np.concatenate([[0.0], np.cumsum(weighty)])
        sums[:, groups.code] = total[last] - total[first]
    else:  # group by group, so that one span begins near where the one before it ended
        sums[:, groups.code] = _spans(weighty, first.T.ravel(), last.T.ravel()).reshape(last.T.shape).T
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


def _everything(known: pd.DatetimeIndex) -> Groups:
    moments = utc(known).asi8
    return Groups(np.zeros(1, np.intp), np.arange(len(known)), np.array([0, len(known)]), moments, moments)


def _decay(steps, values, edges, levels):  # type: ignore[no-untyped-def]
    """Add each value to what the step to it leaves of the level before, in each group anew; compiled bits are equal."""
    for group in range(len(edges) - 1):
        level = 0.0
        for i in range(edges[group], edges[group + 1]):
            level = level * steps[i] + values[i]
            levels[i + 1] = level
