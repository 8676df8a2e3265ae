"""List runs, look at one, compare some, take one apart, or tidy up their ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from mnpu.commands._runs_analyse import analyse
from mnpu.commands._runs_decisions import OTHER_DECISIONS, have_same_decisions
from mnpu.commands._shared import emit, json_option, run_argument, runs_option, table

__all__ = ["command"]


@click.group()
def command() -> None:
    """List runs, look at one, compare some, take one apart, or tidy up their ledger."""


command.add_command(analyse)


@command.command("list")
@runs_option
@json_option
def list_command(runs: Path, as_json: bool) -> None:
    """List every run, the oldest first, with its state."""
    from mnpu.ledger import read_rows

    rows, broken = read_rows(runs)
    for problem in broken:
        click.echo(f"warning: {problem}", err=True)
    found = _summaries(runs, rows)

    def human() -> None:
        if not found:
            click.echo(f"There is no run in {runs} yet. Begin one with: mnpu run FILE")
            return
        cells = [
            (r["run_id"], r["name"], r["status"], str(r["started_at"])[:19].replace("T", " "), _number(r["sharpe"]))
            for r in found
        ]
        click.echo(table(("run", "name", "state", "started (UTC)", "Sharpe"), cells, right=("Sharpe",)))

    emit(as_json, {"runs": found, "unreadable": broken}, human)


@command.command("compact")
@runs_option
@json_option
def compact_command(runs: Path, as_json: bool) -> None:
    """Put the rows of the ledger, a file each, into one file; what runs meanwhile may go on."""
    from mnpu.ledger import compact

    rows, files = compact(runs)
    emit(as_json, {"rows": rows, "files": files}, lambda: click.echo(f"{rows} rows; {files} files became one."))


@command.command("show")
@run_argument
@runs_option
@json_option
def show_command(run: str, runs: Path, as_json: bool) -> None:
    """Show what RUN (an id, its beginning, or a directory) was, how it ended, and its numbers."""
    from mnpu.rundir import open_run

    found = _facts(open_run(runs, run))

    def human() -> None:
        click.echo(f"{found['run_id']}  {found['status']}")
        click.echo(f"  path         {found['path']}")
        for name in (
            "name",
            "seed",
            "recipe_id",
            "config_hash",
            "data_hash",
            "code_hash",
            "env_hash",
            "trials",
            "locked",
            "unlocked",
            "looks",
        ):
            if name in found["run"]:
                click.echo(f"  {name:<12} {found['run'][name]}")
        for name in ("started_at", "ended_at"):
            click.echo(f"  {name:<12} {found[name] or '-'}")
        if found["error"]:
            click.echo(f"  error        {found['error']['type']}: {found['error']['message']}")
        for name in found["changed"]:
            click.echo(f"  changed after the run: {name}")
        _print_numbers([found])

    emit(as_json, found, human)


@command.command("compare")
@click.argument("chosen", nargs=-1, required=True, metavar="RUN RUN...")
@runs_option
@json_option
def compare_command(chosen: tuple[str, ...], runs: Path, as_json: bool) -> None:
    """Put the numbers of several runs side by side, and the configuration keys in which they differ."""
    from mnpu.errors import ConfigError
    from mnpu.rundir import open_run

    if len(chosen) < 2:
        raise ConfigError(f"one run ({chosen[0]}) cannot be compared", expected="at least two runs")
    found = [_facts(open_run(runs, run)) for run in chosen]
    differences = _differences([facts["run"].get("config", {}) for facts in found])

    def human() -> None:
        _print_numbers(found)
        if same_decisions is False:
            click.echo(f"\n{OTHER_DECISIONS}")
        ids = [facts["run_id"] for facts in found]
        click.echo()
        if not differences:
            click.echo("The configurations are the same.")
            return
        click.echo(table(("configuration", *ids), [(key, *map(_shown, row)) for key, row in differences.items()]))

    metrics = {facts["run_id"]: facts["metrics"].get("metrics", {}) for facts in found}
    same_decisions = have_same_decisions(runs, list(metrics))
    told = {"runs": found, "metrics": metrics, "differences": differences, "same_decisions": same_decisions}
    emit(as_json, told, human)


def _summaries(runs: Path, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One line a run: the directories, and those that only the ledger remembers."""
    from mnpu.errors import MnpuError
    from mnpu.rundir import list_runs

    ledger = {row["run_id"]: row for row in rows}
    found = []
    for directory in list_runs(runs):
        row = ledger.pop(directory.run_id, {})
        try:
            state, status = directory.state, directory.status
        except MnpuError:
            state, status = {}, "damaged"
        name = state.get("run", {}).get("name") or row.get("name", "")
        found.append(_summary(directory.run_id, name, status, state.get("started_at", ""), row, str(directory.path)))
    for run_id, row in ledger.items():
        found.append(_summary(run_id, row.get("name", ""), f"{row.get('status', '')} (removed)", "", row, ""))
    return sorted(found, key=lambda summary: (str(summary["started_at"]), summary["run_id"]))


def _summary(run_id: str, name: str, status: str, started_at: str, row: Mapping[str, Any], path: str) -> dict[str, Any]:
    finished = status.startswith("finished")
    return {
        "run_id": run_id,
        "name": name,
        "status": status,
        "started_at": started_at or (row["started_at"].isoformat() if row.get("started_at") is not None else ""),
        "sharpe": row.get("metric.sharpe") if finished else None,
        "path": path,
    }


def _facts(directory: Any) -> dict[str, Any]:
    """Everything that is known about a run."""
    from mnpu.results_io import read_metrics

    state, status = directory.state, directory.status
    # A run that ended badly may hold numbers; a report of a failed gate shows them, a table does not.
    finished = status == "finished"
    return {
        "run_id": directory.run_id,
        "status": status,
        "path": str(directory.path),
        "started_at": state.get("started_at"),
        "ended_at": state.get("ended_at"),
        "error": state.get("error"),
        "run": state.get("run", {}),
        "changed": directory.changed_files(),
        "metrics": read_metrics(directory.path) if finished and (directory.path / "metrics.json").exists() else {},
    }


def _print_numbers(found: Sequence[Mapping[str, Any]]) -> None:
    measured = [facts["metrics"].get("metrics", {}) for facts in found]
    names = list(dict.fromkeys(name for metrics in measured for name in metrics))
    if not names:
        click.echo(f"\nNo numbers: {', '.join(facts['run_id'] + ' is ' + facts['status'] for facts in found)}.")
        return
    columns = ("metric", *(facts["run_id"] for facts in found), "unit")
    rows = []
    for name in names:
        unit = next(metrics[name]["unit"] for metrics in measured if name in metrics)
        rows.append((name, *(_metric(metrics.get(name)) for metrics in measured), unit))
    click.echo()
    click.echo(table(columns, rows, right=columns[1:-1]))


def _metric(metric: Mapping[str, Any] | None) -> str:
    if metric is None or metric["value"] is None:
        return "-"
    se = metric.get("se")
    return _number(metric["value"]) + (f" ± {_number(se)}" if se is not None else "")


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.4g}"


def _shown(value: Any) -> str:
    import json

    return "(not there)" if value is _ABSENT else json.dumps(value, ensure_ascii=False)


_ABSENT = "(not there)"


def _differences(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Dotted key to its value in each run, where they are not all equal."""
    flat = [dict(_flatten(config)) for config in configs]
    keys = list(dict.fromkeys(key for values in flat for key in values))
    rows = {key: [values.get(key, _ABSENT) for values in flat] for key in keys}
    return {key: row for key, row in rows.items() if any(value != row[0] for value in row)}


def _flatten(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        return [pair for key, item in value.items() for pair in _flatten(item, f"{prefix}.{key}" if prefix else key)]
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        return [pair for i, item in enumerate(value) for pair in _flatten(item, f"{prefix}.{i}")]
    return [(prefix, value)]
