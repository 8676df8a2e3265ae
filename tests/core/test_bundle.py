"""A bundle gives back what was saved, or nothing at all."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mnpu import training
from mnpu.bundles import Bundle
from mnpu.errors import DataError, MnpuError
from mnpu.manifest import seal
from mnpu.nn.dirichlet_quantile import DirichletQuantile
from mnpu.nn.linear import Linear
from mnpu.nn.omni import Omni
from mnpu.nn.quantile import Quantile
from mnpu.training import Fitted
from tests.core.training_world import FOLD, World, fit, make_world, settings


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(np.random.default_rng(1))


@pytest.fixture(scope="module")
def fitted(world: World) -> Fitted:
    return fit(world, backbone=Omni, train=settings(epochs=1))


@pytest.fixture
def bundle(fitted: Fitted, tmp_path: Path) -> Path:
    return fitted.save(tmp_path / "bundle", extra={"resolved.yaml": "name: test\n"})


def test_a_loaded_network_gives_the_same_bits(bundle: Path, fitted: Fitted, world: World) -> None:
    loaded = training.load(bundle, Omni, Quantile)
    before = training.forecast(fitted, world.frame, rows=FOLD.test)
    after = training.forecast(loaded, world.frame, rows=FOLD.test)
    np.testing.assert_array_equal(after.quantiles, before.quantiles)
    assert (after.levels, after.horizons) == (before.levels, before.horizons)
    assert (loaded.fold, loaded.history, loaded.names) == (fitted.fold, fitted.history, fitted.names)
    assert loaded.scaler.to_dict() == fitted.scaler.to_dict()


def test_thresholds_are_no_parameters_whoever_counts(world: World, tmp_path: Path) -> None:
    one = fit(world, head=DirichletQuantile, train=settings(epochs=1, max_steps_per_epoch=2))
    assert sum(tensor.numel() for tensor in one.network.state_dict().values()) == one.n_parameters + 2
    assert Bundle.open(one.save(tmp_path / "bundle")).facts()["parameters"] == one.n_parameters


def test_nothing_in_it_is_pickled(bundle: Path) -> None:
    names = {"fitted.json", "manifest.json", "resolved.yaml", "weights.safetensors"}
    assert {path.name for path in bundle.iterdir()} == names
    assert not any(path.read_bytes().startswith((b"\x80", b"PK")) for path in bundle.iterdir())


@pytest.mark.parametrize("name", ["weights.safetensors", "fitted.json", "resolved.yaml"])
@pytest.mark.parametrize("place", [0, -2])
def test_one_changed_byte_is_refused(bundle: Path, name: str, place: int) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[place] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name} has changed since the bundle was written"):
        training.load(bundle, Omni, Quantile)


def test_a_bundle_without_its_manifest_was_never_finished(bundle: Path) -> None:
    (bundle / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"manifest\.json cannot be read"):
        training.load(bundle, Omni, Quantile)


def test_a_missing_file_is_named(bundle: Path) -> None:
    (bundle / "weights.safetensors").unlink()
    with pytest.raises(DataError, match=r"weights\.safetensors cannot be read"):
        training.load(bundle, Omni, Quantile)


def test_a_damaged_manifest_is_refused(bundle: Path) -> None:
    (bundle / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="not readable"):
        training.load(bundle, Omni, Quantile)


def test_a_bundle_of_a_later_format_is_refused(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(DataError, match="bundle format 99"):
        training.load(bundle, Omni, Quantile)


@pytest.mark.parametrize("other", [Linear, partial(Omni, d_model=16)])
def test_weights_of_another_network_are_refused(bundle: Path, other: type) -> None:
    with pytest.raises(DataError, match="not those of the network"):
        training.load(bundle, other, Quantile)


def test_a_folder_that_holds_something_is_left_alone(fitted: Fitted, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(MnpuError, match="it is not empty"):
        fitted.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def sealed_anew(bundle: Path, **changed: object) -> Path:
    """The bundle of a stranger: other contents, and a manifest that vouches for them."""
    state = json.loads((bundle / "fitted.json").read_text()) | changed
    (bundle / "fitted.json").write_text(json.dumps(state))
    files = {path.name: path.read_bytes() for path in bundle.iterdir() if path.name != "manifest.json"}
    shutil.rmtree(bundle)
    return seal(bundle, files)


@pytest.mark.parametrize(
    "changed",
    [
        {"scaler": None},
        {"scaler": [1]},
        {"history": ["x"]},
        {"seen": "yesterday"},
        {"seen": {"trained_until": "yesterdayy", "until": "today"}},
        {"fold": None},
        {"members": 3},
        {"n_columns": 10**12},
        {"lookback": "8"},
        {"lookback": -1},
    ],
)
def test_a_whole_bundle_that_makes_no_sense_is_refused_as_one(bundle: Path, changed: dict[str, object]) -> None:
    with pytest.raises(DataError, match="it is not what a bundle says of itself"):
        training.load(sealed_anew(bundle, **changed), Omni, Quantile)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"levels": [0.1, 0.5, 0.9]}, "levels are [0.1, 0.5, 0.9], expected those of its network, [0.05,"),
        ({"target_scale": [float("nan")]}, "target_scale is nan, expected a positive number"),
        (
            {"labels_learnt": [[float("nan"), 0.1]]},
            "labels_learnt is [[nan, 0.1]], expected finite numbers, a row for each",
        ),
        ({"labels_learnt": [0.1]}, "labels_learnt is [0.1], expected finite numbers, a row for each of its 1 horizons"),
        ({"target_scale": [-0.5]}, "target_scale is -0.5, expected a positive number"),
        ({"target_scale": [1.0, 1.0]}, "target_scale has the shape (2,), expected a number for each of its 1 horizons"),
        ({"n_parameters": 3}, "n_parameters is 3, expected those of its network"),
        ({"lookback": 10**12}, "lookback is 1000000000000, expected at most 600, the bars of its training range"),
        ({"names": ["noise.f0"]}, "scaler.mean has the shape (4,), expected a number for each of its 1 names"),
        ({"names": ["noise.f0"] * 4}, "names are ['noise.f0', 'noise.f0', 'noise.f0', 'noise.f0'], expected one of"),
        ({"horizons": [0]}, "horizons are [0], expected positive numbers of bars"),
        ({"min_present": float("nan")}, "min_present is nan, expected a fraction from 0 to 1"),
        (
            {"fold": {"number": 3, "train": [0, 600], "validation": [500, 725], "test": [730, 900]}},
            "fold.validation is [500, 725], expected a range that begins at 600, where train ends, or later",
        ),
        (
            {"calibration": {"shifts": [[0.0]], "temperatures": [], "rows": [725, 730], "since": "2002-01-01"}},
            "calibration.shifts has the shape (1, 1), expected (1, ",
        ),
    ],
)
def test_a_state_that_contradicts_itself_or_its_network_is_refused(
    bundle: Path, changed: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError) as caught:
        training.load(sealed_anew(bundle, **changed), Omni, Quantile)
    assert f"fitted.json: {message}" in str(caught.value)


@pytest.mark.parametrize(("std", "first"), [(0.0, "0.0"), (float("inf"), "inf")])
def test_a_scaler_that_divides_by_nothing_is_refused(bundle: Path, std: float, first: str) -> None:
    scaler = json.loads((bundle / "fitted.json").read_text())["scaler"]
    with pytest.raises(DataError, match=f"scaler.std is {first}, expected positive numbers"):
        training.load(sealed_anew(bundle, scaler={**scaler, "std": [std] * 4}), Omni, Quantile)


@pytest.mark.parametrize(
    "changed",
    [{"scaler": [1]}, {"fold": None}, {"members": 3}, {"history": ["x"]}, {"n_parameters": "3"}, {"labels_learnt": 3}],
)
def test_what_makes_no_sense_is_not_shown(bundle: Path, changed: dict[str, object]) -> None:
    with pytest.raises(DataError, match="it is not what a bundle says of itself"):
        Bundle.open(sealed_anew(bundle, **changed)).facts()


@pytest.mark.parametrize(
    "origin",
    [
        {"model": "x"},
        {"model": {"backbone": 3, "head": {"use": "quantile"}}},
        {"model": {"backbone": {"use": "omni"}, "head": None}},
        {"model": {"backbone": {"use": "omni"}, "head": {"use": "quantile"}}, "versions": [1]},
        {"model": {"backbone": {"use": "omni"}, "head": {"use": "quantile"}}, "target": "direction"},
    ],
)
def test_an_origin_that_makes_no_sense_is_refused(fitted: Fitted, tmp_path: Path, origin: dict[str, object]) -> None:
    opened = Bundle.open(fitted.save(tmp_path / "bundle", extra={"origin.json": json.dumps(origin)}))
    for ask in (opened.facts, lambda: opened.model):
        with pytest.raises(DataError, match="it is not what a bundle says of itself"):
            ask()


@pytest.mark.parametrize("written", ["1", "true"])
def test_a_manifest_that_calls_itself_older_is_refused(bundle: Path, written: str) -> None:
    content = (bundle / "manifest.json").read_text()
    (bundle / "manifest.json").write_text(content.replace('"format": 2', f'"format": {written}'))
    with pytest.raises(DataError, match=r"manifest\.json has changed|bundle format True"):
        training.load(bundle, Omni, Quantile)


def test_a_manifest_of_the_first_format_is_read(bundle: Path) -> None:
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    (bundle / "manifest.json").write_text(json.dumps({"format": 1, "files": files}))
    assert training.load(bundle, Omni, Quantile).names
