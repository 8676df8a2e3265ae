"""Fit a whole model (`mnpu.forecasters`) where a network would be fitted, on the same windows and scales."""

from __future__ import annotations

from collections.abc import Callable

from mnpu.forecasters import Forecaster
from mnpu.forecasters import Windows as Rows
from mnpu.nn.whole import Whole
from mnpu.training.batches import Windows
from mnpu.training.fitted import Fitted
from mnpu.training.learnable import learnable
from mnpu.training.reproducible import derived_seed, reproducible
from mnpu.training.seen import Seen
from mnpu.types import FeatureFrame, Fold, Labels

__all__ = ["Whole", "fit_whole"]


def fit_whole(
    frame: FeatureFrame,
    labels: Labels,
    fold: Fold,
    *,
    forecaster: Callable[[], Forecaster],
    lookback: int,
    min_present: float,
    seed: int,
    threads: int = 1,
) -> Fitted:
    """Fit a forecaster on one fold; the same arguments give the same bits on the same machine's CPU.

    Parameters
    ----------
    frame, labels, fold, lookback, min_present, seed, threads
        As for `mnpu.training.fit`; windows and scales are the same.
    forecaster : callable
        Builds a new one.

    Raises
    ------
    DataError
        If a range has no usable window, a feature no value, or the target no spread.
    """
    learnt = learnable(frame, labels, fold, lookback=lookback, min_present=min_present)
    model = forecaster()
    own = derived_seed(seed, fold.number)
    with reproducible(own, threads=threads):
        model.fit(as_rows(learnt.training), as_rows(learnt.validation), seed=own, threads=threads)
    model.save()  # what cannot be kept is refused now, and not after all folds
    return Fitted(
        network=Whole(model, n_columns=learnt.scaler.n_columns, lookback=lookback).eval(),
        scaler=learnt.scaler,
        target_scale=learnt.target_scale,
        names=frame.names,
        horizons=labels.horizons,
        levels=tuple(model.levels),
        lookback=lookback,
        min_present=min_present,
        fold=fold,
        history=(),
        threads=threads,
        seen=Seen.of(fold, labels, frame.times),
    )


def as_rows(windows: Windows) -> Rows:
    """The same windows as arrays; nothing is copied."""
    y = None if windows.y is None else windows.y.numpy()
    return Rows(windows.rows.numpy(), windows.first.numpy(), windows.lookback, y)
