"""The constructor is the schema: strict scalars, limits, defaults, and errors in our own words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from mnpu.errors import ConfigError, PluginError
from mnpu.plugins.schema import find_problems, model_from_signature, validate_params

if TYPE_CHECKING:
    from nowhere import Unknown


class Model:
    """A model.

    Parameters
    ----------
    n_features : int
        Columns.
    width : int, default=4
        Width of the layers.
    """

    def __init__(
        self,
        n_features: Unknown,
        width: Annotated[int, Field(ge=1, le=64)] = 4,
        *,
        rate: float = 1e-3,
        levels: tuple[float, ...] = (0.1, 0.9),
        how: Literal["fast", "slow"] = "fast",
        window: int | list[int] = 5,
        limit: Optional[float] = None,  # noqa: UP045 - both spellings of a union must work
        name: str = "x",
        strict: bool = True,
        table: dict[str, Sequence[int]] | None = None,
    ) -> None: ...


def check(params: dict[str, Any]) -> dict[str, Any]:
    return validate_params(Model, params, skip=("n_features",), where="model")


def test_defaults_are_filled_in_from_the_signature():
    assert check({}) == {
        "width": 4,
        "rate": 1e-3,
        "levels": (0.1, 0.9),
        "how": "fast",
        "window": 5,
        "limit": None,
        "name": "x",
        "strict": True,
        "table": None,
    }


@pytest.mark.parametrize(
    ("params", "value"),
    [
        ({"rate": 1}, 1.0),
        ({"levels": [0, 0.5]}, (0.0, 0.5)),
        ({"window": [1, 2]}, [1, 2]),
        ({"limit": 3}, 3.0),
        ({"limit": None}, None),
        ({"table": {"a": [1]}}, {"a": [1]}),
    ],
)
def test_what_means_the_same_is_accepted(params, value):
    assert check(params)[next(iter(params))] == value


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"width": "4"}, "model.width: it is '4', expected an integer."),
        ({"width": True}, "model.width: it is true, expected an integer."),
        ({"width": 4.0}, "model.width: it is 4.0, expected an integer."),
        ({"width": None}, "model.width: it is null, expected an integer."),
        ({"width": 0}, "model.width: it is 0, expected a number of at least 1."),
        ({"width": 65}, "model.width: it is 65, expected a number of at most 64."),
        ({"rate": "1e-4"}, "model.rate: it is '1e-4', expected a number."),
        ({"rate": False}, "model.rate: it is false, expected a number."),
        ({"rate": float("nan")}, "model.rate: it is nan, expected a finite number."),
        ({"levels": 0.5}, "model.levels: it is 0.5, expected a list."),
        ({"levels": [0.5, "x"]}, "model.levels[1]: it is 'x', expected a number."),
        ({"how": "Fast"}, "model.how: it is 'Fast', expected 'fast' or 'slow'."),
        ({"window": "5"}, "model.window: it is '5', expected an integer or a list."),
        ({"limit": "none"}, "model.limit: it is 'none', expected a number."),
        ({"name": 5930}, "model.name: it is 5930, expected text."),
        ({"strict": 1}, "model.strict: it is 1, expected true or false."),
        ({"table": {"a": ["b"]}}, "model.table.a[0]: it is 'b', expected an integer."),
        ({"n_features": 3}, "model.n_features: n_features is given by the framework. Remove it."),
        ({"widht": 3}, "model.widht: unknown key 'widht', expected one of width, rate"),
        ({"widht": 3}, "Did you mean 'width'?"),
        ({"width": 0, "rate": "x"}, "(1 more: rate.)"),
    ],
)
def test_what_is_wrong_is_said_with_place_value_and_expectation(params, message):
    with pytest.raises(ConfigError) as caught:
        check(params)
    assert message in str(caught.value)


def test_a_required_parameter_that_is_missing_is_named():
    def make(*, size: int) -> None: ...

    with pytest.raises(ConfigError, match="size: size is missing"):
        validate_params(make, {})


def test_every_problem_is_found_at_once_with_its_path():
    values, problems = find_problems(Model, {"levels": [1, "x"], "foo": 1}, skip=("n_features",))
    assert values == {}
    assert [problem.path for problem in problems] == [("levels", 1), ("foo",)]


def test_a_dataclass_is_checked_by_its_fields():
    @dataclass(frozen=True)
    class Rule:
        limit: float = 1.0

    assert validate_params(Rule, {}) == {"limit": 1.0}
    with pytest.raises(ConfigError, match="expected a number"):
        validate_params(Rule, {"limit": "1"})


def test_a_class_without_a_constructor_takes_no_parameters():
    class Plain: ...

    assert validate_params(Plain, {}) == {}
    with pytest.raises(ConfigError, match="unknown key 'a', expected no parameters"):
        validate_params(Plain, {"a": 1})


def test_an_inherited_constructor_is_read_where_it_was_written():
    class Child(Model): ...

    assert check({}) == validate_params(Child, {}, skip=("n_features",))


def test_only_keyword_arguments_of_a_function_component_are_parameters():
    def metric(result: Unknown, *, window: int = 20) -> None: ...

    assert validate_params(metric, {}, keyword_only=True) == {"window": 20}


def test_a_parameter_may_have_a_name_that_pydantic_uses_itself():
    def make(*, schema: str = "a", model_name: str = "b", copy: bool = False) -> None: ...

    assert validate_params(make, {"copy": True}) == {"schema": "a", "model_name": "b", "copy": True}


def test_an_annotation_that_cannot_be_read_is_the_plugins_fault():
    with pytest.raises(PluginError, match=r"'n_features' cannot be read.*TYPE_CHECKING"):
        model_from_signature(Model)


def test_the_model_is_frozen_and_carries_documentation_and_limits():
    model = model_from_signature(Model, skip=("n_features",))
    width = model.model_json_schema()["properties"]["width"]
    assert (width["default"], width["minimum"], width["maximum"]) == (4, 1, 64)
    assert width["description"] == "Width of the layers."
    with pytest.raises(ValidationError, match="frozen"):
        model().width = 3


@given(st.one_of(st.text(), st.booleans(), st.none(), st.floats(), st.lists(st.integers())))
def test_nothing_but_an_integer_is_an_integer(value):
    _, problems = find_problems(Model, {"width": value}, skip=("n_features",))
    assert [problem.dotted for problem in problems][:1] == ["width"]
