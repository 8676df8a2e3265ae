"""``mnpu features stats`` and ``plot``, as a user runs them on a recipe of real prices."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from mnpu.cli import cli
from mnpu.errors import ConfigError

RECIPE = """
name: tools
data:
  store: sqlite:///{store}
  dataset: us_adjclose_daily
  symbols: [AAPL, GE, JNJ, KO, MSFT, PFE, WMT, XOM]
  start: 2006-01-01
  end: 2011-12-31
features:
  - {{use: price.log_return, window: [1, 5]}}
  - {{use: price.realised_volatility, window: [20, 21]}}
  - {{use: price.momentum, window: 252, skip: 21}}
  - {{use: price.day_of_week}}
target: {{use: forward_return, horizons: [1, 5]}}
split: {{use: walk_forward, train: 2y, validation: 6mo, test: 1y}}
model: {{lookback: 4, backbone: {{use: linear}}}}
policy: {{use: rank_long_short}}
"""
COLUMNS = (
    "price.log_return[window=1]",
    "price.log_return[window=5]",
    "price.realised_volatility[window=20]",
    "price.realised_volatility[window=21]",
    "price.momentum[window=252,skip=21]",
    "price.day_of_week[phase=sin]",
)

#: Five funds that were listed in 2013: the dates of the recipe have room for the split, the data have not.
SHORT = (
    *("--set", "data.symbols=[MTUM, QUAL, SIZE, USMV, VLUE]"),
    *("--set", "data.end=2015-12-31"),
    *("--set", "split.train=5y"),
)


@pytest.fixture(scope="module")
def recipe(demo_store, tmp_path_factory):
    path = tmp_path_factory.mktemp("tools") / "tools.yaml"
    path.write_text(RECIPE.format(store=demo_store))
    return path


def run(*args):
    return CliRunner().invoke(cli, ["features", *map(str, args)])


def answer(*args):
    result = run(*args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(*args):
    result = run(*args)
    assert isinstance(result.exception, ConfigError), result.output
    return str(result.exception)


@pytest.fixture(scope="module")
def stats(recipe):
    return answer("stats", recipe)


def test_every_column_is_described(stats):
    assert tuple(column["column"] for column in stats["columns"]) == COLUMNS
    for column in stats["columns"]:
        assert 0 < column["coverage"]["share"] <= 1
        assert set(column["autocorrelation"]) == {"1", "5", "20"}
        assert column["distribution"]["sd"] > 0
        rank = column["information"]["rank_ic"]
        assert rank["low"] < rank["value"] < rank["high"]


def test_by_default_no_outcome_reaches_into_a_test_range(stats):
    looked = stats["looked_at"]
    assert looked["test_from"][:10] == "2008-07-07"
    assert looked["last"][:10] <= "2008-06-25"  # filled the day after, held for five, known before the test begins
    assert (looked["decisions_seen_by_a_test"], looked["selection_is_in_sample"]) == (0, True)


def test_until_train_looks_no_further_than_the_first_training_range(recipe):
    assert "2007-12-10" < answer("stats", recipe, "--until", "train")["looked_at"]["last"] < "2008-01-03"


def test_all_shows_everything_and_says_so(recipe):
    looked = answer("stats", recipe, "--all", "--column", "price.log_return")["looked_at"]
    assert looked["last"][:10] == "2011-12-30"
    assert looked["decisions_seen_by_a_test"] > 800
    said = run("stats", recipe, "--all", "--column", "price.log_return").stdout
    assert "features chosen by these numbers have no test any more" in said


def test_dates_choose_decisions_by_when_their_outcomes_were_known(recipe):
    looked = answer("stats", recipe, "--since", "2007-01-01", "--until", "2007-12-31", "--horizon", "5")["looked_at"]
    assert (looked["first"][:10], looked["last"][:10]) == (
        "2007-01-03",
        "2007-12-20",
    )  # filled the day after, held five
    assert looked["horizon_bars"] == 5


def test_the_coefficient_is_that_of_pandas_by_decision(recipe, demo_store, stats):
    """From closes alone: returns over five bars against the return from the next close to the one after."""
    from mnpu.data.store import Store

    symbols = ["AAPL", "GE", "JNJ", "KO", "MSFT", "PFE", "WMT", "XOM"]
    panel = Store.open(demo_store).panel(symbols, start="2006-01-01", end="2011-12-31", dataset="us_adjclose_daily")
    close = pd.DataFrame(panel["close"], panel.times, symbols)
    score, outcome = np.log(close).diff(5), close.shift(-2) / close.shift(-1) - 1
    rows = close.index[: stats["looked_at"]["decisions"]]
    by_date = score.loc[rows].rank(axis=1).corrwith(outcome.loc[rows].rank(axis=1), axis=1)
    found = stats["columns"][1]["information"]
    assert found["rank_ic"]["value"] == pytest.approx(by_date.mean(), abs=1e-6)
    assert found["icir"] == pytest.approx(by_date.mean() / by_date.std(), abs=1e-5)
    years = by_date.groupby(by_date.index.year).mean()
    for year, estimate in found["rank_ic_by_year"].items():
        assert estimate["value"] == pytest.approx(years[int(year)], abs=1e-6)


def test_what_is_the_same_for_all_symbols_is_correlated_over_time(recipe, stats):
    methods = {column["column"]: column["information"]["method"] for column in stats["columns"]}
    assert methods.pop("price.day_of_week[phase=sin]") == "time"
    assert set(methods.values()) == {"cross-section"}
    assert "* over time" in run("stats", recipe).stdout


def test_one_symbol_has_a_correlation_over_time(recipe):
    found = answer("stats", recipe, "--set", "data.symbols=[KO]", "--column", "price.log_return")
    assert {column["information"]["method"] for column in found["columns"]} == {"time"}


def test_too_few_decisions_are_said_in_place_of_an_interval(recipe):
    args = ("stats", recipe, "--column", "price.log_return", "--since", "2008-05-01", "--horizon", "5")
    for column in answer(*args)["columns"]:
        rank = column["information"]["rank_ic"]
        assert (rank["low"], rank["se"]) == (None, None)
        assert "too few for an interval" in rank["reason"]
    assert "no interval: " in run(*args).stdout


def test_near_duplicates_and_clusters_are_named(stats):
    warned = {column["column"]: column["warnings"] for column in stats["columns"] if column["warnings"]}
    [said] = warned.pop("price.realised_volatility[window=21]")
    assert said.startswith("near duplicate of price.realised_volatility[window=20] (rank correlation +0.99")
    assert warned == {}
    assert ["price.realised_volatility[window=20]", "price.realised_volatility[window=21]"] in stats["clusters"][
        "groups"
    ]


def test_missing_and_constant_columns_are_warned_of(recipe):
    args = ("stats", recipe, "--column", "price.momentum", "--until", "2007-04-01")
    [column] = answer(*args)["columns"]
    assert column["warnings"][0].startswith("mostly missing: ")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--column", "price.log_retrun"), "Did you mean 'price.log_return'?"),
        (("--horizon", "3"), "expected 1 or 5"),
        (("--since", "2030-01-01"), "no decision lies between"),
        (("--until", "soon"), "'soon' is not a date"),
        (("--all", "--until", "train"), "contradict"),
        (SHORT, "Or look at all decisions with --all"),
    ],
)
def test_what_cannot_be_is_refused_with_a_next_step(recipe, args, said):
    assert said in refused("stats", recipe, *args)


def test_without_room_for_a_split_everything_may_be_looked_at_and_that_is_said(recipe):
    looked = answer("stats", recipe, *SHORT, "--all", "--column", "price.log_return")["looked_at"]
    assert looked["test_from"] is None


def test_tables_are_written_as_parquet(recipe, stats, tmp_path):
    answer("stats", recipe, "--out", tmp_path)
    columns = pd.read_parquet(tmp_path / "columns.parquet").set_index("column")
    assert tuple(columns.index) == COLUMNS
    first = stats["columns"][0]
    assert columns["rank_ic"][COLUMNS[0]] == first["information"]["rank_ic"]["value"]
    decisions = pd.read_parquet(tmp_path / "decisions.parquet")
    own = decisions[decisions["column"] == COLUMNS[0]]["rank_ic"]
    assert own.mean() == pytest.approx(first["information"]["rank_ic"]["value"])
    assert len(pd.read_parquet(tmp_path / "years.parquet")) == 6 * 3
    assert json.loads((tmp_path / "statistics.json").read_text())["columns"] == stats["columns"]
    for name in ("coverage", "information", "clusters"):
        ElementTree.parse(tmp_path / f"{name}.svg")


def test_pictures_are_drawn_and_the_same_every_time(recipe, tmp_path):
    found = answer(
        "plot", recipe, "price.log_return[window=5]", "price.day*", "--out", tmp_path / "a", "--symbol", "KO"
    )
    names = [path.rpartition("/")[2] for path in found["pictures"]]
    assert names == [
        "coverage.svg",
        "information.svg",
        "clusters.svg",
        "price.log_return-window=5.svg",
        "price.day_of_week-phase=sin.svg",
    ]
    answer("plot", recipe, "price.log_return[window=5]", "price.day*", "--out", tmp_path / "b", "--symbol", "KO")
    for name in names:
        text = (tmp_path / "a" / name).read_text(encoding="utf-8")
        ElementTree.fromstring(text)
        assert text == (tmp_path / "b" / name).read_text(encoding="utf-8")
        assert "nan" not in text.lower()
    sheet = (tmp_path / "a" / names[3]).read_text(encoding="utf-8")
    for words in ("Coverage", "Distribution", "Rank IC by year", "Autocorrelation", "Through time: KO", "fraction"):
        assert words in sheet


def test_a_picture_of_an_unknown_symbol_is_refused(recipe, tmp_path):
    assert "Did you mean 'AAPL'?" in refused("plot", recipe, "--symbol", "APPL", "--out", tmp_path)
