"""Temperature scaling of class probabilities: one number that makes them as sure as they are right.

Equation
--------
``p_c(T) = p_c^(1/T) / sum_j p_j^(1/T)``, with T > 0 that minimises the negative log likelihood on a calibration range
(Guo, Pleiss, Sun and Weinberger 2017, section 4.2; logits are the logarithms of probabilities up to a constant). The
likelihood is convex in b = 1 / T, so its derivative, ``mean(E_p(b)[log p] - log p_k)``, has one root, found by
bisection. The most likely class stays the same; evidence is left as it is.

Does not include: a temperature for each class or horizon group, vector or matrix scaling.
"""

from __future__ import annotations

import numpy as np

from mnpu.errors import DataError

__all__ = ["fit_temperature", "tempered"]

COLDEST, HOTTEST = 0.01, 100.0  #: where the root lies outside, the nearer end is taken
SMALLEST = 1e-30  #: a probability that underflowed still has a logarithm


def fit_temperature(probabilities: np.ndarray, classes: np.ndarray) -> float:
    """The temperature under which ``classes`` are most likely.

    Parameters
    ----------
    probabilities : float64 ndarray (N, C)
    classes : int64 ndarray (N,)

    Raises
    ------
    DataError
        If there is nothing to fit on.
    """
    if not len(classes):
        raise DataError("no forecast of classes has a known outcome", where="temperature scaling")
    logs = np.log(np.maximum(probabilities, SMALLEST))
    of_outcome = logs[np.arange(len(classes)), classes].mean()

    def slope(inverse: float) -> float:
        """Derivative of the mean negative log likelihood in 1 / T: it grows with 1 / T."""
        return float((_softmax(inverse * logs) * logs).sum(axis=-1).mean() - of_outcome)

    low, high = np.log(1 / HOTTEST), np.log(1 / COLDEST)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(np.exp(middle)) < 0 else (low, middle)
    return float(np.exp(-(low + high) / 2))


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """``probabilities`` (..., C) at a temperature: 1 leaves them, more makes them less sure; NaN stays NaN."""
    return _softmax(np.log(np.maximum(probabilities, SMALLEST)) / temperature)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
