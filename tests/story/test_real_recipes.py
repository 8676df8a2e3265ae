"""The recipes of the how-to run on the shared market data, each with all of its sources, from YAML to the report.

They are the files that users copy, made small: fewer bars, symbols and epochs. Nothing is asserted about returns.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from mnpu import pipeline
from mnpu.assembly import assemble
from mnpu.commands import run as run_command
from mnpu.config import load_config
from mnpu.config.resolve import resolve
from mnpu.data.importing.mapping import load_mapping
from mnpu.data.importing.run import import_files
from mnpu.engine import LocalEngine
from mnpu.errors import DataError
from mnpu.features import keys
from mnpu.features.compute import compute, evaluate
from mnpu.features.stream import Stream
from mnpu.plugins.registry import Registry
from mnpu.progress import Silent
from tests.story.test_shared_data import MAPPING, root

__all__ = ["root"]

RECIPES = Path(__file__).parents[2] / "docs" / "how-to" / "recipes"
FILES = (
    "binance_perp_1h",
    "binance_funding",
    "binance_perp_mark_1h",
    "btcusd_coinbase_daily",
    "btc_eth_coinmetrics_daily",
    "us_adjusted_2003_2017",
    "us_treasury_curve_daily",
    "us_macro_vintages_2016_2017",
    "tweet_stocks_2012_2017",
    "stock_tweets_2014_2015",
    "skfolio_adjclose_1990_2022",
    "economic_calendar_2019-11_2020-07",
)
TINY = {"train.epochs": 1, "train.max_steps_per_epoch": 10, "model.lookback": 4, "model.backbone": "{use: linear}"}
SMALLER = {
    "perpetuals_hourly": {"data.end": "2025-04-30", "split.train": "2mo", "split.test": "1mo",
                          "data.symbols": "[BNBUSDT-PERP, BTCUSDT-PERP, ETHUSDT-PERP, SOLUSDT-PERP]"},
    "bitcoin_onchain_daily": {"data.end": "2017-08-31"},
    "us_stocks_vintages": {"data.start": "2015-03-02", "split.train": "15mo"},
    "tweeted_stocks": {"data.end": "2014-06-30", "split.train": "3mo", "split.validation": "1mo", "split.test": "2mo",
                       "data.symbols": "[AAPL, AMZN, CSCO, GOOG, INTC, T]"},
    "us_stocks_calendar": {"split.test": "2mo"},
}  # fmt: skip
#: Series that each report must tell about: how their knowledge is based, and their release lag.
TOLD = {
    "perpetuals_hourly": {"funding_rate": ("observed", "as observed"), "mark_close": ("declared", "event")},
    "bitcoin_onchain_daily": {"AdrActCnt": ("declared", "event day + 6 h")},
    "us_stocks_vintages": {
        "ust_10year": ("declared", "event day + 1 day, 09:00 America/New_York"),
        "PAYEMS": ("left-censored", "as observed"),
    },
    "tweeted_stocks": {"tweet": ("observed", "as observed")},
    "us_stocks_calendar": {
        "USD CPI m/m/actual": ("observed", "as observed"),
        "USD CPI m/m/scheduled": ("observed", "as observed"),
    },
}


@pytest.fixture(scope="module")
def folder(root, tmp_path_factory):
    """A user's folder: a store of the files that the recipes need, and the recipes."""
    folder = tmp_path_factory.mktemp("recipes")
    mapping = yaml.safe_load(MAPPING.read_text(encoding="utf-8"))
    chosen = [entry for entry in mapping["imports"] if any(name in str(entry["files"]) for name in FILES)]
    (folder / "mapping.yaml").write_text(yaml.safe_dump({"imports": chosen}), encoding="utf-8")
    done = import_files(load_mapping(folder / "mapping.yaml"), folder / "market.db", root=root)
    assert not done.failed
    for path in RECIPES.glob("*.yaml"):
        shutil.copy(path, folder)
    return folder


def run(*arguments: object):
    return CliRunner().invoke(run_command.command, [str(argument) for argument in arguments])


def settings(changes: dict[str, object]) -> list[str]:
    return [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]


def loaded(recipe: str, folder: Path):
    """The recipe's parts, and its data."""
    changes = {**TINY, **SMALLER[recipe], "compare": "[]"}
    read = load_config(folder / f"{recipe}.yaml", sets=[f"{key}={value}" for key, value in changes.items()])
    registry = Registry.discover()
    parts = assemble(read.pipeline, resolve(read, registry), registry, base=folder)
    return parts, *pipeline.load(parts, Silent())


def test_every_recipe_of_the_page_is_run():
    assert {path.stem for path in RECIPES.glob("*.yaml")} == set(SMALLER) == set(TOLD)
    page = (RECIPES.parent / "use-several-sources.md").read_text(encoding="utf-8")
    assert all(f"recipes/{name}.yaml" in page for name in SMALLER)


@pytest.mark.parametrize("recipe", SMALLER)
def test_a_recipe_runs_from_yaml_to_its_report(recipe, folder):
    changed = settings({**TINY, **SMALLER[recipe], "compare": "[]"})
    done = run(folder / f"{recipe}.yaml", "--runs", folder / recipe, "--json", *changed)
    assert done.exit_code == 0, (done.output, done.exception)
    (path,) = [each.parent for each in (folder / recipe).glob("*/metrics.json")]
    judged = json.loads((path / "metrics.json").read_text(encoding="utf-8"))
    assert {gate["name"]: gate["passed"] for gate in judged["gates"]} == dict.fromkeys(
        ("permuted", "constant", "negated", "future"), True
    )
    report = (path / "report.md").read_text(encoding="utf-8")
    for series, told in TOLD[recipe].items():
        (line,) = [line for line in report.splitlines() if line.startswith(f"| `{series}`")]
        assert all(f"| {word} |" in line for word in told), line
    named = {
        entry["use"] for entry in yaml.safe_load((folder / f"{recipe}.yaml").read_text())["features"] if "use" in entry
    }
    shown = [line.split("`")[1] for line in report.splitlines() if line.startswith("| `") and "." in line.split("`")[1]]
    for name in named:
        assert any(column.startswith(name.removesuffix("*")) for column in shown), name


@pytest.mark.parametrize("recipe", SMALLER)
def test_its_features_are_the_same_for_any_workers_and_with_the_cache(recipe, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(keys, "started", lambda: time.time() + 3600)  # whoever edits code meanwhile runs this, too
    parts, panel, side = loaded(recipe, folder)
    before = panel.rows(0, len(panel.times) - 1)
    expected = compute(parts.planned, panel, side).values
    for workers in (1, 2):
        home, engine = tmp_path / str(workers), LocalEngine(workers=workers)
        asked = [(before, side.known_by(before.times[-1]), home), (panel, side, home), (panel, side, home)]
        found = [compute(parts.planned, *market, engine=engine, cache=cache).values for *market, cache in asked]
        found.append(compute(parts.planned, panel, side, engine=engine).values)
        np.testing.assert_array_equal(found[0], compute(parts.planned, before, asked[0][1]).values)
        for values in found[1:]:
            np.testing.assert_array_equal(values, expected)
        assert len(list(home.glob("*.features"))) == 2


@pytest.mark.parametrize("recipe", SMALLER)
def test_its_features_bar_by_bar_are_those_of_the_batch(recipe, folder):
    parts, panel, side = loaded(recipe, folder)
    whole = evaluate(parts.planned, panel, side)
    first = len(panel.times) - 40
    stream = Stream(parts.planned, panel.rows(0, first), side.known_by(panel.times[first - 1]))
    for t in range(first, len(panel.times)):
        news = side.known_by(panel.times[t])
        news = news.rows(np.asarray(news.knowledge_time > panel.times[t - 1]))
        np.testing.assert_allclose(
            stream.values(panel.rows(t, t + 1), news), whole[t], rtol=1e-9, atol=1e-12, err_msg=str(panel.times[t])
        )


def test_a_column_without_a_value_in_the_range_is_refused_with_the_dates_that_its_source_covers(folder):
    """The vintages end in January 2017, and nothing of them was known before 29 June 2016."""
    early = settings({"data.start": "2012-01-03", "data.end": "2015-12-31", "split.train": "2y"})
    done = run(folder / "us_stocks_vintages.yaml", "--runs", folder / "early", *early)
    assert isinstance(done.exception, DataError)
    assert "nothing of series 'PAYEMS' of table macro_observations" in str(done.exception)
    assert "PAYEMS became known between 2016-06-29 and 2017-01-27 (void when older than 100 days)" in str(
        done.exception
    )
    assert not (folder / "early").exists()


def test_a_source_that_ended_long_ago_is_refused_with_its_dates(folder):
    late = settings({"data.start": "2018-01-02", "data.end": "2020-12-31", "split.train": "1y", "split.test": "6mo"})
    tweets = ["--set", "features=[{use: sentiment.tone, series: tweet}]"]
    data = settings({"data.dataset": "us_adjclose_1990_2022", "data.symbols": "[AAPL, GE, HD, JNJ, KO, MRK]"})
    done = run(folder / "tweeted_stocks.yaml", "--runs", folder / "late", *late, *tweets, *data)
    assert isinstance(done.exception, DataError)
    assert "sentiment.tone" in str(done.exception)
    assert "has no value in" in str(done.exception)
    assert "tweet became known between 2013-12-31 and 2015-12-31 (void when older than 30 days)" in str(done.exception)
