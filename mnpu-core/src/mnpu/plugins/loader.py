"""Find and load plugins, one at a time, so that a broken one takes nothing else down.

A plugin is an entry point of the group ``mnpu.plugins`` whose value is an import-light module. Each one is imported,
checked against the hooks and asked for its components in isolation; whatever goes wrong is rolled back, remembered
with its cause and traceback, and shown by ``mnpu plugins list`` and ``mnpu plugins doctor``.

Switches: ``MNPU_PLUGINS=a,b`` loads only these, ``MNPU_DISABLE_PLUGINS=a,b`` all but these (entry-point or
distribution names), ``MNPU_STRICT_PLUGINS=1`` raises instead of isolating. Core's own components are always loaded.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

import pluggy

from mnpu.errors import PluginError
from mnpu.plugins import hookspecs
from mnpu.plugins.installed import EntryPoint, entry_points, normalise, version_of
from mnpu.plugins.kinds import KIND_OF_HOOK

__all__ = [
    "CORE",
    "GROUP",
    "HEAVY",
    "BrokenPlugin",
    "DisabledPlugin",
    "LoadedPlugin",
    "PluginSet",
    "load_plugins",
    "normalise",
]

GROUP = "mnpu.plugins"
CORE = "mnpu-core"
#: Packages that a plugin module must not import: they would make every command slow.
HEAVY = ("fastapi", "lightning", "numpy", "pandas", "pyarrow", "ray", "scipy", "torch")

_NAME = re.compile(r"[A-Za-z][\w@-]*\Z")
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)?\Z")


class LoadedPlugin(NamedTuple):
    """A plugin that works: ``components`` maps kind to ``{name: target}``; ``notes`` are for the doctor."""

    dist: str
    version: str
    entry: str
    module: ModuleType
    components: Mapping[str, Mapping[str, str]]
    notes: tuple[str, ...] = ()


class BrokenPlugin(NamedTuple):
    """A plugin that failed to load: the cause in one line, and the traceback (empty if none was raised)."""

    dist: str
    version: str
    entry: str
    cause: str
    traceback: str
    target: str = ""


class DisabledPlugin(NamedTuple):
    """A plugin that a switch left out."""

    dist: str
    version: str
    entry: str
    switch: str
    target: str = ""


@dataclass(frozen=True)
class PluginSet:
    """Everything that was found, loaded or not.

    Attributes
    ----------
    loaded : list of LoadedPlugin
        Core first, then by distribution and entry point.
    broken : list of BrokenPlugin
    disabled : list of DisabledPlugin
    notes : list of str
        Observations that break nothing: names used twice, switches that name nothing.
    manager : pluggy.PluginManager
        Holds the loaded plugins' hooks.
    """

    manager: pluggy.PluginManager
    loaded: list[LoadedPlugin] = field(default_factory=list)
    broken: list[BrokenPlugin] = field(default_factory=list)
    disabled: list[DisabledPlugin] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class _Refusal(Exception):
    """A plugin breaks the contract in a way that we can name without a traceback."""


def load_plugins(*, env: Mapping[str, str] = os.environ) -> PluginSet:
    """Load core's components and those of every installed plugin.

    Parameters
    ----------
    env : mapping, optional
        Where the switches are read from.

    Returns
    -------
    plugins : PluginSet

    Raises
    ------
    PluginError
        With ``MNPU_STRICT_PLUGINS=1``, for the first broken plugin.
    """
    manager = pluggy.PluginManager("mnpu")
    manager.add_hookspecs(hookspecs)
    plugins = PluginSet(manager)
    core = import_module("mnpu.plugin")
    components = _register(manager, core, f"{CORE}:core")
    plugins.loaded.append(LoadedPlugin(CORE, version_of(CORE), "core", core, components))
    found = entry_points(GROUP)
    allowed, denied = _names(env.get("MNPU_PLUGINS", "")), _names(env.get("MNPU_DISABLE_PLUGINS", ""))
    strict = env.get("MNPU_STRICT_PLUGINS", "") not in ("", "0")
    for plugin in found:
        switch = _switched_off(plugin, allowed, denied)
        if switch:
            plugins.disabled.append(DisabledPlugin(plugin.dist, plugin.version, plugin.entry, switch, plugin.value))
        else:
            _load(plugin, plugins, strict=strict)
    plugins.notes.extend(_shared_entry_names(found))
    plugins.notes.extend(_unknown_switches(found, allowed, "MNPU_PLUGINS"))
    plugins.notes.extend(_unknown_switches(found, denied, "MNPU_DISABLE_PLUGINS"))
    return plugins


def _load(found: EntryPoint, plugins: PluginSet, *, strict: bool) -> None:
    name = f"{found.dist}:{found.entry}"
    before = set(HEAVY) & sys.modules.keys()
    try:
        with redirect_stdout(sys.stderr):  # a plugin that prints must not spoil the answer of a command
            module = _import(found.value)
            notes = _check_api(module)
            components = _register(plugins.manager, module, name, taken=_taken(plugins, found.dist))
    except (Exception, SystemExit) as error:
        broken = BrokenPlugin(found.dist, found.version, found.entry, _cause(error), _trace(error), found.value)
        if strict:
            raise PluginError(
                broken.cause,
                where=f"plugin {found.dist} {found.version} ({found.entry})",
                next_step="Fix or uninstall it, or unset MNPU_STRICT_PLUGINS to go on without it.",
            ) from error
        plugins.broken.append(broken)
        return
    heavy = sorted((set(HEAVY) & sys.modules.keys()) - before)
    if heavy:
        notes.append(f"{found.value} imports {', '.join(heavy)}; import it in the component's own module instead")
    plugins.loaded.append(LoadedPlugin(found.dist, found.version, found.entry, module, components, tuple(notes)))


def _import(value: str) -> ModuleType:
    if ":" in value:
        raise _Refusal(f"the entry point is {value!r}, expected the name of a module")
    return import_module(value)


def _check_api(module: ModuleType) -> list[str]:
    """Refuse a plugin that was written for another major version of the hooks."""
    stated = getattr(module, "MNPU_API", None)
    if stated is None:
        return [f"{module.__name__} does not state MNPU_API; assumed {hookspecs.API}"]
    major = str(stated).partition(".")[0]
    if not major.isdecimal():
        raise _Refusal(f"MNPU_API is {stated!r}, expected the major version of the plugin API, as in {hookspecs.API}")
    if int(major) != hookspecs.API:
        newer = int(major) > hookspecs.API
        fix = "upgrade mnpu-core" if newer else "upgrade the plugin"
        raise _Refusal(f"written for plugin API {stated}, this mnpu-core provides API {hookspecs.API}: {fix}")
    return []


def _register(
    manager: pluggy.PluginManager, module: ModuleType, name: str, *, taken: Iterable[tuple[str, str]] = ()
) -> dict[str, dict[str, str]]:
    """Register the module's hooks and collect its components; leave no trace if anything is wrong."""
    _check_hooks(manager, module)
    try:
        manager.register(module, name=name)
        components = _collect(manager, module)
        for kind, component in taken:
            if component in components.get(kind, ()):
                raise _Refusal(f"it provides the {kind} {component!r} twice, expected each name once")
        return components
    except (Exception, SystemExit):
        # what was registered before the failure must go (older versions of pluggy keep it in their own failures too)
        if manager.get_plugin(name) is module:
            manager.unregister(name=name)
        raise


def _taken(plugins: PluginSet, dist: str) -> list[tuple[str, str]]:
    """What other entry points of the same distribution provide: their canonical ids would be equal."""
    mine = (plugin.components for plugin in plugins.loaded if plugin.dist == dist)
    return [(kind, name) for components in mine for kind, names in components.items() for name in names]


def _check_hooks(manager: pluggy.PluginManager, module: ModuleType) -> None:
    known = [name for name in vars(hookspecs) if name.startswith("mnpu_")]
    for name in dir(module):
        options = manager.parse_hookimpl_opts(module, name)
        if options is None:
            attribute = getattr(module, name)
            if name in known and getattr(attribute, "__module__", None) == module.__name__:
                raise _Refusal(f"{name} is not marked, expected @hookimpl above it")
            continue
        hook = options.get("specname") or name
        if hook not in known and not options.get("optionalhook"):
            raise _Refusal(f"unknown hook {hook!r}{_did_you_mean(hook, known)}")


def _collect(manager: pluggy.PluginManager, module: ModuleType) -> dict[str, dict[str, str]]:
    components: dict[str, dict[str, str]] = {}
    for caller in manager.get_hookcallers(module) or ():
        kind = KIND_OF_HOOK.get(caller.name)
        if kind is None:
            continue  # an observer
        for implementation in caller.get_hookimpls():
            if implementation.plugin is module:
                components[kind] = _checked(caller.name, implementation.function())
    return components


def _checked(hook: str, returned: object) -> dict[str, str]:
    """The names that a hook returned, refused unless they are what the contract says."""
    expected = 'expected {"name": "package.module:Attribute"}'
    if not isinstance(returned, dict):
        raise _Refusal(f"{hook} returned {_short(returned)}, {expected}")
    for name, target in returned.items():
        if not isinstance(name, str) or not _NAME.match(name):
            raise _Refusal(f"{hook} returned the name {_short(name)}, expected letters, digits, '_' or '-'")
        if not isinstance(target, str) or not _TARGET.match(target):
            raise _Refusal(f"{hook} returned {_short(target)} for {name!r}, {expected}")
    return dict(returned)


def _short(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


def _cause(error: BaseException) -> str:
    if isinstance(error, _Refusal):
        return str(error)
    text = " ".join(str(error).split())
    kind = type(error).__name__
    return f"{kind}: {text}" if text else kind


def _trace(error: BaseException) -> str:
    if isinstance(error, _Refusal):
        return ""
    import traceback

    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def _names(text: str) -> tuple[str, ...]:
    return tuple(normalise(name.strip()) for name in text.split(",") if name.strip())


def _switched_off(found: EntryPoint, allowed: Iterable[str], denied: Iterable[str]) -> str:
    names = {found.dist, normalise(found.entry)}
    if names & set(denied):
        return "MNPU_DISABLE_PLUGINS"
    return "MNPU_PLUGINS" if allowed and not names & set(allowed) else ""


def _unknown_switches(found: Iterable[EntryPoint], names: Iterable[str], switch: str) -> list[str]:
    known = {CORE}.union(*({plugin.dist, normalise(plugin.entry)} for plugin in found))
    return [f"{switch} names {name!r}, which is not installed" for name in names if name not in known]


def _shared_entry_names(found: Iterable[EntryPoint]) -> list[str]:
    owners: dict[str, list[str]] = {}
    for plugin in found:
        owners.setdefault(plugin.entry, []).append(plugin.dist)
    return [
        f"the entry point {entry!r} belongs to {' and '.join(dists)}; both are loaded, name them by distribution"
        for entry, dists in owners.items()
        if len(dists) > 1
    ]


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=1)
    return f", did you mean {close[0]!r}?" if close else ""
