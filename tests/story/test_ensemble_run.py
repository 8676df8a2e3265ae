"""An ensemble through a recipe: its members are kept with the run, and the agent decides what the run decided."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from mnpu.bundles import Bundle
from tests.story.test_agent import OPENS, _agreeing_decisions

pytest.importorskip("torch", reason="training needs mnpu-core[train]")


def test_an_agent_with_an_ensemble_decides_what_the_run_decided(demo_store, registry, tmp_path):
    from mnpu.config import load_config
    from mnpu.execute import execute
    from mnpu.progress import Silent

    recipe = tmp_path / "opens.yaml"
    recipe.write_text(OPENS.format(store=demo_store))
    sets = ["model.ensemble={seeds: 3}", "model.head={use: dirichlet_quantile}"]
    run = execute(load_config(recipe, sets=sets), registry, runs=tmp_path / "runs", progress=Silent())
    [first, *_] = sorted((run.path / "bundle").iterdir())
    assert len(json.loads((first / "fitted.json").read_text())["members"]) == 3
    watched = pd.read_parquet(run.path / "training.parquet")
    assert all(set(of["member"]) == {0, 1, 2} for _, of in watched.groupby("strategy"))
    assert "Of its members the epochs " in (first / "MODEL_CARD.md").read_text()
    assert ", in 3 members |" in (first / "MODEL_CARD.md").read_text()
    assert Bundle.open(first).facts()["members"] == 3
    assert _agreeing_decisions(run, registry, 260) >= 250


def test_one_seed_is_no_ensemble(demo_store, tmp_path):
    from mnpu.config import load_config
    from mnpu.errors import ConfigError

    recipe = tmp_path / "opens.yaml"
    recipe.write_text(OPENS.format(store=demo_store))
    with pytest.raises(ConfigError, match=r"model\.ensemble\.seeds is 1, expected .*2"):
        load_config(recipe, sets=["model.ensemble={seeds: 1}"])
