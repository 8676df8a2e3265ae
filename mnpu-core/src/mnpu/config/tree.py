"""Configuration values that remember where each one was written.

A path is the tuple of keys and list positions from the top: ``("features", 0, "window")``, shown as
``features.0.window``. Keys that hold a dot are quoted: ``data.dataset."BRK.B"``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mnpu.errors import ConfigError

__all__ = ["Path", "Tree", "dotted", "merge", "parse_dotted", "place"]

Path = tuple[str | int, ...]

_PART = re.compile(r'(?:"([^"]*)"|([^."]+))(\.|$)')


@dataclass
class Tree:
    """A plain value (dicts, lists, scalars) with the origin of each node.

    Attributes
    ----------
    value : object
    origins : dict of path to str
        Where the value stands: ``file.yaml:12:5`` or ``--set a.b``.
    key_origins : dict of path to str
        Where its key stands, for errors that concern the key.
    references : dict of path to str
        The text as written of values that hold text from the environment; it is what may be saved.
    """

    value: Any
    origins: dict[Path, str] = field(default_factory=dict)
    key_origins: dict[Path, str] = field(default_factory=dict)
    references: dict[Path, str] = field(default_factory=dict)

    def where(self, path: Path) -> str:
        """Origin of the value at ``path``, or of the nearest block around it if it is not written anywhere."""
        while path not in self.origins and path:
            path = path[:-1]
        return self.origins.get(path, "")

    def where_key(self, path: Path) -> str:
        """Origin of the key at ``path``; of its value where there is no key (list items)."""
        return self.key_origins.get(path) or self.where(path)

    def get(self, path: Path) -> Any:
        """The value at ``path``; KeyError if there is none."""
        node = self.value
        for part in path:
            try:
                node = node[part]
            except (KeyError, IndexError, TypeError):
                raise KeyError(path) from None
        return node

    def forget(self, path: Path) -> None:
        """Drop what is remembered about ``path`` and everything below it."""
        for table in (self.origins, self.key_origins, self.references):
            for known in [p for p in table if p[: len(path)] == path]:
                del table[known]

    def adopt(self, other: Tree, path: Path, *, below: Path = ()) -> None:
        """Remember at ``path`` what ``other`` knows about its node ``below`` and everything under it."""
        for mine, theirs in (
            (self.origins, other.origins),
            (self.key_origins, other.key_origins),
            (self.references, other.references),
        ):
            mine.update({(*path, *p[len(below) :]): origin for p, origin in theirs.items() if p[: len(below)] == below})


def dotted(path: Path) -> str:
    """``("features", 0, "window")`` as ``features.0.window``."""
    return ".".join(f'"{part}"' if isinstance(part, str) and ("." in part or not part) else str(part) for part in path)


def parse_dotted(text: str) -> Path:
    """``features.0.window`` as a path; parts of digits only become list positions where they meet a list."""
    parts: list[str] = []
    position = 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            break
        parts.append(match[1] if match[1] is not None else match[2])
        position = match.end()
    if not parts or position < len(text) or text.endswith("."):
        raise ConfigError(
            f"'{text}' is not a path", expected="keys joined by dots, as in model.backbone.depth or features.0.window"
        )
    return tuple(parts)


def merge(base: Tree, overlay: Tree) -> Tree:
    """Lay ``overlay`` over ``base``: maps merge key by key, everything else is replaced.

    A block that names another component (``use``) replaces the block below it as a whole, because the parameters
    of one component mean nothing to another.
    """
    merged = Tree(_copy(base.value), dict(base.origins), dict(base.key_origins), dict(base.references))
    _merge_into(merged, overlay, ())
    return merged


def _merge_into(merged: Tree, overlay: Tree, path: Path) -> None:
    below, above = merged.get(path), overlay.get(path)
    for key, value in above.items():
        here = (*path, key)
        mergeable = isinstance(value, Mapping) and isinstance(below.get(key), Mapping)
        if mergeable and value.get("use", below[key].get("use")) == below[key].get("use"):
            _merge_into(merged, overlay, here)
            continue
        merged.forget(here)
        below[key] = _copy(value)
        merged.adopt(overlay, here, below=here)


def place(tree: Tree, path: Path, new: Tree, *, origin: str) -> None:
    """Put ``new``, whose root is ``path``, into ``tree``; blocks that are missing on the way are made.

    Raises
    ------
    ConfigError
        ``path`` leads through a scalar, or past the end of a list.
    """
    node: Any = tree.value
    here: Path = ()
    for i, part in enumerate(path):
        key = _key(node, part, tree, here, origin)
        here = (*here, key)
        if i == len(path) - 1:
            tree.forget(here)
            if isinstance(node, list) and key == len(node):
                node.append(None)
            node[key] = new.value
            tree.adopt(new, here, below=path)
            tree.key_origins[here] = origin
            return
        if isinstance(node, list) and key == len(node):
            node.append({})
        elif isinstance(node, dict) and node.get(key) is None:
            node[key] = {}
        tree.origins.setdefault(here, origin)
        tree.key_origins.setdefault(here, origin)
        node = node[key]


def _key(node: Any, part: str | int, tree: Tree, here: Path, origin: str) -> str | int:
    if isinstance(node, dict):
        return str(part)
    if not isinstance(node, list):
        raise ConfigError(
            f"{dotted(here)} is {node!r}, which has no '{part}' inside", where=origin, expected="the path of a value"
        )
    if not str(part).isdecimal() or int(part) > len(node):
        raise ConfigError(
            f"{dotted(here)} is a list of {len(node)}, which has no position '{part}'",
            where=origin,
            expected=f"0 to {len(node)}",
            next_step=f"Positions count from 0; {len(node)} appends.",
        )
    return int(part)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value
