"""Read modules without importing them: where their source is, and what a name in them is bound to."""

from __future__ import annotations

import ast
import importlib.util
import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.machinery import ModuleSpec, PathFinder

__all__ = ["Definition", "Source", "first_line", "module_docstring", "open_source"]

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

_DOCSTRING = re.compile(r"\A(?:\s|#[^\n]*\n)*([rRuU]?(\"\"\"|''').*?\2)", re.DOTALL)
_TRIPLE_QUOTED = re.compile(r"(\"\"\"|''').*?\1", re.DOTALL)
_MAX_HOPS = 5  # re-exports followed before giving up


def open_source(module: str) -> Source | None:
    """The source of ``module``, None if there is none; neither it nor its parent packages are imported."""
    spec = _spec(module)
    loader = spec.loader if spec else None
    if spec is None or loader is None or not hasattr(loader, "get_source"):
        return None
    try:
        text = loader.get_source(module)
    except (ImportError, OSError, SyntaxError):
        return None
    return None if text is None else Source(module, text, spec.origin or "", bool(spec.submodule_search_locations))


def _spec(module: str) -> ModuleSpec | None:
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
        name = top
        for part in rest:
            if spec is None or spec.submodule_search_locations is None:
                return None
            name = f"{name}.{part}"
            spec = PathFinder.find_spec(name, list(spec.submodule_search_locations))
    except (ImportError, ValueError):
        return None
    return spec


@lru_cache(maxsize=64)
def _tree(text: str) -> ast.Module:
    """Each module is parsed once, however many of its names are asked for."""
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.Module(body=[], type_ignores=[])


@dataclass
class Source:
    """A module's source: ``path`` is its file, ``is_package`` decides what its relative imports mean."""

    module: str
    text: str
    path: str = ""
    is_package: bool = False
    _imports: dict[str, tuple[str, str]] | None = field(default=None, repr=False)

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree, not to be changed; an empty one if the file does not parse."""
        return _tree(self.text)

    def docstring(self, name: str) -> str:
        """Docstring of the class or function ``name``, of the module if empty. Reads no more than it needs."""
        if not name:
            return module_docstring(self.text)
        node = self._head(name)
        if node is not None:
            return ast.get_docstring(node) or ""
        found = self.definition(name)
        return ast.get_docstring(found[1]) or "" if found else ""

    def definition(self, name: str, hops: int = _MAX_HOPS) -> tuple[Source, Definition] | None:
        """The class or function that ``name`` is bound to, with the module it stands in; follows re-exports."""
        for node in self.tree.body:
            if isinstance(node, Definition) and node.name == name:
                return self, node
        origin = self.imports.get(name)
        if origin is None or hops == 0:
            return None
        other = open_source(origin[0])
        return other.definition(origin[1], hops - 1) if other else None

    @property
    def imports(self) -> dict[str, tuple[str, str]]:
        """Names bound by ``from x import y``: name to ``(module, original name)``."""
        if self._imports is None:
            self._imports = {}
            for node in self.tree.body:
                if isinstance(node, ast.ImportFrom):
                    module = self._absolute(node)
                    self._imports |= {alias.asname or alias.name: (module, alias.name) for alias in node.names}
        return self._imports

    def assigned(self, name: str, hops: int = _MAX_HOPS) -> ast.expr | None:
        """The expression that a module-level ``name = ...`` binds, here or in a module of the same package."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
                return node.value
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
                return node.value
        module, original = self.imports.get(name, ("", ""))
        if hops == 0 or module.partition(".")[0] != self.module.partition(".")[0]:
            return None
        other = open_source(module)
        return other.assigned(original, hops - 1) if other else None

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.module.split(".")
        parts = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*parts, node.module] if node.module else parts)

    def _head(self, name: str) -> Definition | None:
        """Parse one definition up to its first string: listing thirty components stays a matter of milliseconds."""
        start = re.search(rf"^(?:class|def|async def) {re.escape(name)}\b", self.text, re.MULTILINE)
        string = _TRIPLE_QUOTED.search(self.text, start.end()) if start else None
        if start is None or string is None:
            return None
        try:
            body = ast.parse(self.text[start.start() : string.end()]).body
        except SyntaxError:  # the string stands in the signature, or far below a definition without a docstring
            return None
        return body[0] if len(body) == 1 and isinstance(body[0], Definition) else None


def module_docstring(text: str) -> str:
    """The docstring of a module's source, empty if it has none."""
    match = _DOCSTRING.match(text)
    if match:
        return str(ast.literal_eval(match.group(1))).strip()
    try:
        return ast.get_docstring(ast.parse(text)) or ""
    except SyntaxError:
        return ""


def first_line(docstring: str) -> str:
    """The first line of a docstring, without its full stop: what listings show."""
    line = docstring.strip().partition("\n")[0].strip()
    return line[:-1] if line.endswith(".") and not line.endswith("..") else line
