"""The first page: what was earned, at what risk, on which universe, and whether it could be luck."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mnpu.report.format import NOT_AVAILABLE, label_of, metric_cell, period
from mnpu.types import Metric, Result, Section, Table

__all__ = ["comparison", "comparison_table", "headline", "missing_reasons", "summary_table", "verdict"]

_TILES = (
    "total_return_net",
    "cagr",
    "sharpe",
    "dsr",
    "pbo",
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
    "dsr",
    "sortino",
    "max_drawdown",
    "cvar_0.05",
    "turnover_oneway_ann",
    "breakeven_bps",
    "rank_ic",
    "coverage_0.90",
)
_SUMMARY = ("total_return_net", "sharpe", "dsr", "max_drawdown", "turnover_oneway_ann", "rank_ic", "coverage_0.90")
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
    known = _measured(result, result)
    shown = [known[name] for name in _TILES if name in known]
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
    blocks.append(f"> **{verdict(result)}** {_gates(result)}")
    blocks.append(Table(columns=("Measure", "Value"), rows=tiles, kind="tiles"))
    blocks.append("> **Survivorship and hindsight.** " + " ".join(_hindsight(result)))
    blocks.extend(missing_reasons(shown))
    return Section("Headline", tuple(blocks))


def _gates(result: Result) -> str:
    if not result.gates:
        return "No honesty gate was run."
    return f"{sum(gate.passed for gate in result.gates)} of {len(result.gates)} honesty gates passed."


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
    measured = [_measured(result, strategy) for strategy in strategies]
    names = dict.fromkeys(name for metrics in measured for name in metrics if name != "pbo")  # is of the choosing
    rows = tuple((label_of(name), *(metric_cell(metrics.get(name)) for metrics in measured)) for name in names)
    blocks: list[str | Table] = [
        f"Every row decides at the same instants, trades the same symbols and pays the same costs.{_rules(result)}",
        comparison_table(result),
        f"{verdict(result)}{_alternatives(result)}",
    ]
    blocks.extend(missing_reasons([m for strategy in strategies for m in strategy.metrics.values()]))
    if rows:
        blocks.append("**Every metric.**")
        blocks.append(Table(("Metric", *(strategy.name for strategy in strategies)), rows))
    return Section("Beside the alternatives", tuple(blocks))


def _alternatives(result: Result) -> str:
    models = [each.name for each in (result, *result.comparisons) if each.forecast is not None]
    if result.judgement is None or len(models) < 2:
        return ""
    return f" Alternatives have to beat the best of all {len(models)} models by luck: who picks one has seen them all."


def _rules(result: Result) -> str:
    rules = [f"`{other.name}`" for other in result.comparisons if other.forecast is None]
    if not rules:
        return ""
    them = f"{' and '.join(rules)} {'is a yardstick' if len(rules) == 1 else 'are yardsticks'}"
    return f" {them}: {'a rule' if len(rules) == 1 else 'rules'} without a forecast, which no guardrail limits."


def verdict(result: Result) -> str:
    """Whether the Sharpe ratio of a result can be told from luck, in one sentence."""
    if result.judgement is None:
        return f"{result.name}: not distinguishable from luck (nobody asked the ledger how many were tried)."
    return f"{result.name}: {result.judgement.told}."


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
    strategies = {strategy.name: _measured(result, strategy) for strategy in (result, *result.comparisons)}
    kept = [name for name in names if any(name in metrics for metrics in strategies.values())]
    rows = tuple((s, *(metric_cell(metrics.get(name)) for name in kept)) for s, metrics in strategies.items())
    return Table(("Strategy", *(label_of(name) for name in kept)), rows, highlight=0)


def _measured(result: Result, strategy: Result) -> dict[str, Metric]:
    """The metrics of a strategy of a result, with what judging the result says of it."""
    judgement = result.judgement
    if judgement is None:
        return dict(strategy.metrics)
    beside: dict[str, Metric] = {}
    if strategy is result:
        beside = {"dsr": judgement.dsr, "pbo": judgement.pbo}
    elif strategy.name in judgement.dsr_of:
        beside = {"dsr": judgement.dsr_of[strategy.name]}
    found: dict[str, Metric] = {}
    for name, metric in strategy.metrics.items():
        found |= {name: metric, **(beside if name == "sharpe" else {})}
    return {**found, **beside}


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
