"""JSON Schema of a pipeline with what is installed, so that an editor completes names and parameters.

Components are described from their source; none is imported. A parameter whose type is not understood accepts
anything, so the schema never refuses a file that `mnpu validate` accepts.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any

from mnpu.config.models import Pipeline
from mnpu.plugins.describe import Description, Parameter, describe
from mnpu.plugins.registry import Component, Registry

__all__ = ["json_schema"]

_SCALARS = {"int": "integer", "float": "number", "str": "string", "bool": "boolean", "None": "null"}
_LISTS = ("list", "tuple", "Sequence", "set", "frozenset")
_BOUNDS = {"≥": "minimum", ">": "exclusiveMinimum", "≤": "maximum", "<": "exclusiveMaximum"}
_ENV = {"type": "string", "pattern": r"\$\{env:"}

#: The models of a component's block; each place points at the schema of its own kind instead.
_USES = ("Use", "FeatureUse")

#: Where each kind of component stands in the model.
_PLACES = {
    ("Pipeline", "features"): "feature",
    ("Pipeline", "validators"): "validator",
    ("Pipeline", "target"): "target",
    ("Pipeline", "policy"): "policy",
    ("Pipeline", "guardrails"): "guardrail",
    ("ModelConfig", "backbone"): "backbone",
    ("ModelConfig", "head"): "head",
    ("TrainConfig", "instruments"): "instrument",
    ("TrainConfig", "loggers"): "logger",
    ("ModelConfig", "forecaster"): "forecaster",
    ("Compare", "policy"): "policy",
    ("Compare", "backbone"): "backbone",
    ("Compare", "forecaster"): "forecaster",
    ("RuntimeConfig", "engine"): "engine",
}


def json_schema(registry: Registry) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a pipeline's YAML file."""
    schema = Pipeline.model_json_schema()
    definitions = {name: block for name, block in schema.pop("$defs").items() if name not in _USES}
    top = {"type": "object", **schema}
    for (owner, field), kind in _PLACES.items():
        block = top if owner == "Pipeline" else definitions[owner]
        block["properties"][field] = _pointing_at(block["properties"][field], f"#/$defs/{kind}")
    watching = [definitions["TrainConfig"]["properties"][name]["items"] for name in ("instruments", "loggers")]
    for block in (definitions["RuntimeConfig"]["properties"]["engine"], *watching):
        block["anyOf"] = [{"type": "string", "minLength": 1}, {"$ref": block.pop("$ref")}]  # a name alone will do
    for rule in definitions["AlertsConfig"]["properties"].values():
        if "anyOf" in rule:
            rule["anyOf"].insert(0, {"type": "number", "minimum": 0})  # the threshold alone
    formats = sorted({component.name for component in registry.components("renderer")})
    definitions["ReportConfig"]["properties"]["formats"]["items"] = {"type": "string", "examples": formats}
    for kind in sorted(set(_PLACES.values())):
        described = list(_described(registry, kind))
        definitions[kind] = _component_schema(kind, described)
        if kind == "feature":
            definitions[kind] = _with_choices(definitions[kind], described)
    found = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_with_env(top),
        "$defs": {name: _with_env(block) for name, block in definitions.items()},
    }
    return {**found, "title": "MNPU pipeline"}


def _pointing_at(field: Any, reference: str) -> Any:
    """The schema of a field with every reference to a component replaced."""
    if isinstance(field, dict):
        return {
            key: reference
            if key == "$ref" and str(value).rpartition("/")[2] in _USES
            else _pointing_at(value, reference)
            for key, value in field.items()
        }
    return [_pointing_at(item, reference) for item in field] if isinstance(field, list) else field


def _described(registry: Registry, kind: str) -> Iterable[tuple[str, Description]]:
    """Each legal name of a component with its description; short names only while they are unique."""
    components = registry.components("feature_source" if kind == "feature" else kind)
    for component in components:
        names = [component.canonical]
        if sum(other.name == component.name for other in components) == 1:
            names.insert(0, component.name)
        yield from _named(component, names, kind)


def _named(component: Component, names: list[str], kind: str) -> Iterable[tuple[str, Description]]:
    description = describe(component)
    for name in names:
        if kind != "feature":
            yield name, description
            continue
        for function in description.functions:
            yield f"{name}.{function.name.rpartition('.')[2]}", function


def _component_schema(kind: str, described: list[tuple[str, Description]]) -> dict[str, Any]:
    names = [{"const": name, "description": description.summary} for name, description in described]
    return {
        "type": "object",
        "required": ["use"],
        "properties": {"use": {"anyOf": names} if names else {"type": "string"}},
        "allOf": [
            {
                "if": {"properties": {"use": {"const": name}}, "required": ["use"]},
                "then": _parameters(kind, description),
            }
            for name, description in described
        ],
    }


def _with_choices(schema: dict[str, Any], described: list[tuple[str, Description]]) -> dict[str, Any]:
    """Features may also be chosen by a pattern of one source or by a tag, and then have no parameters."""
    tags = sorted({tag for _, description in described for tag in description.tags})
    pattern = {"type": "string", "pattern": r"\.[^.]*\*", "description": "Every feature of a source that matches."}
    tag = {"type": "string", "minLength": 1, "description": "Every feature with this tag.", "examples": tags}
    alone = {"properties": {"use": True, "tag": tag}, "additionalProperties": False}
    several = {"if": {"properties": {"use": {"pattern": pattern["pattern"]}}, "required": ["use"]}, "then": alone}
    by_tag = {"if": {"not": {"required": ["use"]}}, "then": {**alone, "required": ["tag"]}}
    names = schema["properties"]["use"].get("anyOf", [])
    kept = {key: value for key, value in schema.items() if key != "required"}
    return {
        **kept,
        "properties": {"use": {"anyOf": [*names, pattern]}, "tag": tag},
        "allOf": [*schema["allOf"], several, by_tag],
    }


def _parameters(kind: str, description: Description) -> dict[str, Any]:
    if not description.path:  # the source was not found, so nothing is known
        return {}
    parameters = {p.name: _parameter(p, several=kind == "feature") for p in description.parameters}
    required = [p.name for p in description.parameters if p.default is None]
    return {
        "description": description.summary,
        "properties": {"use": True, **parameters},
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


def _parameter(parameter: Parameter, *, several: bool) -> dict[str, Any]:
    schema = _limited(_type(parameter.annotation), parameter.limits)
    if several and schema.get("type") in ("integer", "number", "string", "boolean"):
        schema = {"anyOf": [schema, {"type": "array", "items": schema, "minItems": 1}]}
    if parameter.doc:
        schema["description"] = parameter.doc
    try:
        default = ast.literal_eval(parameter.default or "")
    except (ValueError, SyntaxError):
        return schema
    return {**schema, "default": list(default) if isinstance(default, tuple) else default}


def _limited(schema: dict[str, Any], limits: str) -> dict[str, Any]:
    for limit in limits.split(", ") if limits else ():
        sign, _, value = limit.partition(" ")
        try:
            number = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            continue
        if sign in _BOUNDS and schema.get("type") in ("integer", "number"):
            schema = {**schema, _BOUNDS[sign]: number}
    return schema


def _type(annotation: str) -> dict[str, Any]:
    try:
        return _of(ast.parse(annotation, mode="eval").body)
    except SyntaxError:
        return {}


def _of(node: ast.expr) -> dict[str, Any]:
    """The schema of an annotation; {} accepts anything."""
    if isinstance(node, ast.Constant) and node.value is None:
        return {"type": "null"}
    if isinstance(node, (ast.Name, ast.Attribute)):
        name = node.id if isinstance(node, ast.Name) else node.attr
        if name in _SCALARS:
            return {"type": _SCALARS[name]}
        return {"type": "array"} if name in _LISTS else {"type": "object"} if name in ("dict", "Mapping") else {}
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _either([_of(node.left), _of(node.right)])
    if isinstance(node, ast.Subscript):
        return _subscript(ast.unparse(node.value).rpartition(".")[2], node.slice)
    return {}


def _subscript(name: str, inner: ast.expr) -> dict[str, Any]:
    items = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    if name == "Literal":
        return {"enum": [item.value for item in items if isinstance(item, ast.Constant)]}
    if name == "Annotated":
        return _of(items[0])
    if name in ("Optional", "Union"):
        return _either([*map(_of, items), *([{"type": "null"}] if name == "Optional" else [])])
    if name in _LISTS:
        kinds = {repr(_of(i)): _of(i) for i in items if not (isinstance(i, ast.Constant) and i.value is ...)}
        return {"type": "array", "items": _either(list(kinds.values()))}
    return {"type": "object"} if name in ("dict", "Mapping") else {}


def _either(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    if any(not schema for schema in schemas):
        return {}
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _with_env(schema: Any) -> Any:
    """Values may come from the environment: wherever something narrower than text is asked for, allow that too."""
    if isinstance(schema, list):
        return [_with_env(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    opened = {key: value if key in ("default", "const", "if") else _with_env(value) for key, value in schema.items()}
    narrow = opened.get("type") in ("integer", "number", "boolean") or "pattern" in opened or "enum" in opened
    if not narrow and not (opened.get("type") == "string" and "const" in opened):
        return opened
    outside = {key: opened.pop(key) for key in ("title", "description", "default") if key in opened}
    return {**outside, "anyOf": [opened, _ENV]}
