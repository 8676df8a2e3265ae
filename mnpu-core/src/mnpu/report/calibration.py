"""Whether a forecast means what it says: coverage, where outcomes fell, scores, and the reliability of classes.

Where the recipe calibrates, what the head itself said stands beside it, so that a reader sees what calibration changed.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from mnpu.analysis.regimes import volatility_regimes
from mnpu.data.actions import bar_returns
from mnpu.metrics import classes, distribution
from mnpu.metrics import forecast as metrics
from mnpu.metrics.regimes import reliability_by_regime
from mnpu.report.format import NOT_AVAILABLE, count, label_of, metric_cell, percent
from mnpu.types import Block, Figure, Forecast, Line, Metric, Result, Section, Table

__all__ = ["calibration", "coverage"]

_PIT_BINS = 10
_OF_REGIMES = ("coverage_0.90", "interval_score_0.90", "pit_ks", "crps", "brier", "ece")


def calibration(result: Result) -> Section:
    """Every look at how honest the forecasts of a result are."""
    if result.forecast is None or result.labels is None:
        return Section("Calibration", (f"`{result.name}` makes no forecast, so there is nothing to calibrate.",))
    said, labels = _versions(result.forecast), result.labels
    blocks: list[Block] = [
        "A forecast is a distribution. An honest one puts 90% of the outcomes inside its 90% interval: above the "
        "diagonal it is too wide, below it is too sure of itself. Outcomes of nearby days and of symbols that move "
        "together are not independent, so the number of forecasts overstates the evidence."
    ]
    if len(said) > 1:
        blocks.append(
            "The recipe calibrates, with outcomes that were known before each decision. **Before** is what the head "
            "itself said; it decided nothing."
        )
    blocks.extend([*_coverage(said, labels), *_by_regime(result)])
    for look in (_scores, _transforms, _classes):
        blocks.extend(look(said, labels))
    return Section("Calibration", tuple(blocks))


def _by_regime(result: Result) -> tuple[Block, ...]:
    """Whether the forecast keeps its word in quiet and in rough markets; nothing where too few bars came before."""
    if result.panel is None or result.forecast is None or result.labels is None:
        return ()
    moves = bar_returns(result.panel)
    there = np.isfinite(moves)
    market = np.where(there, moves, 0.0).sum(axis=1) / np.where(there.any(axis=1), there.sum(axis=1), np.nan)
    found = reliability_by_regime(result.forecast, result.labels, volatility_regimes(market))
    rows = tuple(
        (name, count(found[name].decisions), *(metric_cell(found[name].metrics.get(each)) for each in _OF_REGIMES))
        for name in ("low", "middle", "high")
        if name in found and found[name].cells
    )
    if not rows:
        return ()
    said = (
        "In quiet and in rough markets: the volatility of all symbols together over 21 bars, against its own terciles "
        "over all evaluated bars up to the decision, of which there must be 252. A forecast that is right on average "
        "may be too narrow in a storm."
    )
    return said, Table(("Volatility", "Decisions", *map(label_of, _OF_REGIMES)), rows)


def coverage(forecast: Forecast, labels: np.ndarray, horizon: int = 0) -> list[tuple[float, float, int]]:
    """Nominal and observed coverage of each central interval of one horizon.

    Parameters
    ----------
    forecast : Forecast
    labels : ndarray (T, A, H)
        What was forecast; NaN is left out.
    horizon : int, default=0
        Index of the horizon.

    Returns
    -------
    rows : list of (nominal, observed, n)
        From the narrowest interval to the widest. ``observed`` is NaN if n = 0.
    """
    alone = replace(
        forecast, horizons=(forecast.horizons[horizon],), quantiles=forecast.quantiles[:, :, [horizon]], evidence=None
    )
    outcome = labels[:, :, [horizon]]
    n = int((alone.available & np.isfinite(outcome[:, :, 0])).sum())
    nominal = [forecast.levels[-1 - low] - level for low, level in enumerate(forecast.levels) if level < 0.5]
    observed = [metric.value for metric in metrics.coverage(alone, outcome).values()]
    rows = [(share, float("nan") if seen is None else seen, n) for share, seen in zip(nominal, observed, strict=True)]
    return rows[::-1]


def _versions(forecast: Forecast) -> dict[str, Forecast]:
    """The forecast, and under another name what it was before calibration, if it was calibrated."""
    before = forecast.uncalibrated
    return {"": forecast} if before is None else {"": forecast, "before": before}


def _coverage(said: dict[str, Forecast], labels: np.ndarray) -> tuple[Block, ...]:
    """Observed against nominal coverage of every interval and horizon."""
    forecast, lines, rows = said[""], [], []
    for i, horizon in enumerate(forecast.horizons):
        bars = f"{horizon} bar" if horizon == 1 else f"{horizon} bars"
        of_each = {name: coverage(version, labels, i) for name, version in said.items()}
        for name, measured in of_each.items():
            x = np.array([0.0, *(nominal for nominal, _, _ in measured), 1.0])
            y = np.array([0.0, *(observed for _, observed, _ in measured), 1.0])
            lines.append(Line(f"{bars}, {name}" if name else bars, 100 * x, 100 * y))
        for k, (nominal, observed, n) in enumerate(of_each[""]):
            before = (percent(of_each["before"][k][1]),) if "before" in of_each else ()
            gap = percent(observed - nominal, 1, signed=True)
            rows.append((bars, percent(nominal, 0), percent(observed), gap, *before, count(n)))
    columns = ("Horizon", "Interval", "Observed", "Difference", *(["Before"] if len(said) > 1 else []), "Forecasts")
    figure = Figure("Observed against nominal coverage", tuple(lines), "calibration", "observed, %", "nominal, %")
    return figure, Table(columns, tuple(rows))


def _scores(said: dict[str, Forecast], labels: np.ndarray) -> tuple[Block, ...]:
    """The scores of the forecast, beside those before calibration; without one they stand among the metrics."""
    if len(said) == 1:
        return ()
    of_each = {name: _measured(version, labels) for name, version in said.items()}
    rows = tuple(
        (label_of(name), metric_cell(metric), metric_cell(of_each["before"][name]))
        for name, metric in of_each[""].items()
        if metric.value is not None
    )
    return "Scores; smaller is better in every row.", Table(("Score", "Calibrated", "Before"), rows)


def _measured(forecast: Forecast, labels: np.ndarray) -> dict[str, Metric]:
    found = [
        metrics.pinball(forecast, labels),
        distribution.crps(forecast, labels),
        *distribution.interval_score(forecast, labels).values(),
        distribution.pit_ks(forecast, labels),
        *classes.class_metrics(forecast, labels),
    ]
    return {metric.name: metric for metric in found}


def _transforms(said: dict[str, Forecast], labels: np.ndarray) -> tuple[Block, ...]:
    """Where outcomes fell in their forecasts, in ten bins that should hold equally many."""
    edges = np.arange(_PIT_BINS + 1) / _PIT_BINS
    names = [f"{100 * low:.0f}\N{EN DASH}{100 * high:.0f}%" for low, high in pairwise(edges)]
    lines = []
    for name, version in said.items():
        values = distribution.pit(version, labels)
        if not len(values):
            return ()
        shares = np.histogram(values, edges)[0] / len(values)
        lines.append(Line(name or "outcomes", names, 100 * shares))
    shape = "Share of outcomes by the probability that their forecast gave to less"
    cells = tuple((names[k], *(percent(line.y[k] / 100) for line in lines)) for k in range(_PIT_BINS))
    return (
        f"Each outcome has a place in its forecast (the probability integral transform, first horizon). In an honest "
        f"one every tenth holds {percent(1 / _PIT_BINS, 0)} of them: a heap in the middle is a forecast that is too "
        "wide, heaps at both ends one that is too narrow, a slope one that leans.",
        Figure(shape, tuple(lines), "bar", "share of outcomes, %"),
        Table(("Place", "Outcomes", *(["Before"] if len(lines) > 1 else [])), cells),
    )


def _classes(said: dict[str, Forecast], labels: np.ndarray) -> tuple[Block, ...]:
    """How often the class that was called likeliest came, by how likely it was called."""
    found = {name: classes.reliability(version, labels) for name, version in said.items()}
    now = found[""]
    if now is None:
        return ()
    lines = [
        Line(name or "likeliest class", 100 * version.said, 100 * version.came)
        for name, version in found.items()
        if version is not None
    ]
    rows = tuple(
        (percent(now.said[k]), percent(now.came[k]), f"{percent(now.low[k])} to {percent(now.high[k])}", count(n))
        for k, n in enumerate(now.count)
    )
    measured = classes.class_metrics(said[""], labels)[-1]
    error = NOT_AVAILABLE if measured.value is None else metric_cell(measured)
    return (
        "The head also says how likely down, flat and up are. In each row of the table are about equally many "
        "forecasts, by the probability of the class that was called likeliest. The calibration error, the mean "
        f"distance of **came** from **said**, is {error}; probabilities that were right would stay below "
        f"{percent(now.ece_if_calibrated)} in 95 of 100 samples of as many independent outcomes.",
        Figure("Reliability of the likeliest class", tuple(lines), "calibration", "came, %", "said, %"),
        Table(("Said", "Came", "If right, 95% of samples", "Forecasts"), rows),
    )
