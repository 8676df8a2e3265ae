"""What a sweep's YAML file may hold: a base recipe, axes, how to search them, and what its tables compare."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from mnpu.config.blocks import Block, Name, NamedUse, Use
from mnpu.config.explain import explain, first_of
from mnpu.config.tree import Path, Tree, parse_dotted
from mnpu.config.yaml import read_file
from mnpu.errors import ConfigError

__all__ = ["Axis", "Budget", "Case", "Definition", "Search", "Sweep", "load_sweep"]


class Case(Block):
    """One place on an axis that is more than a value: another base recipe, several values at once, or both."""

    base: str | None = Field(default=None, min_length=1, description="Recipe of this case, in place of `base`.")
    set: dict[str, Any] = Field(default={}, description="Values by dotted path.")


class Axis(Block):
    """Values of one dotted path, cases by name, or a range to search in."""

    path: str | None = Field(default=None, min_length=1, description="Dotted path. Default: the axis's own name.")
    values: list[Any] | None = Field(default=None, min_length=1, description="Values of the path.")
    cases: dict[str, Case] | None = Field(default=None, min_length=1, description="Cases by name.")
    low: float | None = Field(default=None, description="Lower end of a range, included. For a search only.")
    high: float | None = Field(default=None, description="Upper end, included.")
    log: bool = Field(default=False, description="Whether it is drawn evenly on a logarithmic scale.")
    integer: bool = Field(default=False, description="Whether it holds whole numbers only.")

    @model_validator(mode="after")
    def _one_kind(self) -> Axis:
        ranged = self.low is not None or self.high is not None
        if (self.values is not None) + (self.cases is not None) + ranged != 1:
            raise PydanticCustomError("one_of", "one of: a list of values, cases, or low with high")
        if ranged and (self.low is None or self.high is None or not self.low < self.high):
            raise PydanticCustomError("range", "low below high, both given")
        if self.log and not (ranged and self.low is not None and self.low > 0):
            raise PydanticCustomError("range", "log only for a range above zero")
        if self.integer and not (ranged and self.low == int(self.low or 0) and self.high == int(self.high or 0)):
            raise PydanticCustomError("range", "integer only for a range whose ends are whole numbers")
        return self

    @property
    def is_range(self) -> bool:
        """Whether there are more places on it than can be listed."""
        return self.low is not None


class Budget(Block):
    """What ASHA gives a trial more of while it does well."""

    path: str = Field(default="train.epochs", min_length=1, description="Dotted path of a whole number.")
    low: int = Field(default=1, ge=1, description="What every trial gets.")
    high: int = Field(default=9, ge=2, description="What the best get.")
    eta: int = Field(default=3, ge=2, description="One of so many goes on, with so many times more.")

    @model_validator(mode="after")
    def _ordered(self) -> Budget:
        if not self.low < self.high:
            raise PydanticCustomError("range", "low below high")
        return self


class Search(Block):
    """Which places on the axes are tried."""

    use: Literal["grid", "random", "tpe", "asha"] = Field(default="grid", description="How they are chosen.")
    trials: int | None = Field(default=None, ge=1, description="How many runs; a grid has all of its own.")
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="Seed of what is drawn.")
    batch: int = Field(
        default=8,
        ge=1,
        le=256,
        description="Of tpe and asha: trials that are chosen together, from what those before told. Not the number of "
        "workers, so that these change no choice.",
    )
    budget: Budget | None = Field(default=None, description="Of asha.")

    @model_validator(mode="after")
    def _fitting(self) -> Search:
        if (self.use == "grid") != (self.trials is None):
            raise PydanticCustomError("search", "trials for a search, and none for a grid")
        if self.budget is not None and self.use != "asha":
            raise PydanticCustomError("search", "a budget for asha only")
        return self

    @property
    def given(self) -> Budget | None:
        """What trials are given more of: asha's budget, its own where the file has none."""
        return (self.budget or Budget()) if self.use == "asha" else None


def _axis(value: Any) -> Any:
    return {"values": value} if isinstance(value, list) else value


class Sweep(Block):
    """A base recipe and the axes along which it is changed."""

    name: Name = Field(description="Name of the sweep: letters, digits, dots, dashes and underscores.")
    base: str | None = Field(default=None, min_length=1, description="Recipe, from this file's folder.")
    set: dict[str, Any] = Field(default={}, description="Values that every trial has, by dotted path.")
    axes: dict[Name, Annotated[Axis, BeforeValidator(_axis)]] = Field(
        min_length=1, description="By name: a list of values, or `{cases: ...}`, `{path: ..., values: ...}` or a range."
    )
    search: Search = Search()
    objective: str = Field(default="sharpe", min_length=1, description="Metric that a search looks at.")
    direction: Literal["maximise", "minimise"] = Field(default="maximise", description="What is better.")
    treatment: str | None = Field(
        default=None,
        description="Axis whose places tables compare. Default: the first that changes no data and is not the seed.",
    )
    blocks: list[str] | None = Field(
        default=None,
        description="Axes at each of whose places the rows must have equal decisions. Default: those that change data.",
    )
    engine: NamedUse = Field(default=Use(use="local"), description="Where trials run.")
    workers: int = Field(default=1, ge=1, le=256, description="Trials at a time; they change no choice and no result.")

    @model_validator(mode="after")
    def _known_axes(self) -> Sweep:
        named = [*(self.blocks or []), *([self.treatment] if self.treatment else [])]
        unknown = [name for name in named if name not in self.axes]
        if unknown:
            raise PydanticCustomError("axis", "axes that exist, not {name}", {"name": f"'{unknown[0]}'"})
        if self.treatment in (self.blocks or []):
            raise PydanticCustomError("axis", "a treatment that is no block")
        return self


@dataclass(frozen=True)
class Definition:
    """A checked sweep that remembers where each value was written. A relative ``base`` starts from its folder."""

    path: FilePath
    sweep: Sweep
    tree: Tree

    def error(self, path: Path, what: str, *, expected: str = "", next_step: str = "") -> ConfigError:
        """An error about the value at ``path``."""
        return ConfigError(what, where=self.tree.where(path), expected=expected, next_step=next_step)

    @property
    def blocks(self) -> list[str]:
        """Axes within whose places rows are compared."""
        if self.sweep.blocks is not None:
            return self.sweep.blocks
        return [name for name, axis in self.sweep.axes.items() if changes_data(name, axis)]

    @property
    def treatment(self) -> str:
        """Axis whose places are compared."""
        free = [name for name in self.sweep.axes if name not in (*self.blocks, "seed")]
        return self.sweep.treatment or next(iter([*free, *self.sweep.axes]))


def changes_data(name: str, axis: Axis) -> bool:
    """Whether other prices are read at another place of an axis."""
    if axis.cases is not None:
        return any(case.base or any(_of_data(path) for path in case.set) for case in axis.cases.values())
    return _of_data(axis.path or name)


def _of_data(path: str) -> bool:
    return parse_dotted(path)[0] == "data"


def load_sweep(path: str | os.PathLike[str], *, env: Mapping[str, str] = os.environ) -> Definition:
    """Read and check a sweep's file, by the same rules as a pipeline's.

    Raises
    ------
    ConfigError
        With file, line, column and dotted path; the first of several, the others listed below it.
    """
    path = FilePath(path)
    tree = read_file(path, env=env)
    try:
        sweep = Sweep.model_validate(tree.value)
    except ValidationError as error:
        raise first_of(explain(error, tree, Sweep)) from None
    found = Definition(path, sweep, tree)
    _refuse_ranges_in_a_grid(found)
    _refuse_no_base(found)
    return found


def _refuse_ranges_in_a_grid(found: Definition) -> None:
    ranged = [name for name, axis in found.sweep.axes.items() if axis.is_range]
    if found.sweep.search.use == "grid" and ranged:
        raise found.error(
            ("axes", ranged[0]),
            f"axes.{ranged[0]} is a range",
            expected="a list of values or cases: a grid has all of its places",
            next_step="Or search it, as in search: {use: random, trials: 20}.",
        )


def _refuse_no_base(found: Definition) -> None:
    sweep = found.sweep
    given = any(axis.cases and all(case.base for case in axis.cases.values()) for axis in sweep.axes.values())
    if sweep.base is None and not given:
        raise found.error((), "no base", expected="base: FILE, or an axis whose cases all have one")
