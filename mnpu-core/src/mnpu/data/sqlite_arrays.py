"""Arrays as a table that SQLite reads: the functions of a virtual table, as machine code.

Imported where there is much to write only: it needs the compiler. https://www.sqlite.org/vtab.html says what each
function is for. One block of int64 words describes the table; SQLite's own structs for a virtual table and for its
cursor are the first words of two parts of it:

    0 to 2          sqlite3_vtab (SQLite fills it)
    3               sqlite3_vtab_cursor (SQLite fills it)
    4, 5            row that the cursor is at, and how many there are
    6 to 9          addresses of sqlite3_result_int64, _result_double, _result_text and _declare_vtab
    10              address of the statement that declares the columns
    11 + 3 j ...    column j: its kind, the address of its cells, and for codes that of (address, length) of each text
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import cfunc, types
from numba.extending import intrinsic

__all__ = ["CALLED", "CODES", "COLUMNS", "FUNCTIONS", "INTEGERS", "NUMBERS", "N_COLUMNS", "N_ROWS", "WORDS", "module"]

CALLED = ("result_int64", "result_double", "result_text", "declare_vtab")

INTEGERS, NUMBERS, CODES = 0, 1, 2
N_COLUMNS = 20
CURSOR, ROW, N_ROWS, FUNCTIONS, DECLARE, STATEMENT, COLUMNS = 3, 4, 5, 6, 9, 10, 11
WORDS = COLUMNS + 3 * N_COLUMNS
_INT, _WORD, _DOUBLE, _NOTHING = ir.IntType(32), ir.IntType(64), ir.DoubleType(), ir.VoidType()
_OF = {types.int32: _INT, types.int64: _WORD, types.float64: _DOUBLE, types.void: _NOTHING}
i32, i64, f64 = types.int32, types.int64, types.float64
_OK = 0
_STATIC = 0  #: SQLite need not copy a text: it stays where it is while the statement runs


def _loaded(kind: Any) -> Any:
    """``kind f(address, index)``: a cell of an array at an address."""

    @intrinsic
    def load(typing, address, index):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            start = builder.inttoptr(arguments[0], _OF[kind].as_pointer())
            return builder.load(builder.gep(start, [arguments[1]]))

        return kind(i64, i64), generate

    return load


@intrinsic
def _store(typing, address, index, value):  # type: ignore[no-untyped-def]
    """Put a word into an array at an address."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        start = builder.inttoptr(arguments[0], _WORD.as_pointer())
        builder.store(arguments[2], builder.gep(start, [arguments[1]]))
        return context.get_dummy_value()

    return types.void(i64, i64, i64), generate


def _generator(result: Any, kinds: tuple[Any, ...]) -> tuple[Any, Any]:
    """Signature and code of a call of the function at an address."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        kind = ir.FunctionType(_OF[result], [_OF[k] for k in kinds]).as_pointer()
        returned = builder.call(builder.inttoptr(arguments[0], kind), list(arguments[1:]))
        return context.get_dummy_value() if result is types.void else returned

    return result(i64, *kinds), generate


@intrinsic
def _declare(typing, address, database, statement):  # type: ignore[no-untyped-def]
    return _generator(i32, (i64, i64))


@intrinsic
def _give_integer(typing, address, context, value):  # type: ignore[no-untyped-def]
    return _generator(types.void, (i64, i64))


@intrinsic
def _give_number(typing, address, context, value):  # type: ignore[no-untyped-def]
    return _generator(types.void, (i64, f64))


@intrinsic
def _give_text(typing, address, context, start, length, destructor):  # type: ignore[no-untyped-def]
    return _generator(types.void, (i64, i64, i32, i64))


_word, _number = _loaded(i64), _loaded(f64)


def _called_by_sqlite(*kinds: Any) -> Callable[[Any], Any]:
    """Machine code that SQLite calls, kept as in ``mnpu.data.compiled``; it returns a result code."""

    def make(function: Any) -> Any:
        try:
            return cfunc(i32(*kinds), cache=True)(function)
        except RuntimeError:  # no folder to keep it in
            return cfunc(i32(*kinds))(function)

    return make


@_called_by_sqlite(i64, i64, i32, i64, i64, i64)
def _connect(database, words, n, arguments, table, error):  # type: ignore[no-untyped-def]
    code = _declare(_word(words, DECLARE), database, _word(words, STATEMENT))
    if code == _OK:
        _store(table, 0, words)
    return code


@_called_by_sqlite(i64, i64)
def _plan(table, index):  # type: ignore[no-untyped-def]
    return _OK  # there is one way to read it: all rows in order


@_called_by_sqlite(i64)
def _leave(it):  # type: ignore[no-untyped-def]
    return _OK  # the words belong to Python


@_called_by_sqlite(i64, i64)
def _open(table, cursor):  # type: ignore[no-untyped-def]
    _store(cursor, 0, table + 8 * CURSOR)
    return _OK


@_called_by_sqlite(i64, i32, i64, i32, i64)
def _start(cursor, index, name, n, arguments):  # type: ignore[no-untyped-def]
    _store(cursor, ROW - CURSOR, 0)
    return _OK


@_called_by_sqlite(i64)
def _next(cursor):  # type: ignore[no-untyped-def]
    _store(cursor, ROW - CURSOR, _word(cursor, ROW - CURSOR) + 1)
    return _OK


@_called_by_sqlite(i64)
def _ended(cursor):  # type: ignore[no-untyped-def]
    return np.int32(_word(cursor, ROW - CURSOR) >= _word(cursor, N_ROWS - CURSOR))


@_called_by_sqlite(i64, i64, i32)
def _cell(cursor, context, column):  # type: ignore[no-untyped-def]
    row, at = _word(cursor, ROW - CURSOR), COLUMNS - CURSOR + 3 * column
    kind, cells = _word(cursor, at), _word(cursor, at + 1)
    if kind == NUMBERS:
        number = _number(cells, row)
        if number == number:  # a cell that nothing is given for is NULL
            _give_number(_word(cursor, FUNCTIONS + 1 - CURSOR), context, number)
    elif kind == INTEGERS:
        _give_integer(_word(cursor, FUNCTIONS - CURSOR), context, _word(cells, row))
    else:
        texts, code = _word(cursor, at + 2), _word(cells, row)
        start, length = _word(texts, 2 * code), _word(texts, 2 * code + 1)
        _give_text(_word(cursor, FUNCTIONS + 2 - CURSOR), context, start, np.int32(length), np.int64(_STATIC))
    return _OK


@_called_by_sqlite(i64, i64)
def _number_of_row(cursor, number):  # type: ignore[no-untyped-def]
    _store(number, 0, _word(cursor, ROW - CURSOR))
    return _OK


def module() -> np.ndarray:
    """An ``sqlite3_module`` of version 0: only the functions of a table that is there without being created."""
    xConnect, xBestIndex, xDisconnect, xDestroy, xOpen, xClose = range(2, 8)
    xFilter, xNext, xEof, xColumn, xRowid = range(8, 13)
    functions = {
        **{xConnect: _connect, xBestIndex: _plan, xDisconnect: _leave, xDestroy: _leave, xOpen: _open, xClose: _leave},
        **{xFilter: _start, xNext: _next, xEof: _ended, xColumn: _cell, xRowid: _number_of_row},
    }
    words = np.zeros(25, dtype="int64")  # as many as the newest version has
    for place, function in functions.items():
        words[place] = function.address
    return words
