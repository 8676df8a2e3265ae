"""Which windows a model may see: indices only, so that a batch is gathered from one array without copies."""

from __future__ import annotations

import numpy as np

from mnpu.types import Labels

__all__ = ["window_index"]


def window_index(
    values: np.ndarray,
    labels: Labels | None,
    tradable: np.ndarray,
    *,
    rows: tuple[int, int],
    lookback: int,
    min_present: float = 0.8,
) -> tuple[np.ndarray, np.ndarray]:
    """Bar and symbol index of each usable window, in time order, then symbol order.

    A window that ends at bar t covers ``values[t - lookback + 1 : t + 1]``. It is usable where the symbol is
    tradable at t, at least ``min_present`` of its cells are finite and, if ``labels`` is given, the labels of all
    horizons are finite. Windows may begin before ``rows``: the past is known.

    Parameters
    ----------
    values : ndarray (T, A, F)
    labels : Labels or None
        None where a forecast is wanted and no label is needed.
    tradable : bool ndarray (T, A)
    rows : (start, stop)
        Half-open range of the bars at which windows may end.
    lookback : int
        Bars per window, L.
    min_present : float
        Fraction of the L x F cells.

    Returns
    -------
    time, symbol : int64 ndarrays (N,)
    """
    n_times, n_assets, n_features = values.shape
    start, stop = max(rows[0], lookback - 1), min(rows[1], n_times)
    if stop <= start:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    present = np.zeros((n_times, n_assets), dtype=np.int64)
    for f in range(n_features):  # one column at a time: together they may be large
        present += np.isfinite(values[..., f])
    total = np.concatenate([np.zeros((1, n_assets), dtype=np.int64), np.cumsum(present, axis=0)])
    in_window = total[start + 1 : stop + 1] - total[start + 1 - lookback : stop + 1 - lookback]
    # the tolerance keeps 0.8 of 60 cells at 48, whatever the rounding of the product
    usable = tradable[start:stop] & (in_window >= min_present * lookback * n_features - 1e-9)
    if labels is not None:
        usable &= np.isfinite(labels.values[start:stop]).all(axis=2)
    time, symbol = np.nonzero(usable)
    return time + start, symbol
