"""Whether what a bundle says of a fit agrees with itself and with its network: hashes vouch for bytes alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mnpu.errors import DataError
from mnpu.nn.ensemble import Ensemble
from mnpu.nn.network import Network
from mnpu.nn.whole import Whole
from mnpu.training.fitted import Fitted
from mnpu.types import Fold

__all__ = ["check_levels", "check_size", "check_state"]

_NEXT = "Do not use it; write the bundle again."
_Fault = tuple[str, str]


def check_state(fitted: Fitted, *, where: str) -> None:
    """Refuse numbers that no fit leaves behind; the network is not looked at, and need not be there yet.

    Parameters
    ----------
    fitted : Fitted
    where : str
        The file, for the error.

    Raises
    ------
    DataError
        With the first value that contradicts another one, or means nothing.
    """
    for what, expected in _faults(fitted):
        raise DataError(what, where=where, expected=expected, next_step=_NEXT)


def check_levels(levels: tuple[float, ...], network: Network | Ensemble | Whole, *, where: str) -> None:
    """Refuse quantile levels that are not those of the network's forecasts.

    Raises
    ------
    DataError
        They differ.
    """
    own = network.forecaster.levels if isinstance(network, Whole) else network.head.levels
    if levels != tuple(own):
        raise DataError(
            f"levels are {list(levels)}",
            where=where,
            expected=f"those of its network, {list(own)}",  # type: ignore[arg-type]
            next_step=_NEXT,
        )


def check_size(fitted: Fitted, n_parameters: int, *, where: str) -> None:
    """Refuse a number of parameters that is not the network's: it is shown to whoever cannot count them.

    Raises
    ------
    DataError
        They differ.
    """
    if n_parameters != fitted.n_parameters:
        raise DataError(
            f"n_parameters is {n_parameters}",
            where=where,
            expected=f"those of its network, {fitted.n_parameters}",
            next_step=_NEXT,
        )


def _faults(fitted: Fitted) -> Iterator[_Fault]:
    yield from _of_columns(fitted)
    yield from _of_targets(fitted)
    yield from _of_ranges(fitted.fold)
    bars = max(stop - start for start, stop in fitted.fold.training)
    if fitted.lookback > bars:
        longest = f"at most {bars}, the bars of its training range"
        yield f"lookback is {fitted.lookback}", longest
    if not 0 <= fitted.min_present <= 1:
        yield f"min_present is {fitted.min_present}", "a fraction from 0 to 1"
    yield from _of_calibration(fitted)


def _of_columns(fitted: Fitted) -> Iterator[_Fault]:
    scaler, names = fitted.scaler, fitted.names
    sizes = {"mean": scaler.mean.shape, "std": scaler.std.shape, "has_gaps": scaler.has_gaps.shape}
    for part, shape in sizes.items():
        if shape != (len(names),):
            yield f"scaler.{part} has the shape {shape}", f"a number for each of its {len(names)} names"
    if not names or len(set(names)) != len(names):
        yield f"names are {list(names)[:5]}", "one of its own for each column"
    if not np.isfinite(scaler.mean).all():
        yield f"scaler.mean is {_first(scaler.mean, np.isfinite(scaler.mean))}", "finite numbers"
    deviates = np.isfinite(scaler.std) & (scaler.std > 0)
    if not deviates.all():
        yield f"scaler.std is {_first(scaler.std, deviates)}", "positive numbers: that of a constant column is 1"
    if not scaler.fit_start <= scaler.fit_end:
        yield f"scaler.fit_start is {scaler.fit_start}", f"at most its fit_end, {scaler.fit_end}"


def _of_targets(fitted: Fitted) -> Iterator[_Fault]:
    horizons, scale = fitted.horizons, fitted.target_scale
    if not horizons or not all(type(horizon) is int and horizon >= 1 for horizon in horizons):
        yield f"horizons are {list(horizons)}", "positive numbers of bars"
    if scale.shape != (len(horizons),):
        yield f"target_scale has the shape {scale.shape}", f"a number for each of its {len(horizons)} horizons"
    positive = np.isfinite(scale) & (scale > 0)
    if not positive.all():
        yield f"target_scale is {_first(scale, positive)}", "a positive number"
    learnt = fitted.labels_learnt
    if learnt is not None and (learnt.ndim != 2 or len(learnt) != len(horizons) or not np.isfinite(learnt).all()):
        yield f"labels_learnt is {learnt.tolist()}", f"finite numbers, a row for each of its {len(horizons)} horizons"


def _of_ranges(fold: Fold) -> Iterator[_Fault]:
    ranges = [("train", rows) for rows in fold.training]
    ranges += [("validation", fold.validation), *(("test", rows) for rows in fold.testing)]
    if fold.crossed:  # in cross-validation what is learnt from lies around what is tested, and still apart from it
        ranges.sort(key=lambda named: named[1])
    before, end = "0", 0
    for name, (start, stop) in ranges:
        if not end <= start < stop:
            yield f"fold.{name} is [{start}, {stop}]", f"a range that begins at {before} or later, and ends after that"
        before, end = f"{stop}, where {name} ends,", stop


def _of_calibration(fitted: Fitted) -> Iterator[_Fault]:
    found, shape = fitted.calibration, (len(fitted.horizons), len(fitted.levels))
    if found is None:
        return
    if found.shifts.shape != shape:
        yield f"calibration.shifts has the shape {found.shifts.shape}", f"{shape}: horizons and levels"
    if not np.isfinite(found.shifts).all():
        yield f"calibration.shifts is {_first(found.shifts, np.isfinite(found.shifts))}", "finite numbers"
    hot = np.array(found.temperatures, dtype=np.float64)
    if hot.size and (hot.shape != shape[:1] or not (np.isfinite(hot) & (hot > 0)).all()):
        yield f"calibration.temperatures are {list(found.temperatures)}", f"{shape[0]} positive numbers, or none"
    start, stop = found.rows
    if not fitted.fold.validation[1] <= start < stop <= fitted.fold.test[0]:
        yield f"calibration.rows are [{start}, {stop}]", "rows between the fold's validation and test"


def _first(values: np.ndarray, sound: np.ndarray) -> float:
    """The first value that is not sound."""
    return float(values[~sound].flat[0])
