"""Every component that can be used, by name: listed without an import, imported when it is used.

The short name of a component is legal while it is unique; the canonical id ``distribution/name`` always is. Nothing
overwrites anything: a name that two plugins claim is ambiguous until the configuration says which one it means.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn

from mnpu.errors import ConfigError, MnpuError, PluginError
from mnpu.plugins.catalog import KNOWN, provider
from mnpu.plugins.kinds import KINDS, Kind
from mnpu.plugins.loader import CORE, PluginSet, load_plugins

__all__ = ["KINDS", "Component", "Kind", "Registry", "suggest"]

#: How torch says that a tensor is larger than the memory, or than an integer can count; it has no error of its own.
_OUT_OF_MEMORY = ("can't allocate memory", "Storage size calculation overflowed", "Overflow when unpacking")
_TRAIN_EXTRA = ("torch", "lightning", "safetensors")


@dataclass(frozen=True)
class Component:
    """A named component: ``target`` is ``package.module:Attribute`` (a module alone for a feature source)."""

    kind: str
    name: str
    canonical: str
    target: str
    dist: str
    version: str


class Registry:
    """The components of a set of plugins.

    Parameters
    ----------
    plugins : PluginSet
        What the loader found. Broken and disabled plugins explain a miss.
    """

    def __init__(self, plugins: PluginSet) -> None:
        self.plugins = plugins
        self._objects: dict[tuple[str, str], object] = {}
        self._muted: set[tuple[str, str]] = set()
        self._components = [
            Component(kind, name, f"{plugin.dist}/{name}", target, plugin.dist, plugin.version)
            for plugin in plugins.loaded
            for kind, names in plugin.components.items()
            for name, target in names.items()
        ]

    @classmethod
    def discover(cls) -> Registry:
        """Load the installed plugins; each broken one is logged in one line."""
        plugins = load_plugins()
        if plugins.broken:
            import logging

            for broken in plugins.broken:
                logging.getLogger("mnpu.plugins").warning(
                    "%s %s failed to load: %s (mnpu plugins doctor %s)",
                    *(broken.dist, broken.version, broken.cause, broken.dist),
                )
        return cls(plugins)

    def components(self, kind: str | None = None) -> list[Component]:
        """All components, or those of one kind, in the order of the pipeline and then by canonical id."""
        if kind is not None:
            _check_kind(kind)
        order = {name: place for place, name in enumerate(KINDS)}
        chosen = [component for component in self._components if kind in (None, component.kind)]
        return sorted(chosen, key=lambda c: (order[c.kind], c.dist != CORE, c.canonical))

    def complete(self, kind: str) -> list[Component]:
        """All components of a kind, for a choice among them that must not depend on which plugins are broken.

        Raises
        ------
        PluginError
            A plugin that would provide some failed to load.
        """
        for broken in self.plugins.broken:
            if _promised(broken.target, kind) or KNOWN.get(broken.dist, {}).get(kind):
                raise PluginError(
                    f"{broken.dist} {broken.version}, which provides {KINDS[kind].plural}, failed to load: "
                    f"{broken.cause}",
                    next_step=f"See: mnpu plugins doctor {broken.dist}. "
                    f"Leave it out with MNPU_DISABLE_PLUGINS={broken.dist}.",
                )
        return self.components(kind)

    def find(self, kind: str, name: str) -> Component:
        """The component that ``name``, short or canonical, stands for; nothing is imported.

        Raises
        ------
        ConfigError
            The name is unknown, or several distributions claim it.
        PluginError
            The distribution that provides it is not installed, disabled or broken.
        """
        _check_kind(kind)
        matches = [c for c in self._components if c.kind == kind and name in (c.name, c.canonical)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            candidates = " or ".join(sorted(component.canonical for component in matches))
            raise ConfigError(
                f"the {_words(kind)} {name!r} is ambiguous: {len(matches)} installed distributions provide it",
                next_step=f"Write {candidates}.",
            )
        self._explain_miss(kind, name)

    def load(self, kind: str, name: str) -> Any:
        """Import the component's target.

        Raises
        ------
        PluginError
            The import failed; the message names the cause, and torch's extra if that is what is missing.
        """
        component = self.find(kind, name)
        key = (kind, component.canonical)
        if key in self._objects:
            return self._objects[key]
        path, _, attribute = component.target.partition(":")
        try:
            target: Any = import_module(path)
            for part in attribute.split(".") if attribute else ():
                target = getattr(target, part)
        except (Exception, SystemExit) as error:
            raise _import_failure(component, error) from error
        return target

    def build(self, kind: str, name: str, params: Mapping[str, Any], *, where: str = "", **supplied: Any) -> Any:
        """Check ``params`` against the component's own signature and construct it.

        Parameters
        ----------
        kind, name : str
        params : mapping
            What the configuration says, without ``use``.
        where : str, optional
            Dotted path (or file and line) that errors begin with.
        **supplied
            The arguments that the framework gives, such as ``n_features`` for a backbone.

        Returns
        -------
        component : object
            An instance. Where a function is the component (a metric, a section, a renderer), that function with
            its parameters bound.
        """
        from mnpu.plugins.schema import validate_params

        component = self.find(kind, name)
        target = self.load(kind, component.canonical)
        where = where or f"{kind} {name}"
        skip = tuple(dict.fromkeys((*KINDS[kind].supplied, *supplied)))
        if KINDS[kind].called and not isinstance(target, type):
            values = validate_params(target, params, skip=skip, where=where, keyword_only=True)
            return _bound(target, {**values, **supplied})
        values = validate_params(target, params, skip=skip, where=where)
        try:
            return target(**supplied, **values)
        except MnpuError:
            raise
        except ValueError as error:
            raise ConfigError(str(error), where=where) from error
        except Exception as error:
            cause = str(error).partition("\n")[0]  # compiled code appends its stack, which tells a user nothing
            if isinstance(error, MemoryError) or any(sign in cause for sign in _OUT_OF_MEMORY):
                raise ConfigError(
                    f"{component.canonical} asks for more memory than there is",
                    where=where,
                    expected="sizes that fit into it",
                    next_step=f"Lower {', '.join([*params, *supplied]) or 'them'}.",
                ) from error
            raise PluginError(
                f"{component.canonical} {component.version} could not be constructed: {type(error).__name__}: {cause}",
                where=where,
                next_step=f"Report it to the authors of {component.dist}; MNPU_TRACEBACK=1 shows where it happened.",
            ) from error

    def add(self, kind: str, name: str, target: object, *, dist: str = "local") -> Component:
        """Register a component of this process, for a notebook or a test.

        ``target`` is ``package.module:Attribute`` or the object itself (a module for a feature source).
        """
        _check_kind(kind)
        canonical = f"{dist}/{name}"
        if any(c.kind == kind and c.canonical == canonical for c in self._components):
            raise ConfigError(f"{_words(kind)} {canonical!r} is registered already", next_step="Choose another name.")
        text = target if isinstance(target, str) else _address(target)
        component = Component(kind, name, canonical, text, dist, "local")
        if not isinstance(target, str):
            self._objects[(kind, canonical)] = target
        self._components.append(component)
        return component

    def notify(self, hook: str, **facts: object) -> None:
        """Tell the observers of ``hook``; one that raises is logged with its plugin's name and muted."""
        caller = getattr(self.plugins.manager.hook, hook)
        for implementation in reversed(caller.get_hookimpls()):
            key = (implementation.plugin_name, hook)
            if key in self._muted:
                continue
            try:
                implementation.function(**{name: facts[name] for name in implementation.argnames})
            except Exception:
                import logging

                self._muted.add(key)
                plugin = implementation.plugin_name.partition(":")[0]
                logging.getLogger("mnpu.plugins").exception("%s: its observer %s raised and is muted", plugin, hook)

    def _explain_miss(self, kind: str, name: str) -> NoReturn:
        dist = name.rpartition("/")[0] or provider(kind, name)
        for broken in self.plugins.broken:
            if broken.dist == dist or name in _promised(broken.target, kind):
                raise PluginError(
                    f"the {_words(kind)} {name!r} belongs to {broken.dist} {broken.version}, which failed to load: "
                    f"{broken.cause}",
                    next_step=f"See: mnpu plugins doctor {broken.dist}.",
                )
        for disabled in self.plugins.disabled:
            if disabled.dist == dist or name in _promised(disabled.target, kind):
                raise PluginError(
                    f"the {_words(kind)} {name!r} belongs to {disabled.dist}, which {disabled.switch} leaves out",
                    next_step=f"Change {disabled.switch} to use it.",
                )
        known = provider(kind, name)
        installed = next((plugin for plugin in self.plugins.loaded if plugin.dist == known), None)
        if installed:
            raise PluginError(
                f"{known} {installed.version} does not provide the {_words(kind)} {name!r}",
                next_step=f"Run: pip install --upgrade {known}.",
            )
        if known:
            raise PluginError(
                f"the {_words(kind)} {name!r} is not installed, it belongs to {known}",
                next_step=f"Run: pip install {known}",
            )
        raise ConfigError(f"No {_words(kind)} named {name!r}", next_step=self._hint(kind, name))

    def _hint(self, kind: str, name: str) -> str:
        """What a reader of an unknown name can do, best guess first."""
        here = [component for component in self.components() if component.kind == kind]
        guess = suggest(name, [c.name for c in here] + [c.canonical for c in here])
        others = sorted({_words(c.kind) for c in self._components if name in (c.name, c.canonical)})
        steps = []
        if others:
            steps.append(f"{name!r} is a {' and a '.join(others)}.")
        elif guess:
            steps.append(f"Did you mean {guess!r}?")
        names = ", ".join(dict.fromkeys(component.name for component in here)) or "none"
        steps.append(f"Installed {KINDS[kind].plural}: {names}.")
        if self.plugins.broken:
            steps.append(f"{len(self.plugins.broken)} plugin(s) failed to load: mnpu plugins doctor.")
        return " ".join(steps)


def suggest(name: str, known: Iterable[str]) -> str:
    """The known name that ``name`` most likely meant, empty if none is close."""
    from difflib import get_close_matches

    lower = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(name.lower(), lower, n=1)
    return lower[close[0]] if close else ""


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        guess = suggest(kind, KINDS)
        hint = f"Did you mean {guess!r}? " if guess else ""
        raise ConfigError(f"No kind of component is named {kind!r}", next_step=f"{hint}Kinds: {', '.join(KINDS)}.")


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _promised(target: str, kind: str) -> tuple[str, ...]:
    """Names that a plugin module which was not loaded would have provided, read from its source."""
    from mnpu.plugins.describe import promised_names

    return promised_names(target, KINDS[kind].hook)


def _import_failure(component: Component, error: BaseException) -> PluginError:
    missing = (getattr(error, "name", None) or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if missing in _TRAIN_EXTRA:
        return PluginError(
            f"the {_words(component.kind)} {component.canonical!r} needs {missing}, which is not installed",
            next_step='Run: pip install "mnpu-core[train]"',
        )
    return PluginError(
        f"the {_words(component.kind)} {component.canonical!r} ({component.dist} {component.version}, "
        f"{component.target}) could not be imported: {type(error).__name__}: {error}",
        next_step=f"See: mnpu plugins doctor {component.dist}.",
    )


def _bound(function: Callable[..., Any], values: Mapping[str, Any]) -> Callable[..., Any]:
    if not values:
        return function
    from functools import partial

    return partial(function, **values)


def _address(target: object) -> str:
    if isinstance(target, type(sys)):
        return target.__name__
    return f"{getattr(target, '__module__', '?')}:{getattr(target, '__qualname__', type(target).__qualname__)}"
