"""An exported file gives the network's numbers in a runtime that knows nothing of this project."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs mnpu-core[train]")
onnx = pytest.importorskip("onnx", reason="export needs mnpu-core[export]")
ort = pytest.importorskip("onnxruntime", reason="export needs mnpu-core[export]")
pytest.importorskip("onnxscript", reason="export needs mnpu-core[export]")

import torch  # noqa: E402

from mnpu import training  # noqa: E402
from mnpu.errors import ConfigError, MnpuError  # noqa: E402
from mnpu.nn.dirichlet_quantile import DirichletQuantile  # noqa: E402
from mnpu.nn.ensemble import Ensemble  # noqa: E402
from mnpu.nn.linear import Linear  # noqa: E402
from mnpu.nn.network import Network  # noqa: E402
from mnpu.plugins.registry import Registry  # noqa: E402
from mnpu.training import Fitted  # noqa: E402
from mnpu.training.calibrating import Calibration  # noqa: E402
from mnpu.training.export import Exported, export, forecasts_of, to_onnx  # noqa: E402
from tests.core.training_world import FOLD, fit, make_world, settings  # noqa: E402

REGISTRY = Registry.discover()
BACKBONES = [component.name for component in REGISTRY.components("backbone")]
HEADS = [component.name for component in REGISTRY.components("head")]
LOOKBACK, COLUMNS, HORIZONS = 12, 5, 2


def network(backbone: str, head: str) -> Network:
    torch.manual_seed(3)
    body = REGISTRY.build("backbone", backbone, {}, n_features=COLUMNS, lookback=LOOKBACK)
    net = Network(body, REGISTRY.build("head", head, {}, d_in=body.d_out, n_horizons=HORIZONS))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.05 * torch.randn_like(parameter)  # no zero or one left to hide what is not exported
    return net.eval()


@pytest.mark.parametrize(
    ("backbone", "head"), [*((b, "quantile") for b in BACKBONES), *(("linear", h) for h in HEADS if h != "quantile")]
)
def test_onnx_gives_the_numbers_of_the_network_for_any_number_of_windows(backbone: str, head: str) -> None:
    net, scale = network(backbone, head), np.array([0.02, 0.5])
    content = to_onnx(Exported(net, scale).eval(), torch.randn(3, LOOKBACK, COLUMNS))
    session = ort.InferenceSession(content)
    assert [i.shape for i in session.get_inputs()] == [["batch", LOOKBACK, COLUMNS]]
    for batch in (1, 2, 7):
        x = torch.randn(batch, LOOKBACK, COLUMNS, generator=torch.Generator().manual_seed(batch))
        said = net.forecast(x)
        found = dict(
            zip([o.name for o in session.get_outputs()], session.run(None, {"windows": x.numpy()}), strict=True)
        )
        quantiles = said.quantiles.detach().double().numpy() * scale[:, None]
        np.testing.assert_allclose(
            found["quantiles"] / scale[:, None], quantiles / scale[:, None], rtol=1e-5, atol=1e-5
        )
        for name in ("probabilities", "evidence"):
            expected = getattr(said, name)
            assert (name in found) == (expected is not None)
            if expected is not None:
                np.testing.assert_allclose(found[name], expected.detach().numpy(), rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return fit(make_world(np.random.default_rng(1), horizons=2), train=settings(epochs=1))


@pytest.mark.parametrize(("kind", "file"), [("onnx", "model.onnx"), ("torch", "model.pt2")])
def test_a_fitted_network_is_written_with_what_its_inputs_are(
    fitted: Fitted, tmp_path: Path, kind: str, file: str
) -> None:
    facts = export(fitted, tmp_path / "out", kind=kind, origin={"run_id": "r-001"})
    assert facts["largest_difference"] <= 1e-5
    described = json.loads((tmp_path / "out" / "export.json").read_text())
    assert described["origin"] == {"run_id": "r-001"}
    assert described["input"]["columns"] == list(fitted.names)
    raw = np.random.default_rng(0).normal(3, 2, (4, fitted.lookback, len(fitted.names)))  # (B, L, F)
    scaled = (raw - np.array(described["input"]["mean"])) / np.array(described["input"]["std"])
    windows = torch.from_numpy(scaled.astype(np.float32))
    content = (tmp_path / "out" / file).read_bytes()
    (quantiles,) = forecasts_of(content, kind, windows)
    expected = fitted.network(windows).detach().double().numpy() * fitted.target_scale[:, None]
    np.testing.assert_allclose(quantiles, expected, rtol=1e-4, atol=1e-5 * fitted.target_scale.max())


def test_what_is_exported_is_calibrated_as_the_bundle_is(tmp_path: Path) -> None:
    world = make_world(np.random.default_rng(1), horizons=2)
    plain = fit(world, head=DirichletQuantile, train=settings(epochs=1))
    shifts = 0.01 * np.array([[0.5, -0.2, 0.1, 0.0, 0.3, -0.4, 0.2], [-0.5, 0.0, 0.2, 0.1, -0.3, 0.4, 0.6]])
    found = Calibration(shifts, (0.7, 1.6), (600, 725), world.frame.times[FOLD.test[0]])
    calibrated = replace(plain, calibration=found)
    assert export(calibrated, tmp_path / "out", kind="onnx")["largest_difference"] <= 1e-5
    assert json.loads((tmp_path / "out" / "export.json").read_text())["calibrated"]
    forecast = training.forecast(calibrated, world.frame, rows=FOLD.test)
    t, a = FOLD.test[0] + 40, 2
    lookback = world.frame.values[t - calibrated.lookback + 1 : t + 1, [a]]
    windows = torch.from_numpy(calibrated.scaler.scale(lookback).transpose(1, 0, 2).copy())  # (1, L, F')
    content = (tmp_path / "out" / "model.onnx").read_bytes()
    quantiles, probabilities, evidence = forecasts_of(content, "onnx", windows)
    scale = calibrated.target_scale[:, None]
    np.testing.assert_allclose(quantiles[0] / scale, forecast.quantiles[t, a] / scale, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(probabilities[0], forecast.probabilities[t, a], rtol=1e-5)
    np.testing.assert_allclose(evidence[0], forecast.evidence[t, a], rtol=1e-5)


def test_an_ensemble_is_exported_as_one(tmp_path: Path) -> None:
    world = make_world(np.random.default_rng(1), horizons=2)
    one, other = (fit(world, head=DirichletQuantile, seed=seed, train=settings(epochs=1)) for seed in (1, 2))
    both = replace(one, network=Ensemble([one.network, other.network]).eval())
    assert export(both, tmp_path / "out", kind="onnx")["largest_difference"] <= 1e-5
    windows = torch.randn(3, both.lookback, both.scaler.n_columns)
    found = forecasts_of((tmp_path / "out" / "model.onnx").read_bytes(), "onnx", windows)
    each = [member.network(windows).detach().numpy() for member in (one, other)]
    scale = both.target_scale[:, None]
    np.testing.assert_allclose(found[0] / scale, np.mean(each, axis=0), rtol=1e-5, atol=1e-5)


def test_a_network_whose_export_differs_is_refused_and_nothing_is_written(
    fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mnpu.training import export as module

    def slightly_off(*given):
        return [part * 1.001 for part in forecasts_of(*given)]

    monkeypatch.setattr(module, "forecasts_of", slightly_off)
    with pytest.raises(MnpuError, match=r"model\.onnx differs from the network by 0\.00"):
        export(fitted, tmp_path / "out", kind="onnx")
    assert not (tmp_path / "out").exists()


class Branching(Linear):
    """A network that looks at its numbers to decide what to do, which no graph can hold."""

    def summary(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, L, F) -> (B, D)``."""
        return super().summary(x) if float(x.mean()) > 0 else super().summary(x).abs()


def test_a_network_that_branches_on_numbers_is_named(tmp_path: Path) -> None:
    branching = fit(make_world(np.random.default_rng(1)), backbone=partial(Branching), train=settings(epochs=1))
    with pytest.raises(MnpuError, match="Branching cannot be exported"):
        export(branching, tmp_path / "out", kind="onnx")


def test_an_unknown_format_is_refused(fitted: Fitted, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the format is 'pickle', expected onnx or torch"):
        export(fitted, tmp_path / "out", kind="pickle")
