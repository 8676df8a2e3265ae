"""Write the report of a run again, from what is on disk."""

from __future__ import annotations

from pathlib import Path

import click

from mnpu.commands._shared import emit, json_option, run_argument, runs_option
from mnpu.errors import ConfigError

__all__ = ["command"]


@click.command()
@run_argument
@click.option("--format", "formats", metavar="NAMES", help="As in html,md. Default: those of the run.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder to write to. Default: the run directory.",
)
@runs_option
@json_option
def command(run: str, formats: str | None, out: Path | None, runs: Path, as_json: bool) -> None:
    """Write the report of RUN (a run id or a run directory) again, from what is on disk.

    It is judged by the trials that there are now: what was tried since the run counts.
    """
    from mnpu import report
    from mnpu.judging import judged
    from mnpu.plugins.registry import Registry
    from mnpu.results_io import read_result
    from mnpu.rundir import open_run

    found = open_run(runs, run)
    result = judged(read_result(found.path), found.path.parent)  # more may have been tried since
    if found.status != "finished" and all(gate.passed for gate in result.gates):
        raise ConfigError(
            f"the run is {found.status}, so a report of it would look like more than it is",
            where=found.run_id,
            expected="a finished run, or one that failed an honesty gate",
            next_step=f"See: mnpu runs show {found.run_id}.",
        )
    wanted = _names(formats) if formats is not None else _configured(result.run.config if result.run else {})
    changed = [name for name in found.changed_files() if not name.startswith("report.")]
    for name in changed:
        click.echo(f"warning: {name} changed after the run, so this is not the report of what ran", err=True)
    for note in () if result.judgement is None else result.judgement.notes:
        click.echo(f"warning: {note}", err=True)
    paths = report.write(result, out or found.path, wanted, Registry.discover())
    emit(
        as_json,
        {"run": found.run_id, "reports": paths, "changed": changed},
        lambda: click.echo("\n".join(f"report: {p}" for p in paths)),
    )


def _names(formats: str) -> list[str]:
    names = [name.strip() for name in formats.split(",") if name.strip()]
    if not names:
        raise ConfigError(f"{formats!r} names no format", where="--format", expected="names, as in html,md")
    return names


def _configured(config: object) -> list[str]:
    """The formats of the recipe, Markdown where it names none."""
    section = config.get("report") if isinstance(config, dict) else None
    named = section.get("formats") if isinstance(section, dict) else None
    return [str(name) for name in named] if named else ["md"]
