"""Import CSV and Parquet files into a store, as a mapping file says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnpu.commands._shared import emit, json_option, table
from mnpu.errors import ConfigError, DataError, MnpuError

if TYPE_CHECKING:
    from mnpu.data.importing.run import ImportSummary, Progress

PATH = click.Path(path_type=Path)


@click.command("import")
@click.argument("mapping", metavar="MAPPING", type=PATH)
@click.argument("files", metavar="[FILES]...", nargs=-1, type=PATH)
@click.option("--store", default="market.db", show_default=True, metavar="STORE", help="A file or an URL.")
@click.option("--root", type=PATH, metavar="DIR", help="Where relative patterns start.  [default: MAPPING's folder]")
@click.option("--quarantine", type=PATH, metavar="DIR", help="Folder for refused rows.  [default: beside the store]")
@click.option("--strict", is_flag=True, help="End with exit code 3 if any row is refused.")
@json_option
def command(
    mapping: Path,
    files: tuple[Path, ...],
    store: str,
    root: Path | None,
    quarantine: Path | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Import the files that MAPPING names (or only FILES) into a store, which is made if there is none.

    Each file comes in completely or not at all, and a second import of it changes nothing. A row that is refused goes
    into quarantine with its line and its reason, and the exit code stays 0 unless --strict is given. If a file cannot
    be read at all, the others are imported, and the exit code is 3.
    """
    from mnpu.data.importing.mapping import load_mapping
    from mnpu.data.importing.run import import_files
    from mnpu.data.store import is_parquet, path_of

    if is_parquet(store):
        raise ConfigError(
            "a folder of Parquet files is a copy, which is not written to",
            where=store,
            expected="a database",
            next_step="Import into a database, then: mnpu data export DIR",
        )

    target = Path(store) / "market.db" if "://" not in store and Path(store).is_dir() else path_of(store)
    loaded = load_mapping(mapping)
    with _shown(as_json) as progress:
        summary = import_files(loaded, target, files=files, root=root, quarantine=quarantine, progress=progress)
    emit(as_json, _payload(summary), lambda: _print(summary))
    if summary.failed:
        if not as_json:
            for outcome in summary.failed:
                click.echo(str(outcome.error), err=True)
        raise SystemExit(DataError.exit_code)
    if strict and summary.total("n_refused"):
        raise SystemExit(DataError.exit_code)


@contextmanager
def _shown(as_json: bool) -> Iterator[Progress | None]:
    """A bar for each file while it is read, where a person watches."""
    if as_json or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    with Bars(console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(file: str, done: int, total: int) -> None:
            if file not in tasks:
                for old in tasks.values():
                    bars.update(old, visible=False)
                tasks[file] = bars.add_task(file, total=total)
            bars.update(tasks[file], completed=done)

        yield progress


def _payload(summary: ImportSummary) -> dict[str, object]:
    counts = ("n_read", "n_taken", "n_present", "n_refused")
    return {
        "store": summary.store,
        **{name: summary.total(name) for name in counts},
        "files": [
            {
                "file": outcome.file,
                "entry": outcome.entry,
                "target": outcome.target,
                **{name: getattr(outcome, name) for name in counts},
                "n_elsewhere": outcome.n_elsewhere,
                "reasons": dict(outcome.reasons),
                "quarantine": outcome.quarantine,
                "seconds": outcome.seconds,
                "error": _error(outcome.error),
            }
            for outcome in summary.files
        ],
    }


def _error(error: MnpuError | None) -> dict[str, object] | None:
    return None if error is None else error.as_dict()


def _print(summary: ImportSummary) -> None:
    headings = ("file", "table", "rows", "new", "present", "refused", "elsewhere")
    rows = [
        (
            outcome.file.name,
            outcome.target,
            *(
                "-" * (outcome.error is not None) or f"{n:,}"
                for n in (outcome.n_read, outcome.n_taken, outcome.n_present, outcome.n_refused, outcome.n_elsewhere)
            ),
        )
        for outcome in summary.files
    ]
    click.echo(table(headings, rows, right=headings[2:]))
    totals = " ".join(
        f"{summary.total(name):,} {word},"
        for name, word in (("n_taken", "new"), ("n_present", "present"), ("n_refused", "refused"))
    )
    click.echo(f"\n{summary.store}: {summary.total('n_read'):,} rows read, {totals.rstrip(',')}")
    refused = [
        (outcome.file.name, rule, f"{n:,}", str(outcome.quarantine))
        for outcome in summary.files
        for rule, n in outcome.reasons.items()
    ]
    if refused:
        click.echo("\n" + table(("refused in", "rule", "rows", "see"), refused, right=("rows",)))
