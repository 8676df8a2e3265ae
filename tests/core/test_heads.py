"""The quantile head, and heads with planted faults that the laws catch."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, expon
from torch import Tensor, nn

from mnpu.errors import ConfigError
from mnpu.nn.quantile import Quantile, pinball
from mnpu.testing.heads import head_laws


def test_our_head_keeps_every_law() -> None:
    assert [outcome for outcome in head_laws(Quantile) if not outcome.passed] == []


@pytest.mark.parametrize(
    ("level", "quantile", "outcome", "loss"),
    [
        (0.9, 1.0, 3.0, 0.9 * 2),
        (0.9, 3.0, 1.0, 0.1 * 2),
        (0.5, 1.0, 3.0, 1.0),
        (0.1, 3.0, 1.0, 0.9 * 2),
        (0.1, 2.0, 2.0, 0.0),
    ],
)
def test_pinball_is_the_tilted_absolute_error(level: float, quantile: float, outcome: float, loss: float) -> None:
    computed = pinball(torch.tensor([[quantile]]), torch.tensor([outcome]), torch.tensor([level]))
    assert computed.item() == pytest.approx(loss)


def test_the_loss_is_the_mean_over_batch_horizons_and_levels(rng: np.random.Generator) -> None:
    head = Quantile(4, 2, levels=(0.1, 0.5, 0.9))
    h, y = torch.randn(5, 4), torch.from_numpy(rng.standard_normal((5, 2)).astype("float32"))
    quantiles = head.forecast(h).detach().numpy()
    total = 0.0
    for b in range(5):
        for i in range(2):
            for q, level in enumerate((0.1, 0.5, 0.9)):
                error = float(y[b, i]) - float(quantiles[b, i, q])
                total += level * error if error > 0 else (level - 1) * error
    assert head.loss(h, y).item() == pytest.approx(total / (5 * 2 * 3), rel=1e-5)


def test_the_first_forecast_is_the_standard_normal() -> None:
    head = Quantile(4, 2)
    start = head.forecast(torch.zeros(1, 4))[0]
    expected = [NormalDist().inv_cdf(level) for level in head.levels]
    np.testing.assert_allclose(start.detach().numpy(), [expected, expected], atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(scale=st.floats(0, 1e6), seed=st.integers(0, 2**31 - 1), n_levels=st.integers(1, 20))
def test_quantiles_never_cross_whatever_the_weights(scale: float, seed: int, n_levels: int) -> None:
    half = np.linspace(0.01, 0.49, n_levels)
    head = Quantile(4, 2, levels=(*half, 0.5, *(1 - half[::-1])))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
        gaps = head.forecast(torch.randn(8, 4, generator=generator)).diff(dim=-1)
    assert (gaps >= 0).all()


def test_a_trained_head_recovers_the_quantiles_of_a_distribution_that_depends_on_its_input() -> None:
    """Exponential outcomes of two sizes: fresh draws fall below each quantile as often as its level says."""
    torch.manual_seed(0)
    head, n = Quantile(2, 1), 4000
    inputs = torch.eye(2)[torch.arange(2 * n) % 2]  # one summary for each size
    sizes = 1.0 + 2.0 * inputs[:, 1]
    optimiser = torch.optim.Adam(head.parameters(), lr=0.05)
    for step in range(400):
        for group in optimiser.param_groups:
            group["lr"] = 0.05 * (1 - step / 400)
        y = sizes * torch.distributions.Exponential(1.0).sample((2 * n,))
        optimiser.zero_grad()
        head.loss(inputs, y.unsqueeze(-1)).backward()
        optimiser.step()
    quantiles = head.forecast(torch.eye(2)).detach().numpy()[:, 0]  # (2, Q)
    fresh = np.random.default_rng(1).exponential(1.0, n)
    for size, row in zip((1.0, 3.0), quantiles, strict=True):
        for level, quantile in zip(head.levels, row, strict=True):
            below = int((size * fresh <= quantile).sum())
            low, high = binom.ppf([1e-4, 1 - 1e-4], n, level)
            assert low - 0.01 * n <= below <= high + 0.01 * n  # one point for what 400 steps leave
        np.testing.assert_allclose(row, size * expon.ppf(head.levels), rtol=0.15)


@pytest.mark.parametrize(
    "levels",
    [(), (0.1, 0.9), (0.5, 0.1, 0.9), (0.1, 0.5, 0.8), (0.0, 0.5, 1.0), (0.1, 0.1, 0.5, 0.9, 0.9), (-0.1, 0.5, 1.1)],
)
def test_levels_that_make_no_interval_are_refused(levels: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match=r"head\.levels is"):
        Quantile(4, 1, levels=levels)


class MeanOnly(nn.Module):
    """Its loss sees the middle alone; what it calls quantiles is never trained."""

    levels = (0.1, 0.5, 0.9)

    def __init__(self, d_in: int, n_horizons: int) -> None:
        super().__init__()
        self.mean, self.scale = nn.Linear(d_in, n_horizons), nn.Linear(d_in, n_horizons)

    def forecast(self, h: Tensor) -> Tensor:
        """Mean plus and minus a spread that nobody fitted."""
        z = torch.tensor([-1.2816, 0.0, 1.2816])
        return self.mean(h).unsqueeze(-1) + z * self.scale(h).exp().unsqueeze(-1)

    def loss(self, h: Tensor, y: Tensor) -> Tensor:
        """Squared error of the mean."""
        return (self.mean(h) - y).square().mean()


class Crossing(nn.Module):
    """One free output for each level: nothing keeps them in order."""

    levels = (0.1, 0.5, 0.9)

    def __init__(self, d_in: int, n_horizons: int) -> None:
        super().__init__()
        self.map, self.n_horizons = nn.Linear(d_in, 3 * n_horizons), n_horizons

    def forecast(self, h: Tensor) -> Tensor:
        """``(B, D) -> (B, H, Q)``."""
        return self.map(h).unflatten(-1, (self.n_horizons, 3))

    def loss(self, h: Tensor, y: Tensor) -> Tensor:
        """Pinball."""
        return pinball(self.forecast(h), y, torch.tensor(self.levels)).mean()


class Improper(Quantile):
    """Rewards a narrow forecast."""

    def loss(self, h: Tensor, y: Tensor) -> Tensor:
        """Pinball plus the width: smallest for a distribution that is too narrow."""
        quantiles = self.forecast(h)
        return super().loss(h, y) + 0.2 * (quantiles[..., -1] - quantiles[..., 0]).mean()


class ForgetsAnIncrement(Quantile):
    """Drops the outermost level from its loss, so a part of it is never trained."""

    def __init__(self, d_in: int, n_horizons: int) -> None:
        super().__init__(d_in, n_horizons)
        self.spare = nn.Linear(d_in, n_horizons)

    def forecast(self, h: Tensor) -> Tensor:
        """Widen the last level by a part that ``loss`` detaches."""
        quantiles = super().forecast(h)
        last = quantiles[..., -1:] + nn.functional.softplus(self.spare(h)).unsqueeze(-1).detach()
        return torch.cat([quantiles[..., :-1], last], dim=-1)


class NeedsSummaries(Quantile):
    """Leaves it to torch how many numbers belong to one summary."""

    def forecast(self, h: Tensor) -> Tensor:
        """``(B, D) -> (B, H, Q)``."""
        quantiles = super().forecast(h)
        return quantiles.reshape(len(h), -1).unflatten(-1, quantiles.shape[1:])


@pytest.mark.parametrize(
    ("fault", "laws"),
    [
        (MeanOnly, {"gives every parameter a finite gradient", "learns the distribution that it is shown"}),
        (Crossing, {"never crosses, at any weights"}),
        (Improper, {"learns the distribution that it is shown"}),
        (ForgetsAnIncrement, {"gives every parameter a finite gradient"}),
        (NeedsSummaries, {"forecasts (B, H, Q)"}),
    ],
)
def test_a_planted_fault_breaks_its_law(fault: type[nn.Module], laws: set[str]) -> None:
    assert laws <= {outcome.law for outcome in head_laws(fault) if not outcome.passed}
