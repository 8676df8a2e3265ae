"""The first page: what was earned, at what risk, on which universe, and whether it could be luck."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import erfc, sqrt

import numpy as np

from mnpu.report.format import NOT_AVAILABLE, label_of, metric_cell, number, percent, period
from mnpu.types import Metric, Result, Section, Table

__all__ = ["comparison", "comparison_table", "headline", "luck", "missing_reasons", "summary_table"]

_TILES = (
    "total_return_net",
    "cagr",
    "sharpe",
    "max_drawdown",
    "turnover_oneway_ann",
    "cost_bps",
    "rank_ic",
    "coverage_0.90",
)
_COMPARED = (
    "total_return_net",
    "cagr",
    "ann_vol",
    "sharpe",
    "sortino",
    "max_drawdown",
    "cvar_0.05",
    "turnover_oneway_ann",
    "breakeven_bps",
    "rank_ic",
    "coverage_0.90",
)
_SUMMARY = ("total_return_net", "sharpe", "max_drawdown", "turnover_oneway_ann", "rank_ic", "coverage_0.90")
_NO_STATEMENT = (
    "The datasets of this run say nothing about survivorship. Read the universe as chosen with hindsight: "
    "securities that failed may be missing, which flatters any long position."
)
_ONE_SYMBOL = (
    "The dataset says nothing about how its symbol was chosen. Read it as chosen with hindsight: a result on one "
    "market says little about another."
)


def headline(result: Result) -> Section:
    """The handful of numbers a reader wants first, with what flatters them right beside."""
    shown = [result.metrics[name] for name in _TILES if name in result.metrics]
    tiles = tuple((label_of(metric.name), metric_cell(metric)) for metric in shown)
    failed = [gate.name for gate in result.gates if not gate.passed]
    blocks: list[str | Table] = [
        f"**{result.name}** on {_universe(result)}, out of sample from {period(result.times)}: "
        f"{len(result.times):,} decisions, net of costs."
    ]
    if failed:
        blocks.append(
            f"> **This run failed.** The honesty gate {', '.join(f'`{name}`' for name in failed)} did not pass, so the "
            "numbers below say nothing about the forecasts."
        )
    if result.run is not None and result.run.unlocked:
        times = "the first time" if result.run.looks == 1 else f"for look number {result.run.looks}"
        blocks.append(
            f"> **The locked range was unlocked**, {times}. Only the first look is out of sample; choosing after one "
            "makes every later one a part of the search."
        )
    blocks.append(Table(columns=("Measure", "Value"), rows=tiles, kind="tiles"))
    blocks.append("> **Survivorship and hindsight.** " + " ".join(_hindsight(result)))
    blocks.extend(missing_reasons(shown))
    return Section("Headline", tuple(blocks))


def luck(result: Result) -> Section:
    """Whether the Sharpe ratio can be told from zero and from the comparisons, in plain words."""
    blocks: list[str | Table] = [_against_zero(result)]
    rows = tuple(
        (other.name, *_paired(result, other)) for other in result.comparisons if len(other.net) == len(result.net)
    )
    if rows:
        blocks.append(
            "The same decisions, bar by bar, against each alternative. A t-statistic between −2 and 2 means that "
            "the difference could be chance."
        )
        blocks.append(Table(("Against", "Active return a year", "t-statistic", "In words"), rows))
    return Section("Could this be luck?", tuple(blocks))


def comparison_table(result: Result) -> Table:
    """Headline metrics, one row for the strategy and one for each comparison; columns without any value are left out.

    Returns
    -------
    table : Table
        First column ``Strategy``; the first row is the strategy itself, highlighted.
    """
    return _table(result, _COMPARED)


def summary_table(result: Result) -> Table:
    """The comparison table in its narrowest form, for a terminal."""
    return _table(result, _SUMMARY)


def comparison(result: Result) -> Section:
    """The comparison table, then every metric of every strategy."""
    strategies = (result, *result.comparisons)
    names = dict.fromkeys(name for strategy in strategies for name in strategy.metrics)
    rows = tuple(
        (label_of(name), *(metric_cell(strategy.metrics.get(name)) for strategy in strategies)) for name in names
    )
    blocks: list[str | Table] = [
        f"Every row decides at the same instants, trades the same symbols and pays the same costs.{_rules(result)}",
        comparison_table(result),
    ]
    blocks.extend(missing_reasons([m for strategy in strategies for m in strategy.metrics.values()]))
    if rows:
        blocks.append("**Every metric.**")
        blocks.append(Table(("Metric", *(strategy.name for strategy in strategies)), rows))
    return Section("Beside the alternatives", tuple(blocks))


def _rules(result: Result) -> str:
    rules = [f"`{other.name}`" for other in result.comparisons if other.forecast is None]
    if not rules:
        return ""
    them = f"{' and '.join(rules)} {'is a yardstick' if len(rules) == 1 else 'are yardsticks'}"
    return f" {them}: {'a rule' if len(rules) == 1 else 'rules'} without a forecast, which no guardrail limits."


def missing_reasons(metrics: list[Metric]) -> list[str]:
    """What is said of metrics: why some are not available, and why others are to be taken with care; else empty."""
    absent: dict[str, dict[str, None]] = {}
    doubtful: dict[str, dict[str, None]] = {}
    for metric in metrics:
        if metric.value is None:
            absent.setdefault(metric.reason or "undefined here", {})[label_of(metric.name)] = None
        elif metric.reason:
            doubtful.setdefault(metric.reason, {})[label_of(metric.name)] = None
    told = lambda by: "; ".join(f"{', '.join(named)}: {why}" for why, named in by.items())  # noqa: E731
    said = []
    if absent:
        said.append(f"{NOT_AVAILABLE} means not available. {told(absent)}.")
    if doubtful:
        said.append(f"With care: {told(doubtful)}.")
    return said


def _table(result: Result, names: Sequence[str]) -> Table:
    strategies = (result, *result.comparisons)
    kept = [name for name in names if any(name in strategy.metrics for strategy in strategies)]
    rows = tuple((s.name, *(metric_cell(s.metrics.get(name)) for name in kept)) for s in strategies)
    return Table(("Strategy", *(label_of(name) for name in kept)), rows, highlight=0)


def _universe(result: Result) -> str:
    symbols = result.positions.symbols
    return symbols[0] if len(symbols) == 1 else f"{len(symbols)} symbols"


def _hindsight(result: Result) -> list[str]:
    declared = [*result.notes, *(info.note for info in (result.panel.datasets if result.panel else ()))]
    sentences = [part for note in declared for part in re.split(r"(?<=[.!?])\s+", note.strip())]
    chosen = [part for part in sentences if re.search("surviv|hindsight", part, re.IGNORECASE)]
    silent = _ONE_SYMBOL if len(result.positions.symbols) == 1 else _NO_STATEMENT
    flattering = [part for part in sentences if re.search("flatter", part, re.IGNORECASE)]
    said = dict.fromkeys(part.rstrip(".") for part in [*(chosen or [silent]), *flattering])
    return [f"{part[:1].upper()}{part[1:]}." for part in said]


def _against_zero(result: Result) -> str:
    metric = result.metrics.get("sharpe")
    if metric is None or metric.value is None or not metric.se:
        reason = metric.reason if metric is not None and metric.reason else "it has no standard error"
        return f"The Sharpe ratio cannot be judged: {reason}."
    z = metric.value / metric.se
    trials = max(1, result.run.trials if result.run else 1)
    chance = min(1.0, trials * erfc(abs(z) / sqrt(2)))
    verdict = (
        "**It cannot be told from luck.**"
        if chance > 0.05
        else "**It is better than luck explains.**"
        if z > 0
        else "**It loses more than luck explains.**"
    )
    as_good = "a worthless strategy" if trials == 1 else "the best of that many worthless strategies"
    tried = "one recipe was tried" if trials == 1 else f"{trials} recipes were tried"
    return (
        f"{verdict} The net Sharpe ratio is {number(metric.value)} with a standard error of {number(metric.se)}: "
        f"{number(abs(z), 1)} standard errors from zero. So far {tried} in this folder; {as_good} would look this far "
        f"from zero with a probability of at most {percent(chance)}."
    )


def _paired(result: Result, other: Result) -> tuple[str, str, str]:
    active = np.asarray(result.net) - np.asarray(other.net)
    spread = float(active.std(ddof=1)) if len(active) > 1 else 0.0
    if spread == 0:
        return percent(0.0, 2), NOT_AVAILABLE, "the same returns"
    mean = float(active.mean())
    t = mean / spread * sqrt(len(active))
    words = "no clear difference" if abs(t) < 2 else "better" if t > 0 else "worse"
    return percent(mean * result.periods_per_year, 2, signed=True), number(t, 2, signed=True), words
