"""From an entry of a recipe to the features that it chooses: one by name, several by a pattern or by a tag.

``{use: macro.*}`` chooses every feature of a source, ``{use: macro.vix_*}`` those whose names match,
``{tag: momentum}`` those of all sources that carry a tag, and ``{use: price.*, tag: momentum}`` those of one source.
Chosen together, each feature has its own defaults. The order is that of the sources (core's first, then by name), and
in a source that of its module, so the same packages always make the same columns.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from mnpu.errors import ConfigError, MnpuError, PluginError
from mnpu.features.api import meta_of

__all__ = ["Chosen", "Sources", "Use", "chosen", "features_of", "legal_name", "refuse", "require"]

Function = Callable[..., np.ndarray]


class Use(Protocol):
    """One entry of a recipe's ``features``: ``use`` is ``source.function`` or a pattern, ``tag`` a word, or both."""

    @property
    def use(self) -> str:
        """``source.function``, a pattern, or empty."""

    @property
    def tag(self) -> str:
        """A word, or empty."""

    @property
    def params(self) -> Mapping[str, Any]:
        """What else stands in the entry."""


class Sources(Protocol):
    """What plan needs of the registry of components."""

    def find(self, kind: str, name: str) -> Any:
        """The component of this name."""

    def load(self, kind: str, name: str) -> Any:
        """What it stands for, imported."""

    def complete(self, kind: str) -> list[Any]:
        """All components of a kind; an error where one cannot be known."""


@dataclass(frozen=True)
class Chosen:
    """A feature: ``source`` is the name its source is used by, ``dist`` the distribution that brings it.

    ``needs`` is what its source ``REQUIRES``.
    """

    source: str
    name: str
    function: Function
    dist: str
    needs: Mapping[str, str] = field(default_factory=dict)


def features_of(module: object) -> dict[str, Function]:
    """The features of a source, by name, in the order of the module."""
    return {name: value for name, value in vars(module).items() if meta_of(value) is not None}


def refuse(module: object, source: str, name: str, where: str) -> None:
    """An error for what a source refuses by name, ``REFUSED``, with its reason."""
    reason = getattr(module, "REFUSED", {}).get(name)
    if reason:
        raise ConfigError(f"{source}.{name} is refused: {reason}", where=where, expected="another feature")


def require(needs: Mapping[str, str], name: str, where: str = "") -> None:
    """An error where a module of ``needs`` is not installed; it names the requirement that brings it."""
    for module, requirement in needs.items():
        if find_spec(module) is None:
            raise PluginError(
                f"{name} needs {module}, which is not installed",
                where=where,
                next_step=f'Run: pip install "{requirement}"',
            )


def _requires(module: object) -> Mapping[str, str]:
    """What the features of a source need beside its own distribution: imported names, and what brings them."""
    return dict(getattr(module, "REQUIRES", {}))


def legal_name(component: Any, components: Iterable[Any]) -> str:
    """The short name of a component while it is unique among those of its kind, else its canonical id."""
    unique = sum(other.name == component.name for other in components) == 1
    return str(component.name if unique else component.canonical)


def chosen(use: Use, registry: Sources, *, where: str) -> list[Chosen]:
    """The features that an entry chooses, at least one.

    Raises
    ------
    ConfigError
        Nothing has this name or tag, or matches the pattern; a selection of several is given parameters.
    PluginError
        A source is missing, cannot be imported, or needs a library that is not installed. A tag asks every source, so
        all of them must be sound.
    """
    found = _chosen(use, registry, where)
    for each in found:
        require(each.needs, f"{each.source}.{each.name}", where)
    return found


def _chosen(use: Use, registry: Sources, where: str) -> list[Chosen]:
    if not use.tag and "*" not in use.use:
        return [_named(use.use, registry, where)]
    _refuse_mixture(use, where)
    found = _matching(use.use, registry, where) if use.use else _everything(registry, where)
    if not use.tag:
        return found
    tagged = [each for each in found if use.tag in _tags(each)]
    if not tagged:
        raise _unknown_tag(use, found, where)
    return tagged


def _named(use: str, registry: Sources, where: str) -> Chosen:
    source, name = _parts(use, where)
    component = registry.find("feature_source", source)
    module = registry.load("feature_source", source)
    found = features_of(module)
    refuse(module, source, name, where)
    if name not in found:
        close = difflib.get_close_matches(name, found, n=1)
        raise ConfigError(
            f"source {source!r} has no feature {name!r}",
            where=where,
            expected=f"one of {', '.join(found)}",
            next_step=f"Did you mean '{source}.{close[0]}'?" if close else "",
        )
    return Chosen(source, name, found[name], component.dist, _requires(module))


def _parts(use: str, where: str) -> tuple[str, str]:
    source, dot, name = use.rpartition(".")
    if not dot:
        raise ConfigError(
            f"use is {use!r}",
            where=where,
            expected="source.function, such as price.log_return",
            next_step="Run: mnpu features list.",
        )
    return source, name


def _refuse_mixture(use: Use, where: str) -> None:
    what = f"tag {use.tag!r}" if use.tag else f"pattern {use.use!r}"
    if use.use and "*" not in use.use:
        raise ConfigError(
            f"tag {use.tag!r} stands beside the feature {use.use!r}",
            where=f"{where}.tag",
            expected="a tag alone, or beside a pattern such as price.*",
            next_step="Remove one of the two.",
        )
    for name in use.params:
        raise ConfigError(
            f"{name!r} is given to all features of the {what}",
            where=f"{where}.{name}",
            expected="no parameter: features that are chosen together have their defaults",
            next_step="Name the feature to set its parameters.",
        )


def _matching(use: str, registry: Sources, where: str) -> list[Chosen]:
    source, pattern = _parts(use, where)
    if "*" in source:
        raise ConfigError(
            f"use is {use!r}",
            where=where,
            expected="the name of one source before the dot, as in macro.*",
            next_step="To choose from all sources write {tag: WORD}; mnpu features list shows tags.",
        )
    component = registry.find("feature_source", source)
    module = registry.load("feature_source", source)
    functions, needs = features_of(module), _requires(module)
    found = [Chosen(source, n, f, component.dist, needs) for n, f in functions.items() if fnmatchcase(n, pattern)]
    if not found:
        close = difflib.get_close_matches(pattern.replace("*", ""), functions, n=1, cutoff=0.5)
        raise ConfigError(
            f"no feature of source {source!r} matches {pattern!r}",
            where=where,
            expected=f"some of {', '.join(functions)}",
            next_step=f"Did you mean '{source}.{close[0]}'?" if close else "",
        )
    return found


def _everything(registry: Sources, where: str) -> list[Chosen]:
    components = registry.complete("feature_source")
    found = []
    for component in components:
        name = legal_name(component, components)
        try:
            module = registry.load("feature_source", component.canonical)
        except MnpuError as error:  # it might carry the tag, and what is chosen must not depend on what is broken
            raise type(error)(
                error.what,
                where=where,
                expected="sources that can be imported, as a tag asks all of them",
                next_step=f"{error.next_step} Or choose from one source, as in {{use: price.*, tag: WORD}}.",
            ) from error
        found += [
            Chosen(name, each, function, component.dist, _requires(module))
            for each, function in features_of(module).items()
        ]
    return found


def _unknown_tag(use: Use, found: Iterable[Chosen], where: str) -> ConfigError:
    known = sorted({tag for each in found for tag in _tags(each)})
    close = difflib.get_close_matches(use.tag, known, n=1)
    whose = f"that matches {use.use!r} " if use.use else ""
    return ConfigError(
        f"no feature {whose}has the tag {use.tag!r}",
        where=where,
        expected=f"one of {', '.join(known) or 'none, as they have no tags'}",
        next_step=f"Did you mean {close[0]!r}?" if close else "Run: mnpu features list.",
    )


def _tags(each: Chosen) -> tuple[str, ...]:
    meta = meta_of(each.function)
    return meta.tags if meta is not None else ()
