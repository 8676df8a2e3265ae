"""Longer bars beside the decisions: what the last finished day said, asked at every hour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mnpu.data.resample import last_finished
from mnpu.errors import PluginError
from mnpu.features.api import View
from mnpu.types import Panel, SideTable

__all__ = ["CoarseView"]


class CoarseView(View):
    """A view of longer bars, K of them, each known at its own close; made by :meth:`View.coarser`.

    Compute on it as on any view, and bring the result to the decisions with :meth:`at_decisions`::

        days = view.coarser("1d")
        trend = days["close"] / delayed(days["close"], 20) - 1      # (K, A)
        return days.at_decisions(trend)                             # (T, A)

    Parameters
    ----------
    finer : View
        Whose decisions are asked about.
    panel : Panel
        Its longer bars.
    side : SideTable
    fields, series, where
        As in :class:`View`.
    """

    def __init__(
        self,
        finer: View,
        panel: Panel,
        side: SideTable,
        *,
        fields: Sequence[str] | None = None,
        series: Sequence[str] | None = None,
        where: str = "view",
    ) -> None:
        super().__init__(panel, side, fields=fields, series=series, where=where)
        self._finer, self._rows = finer, last_finished(finer.times, panel.times)

    def at_decisions(self, values: np.ndarray) -> np.ndarray:
        """Bring one row for each longer bar, (K,) or (K, A), to the decisions, (T,) or (T, A).

        A decision sees the last bar that closed at or before it; NaN before the first.
        """
        values = np.asarray(values, dtype=float)
        if values.ndim not in (1, 2) or len(values) != len(self.times):
            raise PluginError(
                f"values have shape {values.shape}",
                where=self._where,
                expected=f"one row for each of the {len(self.times)} bars of {self.frequency}",
            )
        padded = np.concatenate([values, np.full((1, *values.shape[1:]), np.nan)])  # row -1: none is finished yet
        return padded[self._rows]

    def _table(self, series: str) -> SideTable:
        return self._finer._table(series)
