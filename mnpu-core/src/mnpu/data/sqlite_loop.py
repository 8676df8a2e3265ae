"""Rows of an SQLite statement into arrays, by calling SQLite's own functions from compiled code.

Imported where there is much to read only: it needs the compiler. The functions come as addresses in the library that
Python's ``sqlite3`` itself uses, so there are never two copies of SQLite in one process, whose locks would undo each
other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from mnpu.data.compiled import compiled

__all__ = ["DONE", "FULL", "fetch"]

ROW, DONE = 100, 101
FULL, MISFIT = -1, -2
_INTEGER, _FLOAT, _NULL = 1, 2, 5
_POINTER, _INT = ir.IntType(64), ir.IntType(32)


def _step(result: Any, returned: Any) -> Any:
    """``result f(statement)`` at an address."""

    @intrinsic
    def call(typing, address, statement):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            kind = ir.FunctionType(returned, [_POINTER]).as_pointer()
            return builder.call(builder.inttoptr(arguments[0], kind), [arguments[1]])

        return result(types.int64, types.int64), generate

    return call


def _column(result: Any, returned: Any) -> Any:
    """``result f(statement, column)`` at an address."""

    @intrinsic
    def call(typing, address, statement, column):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            kind = ir.FunctionType(returned, [_POINTER, _INT]).as_pointer()
            return builder.call(builder.inttoptr(arguments[0], kind), [arguments[1], arguments[2]])

        return result(types.int64, types.int64, types.int32), generate

    return call


_next = _step(types.int32, _INT)
_kind_of = _column(types.int32, _INT)
_integer = _column(types.int64, ir.IntType(64))
_double = _column(types.float64, ir.DoubleType())


@compiled
def fetch(addresses, statement, ints, floats):  # type: ignore[no-untyped-def]
    """Fill the columns of two buffers with the next rows; how many, and why it ended.

    ``addresses`` are those of ``sqlite3_step``, ``_column_type``, ``_column_int64`` and ``_column_double``; integers
    come first in a row, NULL becomes NaN. It ends with ``DONE``, ``FULL``, ``MISFIT`` where a cell has another type,
    or SQLite's own code.
    """
    step, kind_of, integer, double = addresses[0], addresses[1], addresses[2], addresses[3]
    n_ints = ints.shape[0]
    for row in range(ints.shape[1]):
        code = _next(step, statement)
        if code != ROW:
            return row, code
        for j in range(n_ints):
            if _kind_of(kind_of, statement, np.int32(j)) != _INTEGER:
                return row, MISFIT
            ints[j, row] = _integer(integer, statement, np.int32(j))
        for j in range(floats.shape[0]):
            kind = _kind_of(kind_of, statement, np.int32(n_ints + j))
            if kind in (_FLOAT, _INTEGER):
                floats[j, row] = _double(double, statement, np.int32(n_ints + j))
            elif kind == _NULL:
                floats[j, row] = np.nan
            else:
                return row, MISFIT
    return ints.shape[1], FULL
