"""Data: files into a store, what it holds and when it was known, copies, synthetic markets, features that leak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnpu.commands import _data_import
from mnpu.commands._data_check import check
from mnpu.commands._data_fixture import fixture
from mnpu.commands._data_leaks import leaks
from mnpu.commands._data_overview import (
    echo_series,
    imports_payload,
    imports_table,
    indented,
    kinds_payload,
    kinds_table,
)
from mnpu.commands._shared import emit, json_option, open_store, table

if TYPE_CHECKING:
    from mnpu.data.importing.record import ImportRecord
    from mnpu.data.store import DatasetSummary, SeriesSummary, StoreInfo


@click.group()
def command() -> None:
    """Fill a store, look into it and at what uses it, or make a synthetic one."""


@command.command()
@click.argument("store", metavar="[STORE]", default="market.db")
@click.option("--series", "pattern", metavar="PATTERN", help="Show only side series whose names match, as 'USD CPI*'.")
@json_option
def info(store: str, pattern: str | None, as_json: bool) -> None:
    """Show what STORE holds: datasets, symbols, side series, their spans, lags and licences.

    STORE is a file, a folder with a market.db, a folder of Parquet files, or an URL such as sqlite:///market.db or
    parquet:///folder.
    """
    from mnpu.data.importing.record import read_imports

    held = open_store(store).info()
    if pattern:
        held = replace(held, series=_matching(held, pattern))
    imports = read_imports(held.path)
    payload = {**_payload(held), "kinds": kinds_payload(held.series), "imports": imports_payload(imports)}
    emit(as_json, payload, lambda: echo_series(held.series) if pattern else _print(held, imports))


for subcommand in (check, fixture, _data_import.command, leaks):
    command.add_command(subcommand)


@command.command()
@click.argument("store", metavar="[STORE]", default="market.db")
@json_option
def migrate(store: str, as_json: bool) -> None:
    """Upgrade STORE to the newest schema version: completely, or not at all."""
    from mnpu.data.migrations import migrate as upgrade
    from mnpu.data.store import path_of

    path = Path(store) / "market.db" if "://" not in store and Path(store).is_dir() else path_of(store)
    done = upgrade(path)
    news = f"from version {done.before} to {done.after}" if done.before < done.after else f"is at version {done.after}"
    emit(as_json, {"path": done.path, "before": done.before, "after": done.after}, lambda: click.echo(f"{path} {news}"))


@command.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--store", default="market.db", metavar="STORE", help="The store to read.  [default: market.db]")
@click.option("--format", "kind", type=click.Choice(["parquet"]), default="parquet", help="Form of the copy.")
@json_option
def export(folder: Path, store: str, kind: str, as_json: bool) -> None:
    """Write a store as a folder of Parquet files, which is read like the store itself.

    DIR is where the folder will be; it must not exist. A recipe reads it with `store: parquet:///DIR`.
    """
    from mnpu.data.parquet import export_parquet

    done = export_parquet(open_store(store), folder)
    payload = {"path": done.path, "n_rows": done.n_rows, "n_files": done.n_files, "n_bytes": done.n_bytes}
    bars, megabytes = done.n_rows["prices"], done.n_bytes / 1e6
    emit(as_json, payload, lambda: click.echo(f"{done.path}: {bars:,} bars, {done.n_files} files, {megabytes:.1f} MB"))


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


def _matching(held: StoreInfo, pattern: str) -> tuple[SeriesSummary, ...]:
    from fnmatch import fnmatchcase

    from mnpu.errors import DataError

    found = tuple(s for s in held.series if fnmatchcase(s.info.series.lower(), pattern.lower()))
    if not found:
        raise DataError(
            f"no series matches {pattern!r}",
            where=str(held.path),
            expected="a name, or a pattern such as '*CPI*'",
            next_step="See all of them with: mnpu data info.",
        )
    return found


def _print(held: StoreInfo, imports: Sequence[ImportRecord]) -> None:
    click.echo(f"{held.path}, schema version {held.schema_version}, {held.n_splits} splits\n")
    columns = ("dataset", "bars", "calendar", "adjusted for", "as of", "symbols", "first", "last")
    click.echo(table(columns, [_dataset_row(d) for d in held.datasets], right=("symbols",)))
    for d in held.datasets:
        told = f"{d.info.vendor}; licence: {d.info.licence}" + (f"; {d.info.note}" if d.info.note else "")
        click.echo(f"\n{d.info.name}\n{indented(told)}\n{indented(', '.join(a.symbol for a in d.assets))}")
    if held.series:
        click.echo(f"\n{kinds_table(held.series)}\n")
        echo_series(held.series, shorten=True)
    if imports:
        click.echo(f"\n{imports_table(imports)}")


def _dataset_row(d: DatasetSummary) -> tuple[str, ...]:
    i, assets = d.info, d.assets
    first = f"{min(a.first_bar for a in assets):%Y-%m-%d}" if assets else "-"
    last = f"{max(a.last_bar for a in assets):%Y-%m-%d}" if assets else "-"
    as_of = i.adjusted_as_of or "-"
    n = str(len(assets))
    return (i.name, i.frequency, i.calendar, i.adjustment, as_of, n, first, last)
