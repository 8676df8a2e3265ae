"""Conformal calibration of quantiles: as many outcomes below each level as the level says, whatever the law.

Glossary
--------
N outcomes of a calibration range, H horizons, Q levels; q a forecast quantile at level tau, y its outcome,
e = y - q the score, d the shift that is added to q, t decisions in time order, g the rate of adaptation.

Methods
-------
*Split* (Romano, Patterson and Candes 2019, theorem 2: each tail on its own). Above the median ``d`` is the
``ceil((N + 1) tau)``-th smallest score, below it the ``floor((N + 1) tau)``-th, so that for exchangeable outcomes
``P(y <= q + d) >= tau`` above and ``P(y < q + d) <= tau`` below, and an interval of two levels covers at least what it
says. The median moves by the middle score. On a point forecast these are the classical residual intervals.

*Adaptive* (Gibbs and Candes 2021, equation 2, a level each). ``d`` is the same order statistic at a level ``a_t`` of
its own, over the scores of the last ``memory`` decisions whose outcome is known, and
``a_{t+1} = a_t + g (tau - share of outcomes at or below their calibrated quantile)``. Under any shift the long-run
share then approaches tau.

Shifted levels may cross; each is then moved outward to its inner neighbour, which can only widen an interval. All is
plain numpy: a service calibrates without torch.

Departure: where ``a_t`` asks for more than every score in memory, the paper's interval is infinite. A forecast must be
finite, so the most extreme score stands in; the memory, which then fills with scores of the new kind, does the rest.
An infinite interval is never missed, which keeps the paper's ``a_t`` within ``g`` of [0, 1] (lemma 4.1); ours is held
there, or misses that are known late would wind it up and leave intervals too wide for as long as it takes to unwind.

Does not include: scores relative to a local spread, groups by symbol (all symbols share their shifts), weights that
fade with age (Barber et al. 2023), several rates at once (Gibbs and Candes 2024).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np

from mnpu.errors import ConfigError, DataError

__all__ = ["Adaptive", "outcomes_needed", "refuse_few", "shifted", "split_shifts"]

ROUNDING = 1e-9  #: What is an integer but for rounding, (N + 1) tau for one, counts as that integer


def outcomes_needed(levels: Sequence[float]) -> int:
    """Outcomes that split calibration needs at the least, for its outermost level to be one of them."""
    return math.ceil((1 / min(levels[0], 1 - levels[-1]) - 1) * (1 - ROUNDING))


def refuse_few(n: int, levels: Sequence[float], *, what: str, where: str) -> None:
    """Raise DataError if ``n`` outcomes are fewer than the outermost level needs; ``what`` says what was counted."""
    needed = outcomes_needed(levels)
    if n < needed:
        raise DataError(
            f"{n} {what} in the calibration range",
            where=where,
            expected=f"at least {needed} for a level of {levels[0]:g}",
            next_step="Make split.validation longer or model.calibration.share larger, or take head.levels further "
            "from 0 and 1.",
        )


def split_shifts(
    quantiles: np.ndarray, outcomes: np.ndarray, levels: Sequence[float], *, where: str = "conformal calibration"
) -> np.ndarray:
    """What to add to each quantile so that its level holds on the calibration range.

    Parameters
    ----------
    quantiles : float64 ndarray (N, H, Q)
    outcomes : float64 ndarray (N, H)
        NaN where unknown: left out, horizon by horizon.
    levels : sequence of float (Q,)
    where : str
        Which calibration this is, for errors.

    Returns
    -------
    shifts : float64 ndarray (H, Q)

    Raises
    ------
    DataError
        If a horizon has fewer outcomes than its outermost level needs.
    """
    scores = outcomes[..., None] - quantiles  # (N, H, Q)
    shifts = np.empty(scores.shape[1:])
    for i in range(scores.shape[1]):
        known = scores[np.isfinite(scores[:, i]).all(axis=-1), i]  # (N', Q)
        refuse_few(len(known), levels, what=f"forecasts of horizon number {i + 1} have a known outcome", where=where)
        shifts[i] = [_order_statistic(known[:, j], tau, tau) for j, tau in enumerate(levels)]
    return shifts


def shifted(quantiles: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """``quantiles`` (..., H, Q) with ``shifts`` (H, Q) added, and those that crossed moved outward; NaN stays NaN."""
    moved = quantiles + shifts
    middle = moved.shape[-1] // 2
    above = np.maximum.accumulate(moved[..., middle:], axis=-1)
    below = np.minimum.accumulate(moved[..., middle::-1], axis=-1)[..., ::-1]
    return np.concatenate([below[..., :-1], above], axis=-1)


class Adaptive:
    """Conformal calibration that follows a changing world, one decision at a time and from past outcomes only.

    Parameters
    ----------
    levels : sequence of float (Q,)
    n_horizons : int
    rate : float, default=0.01
        Step g of the adaptation for each decision.
    memory : int, default=250
        Decisions whose scores are remembered.

    Notes
    -----
    Call ``observe`` with what has become known, then ``calibrate`` for the decision at hand; the caller sees to it that
    an outcome is known before it is observed.
    """

    def __init__(self, levels: Sequence[float], n_horizons: int, *, rate: float = 0.01, memory: int = 250) -> None:
        if not 0 < rate <= 1:
            raise ConfigError(f"model.calibration.rate is {rate}", expected="a number above 0 and of at most 1")
        if memory < 1:
            raise ConfigError(f"model.calibration.memory is {memory}", expected="a positive integer")
        self.levels, self.rate = np.asarray(levels, dtype=np.float64), rate
        self.working = np.tile(self.levels, (n_horizons, 1))  # (H, Q), the levels a_t
        self._scores: list[deque[np.ndarray]] = [deque(maxlen=memory) for _ in range(n_horizons)]
        self._shifts: list[np.ndarray | None] = [None] * n_horizons  # None: scores or levels have moved since

    def calibrate(self, quantiles: np.ndarray) -> np.ndarray:
        """Quantiles (..., H, Q) of the decision at hand, calibrated; as they are while nothing is known yet."""
        return shifted(quantiles, np.stack([self._shift(i) for i in range(len(self._scores))]))

    def observe(self, horizon: int, raw: np.ndarray, calibrated: np.ndarray, outcomes: np.ndarray) -> None:
        """Learn the outcomes of one past decision.

        Parameters
        ----------
        horizon : int
            Position among the horizons.
        raw, calibrated : float64 ndarray (A, Q)
            What the head said then, and what came of it.
        outcomes : float64 ndarray (A,)
            NaN where unknown: left out.
        """
        known = np.isfinite(outcomes) & np.isfinite(raw).all(axis=-1)
        if not known.any():
            return
        outcome = outcomes[known, None]
        self._scores[horizon].append(outcome - raw[known])
        if np.isfinite(calibrated[known]).all():
            moved = self.working[horizon] + self.rate * (self.levels - (outcome <= calibrated[known]).mean(axis=0))
            self.working[horizon] = np.clip(moved, -self.rate, 1 + self.rate)
        self._shifts[horizon] = None

    def _shift(self, horizon: int) -> np.ndarray:
        """Shifts (Q,) from the scores in memory at the working levels."""
        shift = self._shifts[horizon]
        if shift is None:
            shift = np.zeros(len(self.levels))
            if self._scores[horizon]:
                scores = np.concatenate(self._scores[horizon])  # (n, Q)
                places = zip(scores.T, self.working[horizon], self.levels, strict=True)
                shift = np.array([_order_statistic(own, level, nominal) for own, level, nominal in places])
            self._shifts[horizon] = shift
        return shift


def _order_statistic(scores: np.ndarray, level: float, nominal: float) -> float:
    """The score (n,) at ``level``, rounded away from the median as the side of ``nominal`` asks."""
    place = (len(scores) + 1) * level
    upper, lower = math.ceil(place - ROUNDING), math.floor(place + ROUNDING)
    upper, lower = (min(max(k, 1), len(scores)) - 1 for k in (upper, lower))
    ordered = np.partition(scores, sorted({lower, upper}))
    if math.isclose(nominal, 0.5):
        return float(ordered[lower] + ordered[upper]) / 2
    return float(ordered[upper if nominal > 0.5 else lower])
