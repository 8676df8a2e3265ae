"""Components are checked where they are named, defaults are filled in, and what is saved loads back equal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

import mnpu.recipes
from mnpu.config.dump import dump
from mnpu.config.interpolate import Reference
from mnpu.config.json_schema import json_schema
from mnpu.config.load import load_config, load_text
from mnpu.config.resolve import resolve
from mnpu.config.yaml import read_text
from mnpu.errors import ConfigError, PluginError
from mnpu.hashing import hash_config
from mnpu.plugins.registry import Registry

RECIPES = Path(mnpu.recipes.__file__).parent

TEXT = """\
name: demo
data: {store: market.db, symbols: [ON, NO, TRUE, 005930], start: 2005-01-01, end: 2018-12-31}
features:
  - {use: price.log_return, window: [1, 5]}
  - {use: price.momentum}
split: {use: walk_forward, train: 5y, validation: 6mo, test: 1y}
model:
  lookback: 16
  backbone: {use: toy, width: 8}
  head: {use: toy_head}
train: {instruments: []}
policy: {use: rank_long_short}
"""


class Toy:
    def __init__(
        self, n_features: int, lookback: int, *, width: Annotated[int, Field(ge=1)] = 4, rate: float = 0.5
    ) -> None:
        if width == 13:
            raise ValueError("a width of 13 brings bad luck")


class ToyHead:
    def __init__(self, d_in: int, n_horizons: int, *, levels: tuple[float, ...] = (0.1, 0.5, 0.9)) -> None:
        pass


@pytest.fixture
def registry():
    registry = Registry.discover()
    registry.add("backbone", "toy", Toy)
    registry.add("head", "toy_head", ToyHead)
    return registry


def resolved(registry, *sets, text=TEXT, **env):
    return resolve(load_text(text, name="p.yaml", sets=sets, env=env), registry)


def refused(registry, *sets, text=TEXT):
    with pytest.raises(ConfigError) as caught:
        resolved(registry, *sets, text=text)
    return str(caught.value)


def test_every_default_is_filled_in(registry):
    found = resolved(registry)
    assert found["model"]["backbone"] == {"use": "toy", "width": 8, "rate": 0.5}
    assert found["model"]["head"] == {"use": "toy_head", "levels": [0.1, 0.5, 0.9]}
    assert found["features"][0] == {"use": "price.log_return", "window": [1, 5]}
    assert set(found["features"][1]) > {"use", "window"}
    assert found["policy"]["gross"] == 1.0
    assert found["train"]["epochs"] == 5
    json.dumps(found, allow_nan=False)


def test_resolving_does_not_change_the_configuration(registry):
    loaded = load_text(TEXT, name="p.yaml", env={})
    before = repr(loaded.pipeline)
    resolve(loaded, registry)
    assert repr(loaded.pipeline) == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("width: 8", "width: -4", "p.yaml:9:31: model.backbone.width is -4, expected a number of at least 1"),
        ("width: 8", "widht: 8", "p.yaml:9:24: model.backbone.widht: unknown key 'widht'"),
        ("width: 8", "widht: 8", "Did you mean 'width'?"),
        ("width: 8", "n_features: 8", "p.yaml:9:24: model.backbone.n_features: n_features is given by the framework"),
        ("use: toy,", "use: tyo,", "p.yaml:9:19: model.backbone.use: No backbone named 'tyo'. Did you mean 'toy'?"),
        ("width: 8", "width: 13", "p.yaml:9:3: model.backbone: a width of 13 brings bad luck"),
        (
            "window: [1, 5]",
            "window: [1, -5]",
            "p.yaml:4:41: features.0.window.1 is -5, expected a number of at least 1",
        ),
        ("window: [1, 5]", "windwo: 5", "p.yaml:4:29: features.0.windwo"),
        ("price.momentum", "price.momentun", "p.yaml:5:11: features.1.use: source 'price' has no feature 'momentun'"),
        ("price.momentum", "prices.momentum", "p.yaml:5:11: features.1.use: No feature source named 'prices'"),
        ("rank_long_short", "rank_long_shrot", "Did you mean 'rank_long_short'?"),
        ("instruments: []", "instruments: [nroms]", "train.instruments.0.use: No instrument named 'nroms'"),
        pytest.param(
            "instruments: []",
            "instruments: [norms, {use: landscape, points: 4}]",
            "landscape.points is 4, expected an odd number",
            marks=pytest.mark.torch,
        ),
        (
            "instruments: []",
            "alerts: {over_fitting: {action: shout}}",
            "train.alerts.over_fitting.action is 'shout', expected log, stop or lower_lr",
        ),
    ],
)
def test_a_wrong_component_or_parameter_is_found_where_it_is_written(registry, old, new, message):
    assert message in refused(registry, text=TEXT.replace(old, new))


STOPS = "train.alerts.noise_scale={threshold: 1.0e-9, action: stop}"


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (
            [STOPS, "train.instruments=[norms]"],
            "--set train.alerts.noise_scale: train.alerts.noise_scale.action is stop, and nothing feeds the alert: "
            "train.instruments is [norms], expected noise_scale among them, which reads what it asks. "
            "Add noise_scale to train.instruments, or remove the action.",
        ),
        (
            [STOPS, "train.instruments=[noise_scale]", "runtime.devices=2"],
            "instruments are left out where runtime.devices is 2, expected log, or an alert that needs no instrument",
        ),
        (
            ["train.alerts.nan={action: lower_lr}"],
            "train.alerts.nan.action is lower_lr, and nothing feeds the alert: train.instruments is []",
        ),
        (["train.alerts.collapse={action: stop}"], "expected calibration among them"),
    ],
)
def test_an_alert_that_is_to_act_and_that_nothing_feeds_is_refused(registry, sets, message):
    assert message in refused(registry, *sets)


class Reporting(Toy):
    def telemetry(self):
        return {"collapsed": 1.0}


@pytest.mark.torch
@pytest.mark.parametrize(
    "sets",
    [
        ["train.alerts.noise_scale={threshold: 1.0e-9}", "train.instruments=[norms]"],
        [STOPS, "train.instruments=[noise_scale]"],
        [STOPS, "train.instruments=[norms, strangers]"],
        ["train.alerts.over_fitting={action: stop}", "runtime.devices=2"],
        ["train.alerts.collapse={action: stop}", "model.backbone={use: reporting}", "runtime.devices=2"],
    ],
)
def test_an_alert_that_something_may_feed_may_act(registry, sets):
    registry.add("instrument", "strangers", object)
    registry.add("backbone", "reporting", Reporting)
    resolved(registry, *sets)


def test_every_instrument_of_core_is_known_to_the_rules_of_alerts():
    from mnpu.config.alerts import FED_BY, OWN, AlertsConfig
    from mnpu.plugin import mnpu_instruments

    assert set(OWN) == set(mnpu_instruments())
    assert set(FED_BY.values()) <= set(OWN)
    assert set(FED_BY) == set(AlertsConfig.model_fields) - {"factor", "over_fitting"}


@pytest.mark.torch
def test_classes_of_a_head_without_any_are_refused_before_anything_is_fitted(registry):
    text = TEXT.replace("toy_head", "quantile").replace("rank_long_short", "rank_long_short, by: classes")
    message = "p.yaml:12:36: policy.by is classes, and model.head (quantile) gives quantiles alone, expected a head"
    assert refused(registry, text=text).startswith(message)
    resolved(registry, text=text.replace("use: quantile", "use: dirichlet_quantile"))


def test_an_override_is_named_as_the_place(registry):
    assert refused(registry, "model.backbone.width=0").startswith(
        "--set model.backbone.width: model.backbone.width is 0, expected"
    )


def test_several_components_are_wrong_at_once(registry):
    sets = [
        "policy={use: rank_long_short, gross: x, hold: x}",
        "model.backbone={use: toy, width: 0, rate: x}",
        "report.formats=[pfd]",
    ]
    assert [line.partition(": ")[0] for line in refused(registry, *sets).splitlines()] == [
        "--set model.backbone",
        "--set model.backbone",
        "--set policy",
        "--set policy",
        "--set report.formats",
    ]


def test_what_a_pattern_or_a_tag_chooses_is_saved_one_by_one_with_its_parameters(registry):
    found = resolved(registry, "features.1={use: price.*, tag: trend}", "features.2={use: price.day*}")
    assert found["features"] == [
        {"use": "price.log_return", "window": [1, 5]},
        {"use": "price.distance_from_average", "window": 50},
        {"use": "price.drawdown", "window": 252},
        {"use": "price.day_of_week", "phase": "sin"},
    ]
    again = resolve(load_text(dump(found), name="resolved.yaml", env={}), registry)
    assert again == found


def test_the_file_that_names_and_the_file_that_chooses_are_the_same_recipe(registry):
    chosen = resolved(registry, "features.1={use: price.*, tag: trend}")
    named = resolved(registry, "features.1={use: price.distance_from_average}", "features.2={use: price.drawdown}")
    assert hash_config(chosen) == hash_config(named)


def test_a_tag_from_the_environment_is_saved_as_what_it_chose(registry):
    found = resolved(registry, "features.1={use: price.*, tag: '${env:TAG}'}", TAG="volume")
    assert found["features"][1] == {"use": "price.volume_zscore", "window": 20}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{tag: momentun}", "--set features.1: features.1.tag: no feature has the tag 'momentun', expected one of"),
        ("{use: price.*, tag: trnd}", "Did you mean 'trend'?"),
        ("{use: price.mmentum*}", "features.1.use: no feature of source 'price' matches 'mmentum*'"),
        ("{tag: trend, window: 5}", "features.1.window: 'window' is given to all features of the tag 'trend'"),
        ("{window: 5}", "features.1 is a map, expected use: source.function, or tag: a word that features carry"),
        ("{tag: 5}", "features.1.tag is 5, expected text"),
        ("{tag: ''}", "features.1.tag is '', expected at least 1 character"),
        ("price.momentum", "features.1 is 'price.momentum', expected a map. Write {use: price.momentum}."),
        ("{use: price.log_return, tag: returns}", "features.1.tag: tag 'returns' stands beside the feature"),
    ],
)
def test_a_choice_of_features_that_is_wrong_is_found_where_it_is_written(registry, entry, message):
    assert message in refused(registry, f"features.1={entry}")


def test_the_same_tag_twice_is_a_repetition(registry):
    assert "features.2 repeats features.1" in refused(registry, "features.1={tag: trend}", "features.2={tag: trend}")


def test_a_tag_asks_every_source_so_a_broken_one_is_an_error(registry, monkeypatch, site):
    site.add(
        "bad-lib",
        "from mnpu import hookimpl\nMNPU_API = 1\n@hookimpl\ndef mnpu_feature_sources():\n"
        "    return {'sunspots': 'no_such_module'}\n",
    )
    text = TEXT.replace("{use: price.momentum}", "{tag: trend}").replace("{use: toy, width: 8}", "{use: linear}")
    with pytest.raises(PluginError, match=r"features.1.tag: .*'bad-lib/sunspots'.*could not be imported") as caught:
        resolve(load_text(text.replace("toy_head", "quantile"), name="p.yaml", env={}), Registry.discover())
    assert "{use: price.*, tag: WORD}" in str(caught.value)


def test_a_tag_is_refused_while_a_plugin_with_sources_is_broken(site):
    site.add("bad-lib", "raise ValueError('no')\ndef mnpu_feature_sources():\n    return {'sunspots': 'sun'}\n")
    with pytest.raises(
        PluginError, match=r"bad-lib 0\.0\.1, which provides feature sources, failed to load: ValueError: no"
    ):
        Registry.discover().complete("feature_source")
    assert Registry.discover().complete("backbone")


def test_the_same_column_twice_is_refused(registry):
    message = refused(registry, "features.2={use: price.log_return, window: 5}")
    assert message.startswith("--set features.2: features.2: column price.log_return[window=5]")


def test_a_missing_first_party_plugin_says_what_to_install(monkeypatch):
    monkeypatch.setenv("MNPU_PLUGINS", "none-of-them")
    registry = Registry.discover()
    registry.add("backbone", "toy", Toy)
    registry.add("head", "toy_head", ToyHead)
    with pytest.raises(PluginError, match="html") as caught:
        resolved(registry, "report.formats=[html]")
    assert caught.value.exit_code == 5
    assert caught.value.where == "--set report.formats"


def test_without_torch_a_network_asks_for_the_train_extra(tmp_path):
    (tmp_path / "p.yaml").write_text(
        TEXT.replace("{use: toy, width: 8}", "{use: linear}").replace("toy_head", "quantile")
    )
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from mnpu.config.load import load_config\n"
        "from mnpu.config.resolve import resolve\n"
        "from mnpu.plugins.registry import Registry\n"
        "from mnpu.errors import PluginError\n"
        "try:\n"
        f"    resolve(load_config({str(tmp_path / 'p.yaml')!r}), Registry.discover())\n"
        "except PluginError as error:\n"
        "    print(error.exit_code, error)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.startswith("5 ")
    assert 'pip install "mnpu-core[train]"' in out


@pytest.mark.parametrize("name", ["us_equities_daily", "eurusd_hourly"])
def test_a_shipped_recipe_resolves_and_loads_back_equal(name):
    pytest.importorskip("torch", reason="its networks need mnpu-core[train]")
    registry = Registry.discover()
    first = resolve(load_config(RECIPES / f"{name}.yaml", env={}), registry)
    again = resolve(load_text(dump(first), env={}), registry)
    assert again == first
    assert hash_config(again) == hash_config(first)


def test_secrets_are_not_saved_but_count(registry):
    text = TEXT.replace("store: market.db", "store: 'db://me:${env:PW}@host'").replace("[ON,", "['${env:SYM}',")
    one = resolved(registry, text=text, PW="hunter2", SYM="ON")
    two = resolved(registry, text=text, PW="hunter3", SYM="ON")
    other = resolved(registry, text=text, PW="hunter2", SYM="SPY")
    saved = dump(one) + json.dumps(one)
    assert "hunter2" not in saved
    assert "db://me:${env:PW}@host" in saved
    assert hash_config(one) == hash_config(two), "where the data lies is not what it is"
    assert hash_config(one) != hash_config(other), "what a value was counts, not how it was written"
    assert hash_config(one) == hash_config(resolved(registry)), "as if it were written out"
    assert resolved(registry, text=dump(one), PW="hunter2", SYM="ON") == one


def test_a_password_in_a_url_is_not_saved(registry):
    saved = dump(resolved(registry, "data.store=postgresql://me:hunter2@host/db"))
    assert "hunter2" not in saved
    assert "postgresql://me:***@host/db" in saved


def test_numbers_from_the_environment_are_saved_as_they_were_used(registry):
    found = resolved(
        registry,
        text=TEXT.replace("width: 8", "width: 8, rate: 1").replace("name: demo", "name: demo\nseed: ${env:SEED}"),
        SEED="9",
    )
    assert found["seed"] == 9
    assert found["model"]["backbone"]["rate"] == 1.0
    assert isinstance(found["model"]["backbone"]["rate"], float)


TICKLISH = ["ON", "NO", "TRUE", "005930", "5930", "1e-4", "null", "", "~", "${env:X}", "$${", "$", "a: b", "- x"]
AWKWARD = [
    "*a",
    "&b",
    "#c",
    "%d",
    "@e",
    "`f",
    "'",
    '"',
    "\\",
    "\n",
    " lead",
    "trail ",
    "\ttab",
    "12:30",
    "=",
    "?",
    "...",
]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(TICKLISH + AWKWARD)
keys = texts.filter(lambda key: key != "<<")  # a merge key is refused, written in whatever way
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(keys, plain, min_size=1, max_size=4))
def test_whatever_is_dumped_loads_back_equal(value):
    back = read_text(dump(value), name="d.yaml", env={}).value
    assert back == value
    assert repr(back) == repr(value), "types and signs too"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"x", {1}, object()])
def test_what_cannot_be_saved_is_refused(value):
    with pytest.raises(ConfigError, match="cannot be saved"):
        dump({"a": value})


def test_a_reference_is_saved_as_it_was_written():
    assert dump({"a": Reference("${env:X}", "secret")}) == 'a: "${env:X}"\n'


def validate(instance):
    jsonschema = pytest.importorskip("jsonschema")
    errors = list(jsonschema.Draft202012Validator(json_schema(Registry.discover())).iter_errors(instance))
    return [f"{'.'.join(map(str, e.absolute_path))}: {e.message}" for e in errors]


@pytest.mark.parametrize("name", ["us_equities_daily", "eurusd_hourly"])
def test_the_json_schema_accepts_the_shipped_recipes(name):
    loaded = load_config(RECIPES / f"{name}.yaml", env={})
    assert validate(loaded.tree.value) == []


def test_the_json_schema_is_a_schema():
    jsonschema = pytest.importorskip("jsonschema")
    schema = json_schema(Registry.discover())
    jsonschema.Draft202012Validator.check_schema(schema)
    names = [
        choice["const"] for choice in schema["$defs"]["feature"]["properties"]["use"]["anyOf"] if "const" in choice
    ]
    assert {"price.log_return", "mnpu-core/price.log_return"} <= set(names)


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("train", "epochs"), "many", "train.epochs"),
        (("train", "epochs"), 0, "train.epochs"),
        (("sede",), 1, ""),
        (("policy",), {"use": "rank_long_short", "grosss": 1}, "policy"),
        (("policy",), {"use": "nosuch"}, "policy.use"),
        (("features", 0), {"use": "price.log_return", "window": 0.5}, "features.0.window"),
        (("features", 0), {"use": "price.*", "window": 5}, "features.0"),
        (("features", 0), {"tag": "trend", "window": 5}, "features.0"),
        (("features", 0), {"window": 5}, "features.0"),
        (("compare",), [{"policy": {"gross": 1}}], "compare.0.policy"),
    ],
)
def test_the_json_schema_refuses_what_validate_refuses(path, value, where):
    instance = load_config(RECIPES / "us_equities_daily.yaml", env={}).tree.value
    node = instance
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    assert any(error.startswith(f"{where}: ") for error in validate(instance))


@pytest.mark.parametrize("entry", [{"use": "price.*"}, {"tag": "trend"}, {"use": "price.d*", "tag": "trend"}])
def test_the_json_schema_accepts_choices_of_features(entry):
    instance = load_config(RECIPES / "us_equities_daily.yaml", env={}).tree.value
    instance["features"].append(entry)
    assert validate(instance) == []


@pytest.mark.parametrize(
    ("train", "accepted"),
    [
        ({"instruments": ["norms", {"use": "noise_scale", "every": 2}]}, True),
        ({"instruments": [{"use": "noise_scale", "evry": 2}]}, False),
        ({"alerts": {"miscalibration": 0.05, "noise_scale": None, "factor": 0.3}}, True),
        ({"alerts": {"over_fitting": {"threshold": 0.2, "action": "stop"}}}, True),
        ({"alerts": {"over_fitting": {"action": "shout"}}}, False),
        ({"alerts": {"overfitting": 0.2}}, False),
    ],
)
def test_the_json_schema_accepts_of_instruments_and_alerts_what_a_run_does(train, accepted):
    instance = load_config(RECIPES / "us_equities_daily.yaml", env={}).tree.value
    instance["train"] = train
    assert (list(validate(instance)) == []) is accepted


def test_the_json_schema_offers_the_tags_that_are_there():
    tag = json_schema(Registry.discover())["$defs"]["feature"]["properties"]["tag"]
    assert {"momentum", "trend"} <= set(tag["examples"])


def test_the_json_schema_allows_values_from_the_environment():
    instance = load_config(RECIPES / "us_equities_daily.yaml", env={}).tree.value
    instance["seed"] = "${env:SEED:-7}"
    instance["train"]["lr"] = "${env:LR}"
    instance["data"]["start"] = "${env:START}"
    assert validate(instance) == []


def test_the_json_schema_imports_no_component():
    code = (
        "import sys\nfrom mnpu.config.json_schema import json_schema\nfrom mnpu.plugins.registry import Registry\n"
        "json_schema(Registry.discover())\n"
        "heavy = ('torch', 'lightning', 'pyarrow', 'mnpu.nn.omni', 'mnpu.features.price')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
