"""``mnpu init`` and ``mnpu data info``, as a user sees them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from mnpu.commands import data, init
from mnpu.errors import ConfigError, DataError


def run(command, *arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


def test_init_writes_a_store_and_every_recipe_and_says_so(tmp_path):
    from importlib.resources import files

    folder = tmp_path / "new" / "place"
    answer = run(init.command, folder)
    recipes = sorted(entry.name for entry in files("mnpu.recipes").iterdir() if entry.name.endswith(".yaml"))
    assert recipes
    assert sorted(path.name for path in folder.iterdir()) == sorted(["market.db", *recipes])
    for name in recipes:
        assert (folder / name).read_text("utf-8") == (files("mnpu.recipes") / name).read_text("utf-8")
        assert str(folder / name) in answer.output
    assert "200,043 bars of 33 symbols in 5 datasets" in answer.output
    with pytest.raises(ConfigError, match="exists already"):
        run(init.command, folder)


def test_init_keeps_a_recipe_that_is_there(tmp_path):
    mine = tmp_path / "us_equities_daily.yaml"
    mine.write_text("name: mine")
    answer = json.loads(run(init.command, tmp_path, "--json").output)
    assert mine.read_text() == "name: mine"
    assert answer["kept"] == [str(mine)]
    assert answer["store"]["n_series"] == 40


def test_info_shows_what_is_there_and_when_it_was_known(demo_store):
    shown = run(data.command, "info", demo_store).output
    for text in ("us_adjclose_daily", "2022-12-28", "split+dividend", "AAPL, AMD", "hindsight", "NCSA"):
        assert text in shown
    (core_cpi,) = (line for line in shown.splitlines() if line.startswith("core_cpi"))
    assert "period end + 33 days" in core_cpi
    assert "75 d" in core_cpi


def test_info_takes_a_folder_and_answers_in_json(demo_store):
    answer = json.loads(run(data.command, "info", demo_store.parent, "--json").output)
    assert {dataset["name"]: len(dataset["assets"]) for dataset in answer["datasets"]} == {
        "eurusd_hourly": 1,
        "googl_daily": 1,
        "us_adjclose_daily": 24,
        "us_indices_daily": 2,
        "us_ohlcv_daily": 5,
    }
    series = {row["series"]: row for row in answer["series"]}
    assert len(series) == 40
    assert series["vix_close"]["max_age_days"] == 7
    assert series["vix_close"]["basis"] == "declared"
    assert series["GDPC1"]["basis"] == "left-censored"


def test_info_of_nothing_is_an_error_with_a_next_step(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="mnpu init"):
        run(data.command, "info")
