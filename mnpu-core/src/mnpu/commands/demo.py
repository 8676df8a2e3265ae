"""See it work: real data, a trained forecaster, an honest report, in minutes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnpu.commands._shared import emit, json_option

if TYPE_CHECKING:
    from mnpu.plugins.registry import Registry

RECIPE = "us_equities_daily"

#: What each first-party plugin adds to the demo, in the order in which its overlay is laid on the recipe.
ADDS = {
    "data-macro": "macro features, as known at each decision",
    "guardrails": "net and per-symbol limits",
    "models-ssm": "a state-space model to compare with",
    "report": "the report as one HTML file",
}


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    metavar="DIR",
    help="Folder for the store, the recipes and the runs.",
)
@json_option
def command(out: Path, as_json: bool) -> None:
    """Build a store from the bundled data, run the daily recipe on 24 US securities, and report.

    Nothing is downloaded. The recipe grows by what each installed plugin adds; missing ones are named.
    """
    from mnpu.commands._outcome import outcome_json, print_outcome
    from mnpu.commands.init import initialise
    from mnpu.config import load_config
    from mnpu.execute import execute
    from mnpu.plugins.registry import Registry
    from mnpu.progress import Progress, Silent

    progress = Silent() if as_json else Progress()
    registry = Registry.discover()
    if not (out / "market.db").exists():
        with progress.stage(f"building a store of bundled market data in {out}"):
            initialise(out)
    present = installed(registry)
    overlays = [out / f"{RECIPE}.{plugin}.yaml" for plugin in ADDS if plugin in present]
    loaded = load_config(out / f"{RECIPE}.yaml", overlays=overlays)
    executed = execute(loaded, registry, runs=out / "runs", progress=progress)
    emit(as_json, outcome_json(executed), lambda: print_outcome(executed))
    if not as_json:
        for plugin, what in ADDS.items():
            if plugin not in present:
                click.echo(f"would add {what}: pip install mnpu-{plugin}")


def installed(registry: Registry) -> set[str]:
    """The first-party plugins that are installed and work, without their common prefix."""
    return {component.dist.removeprefix("mnpu-") for component in registry.components()}
