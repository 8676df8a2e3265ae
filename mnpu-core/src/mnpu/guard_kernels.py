"""What a compiled guardrail is given: ``kernel(weights, held, tradable, numbers, series, past, params, state)``.

All arrays are of one book, float64 but for ``tradable``. ``weights`` (A,) are the proposal and become what is allowed;
``state`` (k,) is the rule's memory and becomes the next one, as if all that this rule allows were held. ``numbers`` and
``series`` have the rows named here; ``past`` (K, A) are trailing returns, ``params`` the rule's own, from
``rule.kernel_params(symbols)``. A rule without a kernel has ``kernel`` None.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mnpu.types import Book

__all__ = ["AGE", "DAY", "DAY_EQUITY", "EQUITY", "PEAK", "VOLUME", "numbers_of", "series_of"]

#: Places in ``numbers``; the day is counted from 1.
EQUITY, PEAK, DAY_EQUITY, DAY = range(4)
#: Rows of ``series``.
VOLUME, AGE = range(2)


def numbers_of(book: Book) -> np.ndarray:
    """The numbers (4,) of one book; NaN where unknown."""
    known: list[Any] = [book.equity, book.peak, book.day_equity, None if book.day is None else book.day + 1]
    return np.array([np.nan if x is None else float(x) for x in known])


def series_of(book: Book) -> np.ndarray:
    """The series (2, A) of one book; NaN where unknown."""
    return np.stack([np.full(len(book.symbols), np.nan) if x is None else x for x in (book.volume, book.age)])
