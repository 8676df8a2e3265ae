"""Texts of a mapping that mean something, as types that check it: lengths of time, zones, calendars, patterns."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from mnpu.errors import ConfigError
from mnpu.frequencies import length_ns

__all__ = [
    "LONGEST_DAYS",
    "CalendarName",
    "Capture",
    "Clock",
    "Duration",
    "Frequency",
    "Moment",
    "Regex",
    "Text",
    "TimePattern",
    "Zone",
    "duration_ns",
]

LONGEST_DAYS = 36500  #: Of a lag, a lead or an age: a century is within reach of nanoseconds.
_UNITS = {"ns": 1, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9, "w": 7 * 86400 * 10**9}


def duration_ns(text: str) -> int:
    """``7d``, ``36h`` or ``15min`` in nanoseconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ns|s|min|h|d|w)", text)
    if match is None:
        raise PydanticCustomError("duration", "a number and s, min, h, d or w, as in 7d or 90min")
    length = float(match[1]) * _UNITS[match[2]]
    if length > LONGEST_DAYS * _UNITS["d"]:
        raise PydanticCustomError("duration", f"at most {LONGEST_DAYS}d")
    return round(length)


def _frequency(text: str) -> object:
    try:
        return length_ns(text)
    except ConfigError as error:
        raise PydanticCustomError("frequency", "{expected}", {"expected": error.expected}) from None


def _checked(function: Callable[[str], object]) -> AfterValidator:
    def check(text: str) -> str:
        function(text)
        return text

    return AfterValidator(check)


def _zone(text: str) -> object:
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise PydanticCustomError("zone", "a time zone such as UTC or America/New_York") from None


def _clock(text: str) -> object:
    if re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?", text) is None:
        raise PydanticCustomError("clock", "a time of day such as 16:15")
    return text


def _moment(text: str) -> object:
    try:
        return text == "earliest" or dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise PydanticCustomError("moment", "earliest, or a moment such as 2016-06-29T23:59:59Z") from None


def _regex(text: str) -> object:
    try:
        return re.compile(text)
    except re.error as error:
        raise PydanticCustomError("regex", "a regular expression ({why})", {"why": str(error)}) from None


def _calendar(text: str) -> str:
    from mnpu.data.calendars import canonical, get_calendar

    try:
        get_calendar(text)
    except ConfigError as error:
        told = f"{error.expected}. {error.next_step}".rstrip(" .")
        raise PydanticCustomError("calendar", "{told}", {"told": told}) from None
    return canonical(text)


def _one_group(text: str) -> object:
    if re.compile(text).groups == 0:
        raise PydanticCustomError("group", "a regular expression with a group, such as ([A-Z]+)[.]csv")
    return text


def _time_format(text: str) -> object:
    import pandas as pd

    try:
        if "%" not in text:
            raise ValueError(text)  # what pandas calls "mixed" would guess which is the month
        return pd.to_datetime(pd.Series([""], dtype=object), format=text, errors="coerce")
    except ValueError:
        raise PydanticCustomError("time_format", "a format as in strptime, for example %d/%m/%Y") from None


Duration = Annotated[str, _checked(duration_ns)]
Frequency = Annotated[str, _checked(_frequency)]
Zone = Annotated[str, _checked(_zone)]
Moment = Annotated[str, _checked(_moment)]
Clock = Annotated[str, _checked(_clock)]
Regex = Annotated[str, _checked(_regex)]
Capture = Annotated[str, _checked(_regex), _checked(_one_group)]
TimePattern = Annotated[str, _checked(_time_format)]
CalendarName = Annotated[str, AfterValidator(_calendar)]
Text = Annotated[str, Field(min_length=1)]
