"""Which forecasters are tried: every backbone under the quantile head, and every head on ``linear``.

Their settings are the defaults of their constructors; what differs from them stands in ``SETTINGS`` with its reason.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnpu.data.fixture.plan import Plan

__all__ = ["MODELS", "RECIPE", "Model", "fixture_plan"]

RECIPE = Path(__file__).with_name("recipe.yaml")
BACKBONES = (
    "linear",
    "dlinear",
    "gru",
    "tcn",
    "patch_transformer",
    "omni",
    "s4d",
    "mamba",
    "mamba2",
    "moe_transformer",
)
HEADS = ("point", "gaussian", "student_t", "dirichlet_quantile")
#: Parameters of a backbone or a head that are not its defaults: one layer where two cost most of the time.
SETTINGS: dict[str, dict[str, Any]] = {"mamba": {"depth": 1}, "mamba2": {"depth": 1}, "moe_transformer": {"depth": 1}}

IC = 0.2
#: A signal has the longer history, because its coefficient is to be measured; a null is drawn anew for every model.
SIZES = {
    "signal": {"symbols": 24, "sessions": 1500, "covered": 1},
    "null": {"symbols": 24, "sessions": 750, "covered": 1},
}
SPLITS = {
    "signal": {"use": "walk_forward", "train": "45mo", "validation": "8mo", "test": "18mo"},
    "null": {"use": "walk_forward", "train": "20mo", "validation": "4mo", "test": "11mo"},
}
SEEDS_APART = 1_000  #: Between the markets of two models' nulls: no luck is counted twice.


@dataclass(frozen=True)
class Model:
    """A backbone under a head; ``number`` tells the nulls of models apart."""

    number: int
    backbone: str
    head: str

    @property
    def name(self) -> str:
        """As in the table: ``omni``, or ``linear/point`` where the head is not the quantile head."""
        return self.backbone if self.head == "quantile" else f"{self.backbone}/{self.head}"

    def sets(self, plant: str) -> list[str]:
        """What a recipe is told on the command line."""
        parts = (("backbone", self.backbone), ("head", self.head))
        uses = [(place, {"use": name, **SETTINGS.get(name, {})}) for place, name in parts]
        return [*(f"model.{place}={json.dumps(use)}" for place, use in uses), f"split={json.dumps(SPLITS[plant])}"]

    def digest(self, plant: str) -> str:
        """Of everything that was chosen: a row of other settings is not this model's."""
        size = json.dumps([SIZES[plant], IC, SEEDS_APART], sort_keys=True)
        chosen = [*self.sets(plant), RECIPE.read_text(encoding="utf-8"), size]
        return hashlib.sha256("\n".join(chosen).encode()).hexdigest()[:12]


_PAIRS = [*((backbone, "quantile") for backbone in BACKBONES), *(("linear", head) for head in HEADS)]
MODELS = {model.name: model for model in (Model(n, *pair) for n, pair in enumerate(_PAIRS))}


def fixture_plan(plant: str, model: Model, seed: int) -> Plan:
    """The market of one run: of a signal the same for all models, of a null its own."""
    of_market = seed if plant == "signal" else SEEDS_APART * (model.number + 1) + seed
    size = SIZES[plant]
    return Plan(size["symbols"], size["sessions"], of_market, size["covered"], plant, IC)
