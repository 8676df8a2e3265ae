"""Copy many equally long runs of a tensor, one after another, at the speed of one plain copy.

Torch's ``index_select`` sets up its iterator anew for every row, which for a window of 8 KB takes as long as the copy.
"""

from __future__ import annotations

from torch import Tensor

__all__ = ["copy_rows"]


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
    from mnpu.training.row_copy import copy_all  # imports the compiler

    width = rows.element_size()
    if rows.stride(1) != 1 or not into.is_contiguous() or into.dtype != rows.dtype or len(into) < len(first):
        raise ValueError("rows must be contiguous, and fit into a contiguous tensor of their type")
    if rows.shape[1]:  # an empty row has no bytes, nor a place among those that follow it
        copy_all(rows.data_ptr(), first.numpy(), width * rows.stride(0), width * rows.shape[1], into.data_ptr())
    return into[: len(first)]
