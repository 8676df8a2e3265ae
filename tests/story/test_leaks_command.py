"""``mnpu data leaks FILE``: honest features pass on real data, and a leak is named with its evidence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mnpu.commands._data_leaks import leaks
from mnpu.errors import DataError
from mnpu.plugins.registry import Registry

from . import peeking

PIPELINE = """
name: leaks
seed: 3
data:
  store: sqlite:///{store}
  dataset: us_ohlcv_daily
  symbols: [AAPL, IBM, MSFT, GOOG]
  start: 2004-09-01
  end: 2006-12-29
  frequency: 1d
features:
  - {{use: price.log_return, window: [1, 5]}}
  - {{use: price.volume_zscore}}
{more}
target: {{use: forward_return, horizons: [5]}}
split: {{use: walk_forward, train: 1y, validation: 3mo, test: 6mo}}
model:
  lookback: 8
  backbone: {{use: linear}}
  head: {{use: quantile}}
policy: {{use: rank_long_short}}
"""


@pytest.fixture
def file(tmp_path: Path, demo_store: Path):
    def write(more: str = "") -> str:
        path = tmp_path / "p.yaml"
        path.write_text(PIPELINE.format(store=demo_store, more=more), encoding="utf-8")
        return str(path)

    return write


def test_honest_features_pass_without_training_anything(file) -> None:
    done = CliRunner().invoke(leaks, [file()])
    assert (done.exit_code, done.stdout) == (0, "No feature of 3 sees the future on 588 bars.\n")


@pytest.mark.parametrize(
    ("use", "why"),
    [
        ("price.log_return, window: 5000", "too short a history"),  # a column of nothing sees nothing
        ("price.log_price", "are adjusted"),
    ],
)
def test_what_a_run_would_refuse_is_not_said_to_be_honest(file, use: str, why: str) -> None:
    path = Path(file(f"  - {{use: {use}}}"))
    if why == "are adjusted":
        text = path.read_text().replace("us_ohlcv_daily", "us_adjclose_daily").replace("IBM, MSFT, GOOG", "JNJ, WMT")
        path.write_text(text.replace("  - {use: price.volume_zscore}\n", ""))
    with pytest.raises(DataError, match=why):
        CliRunner().invoke(leaks, [str(path)], catch_exceptions=False)


def test_a_leak_is_named_and_exits_4(file, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry.discover()
    registry.add("feature_source", "peeking", peeking)
    monkeypatch.setattr(Registry, "discover", lambda: registry)
    done = CliRunner().invoke(leaks, [file("  - {use: peeking.tomorrow}"), "--json"])
    assert done.exit_code == 4
    told = json.loads(done.stdout)
    assert told["honest"] is False
    by_name = {column["column"]: column for column in told["columns"]}
    guilty = by_name.pop("peeking.tomorrow")
    assert guilty["diagnosis"] == "looks 1 bar ahead"
    assert guilty["broken"] == ["future replaced", "future cut off"]
    assert guilty["evidence"].startswith("peeking.tomorrow: ")
    assert all(column["honest"] for column in by_name.values())


def test_a_person_sees_which_feature_it_is(file, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry.discover()
    registry.add("feature_source", "peeking", peeking)
    monkeypatch.setattr(Registry, "discover", lambda: registry)
    done = CliRunner().invoke(leaks, [file("  - {use: peeking.tomorrow}")])
    assert done.exit_code == 4
    assert "looks 1 bar ahead" in done.stdout
    assert done.stdout.endswith("1 of 4 features see what was not known at their decisions.\n")
