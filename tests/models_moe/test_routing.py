"""The router chooses as its papers say, and the counts tell when it no longer does."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mnpu_models_moe.load import Load
from mnpu_models_moe.routing import Router, Routes, within_capacity


def make_router(top_k: int = 2, *, capacity_factor: float | None = None, jitter: float = 0.0) -> Router:
    torch.manual_seed(0)
    return Router(8, 5, top_k, capacity_factor=capacity_factor, jitter=jitter).eval()


def logits_of(router: Router, x: torch.Tensor) -> np.ndarray:
    return (x.double() @ router.weight.detach().double().T).numpy()


def test_gates_are_a_softmax_over_the_chosen_logits() -> None:
    router, x = make_router(), torch.randn(30, 8)
    routes = router(x)
    for logits, gates, chosen in zip(logits_of(router, x), routes.gates, routes.chosen.tolist(), strict=True):
        best = np.argsort(-logits)[:2]
        assert chosen == best.tolist()
        np.testing.assert_allclose(gates.detach(), np.exp(logits[best]) / np.exp(logits[best]).sum(), rtol=1e-5)


def test_a_router_with_weights_in_bfloat16_computes_in_float32() -> None:
    router, x = make_router().to(torch.bfloat16), torch.randn(200, 8).bfloat16()
    exact = make_router()
    exact.load_state_dict(router.state_dict())
    routes, expected = router(x), exact(x.float())
    assert torch.equal(routes.chosen, expected.chosen)
    assert torch.equal(routes.gates, expected.gates)
    assert routes.balance.dtype == routes.z.dtype == torch.float32


def test_a_single_choice_is_gated_by_its_probability_so_that_the_router_learns() -> None:
    router, x = make_router(1), torch.randn(30, 8)
    odds = np.exp(logits_of(router, x))
    routes = router(x)
    np.testing.assert_allclose(routes.gates[:, 0].detach(), (odds / odds.sum(1, keepdims=True)).max(1), rtol=1e-5)
    routes.gates.sum().backward()
    assert router.weight.grad.any()


def test_losses_are_those_of_the_papers() -> None:
    router, x = make_router(), 3 * torch.randn(30, 8)
    logits = logits_of(router, x)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    f = np.bincount(np.argsort(-logits, axis=1)[:, :2].ravel(), minlength=5) / 60
    routes = router(x)
    assert float(routes.balance.detach()) == pytest.approx(5 * (f * p.mean(0)).sum(), rel=1e-5)
    assert float(routes.z.detach()) == pytest.approx((np.log(np.exp(logits).sum(1)) ** 2).mean(), rel=1e-5)
    np.testing.assert_array_equal(routes.wanted, 60 * f)


def test_even_use_has_a_balance_loss_of_one_and_collapse_one_of_the_number_of_experts() -> None:
    router = Router(4, 4, 1, capacity_factor=None, jitter=0.0)
    with torch.no_grad():
        router.weight.copy_(50 * torch.eye(4))
    assert router(torch.eye(4)).balance.item() == pytest.approx(1.0)
    assert router(torch.eye(4)[[2, 2, 2]]).balance.item() == pytest.approx(4.0)


def test_the_balance_loss_pulls_an_overused_expert_down() -> None:
    router, x = make_router(1), torch.randn(64, 8) + 1.0
    before = router(x)
    optimiser = torch.optim.SGD(router.parameters(), lr=1.0)
    for _ in range(100):
        optimiser.zero_grad()
        router(x).balance.backward()
        optimiser.step()
    assert router(x).wanted.max() < before.wanted.max()
    assert router(x).balance.item() < before.balance.item()


def test_first_choices_go_first_and_then_the_most_probable() -> None:
    chosen = torch.tensor([[0, 1], [0, 1], [1, 0], [0, 2]])
    score = torch.tensor([[0.5, 0.3], [0.9, 0.1], [0.6, 0.4], [0.7, 0.2]])
    kept = within_capacity(chosen, score, 2)
    # expert 0: first choices .9 and .7 fit, .5 does not, nor does a second choice; expert 1: .6, then .3
    assert kept.tolist() == [[False, True], [True, False], [True, False], [True, True]]


@pytest.mark.parametrize("capacity", [1, 3, 100])
def test_no_expert_takes_more_than_its_capacity_and_none_drops_what_fits(capacity: int) -> None:
    torch.manual_seed(0)
    chosen = torch.stack([torch.randperm(5)[:2] for _ in range(40)])
    kept = within_capacity(chosen, torch.rand(40, 2), capacity)
    wanted, taken = (np.bincount(c.ravel(), minlength=5) for c in (chosen.numpy(), chosen[kept].numpy()))
    np.testing.assert_array_equal(taken, np.minimum(wanted, capacity))


def test_capacity_drops_in_training_and_never_in_evaluation() -> None:
    router, x = make_router(capacity_factor=0.5), torch.randn(40, 8)
    assert (router(x).chosen < 5).all()
    routes = router.train()(x)
    gone = routes.chosen == 5
    assert gone.any()
    assert not routes.gates[gone].any()
    assert np.bincount(routes.chosen[~gone], minlength=5).max() <= math.ceil(0.5 * 40 * 2 / 5)


def test_jitter_moves_the_choice_in_training_only() -> None:
    router, x = make_router(jitter=0.3), torch.randn(40, 8)
    assert torch.equal(router(x).gates, router(x).gates)
    router.train()
    assert not torch.equal(router(x).gates, router(x).gates)


def test_the_router_computes_in_float32_under_autocast() -> None:
    router, x = make_router(), torch.randn(40, 8)
    with torch.autocast("cpu", torch.bfloat16):
        routes: Routes = router(x)
    assert torch.equal(routes.gates, router(x).gates)


def counted(wanted: list[int], *, top_k: int, dropped: int = 0) -> dict[str, float]:
    load = Load(len(wanted), top_k, collapse_below=0.25)
    chosen = torch.zeros(sum(wanted), dtype=torch.int64)
    chosen[:dropped] = len(wanted)
    load.count(torch.tensor(wanted), chosen)
    return load.read()


def test_even_use_is_full_use() -> None:
    seen = counted([25, 25, 25, 25], top_k=2, dropped=10)
    assert seen == {
        **{f"load.{e}": 0.25 for e in range(4)},
        "entropy": pytest.approx(1.0),
        "use": pytest.approx(1.0),
        "dropped": 0.1,
        "collapse_below": 0.25,
        "collapsed": 0.0,
    }


def test_collapse_is_when_the_same_experts_take_everything() -> None:
    seen = counted([0, 50, 0, 50, 0, 0, 0, 0], top_k=2)
    assert (seen["use"], seen["collapsed"]) == (pytest.approx(0.0, abs=1e-12), 1.0)
    assert seen["entropy"] == pytest.approx(1 / 3)  # log 2 / log 8
    assert counted([9, 9, 10, 8, 11, 9, 8, 10], top_k=2)["collapsed"] == 0.0
    assert counted([50, 50], top_k=2)["collapsed"] == 0.0  # two of two cannot be used more evenly


def test_reading_starts_anew() -> None:
    load = Load(2, 1, collapse_below=0.25)
    assert load.read() == {}
    load.count(torch.tensor([3, 1]), torch.tensor([0, 0, 0, 1]))
    load.count(torch.tensor([0, 4]), torch.tensor([1, 1, 1, 1]))
    assert load.read()["load.1"] == 5 / 8
    assert load.read() == {}
    assert load.state_dict() == {}
