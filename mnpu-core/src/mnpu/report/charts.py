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
    curves = tuple(Line(s.name, equity_stamps(s), np.asarray(s.equity)) for s in strategies)
    depths = tuple(Line(s.name, equity_stamps(s), 100 * drawdown(s.equity)) for s in strategies)
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


def equity_stamps(result: Result) -> pd.DatetimeIndex:
    """When each value of ``equity`` (T + 1,) stood: at the fills, and one usual bar after the last one."""
    decided = pd.DatetimeIndex(result.times).as_unit("ns")
    filled = pd.DatetimeIndex(result.fill_times).as_unit("ns")
    at = filled.where(~filled.isna(), decided)
    step = int(np.median(np.diff(at.asi8))) if len(at) > 1 else 0
    return at.append(at[-1:] + pd.Timedelta(step, unit="ns"))
