"""Measure what the fitted networks of a run make of each column, out of sample."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnpu.commands._features_looking import counting
from mnpu.commands._shared import emit, json_option, plain, run_argument, runs_option, table

if TYPE_CHECKING:
    from mnpu.feature_tools.finished import Finished
    from mnpu.feature_tools.importance import Importance
    from mnpu.metrics.information import Estimate

__all__ = ["importance"]

USED = "These falls were measured on the test ranges: whoever chooses features by them has no test any more."


@click.command("importance")
@run_argument
@click.option(
    "--column", "columns", multiple=True, metavar="NAME", help="Only these, as in features stats. Repeatable."
)
@click.option("--clusters", is_flag=True, help="Exchange columns that say much the same together, not one by one.")
@click.option(
    "--threshold",
    type=click.FloatRange(0.0, 1.0, min_open=True),
    default=0.7,
    show_default=True,
    metavar="RHO",
    help="Absolute rank correlation, in the first training range, from which columns make a cluster.",
)
@click.option("--repeats", type=click.IntRange(2, 1000), default=5, show_default=True, help="Exchanges of each.")
@click.option(
    "--block", type=click.IntRange(1), metavar="BARS", help="Decisions in a block. [default: window + outcome]"
)
@click.option("--seed", type=click.IntRange(0), help="Of the exchanges. [default: the run's]")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write importance.json, importance.parquet and importance.svg into DIR.",
)
@runs_option
@json_option
def importance(
    run: str,
    columns: tuple[str, ...],
    clusters: bool,
    threshold: float,
    repeats: int,
    block: int | None,
    seed: int | None,
    out: Path | None,
    runs: Path,
    as_json: bool,
) -> None:
    """Measure what each column is worth to the fitted networks of RUN (a run id or a run directory).

    The values of a column are exchanged between blocks of test decisions and between symbols; each fold's network, as
    it was fitted, forecasts again. Falls of rank IC, pinball loss and net Sharpe ratio stand with their intervals.
    Nothing is trained, and no training row is touched.
    """
    from mnpu.feature_tools.finished import check_forecast, reopen
    from mnpu.feature_tools.importance import Measurer, block_length
    from mnpu.feature_tools.importance import importance as measure
    from mnpu.plugins.registry import Registry
    from mnpu.progress import Progress, Silent
    from mnpu.rundir import open_run

    progress = Silent() if as_json else Progress()
    directory = open_run(runs, run)
    finished = reopen(directory, Registry.discover(), progress)
    groups = _groups(finished, columns, clusters, threshold)
    used_block, used_seed = block or block_length(finished), finished.parts.config.seed if seed is None else seed
    with progress.stage("forecasting the test ranges as the run did"):
        quantiles = [inputs.quantiles() for inputs in finished.inputs]
        forecast = finished.forecast(quantiles)
        check_forecast(directory, finished, forecast)
        measurer = Measurer(finished)
        base = measurer(forecast)
    with counting(progress, f"exchanging {len(groups)} x {repeats} times", len(groups) * repeats) as each:
        found = measure(
            finished,
            groups,
            repeats=repeats,
            seed=used_seed,
            base=base,
            block=used_block,
            quantiles=quantiles,
            measurer=measurer,
            each=each,
        )
    found.sort(key=_rank)
    settings = {"repeats": repeats, "seed": used_seed, "block_bars": used_block, "clusters": clusters}
    facts = _payload(directory.run_id, finished, found, settings)
    files = [] if out is None else _write(out, directory.run_id, found, facts)
    emit(as_json, {**facts, "files": files}, lambda: _print(facts, found, files))


def _groups(
    finished: Finished, columns: Sequence[str], clusters: bool, threshold: float
) -> list[tuple[str, tuple[str, ...]]]:
    """What is exchanged together, with a name."""
    from mnpu.feature_tools.look import choose_columns
    from mnpu.features.clusters import cluster, rank_correlations

    names = [column.name for column in choose_columns(finished.parts.planned, columns)]
    if not clusters:
        return [(name, (name,)) for name in names]
    frame, rows = finished.prepared.frame.only(names), slice(*finished.folds[0].train)
    found = cluster(rank_correlations(frame.values[rows], frame.tradable[rows]), threshold=threshold)
    groups = [tuple(names[f] for f in group) for group in found.groups]
    return [(group[0] if len(group) == 1 else f"{group[0]} and {len(group) - 1} more", group) for group in groups]


def _rank(item: Importance) -> tuple[bool, float]:
    """The largest fall of the rank IC first, of the loss where there is none."""
    fall = item.falls["rank_ic"].value
    fall = item.falls["pinball"].value if fall is None else fall
    return fall is None, -(fall or 0.0)


def _payload(
    run_id: str, finished: Finished, found: Sequence[Importance], settings: Mapping[str, Any]
) -> dict[str, Any]:
    from mnpu.feature_tools.importance import FALLS

    metrics = finished.result.metrics
    return {
        "run": run_id,
        "strategy": finished.result.name,
        "before": {name: metrics[name] for name in FALLS if name in metrics},
        "units": FALLS,
        "settings": settings,
        "measured_on_test_ranges": True,
        "columns": [
            {
                "name": item.name,
                "columns": item.columns,
                "fall": item.falls,
                "fall_by_fold": item.by_fold,
                "left_out_of_folds": [k + 1 for k in item.left_out],
            }
            for item in found
        ],
    }


def _write(out: Path, run_id: str, found: Sequence[Importance], facts: Mapping[str, Any]) -> list[Path]:
    import pandas as pd

    from mnpu.errors import MnpuError
    from mnpu.feature_tools.importance_picture import importance_picture

    rows = [
        {"name": item.name, "columns": list(item.columns), **_flat(item.falls), "left_out": list(item.left_out)}
        for item in found
    ]
    text = json.dumps(plain(facts), indent=2, ensure_ascii=False, allow_nan=False)
    paths = [out / f"importance.{ending}" for ending in ("json", "parquet", "svg")]
    try:
        out.mkdir(parents=True, exist_ok=True)
        paths[0].write_text(f"{text}\n", encoding="utf-8", newline="\n")
        pd.DataFrame(rows).to_parquet(paths[1], index=False)
        paths[2].write_text(importance_picture(found, run_id=run_id, settings=facts["settings"]), encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise MnpuError(f"cannot write ({reason})", where=str(out), next_step="Choose another --out DIR.") from error
    return paths


def _flat(falls: Mapping[str, Estimate]) -> dict[str, Any]:
    fields = ("value", "se", "low", "high", "reason")
    return {f"{name}_{field}": getattr(fall, field) for name, fall in falls.items() for field in fields}


def _print(facts: Mapping[str, Any], found: Sequence[Importance], files: Sequence[Path]) -> None:
    before, settings = facts["before"], facts["settings"]
    loss = before["pinball"].value
    said = [f"{name} {m.value:.4g}" for name, m in before.items() if m.value is not None]
    click.echo(f"{facts['strategy']} of {facts['run']}, test ranges: {', '.join(said)}")
    click.echo(
        f"fall when a column tells nothing: {settings['repeats']} exchanges between blocks of"
        f" {settings['block_bars']} decisions or more, and between symbols\n"
    )
    columns = ("column", "rank IC", "95 %", "t", "pinball", "95 % ", "net Sharpe", "95 %  ", "by fold, rank IC")
    rows = []
    for item in found:
        rank, pinball, sharpe = (item.falls[name] for name in ("rank_ic", "pinball", "sharpe"))
        folds = " ".join("  -   " if v is None else f"{v:+.3f}" for v in item.by_fold.get("rank_ic", []))
        cells = (*_cells(rank, 1.0, "+.4f"), "-" if rank.t is None else f"{rank.t:+.1f}")
        share = 100.0 / loss if loss else 1.0
        rows.append((item.name, *cells, *_cells(pinball, share, "+.2f", " %"), *_cells(sharpe, 1.0, "+.2f"), folds))
    click.echo(table(columns, rows, right=columns[1:-1]))
    click.echo("pinball: rise of the loss, as a share of it")
    for item in found:
        if len(item.columns) > 1:
            click.echo(f"{item.name}: {', '.join(item.columns)}")
        if item.left_out:
            folds = ", ".join(str(k + 1) for k in item.left_out)
            click.echo(f"{item.name} is left out of fold{'s' if len(item.left_out) > 1 else ''} {folds}")
    for reason in dict.fromkeys(f.reason for item in found for f in item.falls.values() if f.reason):
        click.echo(f"no interval: {reason}")
    click.echo(f"\nColumns that say much the same stand in for one another: see --clusters. {USED}")
    for path in files:
        click.echo(f"file: {path}")


def _cells(fall: Estimate, scale: float, form: str, unit: str = "") -> tuple[str, str]:
    if fall.value is None:
        return "-", "-"
    value = f"{fall.value * scale:{form}}{unit}"
    if fall.low is None or fall.high is None:
        return value, "-"
    return value, f"{fall.low * scale:{form}} to {fall.high * scale:{form}}"
