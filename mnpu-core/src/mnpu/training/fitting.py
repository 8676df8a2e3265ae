"""Fit: a backbone and a head on the training range of one fold, stopped by its validation range."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from mnpu.nn.network import Network
from mnpu.nn.recompute import recompute
from mnpu.training.backends import Backend, Layout
from mnpu.training.batches import OrderedBatches, ShuffledBatches, Windows
from mnpu.training.callbacks import Bar, Callback
from mnpu.training.checkpoints import Checkpoints
from mnpu.training.device import device_kind
from mnpu.training.distributed import Job, train_in_processes
from mnpu.training.fitted import Fitted
from mnpu.training.learnable import every_window, learnable
from mnpu.training.loop import Loop, Outcome, TrainSettings
from mnpu.training.pretraining.run import Pretraining, pretrain
from mnpu.training.reproducible import derived_seed, reproducible, unchanged_streams
from mnpu.training.seen import Limits, Seen
from mnpu.training.warming import Inherited, WarmUp
from mnpu.types import FeatureFrame, Fold, Labels

__all__ = ["TrainSettings", "WarmUp", "fit"]

VALIDATION_BATCH = 512


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
    calibration: tuple[int, int] | None = None,
    warm_up: Callable[[WarmUp], Seen | None] | None = None,
    backend: Backend | None = None,
    checkpoints: Checkpoints | None = None,
    layout: Layout = Layout(),  # noqa: B008  it is frozen
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
        They watch the training; see `mnpu.training.callbacks`. Alerts come from a `mnpu.training.Recorder` among them;
        without one, what a backbone reports is in the ``telemetry`` of the history alone.
    calibration : (start, stop), optional
        Rows that are kept back to calibrate it: weights from elsewhere may know no more of them than of the test range.
    warm_up : callable, optional
        Called once with the network as it was initialised, before pre-training and the first step: it may set weights,
        and returns what these have seen, None for nothing. The random numbers of the training do not depend on what it
        draws.
    backend : Backend, optional
        Where it computes, instead of one process on ``device``.
    checkpoints : Checkpoints, optional
        Where the fit is written to as it goes on. One that was begun there is taken up, and ends with the bits of one
        that was never stopped; then there is neither a warm-up nor pre-training. Not with several processes.
    layout : Layout, optional
        Several processes instead of this one.

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
    shared = place if layout.devices == 1 else "cpu"  # where the windows lie
    learnt = learnable(frame, labels, fold, lookback=lookback, min_present=min_present, device=shared)
    scaler, training = learnt.scaler, learnt.training
    limits = Limits.of(fold, calibration, frame.times)

    with reproducible(derived_seed(seed, fold.number), threads=threads, cuda=place == "cuda"):
        body = backbone(n_features=scaler.n_columns, lookback=lookback)
        if checkpoint_activations:
            recompute(body)
        network = Network(body, head(d_in=body.d_out, n_horizons=len(labels.horizons)))
        _fit_targets(network, training)
        batches = ShuffledBatches(
            training,
            train.batch_size,
            max_steps=train.max_steps_per_epoch,
            seed=derived_seed(seed, fold.number, 1),
            accumulate=train.accumulate,
        )
        where_to = backend or Backend(place, train.precision)
        if layout.devices > 1:
            checkpoints = None  # the state of other processes is not in reach: a fit that was stopped begins anew
        begun = None if checkpoints is None else checkpoints.newest()
        record = Pretraining()
        inherited = Inherited(limits.most if begun is not None and warm_up is not None else None)
        if begun is None:
            with unchanged_streams(cuda=place == "cuda"):
                if warm_up is not None:
                    given = WarmUp(network.to(place), training, scaler, frame.names, fold, limits, where)
                    inherited.seen = warm_up(given)
                    _fit_targets(network, training)  # weights of another fit bring the thresholds of its targets
                if train.pretrain is not None:
                    record.losses = pretrain(
                        network.to(place).backbone,
                        every_window(frame, fold, learnt, min_present=min_present).to(place),
                        scaler.has_gaps,
                        train,
                        seed=derived_seed(seed, fold.number, 2),
                        where=where,
                        autocast=where_to.dtype,
                    )
        watchers = [
            *callbacks,
            *([] if train.pretrain is None else [record]),
            *([] if warm_up is None else [inherited]),
            *([Bar(where)] if progress else []),
            *([checkpoints] if checkpoints else []),
        ]
        judged = OrderedBatches(learnt.validation, VALIDATION_BATCH)
        if layout.devices > 1:
            done = train_in_processes(
                Job(
                    network,
                    batches,
                    judged,
                    train,
                    watchers,
                    where=where,
                    seed=derived_seed(seed, fold.number, 3),
                    threads=threads,
                    device=place,
                    layout=layout,
                )
            )
        else:
            loop = Loop(network, batches, judged, train, backend=where_to, callbacks=watchers, where=where)
            if begun is not None:
                begun.restore(loop)
            loop.run()
            done = Outcome(loop.best, loop.history)
    network.load_state_dict(done.best)
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
        history=tuple(done.history),
        threads=threads,
        pretraining=record.losses,
        seen=Seen.of(fold, labels, frame.times).with_(inherited.seen),
    )


def _fit_targets(network: Network, training: Windows) -> None:
    """Let the head take from the training targets what it needs of them, where it does."""
    if hasattr(network.head, "fit_targets"):
        network.head.fit_targets(training.y)
