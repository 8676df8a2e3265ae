"""Run a pipeline: train, simulate, check honesty, report."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from mnpu.commands._shared import config_options, emit, json_option, runs_option


@click.command()
@partial(config_options, required=False)
@click.option("--resume", metavar="RUN", help="Go on with a run that was killed, stopped or failed, in place of FILE.")
@click.option("--unlock", is_flag=True, help="Judge on the locked range (split.locked); the ledger counts the look.")
@runs_option
@json_option
def command(
    file: Path | None,
    overlays: tuple[Path, ...],
    sets: tuple[str, ...],
    resume: str | None,
    unlock: bool,
    runs: Path,
    as_json: bool,
) -> None:
    """Run the pipeline that FILE declares and keep everything in a new run directory.

    With --resume, an unfinished run goes on in its own directory: what it has fitted is read, a fit in progress is
    taken up at its last checkpoint, and on a CPU the result is bit-equal to that of a run which was never stopped.

    Exits 0 when the run finished and passed its honesty gates, 2 for a wrong configuration, 3 for refused data,
    4 when a gate failed, 5 when a plugin is missing.
    """
    from mnpu.commands._outcome import outcome_json, print_outcome
    from mnpu.config import load_config
    from mnpu.execute import execute
    from mnpu.plugins.registry import Registry
    from mnpu.progress import Progress, Silent
    from mnpu.rundir import open_run

    _refuse_both(file, overlays, sets, resume)
    if resume is not None and unlock:
        raise click.UsageError("--resume goes on with the run's own recipe: it is unlocked or not.")
    directory = None if resume is None else open_run(runs, resume)
    if directory is not None:
        file = directory.path / "resolved.yaml"
    assert file is not None
    if unlock:
        sets = (*sets, "split.unlocked=true")
    loaded = load_config(file, overlays=overlays, sets=sets)
    progress = Silent() if as_json else Progress()
    executed = execute(loaded, Registry.discover(), runs=runs, progress=progress, resume=directory, unlock=unlock)
    emit(as_json, outcome_json(executed), lambda: print_outcome(executed))


def _refuse_both(file: Path | None, overlays: tuple[Path, ...], sets: tuple[str, ...], resume: str | None) -> None:
    """Raise a usage error unless there is exactly one of FILE and --resume, which takes no changes."""
    if resume is None and file is None:
        raise click.UsageError("Missing argument 'FILE', or --resume RUN.")
    if resume is not None and (file is not None or overlays or sets):
        raise click.UsageError("--resume goes on with the run's own recipe: give no FILE, -f or --set.")
