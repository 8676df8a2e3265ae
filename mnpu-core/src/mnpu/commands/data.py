"""Look into a store: datasets, symbols, series, when they were known, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnpu.commands._data_check import check
from mnpu.commands._shared import emit, json_option, table

if TYPE_CHECKING:
    from mnpu.data.store import DatasetSummary, SeriesSummary, StoreInfo


@click.group()
def command() -> None:
    """Look into a store."""


command.add_command(check)


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
