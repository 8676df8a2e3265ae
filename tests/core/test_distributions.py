"""Every head on data whose law is known: calibrated, proper, with a gradient everywhere, never crossing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn

from mnpu.errors import ConfigError
from mnpu.nn.dirichlet_quantile import DirichletQuantile, classes_of, dirichlet_loss
from mnpu.nn.gaussian import Gaussian
from mnpu.nn.point import Point
from mnpu.nn.protocols import output_of
from mnpu.nn.student_quantiles import U_MAX, U_MIN, quantile_of_student
from mnpu.nn.student_t import StudentT
from mnpu.testing.heads import head_laws

HEADS: dict[str, Callable[..., nn.Module]] = {
    "point": Point,
    "point of mse": partial(Point, loss="mse"),
    "gaussian": Gaussian,
    "gaussian of crps": partial(Gaussian, loss="crps"),
    "student_t": StudentT,
    "dirichlet_quantile": DirichletQuantile,
}
DENSITIES = ["gaussian", "gaussian of crps", "student_t", "dirichlet_quantile"]
N = 4000


def taught(head: nn.Module, draw: Callable[[torch.Generator], Tensor], *, steps: int = 300, lr: float = 0.03) -> Any:
    """``head`` after ``steps`` fresh batches of ``draw`` under a summary that is always one."""
    generator = torch.Generator().manual_seed(3)
    optimiser = torch.optim.Adam(head.parameters(), lr=lr)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = lr * (1 - step / steps)
        y = draw(generator).unsqueeze(-1)
        optimiser.zero_grad()
        head.loss(torch.ones(len(y), 1), y).backward()
        optimiser.step()
    return head


def normal(generator: torch.Generator) -> Tensor:
    """1,000 draws around 0.4 of size 1.3."""
    return 0.4 + 1.3 * torch.randn(1000, generator=generator)


@pytest.mark.parametrize("name", HEADS)
def test_every_head_keeps_every_law(name: str) -> None:
    assert [outcome for outcome in head_laws(HEADS[name]) if not outcome.passed] == []


@pytest.mark.parametrize("name", DENSITIES)
def test_coverage_of_fresh_draws_lies_in_its_binomial_band(name: str) -> None:
    torch.manual_seed(0)
    head = taught(HEADS[name](1, 1), normal)
    quantiles = output_of(head, torch.ones(1, 1)).quantiles[0, 0].detach().numpy()
    fresh = np.random.default_rng(5).normal(0.4, 1.3, N)
    for level, quantile in zip(head.levels, quantiles, strict=True):
        low, high = stats.binom.ppf([1e-4, 1 - 1e-4], N, level)
        assert low - 0.01 * N <= (fresh <= quantile).sum() <= high + 0.01 * N  # one point for what 300 steps leave


def test_pit_values_of_a_taught_gaussian_head_are_uniform() -> None:
    torch.manual_seed(0)
    mean, scale = (float(v.detach()) for v in taught(Gaussian(1, 1), normal).parameters_of(torch.ones(1, 1)))
    fresh = np.random.default_rng(6).normal(0.4, 1.3, 1000)
    assert stats.kstest(stats.norm.cdf(fresh, mean, scale), "uniform").pvalue > 1e-3


def test_a_student_head_finds_the_tails_and_its_pit_values_are_uniform() -> None:
    torch.manual_seed(0)

    def heavy(generator: torch.Generator) -> Tensor:
        chi = torch.randn(2000, 4, generator=generator).square().sum(-1)
        return -0.2 + 0.5 * torch.randn(2000, generator=generator) / (chi / 4).sqrt()

    head = taught(StudentT(1, 1), heavy, steps=500)
    location, scale, freedom = (float(v.detach()) for v in head.parameters_of(torch.ones(1, 1)))
    assert freedom == pytest.approx(4, rel=0.25)
    fresh = stats.t.rvs(4, -0.2, 0.5, size=1000, random_state=np.random.default_rng(7))
    assert stats.kstest(stats.t.cdf(fresh, freedom, location, scale), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("kind", ["crps", "nll"])
def test_the_gaussian_score_is_smallest_at_the_truth(kind: str) -> None:
    y = torch.from_numpy(stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)).float().unsqueeze(-1)
    losses = {}
    for mean in (-0.2, 0.0, 0.2):
        for scale in (0.8, 1.0, 1.25):
            head = _fixed(Gaussian(1, 1, loss=kind), mean, scale)
            losses[mean, scale] = head.loss(torch.ones(len(y), 1), y).item()
    assert min(losses, key=losses.__getitem__) == (0.0, 1.0)


def _fixed(head: Gaussian, mean: float, scale: float) -> Gaussian:
    with torch.no_grad():
        head.map.weight.zero_()
        head.map.bias.copy_(torch.tensor([mean, np.log(np.expm1(scale - 1e-3))]))
    return head


@pytest.mark.parametrize(("mean", "scale", "y"), [(0.0, 1.0, 0.0), (0.3, 2.0, -4.0), (-1.0, 0.2, 3.0)])
def test_crps_of_the_gaussian_head_is_the_integral_that_defines_it(mean: float, scale: float, y: float) -> None:
    x = np.linspace(-30, 30, 600_001)
    expected = ((stats.norm.cdf(x, mean, scale) - (x >= y)) ** 2).sum() * (x[1] - x[0])
    loss = _fixed(Gaussian(1, 1, loss="crps"), mean, scale).loss(torch.ones(1, 1), torch.tensor([[y]]))
    assert loss.item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("loss", "expected"), [("nll", stats.norm.logpdf(1.7, 0.3, 2.0))])
def test_the_gaussian_nll_is_the_log_density(loss: str, expected: float) -> None:
    head = _fixed(Gaussian(1, 1, loss=loss), 0.3, 2.0)
    assert head.loss(torch.ones(1, 1), torch.tensor([[1.7]])).item() == pytest.approx(-expected, rel=1e-5)


def student(freedom: float, location: float = 0.0, scale: float = 1.0, **settings: Any) -> StudentT:
    """A head that forecasts one fixed Student t distribution."""
    share = (1 / freedom - U_MIN) / (U_MAX - U_MIN)
    head = StudentT(1, 1, **settings)
    with torch.no_grad():
        head.map.weight.zero_()
        bias = [location, np.log(np.expm1(scale - 1e-3)), np.log(share / (1 - share))]
        head.map.bias.copy_(torch.tensor(bias))
    return head


@pytest.mark.parametrize("freedom", [2.01, 2.5, 3.0, 5.0, 10.0, 50.0, 300.0, 990.0])
def test_student_quantiles_are_those_of_scipy(freedom: float) -> None:
    levels = (0.001, 0.01, 0.05, 0.25, 0.4999, 0.5, 0.5001, 0.75, 0.95, 0.99, 0.999)
    head = student(freedom, -0.3, 2.0, levels=levels)
    quantiles = head.forecast(torch.ones(1, 1))[0, 0].detach().numpy()
    np.testing.assert_allclose(quantiles, stats.t.ppf(levels, freedom, -0.3, 2.0), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("freedom", [1.5, 2.0, 7.3, 1e4])
@pytest.mark.parametrize("level", [0.5001, 0.9, 0.9999])
def test_the_inverse_of_the_distribution_function_is_exact(level: float, freedom: float) -> None:
    assert quantile_of_student(level, freedom) == pytest.approx(stats.t.ppf(level, freedom), rel=1e-7)


@pytest.mark.parametrize("freedom", [2.01, 4.0, 30.0, 900.0])
@pytest.mark.parametrize("y", [-5.0, 0.1, 400.0])
def test_the_student_loss_is_the_log_density(freedom: float, y: float) -> None:
    loss = student(freedom, 0.5, 1.5).loss(torch.ones(1, 1), torch.tensor([[y]]))
    assert loss.item() == pytest.approx(-stats.t.logpdf(y, freedom, 0.5, 1.5), rel=1e-4)


@settings(max_examples=40, deadline=None)
@given(scale=st.floats(0, 1e6), seed=st.integers(0, 2**31 - 1), name=st.sampled_from(sorted(HEADS)))
def test_quantiles_never_cross_and_freedom_stays_above_two(scale: float, seed: int, name: str) -> None:
    head = HEADS[name](4, 2, levels=(0.01, 0.4999, 0.49995, 0.5, 0.50005, 0.5001, 0.99))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
        h = torch.randn(8, 4, generator=generator)
        assert (output_of(head, h).quantiles.diff(dim=-1) >= 0).all()
        if isinstance(head, StudentT):
            assert (head.parameters_of(h)[2] > 2).all()


# --- classes ---


def test_thresholds_part_the_training_targets_as_asked_and_are_kept_with_the_weights() -> None:
    head, y = DirichletQuantile(3, 2, flat=0.5), torch.randn(4000, 2) * torch.tensor([1.0, 3.0])
    head.fit_targets(y)
    expected = np.quantile(y.numpy(), [0.25, 0.75], axis=0).T
    np.testing.assert_allclose(head.thresholds.numpy(), expected, atol=0.02)
    other = DirichletQuantile(3, 2, flat=0.5)
    other.load_state_dict(head.state_dict())
    assert torch.equal(other.thresholds, head.thresholds)


def test_classes_are_down_flat_and_up() -> None:
    y, thresholds = torch.tensor([[-2.0], [-1.0], [0.0], [1.0], [1.5]]), torch.tensor([[-1.0, 1.0]])
    assert classes_of(y, thresholds).flatten().tolist() == [0, 1, 1, 1, 2]


def test_targets_of_three_values_are_their_own_classes() -> None:
    head = DirichletQuantile(3, 1)
    y = torch.tensor([-1.0, -1.0, -1.0, -1.0, 0.0, 1.0]).unsqueeze(-1)
    head.fit_targets(y)
    assert classes_of(y, head.thresholds).flatten().tolist() == [0, 0, 0, 0, 1, 2]


def test_a_class_that_never_occurs_names_the_setting() -> None:
    few = torch.tensor([0.0, 1.0, 2.0, 3.0]).repeat_interleave(torch.tensor([35, 5, 5, 5]))
    with pytest.raises(ConfigError, match=r"head\.flat is .*horizon number 2 is down"):
        DirichletQuantile(3, 2).fit_targets(torch.stack([torch.randn(50), few], dim=1))


def test_targets_of_fewer_values_than_classes_are_not_called_a_matter_of_thresholds() -> None:
    losses = (torch.arange(50) < 20).float()  # a barrier that is never reached leaves two classes of three
    with pytest.raises(ConfigError, match=r"horizon number 2 have 2 different values.*Set target"):
        DirichletQuantile(3, 2).fit_targets(torch.stack([torch.randn(50), -losses], dim=1))


def test_the_class_loss_is_the_expected_likelihood_and_the_divergence_from_the_prior() -> None:
    """Both from a million draws of the Dirichlet distribution itself."""
    p, strength, outcomes = np.array([0.2, 0.5, 0.3]), 12.0, 40.0
    alpha = 1 + strength * p
    draws = np.random.default_rng(0).dirichlet(alpha, 1_000_000)
    divergence = np.mean(stats.dirichlet.logpdf(draws.T, alpha) - np.log(2.0))  # the uniform density is Gamma(3) = 2
    for k in range(3):
        expected = -np.log(draws[:, k]).mean() + divergence / outcomes
        loss = dirichlet_loss(
            torch.from_numpy(np.log(p)), torch.tensor(strength).double(), torch.tensor(k), outcomes=outcomes
        )
        assert loss.item() == pytest.approx(expected, abs=5e-3)


def test_the_class_loss_is_smallest_at_the_true_probabilities_and_full_strength() -> None:
    pi, outcomes = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64), 30.0

    def risk(p: Tensor, strength: float) -> float:
        each = [dirichlet_loss(p.log(), torch.tensor(strength), torch.tensor(k), outcomes=outcomes) for k in range(3)]
        return float((pi * torch.stack(each)).sum())

    best = risk(pi, outcomes)
    for moved in ([0.22, 0.48, 0.3], [0.2, 0.45, 0.35], [0.3, 0.4, 0.3], [1 / 3, 1 / 3, 1 / 3]):
        assert risk(torch.tensor(moved, dtype=torch.float64), outcomes) > best
    for strength in (1.0, 20.0, 29.0, 31.0, 45.0, 1000.0):
        assert risk(pi, strength) > best


def test_probabilities_are_learnt_and_every_parameter_has_a_gradient() -> None:
    torch.manual_seed(0)
    head = DirichletQuantile(1, 1, outcomes=20.0)
    with torch.no_grad():
        head.thresholds.copy_(torch.tensor([[-0.5, 1.0]]))
    taught(head, normal, steps=400)
    said = output_of(head, torch.ones(1, 1))
    down, up = stats.norm.cdf(-0.5, 0.4, 1.3), stats.norm.sf(1.0, 0.4, 1.3)
    np.testing.assert_allclose(said.probabilities.detach()[0, 0], [down, 1 - down - up, up], atol=0.02)
    assert said.evidence.item() == pytest.approx(23, rel=0.2)  # C + N
    head.zero_grad()
    head.loss(torch.ones(5, 1), torch.randn(5, 1)).backward()
    assert all(parameter.grad is not None and parameter.grad.all() for parameter in head.parameters())


@pytest.mark.parametrize(
    ("build", "setting"),
    [
        (lambda: Point(3, 1, loss="mae"), "head.loss"),
        (lambda: Point(3, 1, knee=0.0), "head.knee"),
        (lambda: Gaussian(3, 1, loss="mse"), "head.loss"),
        (lambda: StudentT(0, 1), "head.d_in"),
        (lambda: StudentT(3, 1, levels=(0.1, 0.5)), "head.levels"),
        (lambda: DirichletQuantile(3, 1, flat=1.0), "head.flat"),
        (lambda: DirichletQuantile(3, 1, outcomes=0.0), "head.outcomes"),
        (lambda: DirichletQuantile(3, 1, class_weight=0.0), "head.class_weight"),
    ],
)
def test_an_impossible_setting_is_named(build: Callable[[], nn.Module], setting: str) -> None:
    with pytest.raises(ConfigError, match=setting.replace(".", r"\.")):
        build()


def test_a_point_is_all_its_quantiles() -> None:
    head, h = Point(4, 2), torch.randn(5, 4)
    assert torch.equal(head.forecast(h), head.map(h).unsqueeze(-1).expand(5, 2, 7))


@pytest.mark.parametrize(("loss", "expected"), [("huber", (0.5**2 / 2 + 0.8 * (3 - 0.4)) / 2), ("mse", (0.25 + 9) / 4)])
def test_the_point_losses_are_hubers_and_half_the_square(loss: str, expected: float) -> None:
    head = Point(1, 1, loss=loss, knee=0.8)
    with torch.no_grad():
        head.map.weight.zero_(), head.map.bias.zero_()
    assert head.loss(torch.ones(2, 1), torch.tensor([[0.5], [-3.0]])).item() == pytest.approx(expected)
