"""Experts compute what their definition says, forwards and backwards, and only the work that was asked for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mnpu_models_moe import experts as implementation
from mnpu_models_moe.experts import Experts, all_experts

TOKENS, WIDTH, HIDDEN, EXPERTS = 40, 6, 10, 5


def make_experts(n_experts: int = EXPERTS) -> Experts:
    torch.manual_seed(0)
    experts = Experts(n_experts, WIDTH, HIDDEN)
    with torch.no_grad():
        for bias in (experts.b1, experts.b2):
            bias.uniform_(-1, 1)
    return experts


def make_choices(top_k: int, *, n_experts: int = EXPERTS, used: int | None = None, dropped: float = 0.0) -> tuple:
    """Tokens, gates and distinct experts out of the first ``used``; a share of the assignments is dropped."""
    torch.manual_seed(1)
    x = torch.randn(TOKENS, WIDTH)
    chosen = torch.stack([torch.randperm(used or n_experts)[:top_k] for _ in range(TOKENS)])
    gates = torch.rand(TOKENS, top_k)
    gone = torch.rand(TOKENS, top_k) < dropped
    return x, gates.masked_fill(gone, 0), chosen.masked_fill(gone, n_experts)


def by_hand(experts: Experts, x: Tensor, gates: Tensor, chosen: Tensor) -> np.ndarray:
    """One token and one choice after the other, in float64, with the exact Gaussian error function."""
    w1, b1, w2, b2 = (getattr(experts, name).detach().double().numpy() for name in ("w1", "b1", "w2", "b2"))
    y = np.zeros((len(x), WIDTH))
    for t, (row, weights, numbers) in enumerate(zip(x.double().numpy(), gates, chosen, strict=True)):
        for gate, e in zip(weights.tolist(), numbers.tolist(), strict=True):
            if e < len(w1):
                inner = row @ w1[e] + b1[e]
                y[t] += gate * ((inner * [0.5 * (1 + math.erf(v / math.sqrt(2))) for v in inner]) @ w2[e] + b2[e])
    return y


CASES = [
    pytest.param({"top_k": 1}, id="one choice"),
    pytest.param({"top_k": 2}, id="two choices"),
    pytest.param({"top_k": EXPERTS}, id="every expert"),
    pytest.param({"top_k": 2, "used": 2}, id="experts without a token"),
    pytest.param({"top_k": 2, "dropped": 0.5}, id="half dropped"),
    pytest.param({"top_k": 2, "dropped": 1.0}, id="all dropped"),
]


@pytest.mark.parametrize("case", CASES)
def test_the_output_is_the_gated_sum_of_the_chosen_experts(case: dict) -> None:
    experts, choices = make_experts(), make_choices(**case)
    expected = by_hand(experts, *choices)
    np.testing.assert_allclose(experts(*choices).detach(), expected, atol=1e-6)
    weights = (experts.w1, experts.b1, experts.w2, experts.b2)
    np.testing.assert_allclose(all_experts(*choices, *weights).detach(), expected, atol=1e-6)


def gradients(experts: Experts, choices: tuple, output: str) -> list[Tensor]:
    x, gates, chosen = choices
    x, gates = x.clone().requires_grad_(), gates.clone().requires_grad_()
    weights = (experts.w1, experts.b1, experts.w2, experts.b2)
    y = experts(x, gates, chosen) if output == "sparse" else all_experts(x, gates, chosen, *weights)
    pull = torch.randn(y.shape, generator=torch.Generator().manual_seed(2)) / TOKENS
    return list(torch.autograd.grad((y * pull).sum(), [x, gates, *weights]))


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_computing_every_expert(case: dict) -> None:
    experts, (x, gates, chosen) = make_experts(), make_choices(**case)
    kept = chosen < EXPERTS
    sparse = gradients(experts, (x, gates, chosen), "sparse")
    for found, expected in zip(sparse, gradients(experts, (x, gates, chosen), "all"), strict=True):
        if found.shape == kept.shape:  # of a dropped choice's gate: zero
            assert not found[~kept].any()
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("part", [1, 3, 7])
def test_the_parts_of_a_slice_change_nothing(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    experts, choices = make_experts(), make_choices(2, dropped=0.2)
    monkeypatch.setattr(implementation, "PART", part)
    np.testing.assert_allclose(experts(*choices).detach(), by_hand(experts, *choices), atol=1e-6)
    found, expected = gradients(experts, choices, "sparse"), gradients(experts, choices, "all")
    for one, other in zip(found, expected, strict=True):
        if one.shape != (TOKENS, 2):  # of gates: those of dropped choices are zero here and not there
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dropped", [0.0, 0.3])
def test_gradients_and_their_gradients_agree_with_finite_differences(dropped: float) -> None:
    torch.manual_seed(0)
    experts = Experts(3, 2, 3).double()
    chosen = torch.tensor([[0, 1], [1, 2], [0, 2], [2, 1]])
    if dropped:
        chosen[1, 1] = chosen[3, 0] = 3
    x, gates = torch.randn(4, 2).double().requires_grad_(), torch.rand(4, 2).double().requires_grad_()
    names = ("w1", "b1", "w2", "b2")

    def output(x: Tensor, gates: Tensor, *weights: Tensor) -> Tensor:
        values = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(experts, values, (x, gates * (chosen < 3), chosen))

    weights = [getattr(experts, name).detach().clone().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(output, (x, gates, *weights))
    assert torch.autograd.gradgradcheck(output, (x, gates, *weights))


def work(top_k: int, n_experts: int) -> int:
    """Operations of a forward and backward pass, as torch counts those of its matrix products."""
    experts, (x, gates, chosen) = make_experts(n_experts), make_choices(top_k, n_experts=n_experts)
    with FlopCounterMode(display=False) as counted:
        experts(x.requires_grad_(), gates, chosen).sum().backward()
    return counted.get_total_flops()


def test_work_grows_with_the_choices_and_not_with_the_experts() -> None:
    dense = 3 * 2 * 2 * TOKENS * WIDTH * HIDDEN  # forward and two products backward, two layers, two operations
    assert [work(k, EXPERTS) for k in (1, 2, 4)] == [dense, 2 * dense, 4 * dense]
    assert work(2, 64) == work(2, EXPERTS)


def test_it_computes_in_bfloat16_under_autocast() -> None:
    experts, (x, gates, chosen) = make_experts(), make_choices(2)
    with torch.autocast("cpu", torch.bfloat16):
        y = experts(x, gates, chosen)
    assert y.dtype == torch.bfloat16
    np.testing.assert_allclose(y.detach().float(), by_hand(experts, x, gates, chosen), atol=0.05)
    y.float().sum().backward()
    assert experts.w1.grad.dtype == torch.float32


def test_the_same_choices_give_the_same_bits() -> None:
    experts, choices = make_experts(), make_choices(2)
    assert torch.equal(experts(*choices), experts(*choices))
    for a, b in zip(gradients(experts, choices, "sparse"), gradients(experts, choices, "sparse"), strict=True):
        assert torch.equal(a, b)
