"""A file with its overlays, overrides and environment becomes a checked pipeline, or says what is wrong where."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from mnpu.config.load import load_config, load_text
from mnpu.config.periods import parse_period
from mnpu.errors import ConfigError

TEXT = """\
name: demo
seed: 7
data:
  store: sqlite:///market.db
  symbols: [SPY, ON, TRUE, 005930]
  start: 2005-01-01
  end: 2018-12-31
features:
  - {use: price.log_return, window: [1, 5]}
  - {use: price.momentum}
split: {use: walk_forward, train: 5y, validation: 6mo, test: 1y}
model:
  lookback: 64
  backbone: {use: omni, d_model: 64}
train: {lr: 3e-4}
policy: {use: rank_long_short}
"""


def load(text=TEXT, *, sets=(), **env):
    return load_text(text, name="p.yaml", sets=sets, env=env)


def refused(text=TEXT, *, sets=()):
    with pytest.raises(ConfigError) as caught:
        load(text, sets=sets)
    return caught.value


def test_the_values_of_the_file_and_the_defaults_are_there():
    config = load().pipeline
    assert config.data.symbols == ["SPY", "ON", "TRUE", "005930"]
    assert config.data.start == dt.date(2005, 1, 1)
    assert config.features[0].use == "price.log_return"
    assert config.features[0].params == {"window": [1, 5]}
    assert config.train.lr == 3e-4
    assert config.target.params == {"horizons": [5]}
    assert [v.use for v in config.validators] == ["ohlcv", "point_in_time"]
    assert (config.fill, config.train.epochs, config.runtime.device) == ("next_close", 5, "auto")


def test_a_value_knows_where_it_was_written():
    loaded = load(sets=["train.epochs=2", "features.0.window=20"])
    assert loaded.where("model.lookback") == "p.yaml:13:13"
    assert loaded.where("data.symbols.3") == "p.yaml:5:28"
    assert loaded.where("train.epochs") == "--set train.epochs"
    assert loaded.where("features.0.window") == "--set features.0.window"
    assert loaded.where("model.head") == "p.yaml:13:3"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lookback: 64", "lookback: -4", "p.yaml:13:13: model.lookback is -4, expected a positive integer."),
        (
            "lr: 3e-4",
            "lr: fast",
            "p.yaml:15:13: train.lr is 'fast', expected a number."
            " Write it plainly: 5, 0.5, 1e-4, true; quotes make text.",
        ),
        (
            "lr: 3e-4",
            "lr: 0",
            "p.yaml:15:13: train.lr is 0, expected a number above 0.0. Remove it to use the default, 0.001.",
        ),
        (
            "lr: 3e-4",
            "clip: 0",
            "p.yaml:15:15: train.clip is 0, expected a number above 0.0 or null. Remove it to use the default, 1.0.",
        ),
        (
            "lr: 3e-4",
            "max_steps_per_epoch: 0",
            "p.yaml:15:30: train.max_steps_per_epoch is 0, expected a positive integer or null.",
        ),
        (
            "lr: 3e-4",
            "loggers: [csv, csv]",
            "p.yaml:15:24: train.loggers.1 is csv, which is there twice. Remove one.",
        ),
        (
            "lr: 3e-4",
            "instruments: [norms, {use: norms, samples: 4}]",
            "p.yaml:15:30: train.instruments.1 is norms, which is there twice. Remove one.",
        ),
        ("seed: 7", "sede: 7", "p.yaml:2:1: sede is not a known key. Did you mean 'seed'?"),
        (
            "lr: 3e-4",
            "epochs: true",
            "p.yaml:15:17: train.epochs is true, expected a whole number. Remove it to use the default, 5.",
        ),
        ("TRUE, 005930", "true, 5930", "p.yaml:5:22: data.symbols.2 is true, expected text. Quote it to make it text."),
        (
            "2005-01-01",
            "2005-02-30",
            "p.yaml:6:10: data.start is '2005-02-30', expected a date that exists, as in 2005-01-31.",
        ),
        (
            "test: 1y",
            "test: 1m",
            "p.yaml:11:62: split.test is '1m', expected a whole number and y, mo, w or d, as in 5y, 6mo, 2w or 30d.",
        ),
        (
            "use: walk_forward",
            "use: shuffled",
            "p.yaml:11:14: split.use is 'shuffled', expected walk_forward or purged_kfold or cpcv.",
        ),
        (
            "policy: {use: rank_long_short}",
            "policy: rank",
            "p.yaml:16:9: policy is 'rank', expected a map. Write {use: rank}.",
        ),
        (
            "[SPY, ON, TRUE, 005930]",
            "[]",
            "p.yaml:5:12: data.symbols names no symbol, expected at least one symbol, or data.universe."
            " Run: mnpu data info.",
        ),
    ],
)
def test_one_wrong_value_gives_one_sentence(old, new, message):
    error = refused(TEXT.replace(old, new))
    assert str(error).splitlines()[0] == message
    assert error.exit_code == 2


def test_a_missing_key_says_what_it_is():
    error = refused(TEXT.replace("  store: sqlite:///market.db\n", ""))
    assert str(error).startswith("p.yaml:3:1: data.store is missing. It is required: the store:")


def test_a_misspelt_required_key_is_one_error_not_two():
    error = refused(TEXT.replace("store:", "stroe:"))
    assert str(error) == "p.yaml:4:3: data.stroe is not a known key. Did you mean 'store'?"


def test_several_errors_are_told_at_once():
    error = refused(TEXT.replace("lookback: 64", "lookback: 0").replace("seed: 7", "seed: -1"))
    assert len(error.others) == 1
    assert [line.partition(": ")[0] for line in str(error).splitlines()] == ["p.yaml:2:7", "p.yaml:13:13"]
    assert error.as_dict()["others"][0]["where"] == "p.yaml:13:13"


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["data.end=2004-12-31"], "p.yaml:6:10: data.start is 2005-01-01, expected a date before data.end"),
        (["data.end=2010-12-31"], "split.train (5y), validation (6mo) and test (1y) together end on 2011-07-01"),
        (
            ["data.source_frequency=1d"],
            "data.source_frequency is 1d, expected a frequency shorter than data.frequency, 1d",
        ),
        (["data.frequency=2h"], "data.frequency is '2h', expected 1m, 5m, 15m, 30m, 1h, 4h, 1d or 1w"),
        (["data.symbols=[A, B, A]"], "--set data.symbols: data.symbols.2 is A, which is there twice"),
        (["data.dataset={QQQ: x}"], "--set data.dataset: data.dataset.QQQ is for a symbol that data.symbols"),
        (["data.dataset=5"], "--set data.dataset: data.dataset is 5, expected the name of a dataset, or a map"),
        (["target={use: forward_return, horizons: [0]}"], "target.horizons.0 is 0, expected a positive integer"),
        (["features.1={use: momentum}"], "features.1.use is 'momentum', expected source.function"),
        (["features.2={use: price.momentum}"], "features.2 repeats features.1"),
        (["compare=[{policy: {use: a}}, {policy: {use: a}}]"], "compare.1 is a, which is there twice, expected each"),
        (["model={lookback: 4, backbone: {use: a}}", "compare=[{backbone: {use: a}}]"], "compare.0 is a, which"),
        (["runtime.devices=3"], "train.batch_size is 512, expected a multiple of runtime.devices, 3"),
        (["train.precision=16", "runtime.device=cpu"], "train.precision is 16 on the cpu, expected 32 or bf16"),
        (
            ["train.precision=16", "runtime={devices: 2, strategy: fsdp}"],
            "train.precision is 16 under runtime.strategy: fsdp, expected 32 or bf16",
        ),
        (["currency=eur"], "currency is 'eur', expected three to five capitals, as in EUR or USDT, or null"),
        (["execution.capital=1e300"], "execution.capital is 1e+300, expected a number of at most 1e+18"),
        (["execution.lot=1e-300"], "execution.lot is 1e-300, expected a number of at least 1e-12"),
        (["split.unlocked=true"], "split does not fit together, expected split.locked, the range that is to be"),
        (["split={use: cpcv, validation: 1y, groups: 2}"], "split does not fit together, expected test_groups below"),
        (["split.locked=2009-02-31"], "split.locked is '2009-02-31', expected a date that exists"),
        (["split.locked=2999-01-01"], "split.locked is 2999-01-01, and begins on 2999-01-01, expected a day after"),
        (["split.locked=900y"], "split.locked is 900y, and begins on "),
        (["compare=[{}]"], "compare.0 is a map, expected exactly one of policy, backbone and forecaster"),
        (["compare=[{policy: {use: a}, backbone: {use: b}}]"], "exactly one of policy, backbone and forecaster"),
        (
            ["policy.by=classes", "compare=[{forecaster: {use: ridge}}]"],
            "policy.by is classes, and compare.0.forecaster (ridge) gives quantiles alone, expected heads that name",
        ),
        (
            ["model={lookback: 4, forecaster: {use: ridge}, warm_start: here}", "compare=[{backbone: {use: gru}}]"],
            "model.warm_start is set, and the judged model is a whole one (ridge), expected a backbone",
        ),
        (
            ["model={lookback: 4, forecaster: {use: ridge}, ensemble: {seeds: 3}}", "compare=[]"],
            "model.ensemble is set, and every model of the run is a whole one (ridge), expected a backbone",
        ),
        (["report.formats=[md, md]"], "report.formats.1 is md, which is there twice"),
        (
            ["model.min_present=1.5"],
            "--set model.min_present: model.min_present is 1.5, expected a number of at most 1",
        ),
        (["train.batch_size=99999999999999999999"], "expected a number of at most 2147483647"),
        (
            ["model.calibration={use: adaptive, memory: 99999999999999999999}"],
            "expected a number of at most 2147483647",
        ),
        (["model.lookback=99999999999999999999"], "expected a number of at most 2147483647"),
        (["model.calibration={use: adaptive, rate: 1e308}"], "rate is 1e+308, expected a number of at most 1"),
        (["train.clip=0"], "train.clip is 0, expected a number above 0"),
        (["train.lr=1e999"], "train.lr is '1e999', expected a number"),
        (["name=a b"], "--set name: name is 'a b', expected up to 64 letters"),
        (["runtime.device=cdua"], "expected auto, cpu or cuda. Did you mean 'cuda'?"),
        (["features=[]"], "features is a list of 0, expected at least 1 item"),
        (["nosuch.key=1"], "--set nosuch.key: nosuch is not a known key"),
    ],
)
def test_rules_between_values_name_the_one_to_change(sets, message):
    assert message in str(refused(sets=sets))


@pytest.mark.parametrize("value", ["{}", "{part: backbone}", "{path: '', parts: backbone}"])
def test_a_block_that_may_be_a_text_is_told_of_as_a_block(value):
    error = refused(sets=[f"model.warm_start={value}"])
    assert "model.warm_start.pa" in str(error)
    assert "text" not in str(error)
    assert ".str" not in str(error)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train.epochs", "--set train.epochs has no '='"),
        ("train..epochs=2", "--set: 'train..epochs' is not a path"),
        ("=2", "--set: '' is not a path"),
        ("name.x=2", "--set name.x: name is 'demo', which has no 'x' inside"),
        ("features.9.window=2", "--set features.9.window: features is a list of 2, which has no position '9'"),
        ("features.first.window=2", "which has no position 'first'"),
        ("seed=[1", "--set seed: is not YAML"),
        ("seed=${env:NOT_SET_HERE}", "--set seed: seed needs the environment variable NOT_SET_HERE"),
    ],
)
def test_a_wrong_override_names_itself(text, message):
    assert message in str(refused(sets=[text]))


def test_overrides_reach_lists_make_blocks_and_the_last_wins():
    config = load(
        sets=[
            "features.0.window=20",
            "features.2={use: price.drawdown, window: 3}",
            "costs.commission_bps=0",
            "seed=1",
            "seed=2",
            'data.dataset."005930"=korea',
            "data.symbols.1='5930'",
        ]
    ).pipeline
    assert [f.params for f in config.features] == [{"window": 20}, {}, {"window": 3}]
    assert config.costs.commission_bps == 0
    assert config.seed == 2
    assert config.data.dataset == {"005930": "korea"}
    assert config.data.symbols[1] == "5930"


def test_overlays_merge_maps_and_replace_lists_and_other_components(tmp_path):
    (tmp_path / "base.yaml").write_text(TEXT)
    (tmp_path / "one.yaml").write_text("train: {epochs: 2}\nfeatures:\n  - {use: price.drawdown}\n")
    (tmp_path / "two.yaml").write_text("train: {epochs: 0}\nmodel: {backbone: {use: linear}}\n")
    loaded = load_config(tmp_path / "base.yaml", overlays=[tmp_path / "one.yaml"], env={})
    assert loaded.pipeline.train.lr == 3e-4
    assert loaded.pipeline.train.epochs == 2
    assert [f.use for f in loaded.pipeline.features] == ["price.drawdown"]
    assert loaded.where("train.epochs") == f"{tmp_path / 'one.yaml'}:1:17"
    assert loaded.where("train.lr") == f"{tmp_path / 'base.yaml'}:15:13"
    with pytest.raises(ConfigError, match=r"two\.yaml:1:17: train\.epochs is 0"):
        load_config(tmp_path / "base.yaml", overlays=[tmp_path / "one.yaml", tmp_path / "two.yaml"], env={})
    other = load_config(tmp_path / "base.yaml", overlays=[tmp_path / "two.yaml"], sets=["train.epochs=1"], env={})
    assert other.pipeline.model.backbone.params == {}
    assert other.pipeline.model.lookback == 64


def test_an_overlay_does_not_change_the_tree_below():
    from mnpu.config.tree import merge
    from mnpu.config.yaml import read_text

    base, over = (read_text(t, name="f", env={}) for t in ("a: {b: [1]}", "a: {c: 2}"))
    merged = merge(base, over)
    merged.value["a"]["b"].append(2)
    assert base.value == {"a": {"b": [1]}}


def test_a_wrong_value_from_the_environment_is_not_shown():
    with pytest.raises(ConfigError) as caught:
        load(TEXT.replace("lr: 3e-4", 'lr: "${env:LR}"'), LR="hunter2")
    assert "train.lr is ${env:LR}, expected a number" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("5y", pd.DateOffset(years=5)),
        ("6mo", pd.DateOffset(months=6)),
        ("2w", pd.DateOffset(weeks=2)),
        ("30d", pd.DateOffset(days=30)),
    ],
)
def test_periods(text, offset):
    assert parse_period(text) == offset


@pytest.mark.parametrize("text", ["5", "y", "5m", "0y", "-1y", "1.5y", "5 y", "05y", "1Y", "5y6mo", "", "99999d"])
def test_what_is_not_a_period_is_refused(text):
    with pytest.raises(ConfigError, match="is not a period"):
        parse_period(text)


def test_what_was_known_of_a_value_is_forgotten_when_it_is_replaced(tmp_path):
    (tmp_path / "base.yaml").write_text(TEXT.replace("sqlite:///market.db", '"${env:STORE}"'))
    (tmp_path / "over.yaml").write_text("data: {store: written.db, symbols: [A]}\n")
    env = {"STORE": "secret.db"}
    base = load_config(tmp_path / "base.yaml", env=env)
    assert base.tree.references == {("data", "store"): "${env:STORE}"}
    for loaded in (
        load_config(tmp_path / "base.yaml", overlays=[tmp_path / "over.yaml"], env=env),
        load_config(tmp_path / "base.yaml", sets=["data.store=written.db", "data.symbols=[A]"], env=env),
    ):
        assert loaded.tree.references == {}
        assert ("data", "symbols", 2) not in loaded.tree.origins
