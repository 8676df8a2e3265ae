"""Averages without an end to their window, brought on from bar to bar; and work in blocks of rows.

What is recursive is carried in a feature's state (`View.state`), a few numbers for each symbol. It begins with the
symbol's own first bar, is left as it is by a missing bar, whose value is NaN, and goes on with the next one: the
values are those of the series without its missing bars. ``values`` are the new rows, (N, A).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mnpu.data.compiled import compiled
from mnpu.features import recursive_loops
from mnpu.features.api import View
from mnpu.features.trailing import flat

__all__ = [
    "adaptive",
    "by_blocks",
    "carried",
    "carried_after",
    "ema",
    "history",
    "late_ema",
    "latest",
    "mean_deviation",
    "money",
    "movements",
    "parabolic",
    "running_total",
    "smoothed",
    "swings",
    "wilder",
]

#: Cells of a block: its arrays stay in a processor's cache from one step of a computation to the next.
CELLS = 24_576

Rows = Callable[..., np.ndarray]


def by_blocks(view: View, reach: int, compute: Rows, *fields: str, relative: bool = False) -> np.ndarray:
    """``compute(*arrays)`` of the fields, (T, A), in blocks of rows that look ``reach`` rows back.

    Each block's value must depend on ``reach`` earlier rows at most; only the rows that are wanted are computed. What
    is infinite was divided by zero, and becomes NaN; what is ``relative`` to the close also where that is negative.
    """
    return carried_after(view, reach, lambda _n, *arrays: compute(*arrays), *fields, relative=relative)


def carried(view: View, compute: Rows, *fields: str, relative: bool = False) -> np.ndarray:
    """``compute(*arrays)`` of the fields, (T, A), in blocks of new rows, for what brings on a state."""
    return carried_after(view, 0, lambda _n, *arrays: compute(*arrays), *fields, relative=relative)


def carried_after(view: View, reach: int, compute: Rows, *fields: str, relative: bool = False) -> np.ndarray:
    """``compute(n, *arrays)`` of the fields, whose last n rows are new and whose others, ``reach`` at most, were seen.

    It returns the new rows; what it returns before them is left out. (T, A).
    """
    (n_rows, n_symbols), first = view.shape, view.first
    out = np.empty((n_rows, n_symbols))
    out[:first] = np.nan
    arrays = [view[name] for name in fields]
    if first and first == n_rows - 1:  # a step of an agent
        begin = max(first - reach, 0)
        block = compute(1, *[array[begin:] for array in arrays])
        out[first] = _settled(block[-1:], view["close"][first:] if relative else None)[0]
        return out
    step = max(CELLS // max(n_symbols, 1), 4 * reach, 16)
    for start in range(first, n_rows, step):
        stop, begin = min(start + step, n_rows), max(start - reach, 0)
        block = compute(stop - start, *[array[begin:stop] for array in arrays])
        close = view["close"][start:stop] if relative else None
        out[start:stop] = _settled(block[len(block) - (stop - start) :], close)
    return out


def _settled(block: np.ndarray, close: np.ndarray | None) -> np.ndarray:
    """The rows without what is infinite, and without shares of a ``close`` that is not positive, where one is given."""
    if block.size == 1:  # a step of one symbol: what takes arrays long is quick for a number
        infinite, no_share = math.isinf(block.item()), close is not None and close.item() <= 0
    else:
        infinite, no_share = bool(np.isinf(block).any()), close is not None and bool((close <= 0).any())
    block = np.where(np.isinf(block), np.nan, block) if infinite else block
    return np.where(close <= 0, np.nan, block) if close is not None and no_share else block


def smoothed(
    values: np.ndarray,
    state: np.ndarray,
    *,
    seed: int,
    scale: float,
    wait: int,
    take: float,
    drop: float,
    skip: int = 0,
) -> np.ndarray:
    """Sum ``seed`` values, times ``scale``; then ``s + (take * value - drop * s)``; NaN before value ``wait``.

    The first ``skip`` values are left out, but counted. ``state`` has 2 rows.
    """
    out = np.empty(values.shape)
    numbers = (float(skip), float(seed), float(scale), float(wait), float(take), float(drop))
    compiled(recursive_loops.smooth)(flat(values), *numbers, state, out)
    return out


def ema(values: np.ndarray, window: int, state: np.ndarray) -> np.ndarray:
    """Exponential average with gain ``2 / (window + 1)``, from the mean of the first ``window`` values on.

    ``state`` has 2 rows.
    """
    gain = 2.0 / (window + 1)
    return smoothed(values, state, seed=window, scale=1.0 / window, wait=window, take=gain, drop=gain)


def late_ema(values: np.ndarray, window: int, wait: int, state: np.ndarray) -> np.ndarray:
    """The same from the mean of the ``window`` values up to value ``wait`` on, those before left out."""
    gain = 2.0 / (window + 1)
    skip = wait - window
    return smoothed(values, state, seed=window, scale=1.0 / window, wait=wait, take=gain, drop=gain, skip=skip)


def wilder(values: np.ndarray, window: int, state: np.ndarray) -> np.ndarray:
    """Exponential average with gain ``1 / window``, from the mean of the first ``window`` values on.

    ``state`` has 2 rows.
    """
    gain = 1.0 / window
    return smoothed(values, state, seed=window, scale=gain, wait=window, take=gain, drop=gain)


def running_total(values: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Sum of all values so far; ``state`` has 2 rows."""
    return smoothed(values, state, seed=1, scale=1.0, wait=1, take=1.0, drop=0.0)


def latest(values: np.ndarray, state: np.ndarray) -> np.ndarray:
    """The value of the last bar before each that had one; ``state`` has 1 row."""
    out = np.empty(values.shape)
    compiled(recursive_loops.latest)(flat(values), state, out)
    return out


def swings(values: np.ndarray, window: int, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wilder's averages of rises and of falls from bar to bar; ``state`` has 5 rows."""
    change = values - latest(values, state[:1])
    up = wilder(np.maximum(change, 0.0), window, state[1:3])
    return up, wilder(np.maximum(-change, 0.0), window, state[3:5])


def movements(high: np.ndarray, low: np.ndarray, close: np.ndarray, *, state: np.ndarray) -> np.ndarray:
    """True range, movement up and movement down since the last complete bar, (3, N, A); ``state`` has 3 rows."""
    out = np.empty((3, *high.shape))
    compiled(recursive_loops.directional)(flat(high), flat(low), flat(close), state, out)
    return out


def parabolic(high: np.ndarray, low: np.ndarray, step: float, most: float, state: np.ndarray) -> np.ndarray:
    """Wilder's parabolic stop and reverse, in units of price; ``state`` has 7 rows."""
    out = np.empty(high.shape)
    compiled(recursive_loops.parabolic)(flat(high), flat(low), float(step), float(most), state, out)
    return out


def adaptive(values: np.ndarray, gain: np.ndarray, before: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Average with a gain of its own at each bar; it begins at the value ``before`` its first bar. One state row."""
    out = np.empty(values.shape)
    compiled(recursive_loops.adaptive)(flat(values), flat(gain), flat(before), state, out)
    return out


def mean_deviation(values: np.ndarray, mean: np.ndarray, window: int) -> np.ndarray:
    """Mean absolute distance of the last ``window`` bars from the present row's ``mean``."""
    out = np.empty(values.shape)
    compiled(recursive_loops.mean_deviation)(flat(values), flat(mean), window, out)
    return out


def money(high: np.ndarray, low: np.ndarray, close: np.ndarray, volume: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Typical price times volume of the bars on which the typical price rose, and of those on which it moved.

    Zero of other bars, NaN of the first row and around a missing bar. What rounding makes of the same sum in another
    order is no move.
    """
    out = np.empty((2, *high.shape))
    compiled(recursive_loops.money)(flat(high), flat(low), flat(close), flat(volume), 1e-14, out)
    return out[0], out[1]


def history(values: np.ndarray, state: np.ndarray) -> np.ndarray:
    """The rows kept in ``state`` and the new ones, in order; ``state`` then keeps the last of them."""
    rows = np.concatenate([state, values])
    state[...] = rows[len(rows) - len(state) :]
    return rows
