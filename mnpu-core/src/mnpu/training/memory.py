"""Too little memory, told as what a user can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mnpu.errors import MnpuError

__all__ = ["explained"]


@contextmanager
def explained(what: str, *, where: str, next_step: str) -> Iterator[None]:
    """Raise what a user can act on in place of the system's word for too little memory.

    Parameters
    ----------
    what : str
        What there was too little memory for, with its sizes.
    where : str
    next_step : str

    Raises
    ------
    MnpuError
        Numpy, or torch on any device, has found no memory; any other error goes on as it is.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        out = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if not out and "can't allocate memory" not in str(error):
            raise
        raise MnpuError(f"out of memory {what}", where=where, next_step=next_step) from error
