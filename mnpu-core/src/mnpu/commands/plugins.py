"""List, explain, diagnose, check and write plugins."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnpu.commands import own_commands
from mnpu.commands._shared import emit, json_option, lay_out, parameter_table, table
from mnpu.errors import ConfigError, PluginError
from mnpu.plugins.catalog import KNOWN
from mnpu.plugins.describe import Description, describe, summarise, without_section
from mnpu.plugins.hookspecs import API
from mnpu.plugins.kinds import KINDS
from mnpu.plugins.loader import BrokenPlugin, PluginSet, load_plugins, normalise
from mnpu.plugins.registry import Component, Registry, suggest

if TYPE_CHECKING:
    from mnpu.testing import LawOutcome

_SWITCHES = ("MNPU_PLUGINS", "MNPU_DISABLE_PLUGINS", "MNPU_STRICT_PLUGINS")


@click.group()
def command() -> None:
    """List, explain, diagnose, check and write plugins."""


@command.command("list")
@click.option("--kind", metavar="KIND", help=f"One of: {', '.join(KINDS)}.")
@json_option
def list_(kind: str | None, as_json: bool) -> None:
    """List every component that can be used, then the plugins that failed to load."""
    registry = Registry(load_plugins())
    rows = [(component, summarise(component)) for component in registry.components(kind)]
    plugins = registry.plugins
    payload = {
        "components": [{**vars(component), "summary": summary} for component, summary in rows],
        "broken": [broken._asdict() for broken in plugins.broken],
        "disabled": [disabled._asdict() for disabled in plugins.disabled],
        "notes": plugins.notes,
    }
    emit(as_json, payload, lambda: _print_list(rows, plugins))


@command.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Explain NAME: a component (s4d, backbone/s4d, price.log_return) or all of a distribution."""
    registry = Registry(load_plugins())
    components = match(registry, name)
    descriptions = [_narrowed(describe(component), name) for component in components]
    payload = {
        "components": [
            {**vars(component), "description": description, "example": _example(registry, description)}
            for component, description in zip(components, descriptions, strict=True)
        ]
    }

    def human() -> None:
        for component, description in zip(components, descriptions, strict=True):
            _print_description(component, description, _example(registry, description))

    emit(as_json, payload, human)


@command.command()
@click.argument("name", required=False)
@json_option
def doctor(name: str | None, as_json: bool) -> None:
    """Say what is wrong with the installed plugins, or with NAME, and how to put it right."""
    plugins = load_plugins(env={**os.environ, "MNPU_STRICT_PLUGINS": ""})  # a doctor works when all else is broken
    if name is not None:
        plugins = _only(plugins, name)
    payload = {
        "python": platform.python_version(),
        "plugin_api": API,
        "switches": {switch: os.environ[switch] for switch in _SWITCHES if switch in os.environ},
        "loaded": [
            {"dist": p.dist, "version": p.version, "entry": p.entry, "components": p.components, "notes": p.notes}
            for p in plugins.loaded
        ],
        "broken": [{**broken._asdict(), "fix": _fix(broken)} for broken in plugins.broken],
        "disabled": [disabled._asdict() for disabled in plugins.disabled],
        "notes": [*plugins.notes, *_clashes(plugins)],
    }
    emit(as_json, payload, lambda: _print_doctor(payload))


@command.command()
@click.argument("name")
@json_option
@click.pass_context
def check(ctx: click.Context, name: str, as_json: bool) -> None:
    """Hold NAME, a component or all of a distribution, to the laws of its kind; exit 1 if one fails."""
    from mnpu.testing import check_plugin

    registry = Registry(load_plugins())
    components = match(registry, name)
    results: list[tuple[str, str, list[LawOutcome]]] = []
    for dist in dict.fromkeys(component.dist for component in components):
        results.append(("plugin", dist, check_plugin(registry, dist)))
    for component in components:
        outcomes = _asked(registry, component, alone=len(components) == 1)
        results.append((component.kind, component.canonical, outcomes))
    passed = all(outcome.passed for _, _, outcomes in results for outcome in outcomes)
    payload = {
        "passed": passed,
        "checked": [
            {"kind": kind, "name": name, "passed": all(o.passed for o in outcomes), "laws": outcomes}
            for kind, name, outcomes in results
        ],
    }
    emit(as_json, payload, lambda: print_check(results, passed))
    if not passed:
        ctx.exit(1)


def _asked(registry: Registry, component: Component, *, alone: bool) -> list[LawOutcome]:
    """The laws of a component; one of several that needs what is not installed is left out, and says so."""
    from mnpu.testing import LawOutcome, check_component

    try:
        return check_component(registry, component.kind, component.canonical)
    except PluginError as error:
        module = registry.load(component.kind, component.canonical)
        if alone or not getattr(module, "REQUIRES", {}):
            raise
        return [LawOutcome(f"not asked: {error}", True)]


@command.command()
@click.argument("name")
@click.option("--kind", required=True, metavar="KIND", help="What it provides, as in: backbone, feature.")
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Where the package's folder is made; the current directory by default.",
)
@json_option
def new(name: str, kind: str, folder: Path, as_json: bool) -> None:
    """Write the plugin package NAME: it installs, is discovered, passes its checks, and is yours to change."""
    from mnpu.commands._scaffold import write_plugin

    written = write_plugin(name, kind, folder)

    def human() -> None:
        click.echo(f"Wrote {written.root}:")
        for path in written.files:
            click.echo(f"  {path.relative_to(written.root)}")
        click.echo(f"\nNext:\n  pip install -e {written.root}\n  mnpu plugins check {written.dist}")

    emit(as_json, written._asdict(), human)


def match(registry: Registry, name: str) -> list[Component]:
    """The components that ``name`` stands for on the command line.

    A distribution stands for all it provides, ``kind/name``, a canonical id or a short name for the components of
    that name, ``source.function`` for the feature source.
    """
    components = registry.components()
    of_dist = [component for component in components if component.dist == normalise(name)]
    if of_dist:
        return of_dist
    for broken in registry.plugins.broken:
        if normalise(name) in (broken.dist, normalise(broken.entry)):
            raise PluginError(
                f"{broken.dist} {broken.version} failed to load: {broken.cause}",
                next_step=f"See: mnpu plugins doctor {broken.dist}.",
            )
    kind, _, rest = name.partition("/")
    if kind in KINDS and rest:
        return [registry.find(kind, rest)]
    named = [component for component in components if name in (component.name, component.canonical)]
    if not named and "." in name:
        source = name.rpartition(".")[0]
        named = [c for c in registry.components("feature_source") if source in (c.name, c.canonical)]
    if not named:
        _explain_miss(registry, name)
    return named


def _explain_miss(registry: Registry, name: str) -> None:
    for kinds in KNOWN.values():
        for kind, names in kinds.items():
            if name in names:
                registry.find(kind, name)  # raises, and says what to install
    if normalise(name) in KNOWN:
        raise PluginError(f"{normalise(name)} is not installed", next_step=f"Run: pip install {normalise(name)}")
    known = [word for c in registry.components() for word in (c.name, c.canonical, c.dist)]
    guess = suggest(name, known)
    hint = f"Did you mean {guess!r}? " if guess else ""
    raise ConfigError(f"No component or distribution named {name!r}", next_step=f"{hint}See: mnpu plugins list.")


def _print_list(rows: Sequence[tuple[Component, str]], plugins: PluginSet) -> None:
    names = [(component.kind, component.name) for component, _ in rows]
    for kind in dict.fromkeys(component.kind for component, _ in rows):
        click.secho(KINDS[kind].plural, bold=True)
        lines = []
        for component, summary in rows:
            if component.kind == kind:
                ambiguous = names.count((kind, component.name)) > 1
                lines.append((component.canonical if ambiguous else component.name, component.canonical, summary))
        click.echo(lay_out(lines, indent="  "))
    print_left_out(plugins)


def print_left_out(plugins: PluginSet) -> None:
    """Print the plugins that failed to load and those that a switch leaves out, if there are any."""
    if plugins.broken:
        click.secho("failed to load", bold=True)
        click.echo(lay_out([(f"{p.dist} {p.version}", p.cause) for p in plugins.broken], indent="  "))
        click.echo("  See: mnpu plugins doctor.")
    if plugins.disabled:
        click.secho("left out", bold=True)
        click.echo(lay_out([(f"{p.dist} {p.version}", p.switch) for p in plugins.disabled], indent="  "))


def _narrowed(description: Description, name: str) -> Description:
    """The one feature that ``source.function`` names, where that is what was asked for."""
    for function in description.functions:
        if name in (function.name, function.canonical, f"feature_source/{function.name}"):
            return function
    if description.functions and "." in name and name not in (description.name, description.canonical):
        known = [function.name for function in description.functions]
        guess = suggest(name, known)
        hint = f"Did you mean {guess!r}? " if guess else ""
        raise ConfigError(f"No feature named {name!r}", next_step=f"{hint}Features: {', '.join(known)}.")
    return description


def _print_description(component: Component, description: Description, example: str) -> None:
    click.secho(f"{description.canonical}", bold=True, nl=False)
    click.echo(f"  {description.kind.replace('_', ' ')}, {component.dist} {component.version}")
    click.echo(without_section(description.doc, "Parameters") or "(its source has no documentation)")
    if description.parameters:
        click.echo()
        click.echo(parameter_table(description.parameters))
    if description.functions:
        click.echo()
        click.echo(table(("feature", "meaning"), [(f.name, f.summary) for f in description.functions]))
    if example:
        click.echo(f"\n{example}")
    if description.path:
        click.echo(f"\nsource: {description.path}:{description.line}")
    click.echo()


_PLACES = {
    "feature": "features:\n  - {}",
    "validator": "validators:\n  - {}",
    "backbone": "model:\n  backbone: {}",
    "head": "model:\n  head: {}",
    "forecaster": "model:\n  forecaster: {}",
    "instrument": "train:\n  instruments:\n    - {}",
    "logger": "train:\n  loggers:\n    - {}",
    "target": "target: {}",
    "policy": "policy: {}",
    "guardrail": "guardrails:\n  - {}",
}


def _example(registry: Registry, description: Description) -> str:
    """The component in a pipeline file, with its defaults; empty where a pipeline does not name it."""
    if description.kind == "renderer":
        return f"report: {{formats: [{description.name}]}}"
    if description.kind not in _PLACES:
        return ""
    same = [c for c in registry.components() if (c.kind, c.name) == (description.kind, description.name)]
    use = description.canonical if len(same) > 1 else description.name
    words = [f"{p.name}: {in_yaml(p.default, p.annotation)}" for p in description.parameters]
    return _PLACES[description.kind].format("{" + ", ".join([f"use: {use}", *words]) + "}")


def in_yaml(default: str | None, annotation: str) -> str:
    """A default as YAML in flow style; what is not a literal is shown in angle brackets."""
    import ast
    import json

    try:
        return json.dumps(ast.literal_eval(default or ""))
    except (ValueError, SyntaxError, TypeError):
        return f"<{default or annotation}>"


def _only(plugins: PluginSet, name: str) -> PluginSet:
    wanted = normalise(name)

    def chosen(plugins_of_a_state: list[Any]) -> list[Any]:
        return [p for p in plugins_of_a_state if wanted in (p.dist, normalise(p.entry))]

    only = PluginSet(
        plugins.manager, chosen(plugins.loaded), chosen(plugins.broken), chosen(plugins.disabled), plugins.notes
    )
    if not (only.loaded or only.broken or only.disabled):
        everything = [p.dist for state in (plugins.loaded, plugins.broken, plugins.disabled) for p in state]
        guess = suggest(name, everything)
        hint = f"Did you mean {guess!r}? " if guess else ""
        if wanted in KNOWN:
            raise PluginError(f"{wanted} is not installed", next_step=f"Run: pip install {wanted}")
        raise ConfigError(f"No plugin named {name!r} is installed", next_step=f"{hint}See: mnpu plugins list.")
    return only


def _fix(broken: BrokenPlugin) -> str:
    """The next step for a broken plugin; its authors are the last resort."""
    if broken.cause.startswith("ModuleNotFoundError"):
        missing = broken.cause.rpartition("No module named ")[2].strip("'\"").partition(".")[0]
        if missing and missing != broken.target.partition(".")[0]:
            return f"Install {missing}, or reinstall: pip install --force-reinstall {broken.dist}"
        return f"Its files are missing: pip install --force-reinstall {broken.dist}"
    if "upgrade mnpu-core" in broken.cause:
        return f"Run: pip install --upgrade mnpu-core, or install an older {broken.dist}"
    return f"Run: pip install --upgrade {broken.dist}; if that does not help, report it to its authors, or uninstall it"


def _clashes(plugins: PluginSet) -> list[str]:
    """Names that several distributions claim: usable by canonical id only."""
    owners: dict[tuple[str, str], list[str]] = {}
    for plugin in plugins.loaded:
        for kind, names in plugin.components.items():
            for name in names:
                owners.setdefault((kind, name), []).append(plugin.dist)
    clashes = [
        f"the {kind.replace('_', ' ')} {name!r} is provided by {' and '.join(dists)}: "
        f"write {' or '.join(f'{dist}/{name}' for dist in dists)}"
        for (kind, name), dists in owners.items()
        if len(dists) > 1
    ]
    return clashes + _shadowed(owners)


def _shadowed(owners: dict[tuple[str, str], list[str]]) -> list[str]:
    return [
        f"the command {name!r} of {dist} does not replace mnpu's own: it runs as mnpu {dist}/{name}"
        for (kind, name), dists in owners.items()
        for dist in dists
        if kind == "command" and name in own_commands()
    ]


def _print_doctor(report: dict[str, Any]) -> None:
    click.echo(f"Python {report['python']}, plugin API {report['plugin_api']}")
    for switch, value in report["switches"].items():
        click.echo(f"{switch}={value}")
    for plugin in report["loaded"]:
        n = sum(len(names) for names in plugin["components"].values())
        count = "1 component" if n == 1 else f"{n} components"
        click.echo(f"ok        {plugin['dist']} {plugin['version']} ({plugin['entry']}): {count}")
        for note in plugin["notes"]:
            click.echo(f"          warning: {note}")
    for plugin in report["disabled"]:
        click.echo(f"left out  {plugin['dist']} {plugin['version']} ({plugin['entry']}): {plugin['switch']}")
    for plugin in report["broken"]:
        entry = f"{plugin['entry']} = {plugin['target']}"
        click.secho(f"broken    {plugin['dist']} {plugin['version']} ({entry})", bold=True)
        click.echo(f"          cause: {plugin['cause']}")
        click.echo(f"          fix: {plugin['fix']}")
        for line in plugin["traceback"].splitlines():
            click.echo(f"          | {line}")
    for note in report["notes"]:
        click.echo(f"warning:  {note}")
    if not (report["broken"] or report["notes"]):
        click.echo("Nothing is wrong.")


def print_check(results: Sequence[tuple[str, str, Sequence[LawOutcome]]], passed: bool) -> None:
    """Print every law that was asked, by component, with what was seen where it does not hold."""
    for kind, name, outcomes in results:
        click.secho(f"{kind.replace('_', ' ')} {name}", bold=True)
        rows = [("FAILED" if not o.passed else "remark" if o.detail else "ok", o.law, o.detail) for o in outcomes]
        click.echo(lay_out(rows, indent="  ") if rows else "  (no laws for this kind)")
    click.echo("All laws hold." if passed else "Not all laws hold.")
