"""Callbacks: told of every moment in its order, they watch without changing a bit; what they may do is done."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mnpu.errors import MnpuError
from mnpu.training import Callback
from mnpu.training.fitting import WarmUp
from mnpu.training.loop import Loop
from tests.core.training_world import FOLD, World, fit, make_world, settings


@pytest.fixture
def world(rng: np.random.Generator) -> World:
    return make_world(rng)


class Diary(Callback):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def on_fit_start(self, loop: Loop) -> None:
        self.lines.append(f"start of {loop.total_steps} steps")

    def on_gradients(self, loop: Loop) -> None:
        norm = torch.stack([p.grad.norm() for p in loop.network.parameters() if p.grad is not None]).norm()
        self.lines.append(f"gradients {loop.step} {norm:.5f}")

    def on_step(self, loop: Loop) -> None:
        self.lines.append(f"step {loop.step} {loop.gradient_norm:.5f}")

    def on_epoch(self, loop: Loop) -> None:
        assert not loop.network.training
        self.lines.append(f"epoch {loop.epoch} of {len(loop.history)}")

    def on_fit_end(self, loop: Loop) -> None:
        self.lines.append("end")

    def on_error(self, loop: Loop, error: BaseException) -> None:
        self.lines.append(f"error {error}")


def test_every_moment_is_told_in_order_and_the_norm_is_that_before_clipping(world: World) -> None:
    diary = Diary()
    fit(world, train=settings(epochs=2, max_steps_per_epoch=2), callbacks=[diary])
    words = [" ".join(line.split()[:2]) for line in diary.lines]
    epoch = ["gradients 0", "step 1", "gradients 1", "step 2"]
    later = ["gradients 2", "step 3", "gradients 3", "step 4"]
    assert words == ["start of", *epoch, "epoch 0", *later, "epoch 1", "end"]
    norms = [line.split()[2] for line in diary.lines if line.startswith(("gradients", "step"))]
    assert norms[::2] == norms[1::2]


def test_who_only_watches_changes_no_bit(world: World) -> None:
    alone, watched = fit(world).network.state_dict(), fit(world, callbacks=[Diary()]).network.state_dict()
    assert all(torch.equal(alone[name], watched[name]) for name in alone)


def test_a_callback_can_stop_the_fit_and_lower_its_rate(world: World) -> None:
    class Careful(Callback):
        def on_epoch(self, loop: Loop) -> None:
            loop.lower_lr(0.1)
            rates.append(loop.lr)
            if loop.epoch == 1:
                loop.stop("enough")

    rates: list[float] = []
    assert len(fit(world, train=settings(lr=1e-2), callbacks=[Careful()]).history) == 2
    assert rates == pytest.approx([1e-3, 1e-4])


def test_an_error_is_told_and_goes_on(world: World) -> None:
    class Failing(Diary):
        def on_step(self, loop: Loop) -> None:
            raise MnpuError("no more")

    diary = Failing()
    with pytest.raises(MnpuError, match="no more"):
        fit(world, callbacks=[diary])
    assert diary.lines[-1] == "error no more."


def test_a_warm_up_sees_training_windows_only_and_leaves_the_random_numbers_alone(world: World) -> None:
    seen: list[WarmUp] = []

    def drawing(warm: WarmUp) -> None:
        seen.append(warm)
        torch.rand(100)
        np.random.random(100)

    first, second = fit(world), fit(world, warm_up=drawing)
    assert all(torch.equal(first.network.state_dict()[n], t) for n, t in second.network.state_dict().items())
    assert seen[0].windows.time.max() < FOLD.train[1]
    assert seen[0].fold == FOLD


def test_a_warm_up_sets_where_training_begins(world: World) -> None:
    def zero(warm: WarmUp) -> None:
        with torch.no_grad():
            for parameter in warm.network.parameters():
                parameter.zero_()

    slow = settings(epochs=1, lr=1e-12, weight_decay=0.0, max_steps_per_epoch=1)
    fitted = fit(world, train=slow, warm_up=zero)
    assert max(float(p.detach().abs().max()) for p in fitted.network.parameters()) < 1e-9
