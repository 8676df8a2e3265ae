"""How long a bar is: the names of frequencies, in order of length."""

from __future__ import annotations

from typing import Literal, get_args

from mnpu.errors import ConfigError

__all__ = ["FREQUENCIES", "Frequency", "is_intraday", "length_ns", "nests"]

Frequency = Literal["1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w"]

#: From short to long; each is a whole number of every one before it.
FREQUENCIES: tuple[str, ...] = get_args(Frequency)

_MINUTES = dict(zip(FREQUENCIES, (1, 5, 15, 30, 60, 240, 1440, 10080), strict=True))


def length_ns(frequency: str) -> int:
    """Nominal length of a bar in nanoseconds; a session or a holiday may cut it short.

    Raises
    ------
    ConfigError
        For a frequency that is none.
    """
    try:
        return _MINUTES[frequency] * 60_000_000_000
    except KeyError:
        raise ConfigError(
            f"{frequency!r} is no frequency", where="data.frequency", expected=f"one of {', '.join(FREQUENCIES)}"
        ) from None


def is_intraday(frequency: str) -> bool:
    """Whether a session holds more than one bar."""
    return length_ns(frequency) < length_ns("1d")


def nests(fine: str, coarse: str) -> bool:
    """Whether bars of ``coarse`` are made of whole bars of ``fine``, and of more than one."""
    return length_ns(fine) < length_ns(coarse)
