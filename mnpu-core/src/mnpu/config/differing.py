"""In which keys configurations differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["ABSENT", "differing"]

ABSENT = "(not there)"


def differing(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Dotted key to its value in each configuration, where they are not all equal; `ABSENT` where one lacks it."""
    flat = [dict(_flatten(config)) for config in configs]
    keys = list(dict.fromkeys(key for values in flat for key in values))
    rows = {key: [values.get(key, ABSENT) for values in flat] for key in keys}
    return {key: row for key, row in rows.items() if any(value != row[0] for value in row)}


def _flatten(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        return [pair for key, item in value.items() for pair in _flatten(item, f"{prefix}.{key}" if prefix else key)]
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        return [pair for i, item in enumerate(value) for pair in _flatten(item, f"{prefix}.{i}")]
    return [(prefix, value)]
