"""What commands share: options with one name and one meaning, and two ways of printing an answer.

A command module ``mnpu/commands/<name>.py`` exposes ``command``. The first line of the module's docstring is the
command's line in ``mnpu --help``; it is read from source, so the module is imported only when its command runs::

    '''Show what a store holds.'''

    import click

    from mnpu.commands._shared import emit, json_option, table


    @click.command()
    @click.argument("store")
    @json_option
    def command(store: str, as_json: bool) -> None:
        '''Show what STORE holds.'''
        from mnpu.data.store import Store  # heavy imports belong inside the function

        info = Store.open(store).info()
        emit(as_json, {"symbols": info.symbols}, lambda: click.echo(table(("symbol",), info.rows)))

Raise ``mnpu.errors`` freely: the command line prints them on stderr (as JSON with ``--json``) and exits with their
code. Progress and notes go to stderr (``click.echo(..., err=True)``), the answer to stdout. End with another exit
code by ``raise SystemExit(code)`` after the answer was printed.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from mnpu.data.store import Store
    from mnpu.plugins.describe import Parameter

__all__ = [
    "config_options",
    "echo_json",
    "emit",
    "json_option",
    "lay_out",
    "open_store",
    "parameter_table",
    "plain",
    "run_argument",
    "runs_option",
    "say_damaged",
    "table",
]

Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(command: Command) -> Command:
    """Add ``--json``; the function receives ``as_json: bool``."""
    return click.option("--json", "as_json", is_flag=True, help="Print the answer (or the error) as JSON.")(command)


def runs_option(command: Command) -> Command:
    """Add ``--runs DIR``, the folder of run directories; the function receives ``runs: Path``."""
    return click.option(
        "--runs",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("runs"),
        show_default=True,
        envvar="MNPU_RUNS",
        metavar="DIR",
        help="Folder that holds the run directories.",
    )(command)


def say_damaged(runs: Path) -> list[str]:
    """Name on stderr the files of the ledger that cannot be read; for commands that tell of them nowhere else.

    Raises
    ------
    MnpuError
        A later version wrote a row, or the ledger may not be read.
    """
    from mnpu.ledger import read_rows

    problems = read_rows(runs)[1]
    for problem in problems:
        click.echo(f"warning: {problem}", err=True)
    return problems


def run_argument(command: Command) -> Command:
    """Add the argument ``RUN``, a run id or the path of a run directory; the function receives ``run: str``."""
    return click.argument("run", metavar="RUN")(command)


def config_options(command: Command, *, required: bool = True) -> Command:
    """Add ``FILE``, ``-f OVERLAY`` and ``--set KEY=VALUE``: ``file: Path, overlays: tuple[Path, ...], sets: tuple``.

    Where ``FILE`` is not ``required`` it may be None.
    """
    command = click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override one value, as in train.epochs=2. Repeatable.",
    )(command)
    command = click.option(
        "-f",
        "--overlay",
        "overlays",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A YAML file laid over FILE. Repeatable, the last one wins.",
    )(command)
    shown = "FILE" if required else "[FILE]"
    return click.argument("file", type=click.Path(path_type=Path), metavar=shown, required=required)(command)


def emit(as_json: bool, payload: Mapping[str, Any], human: Callable[[], None]) -> None:
    """Print the answer: ``payload`` as JSON, or call ``human`` to print it for people."""
    if as_json:
        echo_json(payload)
    else:
        human()


def echo_json(payload: Any, *, err: bool = False) -> None:
    """Print ``payload`` as indented JSON; see `plain` for what it may hold."""
    import json

    click.echo(json.dumps(plain(payload), indent=2, ensure_ascii=False, allow_nan=False), err=err)


def plain(value: Any) -> Any:
    """Make ``value`` fit for JSON: NaN and infinities become null, instants ISO text, arrays lists, paths text."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    fields = getattr(value, "__dataclass_fields__", None)
    if fields is not None:
        return {name: plain(getattr(value, name)) for name in fields}
    if hasattr(value, "isoformat"):
        return None if value != value else value.isoformat()  # NaT differs from itself
    if hasattr(value, "tolist"):  # numpy arrays and scalars, without importing numpy
        return plain(value.tolist())
    return str(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> str:
    """Lay out a plain text table: columns padded to their widest cell, those named in ``right`` right-aligned."""
    return lay_out([tuple(columns), *rows], right=[name in right for name in columns])


def parameter_table(parameters: Iterable[Parameter]) -> str:
    """Lay out what a component or a feature may be given."""
    rows = [(p.name, p.annotation, "required" if p.default is None else p.default, p.limits, p.doc) for p in parameters]
    return table(("parameter", "type", "default", "limits", "meaning"), rows)


def lay_out(
    rows: Sequence[Sequence[object]], *, right: Sequence[bool] = (), indent: str = "", width: int | None = None
) -> str:
    """Lay out rows of cells in columns; in a terminal the last column wraps instead of running into the first.

    Parameters
    ----------
    rows : sequence of sequences
        At least one; all have the same length.
    right : sequence of bool, optional
        Which columns are right-aligned.
    indent : str, optional
        What every line begins with.
    width : int, optional
        Where lines end. By default that of the terminal; what is not shown in one is never wrapped.
    """
    cells = [tuple(str(cell) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    aligned = [str.rjust if flush else str.ljust for flush in (*right, *[False] * (len(widths) - len(right)))]
    before = len(indent) + sum(widths[:-1]) + 2 * (len(widths) - 1)
    room = (width or _terminal_width()) - before
    lines: list[str] = []
    for row in cells:
        start = indent + "".join(f"{put(cell, w)}  " for put, cell, w in zip(aligned, row, widths[:-1], strict=False))
        parts = _wrapped(row[-1], room) if not any(right[len(widths) - 1 :]) else [row[-1].rjust(widths[-1])]
        lines.extend((start if i == 0 else " " * before) + part for i, part in enumerate(parts))
    return "\n".join(line.rstrip() for line in lines)


def _wrapped(text: str, room: int) -> list[str]:
    """``text`` in lines that fit into ``room``; one line where it fits, or where there is no room for sentences."""
    if len(text) <= room or room < 24:
        return [text]
    from textwrap import wrap

    return wrap(text, room, break_on_hyphens=False)


def _terminal_width() -> int:
    try:
        shown = sys.stdout is not None and sys.stdout.isatty()  # it is None where a caller has closed it
        return os.get_terminal_size(sys.stdout.fileno()).columns if shown else sys.maxsize
    except (OSError, ValueError):
        return sys.maxsize


def open_store(store: str) -> Store:
    """A file, a folder with a market.db, a folder of Parquet files, or an URL."""
    from mnpu.data.store import Store, is_parquet

    folder = "://" not in store and Path(store).is_dir() and not is_parquet(store)
    return Store.open(Path(store) / "market.db" if folder else store)
