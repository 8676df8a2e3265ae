"""What one fold has to learn from: its windows, and the scales of inputs and targets, of the training range alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from mnpu.data.scaling import Scaler
from mnpu.data.windows import window_index
from mnpu.errors import DataError
from mnpu.training.batches import Windows, gather
from mnpu.types import FeatureFrame, Fold, Labels

__all__ = ["Learnable", "every_window", "learnable"]

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Learnable:
    """The windows of a fold, scaled.

    Attributes
    ----------
    scaler : Scaler
        Fitted on the training range.
    target_scale : float64 (H,)
        Standard deviation of each horizon's label over the training windows.
    training, validation : Windows
        With their scaled targets.
    """

    scaler: Scaler
    target_scale: np.ndarray
    training: Windows
    validation: Windows


def learnable(
    frame: FeatureFrame, labels: Labels, fold: Fold, *, lookback: int, min_present: float, device: str = "cpu"
) -> Learnable:
    """Gather the windows of ``fold``; those of the training range lie in it with every bar.

    Raises
    ------
    DataError
        If a range has no usable window, a feature no value, or the target no spread.
    """
    where = f"fold {fold.number + 1}"
    scaler = _scaler(frame, fold, where)
    scaled = scaler.scale(frame.values)

    def windows(kind: str, ranges: Ranges, scale: np.ndarray | None) -> tuple[Windows, np.ndarray]:
        time, symbol = _indexed(frame, labels, ranges, lookback=lookback, min_present=min_present)
        if not len(time):
            longest = max(ranges, key=lambda rows: rows[1] - rows[0])
            raise _no_window(kind, longest, frame, labels, where=where, lookback=lookback, min_present=min_present)
        y = labels.values[time, symbol]  # (N, H)
        scale = _target_scale(y, labels, where) if scale is None else scale
        return gather(scaled, time, symbol, lookback=lookback, y=y / scale, device=device), scale

    training, target_scale = windows("training", _ends(fold, lookback), None)
    validation, _ = windows("validation", (fold.validation,), target_scale)
    return Learnable(scaler, target_scale, training, validation)


def every_window(frame: FeatureFrame, fold: Fold, learnt: Learnable, *, min_present: float) -> Windows:
    """All windows of the training range, whether their labels are known or not, without labels."""
    of = learnt.training
    time, symbol = _indexed(frame, None, _ends(fold, of.lookback), lookback=of.lookback, min_present=min_present)
    device = of.first.device
    ends, owners = torch.from_numpy(time).to(device), torch.from_numpy(symbol).to(device)
    first = owners * len(frame.times) + ends - (of.lookback - 1)
    return replace(of, first=first, y=None, time=ends, symbol=owners)


def _ends(fold: Fold, lookback: int) -> Ranges:
    """Where windows of the training ranges may end, so that every bar of each lies in one range."""
    return tuple((start + lookback - 1, stop) for start, stop in fold.training)


def _indexed(
    frame: FeatureFrame, labels: Labels | None, ranges: Ranges, *, lookback: int, min_present: float
) -> tuple[np.ndarray, np.ndarray]:
    """Bar and symbol of the usable windows that end in some ranges, in time order."""
    found = [
        window_index(frame.values, labels, frame.tradable, rows=rows, lookback=lookback, min_present=min_present)
        for rows in ranges
    ]
    return np.concatenate([time for time, _ in found]), np.concatenate([symbol for _, symbol in found])


def _scaler(frame: FeatureFrame, fold: Fold, where: str) -> Scaler:
    listed = fold.trained(frame.tradable)
    columns = (fold.trained(frame.values[..., f]) for f in range(len(frame.names)))
    missing = [
        name for name, values in zip(frame.names, columns, strict=True) if not (np.isfinite(values) & listed).any()
    ]
    if missing:
        raise DataError(
            f"{missing[0]} has no value in the training range {_span(frame, (fold.train[0], fold.training[-1][1]))}",
            where=where,
            expected="at least one",
            next_step="Start data.start later, make split.train longer, drop the feature, or leave it out of the folds "
            "that have not seen it with model.unseen: leave_out.",
        )
    return Scaler.fit(
        frame.values,
        times=frame.times,
        rows=fold.train,
        also=fold.also_train,
        crossed=fold.crossed,
        where=frame.tradable,
    )


def _target_scale(y: np.ndarray, labels: Labels, where: str) -> np.ndarray:
    scale = y.std(axis=0)  # ddof=0, (H,)
    if not (np.isfinite(scale) & (scale > 0)).all():
        raise DataError(
            f"the target {labels.name} has a standard deviation of {scale.tolist()} over the training windows",
            where=where,
            expected="a positive number for each horizon",
            next_step="Check target (where no barrier is reached, all labels are alike) and the prices behind it.",
        )
    return scale


def _no_window(
    kind: str,
    rows: tuple[int, int],
    frame: FeatureFrame,
    labels: Labels,
    *,
    where: str,
    lookback: int,
    min_present: float,
) -> DataError:
    """Say which of the three conditions leaves no window: length, present cells, or known labels."""
    expected = "at least one"
    if rows[1] - max(rows[0], lookback - 1) <= 0:
        reason = f"the range is shorter than model.lookback, {lookback} bars"
        step = f"Make split.{'train' if kind == 'training' else 'validation'} longer or model.lookback shorter."
    elif not np.isfinite(labels.values[slice(*rows)]).any():
        reason = f"the target {labels.name} has no value there"
        step = "Check the prices that the labels are made of, and target.horizons against the length of the data."
    else:
        reason = f"model.min_present asks for {min_present:.0%} of the cells of {lookback} bars"
        step = "Lower model.min_present, start later, or drop the feature with the longest warm-up."
    # ``rows`` of training are those where a whole window ends; the range itself begins lookback - 1 bars earlier.
    first = rows[0] - lookback + 1 if kind == "training" else rows[0]
    what = f"no usable window in the {kind} range {_span(frame, (first, rows[1]))}: {reason}"
    return DataError(what, where=where, expected=expected, next_step=step)


def _span(frame: FeatureFrame, rows: tuple[int, int]) -> str:
    last = len(frame.times) - 1
    start, stop = min(max(rows[0], 0), last), min(max(rows[1] - 1, 0), last)
    return f"{frame.times[start]:%Y-%m-%d} to {frame.times[stop]:%Y-%m-%d}"
