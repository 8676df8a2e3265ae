"""Fit one model on one synthetic market, as ``mnpu run`` does, and measure its forecasts out of sample."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from mnpu import pipeline
from mnpu.assembly import assemble
from mnpu.commands._fixture import checks_of
from mnpu.config import load_config
from mnpu.config.resolve import resolve
from mnpu.data.fixture.plan import Plan
from mnpu.data.fixture.write import PREDICTOR, write_fixture
from mnpu.errors import DataError
from mnpu.metrics.information import Estimate, by_decision, mean_of, outcome_order
from mnpu.plugins.registry import Registry
from mnpu.progress import Silent
from mnpu.types import Labels
from tests.evidence.models import RECIPE, SPLITS, Model, fixture_plan
from tests.evidence.rows import Row

__all__ = ["fit"]


def fit(plant: str, model: Model, seed: int) -> Row:
    """Fit ``model`` on the market of ``seed``, with that seed, and measure it over the test range."""
    registry = Registry.discover()
    market = _market(fixture_plan(plant, model, seed), json.dumps(SPLITS[plant]))
    loaded = load_config(market.recipe, overlays=[RECIPE], sets=[*model.sets(plant), f"seed={seed}"])
    parts = assemble(loaded.pipeline, resolve(loaded, registry), registry, base=market.recipe.parent)
    prepared = market.prepared
    started = time.perf_counter()
    fitted, forecast = pipeline.fit_and_forecast(parts, prepared, parts.forecasters[0], Silent())
    seconds = time.perf_counter() - started
    rows = slice(*prepared.rows)
    score = prepared.frame.values[rows, :, _column(prepared.frame.names)].astype(float)
    cells = forecast.available[rows] & np.isfinite(score)
    found, ranked = _information(forecast.median()[rows], prepared.labels, rows, cells)
    itself, _ = _information(score, prepared.labels, rows, cells)
    where = f"{model.name}, seed {seed} of {plant}"
    return Row(
        plant=plant,
        model=model.name,
        digest=model.digest(plant),
        seed=seed,
        ic=_known(found.value, found, where),
        low=_known(found.low, found, where),
        high=_known(found.high, found, where),
        rank_ic=_known(ranked.value, ranked, where),
        score_ic=_known(itself.value, itself, where),
        n=found.n,
        epochs=sum(len(one.history) for one in fitted),
        seconds=seconds,
    )


def _known(value: float | None, of: Estimate, where: str) -> float:
    if value is None:
        raise DataError(f"no information coefficient ({of.reason})", where=where, expected="decisions that vary")
    return value


@dataclass(frozen=True)
class _Market:
    recipe: Path
    prepared: pipeline.Prepared
    folder: tempfile.TemporaryDirectory[str]


@lru_cache(maxsize=1)
def _market(plan: Plan, split: str) -> _Market:
    """A market with its features, labels and fold: the same for every model that is fitted on it."""
    registry = Registry.discover()
    folder = tempfile.TemporaryDirectory()
    written = write_fixture(Path(folder.name) / "market", plan, checks_of(registry))
    loaded = load_config(written.recipe, overlays=[RECIPE], sets=[f"split={split}"])
    parts = assemble(loaded.pipeline, resolve(loaded, registry), registry, base=written.folder)
    panel, side = pipeline.load(parts, Silent())
    return _Market(written.recipe, pipeline.prepare(parts, panel, side, Silent()), folder)


def _column(names: tuple[str, ...]) -> int:
    (found,) = [i for i, name in enumerate(names) if name.startswith(PREDICTOR)]
    return found


def _information(values: np.ndarray, labels: Labels, rows: slice, cells: np.ndarray) -> tuple[Estimate, Estimate]:
    """Mean IC and rank IC over the decisions ``rows``, with their intervals."""
    outcome = labels.values[rows, :, 0]
    series = by_decision(values, outcome, cells, outcome_order(outcome))
    linear, ranked = (mean_of(one, horizon=labels.horizons[0]) for one in series)
    return linear, ranked
