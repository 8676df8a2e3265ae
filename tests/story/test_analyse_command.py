"""`mnpu runs analyse` takes a finished run apart, and says plainly what it could not do."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from mnpu.cli import cli
from mnpu.results_io import read_result

pytest.importorskip("torch", reason="training needs mnpu-core[train]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A market with one signal and volumes, and two finished runs on it that differ in their seed."""
    folder = tmp_path_factory.mktemp("planted")
    size = ["--symbols", "12", "--sessions", "600", "--seed", "1", "--covered", "1", "--ic", "0.12"]
    recipe, runs = str(folder / "market" / "fixture.yaml"), str(folder / "runs")
    for args in (
        ["data", "fixture", str(folder / "market"), *size],
        ["run", recipe, "--runs", runs, "--set", "train.epochs=1"],
        ["run", recipe, "--runs", runs, "--set", "train.epochs=1", "--set", "seed=12"],
    ):
        result = CliRunner().invoke(cli, args)
        assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def run_id(folder):
    return sorted(path.parent.name for path in (folder / "runs").glob("*/run.json"))[0]


@pytest.fixture(scope="module")
def answer(folder, run_id):
    symbols = read_result(folder / "runs" / run_id).positions.symbols
    (folder / "sectors.csv").write_text(
        "symbol,sector\n" + "".join(f"{s},{'ab'[k % 2]}\n" for k, s in enumerate(symbols))
    )
    (folder / "shares.csv").write_text("symbol,shares\n" + "".join(f"{s},{k + 1}e6\n" for k, s in enumerate(symbols)))
    args = ["--groups", str(folder / "sectors.csv"), "--shares", str(folder / "shares.csv")]
    result = call(folder, run_id, *args, "--out", str(folder / "out"), "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def call(folder, run_id, *args):
    return CliRunner().invoke(cli, ["runs", "analyse", run_id, "--runs", str(folder / "runs"), *args])


def test_every_table_is_there_but_crises_are_none_and_numbers_are_the_runs(folder, run_id, answer):
    result = read_result(folder / "runs" / run_id)
    assert answer["not_available"] == {}
    assert answer["notes"] == []  # the store gave all prices, and the run was reproduced
    assert answer["total"]["decisions"] == len(result.times)
    for table, series in (("symbols", "gross"), ("sides", "gross"), ("groups", "gross"), ("decisions", "gross")):
        explained = sum(row["contribution"] for row in answer["tables"][table])
        assert explained == pytest.approx(np.prod(1 + getattr(result, series)) - 1, abs=1e-12)
    assert answer["tables"]["lags"][1]["lag"] == 1
    assert answer["tables"]["costs"][2]["sharpe"] == pytest.approx(result.metrics["sharpe"].value, rel=1e-9)
    assert answer["lags"]["words"]


def test_other_seeds_are_found(answer, run_id):
    rows = answer["tables"]["seeds"]
    assert len(rows) == 2
    assert {row["seed"] for row in rows} >= {12}
    assert answer["seeds"]["spread"] >= 0


def test_files_hold_the_same_numbers(folder, answer):
    out = folder / "out"
    assert {path.name for path in out.iterdir()} >= {"analysis.json", "attribution.svg", "regimes.svg", "capacity.svg"}
    kept = pd.read_parquet(out / "capacity.parquet")
    assert kept["capital"].tolist() == [row["capital"] for row in answer["tables"]["capacity"]]
    said = json.loads((out / "analysis.json").read_text())
    assert said["tables"] == answer["tables"]
    for name in ("attribution", "regimes", "capacity"):
        assert (out / f"{name}.svg").read_text().startswith("<svg")


def test_people_read_tables_with_what_they_are_not(folder, run_id):
    found = call(folder, run_id)
    assert found.exit_code == 0
    for words in (
        "symbols: gross return by symbol",
        "Sizes, not probabilities.",
        "Lag 1 is the run",
        "not made: groups",
    ):
        assert words in found.stdout


def test_families_of_features_are_permuted(folder, run_id):
    found = call(folder, run_id, "--features", "--json")
    assert found.exit_code == 0, found.output
    families = json.loads(found.stdout)["features"]
    assert families[0]["fall"]["rank_ic"]["value"] is not None
    assert [item["family"] for item in families] == list(dict.fromkeys(item["family"] for item in families))


def test_a_yardstick_can_be_analysed_and_an_unknown_one_is_named(folder, run_id):
    others = [other.name for other in read_result(folder / "runs" / run_id).comparisons]
    if others:
        found = call(folder, run_id, "--strategy", others[0], "--json")
        assert found.exit_code == 0, found.output
        assert json.loads(found.stdout)["strategy"] == others[0]
    found = call(folder, run_id, "--strategy", "nobody")
    assert getattr(found.exception, "exit_code", None) == 2


def test_factors_of_a_file_explain_beside_those_of_the_universe(folder, run_id):
    result = read_result(folder / "runs" / run_id)
    ends = result.fill_times[1:]
    path = folder / "factors.csv"
    pd.DataFrame({"date": ends.strftime("%Y-%m-%d"), "itself": result.net[:-1]}).to_csv(path, index=False)
    found = json.loads(call(folder, run_id, "--factors", str(path), "--json").stdout)
    rows = {row["name"]: row for row in found["tables"]["factors"]}
    assert rows["itself"]["beta"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("--groups", "symbol,sector,more\nA,b,c\n", "3 columns"),
        ("--groups", "symbol,sector\nA,b\nA,c\n", "twice"),
        ("--shares", "symbol,shares\nA,many\n", "number of shares"),
        ("--factors", "date,x\nnever,1\n", "a date"),
        ("--factors", "date,x\n2020-01-01,1\n2020-01-01,2\n", "twice"),
    ],
)
def test_files_that_cannot_be_used_are_refused(folder, run_id, option, text, message):
    path = folder / "wrong.csv"
    path.write_text(text)
    found = call(folder, run_id, option, str(path))
    assert getattr(found.exception, "exit_code", None) == 3
    assert message in str(found.exception)


def test_without_the_store_the_runs_own_prices_serve(folder, run_id, answer):
    [store] = (folder / "market").glob("*.db")
    moved = store.with_name("moved")
    store.rename(moved)
    try:
        found = json.loads(call(folder, run_id, "--json").stdout)
    finally:
        moved.rename(store)
    assert found["total"]["left_out"] == 2
    assert any("store" in note for note in found["notes"])
    assert any("left out" in note for note in found["notes"])


def test_an_unfinished_run_is_refused(folder, tmp_path):
    from mnpu.rundir import RunDirectory

    RunDirectory.create(tmp_path, "cccc").fail(KeyboardInterrupt())
    found = CliRunner().invoke(cli, ["runs", "analyse", "cccc", "--runs", str(tmp_path)])
    assert getattr(found.exception, "exit_code", None) == 2
