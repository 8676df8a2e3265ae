"""Show, verify or export a fitted network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mnpu.commands._shared import emit, json_option, runs_option, table

if TYPE_CHECKING:
    from mnpu.bundles import Bundle
    from mnpu.training import Fitted

__all__ = ["command"]

Command = TypeVar("Command", bound=Callable[..., Any])


def _bundle_argument(command: Command) -> Command:
    """Add ``BUNDLE``, the folder of a bundle or a run, and ``--fold N``; given as ``bundle: str, fold: int | None``."""
    command = click.option("--fold", type=click.IntRange(min=0), metavar="N", help="Of a run, only bundle/fold-N.")(
        command
    )
    return click.argument("bundle", metavar="BUNDLE")(command)


@click.group()
def command() -> None:
    """Show, verify or export a fitted network."""


@command.command("show")
@_bundle_argument
@runs_option
@json_option
def show_command(bundle: str, fold: int | None, runs: Path, as_json: bool) -> None:
    """Show what BUNDLE (its folder, or a run) is: network, inputs, training range, origin. Every byte is checked."""
    from mnpu.bundles import Bundle, find

    found = [Bundle.open(folder).facts() for folder in find(runs, bundle, fold=fold)]

    def human() -> None:
        for i, facts in enumerate(found):
            click.echo(("\n" if i else "") + facts["path"])
            click.echo(table(("", ""), _lines(facts)).partition("\n")[2])

    emit(as_json, {"bundles": found}, human)


@command.command("verify")
@_bundle_argument
@runs_option
@json_option
def verify_command(bundle: str, fold: int | None, runs: Path, as_json: bool) -> None:
    """Check every byte of BUNDLE (its folder, or a run), and put its weights into the network that it describes.

    Nothing in a bundle is executed: the network is built from what is installed. Exits 3 if a byte, a file more or a
    file less differs from what was written, 5 if a component or torch is not installed.
    """
    from mnpu.bundles import Bundle, find

    found: list[dict[str, Any]] = []
    for folder in find(runs, bundle, fold=fold):
        opened = Bundle.open(folder)
        _network(opened)
        origin = opened.origin
        found.append(
            {
                "path": str(folder),
                "verified": True,
                "files": len(opened.files),
                "other_versions": _other_versions(origin.get("versions", {})),
            }
        )

    def human() -> None:
        for facts in found:
            click.echo(f"{facts['path']}: {facts['files']} files as they were written, and the weights fit")
            for name, (then, now) in facts["other_versions"].items():
                click.echo(f"  note: fitted with {name} {then}, here is {now}: numbers may differ in the last digits")

    emit(as_json, {"bundles": found}, human)


@command.command("export")
@_bundle_argument
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="New folder to write.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["onnx", "torch"]),
    default="onnx",
    show_default=True,
    help="ONNX, or a program of torch.export.",
)
@runs_option
@json_option
def export_command(bundle: str, fold: int | None, out: Path, kind: str, runs: Path, as_json: bool) -> None:
    """Write BUNDLE's network (of a run: its last fold's) as one file that runs without mnpu, and what its inputs are.

    The file's numbers are compared with the network's before it is kept. Needs `mnpu-core[export]`.
    """
    from mnpu.bundles import Bundle, find
    from mnpu.training.export import export

    opened = Bundle.open(find(runs, bundle, fold=fold)[-1])
    written = export(_network(opened), out, kind=kind, origin=opened.origin)
    facts = {"path": str(out), "from": str(opened.folder), **written}

    def human() -> None:
        click.echo(f"{facts['path']}: {facts['file']}, {facts['bytes']:,} bytes, from {facts['from']}")
        click.echo(f"  largest difference from the network: {facts['largest_difference']:.1e}")
        click.echo("  inputs and outputs: export.json")

    emit(as_json, facts, human)


def _network(opened: Bundle) -> Fitted:
    """The bundle's network, built from the installed components that it names."""
    from mnpu import training
    from mnpu.assembly import forecaster_of
    from mnpu.plugins.registry import Registry

    forecaster = forecaster_of(opened.model, Registry.discover())
    return training.load(opened.folder, forecaster.backbone, forecaster.head, forecaster.whole)


def _lines(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    model = facts["model"]
    rows = [
        ("  run", _known(facts["run_id"])),
        ("  recipe", f"{_known(facts['name'])} {facts['recipe_id'] or ''}".strip()),
        ("  fold", "-" if facts["fold"] is None else f"{facts['fold'] + 1} (kept as fold-{facts['fold']:02d})"),
        ("  target", _target(facts)),
        *_made_of(model),
        *([("  members", str(facts["members"]))] if facts["members"] else []),
        ("  parameters", "-" if facts["parameters"] is None else f"{facts['parameters']:,}"),
        ("  window", f"{_known(facts['lookback'])} bars of {len(facts['columns'])} columns"),
        ("  columns", ", ".join(facts["columns"])),
        ("  horizons", _joined(facts["horizons"])),
        ("  levels", _joined(facts["levels"])),
        ("  trained", f"{_known(facts['trained_from'])} to {_known(facts['trained_until'])}"),
        ("  seen", f"until {_known(facts['seen_until'])}"),
        ("  calibrated", _calibrated(facts)),
        ("  epochs", _epochs(facts)),
        ("  versions", ", ".join(f"{name} {version}" for name, version in facts["versions"].items())),
        ("  files", ", ".join(f"{name} ({size:,})" for name, size in facts["files"].items())),
    ]
    return rows


def _target(facts: Mapping[str, Any]) -> str:
    fill = f", from the fill at {facts['fill']}" if facts["fill"] else ""
    learnt = "; ".join(_joined([_number(n) for n in row]) for row in facts["labels_learnt"])
    return _component(facts["target"]) + fill + (f", took {learnt} from the training range" if learnt else "")


def _calibrated(facts: Mapping[str, Any]) -> str:
    if facts["follows_from"] is not None:
        return f"by an agent at each decision, from outcomes since {facts['follows_from']}"
    return "no" if facts["calibrated_since"] is None else f"for decisions from {facts['calibrated_since']}"


def _epochs(facts: Mapping[str, Any]) -> str:
    if not facts["epochs"]:
        return "-"
    by = ", by the first member" if facts["members"] else ""
    return (
        f"{facts['kept_epoch']} of {facts['epochs']} was kept{by}, validation loss {_number(facts['validation_loss'])}"
    )


def _made_of(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    kinds = ("forecaster",) if model.get("forecaster") else ("backbone", "head")
    return [(f"  {kind}", _component(model.get(kind))) for kind in kinds]


def _component(block: Mapping[str, Any] | None) -> str:
    if not block:
        return "-"
    params = ", ".join(f"{name} {value}" for name, value in block.items() if name != "use" and value is not None)
    return f"{block.get('use')}" + (f" ({params})" if params else "")


def _known(value: Any) -> str:
    return "-" if value is None else str(value)


def _joined(values: Sequence[Any]) -> str:
    return ", ".join(str(value) for value in values)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _other_versions(written: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Packages, Python among them, whose version is another one here; those that are not installed are left out."""
    from mnpu.hashing import versions

    here = versions(written)
    return {name: (then, here[name]) for name, then in written.items() if here.get(name) not in (None, then, "local")}
