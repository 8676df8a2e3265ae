"""Set up a folder: a store of the bundled market data, and recipes to run on it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnpu.commands._shared import emit, json_option

if TYPE_CHECKING:
    from mnpu.data.build import StoreSummary

STORE = "market.db"


@dataclass(frozen=True)
class Initialised:
    """What ``initialise`` wrote, and the recipes that it left as they were."""

    store: StoreSummary
    recipes: tuple[Path, ...]
    kept: tuple[Path, ...]


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@json_option
def command(folder: Path, as_json: bool) -> None:
    """Write DIR/market.db from the data inside the package, and example recipes beside it.

    Nothing is downloaded and nothing is overwritten.
    """
    watched = not as_json and sys.stderr.isatty()

    def progress(done: int, total: int, what: str) -> None:
        click.echo(f"\r{done}/{total} {what:<40}", nl=done == total, err=True)

    watcher: Callable[[int, int, str], None] | None = progress if watched else None
    done = initialise(folder, progress=watcher)
    emit(as_json, _payload(done), lambda: _print(done))


def initialise(folder: Path, *, progress: Callable[[int, int, str], None] | None = None) -> Initialised:
    """Build the store in ``folder`` and copy the recipes that ship with the package; existing recipes are kept.

    Raises
    ------
    ConfigError
        If the folder has a store already.
    MnpuError
        If the folder cannot be written.
    """
    from importlib.resources import files

    from mnpu.data.build import init_store
    from mnpu.errors import MnpuError

    store = init_store(folder / STORE, progress=progress)
    written, kept = [], []
    for recipe in sorted(files("mnpu.recipes").iterdir(), key=lambda entry: entry.name):
        if not recipe.name.endswith(".yaml"):
            continue
        target = folder / recipe.name
        try:
            with target.open("x", encoding="utf-8", newline="\n") as file:
                file.write(recipe.read_text("utf-8"))
            written.append(target)
        except FileExistsError:
            kept.append(target)
        except OSError as error:
            raise MnpuError(f"cannot be written ({error})", where=str(target)) from error
    return Initialised(store, tuple(written), tuple(kept))


def _payload(done: Initialised) -> dict[str, object]:
    return {"store": done.store, "recipes": done.recipes, "kept": done.kept}


def _print(done: Initialised) -> None:
    store = done.store
    click.echo(f"{store.path}: {store.n_bytes / 1e6:.1f} MB of market data, built from the package")
    click.echo(f"  {store.n_bars:,} bars of {store.n_assets} symbols in {store.n_datasets} datasets")
    click.echo(f"  {store.n_observations:,} observations of {store.n_series} macro series, {store.n_splits} splits")
    for path in done.recipes:
        click.echo(f"{path}")
    for path in done.kept:
        click.echo(f"{path} exists and was kept")
    whole = [path for path in (*done.recipes, *done.kept) if path.name.count(".") == 1]  # the others are overlays
    click.echo("Next: " + ", ".join([f"mnpu data info {store.path}", *(f"mnpu run {path}" for path in whole)]))
