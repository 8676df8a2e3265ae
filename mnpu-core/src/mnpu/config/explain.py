"""From a pydantic error to the sentence a user can act on: where, what it is, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from mnpu.config.tree import Path, Tree, dotted
from mnpu.errors import ConfigError, MnpuError

__all__ = ["explain", "first_of", "show"]

#: Models of blocks that begin with ``use``, so that a bare name can be told how it is written.
_NAMED = ("Use", "FeatureUse", "CalibrationConfig")

_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "a map",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "list_type": "a list",
    "model_type": "a map",
    "model_attributes_type": "a map",
    "none_required": "null",
    "string_type": "text",
    "tuple_type": "a list",
}


def explain(error: ValidationError, tree: Tree, model: type[BaseModel], *, at: Path = ()) -> list[ConfigError]:
    """One `ConfigError` for each fault in ``error``, for the block of ``tree`` at ``at`` that ``model`` checked."""
    faults = error.errors(include_url=False)
    unknown = [(tuple(f["loc"][:-1]), str(f["loc"][-1])) for f in faults if f["type"] == "extra_forbidden"]
    found, seen = [], set()
    for fault in faults:
        loc = _written(fault["loc"], tree, at)
        if loc in seen:  # the branches of a union all complain about the same value
            continue
        seen.add(loc)
        if _other_way(fault, faults):
            continue
        block, key = tuple(fault["loc"][:-1]), str(fault["loc"][-1])
        if fault["type"] == "missing" and any(b == block and get_close_matches(key, [k]) for b, k in unknown):
            continue  # it is there, misspelt
        found.append(_explain(fault, loc, tree, model, at))
    return found


def _other_way(fault: Mapping[str, Any], faults: Sequence[Mapping[str, Any]]) -> bool:
    """Whether it says that a map is no text, of a setting that may be either: then the map's own faults are told."""
    if fault["type"] != "string_type" or not isinstance(fault["input"], Mapping):
        return False
    union = tuple(fault["loc"][:-1])
    return any(each is not fault and tuple(each["loc"][: len(union)]) == union for each in faults)


def first_of(errors: Sequence[MnpuError]) -> MnpuError:
    """The error to raise for several: the first configuration error, else the first, with the others listed."""
    first = next((e for e in errors if isinstance(e, ConfigError)), errors[0])
    rest = [*first.others, *(each for e in errors if e is not first for each in (e, *e.others))]
    return _with_others(first, [_with_others(each, ()) for each in rest])


def _with_others(error: MnpuError, others: Sequence[MnpuError]) -> MnpuError:
    return type(error)(error.what, where=error.where, expected=error.expected, next_step=error.next_step, others=others)


def show(value: Any) -> str:
    """``value`` as it would stand in YAML, short."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _explain(fault: Mapping[str, Any], loc: Path, tree: Tree, model: type[BaseModel], at: Path) -> ConfigError:
    path, kind = (*at, *loc), fault["type"]
    if kind == "union_tag_invalid" and isinstance(fault["input"], Mapping):
        path = (*path, str(fault["ctx"]["discriminator"]).strip("'"))  # the wrong name, not the map that it stands in
    field = _field(model, fault["loc"])
    if kind == "missing":
        return ConfigError(
            f"{dotted(path)} is missing",
            where=tree.where_key(path[:-1]),
            next_step=f"It is required: {_sentence(field)}" if field and field.description else "Add it.",
        )
    if kind == "extra_forbidden":
        return _unknown(path, tree, _model(model, fault["loc"][:-1]))
    expected = _expected(fault, field)
    if isinstance(fault["input"], Mapping) and _is_tag(path, tree):
        return ConfigError(
            f"{dotted(path[:-1])} does not fit together",
            where=tree.where(path),
            expected=expected,
            next_step="Change one of its settings.",
        )
    try:
        value = tree.references.get(path) or show(tree.get(path))
    except KeyError:
        value = show(fault["input"])
    return ConfigError(
        f"{dotted(path)} is {value}",
        where=tree.where(path),
        expected=expected,
        next_step=_next_step(fault, field),
    )


def _is_tag(path: Path, tree: Tree) -> bool:
    """Whether ``path`` ends on what pydantic calls a branch of a union, which nobody wrote."""
    try:
        tree.get(path)
    except KeyError:
        return True
    return False


def _unknown(path: Path, tree: Tree, model: type[BaseModel] | None) -> ConfigError:
    known = sorted(model.model_fields) if model else []
    near = get_close_matches(str(path[-1]), known, n=1)
    return ConfigError(
        f"{dotted(path)} is not a known key" + ("" if near or not known else f", expected one of {', '.join(known)}"),
        where=tree.where_key(path),
        next_step=f"Did you mean '{near[0]}'?" if near else "Remove it." if known else "It takes no parameters.",
    )


def _expected(fault: Mapping[str, Any], field: FieldInfo | None) -> str:
    kind, context = fault["type"], fault.get("ctx", {})
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    bounds = {
        "greater_than": "a number above",
        "greater_than_equal": "a number of at least",
        "less_than": "a number below",
        "less_than_equal": "a number of at most",
        "multiple_of": "a multiple of",
    }
    if kind in bounds:
        limit = next(iter(context.values()))
        kinds = () if field is None else (field.annotation, *get_args(field.annotation))
        or_null = " or null" if type(None) in kinds else ""
        positive = (kind, limit) in (("greater_than", 0), ("greater_than_equal", 1))
        if positive and float not in kinds and isinstance(fault["input"], int):
            return f"a positive integer{or_null}"
        return f"{bounds[kind]} {limit}{or_null}"
    if kind in ("too_short", "too_long", "string_too_short", "string_too_long"):
        limit = context.get("min_length", context.get("max_length"))
        unit = "characters" if kind.startswith("string") else "items"
        return f"{'at least' if kind.endswith('short') else 'at most'} {limit} {unit if limit != 1 else unit[:-1]}"
    if kind in ("literal_error", "enum"):
        return str(context["expected"]).replace("'", "")
    if kind == "union_tag_invalid":
        return str(context["expected_tags"]).replace("'", "").replace(", ", " or ")
    if kind == "union_tag_not_found":
        tags = str(context.get("expected_tags", "one of its names")).replace("'", "").replace(", ", " or ")
        return f"a map with {str(context['discriminator']).replace(chr(39), '')}: {tags}"
    return str(fault["msg"])


def _next_step(fault: Mapping[str, Any], field: FieldInfo | None) -> str:
    value = fault["input"]
    if fault["type"] == "string_type" and isinstance(value, (bool, int, float, type(None))):
        return "Quote it to make it text."
    if fault["type"] == "literal_error" and isinstance(value, str):
        choices = str(fault["ctx"]["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
        near = get_close_matches(value, choices, n=1)
        if near:
            return f"Did you mean '{near[0]}'?"
    if fault["type"] == "model_type" and isinstance(value, str) and fault["ctx"]["class_name"] in _NAMED:
        return f"Write {{use: {value}}}."
    if fault["type"] in ("int_type", "float_type", "bool_type") and isinstance(value, str):
        return "Write it plainly: 5, 0.5, 1e-4, true; quotes make text."
    if field is not None and not field.is_required() and field.default is not None:
        default = field.get_default(call_default_factory=True, validated_data={})
        if isinstance(default, (str, int, float, bool)):
            return f"Remove it to use the default, {show(default)}."
    return ""


def _sentence(field: FieldInfo) -> str:
    text = field.description or ""
    return text[:1].lower() + text[1:]


def _written(loc: Iterable[str | int], tree: Tree, at: Path) -> Path:
    """``loc`` without the parts that pydantic adds for the branches of a union."""
    kept: list[str | int] = []
    parts = list(loc)
    for i, part in enumerate(parts):
        try:
            tree.get((*at, *kept, part))
        except KeyError:
            if i < len(parts) - 1 or (isinstance(part, str) and not _is_block(tree, (*at, *kept))):
                continue
        kept.append(part)
    return tuple(kept)


def _is_block(tree: Tree, path: Path) -> bool:
    try:
        return isinstance(tree.get(path), dict)
    except KeyError:
        return True


def _field(model: type[BaseModel], loc: Path) -> FieldInfo | None:
    owner = _model(model, loc[:-1])
    return owner.model_fields.get(str(loc[-1])) if owner is not None and loc else None


def _model(model: type[BaseModel], loc: Path) -> type[BaseModel] | None:
    """The model of the block at ``loc``, which may name the branch of a union, by its class or its tag."""
    candidates = [model]
    for part in loc:
        if isinstance(part, int):
            continue
        branch = [c for c in candidates if part == c.__name__ or part in _tags(c)]
        if branch:
            candidates = branch
            continue
        fields = [c.model_fields[part] for c in candidates if part in c.model_fields]
        candidates = _models_in(fields[0].annotation) if fields else []
        if not candidates:
            return None
    return candidates[0]


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    """What ``use`` may be, where a model stands for one name alone."""
    field = model.model_fields.get("use")
    return get_args(field.annotation) if field is not None else ()


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]
