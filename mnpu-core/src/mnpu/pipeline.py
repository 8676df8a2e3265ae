"""A pipeline, as short functions in the order in which data flows. Read this file first.

::

    store ─load─▶ Panel ─compute─▶ FeatureFrame ─split, fit, forecast─▶ Forecast ─decide─▶ Positions
                                                                                             │
    Report ◀─render─ Result ◀──────────────── simulate ─────────────── Positions ◀───limit───┘

Everything before ``decide`` is shared by all strategies of a run; everything after happens once for each of them,
on the same decisions. The honesty gates then ask whether the result depends on the forecasts at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mnpu import gates
from mnpu.accounts import account, account_notes, as_quoted, guarded, market
from mnpu.assembly import Forecaster, Parts, Strategy, refuse_few_symbols
from mnpu.config.locked import data_in_sight, locked_from
from mnpu.config.models import DataConfig
from mnpu.data.actions import bar_returns, delistings
from mnpu.data.cache import folder
from mnpu.data.currency import in_account_currency, with_rates
from mnpu.data.fills import Fills, fill_prices
from mnpu.data.split_by import split_by
from mnpu.data.store import Store
from mnpu.data.targets import fold_labels, outcomes
from mnpu.data.universe import belonging, membership
from mnpu.data.unseen import unseen_columns, unseen_notes
from mnpu.features.compute import compute as compute_features
from mnpu.features.compute import refuse_unknown, require_series
from mnpu.features.plan import PlannedFeature, series_needed
from mnpu.folds import fit_fold, say_alerts, training_record
from mnpu.guard_conflicts import refuse_blind, refuse_long
from mnpu.metrics.compute import compute as compute_metrics
from mnpu.metrics.paths import path_metrics
from mnpu.progress import Progress
from mnpu.simulation.simulate import simulate
from mnpu.types import (
    FeatureFrame,
    Fold,
    Forecast,
    GateOutcome,
    Labels,
    Metric,
    Panel,
    PathOutcome,
    PolicyContext,
    Positions,
    Result,
    SideTable,
    Split,
    join_history,
)
from mnpu.validation.findings import Context, log_findings, refuse_errors

__all__ = ["Prepared", "Study", "read", "run"]


@dataclass(frozen=True)
class Prepared:
    """What all strategies share. ``rows`` are the evaluated decisions: out of sample, filled, and held to a fill.

    ``labels`` are what forecasts are judged by; what a fold learns from is `labels_of`. ``unseen`` names, for a fold's
    number, the columns that are left out of it.
    """

    panel: Panel
    side: SideTable
    frame: FeatureFrame
    labels: Labels
    split: Split
    fills: Fills
    rows: tuple[int, int]
    unseen: Mapping[int, Sequence[str]] = field(default_factory=dict)
    learnt: Mapping[int, Labels] = field(default_factory=dict)

    @cached_property
    def priced(self) -> Panel:
        """The panel in the currency of the account."""
        return in_account_currency(self.panel)

    def labels_of(self, fold: Fold) -> Labels:
        """The labels of one fold: all the same, but for targets that learn from its training range."""
        return self.learnt.get(fold.number, self.labels)


@dataclass(frozen=True)
class Study:
    """A run's outcome: the judged result with its comparisons, and the fitted networks, one a fold."""

    result: Result
    fitted: Mapping[str, Sequence[Any]]
    prepared: Prepared


def run(parts: Parts, panel: Panel, side: SideTable, *, progress: Progress, kept: Path | None = None) -> Study:
    """Run the pipeline on loaded data: compute, split, fit, forecast, decide, limit, simulate, and pass the gates.

    Fits are written into the run's folder ``kept`` as they are made, and what is there is not made again.
    """
    validate(parts, panel, side, progress)
    prepared = prepare(parts, panel, side, progress)
    refuse_uncalibrated(parts, prepared)
    forecasts: dict[str, Forecast] = {}
    fitted: dict[str, list[Any]] = {}
    others: list[Forecast] = []  # of the judged model, on the other paths
    for forecaster in parts.forecasters:
        fitted[forecaster.name], (forecasts[forecaster.name], *more) = fit_and_forecast_paths(
            parts, prepared, forecaster, progress, kept=kept
        )
        others = others or more
    context = decisions(prepared, list(forecasts.values()))
    results = []
    with progress.stage(f"simulating {len(parts.strategies)} strategies on the same decisions"):
        for strategy in parts.strategies:
            results.append(evaluate(parts, prepared, strategy, forecasts, context))
        paths = along_paths(parts, prepared, results[0], others, context)
    with progress.stage("four honesty gates"):
        outcomes = judge(parts, prepared, forecasts[results[0].name].final, context)
    judged = replace(
        results[0],
        comparisons=tuple(results[1:]),
        gates=outcomes,
        panel=prepared.panel.rows(*prepared.rows),
        notes=(*notes(panel), *account_notes(parts, panel), *unseen_notes(prepared.unseen), *results[0].notes),
        series=tuple(prepared.side.info.values()),
        features=prepared.frame.specs,
        folds=prepared.split,
        training=training_record(fitted),
        paths=paths,
        metrics={**results[0].metrics, **path_metrics(paths)},
    )
    return Study(judged, fitted, prepared)


def load(parts: Parts, progress: Progress) -> tuple[Panel, SideTable]:
    """Prices and side series of the recipe, as known at each decision."""
    config = parts.config
    also = () if config.costs.funding is None else (config.costs.funding,)
    sight = data_in_sight(config.split, config.data)
    panel, side = read(
        sight, parts.store, parts.planned, progress, also=also, fill=config.fill, currency=config.currency
    )
    refuse_few_symbols(panel.symbols, parts.strategies)
    refuse_long(parts.chain.named, len(panel.times), config.data.start)
    parts.chain.check(panel.symbols, long_only=parts.strategies[0].policy.long_only)
    refuse_blind(parts.chain.named, panel.fields, config.data.dataset)
    return panel, side


def read(
    data: DataConfig,
    path: str,
    planned: Sequence[PlannedFeature],
    progress: Progress,
    *,
    also: Sequence[str] = (),
    fill: str = "next_close",
    currency: str | None = None,
) -> tuple[Panel, SideTable]:
    """Prices and the side series that the columns read, and ``also`` those, from the store at ``path``.

    With what ``fill`` asks for, and with the exchange rates of an account in ``currency``.
    """
    years = f"{data.start:%Y} to {data.end:%Y}"
    what = f"{len(data.symbols)} symbols" if data.symbols else f"universe {data.universe}"
    with progress.stage(f"loading {what}, {years}"):
        store = Store.open(path)
        members = store.universe(data.universe) if data.universe else None
        symbols = data.symbols if members is None else belonging(members, data.symbols, start=data.start, end=data.end)
        panel = store.panel(
            symbols,
            start=data.start,
            end=data.end,
            frequency=data.frequency,
            source_frequency=data.source_frequency,
            zero_volume=data.zero_volume,
            dataset=data.dataset,
            calendar=data.calendar,
            vwap=fill == "vwap",
        )
        if currency is not None:
            panel = with_rates(panel, store, currency, opens=fill == "next_open")
        if members is not None:
            panel = replace(panel, member=membership(panel.times, panel.symbols, members))
        needed = series_needed(planned)
        require_series(planned, store.series(), where=path)
        side = store.side([*needed, *(name for name in also if name not in needed)], end=panel.times[-1])
        if unknown := set(needed) - set(side.series.tolist()):
            refuse_unknown(planned, store.side(sorted(unknown)))
        return panel, side


def validate(parts: Parts, panel: Panel, side: SideTable, progress: Progress) -> None:
    """Run every validator on what it reads: error findings refuse the data, warnings are said, all are logged."""
    for use, validator in zip(parts.config.validators, parts.validators, strict=True):
        for name, table in (("prices", panel), ("side data", side)):
            if not isinstance(table, getattr(validator, "reads", (Panel, SideTable))):
                continue
            findings = validator.check(table, Context(name))
            log_findings(findings, table=name, validator=use.use)
            refuse_errors(findings, where=name)
            for finding in findings:
                what = f"{finding.count} x {finding.rule} (first: {finding.sample})"
                progress.say(f"warning: {name}: {what}. {finding.hint}")


def prepare(parts: Parts, panel: Panel, side: SideTable, progress: Progress) -> Prepared:
    """Features, labels and folds, and the decisions that will be judged."""
    config = parts.config
    with progress.stage(f"computing {len(parts.planned)} features", bar=True):
        frame = compute_features(parts.planned, panel, side, engine=parts.engine, progress=progress, cache=folder())
    labels = parts.target(panel, config.fill)
    split = split_by(config.split, panel.times, labels, locked=locked_from(config.split, config.data))
    fills = fill_prices(in_account_currency(panel), config.fill)
    stop = int(np.flatnonzero(fills.times.notna())[-1])  # the last fill has no later one to hold to
    rows = (split.tested[0], min(split.tested[1], stop))
    unseen = unseen_columns(frame, split) if config.model.unseen == "leave_out" else {}
    for note in unseen_notes(unseen):
        progress.say(f"warning: {note}")
    learnt = {}
    if hasattr(parts.target, "for_fold"):
        learnt = {fold.number: fold_labels(parts.target, labels, fold) for fold in split.folds}
    return Prepared(panel, side, frame, outcomes(labels, learnt, split), split, fills, rows, unseen, learnt)


def learnable(prepared: Prepared, fold: Fold) -> FeatureFrame:
    """The features of one fold: all of them, but for those that are left out of it."""
    left_out = prepared.unseen.get(fold.number, ())
    return prepared.frame.only([name for name in prepared.frame.names if name not in left_out])


def refuse_uncalibrated(parts: Parts, prepared: Prepared) -> None:
    """Refuse a calibration that has too few outcomes in some fold, before anything is fitted."""
    settings, folds = parts.config.model.calibration, prepared.split.folds
    if settings is None:
        return
    from mnpu import training  # torch lives only here

    own = [(fold, prepared.labels_of(fold)) for fold in folds]
    for forecaster in parts.forecasters:
        if forecaster.whole is not None:
            levels = forecaster.whole().levels
        else:
            levels = forecaster.head(d_in=8, n_horizons=len(prepared.labels.horizons)).levels
        training.refuse_uncalibrated(settings, own, levels, prepared.panel.times)


def fit_and_forecast(
    parts: Parts, prepared: Prepared, forecaster: Forecaster, progress: Progress, *, kept: Path | None = None
) -> tuple[list[Any], Forecast]:
    """Refit on each fold's training ranges, calibrate where the recipe says so, and forecast the first history."""
    fitted, forecasts = fit_and_forecast_paths(parts, prepared, forecaster, progress, kept=kept)
    return fitted, forecasts[0]


def fit_and_forecast_paths(
    parts: Parts, prepared: Prepared, forecaster: Forecaster, progress: Progress, *, kept: Path | None = None
) -> tuple[list[Any], list[Forecast]]:
    """As `fit_and_forecast`, with the forecast of every history of the split; each fold is fitted once."""
    from mnpu import training  # torch lives only here

    config, folds = parts.config, prepared.split.folds
    calibration = config.model.calibration
    fitted, pieces = [], []
    for fold in folds:
        span, frame, labels = _span(prepared, fold), learnable(prepared, fold), prepared.labels_of(fold)
        own, rows = training.kept_back(calibration, fold, labels, prepared.panel.times)
        with progress.stage(f"fitting {forecaster.name}, fold {fold.number + 1} of {len(folds)} ({span})", bar=True):
            model = fit_fold(parts, forecaster, frame, labels, own, calibration=rows, live=progress.live, kept=kept)
            model, piece = training.calibrated(model, frame, labels, rows, calibration)
            fitted.append(model)
            pieces.append(piece)
        say_alerts(model, progress)
    return fitted, [join_history(pieces, history) for history in prepared.split.histories]


def decisions(prepared: Prepared, forecasts: Sequence[Forecast]) -> PolicyContext:
    """What a policy may know, over the whole panel; the decision set is where *every* model has a forecast."""
    context = context_of(prepared.priced)
    everyone = np.logical_and.reduce([forecast.available for forecast in forecasts])
    return replace(context, tradable=context.tradable & everyone)


def context_of(panel: Panel) -> PolicyContext:
    """What the bars alone tell a policy: returns up to each decision, as the account earns them, and what trades."""
    panel = in_account_currency(panel)
    return PolicyContext(panel.times, panel.symbols, bar_returns(panel), panel.decidable, panel.periods_per_year)


def evaluate(
    parts: Parts, prepared: Prepared, strategy: Strategy, forecasts: Mapping[str, Forecast], context: PolicyContext
) -> Result:
    """Decide, limit and simulate one strategy over the evaluated decisions, and measure it."""
    first, stop = prepared.rows
    source = strategy.forecaster.name if strategy.forecaster else parts.forecasters[0].name
    proposed = strategy.policy(forecasts[source].final, context).rows(first, stop)
    guards = {} if strategy.is_rule else guarded(parts, prepared, forecasts[source].final)
    outcome = simulate(proposed, **market(prepared), **account(parts, prepared), **guards)
    forecast = None if strategy.is_rule else forecasts[source].rows(first, stop)
    result = Result(
        name=strategy.name,
        times=proposed.times,
        fill_times=prepared.fills.times[first:stop],
        gross=outcome.gross,
        net=outcome.net,
        equity=outcome.equity,
        turnover_oneway=outcome.turnover_oneway,
        costs=outcome.costs,
        proposed=proposed,
        positions=outcome.positions,
        periods_per_year=prepared.panel.periods_per_year,
        forecast=forecast,
        labels=prepared.labels.values[first:stop],
        notes=outcome.notes,
        fills=as_quoted(outcome.fills, prepared.panel),
    )
    return replace(result, metrics={**compute_metrics(result), **plugin_metrics(parts, result)})


def along_paths(
    parts: Parts, prepared: Prepared, judged: Result, others: Sequence[Forecast], context: PolicyContext
) -> tuple[PathOutcome, ...]:
    """The judged strategy on every history of the split, the first of which it was judged on; empty where it is one."""
    if not others:
        return ()
    strategy, found = parts.strategies[0], [judged]
    for path, forecast in enumerate(others, start=1):
        own = replace(prepared, labels=outcomes(prepared.labels, prepared.learnt, prepared.split, path=path))
        known = replace(context, tradable=context.tradable & forecast.available)
        found.append(evaluate(parts, own, strategy, {parts.forecasters[0].name: forecast}, known))
    return tuple(PathOutcome(path, result.net, result.metrics) for path, result in enumerate(found))


def plugin_metrics(parts: Parts, result: Result) -> dict[str, Metric]:
    """Metrics that installed plugins add; one that raises has no value, and its error is the reason."""
    found = {}
    for name, metric in parts.metrics.items():
        try:
            found[name] = metric(result)
        except Exception as error:  # a stranger's metric must not cost the user a finished training
            found[name] = Metric(name, None, "", reason=f"the plugin failed: {type(error).__name__}: {error}")
    return found


def judge(parts: Parts, prepared: Prepared, forecast: Forecast, context: PolicyContext) -> tuple[GateOutcome, ...]:
    """The four honesty gates, on the judged strategy's positions before guardrails and without costs."""
    first, stop = prepared.rows
    moves = market(prepared)

    def gross_of(positions: Positions) -> np.ndarray:
        return simulate(positions.rows(first, stop), **moves).gross  # no guardrails, no costs

    policy = parts.strategies[0].policy
    trial = gates.Trial(policy, context, gross_of)
    rng = np.random.default_rng(parts.config.seed)
    return (
        gates.permuted(trial, forecast, rng),
        gates.constant(trial, forecast),
        gates.negated(trial, forecast, long_only=getattr(policy, "long_only", False)),
        gates.unforeseen(parts, prepared, trial, forecast, rng),
    )


def notes(panel: Panel) -> tuple[str, ...]:
    """What a reader must know about the prices: origin, adjustment and the date of its knowledge, hindsight."""
    lines = []
    for info in dict.fromkeys(panel.datasets):
        known = f"adjusted with knowledge of {info.adjusted_as_of}" if info.adjusted_as_of else "as traded"
        lines.append(f"{info.name} ({info.vendor}, {info.licence}): {info.adjustment} adjustment, {known}. {info.note}")
    for symbol, time, earned in delistings(panel):
        lines.append(f"{symbol} was delisted by {time:%Y-%m-%d}: who held it got its last price and {earned:+.1%}.")
    return tuple(lines)


def _span(prepared: Prepared, fold: Fold) -> str:
    times = prepared.panel.times
    spans = (f"{times[start]:%Y-%m} to {times[stop - 1]:%Y-%m}" for start, stop in fold.testing)
    return f"test {' and '.join(spans)}"
