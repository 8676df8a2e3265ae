"""Allocation against selection by group, beside a benchmark: Brinson and Fachler (1985), linked after Carino (1999).

In each bar, for group s with weights ``wp``, ``wb`` and returns ``rp``, ``rb`` of book and benchmark::

    allocation   (wp - wb)(rb - R_b)
    selection    wb (rp - rb)
    interaction  (wp - wb)(rp - rb)

All of them together are the book's gross return less the benchmark's, exactly. What is not invested is a group of its
own, ``(cash)``, with the return 0, so books that are short, levered or half in cash are covered too. The return of a
group that nets to nothing, or to a short, has no meaning as a return on weight; its whole difference from the
benchmark's return counts as interaction.

Source: G. Brinson and N. Fachler, Measuring non-US equity portfolio performance, Journal of Portfolio Management, 1985.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mnpu.analysis.attribution import contributions, group_of
from mnpu.analysis.linking import factors_of_excess
from mnpu.analysis.replay import Replay
from mnpu.errors import DataError

__all__ = ["CASH", "Brinson", "brinson_fachler"]

CASH = "(cash)"
FLAT = 1e-9  #: A smaller weight of a group is none.


class Brinson(NamedTuple):
    """One group: mean weights, and its linked effects, which sum over the groups to the excess return."""

    group: str
    weight: float
    benchmark_weight: float
    allocation: float
    selection: float
    interaction: float


def brinson_fachler(replay: Replay, groups: Mapping[str, str], benchmark: np.ndarray | None = None) -> list[Brinson]:
    """Effects of each group beside a benchmark.

    Parameters
    ----------
    replay : Replay
    groups : mapping of symbol to group
    benchmark : float64 ndarray (T, A), optional
        Weights of the benchmark, at least 0; where a symbol did not trade it is left out, and the rest scaled up.
        Default: all symbols that traded, equally. A bar in which the benchmark holds nothing counts it as in cash.

    Returns
    -------
    effects : list of Brinson
        By group in the order of the names, then cash.

    Raises
    ------
    DataError
        Weights of another shape, negative ones, or an account that was lost, whose excess cannot be linked.
    """
    of = group_of(replay.symbols, groups)
    names = sorted(set(of))
    one = np.array([[name == own for name in names] for own in of], dtype=float)  # (A, G)
    weights = _benchmark(replay, benchmark)
    theirs = weights * np.nan_to_num(replay.known)
    ours = contributions(replay) @ one
    effects = _effects(_with_cash(replay.held @ one), _with_cash(weights @ one), ours, theirs @ one)
    scale = factors_of_excess(ours.sum(axis=1), theirs.sum(axis=1))
    if not np.isfinite(scale).all():
        raise DataError("the account was lost", where="brinson", expected="a book that can be set beside a benchmark")
    over_all = [scale @ effect for effect in effects]
    mean = _with_cash(replay.held @ one).mean(axis=0), _with_cash(weights @ one).mean(axis=0)
    return [
        Brinson(name, *(float(values[k]) for values in (*mean, *over_all))) for k, name in enumerate([*names, CASH])
    ]


def _benchmark(replay: Replay, given: np.ndarray | None) -> np.ndarray:
    there = np.isfinite(replay.known)
    if given is None:
        wanted = there.astype(float)
    else:
        if given.shape != there.shape or not np.isfinite(given).all() or (given < 0).any():
            raise DataError("the benchmark's weights cannot be used", where="brinson", expected=f"{there.shape}, >= 0")
        wanted = np.where(there, given, 0.0)
    total = wanted.sum(axis=1, keepdims=True)
    return np.divide(wanted, total, out=np.zeros_like(wanted), where=total > 0)


def _with_cash(weights: np.ndarray) -> np.ndarray:
    return np.concatenate([weights, 1.0 - weights.sum(axis=1, keepdims=True)], axis=1)


def _effects(
    wp: np.ndarray, wb: np.ndarray, ours: np.ndarray, theirs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Allocation, selection and interaction of each bar and group, (T, G + 1) each."""
    nothing = np.zeros((len(ours), 1))
    ours, theirs = np.concatenate([ours, nothing], axis=1), np.concatenate([theirs, nothing], axis=1)
    total = theirs.sum(axis=1, keepdims=True)
    rb = np.where(wb > FLAT, theirs / np.where(wb > FLAT, wb, 1.0), total)  # who is not in the benchmark: its mean
    rb[:, -1] = 0.0  # cash
    meaningful = wp > FLAT
    rp = np.where(meaningful, ours / np.where(meaningful, wp, 1.0), rb)
    allocation = (wp - wb) * (rb - total)
    selection = wb * (rp - rb)
    return allocation, selection, ours - wp * rb - selection
