"""Loops as machine code: compiled at their first use and kept, so that importing this package needs no compiler."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any, TypeVar

__all__ = ["compiled"]

F = TypeVar("F", bound=Callable[..., Any])
#: Values that are written into machine code when it is made.
CONSTANTS = (bool, int, float, complex, str, bytes, tuple, frozenset, type(None))


@cache
def compiled(function: F, *, relaxed: tuple[str, ...] = ()) -> F:
    """``function``, a plain loop over arrays, as machine code that runs without the interpreter's lock.

    The code is kept beside the source, or in the user's cache where that folder cannot be written; with neither it
    is compiled again in each process. It is made anew when the function changes, one that it calls, or a constant of
    either, in whatever file. A division by zero gives what it gives in numpy, so that loops over arrays can
    use the processor's vectors. ``relaxed`` names rules of arithmetic that may be bent for speed, in numba's words:
    ``reassoc`` adds in another order, ``contract`` rounds a product and a sum once.
    """
    import numba  # half a second to import, so only where a loop is long

    loop = numba.njit(nogil=True, error_model="numpy", fastmath=set(relaxed))(function)
    with suppress(RuntimeError):  # no folder to keep it in
        loop._cache = _kept()(function)
    return loop  # type: ignore[no-any-return]


@cache
def _kept() -> type[Any]:
    """Numba's cache looks at the function's own file only, and would keep what a changed function was inlined into."""
    from numba.core.caching import FunctionCache

    class Kept(FunctionCache):  # type: ignore[misc]
        """Machine code by the function and all that it calls."""

        def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
            return (*super()._index_key(sig, codegen), _digest(self._py_func))

    return Kept


@cache
def _digest(function: FunctionType) -> str:
    """Hash of a function and of every function and constant that it can reach."""
    found, waiting = hashlib.sha256(), [function]
    seen = {function}
    while waiting:
        one = waiting.pop()
        found.update(repr((one.__module__, one.__qualname__, _spelt(one.__code__))).encode())
        for name, value in _reached(one):
            called = getattr(value, "py_func", None) or getattr(value, "_defn", None)  # a loop; an intrinsic
            if isinstance(called, FunctionType):
                if called not in seen:
                    seen.add(called)
                    waiting.append(called)
            elif isinstance(value, CONSTANTS):
                found.update(repr((name, value)).encode())
    return found.hexdigest()


def _reached(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """What the names in a function stand for: globals, members of modules, and what it encloses."""
    names = sorted(_names(function.__code__))
    known = function.__globals__
    modules = [known[name] for name in names if isinstance(known.get(name), ModuleType)]
    for name in names:
        for place in (known, *(vars(module) for module in modules)):
            if name in place:
                yield name, place[name]
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield name, cell.cell_contents


def _names(code: CodeType) -> set[str]:
    inner = (_names(each) for each in code.co_consts if isinstance(each, CodeType))
    return set(code.co_names).union(*inner)


def _spelt(code: CodeType) -> tuple[Any, ...]:
    """What a code does, without the file and the lines in which it stands."""
    consts = [_spelt(each) if isinstance(each, CodeType) else each for each in code.co_consts]
    return code.co_code.hex(), consts, code.co_names, code.co_varnames
