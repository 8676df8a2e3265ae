"""Instruments in a fit: they change no bit, say what is there, and alerts follow from what they say."""

from __future__ import annotations

import json
import logging
import math
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from mnpu.config.alerts import AlertsConfig
from mnpu.errors import MnpuError
from mnpu.nn.dirichlet_quantile import DirichletQuantile
from mnpu.nn.gaussian import Gaussian
from mnpu.nn.gru import GRU
from mnpu.nn.linear import Linear
from mnpu.nn.omni import Omni
from mnpu.nn.point import Point
from mnpu.nn.quantile import Quantile
from mnpu.nn.tcn import TCN
from mnpu.training import Callback, Checkpoints, Fitted, Recorder
from mnpu.training.backends import Backend
from mnpu.training.checkpoints import Every
from mnpu.training.ensembles import fit_ensemble, member_seed
from mnpu.training.fitted import Epoch
from mnpu.training.instruments.alerts import Judge
from mnpu.training.instruments.api import Instrument, Moment, Reading
from mnpu.training.instruments.calibration import Calibration, crps
from mnpu.training.instruments.curvature import Curvature
from mnpu.training.instruments.dead_units import DeadUnits
from mnpu.training.instruments.landscape import Landscape
from mnpu.training.instruments.noise_scale import NoiseScale
from mnpu.training.instruments.norms import Norms
from mnpu.training.instruments.throughput import Throughput
from tests.core.training_world import FOLD, World, fit, make_world, settings

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(np.random.default_rng(11))


def everything() -> dict[str, Instrument]:
    return {
        "norms": Norms(samples=4),
        "calibration": Calibration(),
        "throughput": Throughput(),
        "dead_units": DeadUnits(windows=64),
        "noise_scale": NoiseScale(batch=16, batches=4, draws=2),
        "landscape": Landscape(points=3, plane=3, windows=64),
        "curvature": Curvature(iterations=3, windows=32),
    }


def watched(world: World, instruments: dict[str, Instrument], **changed: Any) -> tuple[Fitted, Recorder]:
    alerts = changed.pop("alerts", AlertsConfig())
    recorder = Recorder(instruments, alerts=alerts, strategy="mine", fold=3, seed=5)
    callbacks = [recorder, *changed.pop("callbacks", [])]
    return fit(world, callbacks=callbacks, **{"train": settings(epochs=2, max_steps_per_epoch=6), **changed}), recorder


def of(recorder: Recorder, name: str, layer: str = "") -> np.ndarray:
    rows = recorder.record().measurements
    return rows.loc[(rows["name"] == name) & (rows["layer"] == layer), "value"].to_numpy()


class Dropping(nn.Module):
    """Takes random numbers in training, as dropout does."""

    causal, streams = True, False

    def __init__(self, n_features: int, lookback: int) -> None:
        super().__init__()
        self.inner = Linear(n_features=n_features, lookback=lookback)
        self.d_out = self.inner.d_out

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(self.inner(x), 0.3, self.training)


@pytest.mark.parametrize(
    ("backbone", "head"),
    [
        (Linear, Quantile),
        (Dropping, Gaussian),
        (partial(TCN, d_model=8), DirichletQuantile),
        (partial(GRU, d_model=8), Point),
        (partial(Omni, d_model=8), Quantile),
    ],
)
def test_instruments_change_no_bit_of_the_training(world: World, backbone: Any, head: Any) -> None:
    parts = {
        "backbone": backbone,
        "head": head,
        "train": settings(epochs=2, max_steps_per_epoch=6),
    }
    alone = fit(world, **parts)
    seen, recorder = watched(world, everything(), **parts)
    assert seen.history == alone.history
    mine, other = seen.network.state_dict(), alone.network.state_dict()
    assert all(torch.equal(mine[name], other[name]) for name in other)
    assert not any(module.training for module in seen.network.modules())
    names = set(recorder.record().measurements["name"])
    assert {"gradient_norm", "crps", "windows_per_second", "dead_units", "noise_scale", "hessian_top", "lr"} <= names
    assert set(recorder.record().landscape["kind"]) == {"line", "plane"}


def test_the_same_fit_gives_the_same_readings_but_for_the_clock(world: World) -> None:
    first, second = (watched(world, everything())[1].record() for _ in range(2))
    timed = first.measurements["name"].isin(("windows_per_second", "step_seconds"))
    pd.testing.assert_frame_equal(first.measurements[~timed], second.measurements[~timed], check_exact=True)
    pd.testing.assert_frame_equal(first.landscape, second.landscape, check_exact=True)


class Witness(Callback):
    """Norms by another route: the loop's own, and differences of whole copies of the weights."""

    def __init__(self) -> None:
        self.gradients: list[float] = []
        self.updates: list[float] = []
        self.before: dict[str, Tensor] = {}

    def on_gradients(self, loop: Any) -> None:
        self.before = {name: t.clone() for name, t in loop.network.state_dict().items()}

    def on_step(self, loop: Any) -> None:
        self.gradients.append(float(loop.gradient_norm))
        moved = [float(((t - self.before[n]).double() ** 2).sum()) for n, t in loop.network.state_dict().items()]
        self.updates.append(math.sqrt(sum(moved)))


def test_norms_are_those_of_the_sampled_steps(world: World) -> None:
    witness = Witness()
    _, recorder = watched(world, {"norms": Norms(samples=100)}, callbacks=[witness])
    for name, steps in (("gradient_norm", witness.gradients), ("update_norm", witness.updates)):
        by_epoch = np.sqrt((np.array(steps).reshape(2, 6) ** 2).mean(axis=1))
        np.testing.assert_allclose(of(recorder, name), by_epoch, rtol=1e-4)
    rows = recorder.record().measurements
    layers = rows[(rows["name"] == "gradient_norm") & (rows["layer"] != "") & (rows["epoch"] == 1)]["value"]
    assert math.sqrt((layers**2).sum()) == pytest.approx(of(recorder, "gradient_norm")[0], rel=1e-9)


@pytest.mark.parametrize(("size", "accumulate"), [(100_000, 1), (64, 2), (200, 100)])
def test_the_noise_scale_is_told_in_batches_as_they_are_taken(world: World, size: int, accumulate: int) -> None:
    counted: list[int] = []

    class Counting(Callback):
        def on_step(self, loop: Any) -> None:
            counted.append(len(loop.losses) * len(loop.batch.x))  # of the first step

    noise = NoiseScale(batch=16, batches=4, draws=2)
    train = settings(epochs=1, max_steps_per_epoch=1, batch_size=size, accumulate=accumulate)
    _, recorder = watched(world, {"noise_scale": noise}, train=train, callbacks=[Counting()])
    [scale], [in_batches] = of(recorder, "noise_scale"), of(recorder, "noise_scale_batches")
    assert scale / in_batches == pytest.approx(counted[0])


def test_calibration_is_that_of_the_forecasts_on_the_validation_windows(world: World) -> None:
    """Against the pipeline's own forecast of the validation range, in units of the label."""
    from mnpu import training

    fitted, recorder = watched(world, {"calibration": Calibration(windows=10**6)})
    best = 1 + fitted.history.index(fitted.best)
    said = training.forecast(fitted, world.frame, rows=FOLD.validation)
    rows = slice(*FOLD.validation)
    y, q = world.labels.values[rows, :, 0].ravel(), said.quantiles[rows, :, 0].reshape(-1, len(said.levels))
    inside = np.mean((q[:, 0] <= y) & (y <= q[:, -1]))
    assert of(recorder, "coverage_0.90")[best - 1] == pytest.approx(inside, abs=1e-12)
    spread = (q[:, len(said.levels) // 2] / fitted.target_scale[0]).std()
    assert of(recorder, "forecast_spread")[best - 1] == pytest.approx(spread, rel=1e-5)


class Again(Instrument):
    """The CRPS by another route: the network is asked again, in one pass over the windows."""

    def __init__(self, windows: int, precision: str) -> None:
        self.windows, self.precision = windows, precision

    def epoch(self, moment: Moment) -> list[Reading]:
        n = len(moment.validation)
        chosen = moment.validation.batch(torch.tensor([k * n // self.windows for k in range(self.windows)]))
        with torch.no_grad(), Backend(precision=self.precision).autocast():
            said = moment.network.forecast(chosen.x).quantiles
        assert chosen.y is not None
        return [Reading("again", crps(chosen.y.double().numpy(), said.double().numpy(), moment.network.head.levels))]


@pytest.mark.parametrize("changed", [{}, {"ema": 0.9}, {"precision": "bf16"}])
def test_calibration_is_that_of_the_weights_and_the_precision_that_are_validated(world: World, changed: Any) -> None:
    train = settings(epochs=2, max_steps_per_epoch=6, **changed)
    both = {"calibration": Calibration(windows=100), "again": Again(100, changed.get("precision", "32"))}
    _, recorder = watched(world, both, train=train)
    np.testing.assert_allclose(of(recorder, "crps"), of(recorder, "again"), rtol=1e-6)


class Counting(Linear):
    """How many windows it has seen in evaluation mode."""

    seen = 0

    def summary(self, x: Tensor) -> Tensor:
        self.seen += 0 if self.training else len(x)
        return super().summary(x)


def test_calibration_takes_no_pass_of_its_own(world: World) -> None:
    alone = fit(world, backbone=Counting, train=settings(epochs=2, max_steps_per_epoch=6))
    seen, recorder = watched(world, {"calibration": Calibration()}, backbone=Counting)
    assert len(of(recorder, "crps")) == 2
    assert seen.network.backbone.seen == alone.network.backbone.seen > 0


def test_calibration_may_look_at_every_second_epoch_alone(world: World) -> None:
    train = settings(epochs=4, max_steps_per_epoch=6)
    whole, half = (watched(world, {"c": Calibration(every=every)}, train=train)[1] for every in (1, 2))
    np.testing.assert_array_equal(of(half, "crps"), of(whole, "crps")[1::2])


def test_the_middle_of_the_landscape_is_the_loss_of_the_best_weights(world: World) -> None:
    fitted, recorder = watched(world, {"landscape": Landscape(points=5, plane=3, windows=10**6)})
    surface = recorder.record().landscape
    middle = surface[(surface["a"] == 0) & (surface["b"] == 0)]["loss"].to_numpy()
    assert len(middle) == 2
    assert middle[0] == pytest.approx(middle[1], rel=1e-6)
    assert (surface["loss"] >= middle[0] - 0.02).all()  # trained: hardly anywhere lower
    assert len(fitted.history) == 2


class Shut(nn.Module):
    """Half of its units sit behind a rectifier that never opens."""

    causal, streams, d_out = True, False, 8

    def __init__(self, n_features: int, lookback: int) -> None:
        super().__init__()
        self.first = nn.Linear(n_features, 8)
        with torch.no_grad():
            self.first.bias[:4] = -1e3

    def forward(self, x: Tensor) -> Tensor:
        return self.first(x).relu()


def test_units_behind_a_shut_rectifier_are_dead(world: World) -> None:
    _, recorder = watched(world, {"dead_units": DeadUnits()}, backbone=Shut)
    np.testing.assert_allclose(of(recorder, "dead_units", "backbone.first.weight"), 0.5)


def test_a_fit_that_was_stopped_records_what_one_that_was_not_does(world: World, tmp_path: Path) -> None:
    class StopAt(Callback):
        def on_step(self, loop: Any) -> None:
            if loop.step == 8:
                raise InterruptedError

    def instruments() -> dict[str, Instrument]:
        return {"norms": Norms(samples=6), "noise_scale": NoiseScale(batch=16, batches=4, draws=1)}

    train = settings(epochs=3, max_steps_per_epoch=6)
    _, whole = watched(world, instruments(), train=train)
    folder = tmp_path / "fit"
    folder.mkdir()
    checkpoints = Checkpoints(folder, Every.parse("1 step"))
    with pytest.raises(InterruptedError):
        watched(world, instruments(), train=train, callbacks=[StopAt()], checkpoints=checkpoints)
    _, resumed = watched(world, instruments(), train=train, checkpoints=checkpoints)
    pd.testing.assert_frame_equal(whole.record().measurements, resumed.record().measurements, check_exact=True)


def test_what_is_infinite_survives_a_checkpoint_s_json() -> None:
    recorder = Recorder({}, alerts=AlertsConfig())
    recorder._rows = [(0, 1, 5, "noise_scale", "", math.inf), (0, 1, 5, "x", "", math.nan)]
    state = json.loads(json.dumps(recorder.state(), allow_nan=False))
    again = Recorder({}, alerts=AlertsConfig())
    again.load_state(state)
    assert again._rows[0] == recorder._rows[0]
    assert math.isnan(again._rows[1][-1])


def test_members_of_an_ensemble_are_told_apart(world: World) -> None:
    """By the number that each one's own recorder has; all else is that of the same fit without an ensemble."""

    def recorder(member: int) -> Recorder:
        instruments = {"norms": Norms(), "landscape": Landscape(points=3, windows=32)}
        return Recorder(instruments, alerts=alerts(exploding_gradients=0.0), member=member, seed=5)

    train, usual = settings(epochs=2, max_steps_per_epoch=6), {"lookback": 8, "min_present": 0.8, "device": "cpu"}
    members, parts = [recorder(0), recorder(1)], {"backbone": Linear, "head": Quantile, "train": train}
    fit_ensemble(world.frame, world.labels, FOLD, members=2, seed=1, watchers=[[m] for m in members], **parts, **usual)
    assert len({member.name for member in members}) == 2
    alone = recorder(0)
    fit(world, callbacks=[alone], train=train, seed=member_seed(1, 1))
    for table in ("measurements", "landscape", "alerts"):
        found, expected = (getattr(r.record(), table) for r in (members[1], alone))
        assert set(found["member"]) == {1}
        pd.testing.assert_frame_equal(found.assign(member=0), expected, check_exact=True)


# Alerts.


def alerts(**rules: Any) -> AlertsConfig:
    quiet = dict.fromkeys(AlertsConfig.model_fields)
    del quiet["factor"]
    return AlertsConfig.model_validate({**quiet, **rules})


def judged(readings: list[Reading], history: list[Epoch], **rules: Any) -> list[str]:
    return [alert.name for alert in Judge(alerts(**rules)).judge(readings, history)]


FLAT = [Epoch(1.0, 1.0), Epoch(1.0, 1.0)]


@pytest.mark.parametrize(
    ("name", "layer", "limit", "sound", "wrong"),
    [
        ("gradient_nan", "", ("nan", 0), 0.0, 1.0),
        ("gradient_norm_max", "", ("exploding_gradients", 10), 10.0, 10.1),
        ("gradient_norm", "backbone.x", ("vanishing_gradients", 1e-6), 1e-6, 1e-7),
        ("noise_scale_batches", "", ("noise_scale", 50), 50.0, math.inf),
        ("forecast_spread", "", ("collapse", 1e-4), 1e-4, 1e-5),
        ("dead_units", "", ("dead_units", 0.3), 0.3, 0.31),
    ],
)
def test_an_alert_speaks_beyond_its_threshold_and_not_at_it(
    name: str, layer: str, limit: tuple[str, float], sound: float, wrong: float
) -> None:
    alert, threshold = limit
    assert judged([Reading(name, sound, layer)], FLAT, **{alert: threshold}) == []
    assert judged([Reading(name, wrong, layer)], FLAT, **{alert: threshold}) == [alert]
    assert judged([Reading(name, wrong, layer)], FLAT) == []  # off


def test_miscalibration_must_last_two_epochs() -> None:
    judge, far, near = Judge(alerts(miscalibration=0.1)), [Reading("coverage_gap", 0.2)], [Reading("coverage_gap", 0.0)]
    assert [len(judge.judge(readings, FLAT)) for readings in (far, near, far, far, far)] == [0, 0, 0, 1, 0]


def test_an_epoch_without_a_look_is_no_epoch_of_calibration() -> None:
    judge, far = Judge(alerts(miscalibration=0.1)), [Reading("coverage_gap", 0.2)]
    every_other = [[], far, [], far, [], far]  # {use: calibration, every: 2}
    assert [len(judge.judge(readings, FLAT)) for readings in every_other] == [0, 0, 0, 1, 0, 0]


def test_over_fitting_is_a_validation_loss_that_rises_while_training_gains() -> None:
    falling = [Epoch(1.0, 1.0), Epoch(0.8, 0.9), Epoch(0.6, 1.0)]  # lost 0.1 of 0.4
    assert judged([], falling, over_fitting=0.2) == ["over_fitting"]
    assert judged([], falling, over_fitting=0.3) == []
    assert judged([], [Epoch(1.0, 1.0), Epoch(0.8, 0.9), Epoch(0.9, 1.5)], over_fitting=0.1) == []  # both rise


def test_experts_that_nobody_is_sent_to_are_a_collapse() -> None:
    history = [Epoch(1.0, 1.0, {"blocks.0.collapsed": 0.0, "blocks.1.collapsed": 1.0})]
    found = Judge(alerts(collapse=1e-6)).judge([], history)
    assert [(a.name, a.layer) for a in found] == [("collapse", "blocks.1.collapsed")]


def test_a_collapse_has_the_number_and_the_threshold_of_the_part_that_says_so() -> None:
    told = {"r.use": 0.1, "r.collapse_below": 0.25, "r.collapsed": 1.0}
    for telemetry, numbers in ((told, (0.1, 0.25)), ({"r.collapsed": 1.0}, (1.0, 0.0))):
        (alert,) = Judge(alerts(collapse=1e-6)).judge([], [Epoch(1.0, 1.0, telemetry)])
        assert (alert.value, alert.threshold) == numbers
    (spread,) = Judge(alerts(collapse=1e-6)).judge([Reading("forecast_spread", 1e-7)], FLAT)
    assert (spread.value, spread.threshold) == (1e-7, 1e-6)


def test_an_alert_speaks_once_unless_it_lowers_the_learning_rate_each_time() -> None:
    readings = [Reading("gradient_norm_max", 1e3)]
    once = Judge(alerts(exploding_gradients=1))
    assert [len(once.judge(readings, FLAT)) for _ in range(3)] == [1, 0, 0]
    each = Judge(alerts(exploding_gradients={"threshold": 1, "action": "lower_lr"}))
    assert [len(each.judge(readings, FLAT)) for _ in range(3)] == [1, 1, 1]


def test_an_alert_may_lower_the_learning_rate_from_the_next_epoch_on(world: World) -> None:
    rules = alerts(exploding_gradients={"threshold": 0, "action": "lower_lr"}, factor=0.25)
    _, recorder = watched(world, {"norms": Norms()}, alerts=rules, train=settings(epochs=3, max_steps_per_epoch=4))
    np.testing.assert_allclose(of(recorder, "lr"), [5e-3, 5e-3 / 4, 5e-3 / 16])
    assert list(recorder.record().alerts["action"]) == ["lower_lr"] * 3


def test_an_alert_may_stop_the_fit_and_the_best_epoch_is_kept(world: World, caplog: pytest.LogCaptureFixture) -> None:
    rules = alerts(exploding_gradients={"threshold": 0, "action": "stop"})
    with caplog.at_level(logging.WARNING, logger="mnpu.training"):
        fitted, recorder = watched(world, {"norms": Norms()}, alerts=rules, train=settings(epochs=5))
    assert len(fitted.history) == 1
    (row,) = recorder.record().alerts.itertuples()
    assert (row.name, row.epoch, row.fold, row.strategy, row.threshold) == ("exploding_gradients", 1, 3, "mine", 0)
    facts = next(r.facts for r in caplog.records if hasattr(r, "facts"))
    assert facts["alert"] == "exploding_gradients"
    assert facts["value"] == row.value > 0
    assert facts["action"] == "stop"


class Breaking(Quantile):
    """Its loss becomes NaN in the ninth batch of training."""

    def loss(self, h: Tensor, y: Tensor) -> Tensor:
        self.calls = getattr(self, "calls", 0) + self.training
        return super().loss(h, y) * (math.nan if self.calls == 9 and self.training else 1.0)


def test_a_gradient_that_is_no_number_is_said_before_the_run_fails(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="mnpu.training"), pytest.raises(MnpuError, match="loss is nan"):
        watched(world, {"norms": Norms(samples=100)}, head=Breaking)
    (facts,) = [r.facts for r in caplog.records if getattr(r, "facts", {}).get("alert") == "nan"]
    assert facts["epoch"] == 2
    assert facts["value"] == 4  # steps 9 to 12
    assert facts["layer"].startswith("backbone")


def test_under_a_shift_the_alert_of_miscalibration_fires(world: World) -> None:
    """Labels of the validation range are five times as wide: no interval fits them."""
    from dataclasses import replace

    values = world.labels.values.copy()
    values[slice(*FOLD.validation)] *= 5
    shifted = World(world.frame, replace(world.labels, values=values))
    train = settings(epochs=3, lr=1e-2)
    still, moved = (
        watched(w, {"calibration": Calibration()}, train=train, alerts=alerts(miscalibration=0.15))[1].record().alerts
        for w in (world, shifted)
    )
    assert list(still["name"]) == []
    assert list(moved["name"]) == ["miscalibration"]


def test_a_recorder_may_be_sent_to_another_process_and_its_state_comes_back(world: World) -> None:
    """As a fit in several processes does: what was recorded there is told here."""
    there = pickle.loads(pickle.dumps(Recorder(everything(), alerts=AlertsConfig(), strategy="mine", seed=5)))
    fit(world, callbacks=[there], train=settings(epochs=2, max_steps_per_epoch=6))
    here = Recorder(everything(), alerts=AlertsConfig(), strategy="mine", seed=5)
    here.load_state(json.loads(json.dumps(there.state())))
    for table in ("measurements", "landscape", "alerts"):
        pd.testing.assert_frame_equal(getattr(here.record(), table), getattr(there.record(), table), check_exact=True)


class Several(Backend):
    """Stands for one of two processes."""

    world = 2

    def total(self, value: Tensor) -> Tensor:
        return 2 * value


def test_in_several_processes_losses_are_recorded_and_no_instrument_looks(world: World) -> None:
    _, recorder = watched(world, everything(), backend=Several())
    rows = recorder.record()
    assert set(rows.measurements["name"]) == {"loss_train", "loss_validation", "lr"}
    assert rows.landscape.empty
