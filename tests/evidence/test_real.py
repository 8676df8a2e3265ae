"""A row of real data is what ``mnpu run`` says of the same recipe, and all rows are about the same decisions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

from mnpu.commands import run as run_command
from tests.evidence import real
from tests.evidence.real_page import page, table
from tests.evidence.rows import REAL_ROWS, RealRow, read

PAGE = Path(__file__).parents[2] / "docs" / "real-data.md"
RECIPE = """\
name: small
data:
  store: sqlite:///market.db
  dataset: us_adjclose_daily
  symbols: [GE, JNJ, KO, XOM]
  start: 2000-01-01
  end: 2002-12-31
features:
  - {use: price.log_return, window: [1, 5]}
split: {use: walk_forward, train: 1y, validation: 6mo, test: 9mo}
model:
  lookback: 8
  backbone: {use: omni}
train: {epochs: 1, batch_size: 256, max_steps_per_epoch: 3}
policy: {use: rank_long_short, hold: 5}
"""


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Two small models and a rule on a small recipe."""
    recipe = tmp_path / "small.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    monkeypatch.setattr(real, "RECIPES", {"small": recipe})
    monkeypatch.setattr(real, "FILES", {"small": ()})
    monkeypatch.setattr(real, "RULES", {"small": ("{use: buy_and_hold}",)})
    monkeypatch.setattr(real, "MODELS", {"linear": "backbone", "dlinear": "backbone"})
    real._prepared.cache_clear()
    yield lambda seeds: real.run(
        ["small"], ["linear", "dlinear"], seeds, rows=tmp_path / "rows.jsonl", work=tmp_path / "work"
    )
    real._prepared.cache_clear()


def test_a_row_is_what_a_run_of_the_recipe_says_and_is_made_once(small, tmp_path):
    small([3])
    held = read(RealRow, tmp_path / "rows.jsonl")
    small([3])
    assert read(RealRow, tmp_path / "rows.jsonl") == held
    small([3, 4])
    rows = read(RealRow, tmp_path / "rows.jsonl")
    assert [(row.model, row.seed) for row in rows] == [
        ("linear", 3),
        ("buy_and_hold", 3),
        ("dlinear", 3),
        ("linear", 4),
        ("dlinear", 4),
    ]
    assert len({row.decisions for row in rows}) == 1
    recipe = tmp_path / "work" / "small" / "small.yaml"
    asked = [recipe, "--runs", tmp_path / "runs", "--json", "--set", "model.backbone={use: linear}", "--set", "seed=3"]
    done = CliRunner().invoke(run_command.command, [str(word) for word in asked])
    assert done.exit_code == 0, done.output
    (metrics,) = (tmp_path / "runs").glob("*/metrics.json")
    said = json.loads(metrics.read_text(encoding="utf-8"))["metrics"]
    assert rows[0].values == pytest.approx({name: said[name]["value"] for name in rows[0].values}, abs=1e-6)


def row(model="linear", seed=0, sharpe=1.0, decisions="same"):
    return RealRow("us_equities_daily", model, "d", seed, decisions, {"sharpe": sharpe}, {"sharpe": 0.2}, 1.0)


def test_a_table_shows_means_and_deviations_over_seeds():
    lines = table([row(sharpe=1.0), row(seed=1, sharpe=3.0), row("buy_and_hold", sharpe=0.5)]).splitlines()
    assert lines[2].startswith("| `linear` | 2 |")
    assert "| +2.00 ± 1.41 |" in lines[2]
    assert lines[3].startswith("| `buy_and_hold` |  |")


def test_rows_about_different_decisions_are_not_compared():
    with pytest.raises(ValueError, match="different decisions"):
        table([row(), replace(row("dlinear"), decisions="others")])


def test_the_page_is_that_of_the_rows():
    assert PAGE.read_text(encoding="utf-8") == page(read(RealRow, REAL_ROWS)), "run: nox -s evidence -- page"
