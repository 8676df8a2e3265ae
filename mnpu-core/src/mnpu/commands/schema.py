"""Write the JSON Schema of a pipeline, for completion in an editor."""

from __future__ import annotations

from pathlib import Path

import click

from mnpu.commands._shared import echo_json, json_option

__all__ = ["command"]


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it to FILE.")
@json_option
def command(out: Path | None, as_json: bool) -> None:
    """Print the JSON Schema of a pipeline with the components that are installed, for completion in an editor.

    Begin a recipe with the line `# yaml-language-server: $schema=FILE` to use it.
    """
    import json

    from mnpu.config.json_schema import json_schema
    from mnpu.errors import MnpuError
    from mnpu.plugins.registry import Registry

    schema = json_schema(Registry.discover())
    if out is None:
        echo_json(schema)
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise MnpuError(f"cannot be written ({error.strerror})", where=str(out)) from error
    if as_json:
        echo_json({"schema": out})
    else:
        click.echo(f"schema: {out}")
