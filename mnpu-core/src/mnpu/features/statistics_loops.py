"""The loops over the cells of a column, in plain Python over arrays; ``statistics`` compiles them."""

from __future__ import annotations

import numpy as np


def ages(values, cells, out):  # type: ignore[no-untyped-def]
    """Bars since each symbol's value last changed, int32 (T, A); 0 where it is new, -1 where there is none."""
    n_times, n_assets = values.shape
    last = np.full(n_assets, np.nan)
    since = np.zeros(n_assets, dtype=np.int64)
    for t in range(n_times):
        for a in range(n_assets):
            value = values[t, a]
            if not (cells[t, a] and np.isfinite(value)):
                out[t, a] = -1
                continue
            if value != last[a]:
                last[a] = value
                since[a] = t
            out[t, a] = t - since[a]


def autocorrelation(values, cells, lags, mean, out, pairs):  # type: ignore[no-untyped-def]
    """Autocorrelation of each symbol at each lag, float64 (K, A), around its ``mean`` (A,), with its count of pairs.

    The mean product over the pairs of which both are known, over the variance; NaN where there is none.
    """
    n_times, n_assets = values.shape
    count = np.zeros(n_assets)
    variance = np.zeros(n_assets)
    out[:] = 0.0
    pairs[:] = 0
    for t in range(n_times):
        for a in range(n_assets):
            value = values[t, a]
            if not (cells[t, a] and np.isfinite(value)):
                continue
            d = value - mean[a]
            count[a] += 1
            variance[a] += d * d
            for k in range(len(lags)):
                before = t - lags[k]
                if before >= 0 and cells[before, a] and np.isfinite(values[before, a]):
                    out[k, a] += d * (values[before, a] - mean[a])
                    pairs[k, a] += 1
    for a in range(n_assets):
        level = variance[a] / count[a] if count[a] > 0 else 0.0
        for k in range(len(lags)):
            flat = level <= 1e-24 * mean[a] * mean[a] or level == 0.0
            out[k, a] = np.nan if flat or pairs[k, a] == 0 else out[k, a] / pairs[k, a] / level
