"""The machine code of `mnpu.training.rows`: a module of its own, because it needs the compiler to be imported."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from mnpu.data.compiled import compiled

__all__ = ["copy_all"]

#: Bytes that are copied at once, and how far ahead of them memory is asked for: a page, which is where the processor's
#: own prefetching ends. Both were measured: half and twice as much come within 10 %.
PIECE, AHEAD, LINE = 512, 4096, 64

_memcpy = types.ExternalFunction("memcpy", types.uintp(types.uintp, types.uintp, types.uintp))


@intrinsic  # type: ignore[untyped-decorator]
def _prefetch(typing_context: Any, address: Any) -> Any:
    """Ask for the cache line at an address, which may be any number: nothing is read, and nothing can fail."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        prefetch = builder.module.declare_intrinsic(
            "llvm.prefetch", (pointer,), ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        )
        read, keep, data = number(0), number(3), number(1)
        builder.call(prefetch, [builder.inttoptr(arguments[0], pointer), read, keep, data])
        return context.get_dummy_value()

    return types.void(types.uintp), generate


@compiled
def copy_all(source: int, first: Any, step: int, size: int, into: int) -> None:
    """Copy ``size`` bytes from ``source + first[i] * step`` to ``into + i * size``, for each i.

    The C library copies; addresses go as whole numbers. Rows lie anywhere, so no processor guesses where the next one
    begins: while one piece is copied, the bytes that are due a page later are asked for, over the end of a row.
    """
    n = len(first)
    for i in range(n):
        row = source + first[i] * step
        for at in range(0, size, PIECE):
            later = at + AHEAD
            k = i + later // size
            if k < n:
                soon = source + first[k] * step + later % size
                for line in range(0, min(PIECE, size), LINE):
                    _prefetch(types.uintp(soon + line))
            _memcpy(into + i * size + at, row + at, min(PIECE, size - at))
