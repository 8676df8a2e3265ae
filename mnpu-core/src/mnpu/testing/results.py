"""A small made-up result, complete or bare, for the laws of metrics, report sections and renderers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mnpu.types import Figure, Forecast, Line, Positions, Result, Section, Table

__all__ = ["bare_result", "sample_sections", "synthetic_result"]

_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def synthetic_result(rng: np.random.Generator, *, bars: int = 320, symbols: int = 3) -> Result:
    """A result with forecasts, labels, positions and one comparison; its numbers mean nothing.

    Parameters
    ----------
    rng : Generator
    bars, symbols : int
        T and A.
    """
    times, fills = _times(bars)
    names = tuple(f"S{place}" for place in range(symbols))
    labels = rng.normal(scale=0.02, size=(bars, symbols, 1))
    spread = np.sort(rng.normal(scale=0.02, size=(bars, symbols, 1, len(_LEVELS))), axis=-1)
    weights = rng.uniform(-1, 1, size=(bars, symbols)) / symbols
    returns = (weights * rng.normal(scale=0.01, size=(bars, symbols))).sum(axis=1)
    forecast = Forecast(times, names, (1,), _LEVELS, spread)
    result = _result("strategy", times, fills, names, weights, returns, forecast=forecast, labels=labels)
    other = _result("equal_weight", times, fills, names, np.full((bars, symbols), 1 / symbols), returns[::-1])
    return Result(**{**vars(result), "comparisons": (other,)})


def bare_result() -> Result:
    """A result of two decisions that earned nothing, without forecasts: many numbers of it are undefined."""
    times, fills = _times(2)
    return _result("idle", times, fills, ("S0",), np.zeros((2, 1)), np.zeros(2))


def sample_sections() -> tuple[Section, ...]:
    """Sections with a paragraph, a table and a figure, and text that markup could swallow."""
    table = Table(("metric", "value"), (("Sharpe <ratio>", "0.51"), ("cost & turnover", "12 %")), highlight=0)
    figure = Figure("Equity", (Line("strategy", np.arange(3), np.array([1.0, np.nan, 1.1])),), y_label="equity")
    return (Section("Headline", ("The first paragraph.", table)), Section("Course", (figure,)))


def _times(bars: int) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex]:
    clock = pd.bdate_range("2001-01-01 21:00", periods=bars + 1, tz="UTC").as_unit("ns")
    return clock[:-1], clock[1:]


def _result(
    name: str,
    times: pd.DatetimeIndex,
    fills: pd.DatetimeIndex,
    symbols: tuple[str, ...],
    weights: np.ndarray,
    returns: np.ndarray,
    **parts: object,
) -> Result:
    cost = np.abs(np.diff(weights, axis=0, prepend=0)).sum(axis=1) * 1e-4
    net = (1 - cost) * (1 + returns) - 1
    positions = Positions(times, symbols, weights, np.ones(len(times), dtype=bool))
    return Result(
        name=name,
        times=times,
        fill_times=fills,
        gross=returns,
        net=net,
        equity=np.concatenate([[1.0], np.cumprod(1 + net)]),
        turnover_oneway=cost / 2e-4,
        costs={"commission": cost},
        proposed=positions,
        positions=positions,
        periods_per_year=252.0,
        **parts,  # type: ignore[arg-type]
    )
