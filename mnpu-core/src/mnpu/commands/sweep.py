"""Sweep a recipe along axes: run its trials, show, compare and draw them."""

from __future__ import annotations

from pathlib import Path

import click

from mnpu.commands._shared import emit, json_option, runs_option

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
