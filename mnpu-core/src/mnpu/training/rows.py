"""Copy many equally long runs of a tensor, one after another, at the speed of one plain copy.

Torch's ``index_select`` sets up its iterator anew for every row, which for a window of 8 KB takes as long as the copy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from torch import Tensor

from mnpu.data.compiled import compiled

__all__ = ["copy_rows"]


@cache
def _kernel() -> Callable[[int, object, int, int, int], None]:
    """The loop over rows; the C library copies each, whose addresses go as whole numbers."""
    from numba import types

    memcpy = types.ExternalFunction("memcpy", types.uintp(types.uintp, types.uintp, types.uintp))

    def copy(source: int, first: object, step: int, size: int, into: int) -> None:
        for i in range(len(first)):  # type: ignore[arg-type]
            memcpy(into + i * size, source + first[i] * step, size)  # type: ignore[index]

    return compiled(copy)


def copy_rows(rows: Tensor, first: Tensor, into: Tensor) -> Tensor:
    """Write ``rows[first]`` into ``into``.

    Parameters
    ----------
    rows : Tensor (N, K)
        On the CPU; every row is contiguous, and rows may overlap.
    first : int64 Tensor (B,)
        Contiguous; within ``0 <= first < N``, which is the caller's to know.
    into : Tensor (B', K)
        Contiguous, of the same type; B' >= B.

    Returns
    -------
    Tensor (B, K)
        The rows of ``into`` that were written.
    """
    width = rows.element_size()
    if rows.stride(1) != 1 or not into.is_contiguous() or into.dtype != rows.dtype or len(into) < len(first):
        raise ValueError("rows must be contiguous, and fit into a contiguous tensor of their type")
    _kernel()(rows.data_ptr(), first.numpy(), width * rows.stride(0), width * rows.shape[1], into.data_ptr())
    return into[: len(first)]
