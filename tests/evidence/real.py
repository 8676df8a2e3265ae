"""Run the recipes on real data: every model on the same decisions, costs on, some seeds, whatever it says.

Equities come with the package. The crypto recipes read files that do not, ``MNPU_SHARED_DATA`` names their folder; the
mapping that imports them is the tests' own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import yaml

from mnpu import pipeline
from mnpu.assembly import Parts, Strategy, assemble
from mnpu.config import load_config
from mnpu.config.resolve import resolve
from mnpu.data.build import init_store
from mnpu.data.importing.mapping import load_mapping
from mnpu.data.importing.run import import_files
from mnpu.plugins.registry import Registry
from mnpu.progress import Silent
from mnpu.types import Forecast, PolicyContext, Result
from tests.evidence.rows import RealRow, append, read

__all__ = ["METRICS", "MODELS", "RECIPES", "run"]

TESTS = Path(__file__).parents[1]
MAPPING = TESTS / "story" / "shared_data.yaml"
HOW_TO = TESTS.parent / "docs" / "how-to" / "recipes"
RECIPES = {
    "us_equities_daily": Path(str(files("mnpu.recipes"))) / "us_equities_daily.yaml",
    "bitcoin_onchain_daily": HOW_TO / "bitcoin_onchain_daily.yaml",
    "perpetuals_hourly": HOW_TO / "perpetuals_hourly.yaml",
}
#: Files that each recipe's store is made of; the bundled data where there are none.
FILES = {
    "us_equities_daily": (),
    "bitcoin_onchain_daily": ("btcusd_coinbase_daily", "btc_eth_coinmetrics_daily"),
    "perpetuals_hourly": ("binance_perp_1h", "binance_funding", "binance_perp_mark_1h"),
}
#: All of them with their defaults. LightGBM is a whole model, the others stand under the recipe's head.
MODELS = {
    "linear": "backbone",
    "dlinear": "backbone",
    "lightgbm": "forecaster",
    "omni": "backbone",
    "moe_transformer": "backbone",
    "s4d": "backbone",
    "mamba2": "backbone",
}
RULES = {
    "us_equities_daily": ("{use: buy_and_hold}", "{use: momentum, window: 252, skip: 21, hold: 5}"),
    "bitcoin_onchain_daily": ("{use: buy_and_hold}",),
    "perpetuals_hourly": ("{use: buy_and_hold}",),
}
METRICS = (
    "total_return_net",
    "total_return_gross",
    "sharpe",
    "max_drawdown",
    "turnover_oneway_ann",
    "breakeven_bps",
    "ic",
    "rank_ic",
    "hit_rate",
    "hit_rate_base",
    "pinball",
    "coverage_0.90",
)


def run(recipes: Sequence[str], models: Sequence[str], seeds: Sequence[int], *, rows: Path, work: Path) -> None:
    """Fit what has no row yet, and append its row."""
    for seed in seeds:
        for recipe in recipes:
            for row in _missing(recipe, models, seed, read(RealRow, rows), work):
                append(row, rows)
                rank_ic = row.values.get("rank_ic", float("nan"))
                print(
                    f"{recipe:22s} {row.model:16s} seed {seed}  Sharpe {row.values['sharpe']:+.2f}  "
                    f"rank IC {rank_ic:+.3f}  {row.seconds:6.0f} s",
                    flush=True,
                )


def digest(recipe: str) -> str:
    """Of what was chosen for all models of a recipe."""
    chosen = [RECIPES[recipe].read_text(encoding="utf-8"), *RULES[recipe]]
    return hashlib.sha256("\n".join(chosen).encode()).hexdigest()[:12]


def _missing(recipe: str, models: Sequence[str], seed: int, held: Sequence[RealRow], work: Path) -> Iterator[RealRow]:
    own = digest(recipe)
    done = {(row.model, row.seed) for row in held if (row.recipe, row.digest) == (recipe, own)}
    ruled = any(model not in MODELS for model, _ in done)
    if all((model, seed) in done for model in models) and ruled:
        return
    parts = _parts(recipe, seed, work)
    prepared = _prepared(recipe, work)
    for strategy in parts.strategies:
        if strategy.forecaster is None or strategy.name not in models or (strategy.name, seed) in done:
            continue
        started = time.perf_counter()
        _, forecast = pipeline.fit_and_forecast(parts, prepared, strategy.forecaster, Silent())
        seconds = time.perf_counter() - started
        context = pipeline.decisions(prepared, [forecast])
        asked = [strategy] if ruled else [strategy, *(s for s in parts.strategies if s.is_rule)]
        for one in asked:
            result = _evaluate(parts, prepared, one, forecast, context)
            taken = 0.0 if one.is_rule else seconds
            yield _row(recipe, own, seed, result, _cells(forecast, prepared.rows), taken)
        ruled = True


def _evaluate(
    parts: Parts, prepared: pipeline.Prepared, strategy: Strategy, forecast: Forecast, context: PolicyContext
) -> Result:
    """A rule reads no forecast, but is given the judged one's, so all names lead to this one."""
    forecasts = {forecaster.name: forecast for forecaster in parts.forecasters}
    return pipeline.evaluate(parts, prepared, strategy, forecasts, context)


def _row(recipe: str, own: str, seed: int, result: Result, cells: str, seconds: float) -> RealRow:
    found = [result.metrics[name] for name in METRICS if name in result.metrics]
    return RealRow(
        recipe=recipe,
        model=result.name,
        digest=own,
        seed=seed,
        decisions=cells,
        values={metric.name: metric.value for metric in found if metric.value is not None},
        errors={metric.name: metric.se for metric in found if metric.se is not None},
        seconds=seconds,
    )


def _cells(forecast: Forecast, rows: tuple[int, int]) -> str:
    available = np.ascontiguousarray(forecast.available[slice(*rows)])
    return hashlib.sha256(f"{available.shape}".encode() + available.tobytes()).hexdigest()[:12]


def _parts(recipe: str, seed: int, work: Path) -> Parts:
    """The recipe with every model and rule as a comparison."""
    first, *others = MODELS
    compared = [f"{{{kind}: {{use: {name}}}}}" for name, kind in MODELS.items() if name in others]
    compared += [f"{{policy: {rule}}}" for rule in RULES[recipe]]
    sets = [f"model.{MODELS[first]}={{use: {first}}}", f"compare=[{', '.join(compared)}]", f"seed={seed}"]
    folder = _folder(recipe, work)
    loaded = load_config(folder / f"{recipe}.yaml", sets=sets)
    registry = Registry.discover()
    return assemble(loaded.pipeline, resolve(loaded, registry), registry, base=folder)


@lru_cache(maxsize=len(RECIPES))
def _prepared(recipe: str, work: Path) -> pipeline.Prepared:
    """Features, labels and folds: the same for every seed."""
    parts = _parts(recipe, 0, work)
    panel, side = pipeline.load(parts, Silent())
    pipeline.validate(parts, panel, side, Silent())
    return pipeline.prepare(parts, panel, side, Silent())


def _folder(recipe: str, work: Path) -> Path:
    """A folder with the recipe and its store, made at the first call."""
    folder = work / recipe
    store = folder / "market.db"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(RECIPES[recipe], folder)
    if store.exists():
        return folder
    if not FILES[recipe]:
        init_store(store)
        return folder
    chosen = [e for e in _imports() if any(f"/{name}." in str(e["files"]) for name in FILES[recipe])]
    (folder / "mapping.yaml").write_text(yaml.safe_dump({"imports": chosen}), encoding="utf-8")
    done = import_files(load_mapping(folder / "mapping.yaml"), store, root=_shared())
    if done.failed:
        sys.exit(f"{recipe}: the import of {done.failed[0]} failed")
    return folder


def _imports() -> list[dict[str, object]]:
    return list(yaml.safe_load(MAPPING.read_text(encoding="utf-8"))["imports"])


def _shared() -> Path:
    folder = Path(os.environ.get("MNPU_SHARED_DATA", TESTS.parents[1] / "shared" / "data"))
    if not folder.is_dir():
        sys.exit(f"{folder} does not exist. MNPU_SHARED_DATA names the folder of the shared market data.")
    return folder
