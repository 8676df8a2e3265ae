"""Fit: a backbone and a head on the training range of one fold, stopped by its validation range."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch import nn

from mnpu.data.scaling import Scaler
from mnpu.data.windows import window_index
from mnpu.errors import ConfigError, DataError
from mnpu.nn.network import Network
from mnpu.nn.recompute import recompute
from mnpu.training.batches import OrderedBatches, ShuffledBatches, Windows, gather
from mnpu.training.callbacks import Bar, KeepBest
from mnpu.training.device import device_kind
from mnpu.training.fitted import Fitted
from mnpu.training.module import LightningForecaster
from mnpu.training.reproducible import derived_seed, reproducible
from mnpu.types import FeatureFrame, Fold, Labels

__all__ = ["TrainSettings", "fit"]

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed"}
VALIDATION_BATCH = 512


class TrainSettings(Protocol):
    """The ``train`` block of a recipe."""

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    patience: int
    max_steps_per_epoch: int | None

    @property
    def precision(self) -> int | str:
        """32 or ``bf16``."""


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
            training, train.batch_size, max_steps=train.max_steps_per_epoch, seed=derived_seed(seed, fold.number, 1)
        )
        best = KeepBest(len(validation), patience=train.patience, where=where)
        watchers = [best, Bar(where)] if progress else [best]
        _run(network, batches, OrderedBatches(validation, VALIDATION_BATCH), train, watchers, place)
    network.load_state_dict(best.weights)
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
        history=tuple(best.history),
        threads=threads,
    )


def _run(
    network: Network,
    training: ShuffledBatches,
    validation: OrderedBatches,
    train: TrainSettings,
    callbacks: list[Callback],
    place: str,
) -> None:
    with _quiet():
        trainer = Trainer(
            accelerator=place,
            devices=1,
            precision=_precision(train.precision),
            max_epochs=train.epochs,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            plugins=[LightningEnvironment()],  # one process: no search for a cluster
        )
        module = LightningForecaster(network, lr=train.lr, weight_decay=train.weight_decay)
        _keep_interrupts(lambda: trainer.fit(module, training, validation), trainer)


def _keep_interrupts(run: Callable[[], None], trainer: Trainer) -> None:
    """Let Ctrl-C stay what it is: Lightning turns it into ``exit(1)``, and older versions only stop training."""
    try:
        run()
    except SystemExit as stopped:
        if isinstance(stopped.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    if trainer.interrupted:
        raise KeyboardInterrupt


@contextmanager
def _quiet() -> Iterator[None]:
    """No advice from Lightning: its findings about workers, devices and logging are decided here."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    loggers += [logging.getLogger(f"{logger.name}.utilities.rank_zero") for logger in loggers]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            warnings.filterwarnings("ignore", category=UserWarning, message=r".*(isinstance\(treespec|LeafSpec).*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _precision(precision: int | str) -> str:
    if str(precision) not in PRECISIONS:
        raise ConfigError(f"train.precision is {precision!r}", expected="32 or bf16")
    return PRECISIONS[str(precision)]


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
