"""Loops over every bar of a window, in plain Python over arrays; `mnpu.features.windows` says what they mean."""

from __future__ import annotations

import numpy as np

__all__ = ["place", "spectrum", "weighted"]


def place(values, window, out):  # type: ignore[no-untyped-def]
    """How many of the ``window`` bars before each lie below it, those that are equal counted half."""
    for t in range(len(values)):
        row, new = out[t], values[t]
        for a in range(len(row)):
            row[a] = (new[a] - new[a]) if t >= window else np.nan
        for k in range(1, window + 1 if t >= window else 1):
            past = values[t - k]
            for a in range(len(row)):
                x, y = past[a], new[a]
                below = 1.0 if x < y else 0.0
                row[a] += below + (0.5 if x == y else 0.0) + (x - x)


def weighted(values, weights, out):  # type: ignore[no-untyped-def]
    """``sum(weights[k] * values[t - k])``."""
    for t in range(len(values)):
        row = out[t]
        full = t >= len(weights) - 1
        for a in range(len(row)):
            row[a] = 0.0 if full else np.nan
        for k in range(len(weights) if full else 0):
            past, weight = values[t - k], weights[k]
            for a in range(len(row)):
                row[a] += weight * past[a]


def spectrum(values, cosines, sines, first, out):  # type: ignore[no-untyped-def]
    """Squared amplitude at each frequency, ``out`` (K, T - first, A), of the W values up to each row; tables (K, W)."""
    n_waves, window = cosines.shape
    for t in range(first, len(values)):
        for k in range(n_waves):
            row = out[k, t - first]
            real = np.zeros(len(row))
            imaginary = np.zeros(len(row))
            for i in range(window if t >= window - 1 else 0):
                past, c, s = values[t - i], cosines[k, i], sines[k, i]
                for a in range(len(row)):
                    real[a] += c * past[a]
                for a in range(len(row)):
                    imaginary[a] += s * past[a]
            for a in range(len(row)):
                row[a] = real[a] * real[a] + imaginary[a] * imaginary[a] if t >= window - 1 else np.nan
