"""From a recipe's features to columns."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pytest
from pydantic import Field

from mnpu.errors import ConfigError, PluginError
from mnpu.features import View, feature, price
from mnpu.features.plan import plan, plan_function, series_needed, specs


class Sources:
    """A registry of one or two modules, as far as ``plan`` needs one."""

    def __init__(self, **modules: ModuleType) -> None:
        self.modules = modules

    def find(self, kind: str, name: str) -> SimpleNamespace:
        assert kind == "feature_source"
        if name not in self.modules:
            raise ConfigError(f"no feature_source named {name!r}")
        return SimpleNamespace(name=name, canonical=f"{name}-dist/{name}", dist=f"{name}-dist")

    def load(self, kind: str, name: str) -> ModuleType:
        return self.modules[self.find(kind, name.rpartition("/")[2]).name]

    def complete(self, kind: str) -> list[SimpleNamespace]:
        return [self.find(kind, name) for name in self.modules]


SOURCES = Sources(price=price)


def use(name: str = "", *, tag: str = "", **params: Any) -> SimpleNamespace:
    return SimpleNamespace(use=name, tag=tag, params=params)


def names(*uses: SimpleNamespace) -> list[str]:
    return [column.name for column in plan(uses, SOURCES)]


def test_a_list_makes_one_column_of_each_entry() -> None:
    assert names(use("price.log_return", window=[1, 5])) == ["price.log_return[window=1]", "price.log_return[window=5]"]


def test_two_lists_make_every_combination_in_the_order_of_the_signature() -> None:
    assert names(use("price.momentum", skip=[0, 5], window=[60, 120])) == [
        "price.momentum[window=60,skip=0]",
        "price.momentum[window=120,skip=0]",
        "price.momentum[window=60,skip=5]",
        "price.momentum[window=120,skip=5]",
    ]


def test_defaults_are_part_of_the_name() -> None:
    assert names(use("price.momentum"), use("price.day_of_week")) == [
        "price.momentum[window=252,skip=21]",
        "price.day_of_week[phase=sin]",
    ]


def test_a_feature_without_parameters_has_a_plain_name() -> None:
    assert names(use("price.log_price")) == ["price.log_price"]


def test_the_same_column_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"features\.1: column price\.momentum.* is already made by features\.0"):
        names(use("price.momentum"), use("price.momentum", window=252))


def test_an_unknown_feature_is_answered_with_a_guess() -> None:
    with pytest.raises(ConfigError, match=r"Did you mean 'price\.log_return'\?"):
        names(use("price.log_retrun"))


def test_a_name_without_a_source_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"features\.0: use is 'log_return', expected source\.function"):
        names(use("log_return"))


def test_an_unknown_parameter_is_refused_where_it_stands() -> None:
    with pytest.raises(ConfigError, match=r"features\.0.*windw"):
        names(use("price.log_return", windw=3))


@pytest.mark.parametrize("window", [0, "5", 2.5, True, [5, "6"], []])
def test_a_window_that_is_not_a_count_is_refused(window: object) -> None:
    with pytest.raises(ConfigError, match="window"):
        names(use("price.log_return", window=window))


def test_parameters_that_do_not_go_together_are_refused_when_planned() -> None:
    with pytest.raises(ConfigError, match=r"features\.0: skip is 21, expected less than window"):
        names(use("price.momentum", window=20))


def test_a_spec_says_what_the_column_needs() -> None:
    (spec,) = specs(plan([use("price.realised_volatility", window=63)], SOURCES))
    assert (spec.fields, spec.series, spec.warmup, spec.scale_free) == (("close",), (), 64, True)
    assert spec.description == "Annualised standard deviation of log returns over the past window."
    assert (spec.source, spec.function, spec.params) == ("price", "realised_volatility", {"window": 63})


def momentum_of_oil() -> ModuleType:
    """Another source, with one feature of its own and a helper."""

    @feature(series=("oil",), scope="market", tags=("macro", "momentum"))
    def oil_momentum(view: View, *, window: int = 60) -> np.ndarray:
        """Change of the oil price."""
        return np.zeros(view.shape[0])

    module = ModuleType("oil")
    vars(module).update(helper=len, oil_momentum=oil_momentum)
    return module


def test_a_pattern_chooses_every_feature_of_a_source_that_matches_with_its_defaults() -> None:
    assert names(use("price.d*")) == [
        "price.distance_from_average[window=50]",
        "price.drawdown[window=252]",
        "price.day_of_week[phase=sin]",
    ]
    assert len(names(use("price.*"))) == len(price.__all__)


def test_a_tag_chooses_from_all_sources_in_their_order() -> None:
    planned = plan([use(tag="momentum")], Sources(price=price, oil=momentum_of_oil()))
    assert [column.name for column in planned] == ["price.momentum[window=252,skip=21]", "oil.oil_momentum[window=60]"]
    assert [column.dist for column in planned] == ["price-dist", "oil-dist"]


def test_a_tag_beside_a_pattern_chooses_from_one_source() -> None:
    planned = plan([use("oil.*", tag="momentum")], Sources(price=price, oil=momentum_of_oil()))
    assert [column.name for column in planned] == ["oil.oil_momentum[window=60]"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            use(tag="momentun"),
            r"features\.0: no feature has the tag 'momentun', expected one of calendar, .* Did you mean",
        ),
        (
            use("price.l*", tag="trend"),
            r"no feature that matches 'price\.l\*' has the tag 'trend', expected one of level",
        ),
        (use("price.mometum*"), r"no feature of source 'price' matches 'mometum\*'.*Did you mean 'price\.momentum'"),
        (use("*.momentum"), r"expected the name of one source before the dot"),
        (use("*"), r"use is '\*', expected source\.function"),
        (use(tag="trend", window=3), r"features\.0\.window: 'window' is given to all features of the tag 'trend'"),
        (
            use("price.d*", window=3),
            r"'window' is given to all features of the pattern 'price\.d\*', expected no param",
        ),
        (use("price.momentum", tag="trend"), r"features\.0\.tag: tag 'trend' stands beside the feature 'price\.mom"),
        (use("prices.*"), r"no feature_source named 'prices'"),
    ],
    ids=lambda value: "" if isinstance(value, str) else f"{value.use}-{value.tag}",
)
def test_a_choice_that_means_nothing_is_refused_with_the_next_step(entry: SimpleNamespace, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        names(entry)


def test_a_column_that_is_named_and_chosen_is_refused_as_one_that_is_named_twice() -> None:
    with pytest.raises(
        ConfigError, match=r"features\.1: column price\.log_return\[window=1\] is already made by features\.0"
    ):
        names(use("price.log_return"), use(tag="returns"))


def test_a_column_with_other_parameters_stands_beside_the_chosen_ones() -> None:
    assert names(use("price.drawdown", window=20), use("price.draw*")) == [
        "price.drawdown[window=20]",
        "price.drawdown[window=252]",
    ]


@feature(series=lambda p: (p["series"], "base"), scope="market")
def ratio(view: View, *, series: str = "top", powers: list[int] = [1, 2], half: float | None = None) -> np.ndarray:  # noqa: B006
    """A feature whose series depends on a parameter."""
    return view.at_decision(view.known(series), view.known(series).values[:, 0])


def test_series_may_depend_on_a_parameter() -> None:
    planned = plan_function(ratio, {"series": ["x", "y"]}, source="s")
    assert [column.spec.series for column in planned] == [("x", "base"), ("y", "base")]
    assert series_needed(planned) == ("x", "base", "y")


def test_a_list_that_the_function_takes_as_one_value_stays_together() -> None:
    (column,) = plan_function(ratio, {"powers": [3, 4]}, source="s")
    assert column.spec.params["powers"] == [3, 4]


def test_a_list_for_an_optional_number_is_spread() -> None:
    planned = plan_function(ratio, {"half": [0.5, None]}, source="s")
    assert [column.spec.params["half"] for column in planned] == [0.5, None]


def test_a_plain_function_is_not_a_feature() -> None:
    with pytest.raises(ConfigError, match="marked with @feature"):
        plan_function(len, {}, source="s")


def test_a_parameter_that_a_recipe_could_not_name_is_refused_at_once() -> None:
    with pytest.raises(PluginError, match=r"expected \(view, \*, parameter=default"):

        @feature()
        def positional(view: View, window: Annotated[int, Field(ge=1)] = 3) -> np.ndarray: ...


def test_a_marked_function_stays_a_plain_function() -> None:
    assert price.log_return.__name__ == "log_return"
    assert price.log_return.__doc__.startswith("Log return")


@pytest.mark.parametrize(
    ("note", "expected"),
    [
        ({"warmup": 0}, r"warmup=\.\.\.\) is 0, expected a whole number of at least 1"),
        ({"warmup": lambda p: p["window"] * 1.5}, r"warmup=\.\.\.\) is 4\.5"),
        ({"state": -1}, r"state=\.\.\.\) is -1, expected a whole number of at least 0"),
        ({"memory": 0}, r"memory=\.\.\.\) is 0"),
        ({"memory": pd.Timedelta(days=-1)}, r"memory=\.\.\.\) is Timedelta\('-1 days"),
    ],
)
def test_a_note_that_would_cut_the_data_short_is_refused(note: dict[str, Any], expected: str) -> None:
    @feature(fields=("close",), **note)
    def rise(view: View, *, window: int = 3) -> np.ndarray:
        """Close against an earlier one."""
        return view["close"]

    with pytest.raises(ConfigError, match=expected):
        plan_function(rise, {}, source="own", where="features.0")


@pytest.mark.parametrize("note", [{"fields": "close"}, {"series": "cpi"}, {"tags": "fast"}, {"scope": "Symbol"}])
def test_a_note_that_says_something_else_than_it_means_is_refused(note: dict[str, Any]) -> None:
    with pytest.raises(PluginError, match=rf"@feature\({next(iter(note))}=\.\.\.\) is '"):
        feature(**note)


def test_a_list_that_names_a_value_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"features\.0: column price\.log_return\[window=5\] is made twice"):
        plan_function(price.log_return, {"window": [5, 1, 5]}, source="price", where="features.0")
