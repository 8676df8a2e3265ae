"""Laws of instruments: a fit is the same with one and without it, and what it says can be kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch

from mnpu import training
from mnpu.nn.linear import Linear
from mnpu.nn.quantile import Quantile
from mnpu.testing import LawOutcome
from mnpu.testing.general import asked
from mnpu.training.fitted import Fitted
from mnpu.types import FeatureFrame, Fold, Labels

__all__ = ["laws"]

Factory = Callable[..., Any]


class _Dropping(Linear):
    """A backbone that takes random numbers in training: who disturbs their stream changes its weights."""

    def summary(self, x: torch.Tensor) -> torch.Tensor:
        """The last step, with dropout."""
        return torch.nn.functional.dropout(super().forward(x)[:, -1], 0.2, self.training)


def laws(factory: Factory) -> list[LawOutcome]:
    """The laws of one instrument.

    Parameters
    ----------
    factory : callable
        Builds it from its defaults, anew each time.
    """
    return [asked(law, partial(check, factory)) for law, check in _LAWS.items()]


def _changes_no_bit(factory: Factory) -> str:
    alone, (watched, _) = _fit([]), _watched(factory)
    if alone.history != watched.history:
        return "the losses of a fit differ with it and without it"
    mine, other = alone.network.state_dict(), watched.network.state_dict()
    changed = [name for name in mine if not torch.equal(mine[name], other[name])]
    return f"it changed the weights {', '.join(changed)}" if changed else ""


def _readings_are_named_numbers(factory: Factory) -> str:
    rows = _watched(factory)[1].record().measurements
    own = rows[~rows["name"].isin(("loss_train", "loss_validation", "lr"))]
    wrong = own[own["name"].astype(str).str.strip() == ""]
    if len(wrong):
        return "a reading has no name"
    twice = own[own.duplicated(["epoch", "name", "layer"])]
    if len(twice):
        return f"it says {twice.iloc[0]['name']} of {twice.iloc[0]['layer'] or 'the whole'} twice in an epoch"
    return ""


def _each_fit_has_its_own(factory: Factory) -> str:
    """One instrument that watches a second fit says what a new one says; the clock's readings may differ."""
    first = _watched(factory)[1].record().measurements
    used = factory()
    _watched(lambda: used)
    second = _watched(lambda: used)[1].record().measurements
    if list(first["name"]) != list(second["name"]):
        return "after one fit it says other things of the next"
    return ""


_LAWS = {
    "changes no bit of a training": _changes_no_bit,
    "its readings have names, each once an epoch": _readings_are_named_numbers,
    "it forgets one fit when the next begins": _each_fit_has_its_own,
}


def _watched(factory: Factory) -> tuple[Fitted, training.Recorder]:
    recorder = training.Recorder({"asked": factory()}, strategy="asked", fold=0, seed=1)
    return _fit([recorder]), recorder


def _fit(callbacks: list[Any]) -> Fitted:
    rng = np.random.default_rng(3)
    n_times, symbols = 260, ("A", "B", "C")
    times = pd.date_range("2001-01-01 21:00", periods=n_times, freq="D", tz="UTC").as_unit("ns")
    values = rng.standard_normal((n_times, len(symbols), 3)).astype(np.float32)
    label = 0.01 * (values[..., :1] + rng.standard_normal((n_times, len(symbols), 1)))
    frame = FeatureFrame(times, symbols, values, ("n.a", "n.b", "n.c"), np.ones(values.shape[:2], dtype=bool), ())
    settings = SimpleNamespace(
        epochs=2,
        batch_size=64,
        accumulate=1,
        max_steps_per_epoch=4,
        optimizer="adamw",
        lr=1e-2,
        weight_decay=1e-4,
        momentum=None,
        schedule="constant",
        warmup_steps=0,
        clip=1.0,
        ema=None,
        patience=5,
        min_delta=0.0,
        precision=32,
        pretrain=None,
    )
    return training.fit(
        frame,
        Labels(label.astype(np.float64), times, (times,), (1,), "forward_return"),
        Fold(0, (0, 160), (165, 200), (205, 260)),
        backbone=partial(_Dropping, d_model=8),
        head=Quantile,
        lookback=4,
        min_present=0.5,
        train=settings,
        seed=1,
        device="cpu",
        callbacks=callbacks,
    )
