"""Adaptive calibration of one network, decision by decision: a run and an agent go through the same code.

::

    decision s ── label of s ──▶ its end <= decision t: learnt, in the order of the decisions, before t is calibrated
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mnpu.errors import DataError
from mnpu.nn.conformal import Adaptive
from mnpu.types import Labels

__all__ = ["Follower", "Outcomes"]

NEVER = np.iinfo(np.int64).max  #: End of a label that has none.


@dataclass(frozen=True)
class Outcomes:
    """What came of some decisions, and when that was known; instants are nanoseconds since 1970.

    Attributes
    ----------
    made_at : int64 ndarray (T,)
        The decisions, increasing.
    ended_at : int64 ndarray (T, H)
        When each label had ended; `NEVER` where it has not.
    values : float64 ndarray (T, A, H)
        NaN where unknown.
    """

    made_at: np.ndarray
    ended_at: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, labels: Labels, made_at: np.ndarray) -> Outcomes:
        """The outcomes that ``labels`` tell of the decisions at ``made_at`` (T,)."""
        ends = [np.where(end.isna(), NEVER, end.as_unit("ns").asi8) for end in labels.end]
        return cls(made_at, np.stack(ends, axis=1), labels.values)

    def rows(self, start: int, stop: int) -> Outcomes:
        """The decisions ``start <= t < stop``."""
        return Outcomes(self.made_at[start:stop], self.ended_at[start:stop], self.values[start:stop])


class Follower:
    """Follows the outcomes of one network's decisions.

    It holds the scores that the calibration remembers and the forecasts whose label has not ended, and nothing else.

    Parameters
    ----------
    levels : sequence of float (Q,)
    n_horizons : int
    rate, memory
        As in `mnpu.nn.conformal.Adaptive`.
    """

    def __init__(self, levels: Sequence[float], n_horizons: int, *, rate: float = 0.01, memory: int = 250) -> None:
        self._adaptive = Adaptive(levels, n_horizons, rate=rate, memory=memory)
        self._waiting: list[deque[tuple[int, np.ndarray, np.ndarray]]] = [deque() for _ in range(n_horizons)]

    def decide(self, instant: int, quantiles: np.ndarray, outcomes: Outcomes) -> np.ndarray:
        """Calibrate the decision at ``instant``, which is later than all before.

        Parameters
        ----------
        instant : int
            Nanoseconds since 1970.
        quantiles : float64 ndarray (A, H, Q)
            What the network says; NaN where it cannot.
        outcomes : Outcomes
            At least of the decisions before whose label had not ended at the last one; later ones are not looked at.

        Returns
        -------
        float64 ndarray (A, H, Q)

        Raises
        ------
        DataError
            A decision that waits is not among the outcomes.
        """
        for horizon, waiting in enumerate(self._waiting):
            while waiting and self._learnt(horizon, *waiting[0], instant, outcomes):
                waiting.popleft()
        calibrated = self._adaptive.calibrate(quantiles)
        for horizon, waiting in enumerate(self._waiting):
            waiting.append((instant, quantiles[:, horizon], calibrated[:, horizon]))
        return calibrated

    def _learnt(
        self, horizon: int, made_at: int, raw: np.ndarray, calibrated: np.ndarray, now: int, outcomes: Outcomes
    ) -> bool:
        """Observe one past decision, unless its label has not ended by ``now``; whether it was observed."""
        row = int(np.searchsorted(outcomes.made_at, made_at))
        if row == len(outcomes.made_at) or outcomes.made_at[row] != made_at:
            raise DataError(
                f"the label of the decision at {np.datetime64(made_at, 'ns')} has not ended, and its bars are gone",
                where="adaptive calibration",
                expected="labels that end within their horizon and one bar",
                next_step="Calibrate by split, or take another target.",
            )
        if outcomes.ended_at[row, horizon] > now:  # equality is visible
            return False
        self._adaptive.observe(horizon, raw, calibrated, outcomes.values[row, :, horizon])
        return True
