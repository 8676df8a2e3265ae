"""The constructor is the schema: check the parameters of a component against its own annotated signature.

There is no second configuration class and no second default. Scalars are strict: text is never read as a number,
``true`` is not 1, and 1.0 is not an integer (an integer is a valid float). Lists may stand for tuples.
"""

from __future__ import annotations

import inspect
import types
import typing
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError, create_model

from mnpu.errors import ConfigError, PluginError

__all__ = ["Problem", "find_problems", "model_from_signature", "validate_params"]

_SCALARS = (int, float, str, bool, bytes)
_EXPECTED = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "none_required": "null",
}
_LIMITS = {
    "greater_than": ("gt", "a number greater than {}"),
    "greater_than_equal": ("ge", "a number of at least {}"),
    "less_than": ("lt", "a number less than {}"),
    "less_than_equal": ("le", "a number of at most {}"),
    "multiple_of": ("multiple_of", "a multiple of {}"),
    "literal_error": ("expected", "{}"),
    "too_short": ("min_length", "at least {} items"),
    "too_long": ("max_length", "at most {} items"),
    "string_too_short": ("min_length", "text of at least {} characters"),
}


class Problem(NamedTuple):
    """One thing that is wrong: ``path`` leads to the value inside the parameters; the rest as in `ConfigError`."""

    path: tuple[str | int, ...]
    what: str
    expected: str = ""
    next_step: str = ""

    @property
    def dotted(self) -> str:
        """``levels[2]`` for ``("levels", 2)``."""
        text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        return text.removeprefix(".")


def model_from_signature(
    function: Callable[..., Any], *, skip: Sequence[str] = (), keyword_only: bool = False
) -> type[BaseModel]:
    """The pydantic model of the parameters of a class or function.

    Parameters
    ----------
    function : callable
        A class (its constructor counts) or a function. Annotations may be strings.
    skip : sequence of str
        Parameters that the framework supplies.
    keyword_only : bool, default=False
        Leave positional parameters out: the caller of a function component gives them.

    Returns
    -------
    model : type of BaseModel
        Frozen, refuses unknown keys, strict scalars, fields in the order of the signature. The same for the same
        function, as a model takes long to make.
    """
    try:
        return _model(function, tuple(skip), keyword_only)
    except TypeError:  # no key of a dictionary, or another failure, which comes again
        return _model.__wrapped__(function, tuple(skip), keyword_only)


@lru_cache(maxsize=1024)
def _model(function: Callable[..., Any], skip: tuple[str, ...], keyword_only: bool) -> type[BaseModel]:
    from mnpu.plugins.describe import parameter_docs

    docs = parameter_docs(inspect.getdoc(function) or "") | parameter_docs(_constructor_doc(function))
    fields: dict[str, Any] = {}
    for parameter in _parameters(function, skip=skip, keyword_only=keyword_only):
        annotation = _strict(_resolve(function, parameter))
        if docs.get(parameter.name):
            annotation = Annotated[annotation, Field(description=docs[parameter.name])]
        required = parameter.default is inspect.Parameter.empty
        fields[parameter.name] = (annotation, ... if required else parameter.default)
    config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True, protected_namespaces=()
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Field name .* shadows", UserWarning)  # harmless: only values are read
        return create_model(function.__name__, __config__=config, **fields)


def find_problems(
    function: Callable[..., Any], params: Mapping[str, Any], *, skip: Sequence[str] = (), keyword_only: bool = False
) -> tuple[dict[str, Any], list[Problem]]:
    """The checked values with defaults filled in, or all that is wrong with ``params`` (one of the two is empty)."""
    model = model_from_signature(function, skip=skip, keyword_only=keyword_only)
    try:
        checked = model.model_validate(dict(params))
    except ValidationError as error:
        known = [name for name in model.model_fields if name not in params]
        found = [_problem(dict(details), list(model.model_fields), known, skip) for details in error.errors()]
        return {}, _without_union_noise(found)
    return {name: getattr(checked, name) for name in model.model_fields}, []


def validate_params(
    function: Callable[..., Any],
    params: Mapping[str, Any],
    *,
    skip: Sequence[str] = (),
    where: str = "",
    keyword_only: bool = False,
) -> dict[str, Any]:
    """Check ``params`` and fill the defaults in.

    Returns
    -------
    values : dict
        One value for each parameter that a configuration may set.

    Raises
    ------
    ConfigError
        For the first problem, with its dotted path after ``where``; the number of further ones is told.
    """
    values, problems = find_problems(function, params, skip=skip, keyword_only=keyword_only)
    if problems:
        first, *others = problems
        more = f"({len(others)} more: {', '.join(problem.dotted for problem in others)}.)" if others else ""
        raise ConfigError(
            first.what,
            where=".".join(part for part in (where, first.dotted) if part),
            expected=first.expected,
            next_step=f"{first.next_step} {more}".strip(),
        )
    return values


def _parameters(function: Callable[..., Any], *, skip: Sequence[str], keyword_only: bool) -> list[inspect.Parameter]:
    unnamed = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    named = [p for p in parameters if p.kind not in unnamed and p.name not in skip and not p.name.startswith("_")]
    return [p for p in named if p.kind is inspect.Parameter.KEYWORD_ONLY] if keyword_only else named


def _constructor_doc(function: Callable[..., Any]) -> str:
    return inspect.getdoc(vars(function).get("__init__")) or "" if isinstance(function, type) else ""


def _resolve(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """The annotation as an object, one at a time: those that are skipped may name what is not importable."""
    if parameter.annotation is inspect.Parameter.empty:
        return Any
    owner: Any = function
    if isinstance(function, type):
        owner = next(vars(base)["__init__"] for base in function.__mro__ if "__init__" in vars(base))
    owner = inspect.unwrap(owner)

    def holder() -> None: ...

    holder.__annotations__ = {parameter.name: parameter.annotation}
    try:
        hints = typing.get_type_hints(holder, globalns=getattr(owner, "__globals__", {}), include_extras=True)
    except NameError as error:
        raise PluginError(
            f"the annotation of {parameter.name!r} cannot be read: {error}",
            where=f"{function.__module__}:{function.__qualname__}",
            next_step="Import the name at run time, not under TYPE_CHECKING.",
        ) from error
    return hints[parameter.name]


def _strict(annotation: Any) -> Any:
    """The same annotation with every scalar in it strict; containers stay lax, so that a list may be a tuple."""
    if annotation in _SCALARS:
        return Annotated[annotation, Strict()]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        base, *extras = arguments
        parts = (_strict(base), *extras)
        return Annotated[parts]
    if origin in (typing.Union, types.UnionType):
        return typing.Union[tuple(_strict(argument) for argument in arguments)]  # noqa: UP007 - built at run time
    if origin is None or origin is typing.Literal or not arguments or origin.__module__ not in _CONTAINERS:
        return annotation
    if isinstance(arguments[0], list):  # Callable[[...], ...]
        return annotation
    return origin[tuple(argument if argument is Ellipsis else _strict(argument) for argument in arguments)]


_CONTAINERS = ("builtins", "collections", "collections.abc")


def _problem(details: dict[str, Any], names: list[str], unset: list[str], skip: Iterable[str]) -> Problem:
    """A pydantic error in the words of `ConfigError`."""
    kind, value, context = details["type"], details.get("input"), details.get("ctx", {})
    path = details["loc"][:1] + tuple(part for part in details["loc"][1:] if not _is_union_tag(part))
    name = str(path[-1]) if path else ""
    if kind == "extra_forbidden":
        return _unknown_key(path, name, names, unset, skip)
    if kind == "missing":
        return Problem(path, f"{name} is missing", next_step=f"Set {name}; it has no default.")
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        expected = words.format(context[key])
    else:
        message = details["msg"].removeprefix("Value error, ")
        expected = _EXPECTED.get(kind, "") or f"a valid value ({message[:1].lower()}{message[1:]})"
    return Problem(path, f"it is {_shown(value)}", expected)


def _unknown_key(
    path: tuple[str | int, ...], name: str, names: list[str], unset: list[str], skip: Iterable[str]
) -> Problem:
    if name in skip:
        return Problem(path, f"{name} is given by the framework", next_step="Remove it.")
    from mnpu.plugins.registry import suggest

    guess = suggest(name, unset or names)
    expected = f"one of {', '.join(names)}" if names else "no parameters"
    return Problem(path, f"unknown key {name!r}", expected, f"Did you mean {guess!r}?" if guess else "")


def _shown(value: object) -> str:
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_union_tag(part: str | int) -> bool:
    """Pydantic adds the tried alternative of a union to a path, as in ``window.list[int]`` or ``window.int``."""
    tags = ("int", "float", "str", "bool", "none", "constrained-int", "constrained-float", "constrained-str")
    return isinstance(part, str) and (part in tags or part.endswith(("]", ")")))


def _without_union_noise(problems: list[Problem]) -> list[Problem]:
    """One problem per value: every alternative of a union complains, and the expectations join."""
    merged: dict[tuple[str | int, ...], Problem] = {}
    for problem in problems:
        first = merged.get(problem.path)
        if first is None:
            merged[problem.path] = problem
        elif problem.expected and problem.expected not in first.expected:
            merged[problem.path] = first._replace(expected=f"{first.expected} or {problem.expected}")
    return list(merged.values())
