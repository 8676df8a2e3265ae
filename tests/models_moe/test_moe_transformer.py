"""The transformer is the one that its docstring describes, learns, and says when its experts collapse."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnpu.config.alerts import AlertsConfig
from mnpu.errors import ConfigError
from mnpu.testing.models import backbone_laws
from mnpu.training import Recorder
from mnpu_models_moe.moe_transformer import MoeTransformer, _angles
from tests.core.training_world import FOLD, fit, make_world, rank_ic, settings


def make(**changed: object) -> MoeTransformer:
    torch.manual_seed(0)
    usual = {"d_model": 8, "depth": 2, "n_heads": 2, "n_experts": 4}
    return MoeTransformer(3, 12, **{**usual, **changed}).eval()


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"causal": False},
        {"top_k": 1},
        {"depth": 1, "n_experts": 2},
        {"capacity_factor": 1.0, "jitter": 0.1},
    ],
    ids=str,
)
def test_it_keeps_every_law(changed: dict) -> None:
    assert [outcome for outcome in backbone_laws(partial(MoeTransformer, **changed)) if not outcome.passed] == []


def by_hand(model: MoeTransformer, x: Tensor) -> Tensor:
    """One window by loops over steps, heads and experts, positions as complex rotations, in float64."""
    n_heads, n_steps = model.blocks[0].attention.n_heads, len(x)
    h = model.embed(x)
    for block in model.blocks:
        z, width = block.norm1(h), h.shape[1] // n_heads
        mixed = torch.zeros_like(h)
        for head in range(n_heads):
            own = slice(head * width, (head + 1) * width)
            q, k, v = ((z @ part.T)[:, own] for part in block.attention.qkv.weight.chunk(3))
            scores = torch.full((n_steps, n_steps), -math.inf, dtype=torch.float64)
            for t in range(n_steps):
                for s in range(t + 1 if model.causal else n_steps):
                    turned = [_as_complex(q[t]) * _turn(width, t), _as_complex(k[s]) * _turn(width, s)]
                    scores[t, s] = (turned[0] * turned[1].conj()).sum().real / math.sqrt(width)
            mixed[:, own] = scores.softmax(-1) @ v
        h = h + block.attention.out(mixed)
        z, experts = block.norm2(h), block.mixture.experts
        for t in range(n_steps):
            logits = block.mixture.router.weight @ z[t]
            best = logits.argsort(descending=True)[: block.mixture.router.top_k]
            for gate, e in zip(logits[best].softmax(0), best.tolist(), strict=True):
                inner = F.gelu(z[t] @ experts.w1[e] + experts.b1[e])
                h = h.index_add(0, torch.tensor([t]), (gate * (inner @ experts.w2[e] + experts.b2[e]))[None])
    return model.norm(h)


def _as_complex(row: Tensor) -> Tensor:
    return torch.complex(*row.chunk(2))


def _turn(width: int, step: int) -> Tensor:
    return torch.polar(
        torch.ones(width // 2).double(), step * 10_000.0 ** (-torch.arange(0, width, 2).double() / width)
    )


@pytest.mark.parametrize("causal", [True, False])
def test_it_is_attention_with_rotary_positions_and_a_mixture_of_the_chosen_experts(causal: bool) -> None:
    model, x = make(causal=causal), torch.randn(2, 12, 3)
    computed = model(x).detach()
    model.double()
    with torch.no_grad():
        expected = torch.stack([by_hand(model, window.double()) for window in x])
    np.testing.assert_allclose(computed, expected, atol=2e-5)


def test_positions_are_exact_however_long_the_window_and_few_the_digits() -> None:
    """In 8 bits step 1,001 is step 1,000, and its angle is off by half a turn."""
    q = torch.ones(1, 1, 3000, 8, dtype=torch.bfloat16)
    steps, rates = torch.arange(3000).double(), 10_000.0 ** (-torch.arange(0, 8, 2).double() / 8)
    torch.testing.assert_close(_angles(q).double(), steps[:, None] * rates, rtol=1e-6, atol=1e-6)
    model, x = make(n_experts=1, top_k=1), torch.randn(2, 3000, 3).bfloat16()  # one expert: no choice that may tip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.bfloat16())
        full, half = model(x.float()), model.to(torch.bfloat16)(x).float()
    assert float((half - full).square().mean().sqrt() / full.std()) < 0.008  # some roundings of 0.2 %


def test_no_windows_have_losses_of_zero() -> None:
    model = make(capacity_factor=1.0, jitter=0.1).train()
    summary, loss = model.summary_and_loss(torch.randn(0, 12, 3))
    assert summary.shape == (0, 8)
    assert float(loss.detach()) == 0.0
    loss.backward()
    assert model.telemetry() == {}


def test_it_says_whether_it_is_causal() -> None:
    assert make().causal
    model, x = make(causal=False), torch.randn(1, 12, 3)
    assert not model.causal
    later = x.clone()
    later[:, -1] += 1.0
    assert (model(x)[:, 0] - model(later)[:, 0]).abs().max() > 1e-4


def test_it_takes_windows_of_any_length() -> None:
    assert make()(torch.randn(2, 50, 3)).shape == (2, 50, 8)


def test_a_forecast_never_depends_on_the_batch_even_where_training_has_a_capacity() -> None:
    model, x = make(capacity_factor=0.5), torch.randn(16, 12, 3)
    torch.testing.assert_close(model.summary(x)[:1], model.summary(x[:1]))


@pytest.mark.parametrize("mode", [True, False])
def test_the_loss_of_its_own_is_the_weighted_sum_over_the_blocks(mode: bool) -> None:
    model, x = make(balance=0.5, z=0.25).train(mode), torch.randn(16, 12, 3)
    losses = []
    for block in model.blocks:
        block.mixture.register_forward_hook(lambda module, given, result: losses.append(result[1].tolist()))
    summary, loss = model.summary_and_loss(x)
    assert len(losses) == 2
    assert float(loss.detach()) == pytest.approx(sum(0.5 * b + 0.25 * z for b, z in losses))
    torch.testing.assert_close(summary, model(x)[:, -1])


def test_telemetry_covers_training_since_it_was_last_read() -> None:
    model = make()
    model.summary(torch.randn(16, 12, 3))
    assert model.telemetry() == {}  # evaluation is not counted
    model.train().summary(torch.randn(16, 12, 3))
    seen = model.telemetry()
    for block in ("blocks.0", "blocks.1"):
        assert sum(seen[f"{block}.load.{e}"] for e in range(4)) == pytest.approx(1.0)
        assert seen[f"{block}.dropped"] == 0.0
    assert model.telemetry() == {}


def test_biases_of_experts_are_spared_from_weight_decay() -> None:
    assert make(depth=1).no_weight_decay == {"blocks.0.mixture.experts.b1", "blocks.0.mixture.experts.b2"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"d_model": 12, "n_heads": 4}, "backbone.d_model is 12, expected a multiple of twice n_heads, 8"),
        ({"top_k": 5}, "backbone.top_k is 5, expected at most n_experts, 4"),
        ({"n_experts": 0}, "backbone.n_experts is 0"),
        ({"d_hidden": 0}, "backbone.d_hidden is 0"),
        ({"capacity_factor": 0.0}, "backbone.capacity_factor is 0.0, expected a positive number"),
        ({"balance": -1.0}, "backbone.balance is -1.0, expected a number from 0"),
        ({"jitter": 1.0}, "backbone.jitter is 1.0, expected a number from 0 to 1, below 1"),
        ({"collapse_below": 2.0}, "backbone.collapse_below is 2.0, expected a number from 0 to 1"),
    ],
)
def test_impossible_settings_are_refused_by_name(changed: dict, message: str) -> None:
    build: Callable[[], nn.Module] = partial(make, **changed)
    with pytest.raises(ConfigError, match=message):
        build()


def test_it_exports_with_the_same_output() -> None:
    model, x = make(), torch.randn(4, 12, 3)
    exported = torch.export.export(model, (x,)).module()
    torch.testing.assert_close(exported(x), model(x), atol=1e-6, rtol=1e-5)


def test_it_learns_a_planted_signal(rng: np.random.Generator) -> None:
    from mnpu import training

    world = make_world(rng)
    fitted = fit(world, backbone=partial(MoeTransformer, d_model=16))
    forecast = training.forecast(fitted, world.frame, rows=FOLD.test)
    assert rank_ic(forecast.median(), world.labels.values[..., 0]) > 0.6


def test_it_trains_in_bfloat16(rng: np.random.Generator) -> None:
    train = settings(precision="bf16", epochs=1, max_steps_per_epoch=5)
    fitted = fit(make_world(rng), backbone=partial(MoeTransformer, d_model=16), train=train)
    assert np.isfinite(fitted.best.validation)


def test_a_collapse_in_training_is_recorded_and_said(
    rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    """A router that loves two experts, and nothing that pulls it back."""

    class Collapsed(MoeTransformer):
        def __init__(self, **sizes: int) -> None:
            super().__init__(**sizes, d_model=8, depth=1, n_heads=2, balance=0.0, z=0.0)
            with torch.no_grad():
                self.blocks[0].norm2.bias[:] = 1.0
                self.blocks[0].mixture.router.weight[2:] -= 100.0

    with caplog.at_level(logging.WARNING, logger="mnpu.training"):
        watching = [Recorder({}, alerts=AlertsConfig())]
        train = settings(epochs=1, max_steps_per_epoch=3)
        fitted = fit(make_world(rng), backbone=Collapsed, train=train, callbacks=watching)
    assert fitted.history[0].telemetry["blocks.0.collapsed"] == 1.0
    assert "fold 4, epoch 1: a part of the network is no longer used in blocks.0.collapsed" in caplog.text
    (alert,) = watching[0].record().alerts.itertuples()
    assert (alert.value, alert.threshold) == (fitted.history[0].telemetry["blocks.0.use"], 0.25)
