"""A resolved configuration as YAML text that loads back equal."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

import yaml

from mnpu.config.interpolate import Reference, escape
from mnpu.config.yaml import parse_scalar
from mnpu.errors import ConfigError

__all__ = ["dump"]

_PLAIN = re.compile(r"[A-Za-z0-9_./+^=-]*")
_PASSWORD = re.compile(r"(?<=://)([^/@:\s]*):[^/@\s]+@")


def dump(resolved: Mapping[str, Any]) -> str:
    """YAML text of plain data; text that would read as anything else is quoted.

    Floats are written as they are (`repr`), so they load back bit for bit. A password inside a URL is written as
    ``***``; text from the environment as it stood in the file.

    Raises
    ------
    ConfigError
        A value is not plain data, or not finite.
    """
    return yaml.dump(
        dict(resolved),
        Dumper=_Dumper,
        sort_keys=False,
        default_flow_style=False,
        allow_unicode=True,
        width=10_000,
    )


class _Key(str):
    """A key, in which nothing is interpolated."""


class _Dumper(yaml.SafeDumper):
    """Writes scalars by our own rules; lists indented below their key, no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        """Our scalar rules in place of YAML 1.1's, so that ``1e-4`` needs no tag."""
        if kind is not yaml.ScalarNode or not implicit[0]:
            return str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]
        names = {bool: "bool", int: "int", float: "float", type(None): "null"}
        return f"tag:yaml.org,2002:{names.get(type(parse_scalar(value)), 'str')}"

    def represent_plain_float(self, value: float) -> yaml.ScalarNode:
        if value != value or value in (float("inf"), float("-inf")):
            raise ConfigError(f"{value} cannot be saved", expected="a finite number")
        return yaml.ScalarNode("tag:yaml.org,2002:float", repr(value))

    def represent_block(self, value: Mapping[str, Any]) -> yaml.MappingNode:
        keyed = [(_Key(key), item) for key, item in value.items()]
        return self.represent_mapping("tag:yaml.org,2002:map", keyed)

    def represent_text(self, value: str) -> yaml.ScalarNode:
        style: str | None
        if isinstance(value, Reference):
            text, style = str(value), '"'
        else:
            text = str(value) if isinstance(value, _Key) else escape(_PASSWORD.sub(r"\1:***@", value))
            safe = _PLAIN.fullmatch(text) and isinstance(parse_scalar(text), str) and not _special(text)
            style = None if safe else '"'
        return yaml.ScalarNode("tag:yaml.org,2002:str", text, style=style)

    def represent_refused(self, value: object) -> yaml.Node:
        raise ConfigError(f"a {type(value).__name__} cannot be saved", expected="text, numbers, lists and maps")


def _special(text: str) -> bool:
    """Text that YAML itself, or another reader's scalar rules, might take for something else."""
    return text.startswith(("-", "=", ".", "+")) or text.lower() in _OTHERS or bool(re.match(r"[0-9]", text))


_OTHERS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null", "~")

_Dumper.add_representer(float, _Dumper.represent_plain_float)
_Dumper.add_representer(str, _Dumper.represent_text)
_Dumper.add_representer(dict, _Dumper.represent_block)
_Dumper.add_representer(_Key, _Dumper.represent_text)
_Dumper.add_representer(Reference, _Dumper.represent_text)
_Dumper.add_representer(tuple, _Dumper.represent_list)
for _type in (bytes, set, dt.date, dt.datetime):
    _Dumper.add_representer(_type, _Dumper.represent_refused)
_Dumper.add_multi_representer(object, _Dumper.represent_refused)
