"""Draw the columns of a pipeline: together, and each on a page of its own."""

from __future__ import annotations

import re
from pathlib import Path

import click

from mnpu.commands._features_looking import about_range, counting, looking_options, range_payload
from mnpu.commands._shared import config_options, emit, json_option

__all__ = ["plot"]


@click.command("plot")
@config_options
@click.argument("columns", nargs=-1, metavar="[COLUMN]...")
@looking_options
@click.option("--symbol", default="", metavar="NAME", help="Whose values are drawn through time.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("features"),
    show_default=True,
    metavar="DIR",
    help="Where the pictures are written.",
)
@json_option
def plot(
    file: Path,
    columns: tuple[str, ...],
    overlays: tuple[Path, ...],
    sets: tuple[str, ...],
    horizon: int | None,
    since: str | None,
    until: str,
    everything: bool,
    threshold: float,
    symbol: str,
    out: Path,
    as_json: bool,
) -> None:
    """Draw the columns of the pipeline that FILE declares, as SVG, which any browser shows.

    coverage.svg, information.svg and clusters.svg show all columns together; each has a page of its own with its
    coverage, distribution, information coefficient, autocorrelation and values. COLUMN is the name of a column, of a
    feature, or a pattern such as price.*; none is all of them.
    """
    from mnpu.config.load import load_config
    from mnpu.errors import ConfigError, MnpuError
    from mnpu.feature_tools.look import look
    from mnpu.feature_tools.pictures import overview
    from mnpu.feature_tools.profile import profile
    from mnpu.feature_tools.sheet import sheet
    from mnpu.plugins.registry import Registry, suggest
    from mnpu.progress import Progress, Silent

    loaded = load_config(file, overlays=overlays, sets=sets)
    progress = Silent() if as_json else Progress()
    looked = look(
        loaded,
        Registry.discover(),
        columns=columns,
        horizon=horizon,
        since=since,
        until=until,
        everything=everything,
        progress=progress,
    )
    if symbol and symbol not in looked.frame.symbols:
        close = suggest(symbol, looked.frame.symbols)
        raise ConfigError(
            f"the recipe has no symbol '{symbol}'",
            where="--symbol",
            expected=f"one of its {len(looked.frame.symbols)}",
            next_step=f"Did you mean '{close}'?" if close else "",
        )
    names = looked.frame.names
    written: list[Path] = []

    def write(name: str, text: str) -> None:
        out.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text, encoding="utf-8", newline="\n")
        written.append(out / name)

    try:
        with counting(progress, f"measuring and drawing {len(names)} columns", 2 * len(names)) as each:
            found = profile(looked, threshold=threshold, each=each)
            for name, text in overview(looked, found).items():
                write(name, text)
            for f, column in enumerate(found.columns):
                write(f"{_file_name(column.name)}.svg", sheet(looked, f, column, symbol=symbol))
                each(column.name)
    except OSError as error:
        reason = error.strerror or str(error)
        raise MnpuError(f"cannot write ({reason})", where=str(out), next_step="Choose another --out DIR.") from error

    def human() -> None:
        click.echo("\n".join([*about_range(looked), "", *(f"picture: {path}" for path in written)]))

    emit(as_json, {"looked_at": range_payload(looked), "pictures": written}, human)


def _file_name(column: str) -> str:
    """A column's name as that of a file: letters, digits, dots, equals signs; everything else a dash."""
    return re.sub(r"[^\w.=+]+", "-", column).strip("-")
