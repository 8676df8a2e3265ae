"""Calendar periods as text: ``5y``, ``6mo``, ``2w``, ``30d``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mnpu.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PERIOD", "parse_period"]

PERIOD = r"^[1-9][0-9]{0,3}(y|mo|w|d)$"

_UNITS = {"y": "years", "mo": "months", "w": "weeks", "d": "days"}


def parse_period(text: str) -> pd.DateOffset:
    """A calendar period from text.

    Parameters
    ----------
    text : str
        A whole number from 1 to 9999 and a unit: ``y`` years, ``mo`` months, ``w`` weeks, ``d`` days.

    Raises
    ------
    ConfigError
        Anything else; there are no ``m`` (minutes or months?), no fractions, no spaces.
    """
    match = re.fullmatch(PERIOD, text) if isinstance(text, str) else None
    if match is None:
        raise ConfigError(
            f"{text!r} is not a period", expected="a whole number and y, mo, w or d, as in 5y, 6mo, 2w or 30d"
        )
    import pandas as pd

    return pd.DateOffset(**{_UNITS[match[1]]: int(text[: -len(match[1])])})  # type: ignore[arg-type]
