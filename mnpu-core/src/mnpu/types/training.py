"""What training showed of itself: measurements, losses around the weights, and alerts, as long tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import pandas as pd

__all__ = ["ALERTS", "LANDSCAPE", "MEASUREMENTS", "TrainingRecord"]

#: Columns of each table, with the type that an empty one has: which fit, when in it, and what was read.
_FIT = {"strategy": "str", "fold": "int64", "member": "int64"}
MEASUREMENTS = {
    **_FIT,
    "epoch": "int64",
    "step": "int64",
    "name": "str",
    "layer": "str",
    "value": "float64",
}
LANDSCAPE = {
    **_FIT,
    "kind": "str",
    "a": "float64",
    "b": "float64",
    "loss": "float64",
}
ALERTS = {
    **MEASUREMENTS,
    "threshold": "float64",
    "action": "str",
    "message": "str",
}


@dataclass(frozen=True)
class TrainingRecord:
    """What instruments read while networks were fitted, over all folds and forecasters.

    Attributes
    ----------
    measurements : DataFrame
        One row a reading: ``strategy``, ``fold`` and ``member`` of an ensemble (both from 0), ``epoch`` (from 1; 0 for
        the best weights, after training), ``step`` (steps so far), ``name``, ``layer`` (empty for the whole network),
        ``value``.
    landscape : DataFrame
        One row a loss: ``strategy``, ``fold``, ``member``, ``kind`` (``line`` or ``plane``), steps ``a`` and ``b``,
        ``loss``.
    alerts : DataFrame
        One row an alert, as a measurement, with ``threshold``, ``action`` and a ``message``.
    """

    measurements: pd.DataFrame
    landscape: pd.DataFrame
    alerts: pd.DataFrame

    @classmethod
    def of(
        cls,
        measurements: Iterable[tuple[object, ...]] = (),
        landscape: Iterable[tuple[object, ...]] = (),
        alerts: Iterable[tuple[object, ...]] = (),
    ) -> TrainingRecord:
        """From rows in the order of the columns."""
        return cls(_table(measurements, MEASUREMENTS), _table(landscape, LANDSCAPE), _table(alerts, ALERTS))

    @classmethod
    def join(cls, records: Iterable[TrainingRecord]) -> TrainingRecord:
        """All rows of several records, in order."""
        records = [cls.of(), *records]
        tables = {
            f.name: [t for t in (getattr(r, f.name) for r in records[1:]) if len(t)] or [getattr(records[0], f.name)]
            for f in fields(cls)
        }
        return cls(**{name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()})


def _table(rows: Iterable[tuple[object, ...]], columns: dict[str, str]) -> pd.DataFrame:
    table = pd.DataFrame(list(rows), columns=list(columns))
    return table.astype({name: kind if kind != "str" else object for name, kind in columns.items()})
