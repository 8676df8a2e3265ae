"""Loops as machine code: compiled at their first use and kept, so that importing this package needs no compiler."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

__all__ = ["compiled"]

F = TypeVar("F", bound=Callable[..., Any])


@cache
def compiled(function: F, *, relaxed: tuple[str, ...] = ()) -> F:
    """``function``, a plain loop over arrays, as machine code that runs without the interpreter's lock.

    The code is kept beside the source, or in the user's cache where that folder cannot be written; with neither it
    is compiled again in each process. A division by zero gives what it gives in numpy, so that loops over arrays can
    use the processor's vectors. ``relaxed`` names rules of arithmetic that may be bent for speed, in numba's words:
    ``reassoc`` adds in another order, ``contract`` rounds a product and a sum once.
    """
    import numba  # half a second to import, so only where a loop is long

    options = {"nogil": True, "error_model": "numpy", "fastmath": set(relaxed)}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to keep it in
        return numba.njit(**options)(function)
