"""Probability of backtest overfitting: how often the best of many in one half of the bars is below median in the other.

Combinatorially symmetric cross-validation. The bars are cut into an even number of blocks; every choice of half of them
is once what the strategies are chosen on, the rest what the choice is judged on. Source: Bailey, Borwein, Lopez de
Prado and Zhu (2017), "The probability of backtest overfitting".
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, islice
from math import comb

import numpy as np

from mnpu.errors import MnpuError
from mnpu.metrics.many import FLAT

__all__ = ["Overfitting", "pbo", "pbo_over_paths"]

BLOCKS = 16
CELLS = 2**17  #: Sharpe ratios at a time.
_OF_HALVES = ("logits", "in_sample", "out_of_sample", "chosen")
MOST = 24  #: Blocks: 2.7 million ways to choose half of them.


@dataclass(frozen=True)
class Overfitting:
    """What became of the best strategy of every half of the bars, C halves.

    Attributes
    ----------
    pbo : float
        Share of halves whose best strategy was no better than the median of all in the other half.
    logits : float64 ndarray (C,)
        Log odds of its relative rank there; above 0 it was better than the median.
    in_sample, out_of_sample : float64 ndarray (C,)
        Its Sharpe ratio per bar, in the half that it was chosen on and in the other.
    chosen : int64 ndarray (C,)
        Which strategy it was.
    slope : float
        Of the line through ``out_of_sample`` over ``in_sample``: the degradation of performance; NaN where all
        in-sample ratios are one number.
    probability_of_loss : float
        Share of halves whose best strategy lost in the other half.
    blocks : int
    """

    pbo: float
    logits: np.ndarray
    in_sample: np.ndarray
    out_of_sample: np.ndarray
    chosen: np.ndarray
    slope: float
    probability_of_loss: float
    blocks: int


def pbo(returns: np.ndarray, *, blocks: int = BLOCKS) -> Overfitting:
    """Probability of backtest overfitting of choosing, by Sharpe ratio, among N strategies.

    Parameters
    ----------
    returns : float64 ndarray (N, T)
        Returns per bar of all strategies that were tried, on the same bars.
    blocks : int, default=16
        Even. The blocks are as equal as the number of bars allows; no bar is left out.

    Notes
    -----
    The Sharpe ratio of a strategy that does not vary in a half counts as 0. Strategies that tie share their ranks; of
    those that tie for the best in sample the first is chosen. Among worthless strategies the expectation is one half,
    and single cases scatter widely around it.

    Raises
    ------
    MnpuError
        Fewer than two strategies, fewer than two bars a block, an odd number of blocks or more than 24, or a return
        that is not finite.
    """
    returns = np.asarray(returns, dtype=np.float64)
    _check(returns, blocks)
    n = len(returns)
    sums, squares, count, mean = _by_block(returns, blocks)
    totals = sums.sum(axis=0), squares.sum(axis=0), count.sum()
    half = comb(blocks, blocks // 2) // 2  # the later half of the choices are what the earlier leave
    choices = combinations(range(blocks), blocks // 2)
    found = np.empty((4, 2 * half))  # logit, in sample, out of sample, chosen
    step = max(1, CELLS // n)
    for first in range(0, half, step):
        rows = np.array(list(islice(choices, min(step, half - first))))
        picked = np.zeros((len(rows), blocks))
        np.put_along_axis(picked, rows, 1.0, axis=1)
        part = picked @ sums, picked @ squares, (picked @ count)[:, None]
        one = _sharpe(part[0], part[1], part[2], mean)
        other = _sharpe(totals[0] - part[0], totals[1] - part[1], totals[2] - part[2], mean)
        at = np.arange(first, first + len(rows))
        found[:, at], found[:, 2 * half - 1 - at] = _judged(one, other), _judged(other, one)
    logits, inside, outside, chosen = found
    return Overfitting(
        pbo=float(np.mean(logits <= 0.0)),
        logits=logits,
        in_sample=inside,
        out_of_sample=outside,
        chosen=chosen.astype(np.int64),
        slope=_slope(inside, outside),
        probability_of_loss=float(np.mean(outside < 0.0)),
        blocks=blocks,
    )


def pbo_over_paths(returns: np.ndarray, *, blocks: int = BLOCKS) -> Overfitting:
    """Probability of backtest overfitting of strategies that have several whole histories each.

    Every path is judged as `pbo` judges one; choices of all paths count alike. ``slope`` is that of all of them.

    Parameters
    ----------
    returns : float64 ndarray (P, N, T)
        Returns per bar of N strategies on each of P paths of a combinatorial split.
    blocks : int, default=16
        Even.

    Raises
    ------
    MnpuError
        As `pbo`.
    """
    found = [pbo(path, blocks=blocks) for path in returns]
    joined = {name: np.concatenate([getattr(f, name) for f in found]) for name in _OF_HALVES}
    return Overfitting(
        pbo=float(np.mean(joined["logits"] <= 0.0)),
        slope=_slope(joined["in_sample"], joined["out_of_sample"]),
        probability_of_loss=float(np.mean(joined["out_of_sample"] < 0.0)),
        blocks=blocks,
        **joined,
    )


def _check(returns: np.ndarray, blocks: int) -> None:
    if blocks < 2 or blocks % 2 or blocks > MOST:
        raise MnpuError(f"the number of blocks is {blocks}", expected=f"an even number from 2 to {MOST}")
    if returns.ndim != 2 or len(returns) < 2 or returns.shape[1] < 2 * blocks:
        wanted = f"two strategies or more over {2 * blocks} bars or more"
        raise MnpuError(f"the returns have the shape {returns.shape}", expected=wanted)
    if not np.isfinite(returns).all():
        bad = int(np.flatnonzero(~np.isfinite(returns).all(axis=1))[0])
        raise MnpuError(f"strategy {bad} has a return that is not finite", expected="strategies on the same bars")


def _by_block(returns: np.ndarray, blocks: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sums and sums of squares of returns about their means (S, N), bars (S,), and those means (N,)."""
    mean = returns.mean(axis=1)
    edges = np.linspace(0, returns.shape[1], blocks + 1).round().astype(int)
    centred = returns - mean[:, None]  # so that the variance is no small difference of large numbers
    sums = np.add.reduceat(centred, edges[:-1], axis=1).T
    squares = np.add.reduceat(centred * centred, edges[:-1], axis=1).T
    return np.ascontiguousarray(sums), np.ascontiguousarray(squares), np.diff(edges).astype(float), mean


def _sharpe(sums: np.ndarray, squares: np.ndarray, count: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Sharpe ratio per bar (C, N) from sums about ``mean`` over ``count`` bars (C, 1)."""
    variance = (squares - sums * sums / count) / (count - 1.0)
    deviation = np.sqrt(np.maximum(variance, 0.0))
    return np.divide(mean + sums / count, deviation, out=np.zeros_like(deviation), where=deviation > FLAT)


def _judged(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Logit, in-sample and out-of-sample ratio of the best of each row, and its number: (4, C)."""
    n = inside.shape[1]
    rows, best = np.arange(len(inside)), np.argmax(inside, axis=1)
    value = outside[rows, best]
    below = (outside < value[:, None]).sum(axis=1)
    tied = (outside == value[:, None]).sum(axis=1)  # itself among them
    rank = below + (tied + 1) / 2.0
    return np.stack([np.log(rank / (n + 1 - rank)), inside[rows, best], value, best])


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    centred = x - x.mean()
    spread = centred @ centred
    return float(centred @ y / spread) if spread > FLAT**2 else float("nan")
