"""Fit: a backbone and a head on the training range of one fold, stopped by its validation range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from mnpu.nn.network import Network
from mnpu.nn.recompute import recompute
from mnpu.training.backends import Backend
from mnpu.training.batches import OrderedBatches, ShuffledBatches, Windows
from mnpu.training.callbacks import Bar, Callback
from mnpu.training.checkpoints import Checkpoints
from mnpu.training.device import device_kind
from mnpu.training.fitted import Fitted
from mnpu.training.learnable import learnable
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
    learnt = learnable(frame, labels, fold, lookback=lookback, min_present=min_present, device=place)
    scaler, training = learnt.scaler, learnt.training

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
            OrderedBatches(learnt.validation, VALIDATION_BATCH),
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
        target_scale=learnt.target_scale,
        names=frame.names,
        horizons=labels.horizons,
        levels=tuple(network.head.levels),
        lookback=lookback,
        min_present=min_present,
        fold=fold,
        history=tuple(loop.history),
        threads=threads,
    )
