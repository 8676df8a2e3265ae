"""Run a pipeline: train, simulate, check honesty, report."""

from __future__ import annotations

from pathlib import Path

import click

from mnpu.commands._shared import config_options, emit, json_option, runs_option


@click.command()
@config_options
@runs_option
@json_option
def command(file: Path, overlays: tuple[Path, ...], sets: tuple[str, ...], runs: Path, as_json: bool) -> None:
    """Run the pipeline that FILE declares and keep everything in a new run directory.

    Exits 0 when the run finished and passed its honesty gates, 2 for a wrong configuration, 3 for refused data,
    4 when a gate failed, 5 when a plugin is missing.
    """
    from mnpu.commands._outcome import outcome_json, print_outcome
    from mnpu.config import load_config
    from mnpu.execute import execute
    from mnpu.plugins.registry import Registry
    from mnpu.progress import Progress, Silent

    loaded = load_config(file, overlays=overlays, sets=sets)
    progress = Silent() if as_json else Progress()
    executed = execute(loaded, Registry.discover(), runs=runs, progress=progress)
    emit(as_json, outcome_json(executed), lambda: print_outcome(executed))
