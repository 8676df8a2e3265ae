"""Take a finished run apart: where its return came from, how much it bears, and what would break it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnpu.commands._runs_analysis import print_analysis
from mnpu.commands._shared import emit, json_option, plain, run_argument, runs_option

if TYPE_CHECKING:
    import numpy as np

    from mnpu.analysis.replay import Replay
    from mnpu.analysis.summary import Analysis
    from mnpu.rundir import RunDirectory
    from mnpu.types import Panel, Result, SideTable

__all__ = ["analyse"]

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("analyse")
@run_argument
@click.option("--strategy", metavar="NAME", help="Another strategy of the run. [default: the judged one]")
@click.option("--groups", type=FILE, metavar="CSV", help="Symbol and group (sector) a line, under a heading.")
@click.option("--shares", type=FILE, metavar="CSV", help="Symbol and shares outstanding a line, under a heading.")
@click.option(
    "--factors", type=FILE, metavar="CSV", help="Date and returns of factors a line, under a heading; or Parquet."
)
@click.option(
    "--capital", type=click.FloatRange(0, min_open=True), help="Of closing the book. [default: the recipe's, or 1e6]"
)
@click.option(
    "--impact",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Of the square-root law, in deviations of a bar.",
)
@click.option("--features", is_flag=True, help="Permute each family of features too; needs torch, and takes minutes.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write analysis.json, a Parquet file a table, and pictures into DIR.",
)
@runs_option
@json_option
def analyse(
    run: str,
    strategy: str | None,
    groups: Path | None,
    shares: Path | None,
    factors: Path | None,
    capital: float | None,
    impact: float,
    features: bool,
    out: Path | None,
    runs: Path,
    as_json: bool,
) -> None:
    """Take RUN (a run id or a run directory) apart: attribution, regimes, capacity, sensitivity, scenarios.

    The run's positions are read and simulated anew; nothing is trained. Prices come from the run's store while it still
    holds the same ones, else from the run itself, which lacks those of its last two decisions.
    """
    from mnpu.analysis.summary import Assumptions
    from mnpu.analysis.summary import analyse as make
    from mnpu.rundir import open_run

    directory = open_run(runs, run)
    whole = _finished(directory)
    replayed, result, notes = _replay(directory, whole, strategy)
    given = Assumptions(
        groups={} if groups is None else _pairs(groups),
        shares={} if shares is None else _numbers(shares),
        factors={} if factors is None else _factors(factors, replayed),
        capital=capital or (1e6 if replayed.execution is None else replayed.execution.capital),
        impact=impact,
        seeds=_siblings(directory, runs, result) if strategy is None else {},
    )
    found = make(replayed, given)
    facts = _payload(directory.run_id, replayed, found, notes)
    facts["judged"] = _judged(whole, directory)
    if features:
        facts["features"] = _by_family(directory, as_json)
    files = [] if out is None else _write(out, facts, found)
    emit(as_json, {**facts, "files": files}, lambda: print_analysis(facts, found, files))


def _judged(whole: Result, directory: RunDirectory) -> str:
    """Whether the run's Sharpe ratio can be told from luck, in one sentence."""
    from mnpu.judging import judged
    from mnpu.report.headline import verdict

    return verdict(judged(whole, directory.path.parent))


def _finished(directory: RunDirectory) -> Result:
    """The result of a run that has one."""
    from mnpu.errors import ConfigError
    from mnpu.results_io import read_result

    if directory.status != "finished":
        raise ConfigError(
            f"the run is {directory.status}",
            where=directory.run_id,
            expected="a finished run",
            next_step=f"See: mnpu runs show {directory.run_id}.",
        )
    return read_result(directory.path)


def _replay(directory: RunDirectory, whole: Result, strategy: str | None) -> tuple[Replay, Result, list[str]]:
    """The strategy's decisions with the best prices that there are."""
    from mnpu.analysis.replay import Terms, replay
    from mnpu.config.load import load_config
    from mnpu.errors import MnpuError
    from mnpu.guard import Chain
    from mnpu.plugins.registry import Registry
    from mnpu.simulation.costs import CostModel
    from mnpu.simulation.execution import Execution

    result = _choose(whole, strategy)
    if whole.panel is None:
        raise MnpuError("the run kept no prices", where=directory.run_id, next_step="Run the pipeline again.")
    registry = Registry.discover()
    config = load_config(directory.path / "resolved.yaml").pipeline
    rule = result.forecast is None  # a yardstick passes no guardrail
    chain = Chain([] if rule else [registry.build("guardrail", use.use, use.params) for use in config.guardrails])
    terms = Terms(
        config.fill,
        chain,
        CostModel(**config.costs.model_dump(exclude={"funding"})),
        None if config.execution is None else Execution(**config.execution.model_dump()),
        config.costs.funding,
    )
    panel, side, notes = _prices(directory, config, whole.panel)
    found = replay(result, panel, terms, side=side)
    if terms.funding is not None and side is None:
        notes.append(f"What is simulated anew pays no funding: {terms.funding} is not kept with a run.")
    if found.left_out:
        notes.append(f"{found.left_out} decisions at the end are left out for want of later prices.")
    if found.apart > 1e-6:
        notes.append(
            f"Simulated again, a net return differs from the run's by up to {found.apart:.2g}: what is simulated anew"
            " (lags, costs, capacity, the spread) describes that book, not the run's."
        )
    return found, result, notes


def _choose(whole: Result, strategy: str | None) -> Result:
    from mnpu.errors import ConfigError

    everyone = {own.name: own for own in (whole, *whole.comparisons)}
    if strategy is not None and strategy not in everyone:
        raise ConfigError(f"the run has no strategy {strategy!r}", where="--strategy", expected=", ".join(everyone))
    return whole if strategy is None else everyone[strategy]


def _prices(directory: RunDirectory, config: Any, own: Panel) -> tuple[Panel, SideTable | None, list[str]]:
    """Prices and funding that the store has in the run's sight, if still those of the run; else what the run kept."""
    import numpy as np

    from mnpu.assembly import store_path
    from mnpu.config.locked import data_in_sight
    from mnpu.errors import MnpuError
    from mnpu.pipeline import read
    from mnpu.progress import Silent

    also = () if config.costs.funding is None else (config.costs.funding,)
    try:
        data, store = data_in_sight(config.split, config.data), store_path(config.data.store, directory.path)
        panel, side = read(data, store, [], Silent(), also=also, fill=config.fill, currency=config.currency)
    except (MnpuError, OSError) as error:
        return own, None, [f"The store cannot be read, so the prices are those that the run kept ({error})"]
    first = int(panel.times.searchsorted(own.times[0]))
    part = panel.rows(first, first + len(own.times))
    same = part.symbols == own.symbols and part.times.equals(own.times)
    if same and all(
        np.array_equal(part[name], own[name], equal_nan=True) for name in own.fields if name in part.fields
    ):
        return panel, side, []
    return own, None, ["The store holds other prices now, so they are those that the run kept."]


def _siblings(directory: RunDirectory, runs: Path, result: Result) -> dict[str, Result]:
    """The run, and the newest of each other seed of the same recipe and data; empty where there is none."""
    from mnpu.errors import MnpuError
    from mnpu.results_io import read_result
    from mnpu.rundir import list_runs

    def recipe(state: Mapping[str, Any]) -> Any:
        run = state.get("run", {})
        config = {key: value for key, value in run.get("config", {}).items() if key not in ("seed", "runtime", "name")}
        return run.get("data_hash"), json.dumps(config, sort_keys=True, default=str)

    own, found = recipe(directory.state), {}
    for other in list_runs(runs):
        try:
            if other.status == "finished" and recipe(other.state) == own:
                found[other.state["run"].get("seed")] = other
        except MnpuError:
            continue
    found[directory.state["run"].get("seed")] = directory
    if len(found) < 2:
        return {}
    read = {other.run_id: read_result(other.path) for other in found.values() if other.path != directory.path}
    return {directory.run_id: result, **read}


def _table(path: Path) -> Any:
    import pandas as pd

    from mnpu.errors import DataError

    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path).reset_index(drop=False)
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read ({error})", where=str(path), expected="a table with a heading") from error


def _pairs(path: Path) -> dict[str, str]:
    from mnpu.errors import DataError

    table = _table(path)
    if table.shape[1] != 2:
        raise DataError(f"has {table.shape[1]} columns", where=str(path), expected="two: a symbol and what it has")
    repeated = table.iloc[:, 0][table.iloc[:, 0].duplicated()]
    if len(repeated):
        raise DataError(f"{repeated.iloc[0]} stands there twice", where=str(path), expected="each symbol once")
    return dict(zip(table.iloc[:, 0], table.iloc[:, 1], strict=True))


def _numbers(path: Path) -> dict[str, float]:
    from mnpu.errors import DataError

    pairs = _pairs(path)
    try:
        return {symbol: float(text) for symbol, text in pairs.items()}
    except ValueError as error:
        raise DataError(str(error), where=str(path), expected="a number of shares for each symbol") from error


def _factors(path: Path, replayed: Replay) -> dict[str, np.ndarray]:
    """Returns of factors by the day on which the holding period of each decision ends."""
    import numpy as np
    import pandas as pd

    from mnpu.errors import DataError

    table = _table(path)
    table = table.drop(columns=[name for name in ("index",) if name in table])
    try:
        days = pd.to_datetime(table.iloc[:, 0], utc=True).dt.normalize()
        values = table.iloc[:, 1:].astype(float)
    except (ValueError, TypeError) as error:
        raise DataError(str(error), where=str(path), expected="a date, then returns as fractions") from error
    if days.duplicated().any():
        raise DataError("a date stands there twice", where=str(path), expected="one line a day")
    ends = replayed.fill_times.normalize()
    if ends.duplicated().any():
        raise DataError("bars are shorter than a day", where=str(path), expected="a run of daily bars")
    values.index = pd.DatetimeIndex(days)
    moved = values.reindex(ends[1:]).to_numpy()
    last = np.full((1, moved.shape[1]), np.nan)
    whole = np.concatenate([moved, last])
    return {str(name): whole[:, k] for k, name in enumerate(values.columns)}


def _by_family(directory: RunDirectory, silent: bool) -> list[dict[str, Any]]:
    """Falls of rank IC, pinball loss and Sharpe ratio when a family of columns tells nothing."""
    from mnpu.analysis.families import families
    from mnpu.feature_tools.finished import check_forecast, reopen
    from mnpu.feature_tools.importance import Measurer, block_length, importance
    from mnpu.plugins.registry import Registry
    from mnpu.progress import Progress, Silent

    finished = reopen(directory, Registry.discover(), Silent() if silent else Progress())
    quantiles = [inputs.quantiles() for inputs in finished.inputs]
    forecast = finished.forecast(quantiles)
    check_forecast(directory, finished, forecast)
    measurer = Measurer(finished)
    found = importance(
        finished,
        families(finished.prepared.frame.specs),
        repeats=5,
        seed=finished.parts.config.seed,
        base=measurer(forecast),
        block=block_length(finished),
        quantiles=quantiles,
        measurer=measurer,
    )
    return [{"family": item.name, "columns": list(item.columns), "fall": item.falls} for item in found]


def _payload(run_id: str, replayed: Replay, found: Analysis, notes: Sequence[str]) -> dict[str, Any]:
    return {
        "run": run_id,
        "strategy": replayed.name,
        "first": replayed.times[0],
        "last": replayed.times[-1],
        "total": found.total,
        "notes": list(notes),
        "tables": {name: list(rows) for name, rows in found.tables.items()},
        "not_available": dict(found.reasons),
        "lags": found.lags,
        "capacity": None if found.capacity is None else found.capacity._replace(rows=()),
        "regression": None if found.regression is None else found.regression._replace(coefficients=()),
        "seeds": None if found.seeds is None else found.seeds._replace(rows=()),
    }


def _write(out: Path, facts: Mapping[str, Any], found: Analysis) -> list[Path]:
    import pandas as pd

    from mnpu.commands._runs_pictures import pictures
    from mnpu.errors import MnpuError

    text = json.dumps(plain(facts), indent=2, ensure_ascii=False, allow_nan=False)
    paths = [out / "analysis.json"]
    try:
        out.mkdir(parents=True, exist_ok=True)
        paths[0].write_text(f"{text}\n", encoding="utf-8", newline="\n")
        for name, rows in found.tables.items():
            if rows:
                paths.append(out / f"{name}.parquet")
                pd.DataFrame([row._asdict() for row in rows]).to_parquet(paths[-1], index=False)
        for name, drawn in pictures(found, facts["run"]).items():
            paths.append(out / name)
            paths[-1].write_text(drawn, encoding="utf-8", newline="\n")
    except OSError as error:
        reason = error.strerror or str(error)
        raise MnpuError(f"cannot write ({reason})", where=str(out), next_step="Choose another --out DIR.") from error
    return paths
