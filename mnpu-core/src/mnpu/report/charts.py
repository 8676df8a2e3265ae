"""Equity and drawdown of the strategy and its comparisons."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mnpu.metrics.returns import drawdown
from mnpu.types import Figure, Line, Result, Section

__all__ = ["charts", "equity_stamps"]

_LOG_FROM = 3.0  # a curve that spans more than this factor is unreadable on a linear axis


def charts(result: Result) -> Section:
    """The equity curves, then the drawdowns, on the instants at which decisions were filled."""
    strategies = (result, *result.comparisons)
    bars = result.folds.times if result.folds is not None else None
    curves = tuple(Line(s.name, equity_stamps(s, bars), np.asarray(s.equity)) for s in strategies)
    depths = tuple(Line(s.name, equity_stamps(s, bars), 100 * drawdown(s.equity)) for s in strategies)
    span = np.concatenate([line.y[line.y > 0] for line in curves])
    use_log = bool(span.size and span.max() / span.min() > _LOG_FROM and all((line.y > 0).all() for line in curves))
    scale = "net of costs, start = 1, logarithmic" if use_log else "net of costs, start = 1"
    return Section(
        "Equity and drawdown",
        (
            Figure(f"Equity ({scale})", curves, kind="line", y_label="net asset value", log_y=use_log),
            Figure("Drawdown from the highest value so far", depths, kind="area", y_label="%"),
        ),
    )


def equity_stamps(result: Result, bars: pd.DatetimeIndex | None = None) -> pd.DatetimeIndex:
    """When each value of ``equity`` (T + 1,) stood: at the fills, and at the bar after the last one.

    Where ``bars`` ends, or is not given, that bar is one usual step after the last fill.
    """
    decided = pd.DatetimeIndex(result.times).as_unit("ns")
    filled = pd.DatetimeIndex(result.fill_times).as_unit("ns")
    at = filled.where(~filled.isna(), decided)
    later = bars[bars > at[-1]][:1].as_unit("ns") if bars is not None and len(at) else at[:0]
    step = int(np.median(np.diff(at.asi8))) if len(at) > 1 else 0
    return at.append(later if len(later) else at[-1:] + pd.Timedelta(step, unit="ns"))
