"""Hold every feature of a pipeline to the whole leak kit, on its own data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnpu.commands._shared import config_options, emit, json_option, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mnpu.features.examination import Examined


@click.command("leaks")
@config_options
@json_option
def leaks(file: Path, overlays: tuple[Path, ...], sets: tuple[str, ...], as_json: bool) -> None:
    """Look for the future in the features of the pipeline that FILE declares.

    Replaces the future, cuts it off, rewrites later vintages and delays publications; no feature may notice. Nothing
    is trained. Exits 4 where one does, and 3 where a run would refuse the features or their data.
    """
    from mnpu import pipeline
    from mnpu.assembly import store_path
    from mnpu.config.load import load_config
    from mnpu.config.locked import data_in_sight
    from mnpu.features.compute import compute
    from mnpu.features.examination import LAWS, examine
    from mnpu.features.plan import plan
    from mnpu.plugins.registry import Registry
    from mnpu.progress import Progress, Silent

    loaded = load_config(file, overlays=overlays, sets=sets)
    progress = Silent() if as_json else Progress()
    planned = plan(loaded.pipeline.features, Registry.discover())
    data = data_in_sight(loaded.pipeline.split, loaded.pipeline.data)
    panel, side = pipeline.read(data, store_path(data.store, loaded.path.parent), planned, progress)
    compute(planned, panel, side)  # what a run would refuse, such as a column without a value, is not said to be honest
    with progress.stage(f"holding {len(planned)} features to {len(LAWS)} laws"):
        found = examine(planned, panel, side, seed=loaded.pipeline.seed)
    emit(as_json, _payload(found, LAWS), lambda: _print(found, len(panel.times)))
    if not all(one.honest for one in found):
        raise SystemExit(4)


def _payload(found: Sequence[Examined], laws: dict[str, str]) -> dict[str, object]:
    columns = [
        {"column": x.column, "honest": x.honest, "broken": x.broken, "diagnosis": x.diagnosis, "evidence": x.evidence}
        for x in found
    ]
    return {"honest": all(x.honest for x in found), "laws": laws, "columns": columns}


def _print(found: Sequence[Examined], bars: int) -> None:
    guilty = [x for x in found if not x.honest]
    if not guilty:
        click.echo(f"No feature of {len(found)} sees the future on {bars:,} bars.")
        return
    rows = [(x.column, x.diagnosis, ", ".join(x.broken)) for x in guilty]
    click.echo(table(("feature", "leak", "breaks"), rows))
    for x in guilty:
        click.echo(f"\n{x.column} {x.diagnosis}:\n  {x.evidence}")
    click.echo(f"\n{len(guilty)} of {len(found)} features see what was not known at their decisions.")
