"""A result on disk, whole: what is read back renders the same report, bit for bit.

========================  ==========================================================================
``metrics.json``          metrics of every strategy, and the gates
``result.json``           names, horizons, levels, notes, what was read, folds, the run
``diagnostics.parquet``   per strategy and decision: returns, equity, turnover, costs
``positions.parquet``     per strategy, decision and symbol: weights before and after the guardrails
``violations.parquet``    every change a guardrail made
``forecast.parquet``      per forecaster, decision and symbol: quantiles of every horizon, class probabilities with
                          evidence and thresholds, and all of it before calibration
``labels.parquet``        what the forecasts were about
``panel.parquet``         prices over the evaluated decisions
``fills.parquet``         what was traded, if the simulation told
``training.parquet``      what instruments read while networks were fitted
``landscape.parquet``     losses around the weights, if an instrument looked
``alerts.parquet``        what was wrong with a fit, if anything was
========================  ==========================================================================

Numbers are float64 as they were; a table over decisions and symbols keeps every row, in order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mnpu.atomic import write_atomically
from mnpu.errors import MnpuError
from mnpu.results_read import read_metrics, read_result
from mnpu.results_tables import UNCALIBRATED, cell_keys, quantile_name, repeated, texts, utc_ns, write_table
from mnpu.results_training import write_training
from mnpu.rundir import run_record
from mnpu.types import Forecast, Metric, Panel, PathOutcome, Result, Split

__all__ = ["read_metrics", "read_result", "write_result"]


def write_result(run_dir: str | Path, result: Result, *, fills: Mapping[str, Any] | pd.DataFrame | None = None) -> None:
    """Write a result with its comparisons into a run directory.

    Parameters
    ----------
    run_dir : path
    result : Result
        Names of the strategies differ.
    fills : mapping of str to array, or DataFrame, optional
        What was traded, one row a fill.
    """
    folder, strategies = Path(run_dir), (result, *result.comparisons)
    _json(folder / "metrics.json", _metrics_record(result))
    _json(folder / "result.json", _record(result))
    write_table(folder / "diagnostics.parquet", [_diagnostics(r) for r in strategies])
    write_table(folder / "positions.parquet", [_positions(r) for r in strategies])
    write_table(folder / "violations.parquet", [_violations(strategies)])
    write_table(folder / "forecast.parquet", [_forecast(r) for r in strategies if r.forecast is not None])
    write_table(folder / "labels.parquet", [_labels(r) for r in strategies if _has_own_labels(r, result)])
    if result.panel is not None:
        write_table(folder / "panel.parquet", [_panel(result.panel)])
    if result.folds is not None and result.folds.times is not None:
        write_table(folder / "bars.parquet", [{"time": utc_ns(result.folds.times)}])
    if result.paths:
        write_table(folder / "paths.parquet", [_path(path, result) for path in result.paths])
    if result.training is not None:
        write_training(folder, result.training)
    if fills is not None:
        write_table(folder / "fills.parquet", [{str(name): np.asarray(values) for name, values in fills.items()}])


# What is written.


def _metrics_record(result: Result) -> dict[str, Any]:
    return {
        "strategy": result.name,
        "metrics": _metrics(result.metrics),
        "comparisons": {other.name: _metrics(other.metrics) for other in result.comparisons},
        **({"paths": [_metrics(path.metrics) for path in result.paths]} if result.paths else {}),
        "gates": [{"name": g.name, "passed": bool(g.passed), "detail": g.detail} for g in result.gates],
    }


def _metrics(metrics: Mapping[str, Metric]) -> dict[str, Any]:
    return {
        key: {"name": m.name, "value": _finite(m.value), "unit": m.unit, "se": _finite(m.se), "reason": _reason(m)}
        for key, m in metrics.items()
    }


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _reason(metric: Metric) -> str:
    undefined = metric.value is not None and not math.isfinite(metric.value)
    return metric.reason or (f"not a finite number ({float(metric.value or 0)})" if undefined else "")


def _record(result: Result) -> dict[str, Any]:
    return {
        "format": 1,
        "strategies": [_strategy_record(r, result) for r in (result, *result.comparisons)],
        "panel": _panel_record(result.panel) if result.panel is not None else None,
        "notes": list(result.notes),
        "series": [{**asdict(s), "max_age": int(s.max_age.as_unit("ns").value)} for s in result.series],
        "features": [{**asdict(spec), "params": dict(spec.params)} for spec in result.features],
        "folds": _folds_record(result.folds) if result.folds is not None else None,
        "run": run_record(result.run) if result.run is not None else None,
    }


def _strategy_record(result: Result, first: Result) -> dict[str, Any]:
    forecast, labels = result.forecast, result.labels
    return {
        "name": result.name,
        "decisions": len(result.times),
        "symbols": list(result.positions.symbols),
        "periods_per_year": float(result.periods_per_year),
        "start_equity": float(result.equity[0]),
        "costs": list(result.costs),
        "forecast": None
        if forecast is None
        else {
            "symbols": list(forecast.symbols),
            "horizons": [int(h) for h in forecast.horizons],
            "levels": [float(level) for level in forecast.levels],
            "classes": 0 if forecast.probabilities is None else int(forecast.probabilities.shape[3]),
            "evidence": forecast.evidence is not None,
            "thresholds": 0 if forecast.thresholds is None else int(forecast.thresholds.shape[2]),
            "calibrated": forecast.uncalibrated is not None,
        },
        "labels": None if labels is None else "own" if _has_own_labels(result, first) else "first",
        "n_labels": 0 if labels is None else int(labels.shape[2]),
    }


def _has_own_labels(result: Result, first: Result) -> bool:
    if result.labels is None or result is first:
        return result.labels is not None
    return first.labels is None or not np.array_equal(result.labels, first.labels, equal_nan=True)


def _diagnostics(result: Result) -> dict[str, Any]:
    return {
        "strategy": repeated(result.name, len(result.times)),
        "time": utc_ns(result.times),
        "fill_time": utc_ns(result.fill_times),
        "gross": result.gross,
        "net": result.net,
        "equity": result.equity[1:],
        "turnover_oneway": result.turnover_oneway,
        **{f"cost.{kind}": values for kind, values in result.costs.items()},
    }


def _path(path: PathOutcome, result: Result) -> dict[str, Any]:
    return {
        "path": np.full(len(path.net), path.number),
        "time": utc_ns(result.times),
        "net": path.net,
    }


def _positions(result: Result) -> dict[str, Any]:
    after, before, n = result.positions, result.proposed, len(result.positions.symbols)
    return {
        "strategy": repeated(result.name, len(result.times) * n),
        **cell_keys(result.times, after.symbols),
        "proposed": before.weights.ravel(),
        "weight": after.weights.ravel(),
        "rebalance_proposed": np.repeat(before.rebalance, n),
        "rebalance": np.repeat(after.rebalance, n),
    }


def _violations(strategies: Iterable[Result]) -> dict[str, Any]:
    rows = [
        (result.name, book, violation)
        for result in strategies
        for book, positions in (("proposed", result.proposed), ("positions", result.positions))
        for violation in positions.violations
    ]
    found = [violation for _, _, violation in rows]
    return {
        "strategy": texts(name for name, _, _ in rows),
        "book": texts(book for _, book, _ in rows),
        "rule": texts(v.rule for v in found),
        "code": texts(v.code for v in found),
        "time": utc_ns(pd.DatetimeIndex([v.time for v in found], dtype="datetime64[ns, UTC]")),
        "symbol": texts(v.symbol for v in found),
        "limit": np.array([v.limit for v in found], dtype=float),
        "value": np.array([v.value for v in found], dtype=float),
        "action": texts(v.action for v in found),
    }


def _forecast(result: Result) -> dict[str, Any]:
    forecast = result.forecast
    assert forecast is not None
    said = _said(forecast)
    if forecast.thresholds is not None:  # the same for every symbol
        for i, horizon in enumerate(forecast.horizons):
            for c in range(forecast.thresholds.shape[2]):
                said[f"h{horizon}.threshold{c}"] = np.repeat(forecast.thresholds[:, i, c], len(forecast.symbols))
    if forecast.uncalibrated is not None:
        said |= {f"{UNCALIBRATED}{name}": values for name, values in _said(forecast.uncalibrated).items()}
    return {
        "strategy": repeated(result.name, len(forecast.times) * len(forecast.symbols)),
        **cell_keys(forecast.times, forecast.symbols),
        **said,
    }


def _said(forecast: Forecast) -> dict[str, Any]:
    """Columns of all that a forecast says of a decision and a symbol."""
    columns: dict[str, Any] = {}
    for i, horizon in enumerate(forecast.horizons):
        for j, level in enumerate(forecast.levels):
            columns[quantile_name(horizon, level)] = forecast.quantiles[:, :, i, j].ravel()
        if forecast.probabilities is not None:
            for c in range(forecast.probabilities.shape[3]):
                columns[f"h{horizon}.class{c}"] = forecast.probabilities[:, :, i, c].ravel()
        if forecast.evidence is not None:
            columns[f"h{horizon}.evidence"] = forecast.evidence[:, :, i].ravel()
    return columns


def _labels(result: Result) -> dict[str, Any]:
    labels = result.labels
    assert labels is not None
    return {
        "strategy": repeated(result.name, labels.shape[0] * labels.shape[1]),
        **cell_keys(result.times, result.positions.symbols),
        **{f"label{i}": labels[:, :, i].ravel() for i in range(labels.shape[2])},
    }


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        **cell_keys(panel.times, panel.symbols),
        "session": np.repeat(panel.sessions.astype("datetime64[D]"), len(panel.symbols)),
        "tradable": panel.tradable.ravel(),
        **({} if panel.member is None else {"member": panel.member.ravel()}),
        **{f"field.{name}": values.ravel() for name, values in panel.fields.items()},
    }


def _panel_record(panel: Panel) -> dict[str, Any]:
    return {
        "symbols": list(panel.symbols),
        "fields": list(panel.fields),
        "datasets": [asdict(info) for info in panel.datasets],
        "frequency": panel.frequency,
        "calendar": panel.calendar,
        "periods_per_year": float(panel.periods_per_year),
        "bases": list(panel.bases),
        "has_members": panel.member is not None,
    }


def _folds_record(split: Split) -> dict[str, Any]:
    return {
        "folds": [
            {
                **{k: _whole(getattr(fold, k)) for k in ("number", "train", "validation", "test")},
                **{k: [_whole(rows) for rows in getattr(fold, k)] for k in ("also_train", "also_test")},
            }
            for fold in split.folds
        ],
        "paths": [[[int(number), _whole(rows)] for number, rows in path] for path in split.paths],
        "purge_bars": int(split.purge_bars),
        "embargo_bars": int(split.embargo_bars),
        "times": split.times is not None,
    }


def _whole(value: Any) -> Any:
    return [int(v) for v in value] if isinstance(value, Sequence) else int(value)


def _json(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=_scalar)
    write_atomically(path, f"{text}\n".encode())


def _scalar(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise MnpuError(f"a {type(value).__name__} cannot be saved", expected="text, numbers, lists and maps")
