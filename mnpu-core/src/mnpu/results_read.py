"""Reading a result back from a run directory; `mnpu.results_io` says what lies there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mnpu.errors import MnpuError
from mnpu.results_tables import UNCALIBRATED, Rows, quantile_name, read_table
from mnpu.results_training import read_training
from mnpu.types import (
    DatasetInfo,
    FeatureSpec,
    Fold,
    Forecast,
    GateOutcome,
    Metric,
    Panel,
    PathOutcome,
    Positions,
    Result,
    Run,
    SeriesInfo,
    Split,
    Violation,
)

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["read_metrics", "read_result"]


def read_result(run_dir: str | Path) -> Result:
    """The result that `write_result` wrote.

    Raises
    ------
    MnpuError
        The run holds no result, or a damaged one.
    """
    folder = Path(run_dir)
    record, metrics = _read_json(folder / "result.json"), _read_json(folder / "metrics.json")
    tables = {
        name: read_table(folder / f"{name}.parquet")
        for name in ("diagnostics", "positions", "violations", "forecast", "labels")
    }
    try:
        first, *others = [_strategy(own, tables, metrics) for own in record["strategies"]]
        panel = _read_panel(record["panel"], folder) if record["panel"] else None
        return replace(
            first,
            comparisons=tuple(
                replace(other, labels=first.labels if own["labels"] == "first" else other.labels)
                for other, own in zip(others, record["strategies"][1:], strict=True)
            ),
            gates=tuple(GateOutcome(**gate) for gate in metrics["gates"]),
            run=_run(record["run"]) if record["run"] else None,
            panel=panel,
            notes=tuple(record["notes"]),
            series=tuple(
                SeriesInfo(**{**series, "max_age": pd.Timedelta(series["max_age"], unit="ns")})
                for series in record["series"]
            ),
            features=tuple(_feature(spec) for spec in record["features"]),
            folds=_split(record["folds"], folder) if record["folds"] else None,
            training=read_training(folder),
            paths=_paths(folder, metrics.get("paths", [])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MnpuError(
            f"the result is damaged ({type(error).__name__}: {error})",
            where=str(folder),
            next_step="Run the pipeline again; what is there was left as it is.",
        ) from error


def read_metrics(run_dir: str | Path) -> dict[str, Any]:
    """``metrics.json`` as plain data: ``metrics``, ``comparisons``, ``gates``, ``strategy``."""
    return _read_json(Path(run_dir) / "metrics.json")


def _strategy(own: Mapping[str, Any], tables: Mapping[str, pa.Table | None], metrics: Mapping[str, Any]) -> Result:
    name, symbols = own["name"], tuple(own["symbols"])
    days = Rows(tables["diagnostics"], name)
    times = days.instants("time")
    shape = (len(times), len(symbols))
    if len(times) != own["decisions"]:
        raise ValueError(f"{len(times)} decisions of {name}, {own['decisions']} were written")
    weights = Rows(tables["positions"], name)
    measured = metrics["metrics"] if metrics["strategy"] == name else metrics["comparisons"][name]

    def book(column: str, rebalance: str, which: str) -> Positions:
        changes = _read_violations(tables["violations"], name, which)
        values = weights.floats(column).reshape(shape)
        return Positions(times, symbols, values, weights.flags(rebalance).reshape(shape)[:, 0], changes)

    return Result(
        name=name,
        times=times,
        fill_times=days.instants("fill_time"),
        gross=days.floats("gross"),
        net=days.floats("net"),
        equity=np.concatenate([[own["start_equity"]], days.floats("equity")]),
        turnover_oneway=days.floats("turnover_oneway"),
        costs={kind: days.floats(f"cost.{kind}") for kind in own["costs"]},
        proposed=book("proposed", "rebalance_proposed", "proposed"),
        positions=book("weight", "rebalance", "positions"),
        periods_per_year=own["periods_per_year"],
        forecast=_read_forecast(own["forecast"], Rows(tables["forecast"], name)) if own["forecast"] else None,
        labels=_read_labels(own, Rows(tables["labels"], name), shape) if own["labels"] == "own" else None,
        metrics=_measured(measured),
    )


def _read_violations(table: pa.Table | None, name: str, book: str) -> tuple[Violation, ...]:
    rows = Rows(table, name).table.to_pylist()
    return tuple(
        Violation(r["rule"], r["code"], _instant(r["time"]), r["symbol"], r["limit"], r["value"], r["action"])
        for r in rows
        if r["book"] == book
    )


def _instant(value: Any) -> pd.Timestamp:
    instant: pd.Timestamp = pd.Timestamp(value).tz_convert("UTC").as_unit("ns")
    return instant


def _read_forecast(own: Mapping[str, Any], rows: Rows) -> Forecast:
    symbols, horizons, levels = tuple(own["symbols"]), tuple(own["horizons"]), tuple(own["levels"])
    times = rows.instants("time")[:: len(symbols)]
    grid = (len(times), len(symbols))

    def stack(names: Sequence[Sequence[str]]) -> np.ndarray:
        return np.stack([np.stack([rows.floats(n).reshape(grid) for n in inner], axis=-1) for inner in names], axis=2)

    classes, edges = range(own["classes"]), range(own.get("thresholds", 0))  # a run of an older version has neither

    def said(prefix: str) -> Forecast:
        return Forecast(
            times,
            symbols,
            horizons,
            levels,
            stack([[prefix + quantile_name(h, level) for level in levels] for h in horizons]),
            stack([[f"{prefix}h{h}.class{c}" for c in classes] for h in horizons]) if own["classes"] else None,
            stack([[f"{prefix}h{h}.evidence"] for h in horizons])[..., 0] if own["evidence"] else None,
            stack([[f"h{h}.threshold{c}" for c in edges] for h in horizons])[:, 0] if edges else None,
        )

    return replace(said(""), uncalibrated=said(UNCALIBRATED) if own.get("calibrated") else None)


def _read_labels(own: Mapping[str, Any], rows: Rows, shape: tuple[int, int]) -> np.ndarray:
    return np.stack([rows.floats(f"label{i}").reshape(shape) for i in range(own["n_labels"])], axis=-1)


def _read_panel(own: Mapping[str, Any], folder: Path) -> Panel:
    rows, symbols = Rows(read_table(folder / "panel.parquet"), None), tuple(own["symbols"])
    times = rows.instants("time")[:: len(symbols)]
    shape = (len(times), len(symbols))
    sessions = rows.table["session"].to_numpy().astype("datetime64[D]")
    return Panel(
        times=times,
        sessions=sessions[:: len(symbols)],
        symbols=symbols,
        fields={name: rows.floats(f"field.{name}").reshape(shape) for name in own["fields"]},
        tradable=rows.flags("tradable").reshape(shape),
        datasets=tuple(DatasetInfo(**info) for info in own["datasets"]),
        frequency=own["frequency"],
        calendar=own["calendar"],
        periods_per_year=own["periods_per_year"],
        bases=tuple(own.get("bases", ())),  # a run of an older version lacks this one and the next
        member=rows.flags("member").reshape(shape) if own.get("has_members") else None,
    )


def _feature(spec: Mapping[str, Any]) -> FeatureSpec:
    lists = ("fields", "series", "tags", "release_lags", "bases")  # a run of an older version lacks the last two
    return FeatureSpec(**{**spec, **{name: tuple(spec.get(name, ())) for name in lists}})


def _measured(own: Mapping[str, Any]) -> dict[str, Metric]:
    return {key: Metric(**metric) for key, metric in own.items()}


def _paths(folder: Path, measured: Sequence[Mapping[str, Any]]) -> tuple[PathOutcome, ...]:
    if not measured:
        return ()
    rows = Rows(read_table(folder / "paths.parquet"), None)
    returns = rows.floats("net").reshape(len(measured), -1)
    return tuple(
        PathOutcome(k, net, _measured(own)) for k, (net, own) in enumerate(zip(returns, measured, strict=True))
    )


def _split(own: Mapping[str, Any], folder: Path) -> Split:
    folds = [Fold.of(state) for state in own["folds"]]
    paths = tuple(tuple((number, (a, b)) for number, (a, b) in path) for path in own.get("paths", ()))
    times = Rows(read_table(folder / "bars.parquet"), None).instants("time") if own["times"] else None
    return Split(tuple(folds), own["purge_bars"], own["embargo_bars"], times, paths)


def _run(own: Mapping[str, Any]) -> Run:
    known = {f.name for f in fields(Run)}
    return Run(**{k: v for k, v in own.items() if k in known} | {"started_at": pd.Timestamp(own["started_at"])})


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MnpuError(
            "the run holds no result", where=str(path.parent), next_step="See why with: mnpu runs show RUN."
        ) from None
    except (OSError, ValueError) as error:
        raise MnpuError(f"cannot be read ({error})", where=str(path)) from error
    return found
