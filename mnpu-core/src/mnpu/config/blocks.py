"""What blocks of a pipeline are made of: kinds of text, and components by their registered names."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from mnpu.config.periods import PERIOD

__all__ = [
    "Block",
    "Currency",
    "Dataset",
    "Date",
    "Every",
    "FeatureUse",
    "Locked",
    "Name",
    "NamedUse",
    "Period",
    "Symbol",
    "Use",
]


_CURRENCY = r"^[A-Z]{3,5}$"
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
LOCKED = rf"{PERIOD}|^[0-9]{{4}}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"
_EVERY = r"^[1-9][0-9]* (epoch|step)s?$"
_SYMBOL = r"^\S{1,32}$"


def _date(value: Any) -> dt.date:
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    try:
        if isinstance(value, str) and len(value) == len("2005-01-31"):
            return dt.date.fromisoformat(value)
    except ValueError:
        pass
    raise PydanticCustomError("date", "a date that exists, as in 2005-01-31")


def _matching(pattern: str, expected: str) -> Callable[[str], str]:
    """A validator of text; an error says ``expected``."""

    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise PydanticCustomError("pattern", "{expected}", {"expected": expected})
        return text

    return check


def _locked(text: str) -> str:
    """A period, or a date that exists."""
    expected = "a period before data.end, as in 2y, or the date it begins on, as in 2020-01-01"
    text = _matching(LOCKED, expected)(text)
    if re.fullmatch(PERIOD, text) is None:
        _date(text)
    return text


def _pattern(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern})


def _datasets(value: Any) -> Any:
    named = isinstance(value, Mapping) and all(isinstance(v, str) and v for v in value.values())
    if value is None or (isinstance(value, str) and value) or named:
        return value
    raise PydanticCustomError("dataset", "the name of a dataset, or a map from symbols to names")


Date = Annotated[
    dt.date,
    BeforeValidator(_date),
    PlainSerializer(dt.date.isoformat),
    WithJsonSchema({"type": "string", "format": "date", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}),
]
Dataset = Annotated[
    Any,
    BeforeValidator(_datasets),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}},
                {"type": "null"},
            ]
        }
    ),
]
Name = Annotated[
    str, AfterValidator(_matching(_NAME, "up to 64 letters, digits, dots, dashes and underscores")), _pattern(_NAME)
]
Period = Annotated[
    str,
    AfterValidator(_matching(PERIOD, "a whole number and y, mo, w or d, as in 5y, 6mo, 2w or 30d")),
    _pattern(PERIOD),
]
Locked = Annotated[
    str,
    AfterValidator(_locked),
    _pattern(LOCKED),
]
Currency = Annotated[
    str,
    AfterValidator(_matching(_CURRENCY, "three to five capitals, as in EUR or USDT, or null for prices as quoted")),
    _pattern(_CURRENCY),
]
Every = Annotated[
    str, AfterValidator(_matching(_EVERY, "a number and a unit, as in 1 epoch or 500 steps")), _pattern(_EVERY)
]
Symbol = Annotated[
    str, AfterValidator(_matching(_SYMBOL, "a symbol of up to 32 characters without spaces")), _pattern(_SYMBOL)
]


class Block(BaseModel):
    """A block of a pipeline: strict, frozen, and without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Use(BaseModel):
    """A component by its registered name, with its parameters beside it: ``{use: s4d, d_state: 16}``.

    Attributes
    ----------
    use : str
        Short name, or ``distribution/name``. A feature is ``source.function``.
    params : dict
        Everything else in the block, checked against the component's signature by `mnpu.config.resolve`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, json_schema_extra={"required": ["use"]})

    use: str = Field(min_length=1, description="Name of the component; `mnpu plugins list` shows what is installed.")
    params: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, block: Any) -> Any:
        if not isinstance(block, Mapping):
            return block
        params = {key: value for key, value in block.items() if key != "use"}
        return {"params": params} | ({"use": block["use"]} if "use" in block else {})

    @model_serializer(mode="wrap")
    def _flatten(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"use": self.use, **handler(self)["params"]}


class FeatureUse(Use):
    """Features by name, by a pattern of one source, or by tag; see `mnpu.features.select`.

    Attributes
    ----------
    use : str
        ``source.function``, or a pattern such as ``macro.*``; empty where a tag alone chooses.
    tag : str
        A word that the chosen features carry; empty where there is none.
    """

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["use"]}, {"required": ["tag"]}]})

    use: str = Field(
        default="", min_length=1, description="source.function, or source.* for several; see `mnpu features list`."
    )
    tag: str = Field(default="", min_length=1, description="A word that features carry: all that do are chosen.")

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, block: Any) -> Any:
        if not isinstance(block, Mapping):
            return block
        named = {key: block[key] for key in ("use", "tag") if key in block}
        return {"params": {key: value for key, value in block.items() if key not in named}, **named}

    @model_validator(mode="after")
    def _some(self) -> FeatureUse:
        if not (self.use or self.tag):
            raise PydanticCustomError("one_of", "use: source.function, or tag: a word that features carry")
        return self

    @model_serializer(mode="wrap")
    def _flatten(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        named = {"use": self.use, "tag": self.tag}
        return {**{key: value for key, value in named.items() if value}, **handler(self)["params"]}


def _named(value: Any) -> Any:
    return {"use": value} if isinstance(value, str) else value


NamedUse = Annotated[Use, BeforeValidator(_named)]
