"""Checkpoints: a fit that was stopped anywhere goes on with the same bits; what is damaged is never trusted."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mnpu.errors import DataError
from mnpu.nn.linear import Linear
from mnpu.nn.quantile import Quantile
from mnpu.training import Callback, Checkpoints, Fitted, fit_or_resume, load
from mnpu.training.checkpoints import Every
from mnpu.training.loop import Loop
from tests.core.training_world import World, fit, make_world, settings

STEPS, EPOCHS = 7, 4


class Stopped(Exception):
    """Stands for the end of the process."""


class StopAt(Callback):
    """Ends the fit after a step; it draws from every global generator, which a network may do too."""

    name = "stop"

    def __init__(self, step: int | None = None) -> None:
        self.step, self.seen = step, [0.0]

    def on_step(self, loop: Loop) -> None:
        if loop.step == self.step:
            raise Stopped
        self.seen.append(self.seen[-1] + float(torch.rand(())) + random.random() + np.random.random())

    def state(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def load_state(self, state: Any) -> None:
        self.seen = list(state["seen"])


class Noisy(Quantile):
    """Takes random numbers in its loss, as dropout does."""

    def loss(self, h: Tensor, y: Tensor) -> Tensor:
        return super().loss(h * (1 + 0.1 * torch.randn_like(h)) if self.training else h, y)


@pytest.fixture
def world(rng: np.random.Generator) -> World:
    return make_world(rng)


def train(world: World, stop: StopAt, checkpoints: Checkpoints | None, **changed: Any) -> Fitted:
    usual = {"epochs": EPOCHS, "max_steps_per_epoch": STEPS, "ema": 0.8, "schedule": "cosine", "warmup_steps": 3}
    return fit(
        world,
        head=Noisy,
        backbone=Linear,
        train=settings(**{**usual, **changed}),
        callbacks=[stop],
        checkpoints=checkpoints,
    )


def same(a: Fitted, b: Fitted) -> bool:
    mine, other = a.network.state_dict(), b.network.state_dict()
    return a.history == b.history and all(torch.equal(mine[name], other[name]) for name in mine)


@pytest.mark.parametrize("every", ["1 epoch", "3 steps"])
def test_a_stopped_fit_goes_on_with_the_same_bits(world: World, tmp_path: Path, every: str) -> None:
    whole = train(world, uninterrupted := StopAt(), None)
    for at in (1, STEPS, STEPS + 1, 17, EPOCHS * STEPS):
        folder, watcher = tmp_path / str(at), StopAt()
        with pytest.raises(Stopped):
            train(world, StopAt(at), Checkpoints(folder, Every.parse(every)))
        assert same(train(world, watcher, Checkpoints(folder, Every.parse(every))), whole)
        assert watcher.seen == uninterrupted.seen


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "lion"])
def test_every_optimizer_is_taken_up(world: World, tmp_path: Path, optimizer: str) -> None:
    changed = {"optimizer": optimizer, "lr": 1e-3, "accumulate": 2, "max_steps_per_epoch": 4, "ema": None}
    whole = train(world, StopAt(), None, **changed)
    with pytest.raises(Stopped):
        train(world, StopAt(10), Checkpoints(tmp_path, Every(3, "step")), **changed)
    assert same(train(world, StopAt(), Checkpoints(tmp_path, Every(3, "step")), **changed), whole)


def test_a_fit_that_had_ended_is_not_trained_again(world: World, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, Every(1, "epoch"))
    whole = train(world, StopAt(), checkpoints)
    again = StopAt(1 + EPOCHS * STEPS)
    assert same(train(world, again, checkpoints), whole)
    assert len(again.seen) == 1 + EPOCHS * STEPS


def test_two_checkpoints_are_kept(world: World, tmp_path: Path) -> None:
    train(world, StopAt(), Checkpoints(tmp_path, Every(5, "step")))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"step-{n:08d}.{kind}" for n in (20, 25) for kind in ("json", "safetensors")]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def test_a_damaged_checkpoint_is_left_for_the_one_before(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Stopped):
        train(world, StopAt(13), Checkpoints(tmp_path / "written", Every(4, "step")))
    for kind in ("json", "safetensors"):
        for damage in (_cut, _flip, _empty, Path.unlink):
            folder = tmp_path / f"{kind}{damage.__name__}"
            shutil.copytree(tmp_path / "written", folder)
            damage(folder / f"step-00000012.{kind}")
            caplog.clear()
            found = Checkpoints(folder, Every(4, "step")).newest()
            assert found is not None
            assert found.state["step"] == 8
            assert ("is damaged" in caplog.text) is (kind == "safetensors" or damage is not Path.unlink)
    resumed = train(world, StopAt(), Checkpoints(folder, Every(4, "step")))
    assert same(resumed, train(world, StopAt(), None))


def test_where_all_are_damaged_the_fit_begins_anew(world: World, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        train(world, StopAt(13), Checkpoints(tmp_path, Every(4, "step")))
    for path in tmp_path.glob("*.safetensors"):
        _flip(path)
    assert same(train(world, StopAt(), Checkpoints(tmp_path, Every(4, "step"))), train(world, StopAt(), None))


def test_a_checkpoint_of_another_fit_is_refused(world: World, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, Every(1, "epoch"))
    fit(world, train=settings(epochs=1), checkpoints=checkpoints)
    with pytest.raises(DataError, match="that of another fit, expected that of fold 4 with this recipe's data, seed"):
        fit(world, train=settings(epochs=1), checkpoints=checkpoints, seed=8)


def test_a_warm_up_is_not_repeated_after_a_resumption(world: World, tmp_path: Path) -> None:
    calls: list[object] = []
    checkpoints = Checkpoints(tmp_path, Every(1, "epoch"))
    for _ in range(2):
        fit(world, train=settings(epochs=1), checkpoints=checkpoints, warm_up=calls.append)
    assert len(calls) == 1


@pytest.mark.parametrize("damage", ["none", "flip", "empty", "missing", "list"])
def test_readings_of_a_finished_fit_are_taken_whole_or_not_at_all(world: World, tmp_path: Path, damage: str) -> None:
    made = []

    def once(stop: StopAt) -> Fitted:
        def new(checkpoints: Checkpoints | None) -> Fitted:
            made.append(stop)
            return train(world, stop, checkpoints)

        def read(folder: Path) -> Fitted:
            return load(folder, Linear, Noisy)

        return fit_or_resume(tmp_path, new, read, every="1 epoch", callbacks=[stop])

    first, second = StopAt(), StopAt()
    fitted = once(first)
    [watched] = tmp_path.rglob("watched.json")
    content = watched.read_text()
    if damage == "missing":
        watched.unlink()
    elif damage == "flip":  # one digit of one reading: still JSON, and another number
        place = content.rindex(next(digit for digit in "123456789" if digit in content))
        watched.write_text(f"{content[:place]}{int(content[place]) - 1}{content[place + 1 :]}")
    else:
        watched.write_text({"none": content, "empty": "", "list": "[]"}[damage])
    again = once(second)
    assert len(made) == (1 if damage == "none" else 2)
    assert same(again, fitted)
    assert second.seen == first.seen
