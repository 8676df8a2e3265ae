"""What a recipe's ``model.calibration`` does to a fold: what it keeps back, and the forecast of the test range."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import pandas as pd

from mnpu.errors import ConfigError
from mnpu.training.calibrating import adapt, carve, fit_calibration, refuse_few_outcomes
from mnpu.training.fitted import Fitted
from mnpu.training.forecasting import forecast
from mnpu.types import FeatureFrame, Fold, Forecast, Labels, join_history

__all__ = [
    "CalibrationSettings",
    "adaptive_settings",
    "calibrated",
    "kept_back",
    "refuse_uncalibrated",
    "tested",
]


class CalibrationSettings(Protocol):
    """The ``model.calibration`` block of a recipe: ``rate`` and ``memory`` are None where they do not apply."""

    @property
    def use(self) -> str:
        """``split`` or ``adaptive``."""

    @property
    def share(self) -> float:
        """Share of the validation range."""

    @property
    def rate(self) -> float | None:
        """Of adaptive calibration."""

    @property
    def memory(self) -> int | None:
        """Of adaptive calibration, in decisions."""


def kept_back(
    settings: CalibrationSettings | None, fold: Fold, labels: Labels, times: pd.DatetimeIndex
) -> tuple[Fold, tuple[int, int] | None]:
    """The fold that may be fitted, and the rows that calibration keeps back from it; None without a calibration.

    Raises
    ------
    ConfigError
        The validation range has no room, or the fold is one of cross-validation: what is found on later outcomes was
        not known at the decisions that it would move.
    """
    if settings is not None and fold.crossed:
        raise ConfigError(
            f"model.calibration is {settings.use}, and the fold learns from what is later than its test",
            where=f"fold {fold.number + 1}",
            expected="folds that train on the past alone",
            next_step="Take split: {use: walk_forward, ...}, or no calibration.",
        )
    return (fold, None) if settings is None else carve(fold, labels, times=times, share=settings.share)


def tested(fitted: Fitted, frame: FeatureFrame) -> Forecast:
    """The forecast of all that a network's fold tests, NaN elsewhere."""
    ranges = fitted.fold.testing
    pieces = [forecast(fitted, frame, rows=rows) for rows in ranges]
    return pieces[0] if len(pieces) == 1 else join_history(pieces, tuple(enumerate(ranges)))


def refuse_uncalibrated(
    settings: CalibrationSettings | None,
    folds: Iterable[tuple[Fold, Labels]],
    levels: Sequence[float],
    times: pd.DatetimeIndex,
) -> None:
    """Refuse folds whose calibration is going to fail, each with its labels, before the first of them is fitted.

    Raises
    ------
    ConfigError
        If validation or calibration is left without a bar.
    DataError
        If split calibration has too few outcomes for ``levels``.
    """
    for fold, labels in folds:
        own, rows = kept_back(settings, fold, labels, times)
        if settings is not None and rows is not None and settings.use == "split":
            refuse_few_outcomes(levels, labels, own, rows, times=times)


def calibrated(
    fitted: Fitted,
    frame: FeatureFrame,
    labels: Labels,
    rows: tuple[int, int] | None,
    settings: CalibrationSettings | None,
) -> tuple[Fitted, Forecast]:
    """Calibrate a network as the recipe says, and forecast the test range of its fold with it.

    Parameters
    ----------
    fitted : Fitted
    frame : FeatureFrame
        The columns that the network was fitted on.
    labels : Labels
    rows : (start, stop) or None
        What was kept back for calibration.
    settings : CalibrationSettings or None

    Returns
    -------
    fitted : Fitted
        With what its labels took from the training range, and with its split calibration, or where its adaptive one
        begins, so that it is saved with the network and served with it.
    forecast : Forecast
        Over the test range, NaN elsewhere.
    """
    fold, fitted = fitted.fold, replace(fitted, labels_learnt=labels.learnt)
    if settings is None or rows is None:
        return fitted, tested(fitted, frame)
    if settings.use == "split":
        calibration = fit_calibration(forecast(fitted, frame, rows=rows), labels, fold, rows)
        fitted = replace(fitted, calibration=calibration)
        return fitted, forecast(fitted, frame, rows=fold.test)
    followed = (rows[0], fold.test[1])
    said = forecast(fitted, frame, rows=followed)
    made = adapt(said, labels, followed, since=fold.test[0], **adaptive_settings(settings))
    return replace(fitted, follows_from=frame.times[rows[0]]), made


def adaptive_settings(settings: CalibrationSettings) -> dict[str, Any]:
    """What a recipe says of adaptive calibration, as `adapt` and `Follower` take it."""
    given = {name: getattr(settings, name) for name in ("rate", "memory")}
    return {name: value for name, value in given.items() if value is not None}
