"""Pre-training: its losses are what the papers say, it reads no label and nothing later, and it can help."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mnpu.config.models import ContrastiveConfig, MaskedConfig
from mnpu.errors import ConfigError, MnpuError
from mnpu.nn.gru import GRU
from mnpu.nn.linear import Linear
from mnpu.nn.omni import Omni
from mnpu.nn.patch_transformer import PatchTransformer
from mnpu.training import Fitted
from mnpu.training.pretraining.columns import Columns
from mnpu.training.pretraining.contrastive import Contrastive, info_nce, not_apart
from mnpu.training.pretraining.masked import Masked, hidden_patches
from mnpu.types import WindowBatch
from tests.core.training_world import FOLD, World, fit, make_world, settings

MASKED = MaskedConfig(use="masked", epochs=2)
CONTRASTIVE = ContrastiveConfig(use="contrastive", epochs=2)
BOTH = pytest.mark.parametrize("objective", [MASKED, CONTRASTIVE], ids=["masked", "contrastive"])


@pytest.fixture
def world(rng: np.random.Generator) -> World:
    return make_world(rng)


def short(**changed: Any) -> Any:
    return settings(**{"epochs": 1, "max_steps_per_epoch": 6, **changed})


def weights(fitted: Fitted) -> dict[str, Tensor]:
    return fitted.network.state_dict()


def same(a: Fitted, b: Fitted) -> bool:
    return all(torch.equal(weights(a)[name], weights(b)[name]) for name in weights(a))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(x: Tensor) -> WindowBatch:
    return WindowBatch(x, None, 100 * torch.arange(len(x)), torch.zeros(len(x), dtype=torch.long))


def test_whole_patches_are_hidden_in_every_column_alike_and_apart() -> None:
    hidden = hidden_patches((50, 22, 3), 4, 0.4, generator())  # 22 bars: patches of 2, 4, 4, 4, 4, 4 bars
    by_patch = [hidden[:, :2], *hidden[:, 2:].split(4, dim=1)]
    for patch in by_patch:
        assert (patch.all(1) | ~patch.any(1)).all()
    counts = torch.stack([patch[:, 0] for patch in by_patch]).sum(0)  # (B, F)
    assert counts.unique().tolist() == [2]  # of 6 patches, 2.4 rounded
    assert not torch.equal(hidden[..., 0], hidden[..., 1])
    assert hidden_patches((9, 8, 1), 4, 0.01, generator()).sum(1).unique().tolist() == [4]  # one at least
    assert hidden_patches((9, 8, 1), 4, 0.99, generator()).sum(1).unique().tolist() == [4]  # and never all


class Echo(nn.Module):
    """Says what it sees."""

    d_out, causal, streams = 3, True, False

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_the_masked_loss_is_the_mean_square_of_what_is_hidden_and_known() -> None:
    """A network that repeats its input says zero where something is hidden, so it errs by the value itself."""
    x = torch.randn(6, 12, 3, generator=generator(1))
    x[..., 2] = (x[..., 1] > -0.5).float()  # a mask column: the second feature has gaps
    x[..., 1] *= x[..., 2]
    objective = Masked(Echo(), Columns(np.array([False, True])), lookback=12, share=0.5, patch_length=3)
    with torch.no_grad():
        objective.read.weight.copy_(torch.eye(3)[:2])
        objective.read.bias.zero_()
    hidden = hidden_patches((6, 12, 2), 3, 0.5, generator(5))
    errors = [
        float(x[b, t, f]) ** 2
        for b in range(6)
        for t in range(12)
        for f in range(2)
        if hidden[b, t, f] and (f == 0 or x[b, t, 2] == 1)
    ]
    assert float(objective.loss(batch(x), generator(5)).detach()) == pytest.approx(np.mean(errors), rel=1e-6)


def test_what_is_hidden_does_not_reach_the_network_not_even_by_its_mask() -> None:
    columns = Columns(np.array([False, True, False]))
    x = torch.ones(2, 4, 4)
    hidden = torch.zeros(2, 4, 3, dtype=torch.bool)
    hidden[0, 1, 1] = hidden[1, 3, 0] = True
    seen = columns.without(x, hidden)
    assert seen[0, 1].tolist() == [1, 0, 1, 0]
    assert seen[1, 3].tolist() == [0, 1, 1, 1]
    assert float(seen.sum()) == 2 * 4 * 4 - 3


def test_info_nce_equals_its_definition_in_loops(rng: np.random.Generator) -> None:
    n, tau = 5, 0.3
    z = rng.standard_normal((2 * n, 4))
    left_out = np.zeros((n, n), dtype=bool)
    left_out[0, 3] = left_out[3, 0] = True
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    terms = []
    for i in range(2 * n):
        j = (i + n) % (2 * n)
        others = [k for k in range(2 * n) if k != i and not left_out[i % n, k % n]]
        terms.append(-unit[i] @ unit[j] / tau + math.log(sum(math.exp(unit[i] @ unit[k] / tau) for k in others)))
    found = info_nce(torch.from_numpy(z), torch.from_numpy(left_out), temperature=tau)
    assert float(found) == pytest.approx(np.mean(terms), rel=1e-12)


def test_equal_projections_lose_the_logarithm_of_the_comparisons() -> None:
    """All alike: the partner is one of 2B - 1 equal views."""
    alike = torch.ones(8, 3)
    loss = info_nce(alike, torch.zeros(4, 4, dtype=torch.bool), temperature=0.5)
    assert float(loss) == pytest.approx(math.log(7), rel=1e-6)


def test_windows_that_share_a_bar_are_not_compared() -> None:
    time, symbol = torch.tensor([10, 14, 15, 14, 10]), torch.tensor([0, 0, 0, 1, 1])
    pairs = not_apart(time, symbol, lookback=5).nonzero().tolist()
    assert pairs == [[0, 1], [1, 0], [1, 2], [2, 1], [3, 4], [4, 3]]  # 10 and 15 share no bar of five


def test_a_view_is_the_window_where_nothing_distorts_it() -> None:
    x = torch.randn(4, 6, 3, generator=generator(1))
    x[..., 2] = 1.0
    x[1, 2, 1:] = 0.0  # a gap
    columns = Columns(np.array([False, True]))
    still = Contrastive(Linear(3, 6), columns, temperature=0.2, jitter=0.0, scaling=0.0, hidden=0.0)
    assert torch.equal(still.view(x, generator()), x)
    noisy = Contrastive(Linear(3, 6), columns, temperature=0.2, jitter=0.3, scaling=0.2, hidden=0.0)
    view = noisy.view(x.repeat(5000, 1, 1), generator())
    assert view[1::4, 2, 1:].abs().max() == 0  # what was missing stays missing
    of_ones = noisy.view(torch.ones(20_000, 6, 3), generator())[..., 0]
    known = math.exp(2 * 0.2**2) - math.exp(0.2**2) + 0.3**2  # variance of a log-normal factor, and the noise
    assert float(of_ones.var()) == pytest.approx(known, rel=0.03)


@BOTH
@pytest.mark.parametrize("backbone", [Linear, GRU, Omni, PatchTransformer])
def test_the_loss_falls_and_is_kept_with_the_fit(objective: Any, backbone: type, rng: np.random.Generator) -> None:
    """Columns that hold one another's values can be filled in."""
    world = make_world(rng)
    values = np.repeat(world.frame.values[..., :1], 4, axis=-1)
    alike = World(replace(world.frame, values=values), world.labels)
    train = short(pretrain=objective.model_copy(update={"epochs": 4, "lr": 3e-3}), max_steps_per_epoch=None)
    losses = fit(alike, backbone=backbone, train=train).pretraining
    assert len(losses) == 4
    assert losses[-1] < 0.95 * losses[0]


@BOTH
def test_it_is_deterministic_changes_the_weights_and_leaves_a_plain_fit_alone(objective: Any, world: World) -> None:
    plain = fit(world, train=short())
    first, second = (fit(world, train=short(pretrain=objective)) for _ in range(2))
    assert same(first, second)
    assert not same(first, plain)
    assert same(fit(world, train=short(pretrain=None)), plain)
    assert plain.pretraining == ()


@BOTH
def test_the_training_after_it_draws_the_same_random_numbers(objective: Any, world: World) -> None:
    """At rates of almost zero, pre-training and training both leave everything where it was: also dropout's draws."""
    still = objective.model_copy(update={"lr": 1e-30, "weight_decay": 0.0})
    backbone = PatchTransformer
    before = fit(world, backbone=_dropping(backbone), train=short(lr=1e-3))
    after = fit(world, backbone=_dropping(backbone), train=short(lr=1e-3, pretrain=still))
    for name, tensor in weights(before).items():
        torch.testing.assert_close(weights(after)[name], tensor, rtol=0, atol=1e-7)


def _dropping(backbone: type) -> Any:
    return lambda **sizes: backbone(**sizes, dropout=0.3)


@BOTH
def test_no_label_and_no_later_row_is_seen(objective: Any, world: World) -> None:
    """Training at a rate of almost zero shows what pre-training left behind."""
    train = short(lr=1e-30, weight_decay=0.0, pretrain=objective)
    before = fit(world, train=train)
    values, labels = world.frame.values.copy(), world.labels.values.copy()
    values[FOLD.train[1] :] *= -7
    labels *= -3
    changed = World(replace(world.frame, values=values), replace(world.labels, values=labels))
    after = fit(changed, train=train)
    for name, tensor in weights(before).items():
        if name.startswith("backbone."):
            assert torch.equal(weights(after)[name], tensor)
    assert after.pretraining == before.pretraining


def test_a_pretrained_backbone_needs_fewer_labels(rng: np.random.Generator) -> None:
    """Columns are noisy copies of two hidden factors; the label is one of them, and one training bar in 40 has one."""
    world = make_world(rng)
    n_times, n_assets, n_columns = 900, 6, 24
    factor = rng.standard_normal((n_times, n_assets, 2))
    mix = rng.standard_normal((2, n_columns))
    values = (factor @ mix + 1.5 * rng.standard_normal((n_times, n_assets, n_columns))).astype(np.float32)
    labels = 0.01 * (factor[..., :1] + 0.5 * rng.standard_normal((n_times, n_assets, 1)))
    known = np.arange(n_times) % 40 == 0
    labels[: FOLD.train[1]][~known[: FOLD.train[1]]] = np.nan
    names = tuple(f"noise.f{i}" for i in range(n_columns))
    frame = replace(world.frame, values=values, names=names)
    sparse = World(frame, replace(world.labels, values=labels))
    plain = settings(epochs=40, patience=40, lr=5e-3)
    pretrained = settings(**{**vars(plain), "pretrain": MaskedConfig(use="masked", epochs=6, lr=1e-2)})
    best = [min(epoch.validation for epoch in fit(sparse, backbone=Omni, train=t).history) for t in (plain, pretrained)]
    assert best[1] < 0.95 * best[0]


class Balanced(Linear):
    """A backbone with a loss of its own."""

    def summary_and_loss(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.summary(x), 1000 * self.map.weight.square().sum()


@BOTH
def test_a_backbones_own_loss_counts_here_too(objective: Any, world: World) -> None:
    train = short(lr=1e-30, pretrain=objective.model_copy(update={"epochs": 4, "lr": 1e-2}), max_steps_per_epoch=None)
    sizes = [
        float(weights(fit(world, backbone=backbone, train=train))["backbone.map.weight"].square().sum())
        for backbone in (Linear, Balanced)
    ]
    assert sizes[1] < 0.1 * sizes[0]


def test_impossible_settings_are_refused_by_name(world: World) -> None:
    with pytest.raises(ConfigError, match=r"train\.pretrain\.patch_length is 8, expected less than model\.lookback, 8"):
        fit(world, train=short(pretrain=MaskedConfig(use="masked", patch_length=8)))
    with pytest.raises(ConfigError, match=r"train\.batch_size is 1, .* expected two windows in a step"):
        fit(world, train=short(batch_size=1, pretrain=CONTRASTIVE))


def test_a_loss_that_is_not_a_number_names_the_rate(world: World) -> None:
    wild = MaskedConfig(use="masked", epochs=3, lr=1e30)
    with pytest.raises(MnpuError, match=r"the loss of pre-training is (nan|inf) in epoch .*Lower train\.pretrain\.lr"):
        fit(world, train=short(pretrain=wild, max_steps_per_epoch=None))
