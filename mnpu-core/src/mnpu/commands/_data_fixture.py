"""Write a synthetic market whose truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnpu.commands._shared import emit, json_option
from mnpu.data.fixture.plan import Plan

if TYPE_CHECKING:
    from mnpu.data.fixture.write import Written


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--symbols", type=int, default=Plan.symbols, show_default=True, help="How many, at least 4.")
@click.option("--sessions", type=int, default=Plan.sessions, show_default=True, help="Sessions of XNYS, at least 250.")
@click.option(
    "--covered",
    type=int,
    default=Plan.covered,
    show_default=True,
    help="Symbols with side data of their own: a chain, a perpetual contract, texts.",
)
@click.option("--seed", type=int, default=Plan.seed, show_default=True, help="The same seed gives the same bytes.")
@click.option(
    "--plant",
    default=Plan.plant,
    show_default=True,
    metavar="KIND",
    help="What can be predicted: signal, null (nothing), or leak (nothing, beside series that only seem to).",
)
@click.option("--ic", type=float, default=Plan.ic, show_default=True, help="Information coefficient of the signal.")
@click.option("--defect", "defects", multiple=True, metavar="NAME", help="A fault to inject, or all. Repeatable.")
@json_option
def fixture(
    folder: Path,
    symbols: int,
    sessions: int,
    covered: int,
    seed: int,
    plant: str,
    ic: float,
    defects: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write a synthetic market whose truth is known into the new folder DIR.

    DIR/fixture.db is a store, DIR/fixture.yaml a recipe that trains on it in seconds, DIR/fixture.side.yaml an overlay
    with the signals of the installed data plugins, and DIR/fixture.json says what was planted, what was measured, and
    which rows each defect touched.
    """
    from mnpu.commands._fixture import checks_of
    from mnpu.data.fixture.defects import DEFECTS
    from mnpu.data.fixture.recipe import missing
    from mnpu.data.fixture.write import write_fixture
    from mnpu.plugins.registry import Registry

    named = tuple(DEFECTS) if "all" in defects else defects
    plan = Plan(symbols=symbols, sessions=sessions, covered=covered, seed=seed, plant=plant, ic=ic, defects=named)
    registry = Registry.discover()
    sources = {component.name for component in registry.components("feature_source")}
    written = write_fixture(folder, plan, checks_of(registry), sources)
    would_add = missing(sources)
    payload = {"store": written.store, "recipe": written.recipe, "overlay": written.overlay, "would_add": would_add}
    emit(as_json, {**payload, "facts": written.facts}, lambda: _print_fixture(written, would_add))


def _print_fixture(written: Written, would_add: Mapping[str, str]) -> None:
    facts, truth = written.facts, written.facts["truth"]
    measured = truth["measured"]["ic"]
    beside = f"{facts['splits']} splits, {facts['dividends']} dividends"
    click.echo(f"{written.store}: {facts['bars']:,} bars of {facts['symbols']} symbols, {beside},")
    click.echo(f"  {facts['first']} to {facts['last']}, universe {facts['universe']}, {len(facts['series'])} series,")
    click.echo(f"  {len(facts['covered'])} symbols with a chain, a perpetual contract and texts of their own")
    click.echo(f"planted: {truth['about']}")
    click.echo(
        f"  {truth['feature']} has an information coefficient of {truth['ic']:g},"
        f" measured {measured['value']:.4f} ± {measured['se']:.4f}"
    )
    for defect in written.defects:
        found = f"found by {defect.found_by}" if defect.found_by else "found by none"
        click.echo(
            f"defect: {defect.name} in {defect.subject}: {defect.about} ({len(defect.changes)} changes), {found}"
        )
    click.echo(f"Next: mnpu run {written.recipe}")
    click.echo(f"With side data: mnpu run {written.recipe} -f {written.overlay}")
    for dist, what in would_add.items():
        click.echo(f"would add {what}: pip install {dist}")
