"""Sweep a recipe along axes: run its trials, show, compare and draw them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnpu.commands._shared import emit, json_option, runs_option, say_damaged, table
from mnpu.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mnpu.sweep.catalogue import Catalogue, Entry
    from mnpu.sweep.choice import Choice
    from mnpu.sweep.differences import Comparison

__all__ = ["command"]


@click.group()
def command() -> None:
    """Sweep a recipe along axes: run its trials, show, compare and draw them."""


@command.command("run")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--workers", type=click.IntRange(1, 256), help="Trials at a time, in place of what FILE says.")
@click.option("--again", is_flag=True, help="Do trials again that failed before.")
@runs_option
@json_option
def run_command(file: Path, workers: int | None, again: bool, runs: Path, as_json: bool) -> None:
    """Run the trials of the sweep that FILE declares; those that have a row in the ledger are not run again.

    It may be killed and started again, and several may run at once: each trial counts once. A trial that fails is a
    row with its reason, and the others go on. Exits 0 even then; 2 where FILE or a recipe of it is wrong.
    """
    from mnpu.plugins.registry import Registry
    from mnpu.progress import Progress, Silent
    from mnpu.sweep import load_sweep
    from mnpu.sweep.runner import run_sweep

    definition = load_sweep(file)
    progress = Silent() if as_json else Progress()
    done = run_sweep(definition, Registry.discover(), runs=runs, progress=progress, workers=workers, again=again)

    def human() -> None:
        click.echo(
            f"{done.trials} trials: {done.done_now} done now in {done.seconds:.0f} s, {done.done_before} before, "
            f"{done.failed} failed."
        )
        if done.best is not None:
            name, run_id, value = done.best
            click.echo(f"best {definition.sweep.objective}: {value:.4g} ({name}, run {run_id}), one of {done.trials}")
        click.echo(f"See them: mnpu sweep show {definition.sweep.name}")

    emit(as_json, {"sweep": definition.sweep.name, **vars(done)}, human)


@command.command("list")
@runs_option
@json_option
def list_command(runs: Path, as_json: bool) -> None:
    """List the sweeps of a folder of runs, with their axes."""
    from mnpu.sweep import kept

    found = [kept.read(runs, name) for name in kept.known(runs)]

    def human() -> None:
        if not found:
            click.echo(f"There is no sweep in {runs} yet. Begin one with: mnpu sweep run FILE")
            return
        cells = [(each.name, str(each.trials), ", ".join(each.axes), each.objective) for each in found]
        click.echo(table(("sweep", "trials", "axes", "objective"), cells, right=("trials",)))

    emit(as_json, {"sweeps": found}, human)


@command.command("show")
@click.argument("name", metavar="SWEEP")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="A column, in place of the usual. Repeatable.")
@runs_option
@json_option
def show_command(name: str, metrics: tuple[str, ...], runs: Path, as_json: bool) -> None:
    """Show every trial of SWEEP: its place on the axes, its numbers on equal decisions, and those that failed."""
    from mnpu.sweep.catalogue import COLUMNS, read_catalogue
    from mnpu.sweep.choice import choices
    from mnpu.sweep.trials import place_of

    found = read_catalogue(runs, name)
    chosen = choices(found)
    columns = metrics or COLUMNS
    _refuse_unknown(found, metrics)

    def human() -> None:
        axes = found.kept.axes
        cells = [
            (*entry.at(axes), *(_number(entry.values.get(column)) for column in columns), entry.run_id, _words(entry))
            for entry in found.entries
        ]
        if cells:
            click.echo(table((*axes, *columns, "run", "in words"), cells, right=columns))
        for failed in found.failed:
            click.echo(
                f"failed: {place_of(failed['axes'])}: {failed['error'].splitlines()[0] if failed['error'] else ''}"
            )
        click.echo(f"{len(found.entries)} of {found.kept.trials} trials finished, {len(found.failed)} failed.")
        for note in found.notes:
            click.echo(f"note: {note}")
        _print_choices(found, chosen)

    told = {
        "sweep": found.kept,
        "trials": [_entry_json(entry) for entry in found.entries],
        "failed": found.failed,
        "notes": found.notes,
    }
    emit(as_json, {**told, "choices": [_choice_json(choice) for choice in chosen]}, human)


@command.command("compare")
@click.argument("name", metavar="SWEEP")
@click.option("--metric", metavar="NAME", help="What is compared. Default: the sweep's objective.")
@click.option("--by", "axis", default="", metavar="AXIS", help="Whose places are compared. Default: the treatment.")
@click.option("--alpha", type=click.FloatRange(0.001, 0.5), default=0.05, show_default=True, help="Level of the test.")
@runs_option
@json_option
def compare_command(name: str, metric: str | None, axis: str, alpha: float, runs: Path, as_json: bool) -> None:
    """Compare the places of an axis over all data sets: means over the seeds, ranks, and what is distinguishable."""
    from mnpu.errors import MnpuError
    from mnpu.sweep.catalogue import read_catalogue
    from mnpu.sweep.choice import choices

    found = read_catalogue(runs, name)
    try:
        comparison, chosen = _comparison(found, metric, axis, alpha), choices(found)
    except MnpuError:  # perhaps for want of what the notes tell of
        _say_notes(found)
        raise

    def human() -> None:
        import numpy as np

        rows = [
            (
                treatment,
                *(_mean(*pair) for pair in zip(comparison.scores[:, i], comparison.spread[:, i], strict=True)),
                f"{comparison.ranks[i]:.2f}",
            )
            for i, treatment in enumerate(comparison.treatments)
        ]
        columns = (comparison.metric, *comparison.datasets, "mean rank")
        click.echo(table(columns, rows, right=columns[1:]))
        click.echo(f"all alike: p = {comparison.p:.2g} (Friedman {comparison.friedman:.2f}, permuted)")
        click.echo(f"distinguishable at {alpha:g}: mean ranks {comparison.distance:.2f} apart (Nemenyi)")
        if float(np.ptp(comparison.ranks)) < comparison.distance:
            click.echo("No two are distinguishable.")
        for dataset in comparison.left_out:
            click.echo(f"left out: {dataset}, where one is missing")
        for note in found.notes:
            click.echo(f"note: {note}")
        _print_choices(found, chosen)

    emit(
        as_json,
        {"comparison": comparison, "notes": found.notes, "choices": [_choice_json(choice) for choice in chosen]},
        human,
    )


@command.command("look")
@click.argument("name", metavar="SWEEP")
@click.option("--block", default="", metavar="PLACE", help="Whose best trial, where the sweep has several blocks.")
@click.option("--run", "run_id", default="", metavar="RUN", help="Another trial than the best.")
@click.option("--again", is_flag=True, help="Take another look after one was taken. It counts.")
@runs_option
@json_option
def look_command(name: str, block: str, run_id: str, again: bool, runs: Path, as_json: bool) -> None:
    """Judge the best trial of SWEEP on the locked range, which no trial has read; the ledger counts the look.

    It is taken once: asked again, what it found is told. Exits 2 where no range is locked, where the sweep is not
    finished, and where another trial has had the look.
    """
    from mnpu.sweep.look import look

    say_damaged(runs)
    found = look(runs, name, block=block, run_id=run_id, again=again)

    def human() -> None:
        click.echo(f"{found.place} on the locked range (run {found.run_id}), look {found.number} at it:")
        click.echo(f"Sharpe ratio {_number(found.sharpe)}; it is above zero with probability {_number(found.psr)}")

    emit(as_json, {"look": found}, human)


@command.command("plot")
@click.argument("name", metavar="SWEEP")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("."), help="Folder for pictures.")
@click.option("--x", default="seconds", show_default=True, metavar="METRIC", help="What it costs.")
@click.option("--y", default=None, metavar="METRIC", help="What it gives. Default: the sweep's objective.")
@click.option("--by", "axis", default="", metavar="AXIS", help="Whose places are compared. Default: the treatment.")
@click.option("--alpha", type=click.FloatRange(0.001, 0.5), default=0.05, show_default=True, help="Level of the test.")
@runs_option
@json_option
def plot_command(
    name: str, out: Path, x: str, y: str | None, axis: str, alpha: float, runs: Path, as_json: bool
) -> None:
    """Draw SWEEP: SWEEP-pareto.svg, what it gives against what it costs, and SWEEP-ranks.svg, critical differences."""
    from mnpu.atomic import write_atomically
    from mnpu.sweep.catalogue import read_catalogue
    from mnpu.sweep.pictures import critical_differences, pareto_front

    found = read_catalogue(runs, name)
    _say_notes(found)
    drawn = {"pareto": pareto_front(found, x=x, y=y or found.kept.objective)}
    drawn["ranks"] = critical_differences(_comparison(found, y, axis, alpha))
    paths = [write_atomically(out / f"{name}-{kind}.svg", text.encode()) for kind, text in drawn.items()]
    emit(as_json, {"pictures": paths}, lambda: click.echo("\n".join(map(str, paths))))


@command.command("export")
@click.argument("name", metavar="SWEEP")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The Parquet file.")
@runs_option
@json_option
def export_command(name: str, out: Path, runs: Path, as_json: bool) -> None:
    """Write the rows of SWEEP, measured on equal decisions, and those that failed, into one Parquet file."""
    from mnpu.sweep.catalogue import read_catalogue
    from mnpu.sweep.export import export

    found = read_catalogue(runs, name)
    _say_notes(found)
    path = export(found, out)
    emit(as_json, {"path": path}, lambda: click.echo(str(path)))


@command.command("agenda")
@click.argument("names", nargs=-1, required=True, metavar="SWEEP...")
@click.option(
    "--page",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("docs/research_agenda.md"),
    show_default=True,
    help="The page; made where there is none.",
)
@runs_option
@json_option
def agenda_command(names: tuple[str, ...], page: Path, runs: Path, as_json: bool) -> None:
    """Write what sweeps found into the research agenda: a section each, between marks, the rest of the page is kept."""
    from mnpu.sweep.agenda import feed

    say_damaged(runs)
    path = feed(page, runs, names)
    emit(as_json, {"page": path, "sweeps": names}, lambda: click.echo(str(path)))


def _say_notes(found: Catalogue) -> None:
    for note in found.notes:
        click.echo(f"note: {note}", err=True)


def _refuse_unknown(found: Catalogue, metrics: Sequence[str]) -> None:
    """Raise ConfigError for a column that no trial has; without trials there is nothing to tell it by."""
    known = sorted({name for entry in found.entries for name in entry.values})
    for metric in metrics:
        if known and metric not in known:
            raise ConfigError(f"no trial has {metric}", where="--metric", expected=f"one of {', '.join(known)}")


def _comparison(found: Catalogue, metric: str | None, axis: str, alpha: float) -> Comparison:
    from mnpu.sweep.differences import compared
    from mnpu.sweep.pictures import direction_of

    metric = metric or found.kept.objective
    own = metric == found.kept.objective
    return compared(
        found,
        metric=metric,
        direction=found.kept.direction if own else direction_of(metric),
        treatment=axis,
        alpha=alpha,
    )


def _print_choices(found: Catalogue, chosen: Sequence[Choice]) -> None:
    from mnpu.sweep.choice import said

    for choice in chosen:
        first, *more = said(choice, objective=found.kept.objective, sweep=found.kept.name)
        click.echo("\n  ".join((f"\n{first}", *more)))


def _words(entry: Entry) -> str:
    return "" if entry.judgement is None else entry.judgement.words


def _entry_json(entry: Entry) -> dict[str, Any]:
    from mnpu.commands._outcome import judgement_json

    return {**_fields(entry), "judgement": judgement_json(entry.judgement)}


def _choice_json(choice: Choice) -> dict[str, Any]:
    return {**_fields(choice), "best": _entry_json(choice.best), "luck": choice.luck}


def _fields(of: Any) -> dict[str, Any]:
    return {name: getattr(of, name) for name in of.__dataclass_fields__}


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.3g}"


def _mean(value: float, spread: float) -> str:
    return _number(value) if spread != spread else f"{_number(value)} ± {_number(spread)}"
