"""Which decision lends its values to which: an exchange that respects time.

The decisions of a test range are cut into blocks at least as long as a window and an outcome together, so that nothing
that a block's decisions see or foretell is that of another one but its neighbour. Every block takes its values from
another block, in order, and every symbol from another symbol, the same one through the whole block. So a value is
still one that was known at some decision of the same test range, whole windows stay whole, they move as slowly as they
did, and what a column said about *this* decision and *this* symbol is gone. Training rows are neither read nor written.
"""

from __future__ import annotations

import numpy as np

from mnpu.errors import ConfigError

__all__ = ["LEAST_BLOCKS", "exchange"]

LEAST_BLOCKS = 4  #: With fewer there are hardly two different ways to exchange them.


def exchange(
    time: np.ndarray, symbol: np.ndarray, *, block: int, rng: np.random.Generator, where: str = ""
) -> np.ndarray:
    """Position of the window that lends its values to each, (N,).

    Parameters
    ----------
    time, symbol : int64 ndarray (N,)
        Of the windows, in time order, then symbol order.
    block : int
        Decisions in a block, at least.
    rng : Generator
    where : str
        Which fold, for the error.

    Raises
    ------
    ConfigError
        There are fewer than four blocks.
    """
    rows, start, count = np.unique(time, return_index=True, return_counts=True)
    n_blocks = len(rows) // block
    if n_blocks < LEAST_BLOCKS:
        raise ConfigError(
            f"{len(rows)} decisions make {n_blocks} blocks of {block}",
            where=where,
            expected=f"at least {LEAST_BLOCKS}: too few to exchange values between them",
            next_step="Test longer, or shorten model.lookback or the target's horizon.",
        )
    n_symbols = int(symbol.max()) + 1
    place = np.full((len(rows), n_symbols), -1, dtype=np.int64)
    row = np.repeat(np.arange(len(rows)), count)
    place[row, symbol] = np.arange(len(time))
    edges = np.linspace(0, len(rows), n_blocks + 1).round().astype(np.int64)
    lender = _one_cycle(n_blocks, rng)
    donor_row, donor_symbol = np.empty(len(rows), dtype=np.int64), np.empty((len(rows), n_symbols), dtype=np.int64)
    for k in range(n_blocks):
        own = np.arange(edges[k], edges[k + 1])
        first, stop = edges[lender[k]], edges[lender[k] + 1]
        donor_row[own] = np.minimum(first + own - edges[k], stop - 1)
        donor_symbol[own] = _one_cycle(n_symbols, rng)
    found = place[donor_row[row], donor_symbol[row, symbol]]
    # where that symbol has no window at that decision, one that has, at random; drawn for all, so that one symbol
    # more or less changes nothing else
    chosen = start[donor_row[row]] + (rng.random(len(time)) * count[donor_row[row]]).astype(np.int64)
    return np.where(found >= 0, found, chosen)


def _one_cycle(n: int, rng: np.random.Generator) -> np.ndarray:
    """A random order in which nothing stays in its place: one cycle through all, where there is more than one."""
    order = rng.permutation(n)
    cycle = np.empty(n, dtype=np.int64)
    cycle[order] = np.roll(order, -1)
    return cycle
