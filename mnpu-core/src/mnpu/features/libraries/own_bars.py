"""A library's function on each symbol's own bars, in blocks, so that a step gives the very values of the batch.

The libraries take a whole series and return one, and know no missing value: a NaN inside spoils all that follows, or
is taken for a number. So each symbol's complete bars are put one after the other, the library sees these alone, and
its values go back to their rows; where a bar is missing, so is the value.

Nor do they tell what they carry from bar to bar. Instead of it the newest bars are carried: a symbol's bars are cut
into blocks, and each block is computed by a run of the library that begins ``reach`` bars before it. That is far
enough for what the library remembers to be forgotten (see :mod:`mnpu.features.libraries.columns`), and the run is the
same whether its bars come all at once or one by one.

What adds up or multiplies all bars since the first one forgets nothing. Its runs begin one bar before their block,
and go on from the block before: that is a `Chain`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mnpu.features.api import View

__all__ = ["ADDED", "COMPOUNDED", "MULTIPLIED", "Chain", "Runs", "bars_held", "over_own_bars"]

#: Bars of a block, at least.
BLOCK = 256

#: The library's function of one symbol's fields, each (n,): its values, (n,).
Compute = Callable[..., np.ndarray]
#: ``chain(before, at, values)``: the values of a run that begins where the last block ended with ``before``, and gives
#: ``at`` there.
Chain = Callable[[float, float, np.ndarray], np.ndarray]


def ADDED(before: float, at: float, values: np.ndarray) -> np.ndarray:
    """A running sum; it may begin with a NaN."""
    return before + (values - np.nan_to_num(at))


def MULTIPLIED(before: float, at: float, values: np.ndarray) -> np.ndarray:
    """A running product."""
    return before * (values / at)


def COMPOUNDED(before: float, at: float, values: np.ndarray) -> np.ndarray:
    """A return since the first bar, in percent."""
    return (100 + before) * ((100 + values) / (100 + at)) - 100


@dataclass(frozen=True)
class Runs:
    """How one column is computed.

    ``warmup`` is the number of bars of its first value, that one included; ``reach`` how many bars before its block a
    run begins.
    """

    compute: Compute
    warmup: int
    reach: int
    chain: Chain | None = None

    @property
    def block(self) -> int:
        """Bars of a block: no fewer than a run begins before it."""
        return max(BLOCK, self.reach)


def bars_held(n_fields: int, reach: int) -> int:
    """Numbers that are carried for each symbol: its count of bars, the end of the last block, and the newest bars."""
    return 2 + n_fields * (reach + max(BLOCK, reach))


def over_own_bars(view: View, fields: Sequence[str], runs: Runs) -> np.ndarray:
    """The column on each symbol's complete bars, (T, A); brings on the view's state, ``bars_held`` rows of it."""
    new = np.stack([view[name][view.first :] for name in fields])  # (fields, N, A)
    complete: np.ndarray = np.isfinite(new).all(axis=0)
    out = np.full(view.shape, np.nan)
    for a in np.flatnonzero(complete.any(axis=0)):
        rows = np.flatnonzero(complete[:, a])
        values = _brought_on(view.state[:, a], new[:, rows, a], runs)
        out[view.first + rows, a] = np.where(np.isinf(values), np.nan, values)
    return out


def _brought_on(state: np.ndarray, new: np.ndarray, runs: Runs) -> np.ndarray:
    """The values of a symbol's new bars, (fields, n); ``state`` is brought on."""
    count = 0 if np.isnan(state[0]) else int(state[0])
    end, begun = count + new.shape[1], _first_held(count, runs)
    held = state[2:].reshape(len(new), -1)
    series = np.concatenate([held[:, : count - begun], new], axis=1)  # bars begun to end
    values = np.full(end - count, np.nan)
    for start in range(count - count % runs.block, end, runs.block):
        stop, run = min(start + runs.block, end), max(start - runs.reach, 0)
        found = _run(runs, series[:, run - begun : stop - begun])
        wanted = max(start, count)
        part = found[wanted - run :]
        if runs.chain is not None and start:
            part = runs.chain(state[1], found[start - 1 - run], part)
        values[wanted - count : stop - count] = part
        if stop == start + runs.block:
            state[1] = part[-1]
    _hold(state, series, begun, count, end, runs)
    values[: max(runs.warmup - 1 - count, 0)] = np.nan
    return values


def _run(runs: Runs, bars: np.ndarray) -> np.ndarray:
    """The library's values; it is not asked about fewer bars than it needs for one."""
    if bars.shape[1] < runs.warmup:
        return np.full(bars.shape[1], np.nan)
    return np.asarray(runs.compute(*bars), dtype=float)


def _first_held(count: int, runs: Runs) -> int:
    """The first bar that the next one's run begins with."""
    return max(count - count % runs.block - runs.reach, 0)


def _hold(state: np.ndarray, series: np.ndarray, begun: int, count: int, end: int, runs: Runs) -> None:
    """Keep the bars that later runs begin with; in most steps only the newest one is added to them."""
    first, width = _first_held(end, runs), (len(state) - 2) // len(series)
    known = count - begun if first == begun else 0  # as they are held already
    for number, bars in enumerate(series[:, first - begun :]):
        state[2 + number * width + known : 2 + number * width + len(bars)] = bars[known:]
    state[0] = end
