"""Where the locked range of a recipe begins, and what may be read of its data."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from mnpu.config.periods import parse_period

if TYPE_CHECKING:
    from mnpu.config.models import DataConfig, SplitConfig

__all__ = ["data_in_sight", "locked_from"]


def locked_from(settings: SplitConfig, data: DataConfig) -> dt.date | None:
    """First day of the locked range: a date, or a period before ``data.end``, which counts; None where none is."""
    if settings.locked is None:
        return None
    try:
        return dt.date.fromisoformat(settings.locked)
    except ValueError:
        import pandas as pd

        begins: dt.date = (pd.Timestamp(data.end) + pd.Timedelta(days=1) - parse_period(settings.locked)).date()
        return begins


def data_in_sight(settings: SplitConfig, data: DataConfig) -> DataConfig:
    """What may be read: a locked range that is not unlocked does not even leave the store."""
    locked = locked_from(settings, data)
    if locked is None or settings.unlocked:
        return data
    return data.model_copy(update={"end": min(data.end, locked - dt.timedelta(days=1))})
