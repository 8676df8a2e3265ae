"""List, explain and check signals, and look at those of a pipeline: statistics, pictures, importance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnpu.commands._features_check import check
from mnpu.commands._features_importance import importance
from mnpu.commands._features_plot import plot
from mnpu.commands._features_stats import stats
from mnpu.commands._shared import emit, json_option, lay_out, open_store, parameter_table, table

if TYPE_CHECKING:
    from mnpu.features.catalogue import Signal, Unread
    from mnpu.types import FeatureSpec, SeriesInfo

_store_option = click.option(
    "--store",
    metavar="STORE",
    help="A store, or a folder with a market.db: adds when the series it holds are known, and names those it lacks.",
)


@click.group()
def command() -> None:
    """List, explain and check signals, and look at those of a pipeline: statistics, pictures, importance."""


command.add_command(check)
command.add_command(stats)
command.add_command(plot)
command.add_command(importance)


@command.command("list")
@click.option("--source", default="", metavar="NAME", help="Only the signals of this source, as in: price.")
@click.option("--tag", default="", metavar="WORD", help="Only the signals with this tag, as in: momentum.")
@_store_option
@json_option
def list_(source: str, tag: str, store: str | None, as_json: bool) -> None:
    """List every signal of every installed source with what it needs, then the plugins that failed to load."""
    from mnpu.features.catalogue import signals, with_tag
    from mnpu.plugins.loader import load_plugins
    from mnpu.plugins.registry import Registry

    registry = Registry(load_plugins())
    found, failed = signals(registry, source=source, held=_held(store))
    if tag:
        found = with_tag(found, tag)
    plugins = registry.plugins
    payload = {
        "features": [_payload(signal) for signal in found],
        "failed": failed,
        "broken": [broken._asdict() for broken in plugins.broken],
        "disabled": [disabled._asdict() for disabled in plugins.disabled],
        "notes": plugins.notes,
    }

    def human() -> None:
        from mnpu.commands.plugins import print_left_out

        click.echo(_listing(found, known=store is not None))
        if failed:
            _print_failed(failed)
        print_left_out(plugins)

    emit(as_json, payload, human)


@command.command()
@click.argument("name")
@_store_option
@json_option
def show(name: str, store: str | None, as_json: bool) -> None:
    """Explain the signal NAME, as in price.log_return: formula, parameters, what it reads and when that is known."""
    from mnpu.features.catalogue import find
    from mnpu.plugins.registry import Registry

    signal = find(Registry.discover(), name, held=_held(store))
    emit(as_json, _payload(signal), lambda: _print(signal))


@command.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder of the pages: index.md, and one for each source.",
)
@click.option("--source", "sources", multiple=True, metavar="NAME", help="Only this source. Repeatable.")
@_store_option
@json_option
def docs(out: Path, sources: tuple[str, ...], store: str | None, as_json: bool) -> None:
    """Write reference pages of the installed signals into DIR, generated from the signals themselves."""
    from mnpu.errors import MnpuError
    from mnpu.features.catalogue import signals
    from mnpu.features.pages import index_page, pages
    from mnpu.plugins.registry import Registry

    registry, held = Registry.discover(), _held(store)
    names = sources or tuple(component.canonical for component in registry.components("feature_source"))
    found = [signal for name in names for signal in signals(registry, source=name, held=held)[0]]
    written = pages(registry, found, held or {})
    if not sources:  # it leads to all of them
        written["index.md"] = index_page(found)
    paths = [out / name for name in written]
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path, text in zip(paths, written.values(), strict=True):
            path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise MnpuError(f"cannot be written ({error.strerror})", where=str(out)) from error
    emit(as_json, {"pages": paths}, lambda: click.echo("\n".join(f"page: {path}" for path in paths)))


def _held(store: str | None) -> Mapping[str, SeriesInfo] | None:
    if store is None:
        return None
    return open_store(store).series()


def _payload(signal: Signal) -> dict[str, Any]:
    spec = signal.spec
    return {
        "name": signal.name,
        "source": spec.source,
        "function": spec.function,
        "dist": signal.dist,
        "version": signal.version,
        "summary": spec.description,
        "formula": signal.formula,
        "notes": signal.notes,
        "reference": spec.reference,
        "parameters": signal.parameters,
        "unit": spec.unit,
        "scope": spec.scope,
        "scale_free": spec.scale_free,
        "warmup": {"formula": signal.warmup, "at_defaults": spec.warmup or None},
        "tables": spec.tables,
        "fields": spec.fields,
        "kind": spec.kind if spec.series else None,
        "series": spec.series,
        "release_lags": spec.release_lags,
        "bases": spec.bases,
        "missing": signal.missing,
        "tags": spec.tags,
    }


def _listing(found: Sequence[Signal], *, known: bool) -> str:
    """A line for each signal, or, of a source with hundreds, for all that differ in their number alone."""
    from mnpu.features.set_pages import is_set, rows

    columns = ("feature", "scope", "unit", "warm-up", "reads", *(["known"] if known else []), "tags", "meaning")
    lines = []
    for _, group in groupby(found, key=lambda signal: signal.name.rpartition(".")[0]):
        signals = list(group)
        if is_set(signals):
            folded = rows(signals)
            lines += [_line(r.signals[0], r.plain_names, r.plain_warmup, r.what, known=known) for r in folded]
        else:
            lines += [
                _line(each, each.name, str(each.spec.warmup or "?"), each.spec.description, known=known)
                for each in signals
            ]
    return table(columns, lines, right=("warm-up",))


def _line(signal: Signal, name: str, warmup: str, what: str, *, known: bool) -> tuple[str, ...]:
    spec = signal.spec
    told = [_known(signal)] if known else []
    tags, meaning = ", ".join(spec.tags) or "-", what.replace("``", "")
    return (name, spec.scope, spec.unit or "-", warmup, _reads(spec), *told, tags, meaning)


def _reads(spec: FeatureSpec) -> str:
    """What a signal reads: fields of prices, then series."""
    return ", ".join((*spec.fields, *spec.series)) or "the date"


def _known(signal: Signal) -> str:
    """When it is known, or what the store lacks."""
    if signal.missing:
        return f"not in the store: {', '.join(signal.missing)}"
    spec = signal.spec
    told = [lag or basis for lag, basis in zip(spec.release_lags, spec.bases, strict=True)]
    return "; ".join(dict.fromkeys(told)) or "at the close"


def _print(signal: Signal) -> None:
    from mnpu.commands.plugins import in_yaml

    spec = signal.spec
    click.secho(signal.name, bold=True, nl=False)
    click.echo(f"  {signal.dist} {signal.version}\n{spec.description}\n")
    bars = f"{spec.warmup} bar{'s' if spec.warmup > 1 else ''}"
    warmup = bars if spec.warmup else "depends on its parameters"
    known = zip(spec.series, spec.release_lags, spec.bases, strict=True) if spec.bases else ()
    lines = [
        ("formula", signal.formula),
        ("unit", spec.unit),
        ("scope", "one value for each symbol" if spec.scope == "symbol" else "one value for the market"),
        ("warm-up", f"{warmup} ({signal.warmup})" if signal.warmup else warmup),
        ("reads", _reads(spec)),
        ("tables", ", ".join(spec.tables)),
        *(("known", f"{name}: {lag or 'as observed'} ({basis})") for name, lag, basis in known),
        *(("missing", f"{name} is not in the store") for name in signal.missing),
        ("scale-free", "yes" if spec.scale_free else "no: refused on prices that a vendor adjusted"),
        ("tags", ", ".join(spec.tags)),
        ("notes", signal.notes.replace("\n\n", " ")),
        ("source", spec.reference),
    ]
    click.echo(lay_out([line for line in lines if line[1]]))
    if signal.parameters:
        click.echo()
        click.echo(parameter_table(signal.parameters))
    words = [f"use: {signal.name}", *(f"{p.name}: {in_yaml(p.default, p.annotation)}" for p in signal.parameters)]
    click.echo("\nfeatures:\n  - {" + ", ".join(words) + "}")


def _print_failed(failed: Sequence[Unread]) -> None:
    click.secho("could not be imported", bold=True)
    click.echo(lay_out([(f"{each.source} of {each.dist} {each.version}", each.cause) for each in failed], indent="  "))
    click.echo("  See: mnpu plugins doctor.")
