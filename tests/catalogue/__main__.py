"""Build the benchmark catalogue, and go on where it stopped: ``python -m tests.catalogue [FILE] [--work DIR]``.

Makes the stores, runs the sweep, and writes its rows beside FILE, its page and pictures into ``docs``, and its section
of the research agenda. The equities come with the package; ``MNPU_SHARED_DATA`` names the folder of the other data.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from mnpu.data.build import init_store
from mnpu.data.importing.mapping import load_mapping
from mnpu.data.importing.run import import_files
from mnpu.plugins.registry import Registry
from mnpu.progress import Progress
from mnpu.sweep import load_sweep
from mnpu.sweep.agenda import feed
from mnpu.sweep.catalogue import read_catalogue
from mnpu.sweep.export import export
from mnpu.sweep.runner import run_sweep
from tests.catalogue.page import write

ROOT = Path(__file__).parents[2]
DEFINITION = Path(__file__).with_name("families.yaml")
#: Files that each store is made of; the bundled data where there are none.
STORES: dict[str, tuple[str, ...]] = {
    "equities": (),
    "crypto": ("binance_perp_1h", "binance_funding", "binance_perp_mark_1h"),
    "fx": ("eurusd_hour",),
}


def main(arguments: Sequence[str]) -> int:
    """Build what is missing; 1 where a trial failed."""
    parser = argparse.ArgumentParser(prog="nox -s catalogue --", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=DEFINITION, help="the sweep")
    parser.add_argument("--work", type=Path, default=ROOT / ".nox" / "catalogue", help="where stores and runs are kept")
    parser.add_argument("--workers", type=int, help="trials at a time, in place of the sweep's")
    parser.add_argument("--no-pages", action="store_true", help="write rows only")
    options = parser.parse_args(arguments)
    stores, runs = (options.work / "stores").resolve(), options.work / "runs"
    make_stores(stores)
    os.environ["MNPU_CATALOGUE_STORES"] = str(stores)
    definition, progress = load_sweep(options.file), Progress()
    done = run_sweep(definition, Registry.discover(), runs=runs, progress=progress, workers=options.workers)
    name = definition.sweep.name
    found = read_catalogue(runs, name)
    rows = export(
        found, options.file.with_suffix(".parquet") if not options.no_pages else options.work / "rows.parquet"
    )
    progress.say(f"{done.trials} trials, {done.failed} failed, {done.seconds:.0f} s; rows: {rows}")
    if not options.no_pages:
        write(found, ROOT / "docs", rows)
        feed(ROOT / "docs" / "research_agenda.md", runs, [name])
    return 1 if done.failed else 0


def make_stores(folder: Path) -> None:
    """A store for each market; one that is there is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for market, files in STORES.items():
        store = folder / f"{market}.db"
        if store.exists():
            continue
        if not files:
            init_store(store)
            continue
        imports = yaml.safe_load((ROOT / "tests" / "story" / "shared_data.yaml").read_text(encoding="utf-8"))["imports"]
        chosen = [one for one in imports if any(f"/{name}." in str(one["files"]) for name in files)]
        mapping = folder / f"{market}.yaml"
        mapping.write_text(yaml.safe_dump({"imports": chosen}), encoding="utf-8")
        done = import_files(load_mapping(mapping), store, root=shared())
        if done.failed:
            store.unlink()
            sys.exit(f"{market}: the import of {done.failed[0]} failed")


def shared() -> Path:
    """Folder of the data that no package holds."""
    folder = Path(os.environ.get("MNPU_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        sys.exit(f"{folder} does not exist. MNPU_SHARED_DATA names the folder of the shared market data.")
    return folder


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
