"""The loop of risk parity, in plain Python over arrays; ``risk_parity`` compiles it."""

from __future__ import annotations

import numpy as np


def descend(cov, budget, most, tolerance, x):  # type: ignore[no-untyped-def]
    """Minimise ``x C x / 2 - sum b log x`` into ``x`` (A,), one coordinate after the other.

    Each step is exact: the positive root of ``C_ii x_i^2 + r_i x_i - b_i = 0``, r the risk from the others. The error
    is that of the share of risk, ``x_i (C x)_i / b_i - 1``.
    """
    n = len(x)
    risk = np.zeros(n)
    for i in range(n):
        for j in range(n):
            risk[j] += x[i] * cov[i, j]
    for _ in range(most):
        for i in range(n):
            rest = risk[i] - cov[i, i] * x[i]
            step = (np.sqrt(rest * rest + 4.0 * cov[i, i] * budget[i]) - rest) / (2.0 * cov[i, i]) - x[i]
            x[i] += step
            column = cov[i]
            for j in range(n):
                risk[j] += step * column[j]
        worst = 0.0
        for i in range(n):
            worst = max(worst, abs(x[i] * risk[i] / budget[i] - 1.0))
        if worst < tolerance:
            break
