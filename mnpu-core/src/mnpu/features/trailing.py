"""Sums, moments and extremes over trailing windows, each value from the bars of its own window and no other.

No running total is carried through history, so a value does not depend on where the data begins: cutting the data
short, before or after, leaves every other value equal to the last bit. That costs little, because a window of w
bars is merged from blocks of 1, 2, 4, ... bars in about 2 log2(w) steps.

The merging is compiled (`trailing_loops`); the same in plain numpy stands below as its definition, which the tests
hold it to, and does the work where nothing can be compiled.

In every function here ``values`` is float64 (T, ...), the result has the same shape, and a NaN makes every window
that holds it NaN. The first ``window - 1`` rows, whose windows are not full, are NaN.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from functools import cache

import numpy as np

from mnpu.data.compiled import compiled
from mnpu.features import trailing_loops

__all__ = [
    "delayed",
    "flat",
    "trailing_argmax",
    "trailing_comoments",
    "trailing_four_moments",
    "trailing_max",
    "trailing_mean",
    "trailing_min",
    "trailing_moments",
    "trailing_std",
    "trailing_sum",
    "trailing_weighted",
]

State = tuple[np.ndarray, ...]
Merge = Callable[[State, int, State, int], State]

#: How many numbers the kinds of `trailing_loops.moments` have.
_WIDTHS = (2, 2, 2, 4, 5)


def delayed(values: np.ndarray, bars: int) -> np.ndarray:
    """The value ``bars`` bars ago: NaN in the first ``bars`` rows, ``bars >= 0``."""
    if bars < 0:
        raise ValueError(f"bars is {bars}, expected 0 or more: a feature may look back, never ahead")
    past = np.full(values.shape, np.nan)
    past[bars:] = values[: max(len(values) - bars, 0)]
    return past


def trailing_sum(values: np.ndarray, window: int) -> np.ndarray:
    """Sum of the last ``window`` bars, the present one included."""
    return _single(values, window, 0, lambda old, _n, new, _m: (old[0] + new[0],))


def trailing_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean of the last ``window`` bars, the present one included."""
    return trailing_sum(values, window) / window


def trailing_max(values: np.ndarray, window: int) -> np.ndarray:
    """Largest of the last ``window`` bars, the present one included."""
    return _single(values, window, 1, lambda old, _n, new, _m: (np.maximum(old[0], new[0]),))


def trailing_min(values: np.ndarray, window: int) -> np.ndarray:
    """Smallest of the last ``window`` bars, the present one included."""
    return _single(values, window, 2, lambda old, _n, new, _m: (np.minimum(old[0], new[0]),))


def trailing_moments(values: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean, and sum of squared deviations from it, of the last ``window`` bars.

    Blocks are merged by the pairwise update of Chan, Golub & LeVeque (1983): nothing cancels, and a constant window
    has deviations of exactly zero.
    """
    mean, squares = _several(values, values, window, 0, lambda: (values, _nothing(values)), _merge_moments)
    return mean, squares


def trailing_std(values: np.ndarray, window: int, *, ddof: int = 1) -> np.ndarray:
    """Standard deviation of the last ``window`` bars; ``window > ddof``."""
    return np.sqrt(trailing_moments(values, window)[1] / (window - ddof))


def trailing_weighted(values: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the last ``window`` bars, and their sum with weights 1 (the oldest), 2, ... ``window`` (the present)."""
    total, weighted = _several(values, values, window, 1, lambda: (values, values), _merge_weighted)
    return total, weighted


def trailing_argmax(values: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Largest of the last ``window`` bars, and how many bars ago it was, 0 for the present one; the latest of several.

    Of the negative values, it finds the smallest.
    """
    rows = np.arange(len(values), dtype=float).reshape(-1, *(1,) * (values.ndim - 1))
    largest, row = _several(values, values, window, 2, lambda: (values, rows + _nothing(values)), _merge_largest)
    return largest, rows - row + (largest - largest)  # NaN where there is no largest


def trailing_four_moments(values: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean, and the sums of the deviations from it to the powers 2, 3 and 4, of the last ``window`` bars.

    Merged pairwise, by Pébay (2008), equations 2.1 and 2.2.
    """

    def single() -> State:
        none = _nothing(values)
        return values, none, none, none

    mean, second, third, fourth = _several(values, values, window, 3, single, _merge_four)
    return mean, second, third, fourth


def trailing_comoments(
    one: np.ndarray, two: np.ndarray, window: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two means, the sums of squared deviations of each and of their products, over the last ``window`` bars.

    A bar on which either is missing makes all five NaN. Merged pairwise, as in :func:`trailing_moments`.
    """

    def single() -> State:
        none = _nothing(one) + _nothing(two)
        return one + none, two + none, none, none, none

    mean, mean2, square, square2, product = _several(one, two, window, 4, single, _merge_pairs)
    return mean, mean2, square, square2, product


def _nothing(values: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values), np.nan, 0.0)


def _single(values: np.ndarray, window: int, kind: int, merge: Merge) -> np.ndarray:
    """One number about each window."""
    if not _compiles() or window < 2:
        return _fold((values,), window, merge)[0]
    rows = flat(values)
    out = np.empty(rows.shape)
    compiled(trailing_loops.extremes_and_sums)(rows, window, *_steps(window), kind, 0, out)
    return out.reshape(values.shape)


def _several(
    one: np.ndarray, two: np.ndarray, window: int, kind: int, single: Callable[[], State], merge: Merge
) -> State:
    """Several numbers about each window of ``one``, or of pairs with ``two``; ``single`` makes those of one bar."""
    if not _compiles() or window < 2:
        return _fold(single(), window, merge)
    out = np.empty((_WIDTHS[kind], *flat(one).shape))
    compiled(trailing_loops.moments)(flat(one), flat(two), window, *_steps(window), kind, 0, out)
    return tuple(out.reshape(len(out), *one.shape))


@cache
def _compiles() -> bool:
    """Whether loops are machine code here; without a compiler they would be far slower than numpy."""
    return importlib.util.find_spec("numba") is not None and not int(os.environ.get("NUMBA_DISABLE_JIT") or 0)


def flat(values: np.ndarray) -> np.ndarray:
    """(T, A), contiguous and read-only, so that the loops are compiled for one kind of array."""
    rows = np.ascontiguousarray(values, dtype=np.float64)
    if rows.ndim != 2:
        rows = rows.reshape(len(rows), int(np.prod(rows.shape[1:])))
    if rows.flags.writeable:
        rows = rows.view()
        rows.flags.writeable = False
    return rows


@cache
def _steps(window: int) -> tuple[int, int, np.ndarray, np.ndarray, int]:
    """What `_fold` merges at a row, as `trailing_loops` takes it: ``n_work, n_build, places, steps, joined``."""
    levels = window.bit_length()
    sizes = [1 << j for j in range(levels)]
    steps = [(j, sizes[j], j, j + 1, sizes[j], sizes[j]) for j in range(levels - 1)]
    joined, length = -1, 0
    for j in range(levels):
        if window & sizes[j]:
            if joined < 0:
                joined = j
            else:
                to = levels + 1 if joined == levels else levels
                steps.append((j, length, joined, to, sizes[j], length))
                joined = to
            length += sizes[j]
    kept = [1 << max(lag for place, lag, *_ in [*steps, (j, 0)] if place == j).bit_length() for j in range(levels)]
    rows = [*kept, 1, 1]
    places = [(sum(rows[:j]), rows[j] - 1) for j in range(levels + 2)]
    tables = np.array(places, dtype=np.int64), np.array(steps, dtype=np.int64).reshape(-1, 6)
    for table in tables:
        table.flags.writeable = False
    return sum(kept) + 2, levels - 1, *tables, joined


def _merge_moments(old: State, n: int, new: State, m: int) -> State:
    (mean_old, squares_old), (mean_new, squares_new) = old, new
    gap = mean_new - mean_old
    mean = mean_old + gap * (m / (n + m))
    return mean, squares_old + squares_new + gap * gap * (n * m / (n + m))


def _merge_weighted(old: State, n: int, new: State, _m: int) -> State:
    return old[0] + new[0], old[1] + (new[1] + n * new[0])


def _merge_largest(old: State, _n: int, new: State, _m: int) -> State:
    older = (old[0] > new[0]) | np.isnan(old[0])
    return np.where(older, old[0], new[0]), np.where(older, old[1], new[1])


def _merge_four(old: State, n: int, new: State, m: int) -> State:
    (mean, s2, s3, s4), (mean_new, r2, r3, r4) = old, new
    total = n + m
    p, q, both = n / total, m / total, n * m / total
    gap = mean_new - mean
    g2 = gap * gap
    return (
        mean + gap * q,
        s2 + r2 + g2 * both,
        s3 + r3 + gap * g2 * (both * (p - q)) + 3.0 * gap * (p * r2 - q * s2),
        s4 + r4 + g2 * g2 * (both * (p * p - p * q + q * q)) + 6.0 * g2 * (p * p * r2 + q * q * s2)
        + 4.0 * gap * (p * r3 - q * s3),
    )  # fmt: skip


def _merge_pairs(old: State, n: int, new: State, m: int) -> State:
    q, both = m / (n + m), n * m / (n + m)
    gap, gap2 = new[0] - old[0], new[1] - old[1]
    return (
        old[0] + gap * q,
        old[1] + gap2 * q,
        old[2] + new[2] + gap * gap * both,
        old[3] + new[3] + gap2 * gap2 * both,
        old[4] + new[4] + gap * gap2 * both,
    )


def _fold(leaf: State, window: int, merge: Merge) -> State:
    """Merge ``window`` consecutive bars: blocks of 2^j bars ending at t, joined from the newest to the oldest."""
    if window < 1:
        raise ValueError(f"window is {window}, expected at least one bar")
    block, size = leaf, 1
    joined, length = None, 0
    while True:
        if window & size:
            joined = block if joined is None else merge(_delayed(block, length), size, joined, length)
            length += size
        if size * 2 > window:
            break
        block, size = merge(_delayed(block, size), size, block, size), size * 2
    assert joined is not None  # window >= 1 has at least one bit
    return joined if window > 1 else tuple(np.array(part, dtype=float) for part in joined)


def _delayed(state: State, bars: int) -> State:
    return tuple(delayed(part, bars) for part in state)
