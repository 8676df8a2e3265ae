"""What the universe itself earned, and the strategy's excess over it.

A benchmark counts only symbols that traded: a suspended one is missing, not 0 %, and its whole gap counts in the bar in
which it trades again, as it does for a holder. What a delisted share became counts. Benchmarks pay no cost, which
favours them a little. Cap weight needs capitalisations, which prices do not hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from mnpu.analysis.replay import Replay
from mnpu.data.actions import bar_returns
from mnpu.errors import DataError
from mnpu.metrics.dependence import newey_west_lags, newey_west_t

__all__ = [
    "FEWEST",
    "WINDOW",
    "Excess",
    "beta_matched",
    "betas",
    "cap_weight",
    "caps_from_shares",
    "equal_weight",
    "excess",
    "excess_table",
    "universe_returns",
]

WINDOW, FEWEST = 252, 60  #: Bars that a beta is estimated from, and the fewest that must be known.


class Excess(NamedTuple):
    """A strategy beside a benchmark; means and deviations per year, ``t`` with Newey-West errors.

    ``excess_total`` is the difference of the two compound returns. ``reason`` says why there are no numbers.
    """

    benchmark: str
    benchmark_total: float | None
    excess_total: float | None
    excess_mean_ann: float | None
    tracking_error: float | None
    information_ratio: float | None
    t: float | None
    decisions: int
    reason: str = ""


def equal_weight(replay: Replay) -> np.ndarray:
    """Mean return of the symbols that traded, (T,); NaN where none did."""
    return _mean(replay.known, np.isfinite(replay.known))


def cap_weight(replay: Replay, caps: np.ndarray) -> np.ndarray:
    """Mean return of the symbols that traded, weighted with their capitalisation at the decision, (T,).

    Parameters
    ----------
    replay : Replay
    caps : float64 ndarray (T, A)
        Known at each decision. A symbol without one is not in the benchmark.
    """
    if caps.shape != replay.known.shape:
        raise DataError(
            f"the capitalisations have the shape {caps.shape}", where="cap weight", expected=f"{replay.known.shape}"
        )
    if (caps < 0).any():
        raise DataError("a capitalisation is negative", where="cap weight", expected="0 or more, NaN where unknown")
    usable = np.isfinite(replay.known) & np.isfinite(caps)
    return _mean(replay.known, np.where(usable, caps, 0.0))


def universe_returns(replay: Replay) -> tuple[np.ndarray, np.ndarray]:
    """Returns of each bar of the whole panel up to its close, (P, A), and their mean over the universe, (P,)."""
    panel = replay.panel
    moved = bar_returns(panel)
    there = moved if panel.member is None else np.where(panel.member, moved, np.nan)
    return moved, _mean(there, np.isfinite(there))


def betas(replay: Replay, *, window: int = WINDOW, fewest: int = FEWEST) -> np.ndarray:
    """Beta of each symbol to the equal-weighted universe at each decision, (T, A), from the bars up to it alone.

    1 where fewer than ``fewest`` bars of the window are known.
    """
    moved, market = universe_returns(replay)
    known = np.isfinite(moved) & np.isfinite(market)[:, None]
    x = pd.DataFrame(np.where(known, market[:, None], np.nan))
    y = pd.DataFrame(np.where(known, moved, np.nan))
    mean = lambda frame: frame.rolling(window, min_periods=fewest).mean().to_numpy()  # noqa: E731
    spread = mean(x * x) - mean(x) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (mean(x * y) - mean(x) * mean(y)) / spread
    return replay.at_decisions(np.where(np.isfinite(found) & (spread > 1e-16), found, 1.0))


def beta_matched(replay: Replay, market: np.ndarray, *, window: int = WINDOW) -> np.ndarray:
    """The market's return times the beta of the book at each decision, (T,): as much market as the book held.

    The book's beta is ``sum_i w_i beta_i`` of the weights after the fill and the betas known at the decision.
    """
    return (replay.held * betas(replay, window=window)).sum(axis=1) * market


def excess(replay: Replay, name: str, benchmark: np.ndarray) -> Excess:
    """The net return of the strategy beside a benchmark (T,), over the bars in which the latter is known."""
    known = np.isfinite(benchmark)
    if known.sum() < 3:
        return _nothing(name, "fewer than three returns of the benchmark")
    ours, theirs = replay.net[known], benchmark[known]
    apart, q = ours - theirs, replay.periods_per_year
    spread = float(np.std(apart, ddof=1)) if len(apart) > 2 else 0.0
    varies = spread > 1e-15
    total = float(np.prod(1.0 + theirs) - 1.0)
    return Excess(
        benchmark=name,
        benchmark_total=total,
        excess_total=float(np.prod(1.0 + ours) - 1.0) - total,
        excess_mean_ann=float(apart.mean() * q),
        tracking_error=spread * float(np.sqrt(q)),
        information_ratio=float(apart.mean() / spread * np.sqrt(q)) if varies else None,
        t=newey_west_t(apart, lags=newey_west_lags(len(apart))) if varies else None,
        decisions=len(apart),
        reason="" if varies else "the excess does not vary",
    )


def _nothing(name: str, reason: str) -> Excess:
    return Excess(name, None, None, None, None, None, None, 0, reason)


def excess_table(replay: Replay, *, caps: np.ndarray | None = None) -> list[Excess]:
    """Excess over cash, the equal-weighted and the cap-weighted universe, and as much market as the book held."""
    market = equal_weight(replay)
    if caps is None:
        by_size = _nothing("cap_weight", "no capitalisations were given")
    else:
        by_size = excess(replay, "cap_weight", cap_weight(replay, caps))
    return [
        excess(replay, "cash", np.zeros(len(replay.net))),
        excess(replay, "equal_weight", market),
        by_size,
        excess(replay, "beta_matched", beta_matched(replay, market)),
    ]


def caps_from_shares(replay: Replay, shares: Mapping[str, float]) -> np.ndarray:
    """Capitalisations (T, A) at the decisions from shares outstanding, in the adjusted shares of the panel.

    One number for all of time is not what was known then: issues and buybacks since are in it.
    """
    counts = np.array([shares.get(symbol, np.nan) for symbol in replay.symbols])
    return replay.at_decisions(replay.panel["close"]) * counts


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean over the symbols; a value that is not known has to have the weight 0."""
    total = weights.sum(axis=1).astype(float)
    summed = (np.nan_to_num(values) * weights).sum(axis=1)
    return np.divide(summed, total, out=np.full(len(total), np.nan), where=total > 0)
