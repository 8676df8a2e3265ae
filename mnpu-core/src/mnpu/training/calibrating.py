"""Calibrate forecasts by outcomes of the past: on a range of their own, or as outcomes become known.

::

    train | validation | calibration | test        split: fitted once, on outcomes known before the first test decision
                       ~~~~~~~~~~~~~~~~~~~~        adaptive: at each decision, from what was known by then

The calibration range is the end of what the split calls validation (`carve`): early stopping has not seen it, and no
label of one range reaches into the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mnpu.errors import ConfigError, DataError
from mnpu.metrics.classes import outcome_classes
from mnpu.nn.conformal import refuse_few, shifted, split_shifts
from mnpu.nn.temperature import fit_temperature, tempered
from mnpu.training.following import Follower, Outcomes
from mnpu.types import Fold, Forecast, Labels

__all__ = ["Calibration", "adapt", "carve", "fit_calibration", "refuse_few_outcomes"]


@dataclass(frozen=True)
class Calibration:
    """What split calibration has found; it may be applied to decisions from ``since`` on.

    Attributes
    ----------
    shifts : float64 ndarray (H, Q)
        In units of the label.
    temperatures : tuple of float (H,)
        Of the class probabilities; empty where the head names no classes.
    rows : (start, stop)
        The calibration range, in bars of the run's panel.
    since : Timestamp
        First decision of the test range: what has been found was known then, and no earlier.
    """

    shifts: np.ndarray
    temperatures: tuple[float, ...]
    rows: tuple[int, int]
    since: pd.Timestamp

    def apply(self, forecast: Forecast) -> Forecast:
        """The forecast calibrated from ``since`` on; earlier decisions are NaN, for they are the calibration's own."""
        later = np.asarray(forecast.times >= self.since)
        probabilities = forecast.probabilities
        if probabilities is not None and self.temperatures:
            each = [tempered(probabilities[:, :, i], t) for i, t in enumerate(self.temperatures)]
            probabilities = np.stack(each, axis=2)
        return replace(
            forecast,
            quantiles=_only(later, shifted(forecast.quantiles, self.shifts)),
            probabilities=None if probabilities is None else _only(later, probabilities),
            evidence=None if forecast.evidence is None else _only(later, forecast.evidence),
            uncalibrated=_hidden(forecast, later),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data, exact, for JSON."""
        return {
            "shifts": self.shifts.tolist(),
            "temperatures": list(self.temperatures),
            "rows": [int(row) for row in self.rows],
            "since": self.since.isoformat(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Calibration:
        """What `to_dict` gave."""
        return cls(
            shifts=np.array(data["shifts"], dtype=np.float64),
            temperatures=tuple(data["temperatures"]),
            rows=(data["rows"][0], data["rows"][1]),
            since=pd.Timestamp(data["since"]),
        )


def carve(fold: Fold, labels: Labels, *, times: pd.DatetimeIndex, share: float) -> tuple[Fold, tuple[int, int]]:
    """Take the last ``share`` of a fold's validation range for calibration.

    Parameters
    ----------
    fold : Fold
    labels : Labels
    times : DatetimeIndex (T,)
        Decision times that the ranges of the fold index.
    share : float
        Between 0 and 1.

    Returns
    -------
    fold : Fold
        Its validation range ends so early that none of its labels ends after the first decision of the calibration.
    rows : (start, stop)
        The calibration range.
    """
    if not 0 < share < 1:
        raise ConfigError(f"model.calibration.share is {share}", expected="between 0 and 1")
    first, stop = fold.validation
    start = stop - round((stop - first) * share)
    known = _known_at(labels, times)[first:start]  # (V, H)
    over = np.flatnonzero((known > start).any(axis=1))
    end = first + int(over[0]) if len(over) else start
    if not first < end <= start < stop:
        raise ConfigError(
            f"model.calibration.share is {share}, which leaves {max(end - first, 0)} bars of {stop - first} for "
            f"validation and {stop - start} for calibration",
            where=f"fold {fold.number + 1}",
            expected="at least one each",
            next_step="Make split.validation longer, or choose another share.",
        )
    return replace(fold, validation=(first, end)), (start, stop)


def fit_calibration(forecast: Forecast, labels: Labels, fold: Fold, rows: tuple[int, int]) -> Calibration:
    """Split calibration on ``rows``, from outcomes known at the first decision of the fold's test range.

    Parameters
    ----------
    forecast : Forecast
        By the network of ``fold``, over ``rows`` at the least. Where it names classes, their probabilities get a
        temperature for each horizon.
    labels : Labels
    fold : Fold
    rows : (start, stop)
        After the fold's training and validation, before its test.

    Raises
    ------
    DataError
        If the range overlaps one of the fold's, or too few of its outcomes are known.
    """
    start, stop = rows
    where = f"fold {fold.number + 1}"
    free = (max(fold.train[1], fold.validation[1]), fold.test[0])
    if not free[0] <= start < stop <= free[1]:
        raise DataError(
            f"the calibration range is {start} to {stop}",
            where=where,
            expected=f"rows between validation and test, within {free[0]} to {free[1]}",
            next_step="Take it from `carve`.",
        )
    outcomes = _known_outcomes(labels, forecast.times, fold, rows)  # (N, A, H)
    flat = outcomes.reshape(-1, outcomes.shape[-1])
    said = forecast.quantiles[start:stop].reshape(len(flat), *forecast.quantiles.shape[2:])
    shifts = split_shifts(said, flat, forecast.levels, where=where)
    temperatures = _temperatures(forecast.rows(start, stop), outcomes)
    return Calibration(shifts, temperatures, rows, forecast.times[fold.test[0]])


def adapt(
    forecast: Forecast, labels: Labels, rows: tuple[int, int], *, since: int, rate: float = 0.01, memory: int = 250
) -> Forecast:
    """Calibrate each decision of ``rows`` from the outcomes that were known at it.

    Parameters
    ----------
    forecast : Forecast
        By one network, over ``rows``; they begin after its training and validation.
    labels : Labels
    rows : (start, stop)
    since : int
        First row to return: those before it only fill the memory.
    rate, memory
        As in `mnpu.nn.conformal.Adaptive`.

    Returns
    -------
    Forecast
        NaN outside ``since <= t < stop``. Probabilities and evidence are what the head said: a temperature is of split
        calibration.
    """
    follower = Follower(forecast.levels, len(forecast.horizons), rate=rate, memory=memory)
    outcomes = Outcomes.of(labels, forecast.times.as_unit("ns").asi8)
    calibrated = np.full_like(forecast.quantiles, np.nan)
    for t in range(*rows):
        calibrated[t] = follower.decide(outcomes.made_at[t], forecast.quantiles[t], outcomes)
    later = np.arange(len(forecast.times)) >= since
    shown = _hidden(forecast, later)
    return replace(shown, quantiles=_only(later, calibrated), uncalibrated=shown)


def refuse_few_outcomes(
    levels: Sequence[float], labels: Labels, fold: Fold, rows: tuple[int, int], *, times: pd.DatetimeIndex
) -> None:
    """Refuse ``rows`` that cannot calibrate ``levels`` whatever is forecast, before anything is fitted.

    Raises
    ------
    DataError
        If fewer labels of a horizon are known than split calibration needs.
    """
    known = np.isfinite(_known_outcomes(labels, times, fold, rows)).sum(axis=(0, 1))  # (H,)
    for i, n in enumerate(known):
        refuse_few(int(n), levels, what=f"labels of horizon number {i + 1} are known", where=f"fold {fold.number + 1}")


def _known_outcomes(labels: Labels, times: pd.DatetimeIndex, fold: Fold, rows: tuple[int, int]) -> np.ndarray:
    """Labels (N, A, H) of ``rows``, NaN where they are not known at the first decision of the fold's test range."""
    start, stop = rows
    late = _known_at(labels, times)[start:stop] > fold.test[0]  # (N, H)
    return np.where(late[:, None], np.nan, labels.values[start:stop])


def _temperatures(forecast: Forecast, outcomes: np.ndarray) -> tuple[float, ...]:
    """A temperature for each horizon from outcomes (N, A, H), NaN where unknown; none where no classes are named."""
    if forecast.probabilities is None or forecast.thresholds is None:
        return ()
    classes = outcome_classes(outcomes, forecast.thresholds)  # (N, A, H)
    known = (classes >= 0) & np.isfinite(forecast.probabilities).all(axis=-1)
    found = []
    for i in range(classes.shape[-1]):
        cells = known[:, :, i]
        found.append(fit_temperature(forecast.probabilities[:, :, i][cells], classes[:, :, i][cells]))
    return tuple(found)


def _only(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """``values`` (T, ...) on ``rows`` (T,), NaN elsewhere."""
    return np.where(rows.reshape(-1, *[1] * (values.ndim - 1)), values, np.nan)


def _hidden(forecast: Forecast, later: np.ndarray) -> Forecast:
    """What the head said, NaN on decisions that a calibration does not forecast."""
    return replace(
        forecast,
        quantiles=_only(later, forecast.quantiles),
        probabilities=None if forecast.probabilities is None else _only(later, forecast.probabilities),
        evidence=None if forecast.evidence is None else _only(later, forecast.evidence),
    )


def _known_at(labels: Labels, times: pd.DatetimeIndex) -> np.ndarray:
    """The first row at whose decision each label is known, int64 (T, H); T where it never is."""
    instants = times.as_unit("ns").asi8
    rows = [np.searchsorted(instants, ends.as_unit("ns").asi8, side="left") for ends in labels.end]
    never = [ends.isna() for ends in labels.end]
    return np.where(np.stack(never, axis=1), len(instants), np.stack(rows, axis=1))
