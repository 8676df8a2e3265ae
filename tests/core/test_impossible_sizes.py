"""One table of what cannot be built: each is refused by the name of its setting, before anything is computed."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

from mnpu.config.load import load_text
from mnpu.config.resolve import resolve
from mnpu.errors import ConfigError
from mnpu.plugins.registry import Registry

REGISTRY = Registry.discover()
INSTALLED = {(c.kind, c.name) for c in REGISTRY.components()}
LOOKBACK = 16
LEAST = {"dlinear": 3}  #: bars, where one is not enough

#: Backbone, settings, the setting that the error names, a part of what was expected.
BACKBONES: list[tuple[str, dict[str, Any], str, str]] = [
    ("linear", {"d_model": 0}, "d_model", "at least 1"),
    ("dlinear", {"d_model": 0}, "d_model", "at least 1"),
    ("dlinear", {"d_column": 0}, "d_column", "at least 1"),
    ("dlinear", {"kernel_size": 4}, "kernel_size", "an odd number"),
    ("dlinear", {"kernel_size": 17}, "kernel_size", "at most the lookback, 16"),
    ("gru", {"d_model": 0}, "d_model", "at least 1"),
    ("gru", {"depth": 0}, "depth", "at least 1"),
    ("tcn", {"d_model": 0}, "d_model", "at least 1"),
    ("tcn", {"kernel_size": 1}, "kernel_size", "at least 2"),
    ("tcn", {"depth": 0}, "depth", "at least 1"),
    ("tcn", {"depth": 6}, "depth", "at most 4, so that dilations stay below the lookback, 16"),
    ("tcn", {"dropout": 1.0}, "dropout", "less than 1"),
    ("patch_transformer", {"d_model": 0}, "d_model", "at least 1"),
    ("patch_transformer", {"d_model": 30}, "d_model", "a multiple of n_heads, 4"),
    ("patch_transformer", {"n_heads": 3}, "d_model", "a multiple of n_heads, 3"),
    ("patch_transformer", {"depth": 0}, "depth", "at least 1"),
    ("patch_transformer", {"d_ff": 0}, "d_ff", "at least 1"),
    ("patch_transformer", {"patch_length": 17}, "patch_length", "at most the lookback, 16"),
    ("patch_transformer", {"patch_length": 4, "stride": 5}, "stride", "at most patch_length, 4"),
    ("patch_transformer", {"stride": 0}, "stride", "at least 1"),
    ("patch_transformer", {"channels": "both"}, "channels", "mixed"),
    ("patch_transformer", {"dropout": -0.1}, "dropout", "at least 0"),
    ("omni", {"d_model": 0}, "d_model", "at least 1"),
    ("omni", {"d_model": 30}, "d_model", "a multiple of n_heads, 4"),
    ("omni", {"depth": 0}, "depth", "at least 1"),
    ("omni", {"scales": []}, "scales", "at least one scale"),
    ("omni", {"scales": [0]}, "scales", "a positive integer"),
    ("omni", {"scales": [1, 16]}, "scales", "scales shorter than the lookback, 16"),
    ("omni", {"resolutions": []}, "resolutions", "at least one resolution"),
    ("omni", {"resolutions": [1, 0]}, "resolutions", "a positive integer"),
    ("omni", {"resolutions": [1, 5]}, "resolutions", "patches of 4 points no longer than the lookback, 16"),
    ("omni", {"resolutions": [1, 4, 1]}, "resolutions", "resolutions that do not repeat"),
    ("s4d", {"d_state": 15}, "d_state", "an even number"),
    ("s4d", {"d_state": 0}, "d_state", "at least 2"),
    ("s4d", {"init": "hippo"}, "init", "lin"),
    ("s4d", {"dt_min": 0.2, "dt_max": 0.1}, "dt_min", "up to dt_max, 0.1"),
    ("mamba", {"d_state": 0}, "d_state", "at least 1"),
    ("mamba", {"expand": 0}, "expand", "at least 1"),
    ("mamba", {"d_conv": 0}, "d_conv", "at least 1"),
    ("mamba", {"dt_rank": 0}, "dt_rank", "at least 1"),
    ("mamba", {"dt_min": 0.2, "dt_max": 0.1}, "dt_min", "up to dt_max, 0.1"),
    ("mamba2", {"head_dim": 24}, "head_dim", "a divisor of expand * d_model, 64"),
    ("mamba2", {"chunk": 0}, "chunk", "at least 1"),
    ("mamba2", {"dt_min": 0.2, "dt_max": 0.1}, "dt_min", "up to dt_max, 0.1"),
    ("moe_transformer", {"d_model": 28}, "d_model", "a multiple of twice n_heads, 8"),
    ("moe_transformer", {"n_experts": 2, "top_k": 3}, "top_k", "at most n_experts, 2"),
    ("moe_transformer", {"n_experts": 0}, "n_experts", "at least 1"),
    ("moe_transformer", {"capacity_factor": 0.0}, "capacity_factor", "greater than 0"),
    ("moe_transformer", {"jitter": 1.0}, "jitter", "less than 1"),
]
HEADS: list[tuple[str, dict[str, Any], str, str]] = [
    *((head, {"levels": [0.1, 0.9]}, "levels", "0.5") for head in ("quantile", "gaussian", "student_t", "point")),
    *((head, {"levels": [0.9, 0.5, 0.1]}, "levels", "increasing") for head in ("quantile", "dirichlet_quantile")),
    ("quantile", {"levels": [0.0, 0.5, 1.0]}, "levels", "0 and 1"),
    ("gaussian", {"loss": "mse"}, "loss", "nll"),
    ("dirichlet_quantile", {"flat": 1.0}, "flat", "less than 1"),
    ("dirichlet_quantile", {"outcomes": 0.5}, "outcomes", "at least 1"),
    ("dirichlet_quantile", {"class_weight": 0.0}, "class_weight", "greater than 0"),
]
RECIPE = """
name: impossible
data: {{store: market.db, symbols: [A, B, C], start: 2010-01-01, end: 2012-12-31}}
features: [{{use: price.log_return}}]
split: {{use: walk_forward, train: 1y, validation: 3mo, test: 3mo}}
policy: {{use: signed_quantile}}
model:
  lookback: {lookback}
  backbone: {{use: {backbone}}}
  head: {{use: {head}}}
"""


def written(settings: dict[str, Any], block: str) -> list[str]:
    return [f"model.{block}.{name}={value}".replace("'", '"') for name, value in settings.items()]


def refusal(block: str, name: str, settings: dict[str, Any], lookback: int = LOOKBACK) -> ConfigError:
    """What reading a recipe with this component and these settings raises."""
    used = {"backbone": "linear", "head": "quantile", block: name}
    loaded = load_text(RECIPE.format(lookback=lookback, **used), sets=written(settings, block))
    with pytest.raises(ConfigError) as caught:
        resolve(loaded, REGISTRY)
    return caught.value


@pytest.mark.parametrize(
    ("block", "name", "settings", "setting", "expected"),
    [
        *(pytest.param("backbone", *row, id=f"{row[0]}-{'-'.join(map(str, row[1].items()))}") for row in BACKBONES),
        *(pytest.param("head", *row, id=f"{row[0]}-{'-'.join(map(str, row[1].items()))}") for row in HEADS),
    ],
)
def test_an_impossible_setting_is_refused_by_name_when_the_recipe_is_read(
    block: str, name: str, settings: dict[str, Any], setting: str, expected: str
) -> None:
    if (block, name) not in INSTALLED:
        pytest.skip(f"{name} is not installed")
    error = refusal(block, name, settings)
    assert error.exit_code == 2
    assert f"{block}.{setting}" in str(error), str(error)
    assert expected in str(error), str(error)


def test_a_window_that_is_too_short_for_a_backbone_names_the_lookback() -> None:
    error = refusal("backbone", "dlinear", {}, lookback=2)
    assert "model.lookback is 2" in str(error)
    assert "at least 3 bars" in str(error)


@pytest.mark.parametrize("backbone", sorted(name for kind, name in INSTALLED if kind == "backbone"))
@pytest.mark.parametrize("lookback", [1, 2, 3])
def test_a_short_window_is_computed_or_refused_by_name(backbone: str, lookback: int) -> None:
    """No backbone fails on a short window with an error of torch's own."""
    import torch

    if lookback < LEAST.get(backbone, 1):
        with pytest.raises(ConfigError, match=r"model\.lookback"):
            REGISTRY.build("backbone", backbone, {}, n_features=2, lookback=lookback)
        return
    built = REGISTRY.build("backbone", backbone, {}, n_features=2, lookback=lookback)
    assert built(torch.zeros(2, lookback, 2)).shape == (2, lookback, built.d_out)
