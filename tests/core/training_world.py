"""A small made-up market for tests of training: features are noise, the label depends on two of them or on none."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from mnpu import training
from mnpu.config.models import TrainConfig
from mnpu.nn.linear import Linear
from mnpu.nn.quantile import Quantile
from mnpu.training import Fitted
from mnpu.types import FeatureFrame, Fold, Labels

__all__ = ["FOLD", "World", "fit", "make_world", "rank_ic", "settings"]

FOLD = Fold(number=3, train=(0, 600), validation=(605, 725), test=(730, 900))


@dataclass(frozen=True)
class World:
    """Features and the labels to forecast from them."""

    frame: FeatureFrame
    labels: Labels


def make_world(rng: np.random.Generator, *, signal: float = 1.0, horizons: int = 1) -> World:
    """900 bars of 6 symbols with 4 features; the label is ``signal`` times a mix of two lags, plus noise."""
    n_times, n_assets, n_features = 900, 6, 4
    times = pd.date_range("2000-01-03 21:00", periods=n_times, freq="D", tz="UTC").as_unit("ns")
    values = rng.standard_normal((n_times, n_assets, n_features))
    planted = 0.8 * values[..., 0]
    planted[3:] += 0.6 * values[:-3, :, 1]
    noise = rng.standard_normal((n_times, n_assets, horizons))
    labels = 0.01 * (signal * planted[..., None] + 0.5 * noise)
    frame = FeatureFrame(
        times=times,
        symbols=tuple(f"S{a}" for a in range(n_assets)),
        values=(3.0 + 2.0 * values).astype(np.float32),
        names=tuple(f"noise.f{i}" for i in range(n_features)),
        tradable=np.ones((n_times, n_assets), dtype=bool),
        specs=(),
    )
    return World(frame, Labels(labels, times, (times,) * horizons, tuple(range(1, horizons + 1)), "forward_return"))


def settings(**changed: Any) -> SimpleNamespace:
    """A ``train`` block for a fit of about a second."""
    default = TrainConfig()
    usual = {name: getattr(default, name) for name in TrainConfig.model_fields}
    usual |= {"epochs": 5, "batch_size": 128, "lr": 5e-3, "patience": 5}
    return SimpleNamespace(**{**usual, **changed})


def fit(world: World, **changed: Any) -> Fitted:
    """Fit the linear backbone on `FOLD`, or what ``changed`` says."""
    usual = {
        "fold": FOLD,
        "backbone": Linear,
        "head": Quantile,
        "lookback": 8,
        "min_present": 0.8,
        "train": settings(),
        "seed": 7,
        "device": "cpu",
    }
    return training.fit(world.frame, world.labels, **{**usual, **changed})


def rank_ic(forecast: np.ndarray, truth: np.ndarray) -> float:
    """Spearman correlation of all pairs that are known."""
    known = np.isfinite(forecast) & np.isfinite(truth)
    return float(pd.Series(forecast[known]).rank().corr(pd.Series(truth[known]).rank()))
