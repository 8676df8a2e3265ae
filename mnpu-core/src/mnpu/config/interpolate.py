"""Values from the environment: ``${env:NAME}`` and ``${env:NAME:-default}``, inside scalars only.

An unquoted scalar that is an interpolation as a whole is read by the same rules as if its value stood there
(``epochs: ${env:EPOCHS:-5}`` is a number); in quotes, or with other text around it, it is text. Values are not
interpolated again. ``$${`` writes a literal ``${``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mnpu.config.tree import Path, dotted
from mnpu.errors import ConfigError

__all__ = ["Reference", "escape", "expand"]

_TOKEN = re.compile(r"\$\$\{|\$\{([^}]*)\}|\$\{")
_ENV = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


class Reference(str):
    """Text as it stands in the file, ``${env:NAME}``, in place of a value from the environment.

    This is what a resolved configuration shows and saves, so that no secret is ever written; ``value`` is what it
    stood for, which only a hash looks at.
    """

    value: str

    def __new__(cls, written: str, value: str) -> Reference:
        """Text ``written`` that stands for ``value``."""
        reference = super().__new__(cls, written)
        reference.value = value
        return reference

    def __deepcopy__(self, memo: object) -> Reference:
        return self

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)  # a pickled reference forgets the value


def expand(text: str, env: Mapping[str, str], *, where: str, path: Path) -> tuple[str, bool]:
    """``text`` with its interpolations replaced, and whether a variable that is set took part."""
    used = False

    def replace(match: re.Match[str]) -> str:
        nonlocal used
        if match[0] == "$${":
            return "${"
        found = _ENV.fullmatch(match[1] or "")
        if found is None:
            raise ConfigError(
                f"{dotted(path)} holds '{match[0]}'",
                where=where,
                expected="${env:NAME} or ${env:NAME:-default}",
                next_step="Write $${ for a literal ${.",
            )
        name, default = found[1], found[2]
        if name in env:
            used = True
            return env[name]
        if default is None:
            raise ConfigError(
                f"{dotted(path)} needs the environment variable {name}, which is not set",
                where=where,
                next_step=f"Set it, or give a default: ${{env:{name}:-default}}.",
            )
        return default

    return (_TOKEN.sub(replace, text), used) if "${" in text else (text, False)


def escape(text: str) -> str:
    """``text`` written so that `expand` reads it back as it is."""
    return text.replace("${", "$${")
