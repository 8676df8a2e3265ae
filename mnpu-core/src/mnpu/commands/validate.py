"""Check a pipeline's file against what is installed, without running it."""

from __future__ import annotations

from pathlib import Path

import click

from mnpu.commands._shared import config_options, emit, json_option

__all__ = ["command"]


@click.command()
@config_options
@click.option("--resolved", is_flag=True, help="Print the file with every default filled in.")
@json_option
def command(file: Path, overlays: tuple[Path, ...], sets: tuple[str, ...], resolved: bool, as_json: bool) -> None:
    """Check FILE: its keys, its values, and every component that it names.

    Exits 2 with file, line and column for a wrong configuration, 5 for a plugin that is missing. No data is read.
    """
    from mnpu.assembly import refuse_contradictory_limits
    from mnpu.config.dump import dump
    from mnpu.config.load import load_config
    from mnpu.config.resolve import components, resolve
    from mnpu.hashing import hash_config
    from mnpu.plugins.registry import Registry

    loaded = load_config(file, overlays=overlays, sets=sets)
    registry = Registry.discover()
    full = resolve(loaded, registry)
    refuse_contradictory_limits(loaded, registry)
    count = sum(1 for _ in components(loaded))

    def human() -> None:
        if resolved:
            click.echo(dump(full), nl=False)
        click.echo(f"{file} is valid: {count} components, config hash {hash_config(full)[:12]}.", err=resolved)

    emit(
        as_json,
        {"valid": True, "file": file, "components": count, "config_hash": hash_config(full), "resolved": full},
        human,
    )
