"""The loops of the critical line, in plain Python over arrays; ``_bounded`` compiles them."""

from __future__ import annotations

import numpy as np


def factor_append(factor, cov, order, k, symbol):  # type: ignore[no-untyped-def]
    """Grow the lower factor (A, A) of ``cov[order[:k], order[:k]]`` by ``symbol``."""
    rest = cov[symbol, symbol]
    for i in range(k):
        value = cov[symbol, order[i]]
        for j in range(i):
            value -= factor[k, j] * factor[i, j]
        value /= factor[i, i]
        factor[k, i] = value
        rest -= value * value
    factor[k, k] = np.sqrt(max(rest, 1e-14 * cov[symbol, symbol]))
    order[k] = symbol


def factor_remove(factor, order, k, place):  # type: ignore[no-untyped-def]
    """Cut the symbol at ``place`` out of a factor of ``k`` symbols, by rotations."""
    for i in range(place, k - 1):
        order[i] = order[i + 1]
        for j in range(i + 2):
            factor[i, j] = factor[i + 1, j]
    for i in range(place, k - 1):
        a, b = factor[i, i], factor[i, i + 1]
        length = np.sqrt(a * a + b * b)
        c, s = a / length, b / length
        for row in range(i, k - 1):
            x, y = factor[row, i], factor[row, i + 1]
            factor[row, i] = c * x + s * y
            factor[row, i + 1] = c * y - s * x


def direction(factor, cov, order, k, side, move, slope):  # type: ignore[no-untyped-def]
    """How weights (``move``) and what holds them (``slope``) change as the price of gross falls by one."""
    slope[:] = 0.0
    move[:] = 0.0
    x = np.empty(k)
    for i in range(k):
        value = side[order[i]]
        for j in range(i):
            value -= factor[i, j] * x[j]
        x[i] = value / factor[i, i]
    for i in range(k - 1, -1, -1):
        x[i] /= factor[i, i]
        for j in range(i):
            x[j] -= factor[i, j] * x[i]
    for i in range(k):
        move[order[i]] = x[i]
        column = cov[order[i]]
        for j in range(len(slope)):
            slope[j] += column[j] * x[i]


def next_corner(weights, gradient, slope, move, state, side, price, gross, cap, long_only):  # type: ignore[no-untyped-def]
    """How far the price falls to the next corner: ``(fall, symbol, kind, way)``.

    Kinds: 0 the end, 1 enters, 2 drops to zero, 3 reaches its cap, 4 leaves its cap. ``symbol`` is -1 at the end, and
    ``way`` the sign of the weight. States: 0 nothing is held, 1 between its bounds, 2 at its cap.
    """
    fall, symbol, kind, way = price, -1, 0, 0.0
    total, rate = 0.0, 0.0
    for j in range(len(weights)):
        total += abs(weights[j])
        rate += side[j] * move[j]
    if rate > 0.0 and (gross - total) / rate < fall:
        fall = max((gross - total) / rate, 0.0)
    for j in range(len(weights)):
        found, what, towards = fall, 0, 0.0
        if state[j] == 0:
            for sign in (1.0, -1.0):
                if sign < 0.0 and long_only:
                    continue
                closing = 1.0 - sign * slope[j]
                if closing > 1e-12:
                    distance = (price - sign * gradient[j]) / closing
                    if distance < found:
                        found, what, towards = distance, 1, sign
        elif state[j] == 1:
            growth = side[j] * move[j]
            if growth < 0.0:
                distance, towards = abs(weights[j]) / -growth, side[j]
                if distance < found:
                    found, what = distance, 2
            elif growth > 0.0:
                distance, towards = (cap - abs(weights[j])) / growth, side[j]
                if distance < found:
                    found, what = distance, 3
        else:
            closing = side[j] * slope[j] - 1.0
            if closing > 1e-12:
                distance, towards = (side[j] * gradient[j] - price) / closing, side[j]
                if distance < found:
                    found, what = distance, 4
        if what:
            fall, symbol, kind, way = max(found, 0.0), j, what, towards
    return fall, symbol, kind, way
