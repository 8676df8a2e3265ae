"""Reading a pipeline: one file, overlays, ``--set`` overrides, the environment, and every check they allow.

What needs the installed components (their names and parameters) is checked by `mnpu.config.resolve`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath

from pydantic import ValidationError

from mnpu.config.explain import explain, first_of
from mnpu.config.models import Pipeline
from mnpu.config.rules import check
from mnpu.config.tree import Path, Tree, dotted, merge, parse_dotted, place
from mnpu.config.yaml import read_file, read_text, read_value
from mnpu.errors import ConfigError, MnpuError

__all__ = ["LoadedConfig", "load_changed", "load_config", "load_text"]


@dataclass(frozen=True)
class LoadedConfig:
    """A checked configuration that remembers where each value was written.

    Attributes
    ----------
    path : Path
        The file. A relative ``data.store`` starts from its folder.
    pipeline : Pipeline
        The values to build from, environment included.
    tree : Tree
        The same values as plain data, with their origins.
    """

    path: FilePath
    pipeline: Pipeline
    tree: Tree

    def where(self, path: str | Path) -> str:
        """Where the value at a dotted path was written: ``file.yaml:12:5``, or ``--set a.b``.

        For a value that is written nowhere (a default): where the nearest block around it begins.
        """
        parts = parse_dotted(path) if isinstance(path, str) else path
        return self.tree.where(tuple(int(p) if isinstance(p, str) and p.isdecimal() else p for p in parts))

    def error(self, path: Path, what: str, *, expected: str = "", next_step: str = "") -> ConfigError:
        """An error about the value at ``path``: ``file.yaml:12:5: <dotted path> <what>, expected ...``."""
        return ConfigError(
            f"{dotted(path)} {what}", where=self.tree.where(path), expected=expected, next_step=next_step
        )


def load_config(
    path: str | os.PathLike[str],
    *,
    overlays: Sequence[str | os.PathLike[str]] = (),
    sets: Sequence[str] = (),
    env: Mapping[str, str] = os.environ,
) -> LoadedConfig:
    """Read and check a pipeline's YAML file.

    Parameters
    ----------
    path : path
    overlays : sequence of path
        Files laid over it, the last one wins: maps merge key by key, lists and components are replaced.
    sets : sequence of str
        ``a.b=VALUE``, applied last. ``features.0.window=20`` reaches into a list; VALUE is YAML.
    env : mapping
        Where ``${env:NAME}`` is looked up.

    Raises
    ------
    ConfigError
        With file, line, column and dotted path; the first of several, the others listed below it.
    """
    path = FilePath(path)
    tree = read_file(path, env=env)
    for overlay in overlays:
        tree = merge(tree, read_file(FilePath(overlay), env=env))
    return _check(path, _with_sets(tree, sets, env))


def load_changed(
    path: str | os.PathLike[str], changes: Sequence[tuple[str, Tree, Path]], *, env: Mapping[str, str] = os.environ
) -> LoadedConfig:
    """Read and check a pipeline's file with values that stand in another file, a sweep's.

    Parameters
    ----------
    path : path
    changes : sequence of (str, Tree, path)
        Dotted path of a value of the pipeline, the tree of the other file, and where in it the new value stands; the
        last one wins. Errors about such a value say where it was written.
    env : mapping
        Where ``${env:NAME}`` is looked up.
    """
    tree = read_file(FilePath(path), env=env)
    for name, other, below in changes:
        origin = other.where(below)
        try:
            target = parse_dotted(name)
        except ConfigError as error:
            raise ConfigError(error.what, where=other.where_key(below), expected=error.expected) from None
        new = Tree(other.get(below))
        new.adopt(other, target, below=below)
        place(tree, target, new, origin=origin)
    return _check(FilePath(path), tree)


def load_text(
    text: str, *, name: str = "<text>", sets: Sequence[str] = (), env: Mapping[str, str] = os.environ
) -> LoadedConfig:
    """Read and check a pipeline from text, as `load_config` does; ``name`` stands for the file in errors."""
    return _check(FilePath(name), _with_sets(read_text(text, name=name, env=env), sets, env))


def _with_sets(tree: Tree, sets: Sequence[str], env: Mapping[str, str]) -> Tree:
    for text in sets:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set {text} has no '='", expected="--set KEY=VALUE, as in --set train.epochs=2")
        origin = f"--set {name.strip()}"
        try:
            path = parse_dotted(name.strip())
        except ConfigError as error:
            raise ConfigError(error.what, where="--set", expected=error.expected) from None
        place(tree, path, read_value(value, path=path, origin=origin, env=env), origin=origin)
    return tree


def _check(path: FilePath, tree: Tree) -> LoadedConfig:
    try:
        pipeline = Pipeline.model_validate(tree.value)
    except ValidationError as error:
        raise first_of(explain(error, tree, Pipeline)) from None
    loaded = LoadedConfig(path, pipeline, tree)
    errors: list[MnpuError] = list(check(loaded))
    if errors:
        raise first_of(errors)
    return loaded
