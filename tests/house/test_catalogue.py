"""The benchmark catalogue's definition is what the page says, and its page is written from rows."""

from __future__ import annotations

import pytest

from mnpu.plugins.registry import Registry
from mnpu.sweep import load_sweep
from mnpu.sweep.catalogue import Catalogue, Entry
from mnpu.sweep.kept import Kept
from mnpu.sweep.search import searcher
from mnpu.sweep.trials import Trials
from tests.catalogue.__main__ import DEFINITION, STORES
from tests.catalogue.page import write


def test_it_has_four_families_three_markets_and_five_seeds_or_more(monkeypatch, tmp_path):
    pytest.importorskip("torch", reason="a network needs the train extra")
    pytest.importorskip("mnpu_models_ssm")
    pytest.importorskip("mnpu_data_onchain")
    pytest.importorskip("lightgbm")
    monkeypatch.setenv("MNPU_CATALOGUE_STORES", str(tmp_path))
    definition = load_sweep(DEFINITION)
    places = [proposal.place for proposal in searcher(definition.sweep).ask()]
    assert len(places) >= 60
    makers = Trials(definition, Registry.discover())
    trials = [makers.at(place) for place in places if place["seed"] == 0]
    assert {trial.axes["market"] for trial in trials} == set(STORES) == {"equities", "crypto", "fx"}
    assert len({trial.axes["model"] for trial in trials}) >= 4
    assert len({trial.key for trial in trials}) == len(trials)
    assert len(definition.sweep.axes["seed"].values) == 5
    assert (definition.blocks, definition.treatment) == (["market"], "model")


def test_its_page_has_every_row(tmp_path, rng):
    values = {"sharpe": 0.5, "seconds": 2.0, "dsr": 0.6}
    entries = [
        Entry(f"{market}-{model}", "k", {"market": market, "model": model, "seed": "0"}, "d", values, {})
        for market in ("a", "b")
        for model in ("x", "y")
    ]
    kept = Kept("families", ["market", "model", "seed"], "model", ["market"], "sharpe", "maximise", 4)
    page = write(Catalogue(kept, entries, []), tmp_path, tmp_path / "families.parquet").read_text()
    assert "| a | x | 0 |" in page
    assert page.count("| 0.5 | 0.6 |") == 4
    assert "No two are distinguishable" in page
    assert "4 of 4 rows have a DSR below 0.95: they are not distinguishable from luck." in page
    assert "| market | model | seed | ROI | Sharpe | DSR |" in page
    assert (tmp_path / "catalogue" / "families-ranks.svg").exists()
