"""Refuse impossible sizes where a network is built, in the words of its settings."""

from __future__ import annotations

from mnpu.errors import ConfigError

__all__ = ["at_least_one", "refuse"]


def refuse(setting: str, what: object, *, expected: str, next_step: str = "") -> ConfigError:
    """The error for a setting that makes no sense, to be raised by the caller."""
    return ConfigError(f"{setting} is {what}", expected=expected, next_step=next_step)


def at_least_one(part: str, **sizes: int) -> None:
    """Raise a ConfigError for the first of ``sizes`` that is not a positive integer.

    Parameters
    ----------
    part : str
        ``backbone`` or ``head``: the block of the recipe that the settings stand in.
    **sizes : int
        Values by the name of their setting.
    """
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise refuse(f"{part}.{name}", repr(value), expected="a positive integer")
