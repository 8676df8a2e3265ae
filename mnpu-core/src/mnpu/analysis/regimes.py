"""What the strategy earned in each kind of market.

The kind of market at a decision is defined by bars up to it alone, its thresholds too, so that it could be known live.
That a regime was good or bad says what *was*: there are few stretches of each, and looking at many tables finds some.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from mnpu.analysis.benchmarks import universe_returns
from mnpu.analysis.replay import Replay
from mnpu.metrics.returns import sharpe

__all__ = ["RegimeRow", "regime_table", "regimes", "trailing_terciles", "volatility_regimes"]

BARS, HISTORY, TREND, DEEP = 21, 252, 200, -0.10
FEWEST = 20  #: Decisions in a regime; of fewer no Sharpe ratio is told.
ALL = "all"


class RegimeRow(NamedTuple):
    """Net returns in one regime; ``share`` of all decisions, ``stretches`` it came in, Sharpe ratio with its error.

    None for fewer than 20. ``t_other``: its difference from that of the other decisions, over the error of that.
    """

    kind: str
    regime: str
    decisions: int
    share: float
    stretches: int
    mean_ann: float
    vol_ann: float
    sharpe: float | None
    se: float | None
    t_other: float | None
    universe_ann: float | None


def regimes(replay: Replay) -> dict[str, np.ndarray]:
    """The regime of each decision, by kind: arrays of text (T,), empty where too little was known.

    ``volatility``: the universe's deviation of 21 bars, against its own terciles over all bars before it, at least 252.
    ``trend``: the universe's index above or below its mean of 200 bars. ``drawdown``: more than a tenth below its
    highest value so far, or not. ``year``: of the decision. The universe is equal-weighted.
    """
    _, market = universe_returns(replay)
    filled = np.nan_to_num(market)
    index = np.cumprod(1.0 + filled)
    mean = pd.Series(index).rolling(TREND, min_periods=TREND).mean().to_numpy()
    trend = np.where(np.isfinite(mean), np.where(index >= np.nan_to_num(mean), "up", "down"), "")
    depth = index / np.maximum.accumulate(index) - 1.0
    named = {
        "volatility": volatility_regimes(market),
        "trend": trend,
        "drawdown": np.where(depth < DEEP, "deep", "shallow"),
        "year": replay.panel.times.year.astype(str).to_numpy(),
    }
    return {kind: replay.at_decisions(np.asarray(of, dtype=object)) for kind, of in named.items()}


def volatility_regimes(market: np.ndarray) -> np.ndarray:
    """``low``, ``middle`` or ``high`` volatility of a market at each bar, (P,), by bars up to it.

    Parameters
    ----------
    market : float64 ndarray (P,)
        Simple returns; NaN where unknown. The deviation is that of 21 bars, its terciles those of all bars before.
    """
    series = pd.Series(np.where(np.isfinite(market), market, np.nan))
    return trailing_terciles(series.rolling(BARS, min_periods=BARS * 3 // 4).std().to_numpy())


def trailing_terciles(values: np.ndarray, *, history: int = HISTORY) -> np.ndarray:
    """``low``, ``middle`` or ``high``, (P,): each value among the terciles of all values before it.

    Parameters
    ----------
    values : float64 ndarray (P,)
        NaN where unknown.
    history : int, default=252
        Known values that are needed before; with fewer the regime is the empty text.
    """
    past = pd.Series(values).shift(1).expanding(min_periods=history)
    low, high = past.quantile(1 / 3).to_numpy(), past.quantile(2 / 3).to_numpy()
    known = np.isfinite(values) & np.isfinite(low)
    with np.errstate(invalid="ignore"):
        return np.where(known, np.where(values <= low, "low", np.where(values <= high, "middle", "high")), "")


def regime_table(replay: Replay, of: Mapping[str, np.ndarray] | None = None) -> list[RegimeRow]:
    """Net return, volatility and Sharpe ratio in each regime.

    Parameters
    ----------
    replay : Replay
    of : mapping of kind to array (T,), optional
        Regimes of the decisions; the empty text is none. Default: `regimes`.
    """
    rows = [_row(replay, ALL, ALL, np.ones(len(replay.net), dtype=bool))]
    for kind, names in (regimes(replay) if of is None else of).items():
        given = {str(name) for name in names if str(name)}
        order = [name for name in ("low", "middle", "high", "up", "down", "shallow", "deep") if name in given]
        rows += [
            _row(replay, kind, name, np.array([str(own) == name for own in names], dtype=bool))
            for name in (*order, *sorted(given - set(order)))
        ]
    return rows


def _row(replay: Replay, kind: str, name: str, rows: np.ndarray) -> RegimeRow:
    q, own = replay.periods_per_year, replay.net[rows]
    market = replay.known[rows]
    there = np.isfinite(market)
    universe = (np.nan_to_num(market).sum(axis=1) / np.maximum(there.sum(axis=1), 1))[there.any(axis=1)]
    ratio, others = (sharpe(part if len(part) >= FEWEST else part[:0], q) for part in (own, replay.net[~rows]))
    apart = None
    if None not in (ratio.value, ratio.se, others.value, others.se):
        error = np.hypot(float(ratio.se or 0), float(others.se or 0))
        apart = float((float(ratio.value or 0) - float(others.value or 0)) / error) if error > 0 else None
    return RegimeRow(
        kind=kind,
        regime=name,
        decisions=int(rows.sum()),
        share=float(rows.mean()),
        stretches=int((np.diff(np.concatenate([[0], rows.astype(int)])) == 1).sum()),
        mean_ann=float(own.mean() * q),
        vol_ann=float(own.std(ddof=1) * np.sqrt(q)) if len(own) > 1 else 0.0,
        sharpe=ratio.value,
        se=ratio.se,
        t_other=apart,
        universe_ann=float(universe.mean() * q) if len(universe) else None,
    )
