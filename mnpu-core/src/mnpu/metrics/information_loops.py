"""The loops of the information coefficient, in plain Python over arrays; ``information`` compiles them."""

from __future__ import annotations

import numpy as np


def by_decision(values, outcome, cells, order, least, linear, ranked):  # type: ignore[no-untyped-def]
    """Correlation and rank correlation across symbols at each of T decisions, NaN where there is no cross-section.

    ``order`` (T, A) sorts the outcomes of each decision, those that are missing last, so that their ranks need no
    sorting for each column. Ranks of ties are averaged. The same definition as in ``metrics.forecast``.
    """
    n_times, n_assets = values.shape
    x, y = np.empty(n_assets), np.empty(n_assets)
    first, second = np.empty(n_assets), np.empty(n_assets)
    for t in range(n_times):
        linear[t] = np.nan
        ranked[t] = np.nan
        n = 0
        for k in range(n_assets):
            a = order[t, k]
            if cells[t, a] and np.isfinite(values[t, a]) and np.isfinite(outcome[t, a]):
                x[n] = values[t, a]
                y[n] = outcome[t, a]
                n += 1
        if n < least:
            continue
        for kind in range(2):
            if kind == 0:
                first[:n] = x[:n]
                second[:n] = y[:n]
            else:
                place = np.argsort(x[:n])
                start = 0
                while start < n:  # each run of equal values shares its ranks
                    stop = start + 1
                    while stop < n and x[place[stop]] == x[place[start]]:
                        stop += 1
                    for k in range(start, stop):
                        first[place[k]] = 0.5 * (start + stop)
                    start = stop
                start = 0
                while start < n:
                    stop = start + 1
                    while stop < n and y[stop] == y[start]:
                        stop += 1
                    for k in range(start, stop):
                        second[k] = 0.5 * (start + stop)
                    start = stop
            mean_x, mean_y = 0.0, 0.0
            for k in range(n):
                mean_x += first[k]
                mean_y += second[k]
            mean_x /= n
            mean_y /= n
            both, size_x, size_y, most_x, most_y = 0.0, 0.0, 0.0, 0.0, 0.0
            for k in range(n):
                dx = first[k] - mean_x
                dy = second[k] - mean_y
                both += dx * dy
                size_x += dx * dx
                size_y += dy * dy
                most_x = max(most_x, abs(first[k]))
                most_y = max(most_y, abs(second[k]))
            size_x = np.sqrt(size_x)
            size_y = np.sqrt(size_y)
            if size_x > 1e-12 * most_x and size_y > 1e-12 * most_y:
                found = both / (size_x * size_y)
                if kind == 0:
                    linear[t] = found
                else:
                    ranked[t] = found
