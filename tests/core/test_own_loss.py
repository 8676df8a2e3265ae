"""A backbone's own loss reaches training and nothing else; what it reports on itself is kept with the epoch."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch import Tensor

from mnpu import training
from mnpu.config.alerts import AlertsConfig
from mnpu.nn.linear import Linear
from mnpu.nn.network import Network
from mnpu.nn.quantile import Quantile
from mnpu.testing.models import backbone_laws
from mnpu.training import Fitted
from tests.core.training_world import fit, make_world, settings


class Shrinking(Linear):
    """Its own loss is a hundred times the squared size of its weights."""

    def summary_and_loss(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.summary(x), 100 * self.map.weight.square().sum()


class Reporting(Linear):
    """Counts the windows of training since it was asked."""

    seen = 0

    def summary(self, x: Tensor) -> Tensor:
        self.seen += len(x) if self.training else 0
        return super().summary(x)

    def telemetry(self) -> dict[str, float]:
        seen, self.seen = self.seen, 0
        return {"windows": float(seen), "part.collapsed": float(seen > 0)}


def size(fitted: Fitted) -> float:
    return float(fitted.network.backbone.map.weight.square().sum().detach())


def test_training_minimises_both_losses(rng: np.random.Generator) -> None:
    world = make_world(rng)
    assert size(fit(world, backbone=Shrinking)) < 0.1 * size(fit(world, backbone=Linear))


def test_recorded_losses_are_those_of_the_head(rng: np.random.Generator) -> None:
    """At a rate of almost zero both backbones stay where the seed put them, and lose the same."""
    world, still = make_world(rng), settings(epochs=1, lr=1e-12, weight_decay=0.0)
    own, plain = (fit(world, backbone=backbone, train=still).history[0] for backbone in (Shrinking, Linear))
    assert (own.train, own.validation) == (pytest.approx(plain.train), pytest.approx(plain.validation))


def test_the_losses_of_a_network_are_the_heads_and_the_backbones() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(8, 5, 3), torch.randn(8, 1)
    network = Network(Shrinking(3, 5), Quantile(32, 1))
    head, own = network.losses(x, y)
    assert torch.equal(head, network.loss(x, y))
    assert own is not None
    assert torch.equal(own, 100 * network.backbone.map.weight.square().sum())
    assert Network(Linear(3, 5), Quantile(32, 1)).losses(x, y)[1] is None


def test_what_a_backbone_reports_is_kept_with_its_epoch(rng: np.random.Generator) -> None:
    train = settings(epochs=2, max_steps_per_epoch=3)
    history = fit(make_world(rng), backbone=Reporting, train=train).history
    assert [epoch.telemetry["windows"] for epoch in history] == [3 * 128, 3 * 128]


def test_a_collapse_is_warned_of_once(rng: np.random.Generator, caplog: pytest.LogCaptureFixture) -> None:
    """By the recorder's alert: nobody else speaks of it, neither in the same epoch nor in the next."""
    recorder = training.Recorder({}, alerts=AlertsConfig())
    with caplog.at_level(logging.WARNING, logger="mnpu.training"):
        fit(
            make_world(rng),
            backbone=Reporting,
            train=settings(epochs=2, max_steps_per_epoch=1),
            callbacks=[recorder],
        )
    said = [record.getMessage() for record in caplog.records]
    assert said == ["fold 4, epoch 1: a part of the network is no longer used in part.collapsed"]


def test_a_collapse_whose_alert_is_off_is_recorded_alone(
    rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = training.Recorder({}, alerts=AlertsConfig(collapse=None))
    with caplog.at_level(logging.WARNING, logger="mnpu.training"):
        fit(make_world(rng), backbone=Reporting, train=settings(epochs=1, max_steps_per_epoch=1), callbacks=[recorder])
    assert "part.collapsed" in set(recorder.record().measurements["layer"])
    assert caplog.records == []


def test_telemetry_survives_the_bundle(rng: np.random.Generator, tmp_path) -> None:
    fitted = fit(make_world(rng), backbone=Reporting, train=settings(epochs=1, max_steps_per_epoch=1))
    loaded = training.load(fitted.save(tmp_path / "bundle"), backbone=Reporting, head=Quantile)
    assert loaded.history == fitted.history
    assert loaded.history[0].telemetry == {"windows": 128.0, "part.collapsed": 1.0}


class OtherSummary(Linear):
    """Trains on another summary than it forecasts with."""

    def summary_and_loss(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * self.summary(x), self.map.weight.square().sum()


class VectorLoss(Linear):
    """Gives a loss for each window."""

    def summary_and_loss(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.summary(x), self.summary(x).square().sum(-1)


class Talking(Linear):
    """Reports a tensor."""

    def telemetry(self) -> dict[str, float]:
        return {"size": self.map.weight.sum()}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("backbone", "law"),
    [
        (OtherSummary, "summary is the last step"),
        (VectorLoss, "has a finite scalar as its own loss, where it has one"),
        (Talking, "reports finite numbers, where it reports"),
    ],
)
def test_a_faulty_loss_or_report_is_found(backbone: type, law: str) -> None:
    assert [outcome.law for outcome in backbone_laws(backbone) if not outcome.passed] == [law]


@pytest.mark.parametrize("backbone", [Shrinking, Reporting])
def test_a_sound_loss_or_report_passes(backbone: type) -> None:
    assert [outcome for outcome in backbone_laws(backbone) if not outcome.passed] == []
