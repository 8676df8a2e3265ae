"""Cross-sectional ranks, the books made from them, and overlapping tranches of such books.

Source of the tranches: Jegadeesh and Titman (1993), portfolios formed each period and held for several.
"""

from __future__ import annotations

import numpy as np

__all__ = ["MIN_SYMBOLS", "average_ranks", "long_only_book", "long_short_book", "mean_of_last"]

MIN_SYMBOLS = 4  #: Fewer symbols make a rank a coin toss.
DECIMALS = 6  #: Scores closer than this are ties, so rounding noise never orders a book.


def average_ranks(scores: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Rank within each row from 1 (lowest), ties getting the average of their ranks.

    Parameters
    ----------
    scores : float64 ndarray (T, A)
        Compared after rounding to 1e-6; ignored where not usable.
    usable : bool ndarray (T, A)

    Returns
    -------
    ranks : float64 ndarray (T, A)
        NaN where not usable.
    """
    n_assets = scores.shape[1]
    keys = np.where(usable, np.round(scores, DECIMALS), np.inf)
    order = np.argsort(keys, axis=1, kind="stable")
    ordered = np.take_along_axis(keys, order, axis=1)
    place = np.arange(n_assets)
    opens = np.ones_like(usable)
    opens[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    closes = np.ones_like(usable)
    closes[:, :-1] = opens[:, 1:]
    first = np.maximum.accumulate(np.where(opens, place, 0), axis=1)
    last = np.minimum.accumulate(np.where(closes, place, n_assets)[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty_like(keys)
    np.put_along_axis(ranks, order, (first + last) / 2 + 1, axis=1)
    return np.where(usable, ranks, np.nan)


def long_short_book(scores: np.ndarray, usable: np.ndarray, *, gross: float) -> np.ndarray:
    """Weights linear in the rank, summing to zero and to ``gross`` in absolute value.

    Parameters
    ----------
    scores : float64 ndarray (T, A)
    usable : bool ndarray (T, A)
    gross : float

    Returns
    -------
    weights : float64 ndarray (T, A)
        Zero where not usable, in rows with fewer than four usable symbols, and where all scores tie.
    """
    count = usable.sum(axis=1, keepdims=True)
    centred = np.where(usable, average_ranks(scores, usable) - (count + 1) / 2, 0.0)
    size = np.abs(centred).sum(axis=1, keepdims=True)
    book = np.divide(centred * gross, size, out=np.zeros_like(centred), where=size > 0)
    return np.where(count >= MIN_SYMBOLS, book, 0.0)


def long_only_book(scores: np.ndarray, usable: np.ndarray, *, gross: float) -> np.ndarray:
    """Weights proportional to the rank, summing to ``gross``.

    Against equal weights the book of mirrored scores is exactly the opposite bet. Shapes and NaN as in
    ``long_short_book``; tied scores give equal weights.
    """
    count = usable.sum(axis=1, keepdims=True)
    ranks = np.where(usable, average_ranks(scores, usable), 0.0)
    total = count * (count + 1) / 2
    book = np.divide(ranks * gross, total, out=np.zeros_like(ranks), where=total > 0)
    return np.where(count >= MIN_SYMBOLS, book, 0.0)


def mean_of_last(books: np.ndarray, formed: np.ndarray, usable: np.ndarray, *, hold: int) -> np.ndarray:
    """Mean of the last ``hold`` books that were formed: each is held for ``hold`` bars in equal parts.

    Parameters
    ----------
    books : float64 ndarray (T, A)
    formed : bool ndarray (T,)
        Whether row t formed a book. A row that did not is flat, and missing from later means.
    usable : bool ndarray (T, A)
        Where a weight may be held now; others are zero.
    hold : int

    Returns
    -------
    weights : float64 ndarray (T, A)
    """
    n_rows = len(books)
    total = np.zeros_like(books)
    count = np.zeros(n_rows)
    for age in range(min(hold, n_rows)):
        total[age:] += np.where(formed[: n_rows - age, None], books[: n_rows - age], 0.0)
        count[age:] += formed[: n_rows - age]
    mean = total / np.maximum(count, 1.0)[:, None]
    return np.where(usable & formed[:, None], mean, 0.0)
