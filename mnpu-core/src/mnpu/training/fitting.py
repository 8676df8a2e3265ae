"""Fit: a backbone and a head on the training range of one fold, stopped by its validation range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from mnpu.data.scaling import Scaler
from mnpu.data.windows import window_index
from mnpu.errors import DataError
from mnpu.nn.network import Network
from mnpu.nn.recompute import recompute
from mnpu.training.backends import Backend
from mnpu.training.batches import OrderedBatches, ShuffledBatches, Windows, gather
from mnpu.training.callbacks import Bar, Callback
from mnpu.training.checkpoints import Checkpoints
from mnpu.training.device import device_kind
from mnpu.training.fitted import Fitted
from mnpu.training.loop import Loop, TrainSettings
from mnpu.training.reproducible import derived_seed, reproducible, unchanged_streams
from mnpu.types import FeatureFrame, Fold, Labels

__all__ = ["TrainSettings", "WarmUp", "fit"]

VALIDATION_BATCH = 512


@dataclass(frozen=True)
class WarmUp:
    """What may be known before training: the network, the training windows (with labels), and a seed.

    Attributes
    ----------
    network : Network
        On its device, as it was initialised; its weights may be changed in place.
    windows : Windows
        Of the fold's training range; nothing later.
    fold : Fold
    seed : int
        For what is random here.
    where : str
        Which fit this is, for errors.
    """

    network: Network
    windows: Windows
    fold: Fold
    seed: int
    where: str


def fit(
    frame: FeatureFrame,
    labels: Labels,
    fold: Fold,
    *,
    backbone: Callable[..., nn.Module],
    head: Callable[..., nn.Module],
    lookback: int,
    min_present: float,
    train: TrainSettings,
    seed: int,
    checkpoint_activations: bool = False,
    device: str = "auto",
    threads: int = 1,
    progress: bool = False,
    callbacks: Sequence[Callback] = (),
    warm_up: Callable[[WarmUp], None] | None = None,
    backend: Backend | None = None,
    checkpoints: Checkpoints | None = None,
) -> Fitted:
    """Fit a network on one fold; the same arguments give the same bits on the same machine's CPU.

    Parameters
    ----------
    frame : FeatureFrame
    labels : Labels
    fold : Fold
        Windows of the training range lie in it with every bar; those of the validation range end in it.
    backbone : callable
        ``backbone(n_features=..., lookback=...)`` builds it.
    head : callable
        ``head(d_in=..., n_horizons=...)`` builds it.
    lookback : int
        Bars per window, L.
    min_present : float
        Fraction of a window's cells that must be present.
    train : TrainSettings
    seed : int
        Every random number follows from it and the fold's number.
    checkpoint_activations : bool, default=False
        Compute the blocks of a backbone that offers it again in the backward pass: less memory, the same bits.
    device : str, default="auto"
        ``cpu``, ``cuda`` or ``auto``: cuda where there is one.
    threads : int, default=1
    progress : bool, default=False
        Draw a bar on standard error, if that is a terminal.
    callbacks : sequence of Callback, optional
        They watch the training; see `mnpu.training.callbacks`.
    warm_up : callable, optional
        Called once with the network as it was initialised, before the first step: it may set weights, as pre-training
        does. The random numbers of the training do not depend on what it draws.
    backend : Backend, optional
        Where it computes, instead of one process on ``device``.
    checkpoints : Checkpoints, optional
        Where the fit is written to as it goes on. One that was begun there is taken up, and ends with the bits of one
        that was never stopped; then there is no warm-up.

    Raises
    ------
    DataError
        If a range has no usable window, a feature no value, or the target no spread.
    ConfigError
        If a size, the device or the precision is impossible.
    MnpuError
        If the loss is not finite.
    """
    where = f"fold {fold.number + 1}"
    place = device_kind(device)
    scaler = _scaler(frame, fold, where)
    scaled = scaler.scale(frame.values)
    target_scale = np.zeros(0)

    def windows(kind: str, rows: tuple[int, int], scale: np.ndarray | None) -> tuple[Windows, np.ndarray]:
        time, symbol = window_index(
            frame.values, labels, frame.tradable, rows=rows, lookback=lookback, min_present=min_present
        )
        if not len(time):
            raise _no_window(kind, rows, frame, labels, where=where, lookback=lookback, min_present=min_present)
        y = labels.values[time, symbol]  # (N, H)
        scale = _target_scale(y, labels, where) if scale is None else scale
        return gather(scaled, time, symbol, lookback=lookback, y=y / scale, device=place), scale

    inside = (fold.train[0] + lookback - 1, fold.train[1])
    training, target_scale = windows("training", inside, None)
    validation, _ = windows("validation", fold.validation, target_scale)

    with reproducible(derived_seed(seed, fold.number), threads=threads, cuda=place == "cuda"):
        body = backbone(n_features=scaler.n_columns, lookback=lookback)
        if checkpoint_activations:
            recompute(body)
        network = Network(body, head(d_in=body.d_out, n_horizons=len(labels.horizons)))
        if hasattr(network.head, "fit_targets"):
            network.head.fit_targets(training.y)
        batches = ShuffledBatches(
            training,
            train.batch_size,
            max_steps=train.max_steps_per_epoch,
            seed=derived_seed(seed, fold.number, 1),
            accumulate=train.accumulate,
        )
        where_to = backend or Backend(place, train.precision)
        begun = None if checkpoints is None else checkpoints.newest()
        if warm_up is not None and begun is None:
            with unchanged_streams(cuda=place == "cuda"):
                warm_up(WarmUp(network.to(place), training, fold, derived_seed(seed, fold.number, 2), where))
        watchers = [*callbacks, *([Bar(where)] if progress else []), *([checkpoints] if checkpoints else [])]
        loop = Loop(
            network,
            batches,
            OrderedBatches(validation, VALIDATION_BATCH),
            train,
            backend=where_to,
            callbacks=watchers,
            where=where,
        )
        if begun is not None:
            begun.restore(loop)
        loop.run()
    network.load_state_dict(loop.best)
    return Fitted(
        network=network.to(place).eval(),
        scaler=scaler,
        target_scale=target_scale,
        names=frame.names,
        horizons=labels.horizons,
        levels=tuple(network.head.levels),
        lookback=lookback,
        min_present=min_present,
        fold=fold,
        history=tuple(loop.history),
        threads=threads,
    )


def _scaler(frame: FeatureFrame, fold: Fold, where: str) -> Scaler:
    rows = slice(*fold.train)
    listed = frame.tradable[rows]
    missing = [name for f, name in enumerate(frame.names) if not (np.isfinite(frame.values[rows, :, f]) & listed).any()]
    if missing:
        raise DataError(
            f"{missing[0]} has no value in the training range {_span(frame, fold.train)}",
            where=where,
            expected="at least one",
            next_step="Start data.start later, make split.train longer, drop the feature, or leave it out of the folds "
            "that have not seen it with model.unseen: leave_out.",
        )
    return Scaler.fit(frame.values, times=frame.times, rows=fold.train, where=frame.tradable)


def _target_scale(y: np.ndarray, labels: Labels, where: str) -> np.ndarray:
    scale = y.std(axis=0)  # ddof=0, (H,)
    if not (np.isfinite(scale) & (scale > 0)).all():
        raise DataError(
            f"the target {labels.name} has a standard deviation of {scale.tolist()} over the training windows",
            where=where,
            expected="a positive number for each horizon",
            next_step="Check the prices that the labels are made of.",
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
