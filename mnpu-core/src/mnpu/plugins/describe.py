"""Describe components from their source: summary, parameters, defaults, limits and documentation, importing nothing."""

from __future__ import annotations

import ast
import copy
import re
from dataclasses import dataclass
from typing import NamedTuple

from mnpu.plugins.kinds import KINDS
from mnpu.plugins.registry import Component
from mnpu.plugins.source import Definition, Source, first_line, open_source

__all__ = [
    "Description",
    "Parameter",
    "describe",
    "parameter_docs",
    "promised_names",
    "section",
    "summarise",
    "without_section",
]

_LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "multiple_of": "multiple of", "min_length": "length ≥"}


class Parameter(NamedTuple):
    """A parameter as it is written: ``default`` is source text, None where a value is required."""

    name: str
    annotation: str
    default: str | None
    doc: str
    limits: str = ""


@dataclass(frozen=True)
class Description:
    """What can be said of a component without importing it.

    Attributes
    ----------
    kind, name, canonical : str
    summary : str
        First line of the docstring.
    doc : str
        The whole docstring.
    parameters : tuple of Parameter
        What a configuration may set; arguments that the framework supplies are left out.
    functions : tuple of Description
        For a feature source, its features.
    path, line
        Where the source is; empty and 0 if it was not found.
    tags : tuple of str
        Of a feature, where they are written out.
    """

    kind: str
    name: str
    canonical: str
    summary: str = ""
    doc: str = ""
    parameters: tuple[Parameter, ...] = ()
    functions: tuple[Description, ...] = ()
    path: str = ""
    line: int = 0
    tags: tuple[str, ...] = ()


def summarise(component: Component) -> str:
    """One line about the component, empty if its source is not found."""
    module, _, attribute = component.target.partition(":")
    source = open_source(module)
    return first_line(source.docstring(attribute)) if source else ""


def describe(component: Component) -> Description:
    """Describe ``component``; whatever its source does not tell is empty."""
    kind, name, canonical = component.kind, component.name, component.canonical
    module, _, attribute = component.target.partition(":")
    source = open_source(module)
    if source is None:
        return Description(kind, name, canonical)
    if not attribute:
        doc = source.docstring("")
        functions = tuple(_features(source, component)) if kind == "feature_source" else ()
        return Description(kind, name, canonical, first_line(doc), doc, functions=functions, path=source.path, line=1)
    found = source.definition(attribute)
    if found is None:
        return Description(kind, name, canonical, path=source.path)
    home, node = found
    doc = ast.get_docstring(node) or ""
    parameters = _parameters(home, node, supplied=KINDS[kind].supplied, called=KINDS[kind].called)
    return Description(kind, name, canonical, first_line(doc), doc, parameters, (), home.path, node.lineno)


def promised_names(module: str, hook: str) -> tuple[str, ...]:
    """The names that a plugin module's ``hook`` returns as a literal dictionary, read from source."""
    source = open_source(module) if module and ":" not in module else None
    found = source.definition(hook) if source else None
    if found is None:
        return ()
    returned = [node.value for node in ast.walk(found[1]) if isinstance(node, ast.Return)]
    keys = [key for value in returned if isinstance(value, ast.Dict) for key in value.keys]
    return tuple(key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str))


def parameter_docs(docstring: str) -> dict[str, str]:
    """Parameter name to description, from the ``Parameters`` section of a numpydoc docstring."""
    lines = section(docstring, "Parameters")
    docs: dict[str, list[str]] = {}
    names: list[str] = []
    for line in lines:
        if line and not line[0].isspace():
            head = line.partition(" : ")[0]
            names = [name.strip().lstrip("*") for name in head.split(",")]
            docs.update({name: [] for name in names})
        elif line.strip():
            for name in names:
                docs[name].append(line.strip())
    return {name: " ".join(text) for name, text in docs.items()}


def without_section(docstring: str, title: str) -> str:
    """The docstring without one of its sections."""
    lines = docstring.expandtabs().splitlines()
    start, stop = _bounds(lines, title)
    return "\n".join(lines[:start] + lines[stop:]).strip()


def section(docstring: str, title: str) -> list[str]:
    """The lines of one section of a numpydoc docstring, below its heading; none where it has no such section."""
    lines = docstring.expandtabs().splitlines()
    start, stop = _bounds(lines, title)
    return lines[start + 2 : stop]


def _bounds(lines: list[str], title: str) -> tuple[int, int]:
    """First line of a numpydoc section and the line after its last one."""
    heads = [n for n in range(len(lines) - 1) if lines[n].strip() and re.fullmatch(r"\s*-{3,}\s*", lines[n + 1])]
    for place, start in enumerate(heads):
        if lines[start].strip() == title:
            return start, heads[place + 1] if place + 1 < len(heads) else len(lines)
    return len(lines), len(lines)


def _features(source: Source, component: Component) -> list[Description]:
    """The functions marked with ``@feature``, here or imported from a module of the same package."""
    top = source.module.partition(".")[0]
    found = [(source, node) for node in source.tree.body if isinstance(node, ast.FunctionDef)]
    for name, (module, _) in source.imports.items():
        if module.partition(".")[0] == top and module != "mnpu.features":
            imported = source.definition(name)
            found += [(imported[0], imported[1])] if imported and isinstance(imported[1], ast.FunctionDef) else []
    features = []
    for home, node in found:
        marks = [decorator for decorator in node.decorator_list if _called_name(decorator) == "feature"]
        if marks:
            doc = ast.get_docstring(node) or ""
            name, canonical = f"{component.name}.{node.name}", f"{component.canonical}.{node.name}"
            parameters = _parameters(home, node, supplied=(), called=True)
            place = (home.path, node.lineno, _tags(marks[0]))
            features.append(Description("feature", name, canonical, first_line(doc), doc, parameters, (), *place))
    return features


def _tags(mark: ast.expr) -> tuple[str, ...]:
    """The literal ``tags=(...)`` of a decorator."""
    written = next((k.value for k in mark.keywords if k.arg == "tags"), None) if isinstance(mark, ast.Call) else None
    items = written.elts if isinstance(written, (ast.Tuple, ast.List)) else []
    return tuple(item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str))


#: Name, annotation and default of a parameter.
Argument = tuple[str, ast.expr | None, ast.expr | None]


class _Constructor(NamedTuple):
    """What a class is built with, where that is written, and the docstrings that explain it."""

    source: Source
    arguments: list[Argument]
    doc: str


def _parameters(home: Source, node: Definition, *, supplied: tuple[str, ...], called: bool) -> tuple[Parameter, ...]:
    if isinstance(node, ast.ClassDef):
        built = _constructor(home, node)
        if built is None:
            return ()
    else:
        built = _Constructor(home, _arguments(node, keyword_only=called), ast.get_docstring(node) or "")
    docs = parameter_docs(built.doc)
    return tuple(
        _parameter(built.source, name, annotation, default, docs)
        for name, annotation, default in built.arguments
        if name not in supplied
    )


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef, *, keyword_only: bool) -> list[Argument]:
    spec = node.args
    positional = [*spec.posonlyargs, *spec.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(spec.defaults)) + list(spec.defaults)
    pairs = [(arg.arg, arg.annotation, default) for arg, default in zip(positional, defaults, strict=True)]
    keywords = [(a.arg, a.annotation, d) for a, d in zip(spec.kwonlyargs, spec.kw_defaults, strict=True)]
    return keywords if keyword_only else pairs + keywords


def _constructor(home: Source, node: ast.ClassDef) -> _Constructor | None:
    """The ``__init__`` of a class (the fields of a dataclass), its own or inherited from a class we can read."""
    doc = ast.get_docstring(node) or ""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            own = f"{doc}\n\n{ast.get_docstring(item) or ''}"
            return _Constructor(home, _arguments(item, keyword_only=False)[1:], own)  # without self
    if any(_called_name(decorator) == "dataclass" for decorator in node.decorator_list):
        return _Constructor(home, _fields(node), doc)
    for base in node.bases:
        if not isinstance(base, ast.Name):
            continue
        origin = home.imports.get(base.id, (home.module, ""))[0]
        if origin.partition(".")[0] not in (home.module.partition(".")[0], "mnpu"):
            continue  # torch.nn.Module and the like have nothing to configure
        found = home.definition(base.id)
        inherited = _constructor(found[0], found[1]) if found and isinstance(found[1], ast.ClassDef) else None
        if inherited:
            return inherited._replace(doc=f"{doc}\n\n{inherited.doc}")
    return None


def _fields(node: ast.ClassDef) -> list[Argument]:
    named = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
    fields = [item for item in named if "ClassVar" not in ast.unparse(item.annotation)]
    return [(ast.unparse(item.target), item.annotation, item.value) for item in fields]


def _parameter(
    source: Source, name: str, annotation: ast.expr | None, default: ast.expr | None, docs: dict[str, str]
) -> Parameter:
    text, limits = _split_annotation(source, annotation)
    shown = None if default is None else ast.unparse(_resolved(source, default))
    return Parameter(name, text, shown, docs.get(name, ""), limits)


def _resolved(source: Source, node: ast.expr) -> ast.expr:
    """A module-level name stands for the expression that it is bound to."""
    value = source.assigned(node.id) if isinstance(node, ast.Name) else None
    return value if value is not None else node


def _split_annotation(source: Source, node: ast.expr | None) -> tuple[str, str]:
    """Type and limits: ``Annotated[int, Field(ge=1)]`` is ``int`` and ``≥ 1``."""
    if node is None:
        return "", ""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        node = ast.parse(node.value, mode="eval").body
    plain = _Plain(source)
    text = ast.unparse(plain.visit(copy.deepcopy(_resolved(source, node))))  # a transformer edits in place
    return text, ", ".join(plain.limits)


class _Plain(ast.NodeTransformer):
    """Replaces each ``Annotated[T, ...]`` by ``T`` and collects the limits that it states."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.limits: list[str] = []

    def visit_Name(self, node: ast.Name) -> ast.AST:
        bound = _resolved(self.source, node)
        return node if bound is node else self.visit(copy.deepcopy(bound))

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if _called_name(node.value) != "Annotated" or not isinstance(node.slice, ast.Tuple):
            return self.generic_visit(node)
        inner, *extras = node.slice.elts
        keywords = [word for extra in extras if isinstance(extra, ast.Call) for word in extra.keywords]
        self.limits += [f"{_LIMITS[word.arg]} {ast.unparse(word.value)}" for word in keywords if word.arg in _LIMITS]
        return self.visit(inner)


def _called_name(node: ast.expr) -> str:
    """``feature`` for ``@feature``, ``@feature(...)`` and ``@mnpu.feature(...)``."""
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
