"""Every error MNPU raises on purpose, and the exit code each one ends a command with.

An error answers three questions in one or two sentences: where and what it is (with the value), what was
expected, and the next step::

    <where>: <what is, with the value>, expected <what would be right>. <Next step>.

::

    MnpuError                1   the run failed
    ├── ConfigError          2   the usage or the configuration is wrong
    ├── DataError            3   the data was refused
    ├── GateVeto             4   an honesty gate failed
    └── PluginError          5   a plugin that is needed is missing or failed
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

__all__ = ["ConfigError", "DataError", "GateVeto", "MnpuError", "PluginError"]


class MnpuError(Exception):
    """A failure that MNPU explains to its user; anything else is a bug.

    Parameters
    ----------
    what : str
        What is wrong, with the value.
    where : str, optional
        File, line and dotted path, table, symbol or component that it concerns.
    expected : str, optional
        What would be right.
    next_step : str, optional
        What to do about it, a full sentence.
    others : sequence of MnpuError, optional
        Further faults that were found at the same time; the message lists them below the first.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self, what: str, *, where: str = "", expected: str = "", next_step: str = "", others: Sequence[MnpuError] = ()
    ) -> None:
        self.what, self.where, self.expected, self.next_step = what, where, expected, next_step
        self.others = tuple(others)
        super().__init__(str(self))

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        if self.expected:
            head = f"{head}, expected {self.expected}"
        head = head if head.endswith((".", "?", "!")) else f"{head}."
        return "\n".join([f"{head} {self.next_step}".rstrip(), *(str(other) for other in self.others)])

    def as_dict(self) -> dict[str, Any]:
        """The error for machines, as ``--json`` prints it."""
        return {
            "type": type(self).__name__,
            "exit_code": self.exit_code,
            "where": self.where,
            "what": self.what,
            "expected": self.expected,
            "next_step": self.next_step,
            "message": str(self),
            "others": [other.as_dict() for other in self.others],
        }


class ConfigError(MnpuError):
    """The command line or the configuration is wrong."""

    exit_code = 2


class DataError(MnpuError):
    """The data was refused; nothing was repaired silently and nothing was lost."""

    exit_code = 3


class GateVeto(MnpuError):
    """An honesty gate failed, so the numbers of the run mean nothing."""

    exit_code = 4


class PluginError(MnpuError):
    """A component that the pipeline needs is missing, ambiguous or broken."""

    exit_code = 5
