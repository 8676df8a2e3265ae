"""Limits under which nothing could ever be held are refused from the settings, with the pair; others are not."""

from __future__ import annotations

import pytest

from mnpu.errors import ConfigError
from mnpu.guard import Chain, GrossCap
from mnpu_guardrails.brakes import DailyLoss, Drawdown, KillSwitch
from mnpu_guardrails.concentration import Concentration
from mnpu_guardrails.exposure import Exposure
from mnpu_guardrails.leverage import Leverage
from mnpu_guardrails.liquidity import Liquidity
from mnpu_guardrails.risk import TailRisk, VolatilityTarget
from mnpu_guardrails.stale_data import StaleData
from mnpu_guardrails.turnover import Turnover

FOUR = ("A", "B", "C", "D")
SECTORS = {"A": "X", "B": "X", "C": "X", "D": "Y"}


@pytest.mark.parametrize(
    ("rules", "symbols", "long_only", "words"),
    [
        ([Exposure(1.0, 0.0)], ("A",), False, ("exposure (gross 1, net 0", "a universe of one symbol")),
        ([Exposure(1.0, 0.0)], FOUR, True, ("exposure (gross 1, net 0", "long only")),
        (
            [Exposure(per_group={"X": 0.0}, groups=SECTORS), Turnover(0.1), Concentration(3)],
            FOUR,
            False,
            ("exposure (gross 1, net 1, per_symbol 0.25, per_group X 0)", "concentration (positions 3)"),
        ),
        (
            [Exposure(per_group={"X": 0.0}, groups=SECTORS), Exposure(1.0, 0.0, None)],
            FOUR,
            False,
            ("per_symbol 0.25, per_group X 0)", "exposure 2 (gross 1, net 0)"),
        ),
        (
            [
                Exposure(per_group={"X": 0.0}, groups=SECTORS),
                Leverage(),
                Exposure(per_group={"Y": 0.0}, groups=SECTORS),
            ],
            FOUR,
            False,
            ("exposure (", "exposure 2 ("),
        ),
    ],
)
def test_a_pair_that_allows_nothing_is_refused_and_named(rules, symbols, long_only, words):
    with pytest.raises(ConfigError) as raised:
        Chain(rules).check(symbols, long_only=long_only)
    assert all(word in str(raised.value) for word in words), str(raised.value)
    assert "contradicts" in str(raised.value)


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [Exposure(1.0, 0.0), Concentration(4), Turnover(0.01)],
        [
            Exposure(),
            VolatilityTarget(0.01),
            TailRisk(0.001),
            TailRisk(0.001, source="forecast"),
            Liquidity(),
            StaleData(),
        ],
        [Exposure(per_group={"X": 0.0}, groups=SECTORS), Concentration(1)],
        [Drawdown(), DailyLoss(), KillSwitch("STOP"), GrossCap(0.1)],
        [KillSwitch(engaged=True), Exposure()],  # what allows nothing by itself is meant
        [Exposure(gross=0.0), Concentration(2)],
        [Turnover(0.0), Exposure()],
    ],
)
def test_what_can_be_meant_is_not_refused(rules):
    Chain(rules).check(FOUR)


def recipe_with(folder, guardrails, **more):
    """The bundled hourly recipe with other guardrails, in a folder where its data need not be."""
    from importlib.resources import files

    import yaml

    recipe = yaml.safe_load((files("mnpu.recipes") / "eurusd_hourly.yaml").read_text(encoding="utf-8"))
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({**recipe, "guardrails": guardrails, **more}), encoding="utf-8")
    return path


def test_a_recipe_with_a_contradiction_is_refused_when_it_is_validated(tmp_path, mnpu):
    pytest.importorskip("torch", reason="the recipe's models need it")
    code, _, error = mnpu("validate", recipe_with(tmp_path, [{"use": "exposure", "net": 0.0}]))
    assert code == 2
    assert "contradicts a universe of one symbol" in error
    limits = [{"use": "exposure", "net": 0.0}]
    four = {
        "data": {
            "store": "sqlite:///market.db",
            "dataset": "d",
            "symbols": list(FOUR),
            "start": "2000-01-01",
            "end": "2001-01-01",
            "frequency": "1d",
            "calendar": "XNYS",
        }
    }
    path = recipe_with(tmp_path, limits, policy={"use": "kelly_fraction", "long_only": True}, **four)
    code, _, error = mnpu("validate", path)
    assert code == 2
    assert "contradicts a policy that is long only" in error


def test_a_tail_of_the_forecast_needs_a_forecast_of_returns():
    from mnpu.assembly import _refuse_other_units
    from mnpu.data.targets.direction import Direction

    _refuse_other_units("direction", Direction(), [TailRisk()])
    with pytest.raises(ConfigError, match=r"target: direction forecasts no returns, and TailRisk"):
        _refuse_other_units("direction", Direction(), [TailRisk(source="forecast")])


def test_data_without_volumes_are_refused_where_a_rule_needs_them():
    from mnpu.guard_conflicts import refuse_blind

    rules = Chain([Exposure(), Liquidity()]).named
    refuse_blind(rules, ("close", "volume"), "bars")
    refuse_blind(rules[:1], ("close",), "bars")
    with pytest.raises(ConfigError, match="liquidity needs volumes, and bars has none"):
        refuse_blind(rules, ("close",), "bars")


@pytest.mark.parametrize("rule", [VolatilityTarget(window=100), TailRisk(window=200, min_history=0.5)])
def test_a_window_that_the_data_never_fill_is_refused(rule):
    from mnpu.guard_conflicts import refuse_long

    needed = 80 if isinstance(rule, VolatilityTarget) else 100
    rules = Chain([Exposure(), rule]).named
    refuse_long(rules, needed, "2005-01-03")
    with pytest.raises(ConfigError, match=f"{rules[1][0]} wants {needed} bars before a decision, and the data have"):
        refuse_long(rules, needed - 1, "2005-01-03")
