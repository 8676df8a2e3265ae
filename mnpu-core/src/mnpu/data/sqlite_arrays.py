"""Arrays as a table that SQLite reads: the functions of a virtual table, as machine code.

Imported where there is much to write only. https://www.sqlite.org/vtab.html says what each function is for. They are so
small that they are built for LLVM directly, in hundredths of a second; a Python compiler takes more than one to be
there. One block of int64 words describes the table; SQLite's own structs for a virtual table and for its cursor are the
first words of two parts of it:

    0 to 2          sqlite3_vtab (SQLite fills it)
    3               sqlite3_vtab_cursor (SQLite fills it)
    4, 5            row that the cursor is at, and how many there are
    6 to 9          addresses of the functions that are called
    10              address of the statement that declares the columns
    11 + 3 j ...    column j: its kind, the address of its cells, and for codes that of (address, length) of each text
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

__all__ = ["CALLED", "CODES", "COLUMNS", "FUNCTIONS", "INTEGERS", "NUMBERS", "N_COLUMNS", "N_ROWS", "WORDS", "build"]

CALLED = ("result_int64", "result_double", "result_text", "declare_vtab")
INTEGERS, NUMBERS, CODES = 0, 1, 2
N_COLUMNS = 20
CURSOR, ROW, N_ROWS, FUNCTIONS, STATEMENT, COLUMNS = 3, 4, 5, 6, 10, 11
WORDS = COLUMNS + 3 * N_COLUMNS
_INT, _WORD, _DOUBLE, _NOTHING = ir.IntType(32), ir.IntType(64), ir.DoubleType(), ir.VoidType()
_RESULTS = dict(zip(CALLED, range(FUNCTIONS, FUNCTIONS + len(CALLED)), strict=True))
_OK = ir.Constant(_INT, 0)


class _Code:
    """A function under construction; addresses are words."""

    def __init__(self, function: ir.Function) -> None:
        self.function = function
        self.builder = ir.IRBuilder(function.append_basic_block())

    def load(self, address: Any, index: Any, kind: Any = _WORD) -> Any:
        """A cell of an array at an address."""
        start = self.builder.inttoptr(address, kind.as_pointer())
        return self.builder.load(self.builder.gep(start, [_word(index)], source_etype=kind), typ=kind)

    def store(self, address: Any, index: int, value: Any) -> None:
        """Put a word into an array at an address."""
        start = self.builder.inttoptr(address, _WORD.as_pointer())
        self.builder.store(value, self.builder.gep(start, [_word(index)], source_etype=_WORD))

    def call(self, address: Any, result: Any, *arguments: Any) -> Any:
        """What the function at an address returns."""
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        return self.builder.call(self.builder.inttoptr(address, kind.as_pointer()), arguments)


def _word(value: Any) -> Any:
    return ir.Constant(_WORD, value) if isinstance(value, int) else value


def _connect(code: _Code, database: Any, words: Any, n: Any, arguments: Any, table: Any, error: Any) -> Any:
    declare = code.load(words, _RESULTS["declare_vtab"])
    told = code.call(declare, _INT, database, code.load(words, STATEMENT))
    code.store(table, 0, words)
    return told


def _nothing(code: _Code, *_arguments: Any) -> Any:
    return _OK  # there is one way to read the table, and its words belong to Python


def _open(code: _Code, table: Any, cursor: Any) -> Any:
    code.store(cursor, 0, code.builder.add(table, _word(8 * CURSOR)))
    return _OK


def _start(code: _Code, cursor: Any, index: Any, name: Any, n: Any, arguments: Any) -> Any:
    code.store(cursor, ROW - CURSOR, _word(0))
    return _OK


def _next(code: _Code, cursor: Any) -> Any:
    code.store(cursor, ROW - CURSOR, code.builder.add(code.load(cursor, ROW - CURSOR), _word(1)))
    return _OK


def _ended(code: _Code, cursor: Any) -> Any:
    row, n = code.load(cursor, ROW - CURSOR), code.load(cursor, N_ROWS - CURSOR)
    return code.builder.zext(code.builder.icmp_signed(">=", row, n), _INT)


def _cell(code: _Code, cursor: Any, context: Any, column: Any) -> Any:
    """Give SQLite a cell; one that nothing is given for is NULL."""
    build = code.builder
    row = code.load(cursor, ROW - CURSOR)
    at = build.add(build.mul(build.sext(column, _WORD), _word(3)), _word(COLUMNS - CURSOR))
    kind, cells = code.load(cursor, at), code.load(cursor, build.add(at, _word(1)))

    def give(name: str, *arguments: Any) -> None:
        code.call(code.load(cursor, _RESULTS[name] - CURSOR), _NOTHING, context, *arguments)

    with build.if_then(build.icmp_signed("==", kind, _word(INTEGERS))):
        give("result_int64", code.load(cells, row))
    with build.if_then(build.icmp_signed("==", kind, _word(NUMBERS))):
        number = code.load(cells, row, _DOUBLE)
        with build.if_then(build.fcmp_ordered("ord", number, number)):  # not NaN
            give("result_double", number)
    with build.if_then(build.icmp_signed("==", kind, _word(CODES))):
        texts = code.load(cursor, build.add(at, _word(2)))
        place = build.mul(code.load(cells, row), _word(2))
        length = build.trunc(code.load(texts, build.add(place, _word(1))), _INT)
        stays = _word(0)  # SQLITE_STATIC: it need not be copied
        give("result_text", code.load(texts, place), length, stays)
    return _OK


def _number_of_row(code: _Code, cursor: Any, number: Any) -> Any:
    code.store(number, 0, code.load(cursor, ROW - CURSOR))
    return _OK


#: Place in an ``sqlite3_module``, the function, and its arguments. xCreate is none: the table is there by itself.
_MODULE: dict[str, tuple[int, Callable[..., Any], tuple[Any, ...]]] = {
    "xConnect": (2, _connect, (_WORD, _WORD, _INT, _WORD, _WORD, _WORD)),
    "xBestIndex": (3, _nothing, (_WORD, _WORD)),
    "xDisconnect": (4, _nothing, (_WORD,)),
    "xDestroy": (5, _nothing, (_WORD,)),
    "xOpen": (6, _open, (_WORD, _WORD)),
    "xClose": (7, _nothing, (_WORD,)),
    "xFilter": (8, _start, (_WORD, _INT, _WORD, _INT, _WORD)),
    "xNext": (9, _next, (_WORD,)),
    "xEof": (10, _ended, (_WORD,)),
    "xColumn": (11, _cell, (_WORD, _WORD, _INT)),
    "xRowid": (12, _number_of_row, (_WORD, _WORD)),
}


def build() -> tuple[np.ndarray, Any]:
    """An ``sqlite3_module`` of version 0, and what must live as long as its functions are called."""
    source = ir.Module()
    for name, (_, body, kinds) in _MODULE.items():
        code = _Code(ir.Function(source, ir.FunctionType(_INT, kinds), name))
        code.builder.ret(body(code, *code.function.args))
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    source.triple = llvm.get_process_triple()
    machine = llvm.Target.from_triple(source.triple).create_target_machine(opt=2, jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(str(source)), machine)
    engine.finalize_object()
    words = np.zeros(25, dtype="int64")  # as many as the newest version has
    for name, (place, _, _) in _MODULE.items():
        words[place] = engine.get_function_address(name)
    return words, engine
