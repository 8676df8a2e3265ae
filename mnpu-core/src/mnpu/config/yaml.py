"""YAML as a pipeline needs it: strict scalars, and a line and column for every value.

Only ``true``, ``false``, ``null``, plain whole numbers and plain decimals are special. Everything else is text, so
the tickers ``ON``, ``NO``, ``TRUE`` and ``005930`` stay tickers and ``12:30:00`` stays a time, while ``1e-4`` is a
number. Keys are always text. Refused, each with its place: a key given twice, anchors and aliases, tags, more than
one document, blocks nested deeper than 32.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from mnpu.config.interpolate import expand
from mnpu.config.tree import Path, Tree, dotted
from mnpu.errors import ConfigError

__all__ = ["parse_scalar", "read_file", "read_text", "read_value"]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,299})")
_FLOAT = re.compile(r"[-+]?((0|[1-9][0-9]{0,299})(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")
_MAX_DEPTH = 32


def parse_scalar(text: str) -> Any:
    """The value of an unquoted scalar: bool, int, float, None, or the text itself."""
    if text in ("true", "false"):
        return text == "true"
    if text in ("null", ""):
        return None
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and abs(number := float(text)) != float("inf"):
        return number
    return text


def read_file(path: FilePath, *, env: Mapping[str, str]) -> Tree:
    """Read a YAML file whose top is a map.

    Raises
    ------
    ConfigError
        The file is missing, unreadable, empty, or not YAML as described above.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(
            "does not exist", where=str(path), expected="a YAML file", next_step=_neighbours(path)
        ) from None
    except IsADirectoryError:
        raise ConfigError("is a folder", where=str(path), expected="a YAML file") from None
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror})", where=str(path)) from error
    return read_text(_decode(raw, str(path)), name=str(path), env=env)


def read_text(text: str, *, name: str, env: Mapping[str, str]) -> Tree:
    """Read YAML ``text`` whose top is a map; ``name`` stands for the file in errors."""
    tree = _parse(text, name, env)
    if tree is None or tree.value is None:
        raise ConfigError("is empty", where=f"{name}:1:1", expected="a map of a pipeline's keys")
    if not isinstance(tree.value, dict):
        what = "a list" if isinstance(tree.value, list) else f"{tree.value!r}"
        raise ConfigError(f"the file is {what}", where=tree.where(()), expected="a map of a pipeline's keys")
    return tree


def read_value(text: str, *, path: Path, origin: str, env: Mapping[str, str]) -> Tree:
    """Read the value of ``--set KEY=VALUE`` by the same rules, as a tree whose root is ``path``."""
    try:
        tree = _parse(text, "", env, root=path) or Tree(None, {path: origin})
    except ConfigError as error:
        raise ConfigError(error.what, where=origin, expected=error.expected, next_step=error.next_step) from None
    return Tree(
        tree.value, dict.fromkeys(tree.origins, origin), dict.fromkeys(tree.key_origins, origin), tree.references
    )


def _decode(raw: bytes, name: str) -> str:
    for mark in (b"\xff\xfe", b"\xfe\xff"):
        if raw.startswith(mark):
            raise ConfigError("is encoded in UTF-16", where=f"{name}:1:1", expected="UTF-8")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise ConfigError(
            f"holds the byte 0x{raw[error.start]:02x}",
            where=f"{name}:{line}:{column}",
            expected="UTF-8",
            next_step="Save the file as UTF-8.",
        ) from None


def _neighbours(path: FilePath) -> str:
    from difflib import get_close_matches

    if not path.parent.is_dir():
        return f"There is no folder '{path.parent}' either."
    near = get_close_matches(path.name, [p.name for p in path.parent.glob("*.y*ml")], n=1)
    return f"Did you mean '{path.parent / near[0]}'?" if near else "Check the path."


def _parse(text: str, name: str, env: Mapping[str, str], *, root: Path = ()) -> Tree | None:
    """Read one document; None if there is none."""
    reader = _Reader(name, env, root)
    try:
        return reader.document(yaml.parse(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, name) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        where = f"{name}:{before.count(chr(10)) + 1}:{error.position - before.rfind(chr(10))}"
        raise ConfigError(
            f"holds a character that YAML does not allow ({text[error.position]!r})",
            where=where,
            expected="printable text",
            next_step="Remove it, or write it as an escape in double quotes.",
        ) from None


def _syntax_error(error: yaml.MarkedYAMLError, text: str, name: str) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    line = text.splitlines()[mark.line] if mark and mark.line < len(text.splitlines()) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        what, step = "a tab indents the line", "Indent with spaces."
    elif "${" in line:
        what, step = f"is not YAML ({error.problem})", 'Inside {braces} quote an interpolation: "${env:NAME}".'
    else:
        what, step = f"is not YAML ({error.problem})", "Quote text that holds : # { } [ ] , & * ! | > % @ or `."
    where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
    return ConfigError(what, where=where, expected="YAML", next_step=step)


@dataclass
class _Reader:
    """Builds a tree from parser events, one document, no anchors, no tags."""

    name: str
    env: Mapping[str, str]
    root: Path = ()

    def document(self, events: Iterator[Event]) -> Tree | None:
        tree: Tree | None = None
        for event in events:
            if not isinstance(event, DocumentStartEvent):
                continue
            if tree is not None:
                raise ConfigError("a second document begins here", where=self.at(event), expected="one document a file")
            tree = Tree(None)
            tree.value = self.node(next(events), events, tree, self.root)
        return tree

    def node(self, event: Event, events: Iterator[Event], tree: Tree, path: Path) -> Any:
        """The value that ``event`` begins; what is learnt about it goes into ``tree``."""
        self.refuse(event, path)
        tree.origins[path] = self.at(event)
        if isinstance(event, ScalarEvent):
            return self.scalar(event, tree, path)
        if isinstance(event, SequenceStartEvent):
            items: list[Any] = []
            while not isinstance(item := next(events), SequenceEndEvent):
                items.append(self.node(item, events, tree, (*path, len(items))))
            return items
        block: dict[str, Any] = {}
        while not isinstance(key_event := next(events), MappingEndEvent):
            key = self.key(key_event, block, path)
            here: Path = (*path, key)
            tree.key_origins[here] = self.at(key_event)
            block[key] = self.node(next(events), events, tree, here)
        return block

    def scalar(self, event: ScalarEvent, tree: Tree, path: Path) -> Any:
        text, used = expand(event.value, self.env, where=self.at(event), path=path)
        value = parse_scalar(text) if event.implicit[0] else text
        if used and isinstance(value, str):
            tree.references[path] = event.value
        return value

    def key(self, event: Event, block: Mapping[str, Any], path: Path) -> str:
        self.refuse(event, path)
        if not isinstance(event, ScalarEvent):
            raise ConfigError("a key is not text", where=self.at(event), expected="a name as the key")
        here = dotted((*path, event.value))
        if event.value == "<<":
            raise ConfigError(
                f"{here} is a merge key, which is not read",
                where=self.at(event),
                next_step="Write the values out, or put them in a second file for -f.",
            )
        if event.value in block:
            raise ConfigError(
                f"{here} is given twice", where=self.at(event), expected="each key once", next_step="Remove one."
            )
        return event.value

    def refuse(self, event: Event, path: Path) -> None:
        if isinstance(event, AliasEvent):
            what = f"*{event.anchor} is an alias"
        elif getattr(event, "anchor", None):
            what = f"&{event.anchor} is an anchor"  # type: ignore[attr-defined]
        elif getattr(event, "tag", None):
            raise ConfigError(
                f"'{event.tag}' is a tag",  # type: ignore[attr-defined]
                where=self.at(event),
                expected="a plain value",
                next_step="To make a value text, quote it.",
            )
        elif len(path) > _MAX_DEPTH and isinstance(event, (SequenceStartEvent, MappingStartEvent)):
            raise ConfigError(
                "blocks are nested too deeply", where=self.at(event), expected=f"at most {_MAX_DEPTH} levels"
            )
        else:
            return
        raise ConfigError(
            what,
            where=self.at(event),
            expected="a plain value",
            next_step="Write the value out; quote text that begins with & or *.",
        )

    def at(self, event: Event) -> str:
        mark: Any = event.start_mark
        return f"{self.name}:{mark.line + 1}:{mark.column + 1}"
