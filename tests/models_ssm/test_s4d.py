"""S4D is the linear system that its equations say, however it is computed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from torch import nn

from mnpu.errors import ConfigError
from mnpu.testing.models import backbone_laws
from mnpu_models_ssm import s4d
from mnpu_models_ssm.s4d import S4D, DiagonalSSM
from tests.core.training_world import FOLD, fit, make_world, rank_ic
from tests.models_ssm import published
from tests.models_ssm.published import filled, waves

N, WIDTH, LENGTH = 6, 3, 20


def make_ssm(init: str = "lin") -> DiagonalSSM:
    torch.manual_seed(0)
    return DiagonalSSM(WIDTH, N, init=init, dt_min=0.05, dt_max=0.5)


def by_matrix_exponentials(ssm: DiagonalSSM, u: np.ndarray) -> np.ndarray:
    """Integrate each channel's real system exactly, with the input held over each step, in float64.

    A conjugate pair -a +- ib with output 2 Re(c x) is the real system [[-a, -b], [b, -a]], input (1, 0), output
    (2 Re c, -2 Im c). Over one step, expm of [[A, B], [0, 0]] Delta holds Abar and Bbar.
    """
    decay, frequency = ssm.log_decay.detach().exp().double().numpy(), ssm.frequency.detach().double().numpy()
    readout, dt = ssm.readout.detach().double().numpy(), ssm.log_dt.detach().exp().double().numpy()
    y = np.zeros_like(u, dtype="float64")
    for channel in range(WIDTH):
        system = np.zeros((N + 1, N + 1))
        output = np.zeros(N)
        for i in range(N // 2):
            a, b, at = decay[channel, i], frequency[channel, i], slice(2 * i, 2 * i + 2)
            system[at, at] = [[-a, -b], [b, -a]]
            system[2 * i, N] = 1.0
            output[at] = [2 * readout[channel, i, 0], -2 * readout[channel, i, 1]]
        discrete = expm(system * dt[channel])
        state = np.zeros(N)
        for t in range(LENGTH):
            state = discrete[:N, :N] @ state + discrete[:N, N] * u[t, channel]
            y[t, channel] = output @ state + float(ssm.skip[channel].detach()) * u[t, channel]
    return y


@pytest.mark.parametrize("init", ["lin", "inv"])
def test_the_convolution_is_the_exact_solution_of_the_linear_system(init: str, rng: np.random.Generator) -> None:
    ssm, u = make_ssm(init), rng.standard_normal((LENGTH, WIDTH))
    computed = ssm(torch.from_numpy(u[None]).float())[0].detach().numpy()
    np.testing.assert_allclose(computed, by_matrix_exponentials(ssm, u), rtol=1e-4, atol=1e-4)


def test_the_recurrence_is_the_exact_solution_of_the_linear_system(rng: np.random.Generator) -> None:
    ssm, u = make_ssm(), rng.standard_normal((LENGTH, WIDTH))
    state, steps = ssm.initial_state(1), []
    for t in range(LENGTH):
        y, state = ssm.step(torch.from_numpy(u[None, t]).float(), state)
        steps.append(y[0].detach().numpy())
    np.testing.assert_allclose(np.array(steps), by_matrix_exponentials(ssm, u), rtol=1e-4, atol=1e-4)


def test_it_gives_the_numbers_of_the_published_code_in_one_pass_and_by_steps() -> None:
    ssm, u = filled(DiagonalSSM(3, 6, init="lin", dt_min=0.01, dt_max=0.5)), waves(1, 8, 3).float()
    np.testing.assert_allclose(ssm(u)[0].detach(), published.S4D, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(ssm.last(u)[0].detach(), published.S4D[-1], rtol=2e-5, atol=2e-6)
    state = ssm.initial_state(1)
    for t, expected in enumerate(published.S4D):
        y, state = ssm.step(u[:, t], state)
        np.testing.assert_allclose(y[0].detach(), expected, rtol=2e-5, atol=2e-6)


def test_in_float64_convolution_recurrence_and_real_kernel_agree_to_its_digits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backbone = S4D(3, 40).double()
    x = torch.randn(2, 40, 3, dtype=torch.float64)
    whole, state = backbone(x), backbone.initial_state(2)
    assert whole.dtype == torch.float64
    for t in range(40):
        h, state = backbone.step(x[:, t], state)
        torch.testing.assert_close(h, whole[:, t], rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(backbone.summary(x), whole[:, -1], rtol=1e-11, atol=1e-11)
    monkeypatch.setattr(s4d, "_exporting", lambda: True)
    torch.testing.assert_close(backbone(x), whole, rtol=1e-11, atol=1e-11)


def test_with_weights_in_bfloat16_only_weights_and_outputs_are_rounded() -> None:
    ssm, u = make_ssm().to(torch.bfloat16), torch.randn(2, 300, WIDTH).bfloat16()
    y = ssm(u).detach()
    assert y.dtype == torch.bfloat16
    exact = make_ssm()
    exact.load_state_dict(ssm.state_dict())
    expected = exact(u.float()).detach()
    assert float(((y.float() - expected).abs() / expected.abs().clamp(min=0.1)).max()) < 2**-8
    assert torch.equal(ssm.initial_state(2).real, torch.zeros(2, WIDTH, N // 2))  # never fewer digits than float32


def test_an_impulse_at_the_end_does_not_wrap_round_to_the_start() -> None:
    u = torch.zeros(1, LENGTH, WIDTH)
    u[:, -1] = 1.0
    y = make_ssm()(u)[0]
    assert y[:-1].abs().max() < 1e-5
    assert y[-1].abs().max() > 0.1


def test_frequencies_start_as_published() -> None:
    n = np.arange(N // 2)
    np.testing.assert_allclose(make_ssm("lin").frequency[0].detach(), np.pi * n, rtol=1e-6)
    np.testing.assert_allclose(make_ssm("inv").frequency[0].detach(), N / np.pi * (N / (2 * n + 1) - 1), rtol=1e-6)
    np.testing.assert_allclose(make_ssm().log_decay.detach().exp(), 0.5, rtol=1e-6)


def test_no_weights_make_the_system_grow() -> None:
    ssm = make_ssm()
    with torch.no_grad():
        for parameter in ssm.parameters():
            parameter.copy_(3 * torch.randn(parameter.shape))
        decay = torch.exp(ssm.discrete()[0]).abs()
    assert (decay <= 1).all()


def test_s4d_keeps_every_law() -> None:
    assert [outcome for outcome in backbone_laws(S4D) if not outcome.passed] == []


def test_s4d_takes_windows_of_any_length() -> None:
    assert S4D(4, 8)(torch.randn(2, 50, 4)).shape == (2, 50, 32)


def test_time_scales_are_spared_from_weight_decay() -> None:
    spared = S4D(4, 8, depth=1).no_weight_decay
    assert spared == {"blocks.0.ssm.log_dt", "blocks.0.ssm.log_decay", "blocks.0.ssm.frequency"}


@pytest.mark.parametrize(
    ("build", "setting"),
    [
        (lambda: S4D(3, 8, d_state=5), "backbone.d_state is 5, expected an even number"),
        (lambda: S4D(3, 8, depth=0), "backbone.depth is 0"),
        (lambda: S4D(3, 8, init="legs"), "backbone.init is 'legs', expected lin or inv"),
        (lambda: S4D(3, 8, dt_min=0.5, dt_max=0.1), "backbone.dt_min is 0.5"),
    ],
)
def test_impossible_sizes_are_refused_by_name(build: Callable[[], nn.Module], setting: str) -> None:
    with pytest.raises(ConfigError, match=setting):
        build()


def test_it_learns_a_planted_signal(rng: np.random.Generator) -> None:
    from mnpu import training

    world = make_world(rng)
    fitted = fit(world, backbone=S4D)
    forecast = training.forecast(fitted, world.frame, rows=FOLD.test)
    assert rank_ic(forecast.median(), world.labels.values[..., 0]) > 0.6


def test_it_trains_in_bfloat16(rng: np.random.Generator) -> None:
    from tests.core.training_world import settings

    fitted = fit(make_world(rng), backbone=S4D, train=settings(precision="bf16", epochs=1))
    assert np.isfinite(fitted.best.validation)
