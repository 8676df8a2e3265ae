"""Settings of training: each optimizer, schedule and average does what its paper's arithmetic says, by hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mnpu.config.load import load_text
from mnpu.config.models import ContrastiveConfig
from mnpu.errors import MnpuError
from mnpu.execute import execute
from mnpu.nn.linear import Linear
from mnpu.nn.quantile import Quantile
from mnpu.plugins.registry import Registry
from mnpu.progress import Silent
from mnpu.training import Callback, forecast
from mnpu.training.averages import Average
from mnpu.training.loop import Loop
from mnpu.training.optimizers import make_optimizer
from mnpu.training.schedules import factor
from tests.core.training_world import FOLD, World, fit, make_world, settings


@pytest.fixture
def world(rng: np.random.Generator) -> World:
    return make_world(rng)


def moved(name: str, gradients: np.ndarray, *, lr: float, decay: float, momentum: float | None = None) -> np.ndarray:
    """Where an optimizer brings a matrix of ones by these gradients, one a step."""
    module = nn.Linear(gradients.shape[1], 1, bias=False)
    nn.init.ones_(module.weight)
    chosen = SimpleNamespace(optimizer=name, lr=lr, weight_decay=decay, momentum=momentum)
    optimizer = make_optimizer(module, chosen)
    for gradient in gradients:
        module.weight.grad = torch.tensor(gradient[None], dtype=torch.float32)
        optimizer.step()
    return module.weight.detach().numpy()[0]


def test_lion_moves_by_the_sign_of_its_momentum(rng: np.random.Generator) -> None:
    gradients = rng.standard_normal((20, 5))
    weight, momentum = np.ones(5), np.zeros(5)
    for gradient in gradients:  # Chen et al. 2023, algorithm 2
        direction = np.sign(0.9 * momentum + 0.1 * gradient)
        weight = weight - 0.01 * (direction + 0.3 * weight)
        momentum = 0.99 * momentum + 0.01 * gradient
    np.testing.assert_allclose(moved("lion", gradients, lr=0.01, decay=0.3), weight, rtol=1e-5)


@pytest.mark.parametrize("decoupled", [True, False])
def test_adam_and_adamw_differ_in_where_the_decay_goes(rng: np.random.Generator, decoupled: bool) -> None:
    gradients = rng.standard_normal((20, 5))
    weight, first, second = np.ones(5), np.zeros(5), np.zeros(5)
    for n, raw in enumerate(gradients, start=1):
        gradient = raw if decoupled else raw + 0.3 * weight
        weight = weight * (1 - 0.01 * 0.3) if decoupled else weight
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        weight = weight - 0.01 * (first / (1 - 0.9**n)) / (np.sqrt(second / (1 - 0.999**n)) + 1e-8)
    name = "adamw" if decoupled else "adam"
    np.testing.assert_allclose(moved(name, gradients, lr=0.01, decay=0.3), weight, rtol=1e-4)


@pytest.mark.parametrize(("momentum", "used"), [(None, 0.9), (0.5, 0.5)])
def test_sgd_has_a_momentum(rng: np.random.Generator, momentum: float | None, used: float) -> None:
    gradients = rng.standard_normal((20, 5))
    weight, speed = np.ones(5), np.zeros(5)
    for n, gradient in enumerate(gradients):
        pull = gradient + 0.3 * weight
        speed = pull if n == 0 else used * speed + pull
        weight = weight - 0.01 * speed
    np.testing.assert_allclose(moved("sgd", gradients, lr=0.01, decay=0.3, momentum=momentum), weight, rtol=1e-4)


def _torch_factors(make: object, total: int) -> list[float]:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule = make(optimizer)  # type: ignore[operator]
    factors = []
    for _ in range(total):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return factors


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("cosine", lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=40)),
        ("linear", lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.0, total_iters=40)),
        ("constant", lambda o: torch.optim.lr_scheduler.ConstantLR(o, 1.0)),
    ],
)
def test_schedules_are_those_of_torch(name: str, make: object) -> None:
    ours = [factor(name, step, total=40) for step in range(40)]
    assert ours == pytest.approx(_torch_factors(make, 40), abs=1e-6)


def test_one_cycle_is_that_of_torch_down_to_nothing() -> None:
    def make(optimizer: torch.optim.Optimizer) -> object:
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 1.0, total_steps=102, pct_start=31 / 102, cycle_momentum=False, final_div_factor=1e12
        )

    ours = [factor("one_cycle", step, total=101, warmup=30) for step in range(101)]  # theirs has its last step at zero
    assert ours == pytest.approx(_torch_factors(make, 101), abs=1e-6)
    assert max(range(100), key=lambda step: factor("one_cycle", step, total=100)) == 30


def test_the_rate_rises_over_the_warm_up_and_then_follows_the_schedule() -> None:
    rising = [factor("cosine", step, total=50, warmup=4) for step in range(4)]
    assert rising == [0.25, 0.5, 0.75, 1.0]
    falling = [factor("cosine", step, total=50, warmup=4) for step in range(4, 50)]
    assert falling == [factor("cosine", step, total=46) for step in range(46)]


def test_the_loop_steps_at_the_scheduled_rate_lowered_by_callbacks(world: World) -> None:
    class Halving(Callback):
        def on_step(self, loop: Loop) -> None:
            rates.append(loop.lr)

        def on_epoch(self, loop: Loop) -> None:
            loop.lower_lr(0.5)

    rates: list[float] = []
    chosen = settings(epochs=2, lr=0.01, max_steps_per_epoch=5, schedule="linear", warmup_steps=2)
    fit(world, train=chosen, callbacks=[Halving()])
    expected = [0.01 * factor("linear", step, total=10, warmup=2) for step in range(10)]
    assert rates == pytest.approx(expected[:5] + [0.5 * rate for rate in expected[5:]])


def test_an_average_of_weights_is_what_its_formula_says(rng: np.random.Generator) -> None:
    module = nn.Linear(3, 1, bias=False)
    average = Average(module, 0.8)
    expected = module.weight.detach().numpy().copy()
    for n in range(1, 30):
        newest = rng.standard_normal((1, 3)).astype(np.float32)
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(newest))
        average.update()
        decay = min(0.8, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * newest
    with average.applied():
        np.testing.assert_allclose(module.weight.detach().numpy(), expected, rtol=1e-5)
    np.testing.assert_array_equal(module.weight.detach().numpy(), newest)


def test_the_averaged_weights_are_validated_and_kept(world: World) -> None:
    class Following(Callback):
        def on_fit_start(self, loop: Loop) -> None:
            self.kept = {name: p.detach().clone() for name, p in loop.network.named_parameters()}

        def on_step(self, loop: Loop) -> None:
            decay = min(0.9, (1 + loop.step) / (10 + loop.step))
            for name, p in loop.network.named_parameters():
                self.kept[name] = decay * self.kept[name] + (1 - decay) * p.detach()

    following = Following()
    fitted = fit(world, train=settings(epochs=1, ema=0.9), callbacks=[following])
    for name, tensor in fitted.network.named_parameters():
        torch.testing.assert_close(tensor, following.kept[name], rtol=1e-4, atol=1e-6)


def test_accumulated_batches_are_one_large_batch(world: World) -> None:
    usual = {"epochs": 2, "max_steps_per_epoch": 5, "lr": 0.01, "optimizer": "sgd"}
    whole = fit(world, train=settings(batch_size=256, **usual))
    parts = fit(world, train=settings(batch_size=64, accumulate=4, **usual))
    assert [e.train for e in parts.history] == pytest.approx([e.train for e in whole.history], rel=1e-4)
    for name, tensor in whole.network.state_dict().items():
        torch.testing.assert_close(parts.network.state_dict()[name], tensor, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("clip", [0.01, None])
def test_the_gradient_is_clipped_or_not(world: World, clip: float | None) -> None:
    class Measuring(Callback):
        def on_step(self, loop: Loop) -> None:
            left = torch.stack([p.grad.norm() for p in loop.network.parameters() if p.grad is not None]).norm()
            norms.append((float(loop.gradient_norm), float(left)))

    norms: list[tuple[float, float]] = []
    fit(world, train=settings(epochs=1, max_steps_per_epoch=3, clip=clip), callbacks=[Measuring()])
    assert len(norms) == 3
    for before, after in norms:
        assert before > 0.01
        assert after == pytest.approx(before if clip is None else clip, rel=1e-3)


def test_a_loss_must_be_smaller_by_min_delta_to_count_and_the_best_weights_are_kept_all_the_same(world: World) -> None:
    history = fit(world, train=settings(epochs=6, patience=2, min_delta=100.0)).history
    assert len(history) == 3  # the first counts, two more were waited for
    patient = fit(world, train=settings(epochs=6, patience=2, min_delta=0.0)).history
    assert len(patient) > 3


def test_too_little_memory_names_the_settings(world: World) -> None:
    class Huge(Quantile):
        def loss(self, h: Tensor, y: Tensor) -> Tensor:
            return super().loss(h, y) + torch.empty(2**50).sum()

    with pytest.raises(MnpuError, match=r"fold 4: out of memory in step 1 .*train.batch_size 128.*train.accumulate"):
        fit(world, head=Huge)


RECIPE = """
name: half
data: {store: "sqlite:///nowhere.db", symbols: [A, B], start: 2005-01-01, end: 2018-12-31}
features: [{use: price.log_return}]
split: {use: walk_forward, train: 5y, validation: 6mo, test: 1y}
model: {lookback: 8, MODEL}
train: {precision: 16}
policy: {use: signed_quantile}
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("backbone: {use: linear}", r"half\.yaml:7:20: train\.precision is 16 on a cpu, expected 32 or bf16"),
        ("forecaster: {use: ridge}", r"nowhere\.db"),  # what nothing is trained in does not matter
    ],
)
def test_half_precision_without_a_gpu_is_refused_before_any_data_is_read(
    model: str, message: str, tmp_path: Path
) -> None:
    loaded = load_text(RECIPE.replace("MODEL", model), name="half.yaml")
    with pytest.raises(MnpuError, match=message):
        execute(loaded, Registry.discover(), runs=tmp_path, progress=Silent())


def test_too_little_memory_before_and_after_training_names_the_settings_too(world: World) -> None:
    class Large(Linear):
        large = False

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + (torch.empty(2**50).sum() if Large.large else 0.0)

        def summary(self, x: Tensor) -> Tensor:
            return self.forward(x)[:, -1]

    fitted = fit(world, backbone=Large, train=settings(epochs=1))
    Large.large = True
    with pytest.raises(MnpuError, match=r"fold 4: out of memory in a forecast \(512 windows x model.lookback"):
        forecast(fitted, world.frame, rows=FOLD.test)
    pretrain = ContrastiveConfig(use="contrastive", epochs=1)
    with pytest.raises(MnpuError, match=r"fold 4: out of memory in pre-training \(train.batch_size 128 x model.look"):
        fit(world, backbone=Large, train=settings(epochs=1, pretrain=pretrain))
