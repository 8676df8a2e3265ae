"""``mnpu features stats`` on columns that read series: how long their newest row had been known."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from click.testing import CliRunner

from mnpu.cli import cli
from mnpu.data.store import Store

RECIPE = """
name: ages
data:
  store: sqlite:///{store}
  dataset: us_adjclose_daily
  symbols: [KO, PEP, XOM]
  start: 2010-01-01
  end: 2012-12-31
features:
  - {{use: macro.credit_spread}}
target: {{use: forward_return, horizons: [1]}}
split: {{use: walk_forward, train: 1y, validation: 6mo, test: 6mo}}
model: {{lookback: 4, backbone: {{use: linear}}}}
policy: {{use: rank_long_short}}
"""


def test_the_age_of_a_series_is_that_of_its_newest_row_at_each_decision(demo_store, tmp_path):
    recipe = tmp_path / "ages.yaml"
    recipe.write_text(RECIPE.format(store=demo_store))
    result = CliRunner().invoke(cli, ["features", "stats", str(recipe), "--all", "--json"])
    assert result.exit_code == 0, result.output
    [column] = json.loads(result.stdout)["columns"]
    assert (column["scope"], column["information"]["method"]) == ("market", "time")
    store = Store.open(demo_store)
    times = store.panel(["KO"], start="2010-01-01", end="2012-12-31", dataset="us_adjclose_daily").times
    for age, series in zip(column["age_days"], ("moodys_baa_yield", "moodys_aaa_yield"), strict=True):
        known = store.side([series], end=times[-1]).knowledge_time
        rows = pd.DataFrame({"time": known, "known": known}).sort_values("time")
        found = pd.merge_asof(pd.DataFrame({"time": times}), rows, on="time")
        days = (found["time"] - found["known"]) / pd.Timedelta(days=1)
        assert age["series"] == series
        assert age["median"] == pytest.approx(days.median())
        assert age["most"] == pytest.approx(days.max())
    assert column["staleness_bars"]["mean"] > 5  # a monthly value stands for a month
