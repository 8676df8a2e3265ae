"""A small fit for the laws of what watches one: who disturbs its random numbers changes its weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch

from mnpu import training
from mnpu.nn.linear import Linear
from mnpu.nn.quantile import Quantile
from mnpu.training.fitted import Fitted
from mnpu.types import FeatureFrame, Fold, Labels

__all__ = ["small_fit"]


class _Dropping(Linear):
    """A backbone that takes random numbers in training: who disturbs their stream changes its weights."""

    def summary(self, x: torch.Tensor) -> torch.Tensor:
        """The last step, with dropout."""
        return torch.nn.functional.dropout(super().forward(x)[:, -1], 0.2, self.training)


def small_fit(callbacks: Sequence[Any]) -> Fitted:
    """A fit of two epochs on noise with a signal, watched by ``callbacks``; the same bits each time."""
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
