"""The estimators of training's instruments, against closed forms, numpy and brute force."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mnpu.nn.quantile import pinball
from mnpu.training.instruments.calibration import class_error, coverage_gaps, crps, pit_distance
from mnpu.training.instruments.curvature import Products, extremes
from mnpu.training.instruments.landscape import filter_normalised, losses_around, quadratic
from mnpu.training.instruments.noise_scale import GradientNoise, NoiseScale, gradient_noise, standard_error, unbiased

pytestmark = pytest.mark.torch


def spd(rng: np.random.Generator, n: int) -> np.ndarray:
    root = rng.standard_normal((n, n))
    return root @ root.T / n


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Gradient noise scale.


def test_the_noise_scale_of_a_quadratic_is_its_closed_form_within_five_percent(rng):
    """Loss of window x is (theta - x)'H(theta - x) / 2, so its gradient is H(theta - x), of covariance H C H."""
    n, p = 40_000, 6
    hessian, covariance = spd(rng, p), spd(rng, p)
    mean, theta = rng.standard_normal(p), rng.standard_normal(p)
    x = torch.from_numpy(rng.multivariate_normal(mean, covariance, size=n))
    h, weights = torch.from_numpy(hessian), torch.from_numpy(theta).requires_grad_()

    def gradient(index: Tensor) -> Tensor:
        off = weights - x[index]
        return torch.autograd.grad((0.5 * (off @ h) * off).sum(dim=1).mean(), weights)[0]

    found = gradient_noise(gradient, n, batch=16, batches=16, draws=400, generator=generator())
    power = float(np.sum((hessian @ (theta - mean)) ** 2))
    variance = float(np.trace(hessian @ covariance @ hessian))
    assert found.variance == pytest.approx(variance, rel=0.05)
    assert found.power == pytest.approx(power, rel=0.05)
    assert found.scale == pytest.approx(variance / power, rel=0.05)
    assert abs(found.scale - variance / power) < 4 * found.scale_se


def test_both_numbers_are_unbiased_for_any_pair_of_batch_sizes():
    """Expected squared norms put in, the numbers that made them come out."""
    power, variance = 0.3, 7.0
    for n_small, n_big in ((1, 2), (8, 64), (16, 17)):
        small, big = power + variance / n_small, power + variance / n_big
        assert unbiased(small, big, n_small=n_small, n_big=n_big) == pytest.approx((power, variance))


def test_the_error_of_an_average_over_epochs_is_that_of_the_average(rng):
    """Fixed weights, so that epochs differ by their draws alone: the spread over repetitions is what the error says."""
    x = torch.tensor(rng.normal(0.5, 1.0, size=(20_000, 4)))
    said, errors, alone = [], [], []
    for seed in range(60):
        stream = generator(seed)
        epochs = [
            gradient_noise(lambda i: x[i].mean(dim=0), 20_000, batch=8, batches=4, draws=20, generator=stream)
            for _ in range(4)
        ]
        weighted = [(0.5**k, found) for k, found in enumerate(epochs)]
        power, variance = (sum(w * getattr(e, name) for w, e in weighted) for name in ("power", "variance"))
        said.append(variance / power)
        errors.append(standard_error(weighted))
        alone.append(epochs[0].scale_se)
    assert np.mean(errors) == pytest.approx(np.std(said, ddof=1), rel=0.3)
    assert np.mean(errors) < 0.8 * np.mean(alone)


def test_an_epoch_that_tells_nothing_by_itself_leaves_the_average_a_finite_error(monkeypatch):
    draws = [[(1.0, 10.0), (1.2, 11.0), (0.8, 9.0)], [(-0.1, 10.0), (0.1, 10.0), (0.2, 10.0)]]
    instrument = NoiseScale(draws=3)
    monkeypatch.setattr(instrument, "_measure", lambda moment: GradientNoise(tuple(draws[moment.epoch - 1])))
    for epoch in (1, 2):
        read = {r.name: r.value for r in instrument.epoch(SimpleNamespace(epoch=epoch, batch_size=10))}
    power, variance = (0.5 * 1.0 + 0.2 / 3) / 1.5, (0.5 * 10 + 10) / 1.5
    assert read["noise_scale"] == pytest.approx(variance / power)
    assert 0 < read["noise_scale_se"] < math.inf
    assert GradientNoise(tuple(draws[1])).scale_se == math.inf


def test_a_quadratic_of_too_few_finite_losses_is_not_known():
    side = np.linspace(-1, 1, 5)
    assert np.isnan(quadratic([side], np.full(5, np.inf)).hessian).all()
    assert np.isnan(quadratic([side], np.array([np.inf, np.inf, 0.5, 1.0, np.inf])).hessian).all()
    assert quadratic([side], np.array([np.inf, 0.25, 0.0, 0.25, np.inf])).hessian == pytest.approx(np.array([[2.0]]))


def test_a_gradient_of_nothing_but_noise_has_an_infinite_or_a_huge_scale(rng):
    x = torch.from_numpy(rng.standard_normal((4096, 50)))
    x = x - x.mean(dim=0)
    found = gradient_noise(lambda i: x[i].mean(dim=0), 4096, batch=8, batches=8, draws=50, generator=generator())
    assert found.variance == pytest.approx(50, rel=0.05)
    assert found.scale > 4096


def test_the_error_of_the_scale_is_that_seen_over_repetitions(rng):
    x = torch.from_numpy(1.0 + rng.standard_normal((20_000, 4)))
    estimates = [
        gradient_noise(lambda i: x[i].mean(dim=0), 20_000, batch=8, batches=4, draws=20, generator=generator(seed))
        for seed in range(60)
    ]
    seen = np.std([e.scale for e in estimates], ddof=1)
    assert np.mean([e.scale_se for e in estimates]) == pytest.approx(seen, rel=0.3)


# Loss landscape.


class Bowl(nn.Module):
    """The loss theta'H theta / 2 + b'theta over all its weights in one vector."""

    def __init__(self, hessian: np.ndarray, slope: np.ndarray, shapes: tuple[tuple[int, ...], ...]) -> None:
        super().__init__()
        self.tensors = nn.ParameterList(torch.randn(s, dtype=torch.float64, generator=generator(3)) for s in shapes)
        self.hessian, self.slope = torch.from_numpy(hessian), torch.from_numpy(slope)

    def flat(self) -> Tensor:
        return torch.cat([t.flatten() for t in self.tensors])

    def loss(self) -> Tensor:
        theta = self.flat()
        return 0.5 * theta @ self.hessian @ theta + self.slope @ theta


def test_the_landscape_recovers_a_known_hessian(rng):
    shapes = ((4, 3), (2, 4))
    bowl = Bowl(hessian := spd(rng, 20), slope := rng.standard_normal(20), shapes)
    weights = dict(bowl.named_parameters())
    before = {name: p.detach().clone() for name, p in weights.items()}
    directions = [filter_normalised(weights, generator(seed)) for seed in (1, 2)]
    side = np.linspace(-1, 1, 9)
    with torch.no_grad():
        losses = losses_around(lambda: float(bowl.loss()), weights, directions, [side, side])
    found = quadratic([side, side], losses)

    d = np.stack([torch.cat([t.flatten() for t in direction.values()]).numpy() for direction in directions], axis=1)
    theta = bowl.flat().detach().numpy()
    np.testing.assert_allclose(found.hessian, d.T @ hessian @ d, rtol=1e-9)
    np.testing.assert_allclose(found.slope, d.T @ (hessian @ theta + slope), rtol=1e-9)
    assert found.constant == pytest.approx(bowl.loss().item(), rel=1e-12)
    assert all(torch.equal(p, before[name]) for name, p in weights.items())


def test_along_all_axes_the_landscape_gives_the_whole_hessian(rng):
    """Unit directions two at a time: every entry of the Hessian, whatever the directions are scaled by."""
    n = 5
    bowl = Bowl(hessian := spd(rng, n), rng.standard_normal(n), ((n,),))
    (name, weight), found = next(iter(bowl.named_parameters())), np.zeros((n, n))
    unit = [{name: torch.eye(n, dtype=torch.float64)[i]} for i in range(n)]
    side = np.linspace(-1, 1, 3)
    for i in range(n):
        for j in range(i + 1, n):
            losses = losses_around(lambda: bowl.loss().item(), {name: weight}, [unit[i], unit[j]], [side, side])
            found[np.ix_([i, j], [i, j])] = quadratic([side, side], losses).hessian
    np.testing.assert_allclose(found, hessian, atol=1e-9)


def test_a_direction_moves_every_filter_by_its_own_size():
    weights = {
        "conv": torch.randn(3, 2, 5, generator=generator(1)),
        "bias": torch.randn(3, generator=generator(2)),
        "zero": torch.zeros(2, 2),
    }
    direction = filter_normalised(weights, generator())
    for moved, still in zip(direction["conv"], weights["conv"], strict=True):
        assert float(moved.square().sum()) == pytest.approx(float(still.square().sum()), rel=1e-5)
    assert not direction["bias"].any()
    assert not direction["zero"].any()


# Top eigenvalue.


def test_the_extreme_eigenvalues_are_numpy_s(rng):
    matrix = spd(rng, 60) - 0.4 * np.eye(60)  # indefinite
    values = np.linalg.eigvalsh(matrix)
    h = torch.from_numpy(matrix)
    start = torch.randn(60, dtype=torch.float64, generator=generator())
    found = extremes(lambda v: h @ v, start, iterations=60, tolerance=1e-10)
    assert found.top == pytest.approx(values[-1], rel=1e-9)
    assert found.bottom == pytest.approx(values[0], rel=1e-9)


def test_the_reported_error_bounds_the_distance_to_an_eigenvalue(rng):
    matrix = spd(rng, 200)
    values, h = np.linalg.eigvalsh(matrix), torch.from_numpy(matrix)
    start = torch.randn(200, dtype=torch.float64, generator=generator())
    for iterations in (2, 5, 10, 20):
        found = extremes(lambda v: h @ v, start, iterations=iterations, tolerance=0.0)
        assert np.abs(values - found.top).min() <= found.top_error * (1 + 1e-9)


def test_products_of_a_network_are_those_of_its_dense_hessian():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    x, y = torch.randn(32, 3, dtype=torch.float64), torch.randn(32, 1, dtype=torch.float64)
    parameters = dict(network.named_parameters())

    def loss_of(flat: Tensor) -> Tensor:
        parts = flat.split([p.numel() for p in parameters.values()])
        given = {n: part.view_as(p) for (n, p), part in zip(parameters.items(), parts, strict=True)}
        return ((torch.func.functional_call(network, given, (x,)) - y) ** 2).mean()

    dense = torch.autograd.functional.hessian(loss_of, torch.cat([p.detach().flatten() for p in parameters.values()]))
    products = Products(lambda: ((network(x) - y) ** 2).mean(), list(parameters.values()), generator())
    assert products.exact
    v = products.unit(generator(5))
    torch.testing.assert_close(products(v), dense @ v, rtol=1e-8, atol=1e-10)
    found = extremes(products, v, iterations=products.size, tolerance=1e-9)
    assert found.top == pytest.approx(float(np.linalg.eigvalsh(dense.numpy())[-1]), rel=1e-6)


class _Square(torch.autograd.Function):
    """x squared, whose backward hides from autograd, as a compiled kernel's does."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, slope):
        (x,) = ctx.saved_tensors
        return torch.from_numpy(2 * x.detach().numpy()) * slope


def test_a_layer_that_only_seems_differentiable_twice_is_found_out():
    """Its second derivative would silently be zero; differences of gradients give the true one, 2 per coordinate."""
    weight = nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
    products = Products(lambda: _Square.apply(weight).sum() + 1e-3 * (weight**3).sum(), [weight], generator())
    before = weight.detach().clone()
    assert not products.exact
    v = products.unit(generator(1))
    torch.testing.assert_close(products(v), (2 + 6e-3 * weight.detach()) * v, rtol=1e-6, atol=0)
    assert torch.equal(weight, before)


def test_the_curvature_of_a_pinball_loss_is_found_in_its_kinks():
    """Of quantiles q of a normal law the Hessian is diagonal: its density at q, divided by the number of levels."""
    levels = torch.tensor([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95])
    q = nn.Parameter(torch.special.ndtri(levels))
    truth = 1 / math.sqrt(2 * math.pi) / len(levels)
    tops = []
    for seed in range(10):
        y = torch.randn(256, generator=generator(seed))
        products = Products(lambda y=y: pinball(q.expand(len(y), -1), y, levels).mean(), [q], generator(seed))
        assert not products.exact
        tops.append(extremes(products, products.unit(generator(seed)), iterations=7).top)
    assert np.mean(tops) == pytest.approx(truth, rel=0.25)  # the largest of noisy ones is somewhat too large


# Calibration.


def normal_quantiles(levels: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    from scipy.stats import norm

    return sigma * norm.ppf(levels)


def test_coverage_is_that_of_a_brute_force_count(rng):
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    y, q = rng.standard_normal((200, 2)), np.sort(rng.standard_normal((200, 2, 5)), axis=2)
    gaps = coverage_gaps(y, q, levels)
    for nominal, (low, high) in ((0.9, (0, 4)), (0.5, (1, 3))):
        count = sum(q[i, h, low] <= y[i, h] <= q[i, h, high] for i in range(200) for h in range(2))
        assert gaps[nominal] == pytest.approx(count / 400 - nominal)


def test_the_pit_s_distance_is_that_of_a_normal_law_s_distribution_function(rng):
    from scipy.stats import kstest, norm

    levels, y = np.array([0.05, 0.25, 0.5, 0.75, 0.95]), rng.standard_normal((200, 2))
    q = np.broadcast_to(0.2 + normal_quantiles(levels, 0.8), (200, 2, 5))
    expected = kstest(norm.cdf(y.ravel(), 0.2, 0.8), "uniform").statistic
    assert pit_distance(y, q, tuple(levels)) == pytest.approx(expected, abs=1e-6)


def test_on_a_dense_grid_the_crps_is_the_normal_law_s_closed_form(rng):
    """Gneiting and Raftery 2007, equation 21: sigma (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi))."""
    from scipy.stats import norm

    levels, y = np.linspace(0.001, 0.999, 999), rng.standard_normal((500, 1))
    q = np.broadcast_to(normal_quantiles(levels, 1.5), (500, 1, 999))
    z = y / 1.5
    expected = 1.5 * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / math.sqrt(math.pi)).mean()
    assert crps(y, q, tuple(levels)) == pytest.approx(expected, rel=2e-3)


def test_the_crps_is_smallest_at_the_truth(rng):
    levels = np.array([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95])
    y = rng.standard_normal((20_000, 1))
    score = {
        (shift, sigma): crps(y, np.broadcast_to(shift + normal_quantiles(levels, sigma), (len(y), 1, 7)), tuple(levels))
        for shift in (-0.2, 0.0, 0.2)
        for sigma in (0.8, 1.0, 1.25)
    }
    assert min(score, key=score.__getitem__) == (0.0, 1.0)


def test_classes_of_known_probabilities_are_calibrated_and_sharpened_ones_are_not(rng):
    probabilities = rng.dirichlet((2.0, 1.0, 2.0), size=20_000)
    classes = (probabilities.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    sharp = probabilities**3 / (probabilities**3).sum(axis=1, keepdims=True)
    assert class_error(classes, probabilities) < 0.02
    confidence, right = sharp.max(axis=1), sharp.argmax(axis=1) == classes
    # every bin is too sure of itself, so the error is the difference of the means
    assert class_error(classes, sharp) == pytest.approx(confidence.mean() - right.mean(), abs=0.01)
