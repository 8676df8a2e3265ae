"""A fixture is checked before it is written, written whole or not at all, and says which rows it broke."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from click.testing import CliRunner

from mnpu.commands import data
from mnpu.commands._fixture import checks_of
from mnpu.data.fixture import market as markets
from mnpu.data.fixture.defects import DEFECTS
from mnpu.data.fixture.plan import Plan
from mnpu.data.fixture.write import DATASET, Checks, write_fixture
from mnpu.data.store import Store
from mnpu.errors import ConfigError, DataError, MnpuError
from mnpu.plugins.registry import Registry
from mnpu.types import Metric
from mnpu.validation.check import check_store

#: Tables that a defect may touch, with the column that says which rows are about what.
TABLES = {
    "prices": "symbol",
    "observations": "series",
    "corporate_actions": "symbol",
    "calendar_events": "series",
    "news": "source",
}
SMALL = {"symbols": 16, "sessions": 400, "seed": 6, "covered": 2}


@pytest.fixture(scope="module")
def checks():
    return checks_of(Registry.discover())


@pytest.fixture(scope="module")
def clean(checks, tmp_path_factory):
    return write_fixture(tmp_path_factory.mktemp("fixture") / "clean", Plan(**SMALL), checks)


@pytest.fixture(scope="module")
def broken(checks, tmp_path_factory):
    plan = Plan(**SMALL, defects=tuple(DEFECTS))
    return write_fixture(tmp_path_factory.mktemp("fixture") / "broken", plan, checks)


def panel_of(written):
    facts, store = written.facts, Store.open(written.store)
    return store.panel(store.symbols(DATASET), start=facts["first"], end=facts["last"], dataset=DATASET)


def store_info(written):
    return Store.open(written.store).info()


def rows(path, table):
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return {tuple(row): dict(row) for row in connection.execute(f"SELECT * FROM {table}")}


def test_the_same_plan_gives_the_same_bytes(clean, checks, tmp_path):
    again = write_fixture(tmp_path / "again", Plan(**SMALL), checks)
    for name in ("fixture.db", "fixture.yaml", "fixture.json"):
        assert (again.folder / name).read_bytes() == (clean.folder / name).read_bytes()
    other = write_fixture(tmp_path / "other", Plan(**{**SMALL, "seed": 7}), checks)
    assert (other.folder / "fixture.db").read_bytes() != (clean.folder / "fixture.db").read_bytes()


def test_the_shipped_validators_find_one_month_that_was_never_published_and_nothing_else(clean):
    (warning,) = clean.facts["warnings"]
    assert warning["rule"] == "a regular series has a value for every period"
    assert warning["sample"].startswith("core_cpi")
    registry, store = Registry.discover(), Store.open(clean.store)
    validators = {c.name: registry.build("validator", c.canonical, {}) for c in registry.components("validator")}
    assert len(validators) >= 12
    (found,) = check_store(store, validators).reported
    assert found.finding.sample == warning["sample"]


def test_what_the_file_says_is_what_the_store_holds(clean):
    facts = json.loads((clean.folder / "fixture.json").read_text())
    assert facts == clean.facts
    panel = panel_of(clean)
    assert panel.shape == (400, 16)
    assert panel.tradable.sum() == facts["bars"]
    assert len(facts["listed_late"]) == len(facts["delisted"]) == 2
    actions = rows(clean.store, "corporate_actions").values()
    assert len(actions) == facts["splits"] + facts["dividends"]
    assert sum(action["kind"] == "split" for action in actions) == facts["splits"] == store_info(clean).n_splits
    assert {name: entry["rows"] for name, entry in facts["series"].items()} == {
        s.info.series: s.n_observations for s in Store.open(clean.store).info().series
    }
    assert facts["truth"]["ic"] == 0.1
    assert facts["defects"] == []


def test_the_feature_and_the_generator_agree_on_the_score(clean):
    from mnpu.data.fixture.plant import volume_score
    from mnpu.features.api import View
    from mnpu.features.price import volume_zscore
    from mnpu.features.trailing import trailing_mean
    from mnpu.testing.synthetic import synthetic_side

    panel = panel_of(clean)
    read = volume_zscore(View(panel, synthetic_side((), panel, np.random.default_rng(0))), window=20)
    assert np.isfinite(trailing_mean(panel["volume"], 20)).sum() == np.isfinite(read).sum()
    np.testing.assert_allclose(read, volume_score(panel["volume"], 20), atol=1e-9)


def test_a_split_and_a_dividend_are_announced_before_they_take_effect(clean):
    for row in rows(clean.store, "corporate_actions").values():
        assert row["knowledge_time"] < row["event_time"]


def test_every_row_that_differs_from_the_clean_fixture_is_listed(clean, broken):
    listed = {table: set() for table in (*TABLES, "assets")}
    twins = set()
    for defect in broken.facts["defects"]:
        for change in defect["changes"]:
            listed[change["table"]].add((change["symbol"], change["event_time"]))
            if change["column"] == "event_time":
                listed[change["table"]].add((change["symbol"], change["after"]))
            if change["table"] == "assets" and not change["column"]:
                twins.add(change["symbol"])
    for table, subject in TABLES.items():
        before, after = rows(clean.store, table), rows(broken.store, table)
        differ = [before[key] for key in before.keys() - after.keys()]
        differ += [after[key] for key in after.keys() - before.keys()]
        found = {(row[subject], iso(row["event_time"])) for row in differ if row.get("symbol") not in twins}
        assert found == listed[table]
    assert {defect["name"] for defect in broken.facts["defects"]} == set(DEFECTS)
    assert len(twins) == 1


def iso(ns):
    from mnpu.data.clock import from_ns

    return from_ns([ns])[0].isoformat()


def test_each_defect_is_what_it_says(broken):
    facts = {defect["name"]: defect for defect in broken.facts["defects"]}
    panel, store = panel_of(broken), Store.open(broken.store)

    def column(name):
        return panel.symbols.index(facts[name]["subject"])

    assert np.nanmin(panel["close"][:, column("zero_price")]) == 0
    assert np.nanmin(panel["volume"][:, column("negative_volume")]) < 0
    gone = panel.tradable[:, column("missing_session")]
    saturday = panel.sessions[(panel.sessions.astype(int) + 3) % 7 == 5]
    assert (~gone).sum() == 1 + len(saturday)
    assert len(saturday) == 1
    frozen = panel["close"][:, column("frozen")]
    assert (np.diff(frozen) == 0).sum() >= 9
    twin = column("duplicate_symbol")
    np.testing.assert_array_equal(panel["close"][:, twin], panel["close"][:, twin - 1])
    assert not panel.tradable[-60:, column("truncated_symbol")].any()
    jump = panel["close"][1:, column("unrecorded_split")] / panel["close"][:-1, column("unrecorded_split")]
    assert max(np.nanmax(jump), 1 / np.nanmin(jump)) > 1.4
    side = store.side(["core_cpi", "wti_spot"])
    assert (side.knowledge_time < side.event_time).sum() == 1
    assert (side.value == -99.99).sum() == 1
    assert {s.symbol: s.n_bars for s in store.assets()} == dict(
        zip(panel.symbols, panel.tradable.sum(axis=0), strict=True)
    )


@pytest.fixture(scope="module")
def reported(broken):
    registry = Registry.discover()
    validators = {c.name: registry.build("validator", c.canonical, {}) for c in registry.components("validator")}
    return check_store(Store.open(broken.store), validators).reported


@pytest.mark.parametrize("name", [name for name, kind in DEFECTS.items() if kind.found_by])
def test_a_validator_finds_a_defect_in_its_own_rows(name, broken, reported):
    kind = DEFECTS[name]
    (subject,) = [defect.subject for defect in broken.defects if defect.name == name]
    named = {
        str(record.get(column))
        for r in reported
        if (r.validator, r.finding.severity) == (kind.found_by, kind.severity)
        for record in r.finding.records
        for column in ("symbol", "series", "source")
    }
    assert {subject, f"{subject}/actual"} & named


def test_no_validator_claims_a_defect_that_none_can_see(clean, broken, reported):
    """Every finding about the broken store is about a symbol or a series that a defect touched, or was there before."""
    unseen = {name for name, kind in DEFECTS.items() if not kind.found_by}
    assert unseen == {"funding_in_percent", "late_knowledge", "unscheduled_release"}
    touched = {change["symbol"] for defect in broken.facts["defects"] for change in defect["changes"]}
    (before,) = clean.facts["warnings"]
    for r in reported:
        for record in r.finding.records:
            about = {str(record.get(column)).removesuffix("/actual") for column in ("symbol", "series", "source")}
            assert about & touched or before["sample"].startswith(record["series"])


def test_a_folder_that_holds_something_is_refused_and_left_alone(clean, checks, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="exists already"):
        write_fixture(tmp_path, Plan(**SMALL), checks)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(ConfigError, match="exists already"):
        write_fixture(clean.folder, Plan(**SMALL), checks)


def test_an_empty_folder_is_filled(checks, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    assert write_fixture(folder, Plan(**SMALL), checks).store.is_file()


def refuses(store):
    raise DataError("prices are odd", where=store.name)


def measures(value, se):
    return lambda panel: {name: Metric(name, value, "correlation", se=se) for name in ("ic", "rank_ic")}


@pytest.mark.parametrize(
    ("validate", "measure", "message"),
    [
        (refuses, measures(0.1, 0.01), "prices are odd"),
        (lambda store: [], measures(0.2, 0.01), "10.0 standard errors off, expected 0.1"),
        (lambda store: [], measures(None, None), "not defined"),
    ],
)
def test_what_fails_a_check_is_not_written(validate, measure, message, tmp_path):
    with pytest.raises(DataError, match=message):
        write_fixture(tmp_path / "new", Plan(**SMALL), Checks(validate, measure))
    assert list(tmp_path.iterdir()) == []


def test_a_generator_that_loses_a_bar_is_caught_when_it_is_read_back(checks, tmp_path, monkeypatch):
    from mnpu.data.fixture import write

    whole = write._long

    def without_one(market):
        bars = whole(market)
        keep = np.arange(len(bars.symbol)) != 700
        columns = {name: values[keep] for name, values in bars.columns.items()}
        return type(bars)(
            bars.info, bars.symbol[keep], bars.event_time[keep], bars.knowledge_time[keep], columns, bars.asset_class
        )

    monkeypatch.setattr(write, "_long", without_one)
    with pytest.raises(DataError, match="a bar is missing"):
        write_fixture(tmp_path / "new", Plan(**SMALL), checks)
    assert list(tmp_path.iterdir()) == []


def test_a_split_that_shows_in_a_return_is_caught_when_it_is_read_back(checks, tmp_path, monkeypatch):
    from mnpu.data.fixture import write

    monkeypatch.setattr(write, "_actions", lambda market: [])
    with pytest.raises(DataError, match="off what was drawn"):
        write_fixture(tmp_path / "new", Plan(**SMALL), checks)


def plants_nothing(noise, volume, listed, *, ic):
    return noise


def plants_a_bar_late(noise, volume, listed, *, ic):
    from mnpu.data.fixture.plant import plant_signal

    planted = noise.copy()
    planted[1:] = plant_signal(noise[1:], volume[:-1], listed[1:], ic=ic)
    return planted


@pytest.mark.parametrize("planted", [plants_nothing, plants_a_bar_late])
def test_a_signal_that_is_missing_or_at_another_bar_is_caught(planted, checks, tmp_path, monkeypatch):
    from mnpu.data.fixture import write

    monkeypatch.setattr(write, "plant_signal", planted)
    with pytest.raises(DataError, match="standard errors off"):
        write_fixture(tmp_path / "new", Plan(**{**SMALL, "ic": 0.3}), checks)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing_behind(checks, tmp_path, monkeypatch):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "panel", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_fixture(tmp_path / "new", Plan(**SMALL), checks)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_an_error_with_a_next_step(checks, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MnpuError, match=r"cannot be written.*Choose another folder"):
        write_fixture(tmp_path / "file" / "below", Plan(**SMALL), checks)


def test_null_and_leak_measure_nothing(checks, tmp_path):
    for plant in ("null", "leak"):
        facts = write_fixture(tmp_path / plant, Plan(**SMALL, plant=plant), checks).facts
        assert facts["truth"]["ic"] == 0
        for measured in facts["truth"]["measured"].values():
            assert abs(measured["value"]) < 3 * measured["se"]
    assert len(facts["truth"]["leak"]["series"]) == 16


NULL_FEATURES = (
    {"use": "price.log_return", "window": 1},
    {"use": "price.log_return", "window": 5},
    {"use": "price.momentum", "window": 60, "skip": 5},
    {"use": "price.realised_volatility", "window": 20},
    {"use": "price.distance_from_average", "window": 20},
    {"use": "price.drawdown", "window": 60},
    {"use": "price.high_low_range", "window": 5},
    {"use": "price.volume_zscore", "window": 20},
    {"use": "price.log_price"},
)


def test_in_a_null_no_shipped_price_feature_forecasts_anything(checks, tmp_path):
    from mnpu.commands._fixture import measure

    written = write_fixture(tmp_path / "null", Plan(symbols=30, sessions=900, seed=2, covered=1, plant="null"), checks)
    panel, registry = panel_of(written), Registry.discover()
    found = [metric for use in NULL_FEATURES for metric in measure(panel, registry, use).values()]
    scores = np.array([metric.value / metric.se for metric in found])
    # 18 scores of about N(0, 1): at most one set in 100 has one beyond three and a half
    assert np.abs(scores).max() < 3.5


def run(*arguments):
    return CliRunner().invoke(data.command, ["fixture", *map(str, arguments)], catch_exceptions=False)


def test_the_command_says_what_it_planted_and_what_it_broke(tmp_path):
    folder = tmp_path / "new"
    shown = run(folder, "--symbols", 8, "--sessions", 300, "--covered", 2, "--ic", 0.2, "--defect", "frozen").output
    assert "information coefficient of 0.2, measured 0." in shown
    assert "defect: frozen in SYN" in shown
    assert f"Next: mnpu run {folder / 'fixture.yaml'}" in shown
    names = ["fixture.db", "fixture.json", "fixture.side.yaml", "fixture.yaml"]
    assert sorted(path.name for path in folder.iterdir()) == names


def test_core_alone_writes_an_overlay_that_it_can_run_and_names_what_others_would_add(checks, tmp_path):
    from mnpu.config import load_config

    bare = write_fixture(tmp_path / "bare", Plan(**SMALL), checks)
    text = bare.overlay.read_text()
    for dist in ("mnpu-data-macro", "mnpu-data-onchain", "mnpu-data-sentiment"):
        assert f"pip install {dist}" in text
    config = load_config(bare.recipe, overlays=[bare.overlay]).pipeline
    assert {use.use.partition(".")[0] for use in config.features} == {"price"}
    assert list(config.data.symbols) == ["SYN001", "SYN002", "SYN003", "SYN004"]
    full = write_fixture(tmp_path / "full", Plan(**SMALL), checks, ["macro", "onchain", "funding", "sentiment"])
    assert "pip install" not in full.overlay.read_text()
    for name in ("fixture.db", "fixture.yaml", "fixture.json"):  # what is installed changes the overlay only
        assert (full.folder / name).read_bytes() == (bare.folder / name).read_bytes()


def test_the_command_answers_in_json_and_takes_all_defects(tmp_path):
    answer = json.loads(
        run(tmp_path / "new", "--symbols", 20, "--sessions", 300, "--covered", 2, "--defect", "all", "--json").output
    )
    assert [defect["name"] for defect in answer["facts"]["defects"]] == sorted(DEFECTS)
    with pytest.raises(ConfigError, match="expected one of"):
        run(tmp_path / "other", "--defect", "nonsense")


def test_the_calendar_is_that_of_the_dataset(clean):
    assert panel_of(clean).calendar == markets.CALENDAR
