"""Weights from a bundle: all of them or none, and only from a fit that knows none of the answers."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mnpu import training
from mnpu.errors import DataError
from mnpu.manifest import seal
from mnpu.nn.dirichlet_quantile import DirichletQuantile
from mnpu.nn.linear import Linear
from mnpu.nn.omni import Omni
from mnpu.nn.point import Point
from mnpu.nn.quantile import Quantile
from mnpu.training import Fitted, FromBundle
from mnpu.training.checkpoints import Every
from mnpu.training.seen import Seen
from mnpu.training.warming import Inherited
from mnpu.types import Fold
from tests.core.training_world import FOLD, World, fit, make_world, settings

EARLIER = Fold(number=2, train=(0, 400), validation=(405, 500), test=(505, 605))
STILL = settings(epochs=1, max_steps_per_epoch=1, lr=1e-30, weight_decay=0.0)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(np.random.default_rng(1))


@pytest.fixture(scope="module")
def earlier(world: World) -> Fitted:
    return fit(world, fold=EARLIER, train=settings(epochs=1), seed=1)


@pytest.fixture
def bundle(earlier: Fitted, tmp_path: Path) -> Path:
    return earlier.save(tmp_path / "bundle")


def equal(a: Fitted, b: Fitted, prefix: str = "") -> bool:
    """To a step at a rate of almost zero."""
    there = b.network.state_dict()
    return all(
        torch.allclose(t, there[name], rtol=0, atol=1e-20)
        for name, t in a.network.state_dict().items()
        if name.startswith(prefix)
    )


def test_training_begins_with_the_weights_of_the_bundle(world: World, earlier: Fitted, bundle: Path) -> None:
    assert equal(fit(world, train=STILL, warm_up=FromBundle(bundle)), earlier)
    assert not equal(fit(world, train=STILL), earlier)


def test_the_backbone_alone_may_be_taken_under_another_head(world: World, earlier: Fitted, bundle: Path) -> None:
    fitted = fit(world, head=Point, train=STILL, warm_up=FromBundle(bundle, "backbone"))
    assert equal(fitted, earlier, "backbone.")
    own = fit(world, head=Point, train=STILL)
    assert equal(fitted, own, "head.")
    assert not equal(fitted, own, "backbone.")


def test_classes_are_parted_by_the_fold_and_not_by_the_bundle(world: World, tmp_path: Path) -> None:
    values = world.labels.values.copy()
    values[400:] += 0.05  # after all that the bundle has learnt from
    moved = replace(world, labels=replace(world.labels, values=values))
    donor = fit(moved, fold=EARLIER, head=DirichletQuantile, train=settings(epochs=1))
    begun = FromBundle(donor.save(tmp_path / "bundle"))
    fitted = fit(moved, head=DirichletQuantile, train=STILL, warm_up=begun)
    assert torch.allclose(fitted.network.head.map.weight, donor.network.head.map.weight, rtol=0, atol=1e-20)
    known = np.sort(moved.labels.values[7:600].ravel())  # lookback 8: windows lie in the training range with every bar
    expected = known[[int(len(known) / 3), int(len(known) * 2 / 3)]]
    np.testing.assert_allclose(fitted.thresholds[0], expected, rtol=1e-6)
    assert not np.allclose(donor.thresholds[0], expected, rtol=1e-2)


def test_a_good_beginning_is_seen_in_the_first_epoch(world: World, bundle: Path) -> None:
    first = [fit(world, train=settings(epochs=1, lr=1e-5), warm_up=w).history[0] for w in (None, FromBundle(bundle))]
    assert first[1].validation < 0.8 * first[0].validation


@pytest.mark.parametrize(
    ("fold", "reason"),
    [
        (Fold(0, train=(0, 300), validation=(305, 500), test=(505, 605)), "was trained up to 2001-02-05"),
        (Fold(0, train=(0, 420), validation=(425, 470), test=(475, 600)), "has seen all up to 2001-05-16"),
    ],
)
def test_weights_that_know_the_answers_are_refused(world: World, bundle: Path, fold: Fold, reason: str) -> None:
    """The earlier fit has trained on bars 0 to 399 and was chosen on 405 to 499."""
    with pytest.raises(DataError, match=reason) as caught:
        fit(world, fold=fold, train=STILL, warm_up=FromBundle(bundle))
    assert caught.value.where == "fold 1"


def test_the_newest_bundle_of_a_run_that_may_be_used_is_taken(world: World, earlier: Fitted, tmp_path: Path) -> None:
    run = tmp_path / "run"
    oldest = fit(world, fold=Fold(0, (0, 300), (305, 350), (355, 400)), train=STILL, seed=5)
    latest = fit(world, fold=FOLD, train=STILL, seed=6)
    for number, one in enumerate((oldest, earlier, latest)):
        one.save(run / "bundle" / f"fold-{number:02d}")
    of_fold = partial(fit, world, train=STILL, warm_up=FromBundle(run))
    assert equal(of_fold(), latest)
    assert equal(of_fold(fold=EARLIER), earlier)
    assert equal(of_fold(fold=Fold(0, (0, 390), (395, 440), (445, 500))), oldest)
    with pytest.raises(DataError, match=r"fold-02 was trained up to .*; fold-01 was .*; fold-00 was trained up to"):
        of_fold(fold=Fold(0, (0, 200), (205, 340), (355, 400)))


def test_members_of_an_ensemble_begin_with_members(world: World, tmp_path: Path) -> None:
    usual: dict[str, Any] = {"backbone": Linear, "head": Quantile, "lookback": 8, "min_present": 0.8, "device": "cpu"}
    both = partial(training.fit_ensemble, world.frame, world.labels, members=2, train=STILL, **usual)
    before = both(EARLIER, seed=1)
    after = both(FOLD, seed=2, warm_up=FromBundle(before.save(tmp_path / "bundle")))
    assert equal(after, before)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"backbone": Omni}, "the bundle has no tensor backbone.blocks.0.mix.bias|the bundle has a tensor backbone"),
        ({"backbone": partial(Linear, d_model=16)}, r"backbone\.map\.bias of shape \[32\], expected .* \[16\]"),
        ({"head": partial(Quantile, levels=(0.1, 0.5, 0.9))}, r"head\.map\.bias of shape \[\d+\], expected .* \[3\]"),
    ],
)
def test_another_network_is_refused_by_tensor(world: World, bundle: Path, changed: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit(world, train=STILL, warm_up=FromBundle(bundle), **changed)


def test_other_columns_and_other_gaps_are_refused(world: World, bundle: Path) -> None:
    renamed = World(replace(world.frame, names=("a", "b", "c", "d")), world.labels)
    with pytest.raises(DataError, match=r"the bundle's features are noise\.f0, .*, expected .*: a, b, c, d"):
        fit(renamed, train=STILL, warm_up=FromBundle(bundle))
    values = world.frame.values.copy()
    values[3, :, 2] = np.nan
    with pytest.raises(DataError, match=r"with gaps in no feature, expected .*: noise\.f2; each brings an input"):
        fit(World(replace(world.frame, values=values), world.labels), train=STILL, warm_up=FromBundle(bundle))


def test_a_path_without_a_bundle_and_a_changed_bundle_are_refused(world: World, bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"model\.warm_start is .*nowhere, and no bundle lies there"):
        fit(world, train=STILL, warm_up=FromBundle(tmp_path / "nowhere"))
    content = bytearray((bundle / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (bundle / "weights.safetensors").write_bytes(content)
    with pytest.raises(DataError, match="has changed since the bundle was written"):
        fit(world, train=STILL, warm_up=FromBundle(bundle))


@pytest.mark.parametrize(
    "scaler", [None, [], {"fit_end": 5}, {"fit_end": "1990-01-01"}, {"fit_end": "some day"}], ids=str
)
def test_a_bundle_that_does_not_say_what_it_has_seen_is_refused(world: World, bundle: Path, scaler: Any) -> None:
    state = json.loads((bundle / "fitted.json").read_text())
    state["scaler"] = state["scaler"] | scaler if isinstance(scaler, dict) else scaler
    weights = (bundle / "weights.safetensors").read_bytes()
    shutil.rmtree(bundle)
    seal(bundle, {"fitted.json": json.dumps(state).encode(), "weights.safetensors": weights})
    with pytest.raises(DataError, match="it is not what a bundle says of itself"):
        fit(world, train=STILL, warm_up=FromBundle(bundle))


def without_what_was_seen(bundle: Path, **changed: Any) -> Path:
    """The bundle sealed anew, with ``changed`` in place of what it says of what it has seen."""
    state = json.loads((bundle / "fitted.json").read_text())
    del state["seen"]
    weights = (bundle / "weights.safetensors").read_bytes()
    files = {"fitted.json": json.dumps(state | changed).encode(), "weights.safetensors": weights}
    return seal(bundle.with_name(f"{bundle.name}-again"), files)


def test_weights_that_were_chosen_on_what_is_calibrated_are_refused(world: World, bundle: Path) -> None:
    """The bundle was stopped on bars 405 to 499."""
    same = Fold(2, train=(0, 400), validation=(405, 450), test=(505, 605))
    begun = partial(fit, world, fold=same, train=STILL, warm_up=FromBundle(bundle))
    begun()
    begun(calibration=(499, 505))
    with pytest.raises(DataError, match=r"bundle has seen all up to 2001-05-16, .* known by 2001-05-15"):
        begun(calibration=(498, 505))


def test_of_a_run_without_calibration_an_earlier_bundle_calibrates(world: World, tmp_path: Path) -> None:
    run, folds = tmp_path / "run", [Fold(0, (0, 300), (305, 350), (355, 400)), EARLIER]
    fits = [fit(world, fold=fold, train=STILL, seed=5 + fold.number) for fold in folds]
    for number, one in enumerate(fits):
        one.save(run / "bundle" / f"fold-{number:02d}")
    own = replace(EARLIER, validation=(405, 450))
    begun = partial(fit, world, fold=own, train=STILL, warm_up=FromBundle(run))
    assert equal(begun(), fits[1])
    assert equal(begun(calibration=(455, 500)), fits[0])


def test_what_a_bundle_had_begun_with_is_carried_on(world: World, bundle: Path, tmp_path: Path) -> None:
    """A fit of earlier bars that begins with the bundle has seen what the bundle has."""
    short = Fold(0, train=(0, 350), validation=(400, 440), test=(520, 600))
    alone, chained = (fit(world, fold=short, train=STILL, warm_up=w) for w in (None, FromBundle(bundle)))
    times = world.frame.times
    assert alone.seen == Seen(times[349], times[439])
    assert chained.seen == Seen(times[399], times[499])
    kept = chained.save(tmp_path / "chained")
    with pytest.raises(DataError, match="chained has seen all up to 2001-05-16"):
        fit(world, fold=replace(short, test=(460, 600)), train=STILL, warm_up=FromBundle(kept))
    usual: dict[str, Any] = {"backbone": Linear, "head": Quantile, "lookback": 8, "min_present": 0.8, "device": "cpu"}
    both = training.fit_ensemble(
        world.frame, world.labels, short, members=2, train=STILL, seed=1, warm_up=FromBundle(bundle), **usual
    )
    assert both.seen == chained.seen


def test_a_fit_that_goes_on_still_knows_what_it_began_with(world: World, bundle: Path, tmp_path: Path) -> None:
    class Stop(training.Callback):
        def on_fit_end(self, loop: Any) -> None:
            raise InterruptedError

    short = Fold(0, train=(0, 350), validation=(400, 440), test=(520, 600))
    checkpoints = training.Checkpoints(tmp_path / "checkpoints", Every(1, "epoch"))
    begun = partial(fit, world, fold=short, train=STILL, warm_up=FromBundle(bundle), checkpoints=checkpoints)
    with pytest.raises(InterruptedError):
        begun(callbacks=[Stop()])
    shutil.rmtree(bundle)
    assert begun().seen == Seen(world.frame.times[399], world.frame.times[499])


def test_a_checkpoint_that_does_not_say_what_it_began_with_may_have_seen_all(
    world: World, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = Fold(0, train=(0, 350), validation=(400, 440), test=(520, 600))
    checkpoints = training.Checkpoints(tmp_path / "checkpoints", Every(1, "epoch"))
    begun = partial(fit, world, fold=short, train=STILL, warm_up=FromBundle(bundle), checkpoints=checkpoints)
    with monkeypatch.context() as patched:
        patched.setattr(Inherited, "name", "")
        begun()
    assert begun().seen == Seen(world.frame.times[400], world.frame.times[520])


def test_an_older_bundle_may_have_seen_all_before_its_test_range(world: World, bundle: Path) -> None:
    tested_from = world.frame.times[EARLIER.test[0]].isoformat()
    older = FromBundle(without_what_was_seen(bundle, tested_from=tested_from))
    begun = partial(fit, world, fold=replace(EARLIER, validation=(405, 450)), train=STILL, warm_up=older)
    assert begun().seen.until == world.frame.times[505]
    with pytest.raises(DataError, match="bundle-again has seen all up to 2001-05-22 for all that it says") as caught:
        begun(calibration=(504, 505))
    assert "mnpu run RUN/resolved.yaml" in caught.value.next_step
    shutil.rmtree(older.path)
    silent = FromBundle(without_what_was_seen(bundle))
    with pytest.raises(DataError, match="bundle-again does not say what it has seen,"):
        fit(world, train=STILL, warm_up=silent)


@pytest.mark.parametrize(
    "seen",
    [
        {"trained_until": "2001-05-16", "until": "2001-05-16"},
        {"trained_until": "2000-05-16T21:00:00+00:00", "until": "2001-05-16T21:00:00+00:00"},
        {"trained_until": "2001-05-16T21:00:00+00:00", "until": "2001-05-15T21:00:00+00:00"},
        {"until": "2001-05-16T21:00:00+00:00"},
        "2001-05-16",
    ],
    ids=str,
)
def test_what_was_seen_must_be_possible(world: World, bundle: Path, seen: Any) -> None:
    """Training ended on 2001-02-05."""
    with pytest.raises(DataError, match="it is not what a bundle says of itself"):
        fit(world, train=STILL, warm_up=FromBundle(without_what_was_seen(bundle, seen=seen)))
