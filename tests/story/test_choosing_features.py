"""A pipeline that chooses features by tag runs; one whose features have no data is refused before a fit begins."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mnpu.cli import main
from mnpu.config import load_config
from mnpu.config.resolve import resolve

pytestmark = [pytest.mark.torch, pytest.mark.story]

pytest.importorskip("torch", reason="a run trains a network")


def mnpu(capsys, *args: object) -> tuple[int, dict]:
    """Exit code and answer, or error, of a command."""
    with pytest.raises(SystemExit) as done:
        main([*map(str, args), "--json"])
    said = capsys.readouterr()
    return int(done.value.code or 0), json.loads(said.out or said.err[said.err.index("{") :])


def run(capsys, recipe: Path, folder: Path, *sets: str) -> tuple[int, dict]:
    return mnpu(capsys, "run", recipe, "--runs", folder, *(part for each in sets for part in ("--set", each)))


def test_a_pipeline_that_chooses_by_tag_runs_and_is_saved_by_name(small_recipe, registry, tmp_path, capsys):
    sets = ("features=[{use: price.*, tag: trend}]", "compare=[]", "train.max_steps_per_epoch=5")
    code, told = run(capsys, small_recipe, tmp_path, *sets)
    assert code == 0, told
    saved = load_config(Path(told["path"]) / "resolved.yaml")
    assert [use.use for use in saved.pipeline.features] == ["price.distance_from_average", "price.drawdown"]
    assert resolve(saved, registry)["features"] == resolve(load_config(small_recipe, sets=sets), registry)["features"]


def test_a_series_that_the_store_lacks_is_told_with_its_table_and_plugin(small_recipe, store_copy, tmp_path, capsys):
    pytest.importorskip("mnpu_data_macro")
    with closing(sqlite3.connect(store_copy)) as connection, connection:
        connection.execute("DELETE FROM observations WHERE series = 'core_cpi'")
        connection.execute("DELETE FROM series WHERE series = 'core_cpi'")
    sets = (f"data.store={store_copy}", "features=[{use: price.log_return}, {use: macro.core_inflation_gap}]")
    code, error = run(capsys, small_recipe, tmp_path, *sets)
    assert code == 3
    assert error["where"] == "feature macro.core_inflation_gap[months=36,series=core_cpi]"
    assert error["what"] == (
        f"series 'core_cpi' of table macro_observations, which mnpu-data-macro reads, is not in {store_copy}"
    )
    assert "Import the series, or remove the feature." in error["next_step"]


@pytest.mark.parametrize(
    ("feature", "start", "end", "message"),
    [
        # vintages begin in 2016, the range ends before
        ("{use: macro.revision}", "2008-01-01", "2014-12-31", "INDPRO became known between 2016-06-29 and 20"),
        # the spread ends with 2018, the range begins later
        ("{use: macro.credit_spread}", "2019-08-01", "2022-12-28", "moodys_baa_yield became known between 19"),
    ],
)
def test_a_column_without_a_value_is_refused_with_the_dates_of_its_source(
    feature, start, end, message, small_recipe, tmp_path, capsys
):
    pytest.importorskip("mnpu_data_macro")
    sets = (f"features=[{feature}]", f"data.start={start}", f"data.end={end}", "split.train=1y", "split.test=1y")
    code, error = run(capsys, small_recipe, tmp_path, *sets)
    assert code == 3
    assert message in error["expected"]
    assert "Choose other dates or remove the feature." in error["next_step"]


def test_a_field_that_the_dataset_lacks_is_told_with_the_dataset(small_recipe, tmp_path, capsys):
    code, error = run(capsys, small_recipe, tmp_path, "features=[{tag: volume}]")
    assert code == 3
    assert error["what"] == (
        "dataset us_adjclose_daily has no volume for AAPL, GE, JNJ and 5 more in table prices, which mnpu-core reads"
    )


def test_a_tag_that_nothing_has_is_a_wrong_configuration(small_recipe, tmp_path, capsys):
    code, error = run(capsys, small_recipe, tmp_path, "features=[{tag: vollume}]")
    assert code == 2
    assert "Did you mean 'volume'?" in error["next_step"]


def test_validate_accepts_what_run_accepts(small_recipe, capsys):
    code, told = mnpu(capsys, "validate", small_recipe, "--set", "features=[{use: price.*, tag: trend}]")
    assert code == 0
    assert [each["use"] for each in told["resolved"]["features"]] == ["price.distance_from_average", "price.drawdown"]
