"""List runs, look at one, compare some, take one apart, or tidy up their ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnpu.commands._runs_analyse import analyse
from mnpu.commands._runs_decisions import OTHER_DECISIONS, have_same_decisions
from mnpu.commands._shared import emit, json_option, run_argument, runs_option, say_damaged, table

if TYPE_CHECKING:
    from mnpu.judging import Judge
    from mnpu.rundir import RunDirectory
    from mnpu.types import Judgement

__all__ = ["command"]


@click.group()
def command() -> None:
    """List runs, look at one, compare some, take one apart, or tidy up their ledger."""


command.add_command(analyse)


@command.command("list")
@runs_option
@json_option
def list_command(runs: Path, as_json: bool) -> None:
    """List every run, the oldest first, with its state, and whether its Sharpe ratio can be told from luck."""
    from mnpu.ledger import read_rows

    rows, broken = read_rows(runs)
    for problem in broken:
        click.echo(f"warning: {problem}", err=True)
    found = _summaries(runs, rows)
    columns = ("run", "name", "state", "started (UTC)", "Sharpe", "DSR", "PBO", "in words")

    def human() -> None:
        if not found:
            click.echo(f"There is no run in {runs} yet. Begin one with: mnpu run FILE")
            return
        cells = [
            (
                *(r["run_id"], r["name"], r["status"], str(r["started_at"])[:19].replace("T", " ")),
                *(_number(r[name]) for name in ("sharpe", "dsr", "pbo")),
                r["words"],
            )
            for r in found
        ]
        click.echo(table(columns, cells, right=("Sharpe", "DSR", "PBO")))

    emit(as_json, {"runs": found, "unreadable": broken}, human)


@command.command("compact")
@runs_option
@json_option
def compact_command(runs: Path, as_json: bool) -> None:
    """Put the rows of the ledger, a file each, into one file; what runs meanwhile may go on.

    Files that cannot be read are named and stay as they are.
    """
    from mnpu.ledger import compact

    rows, files = compact(runs)
    told = {"rows": rows, "files": files, "unreadable": say_damaged(runs)}
    emit(as_json, told, lambda: click.echo(f"{rows} rows; {files} files became one."))


@command.command("show")
@run_argument
@runs_option
@json_option
def show_command(run: str, runs: Path, as_json: bool) -> None:
    """Show what RUN (an id, its beginning, or a directory) was, how it ended, and its numbers."""
    from mnpu.rundir import open_run

    found = _facts(open_run(runs, run))
    _say_notes([found])

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
    from mnpu.config.differing import differing
    from mnpu.errors import ConfigError
    from mnpu.rundir import open_run

    if len(chosen) < 2:
        raise ConfigError(f"one run ({chosen[0]}) cannot be compared", expected="at least two runs")
    found = [_facts(open_run(runs, run)) for run in chosen]
    differences = differing([facts["run"].get("config", {}) for facts in found])
    _say_notes(found)

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
    from mnpu.judging import Judge
    from mnpu.rundir import list_runs

    judge = Judge(runs)
    ledger = {row["run_id"]: row for row in rows}
    found = []
    for directory in list_runs(runs):
        row = ledger.pop(directory.run_id, {})
        try:
            state, status = directory.state, directory.status
        except MnpuError:
            state, status = {}, "damaged"
        name = state.get("run", {}).get("name") or row.get("name", "")
        summary = _summary(directory.run_id, name, status, state.get("started_at", ""), row, str(directory.path))
        found.append({**summary, **_told(judge, row, status)})
    for run_id, row in ledger.items():
        status = str(row.get("status", ""))
        summary = _summary(run_id, row.get("name", ""), f"{status} (removed)", "", row, "")
        found.append({**summary, **_told(judge, row, status)})
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


def _told(judge: Judge, row: Mapping[str, Any], status: str) -> dict[str, Any]:
    """What judging a finished run says of it; nothing of others, which show no Sharpe ratio."""
    if status != "finished" or not row:
        return {"dsr": None, "pbo": None, "n_trials": None, "n_trials_eff": None, "words": ""}
    found = judge.of_row(row)
    numbers = {"dsr": found.dsr.value, "pbo": found.pbo.value}
    return {**numbers, "n_trials": found.n_trials, "n_trials_eff": found.n_trials_eff, "words": found.words}


def _judged(directory: RunDirectory) -> Judgement | None:
    """The judgement of a run by its whole result; None where that cannot be read, which other lines say."""
    from mnpu.errors import MnpuError
    from mnpu.judging import judged
    from mnpu.results_io import read_result

    try:
        return judged(read_result(directory.path), directory.path.parent).judgement
    except MnpuError:
        return None


def _facts(directory: RunDirectory) -> dict[str, Any]:
    """Everything that is known about a run."""
    from mnpu.commands._outcome import judgement_json
    from mnpu.results_io import read_metrics

    state, status = directory.state, directory.status
    # A run that ended badly may hold numbers; a report of a failed gate shows them, a table does not.
    has_numbers = status == "finished" and (directory.path / "metrics.json").exists()
    judgement = _judged(directory) if has_numbers else None
    return {
        "run_id": directory.run_id,
        "status": status,
        "path": str(directory.path),
        "started_at": state.get("started_at"),
        "ended_at": state.get("ended_at"),
        "error": state.get("error"),
        "run": state.get("run", {}),
        "changed": directory.changed_files(),
        "metrics": read_metrics(directory.path) if has_numbers else {},
        "judgement": judgement_json(judgement),
        "told": "" if judgement is None else judgement.told,
        "notes": [] if judgement is None else list(judgement.notes),
    }


def _say_notes(found: Sequence[Mapping[str, Any]]) -> None:
    """What the judgements rest on that could not be read, each once."""
    for note in dict.fromkeys(note for facts in found for note in facts["notes"]):
        click.echo(f"warning: {note}", err=True)


def _print_numbers(found: Sequence[Mapping[str, Any]]) -> None:
    measured = [_with_judgement(facts) for facts in found]
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
    click.echo()
    for facts in found:
        gates = facts["metrics"].get("gates", [])
        passed = sum(gate["passed"] for gate in gates)
        if facts["told"]:
            click.echo(f"{facts['run_id']}: {facts['told']}; {passed} of {len(gates)} honesty gates passed")


def _with_judgement(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics of a run, and what stands beside its Sharpe ratio."""
    metrics = facts["metrics"].get("metrics", {})
    judged = {name: vars(facts["judgement"][name]) for name in ("dsr", "pbo")} if facts["judgement"] else {}
    ordered: dict[str, Any] = {}
    for name, metric in metrics.items():
        ordered[name] = metric
        if name == "sharpe":
            ordered.update(judged)
    return ordered


def _metric(metric: Mapping[str, Any] | None) -> str:
    if metric is None or metric["value"] is None:
        return "-"
    se = metric.get("se")
    return _number(metric["value"]) + (f" ± {_number(se)}" if se is not None else "")


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.4g}"


def _shown(value: Any) -> str:
    import json

    from mnpu.config.differing import ABSENT

    return ABSENT if value is ABSENT else json.dumps(value, ensure_ascii=False)
