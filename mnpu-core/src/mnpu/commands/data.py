"""Look into a store (datasets, symbols, series, and when they were known), or make a synthetic one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnpu.commands._shared import emit, json_option, table
from mnpu.data.fixture.plan import Plan

if TYPE_CHECKING:
    from mnpu.data.fixture.write import Written
    from mnpu.data.store import DatasetSummary, SeriesSummary, StoreInfo


@click.group()
def command() -> None:
    """Look into a store, or make one of synthetic data."""


@command.command()
@click.argument("store", metavar="[STORE]", default="market.db")
@json_option
def info(store: str, as_json: bool) -> None:
    """Show what STORE holds: datasets, symbols, macro series, their spans, lags and licences.

    STORE is a file, a folder with a market.db, or an URL such as sqlite:///market.db.
    """
    from mnpu.data.store import Store

    path = Path(store) / "market.db" if "://" not in store and Path(store).is_dir() else store
    held = Store.open(path).info()
    emit(as_json, _payload(held), lambda: _print(held))


@command.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--symbols", type=int, default=Plan.symbols, show_default=True, help="How many, at least 4.")
@click.option("--sessions", type=int, default=Plan.sessions, show_default=True, help="Sessions of XNYS, at least 250.")
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
    folder: Path, symbols: int, sessions: int, seed: int, plant: str, ic: float, defects: tuple[str, ...], as_json: bool
) -> None:
    """Write a synthetic market whose truth is known into the new folder DIR.

    DIR/fixture.db is a store, DIR/fixture.yaml a recipe that trains on it in seconds, and DIR/fixture.json says what
    was planted, what was measured, and which rows each defect touched.
    """
    from mnpu.commands._fixture import checks_of
    from mnpu.data.fixture.defects import DEFECTS
    from mnpu.data.fixture.write import write_fixture
    from mnpu.plugins.registry import Registry

    named = tuple(DEFECTS) if "all" in defects else defects
    plan = Plan(symbols=symbols, sessions=sessions, seed=seed, plant=plant, ic=ic, defects=named)
    written = write_fixture(folder, plan, checks_of(Registry.discover()))
    payload = {"store": written.store, "recipe": written.recipe, "facts": written.facts}
    emit(as_json, payload, lambda: _print_fixture(written))


def _print_fixture(written: Written) -> None:
    facts, truth = written.facts, written.facts["truth"]
    measured = truth["measured"]["ic"]
    click.echo(f"{written.store}: {facts['bars']:,} bars of {facts['symbols']} symbols, {facts['splits']} splits,")
    click.echo(f"  {facts['first']} to {facts['last']}, {len(facts['series'])} side series")
    click.echo(f"planted: {truth['about']}")
    click.echo(
        f"  {truth['feature']} has an information coefficient of {truth['ic']:g},"
        f" measured {measured['value']:.4f} ± {measured['se']:.4f}"
    )
    for defect in written.defects:
        click.echo(f"defect: {defect.name} in {defect.subject}: {defect.about} ({len(defect.changes)} changes)")
    click.echo(f"Next: mnpu run {written.recipe}")


def _payload(held: StoreInfo) -> dict[str, object]:
    datasets = [
        {
            **{name: getattr(d.info, name) for name in d.info.__dataclass_fields__},
            "assets": [
                {"symbol": a.symbol, "first_bar": a.first_bar, "last_bar": a.last_bar, "n_bars": a.n_bars}
                for a in d.assets
            ],
        }
        for d in held.datasets
    ]
    series = [
        {
            **{name: getattr(s.info, name) for name in s.info.__dataclass_fields__ if name != "max_age"},
            "max_age_days": s.info.max_age.days,
            "note": s.note,
            "n_observations": s.n_observations,
            "n_revisions": s.n_revisions,
            "n_missing": s.n_missing,
            "first_event": s.first_event,
            "last_event": s.last_event,
            "last_known": s.last_known,
        }
        for s in held.series
    ]
    return {
        "path": held.path,
        "schema_version": held.schema_version,
        "n_splits": held.n_splits,
        "datasets": datasets,
        "series": series,
    }


def _print(held: StoreInfo) -> None:
    click.echo(f"{held.path}, schema version {held.schema_version}, {held.n_splits} splits\n")
    columns = ("dataset", "bars", "calendar", "adjustment", "as of", "symbols", "first", "last", "licence")
    click.echo(table(columns, [_dataset_row(d) for d in held.datasets], right=("symbols",)))
    for d in held.datasets:
        click.echo(f"\n{d.info.name}: {d.info.vendor}\n  {', '.join(a.symbol for a in d.assets)}\n  {d.info.note}")
    click.echo("\nA series is known after its release lag (declared), or from the day on which it was published.\n")
    headings = ("series", "unit", "every", "known", "max age", "rows", "revised", "missing", "first", "last", "licence")
    rows = [_series_row(s) for s in held.series]
    click.echo(table(headings, rows, right=("max age", "rows", "revised", "missing")))


def _dataset_row(d: DatasetSummary) -> tuple[str, ...]:
    i, assets = d.info, d.assets
    first, last = min(a.first_bar for a in assets), max(a.last_bar for a in assets)
    as_of = i.adjusted_as_of or "-"
    n = str(len(assets))
    return (i.name, i.frequency, i.calendar, i.adjustment, as_of, n, f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}", i.licence)


def _series_row(s: SeriesSummary) -> tuple[str, ...]:
    i = s.info
    counts = (f"{s.n_observations}", f"{s.n_revisions}", f"{s.n_missing}")
    span = (f"{s.first_event:%Y-%m-%d}", f"{s.last_event:%Y-%m-%d}")
    known = i.release_lag or i.basis
    return (i.series, i.unit, i.frequency, known, f"{i.max_age.days} d", *counts, *span, i.licence)
