"""A universe with dates: a symbol is decided about while it was known to belong, and sold when it is known to leave."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pandas as pd
import pytest

from mnpu.config import load_config
from mnpu.errors import ConfigError, DataError
from mnpu.execute import execute
from mnpu.progress import Silent

from .conftest import SMALL

LEFT, TOLD = pd.Timestamp("2012-06-01", tz="UTC"), pd.Timestamp("2012-05-20", tz="UTC")
JOINED = pd.Timestamp("2013-03-01", tz="UTC")


@pytest.fixture(scope="module")
def store(demo_store, tmp_path_factory):
    path = tmp_path_factory.mktemp("dated") / "market.db"
    shutil.copy(demo_store, path)
    begin = pd.Timestamp("2000-01-01", tz="UTC").value
    rows = [(s, begin, None, begin) for s in ("AAPL", "JNJ", "KO", "MSFT", "WMT")]
    rows += [
        ("PFE", begin, None, begin),
        ("PFE", begin, LEFT.value, TOLD.value),
        ("GE", JOINED.value, None, JOINED.value),
    ]
    rows += [("XOM", begin, pd.Timestamp("2003-01-01", tz="UTC").value, begin)]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany("INSERT INTO universes VALUES ('dated', ?, ?, ?, ?, 'observed')", rows)
    return path


def recipe(tmp_path, store, data):
    path = tmp_path / "dated.yaml"
    text = SMALL.format(store=store).replace("  symbols: [AAPL, GE, JNJ, KO, MSFT, PFE, WMT, XOM]\n", data)
    path.write_text(text)
    return load_config(path)


def test_a_symbol_is_held_only_while_it_belongs(store, registry, tmp_path):
    run = execute(recipe(tmp_path, store, "  universe: dated\n"), registry, runs=tmp_path / "runs", progress=Silent())
    result = run.result
    assert result.positions.symbols == ("AAPL", "GE", "JNJ", "KO", "MSFT", "PFE", "WMT")  # XOM left years before
    weights = dict(zip(result.positions.symbols, result.proposed.weights.T, strict=True))
    assert not weights["PFE"][result.times >= LEFT].any()
    assert np.abs(weights["PFE"][result.times < LEFT]).max() > 0.05
    assert not weights["GE"][result.times < JOINED].any()
    assert np.abs(weights["GE"][result.times >= JOINED]).max() > 0.05
    no_forecast = ~result.forecast.available
    assert no_forecast[:, 1][result.times < JOINED].all()


def test_symbols_beside_a_universe_choose_among_its_members(store, registry, tmp_path):
    from mnpu import pipeline
    from mnpu.features.plan import plan

    loaded = recipe(tmp_path, store, "  universe: dated\n  symbols: [PFE, AAPL]\n")
    panel, _ = pipeline.read(loaded.pipeline.data, str(store), plan(loaded.pipeline.features, registry), Silent())
    assert panel.symbols == ("PFE", "AAPL")
    member = pd.Series(panel.member[:, 0], index=panel.times)
    assert member[:LEFT].all()
    assert not member[LEFT:].any()
    strangers = recipe(tmp_path, store, "  universe: dated\n  symbols: [AAPL, XOM]\n")
    with pytest.raises(DataError, match="XOM never belonged to the universe from 2008-01-01 to 2014-12-31"):
        pipeline.read(strangers.pipeline.data, str(store), [], Silent())


def test_a_universe_that_is_not_there_is_named_with_a_suggestion(store, registry, tmp_path):
    loaded = recipe(tmp_path, store, "  universe: dates\n")
    with pytest.raises(DataError, match=r"no universe 'dates', expected one of dated\. Did you mean 'dated'\?"):
        execute(loaded, registry, runs=tmp_path / "runs", progress=Silent())


def test_a_recipe_names_symbols_or_a_universe(store, tmp_path):
    with pytest.raises(ConfigError, match=r"names no symbol, expected at least one symbol, or data\.universe"):
        recipe(tmp_path, store, "")
