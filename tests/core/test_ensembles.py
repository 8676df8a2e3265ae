"""An ensemble is the average of its members: nothing else differs, and it is kept and forecast as one network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mnpu import training
from mnpu.config.models import MaskedConfig
from mnpu.nn.dirichlet_quantile import DirichletQuantile
from mnpu.nn.ensemble import averaged
from mnpu.nn.linear import Linear
from mnpu.nn.protocols import HeadOutput
from mnpu.nn.quantile import Quantile
from mnpu.training import Callback, Checkpoints, Fitted
from mnpu.training.checkpoints import Every
from mnpu.training.ensembles import member_seed
from mnpu.training.export import export, forecasts_of
from mnpu.training.loop import Loop
from tests.core.training_world import FOLD, World, fit, make_world, settings


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(np.random.default_rng(1), horizons=2)


def together(world: World, members: int, **changed: Any) -> Fitted:
    usual: dict[str, Any] = {"backbone": Linear, "head": Quantile, "lookback": 8, "min_present": 0.8, "device": "cpu"}
    usual["seed"] = 7
    usual["train"] = settings(epochs=2, max_steps_per_epoch=8)
    return training.fit_ensemble(world.frame, world.labels, FOLD, members=members, **{**usual, **changed})


def quantiles(fitted: Fitted, world: World) -> np.ndarray:
    return training.forecast(fitted, world.frame, rows=FOLD.test).quantiles[slice(*FOLD.test)]


def test_its_quantiles_are_the_mean_of_separate_fits(world: World) -> None:
    train = settings(epochs=2, max_steps_per_epoch=8)
    alone = [quantiles(fit(world, seed=member_seed(7, k), train=train), world) for k in range(3)]
    assert not np.array_equal(alone[0], alone[1])
    np.testing.assert_allclose(quantiles(together(world, 3), world), np.mean(alone, axis=0), rtol=1e-5, atol=1e-9)


def test_one_member_is_the_plain_fit_bit_by_bit(world: World) -> None:
    plain = fit(world, train=settings(epochs=2, max_steps_per_epoch=8))
    np.testing.assert_array_equal(quantiles(together(world, 1), world), quantiles(plain, world))


def test_the_same_seed_gives_the_same_bits_and_quantiles_never_cross(world: World) -> None:
    first, second = (quantiles(together(world, 2), world) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (np.diff(first, axis=-1) >= 0).all()


def test_a_bundle_gives_all_members_back(world: World, tmp_path: Path) -> None:
    fitted = together(world, 3, head=DirichletQuantile)
    loaded = training.load(fitted.save(tmp_path / "bundle"), Linear, DirichletQuantile)
    said, again = (training.forecast(one, world.frame, rows=FOLD.test) for one in (fitted, loaded))
    np.testing.assert_array_equal(again.quantiles, said.quantiles)
    np.testing.assert_array_equal(again.probabilities, said.probabilities)
    np.testing.assert_array_equal(again.evidence, said.evidence)
    assert loaded.members == fitted.members
    assert [len(history) for history in loaded.members] == [2, 2, 2]


def test_a_fit_that_was_stopped_goes_on_with_the_member_and_the_pretraining_that_it_had(
    world: World, tmp_path: Path
) -> None:
    class Killed(Exception):
        pass

    class Killing(Callback):
        left = 3  # the second member's first epoch

        def on_epoch_over(self, loop: Loop) -> None:
            self.left -= 1
            if not self.left:
                raise Killed

    train = settings(epochs=2, max_steps_per_epoch=8, pretrain=MaskedConfig(use="masked", epochs=2))
    whole = together(world, 2, train=train)
    checkpoints = Checkpoints(tmp_path, Every(1, "epoch"))
    killing = Killing()
    with pytest.raises(Killed):
        together(world, 2, train=train, checkpoints=checkpoints, watchers=[[killing], [killing]])
    resumed = together(world, 2, train=train, checkpoints=checkpoints)
    np.testing.assert_array_equal(quantiles(resumed, world), quantiles(whole, world))
    assert resumed.pretraining == whole.pretraining
    assert len(whole.pretraining) == 2
    assert resumed.members == whole.members


def test_where_no_window_is_usable_there_is_no_forecast(world: World) -> None:
    said = training.forecast(together(world, 2), world.frame, rows=(900, 900))
    assert not np.isfinite(said.quantiles).any()


def test_increasing_members_average_to_increasing_quantiles_in_floats(rng: np.random.Generator) -> None:
    """Steps of a few ulps, where the order of the sums could cross them."""
    steps = rng.integers(0, 3, (7, 1000, 1, 9)) * np.float32(1e-7)
    members = (1.0 + steps.cumsum(-1)).astype("float32")
    mean = averaged([HeadOutput(torch.from_numpy(member)) for member in members]).quantiles
    assert (mean.diff(dim=-1) >= 0).all()


def test_pooled_evidence_has_the_variance_of_the_mixture(rng: np.random.Generator) -> None:
    """Against draws: a Dirichlet law with the pooled numbers is as wide as draws from the members at random."""
    p = rng.dirichlet(np.ones(3) * 4, size=4)  # (K, C)
    s = rng.uniform(5, 50, size=4)
    outputs = [
        HeadOutput(torch.zeros(1, 1, 1), torch.tensor(p[k])[None, None], torch.tensor([[s[k]]])) for k in range(4)
    ]
    pooled = averaged(outputs)
    assert pooled.probabilities is not None
    assert pooled.evidence is not None
    np.testing.assert_allclose(pooled.probabilities[0, 0].numpy(), p.mean(0))
    mixture = np.concatenate([rng.dirichlet(p[k] * s[k], size=100_000) for k in range(4)])
    law = rng.dirichlet(pooled.probabilities[0, 0].numpy() * float(pooled.evidence), size=400_000)
    assert law.var(axis=0).sum() == pytest.approx(mixture.var(axis=0).sum(), rel=0.01)
    assert float(pooled.evidence) < s.max()


def test_equal_members_leave_their_own_evidence_and_certain_ones_too() -> None:
    for p in ([0.2, 0.3, 0.5], [0.0, 0.0, 1.0]):
        one = HeadOutput(torch.zeros(1, 1, 1), torch.tensor([[p]]), torch.tensor([[12.5]]))
        pooled = averaged([one, one, one]).evidence
        assert pooled is not None
        assert float(pooled) == pytest.approx(12.5, rel=1e-6)


def test_an_ensemble_is_exported_as_one_network(world: World, tmp_path: Path) -> None:
    fitted = together(world, 2)
    facts = export(fitted, tmp_path / "out", kind="torch")
    assert facts["largest_difference"] < 1e-5
    windows = torch.randn(5, 8, 4, generator=torch.Generator().manual_seed(0))
    [said, *_] = forecasts_of((tmp_path / "out" / facts["file"]).read_bytes(), "torch", windows)
    with torch.no_grad():
        members = [member.forecast(windows).quantiles for member in fitted.network.members]
    expected = torch.stack(members).mean(0).numpy() * fitted.target_scale[:, None]
    np.testing.assert_allclose(said, expected, atol=1e-6)
