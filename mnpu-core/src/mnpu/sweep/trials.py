"""From a sweep's definition to its trials: a recipe each, checked, and a key that it is known by."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from mnpu.config.load import load_changed
from mnpu.config.resolve import resolve
from mnpu.config.tree import Path, Tree
from mnpu.hashing import canonical_json
from mnpu.plugins.registry import Registry
from mnpu.sweep.definition import Axis, Definition

__all__ = ["Place", "Trial", "Trials", "grid", "label"]

#: A place on every axis: position in its list of values or cases, or a number of its range.
Place = Mapping[str, Any]


@dataclass(frozen=True)
class Trial:
    """One recipe of a sweep.

    Attributes
    ----------
    key : str
        Hash of the resolved recipe, without how it runs: what makes a trial the same one when the sweep goes on.
    axes : mapping of str to value
        Where it stands: values as they are, cases by name.
    base : Path
    sets : tuple of str
        ``a.b=VALUE``, as `load_config` takes them.
    """

    key: str
    axes: Mapping[str, Any]
    base: FilePath
    sets: tuple[str, ...]

    @property
    def name(self) -> str:
        """For people: ``model=omni seed=3``."""
        return place_of(self.axes)


def place_of(axes: Mapping[str, Any]) -> str:
    """A place on the axes for people: ``model=omni seed=3``."""
    return " ".join(f"{axis}={label(value)}" for axis, value in axes.items())


def label(value: Any) -> str:
    """A place on an axis as text: the component where it is one."""
    if isinstance(value, Mapping) and "use" in value:
        rest = ", ".join(f"{name}={label(item)}" for name, item in value.items() if name != "use")
        return f"{value['use']}({rest})" if rest else str(value["use"])
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)


class Trials:
    """Makes trials of a definition."""

    def __init__(self, definition: Definition, registry: Registry) -> None:
        self.definition = definition
        self._registry = registry

    def at(self, place: Place, *, budget: int | None = None) -> Trial:
        """The trial at one place on every axis.

        Raises
        ------
        ConfigError
            The recipe is wrong there, and the file tells where.
        """
        found, tree = self.definition, self.definition.tree
        base = found.sweep.base
        axes: dict[str, Any] = {}
        changes: list[tuple[str, Tree, Path]] = [(name, tree, ("set", name)) for name in found.sweep.set]
        for name, axis in found.sweep.axes.items():
            if axis.cases is not None:
                axes[name] = list(axis.cases)[place[name]]
                base = axis.cases[axes[name]].base or base
                of_case: Path = ("axes", name, "cases", axes[name], "set")
                changes += [(path, tree, (*of_case, path)) for path in axis.cases[axes[name]].set]
            elif axis.values is not None:
                axes[name] = axis.values[place[name]]
                changes.append((axis.path or name, tree, self._value(name, place[name])))
            else:
                axes[name] = place[name]
                changes.append(_drawn(axis.path or name, place[name], tree, ("axes", name)))
        if budget is not None and found.sweep.search.given is not None:
            path = found.sweep.search.given.path
            axes[path] = budget
            changes.append(_drawn(path, budget, tree, ("search", "budget")))
        file = found.path.parent / str(base)
        resolved = resolve(load_changed(file, changes), self._registry)
        if resolved["split"].get("unlocked"):
            raise found.error(
                (),
                "split.unlocked is true in a trial",
                expected="trials that are judged outside the locked range: choosing by it would spend it",
                next_step=f"Remove it, and look at what was chosen: mnpu sweep look {found.sweep.name}.",
            )
        science = {name: value for name, value in resolved.items() if name not in ("runtime", "report", "name")}
        key = hashlib.sha256(canonical_json(science).encode()).hexdigest()[:12]
        sets = [f"{name}={json.dumps(_as_written(other, below))}" for name, other, below in changes]
        return Trial(key, axes, file, tuple(sets))

    def _value(self, name: str, position: int) -> Path:
        """Where a value stands: in a list under the axis, or under its ``values``."""
        held = self.definition.tree.get(("axes", name))
        return ("axes", name, position) if isinstance(held, list) else ("axes", name, "values", position)


def grid(axes: Mapping[str, Axis]) -> Iterator[dict[str, int]]:
    """Every combination, the last axis fastest."""
    sizes = [range(len(axis.cases or axis.values or ())) for axis in axes.values()]
    for chosen in itertools.product(*sizes):
        yield dict(zip(axes, chosen, strict=True))


def _drawn(path: str, value: Any, tree: Tree, below: Path) -> tuple[str, Tree, Path]:
    """A change that no file has; errors about it lead to the range that it was drawn from."""
    return path, Tree({"drawn": value}, {("drawn",): tree.where(below)}), ("drawn",)


def _as_written(tree: Tree, path: Path) -> Any:
    """The value with its ``${env:NAME}``, so that no secret travels."""
    if path in tree.references:
        return tree.references[path]
    value = tree.get(path)
    if isinstance(value, dict):
        return {key: _as_written(tree, (*path, key)) for key in value}
    if isinstance(value, list):
        return [_as_written(tree, (*path, i)) for i in range(len(value))]
    return value
