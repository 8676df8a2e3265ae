"""Several processes train what one would have trained: the same batches, gradients averaged, watched in the first."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from mnpu.config.models import RuntimeConfig, TrainConfig
from mnpu.errors import ConfigError, MnpuError
from mnpu.nn.omni import Omni
from mnpu.plugins.registry import Registry
from mnpu.training import Callback, Fitted, Layout
from mnpu.training.batches import OrderedBatches, ShuffledBatches, gather
from mnpu.training.instruments.recorder import Recorder
from mnpu.training.loggers import Csv, LoggedFit, logging_to
from mnpu.training.loop import Loop
from tests.core.training_world import World, fit, make_world, settings

#: Two epochs of six steps, each of two batches; every setting that a process could get wrong alone.
TRAIN = settings(
    epochs=4, max_steps_per_epoch=6, batch_size=64, accumulate=2, schedule="cosine", warmup_steps=3, ema=0.8, clip=0.1
)


class Asking(Callback):
    """Lowers the rate after the first epoch and stops after the second."""

    name = "asking"

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_epoch(self, loop: Loop) -> None:
        self.rates.append(loop.lr)
        if len(self.rates) == 1:
            loop.lower_lr(0.25)
        else:
            loop.stop("it is enough")

    def state(self) -> Mapping[str, Any]:
        return {"rates": self.rates}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.rates = list(state["rates"])


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(np.random.default_rng(0))


@pytest.fixture(scope="module")
def alone(world: World) -> tuple[Fitted, list[float]]:
    asking = Asking()
    return fit(world, backbone=Omni, train=TRAIN, callbacks=[asking]), asking.rates


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_train_what_one_does(strategy: Any, world: World, alone: tuple[Fitted, list[float]]) -> None:
    """Equal but for the order of sums; also in the rate that a callback lowers, and in the end that it asks for."""
    asking = Asking()
    both = fit(world, backbone=Omni, train=TRAIN, callbacks=[asking], layout=Layout(2, strategy))
    one, rates = alone
    assert asking.rates == pytest.approx(rates)
    assert len(both.history) == len(one.history) == 2
    there = both.network.state_dict()
    for name, tensor in one.network.state_dict().items():
        torch.testing.assert_close(there[name], tensor, rtol=1e-4, atol=1e-6)
    for mine, own in zip(both.history, one.history, strict=True):
        assert mine.train == pytest.approx(own.train, rel=1e-5)
        assert mine.validation == pytest.approx(own.validation, rel=1e-5)


def test_an_epoch_that_is_not_the_best_leaves_every_process_its_part() -> None:
    """There is nothing to learn but noise: the second epoch is validated, and its weights are not kept."""
    noise = make_world(np.random.default_rng(1), signal=0.0)
    train = settings(epochs=2, max_steps_per_epoch=30, batch_size=64, ema=0.8, lr=0.05)
    one, both = (fit(noise, train=train, layout=Layout(*layout)) for layout in ((1,), (2, "fsdp")))
    assert one.best is one.history[0]
    assert [e.validation for e in both.history] == pytest.approx([e.validation for e in one.history], rel=1e-3)


def test_an_error_in_a_process_is_the_fits_own(world: World) -> None:
    wild = settings(epochs=2, lr=1e30, clip=None, max_steps_per_epoch=4)
    with pytest.raises(MnpuError, match=r"the \w+ loss is .* in epoch \d.*Lower train\.lr") as caught:
        fit(world, train=wild, layout=Layout(2, "ddp"))
    assert caught.value.where == "fold 4"


def test_the_parts_of_a_batch_are_the_batch(rng: np.random.Generator) -> None:
    windows = gather(
        rng.standard_normal((50, 2, 3)).astype("float32"), np.arange(10, 40), np.zeros(30, int), lookback=3
    )
    whole = [batch.time.tolist() for batch in ShuffledBatches(windows, 8, max_steps=None, seed=1).of_epoch(2)]
    batches = ShuffledBatches(windows, 8, max_steps=None, seed=1)
    parts = [[b.time.tolist() for b in batches.part(rank, 2, "cpu").of_epoch(2)] for rank in range(2)]
    assert [[len(batch) for batch in part] for part in parts] == [[4, 4, 4], [4, 4, 4]]
    assert [sorted(a + b) for a, b in zip(*parts, strict=True)] == [sorted(batch) for batch in whole]
    ordered = [OrderedBatches(windows, 7).part(rank, 4, "cpu") for rank in range(4)]
    assert sorted(t for part in ordered for b in part for t in b.time.tolist()) == list(range(10, 40))
    assert {part.n_windows for part in ordered} == {30}
    assert [len(part) for part in ordered] == [len(list(part)) for part in ordered]


def test_windows_on_another_device_are_the_same_windows(rng: np.random.Generator) -> None:
    """The meta device holds no numbers, but shapes and strides: every bar is there once."""
    windows = gather(
        rng.standard_normal((50, 2, 3)).astype("float32"), np.arange(10, 40), np.zeros(30, int), lookback=4
    )
    moved = windows.to("meta")
    assert moved.rows.stride() == windows.rows.stride()
    assert moved.rows.shape == windows.rows.shape
    assert moved.rows.untyped_storage().nbytes() == 50 * 2 * 3 * 4
    assert windows.to("cpu") is windows


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_size": 127}, r"train\.batch_size is 127 .*expected a multiple of runtime\.devices, 2"),
        ({"batch_size": 4000}, r"train\.batch_size is 4000 with 3558 training windows"),
    ],
)
def test_a_batch_that_cannot_be_parted_is_refused(world: World, changed: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit(world, train=settings(**changed), layout=Layout(2, "ddp"))


def test_what_watches_a_run_can_be_sent_to_a_process(tmp_path: Path) -> None:
    """Every instrument and the loggers that need no package of their own, as a recipe builds them."""
    registry = Registry.discover()
    instruments = {c.name: registry.build("instrument", c.canonical, {}) for c in registry.components("instrument")}
    assert len(instruments) >= 5
    recorder = Recorder(instruments, alerts=TrainConfig().alerts, strategy="linear")
    sent = pickle.loads(pickle.dumps(recorder))
    assert sent.state() == recorder.state()
    fit = LoggedFit("run", "linear", 0, tmp_path, {})
    for logging in logging_to({"csv": Csv()}, fit):
        assert type(pickle.loads(pickle.dumps(logging))) is type(logging)


def test_what_has_no_name_cannot_be_sent(world: World) -> None:
    class Local(Omni):
        pass

    with pytest.raises(MnpuError, match=r"cannot be sent to another process .* runtime\.devices: 1"):
        fit(world, backbone=Local, train=settings(), layout=Layout(2, "ddp"))


def test_a_strategy_needs_devices_to_share_among() -> None:
    with pytest.raises(ValidationError, match="strategy: auto, or devices: 2 or more"):
        RuntimeConfig(strategy="fsdp")
    assert RuntimeConfig(strategy="fsdp", devices=2).devices == 2
