"""Texts of a store, from the row to the report: every signal of the source in one run on real prices."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mnpu.cli import main
from mnpu.data.store import Store
from mnpu_data_sentiment import sentiment
from tests.data_sentiment.world import values

SYMBOLS = ("AAPL", "GE", "KO", "XOM")
RECIPE = """
name: texts
seed: 3
data:
  store: sqlite:///{store}
  dataset: us_adjclose_daily
  symbols: [{symbols}]
  start: 2010-01-04
  end: 2012-12-31
features:
  - {{use: price.log_return}}
  - {{use: sentiment.*}}
target: {{use: forward_return, horizons: [5]}}
split: {{use: walk_forward, train: 1y, validation: 3mo, test: 1y}}
model:
  lookback: 4
  backbone: {{use: linear}}
train: {{epochs: 1, batch_size: 256, lr: 3e-3, max_steps_per_epoch: 5}}
policy: {{use: rank_long_short, gross: 1.0, hold: 3}}
guardrails:
  - {{use: gross_cap, gross: 0.8}}
"""


@pytest.fixture
def store(store_copy: Path) -> Path:
    """The bundled prices with two thousand posts about four symbols and the market."""
    rng = np.random.default_rng(11)
    start, stop = (pd.Timestamp(day, tz="UTC").value for day in ("2009-09-01", "2013-01-01"))
    words = ["profit", "loss", "beats", "misses", "rises", "falls", "fraud", "strong", "weak", "the", "quarter"]
    rows = []
    for i, known in enumerate(np.sort(rng.integers(start, stop, size=2_000)).tolist()):
        text = " ".join(rng.choice(words, size=int(rng.integers(3, 9))).tolist())
        symbol = str(rng.choice([*SYMBOLS, ""]))
        name = hashlib.sha256(f"{i}{text}".encode()).hexdigest()
        rows.append(("news", symbol, known, known, name, text, "", "observed"))
    with closing(sqlite3.connect(store_copy)) as connection, connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(series)")]
        told = {"series": "news", "frequency": "irregular", "basis": "observed", "kind": "news", "n_missing": 0}
        told |= {"max_age": 10 * 86_400_000_000_000, "source": "made up", "licence": "none"}
        marks = ", ".join("?" * len(columns))
        connection.execute(f"INSERT INTO series VALUES ({marks})", [told.get(column, "") for column in columns])
        connection.executemany("INSERT INTO news VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    return store_copy


def test_the_texts_of_a_store_are_those_of_its_rows(store: Path) -> None:
    market = Store.open(store)
    panel = market.panel(list(SYMBOLS), start="2011-01-03", end="2011-01-31", dataset="us_adjclose_daily")
    share = values("attention_share", panel, market.side(["news"]))
    with closing(sqlite3.connect(store)) as connection:
        for t, now in enumerate(panel.times):
            within = "knowledge_time > ? AND knowledge_time <= ?"
            span = (now.value - 7 * 86_400_000_000_000, now.value)
            (total,) = connection.execute(f"SELECT count(*) FROM news WHERE {within}", span).fetchone()
            for a, symbol in enumerate(panel.symbols):
                query = f"SELECT count(*) FROM news WHERE {within} AND symbol = ?"
                assert share[t, a] == connection.execute(query, (*span, symbol)).fetchone()[0] / total


@pytest.mark.torch
@pytest.mark.story
def test_a_pipeline_of_every_signal_of_texts_runs(store: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("torch", reason="a run trains a network")
    recipe = tmp_path / "texts.yaml"
    recipe.write_text(RECIPE.format(store=store, symbols=", ".join(SYMBOLS)))
    with pytest.raises(SystemExit) as done:
        main(["run", str(recipe), "--runs", str(tmp_path / "runs"), "--json"])
    said = capsys.readouterr()
    assert not done.value.code, said.err
    told = json.loads(said.out)
    resolved = (Path(told["path"]) / "resolved.yaml").read_text()
    assert all(f"sentiment.{name}" in resolved for name in sentiment.__all__)
