"""The loops of `alpha158` and `alpha360`, in plain Python over arrays; `alpha_kernel` compiles them and says what for.

A loop works on ``LANES`` symbols side by side, so that its innermost loop is a few machine instructions for all of
them. Series are float64 (T, LANES), NaN where there is no bar. Windows are walked from the newest bar back, and what
was summed up is taken down when 5, 10, 20, 30 and 60 bars are in it: a value depends on the bars of its own window
and on no running total, so it is the same to the last bit wherever the data begin. Summed up are distances from the
newest bar of the window, so that variances do not cancel.

``acc`` is scratch, a few rows of LANES numbers one after the other: one for each thing that is summed up. Results go
to ``res`` (columns, T - first, LANES): output o of window k to column ``place[o] + k``, nowhere where ``place[o]``
is -1.
"""

from __future__ import annotations

import numpy as np

#: Symbols side by side.
LANES = 32
#: The windows, ascending.
WINDOWS = (5, 10, 20, 30, 60)
#: Rows of ``acc``, and of what `co_moments` takes down for each window.
ROWS, TAKEN = 8, 6
#: What is larger has no place in a float32: it comes from a division by zero.
LARGEST = 3.4028234e38
#: Added to what is divided by, as published.
TINY = 1e-12

NAN = np.nan
INF = np.inf


def co_moments(x, y, first, n_windows, acc, taken):  # type: ignore[no-untyped-def]
    """Means of pairs that are both there or both missing, and sums of squares and products about them.

    ``taken`` (windows * TAKEN, T - first, LANES) gets for each window the number of pairs, the mean of x, how far the
    mean of y lies above the newest y, and the sums of squares of x, of y, and of products.
    """
    acc[6 * LANES : 8 * LANES] = NAN
    for t in range(len(x)):
        for a in range(LANES):
            there = x[t, a] == x[t, a]
            acc[6 * LANES + a] = x[t, a] if there else acc[6 * LANES + a]  # the newest bar that is there
            acc[7 * LANES + a] = y[t, a] if there else acc[7 * LANES + a]
        if t < first:
            continue
        acc[: 6 * LANES] = 0.0
        begin = 0
        for k in range(n_windows):
            for s in range(t - begin, max(t - WINDOWS[k], -1), -1):
                for a in range(LANES):
                    dx = x[s, a] - acc[6 * LANES + a]
                    dy = y[s, a] - acc[7 * LANES + a]
                    there = dx == dx
                    dx = dx if there else 0.0
                    dy = dy if there else 0.0
                    acc[a] += 1.0 if there else 0.0
                    acc[LANES + a] += dx
                    acc[2 * LANES + a] += dy
                    acc[3 * LANES + a] += dx * dx
                    acc[4 * LANES + a] += dy * dy
                    acc[5 * LANES + a] += dx * dy
            begin = WINDOWS[k]
            for a in range(LANES):
                n = acc[a]
                mean_x = acc[LANES + a] / n
                mean_y = acc[2 * LANES + a] / n
                taken[TAKEN * k, t - first, a] = n
                taken[TAKEN * k + 1, t - first, a] = mean_x + acc[6 * LANES + a]
                taken[TAKEN * k + 2, t - first, a] = mean_y
                taken[TAKEN * k + 3, t - first, a] = acc[3 * LANES + a] - acc[LANES + a] * mean_x
                taken[TAKEN * k + 4, t - first, a] = acc[4 * LANES + a] - acc[2 * LANES + a] * mean_y
                taken[TAKEN * k + 5, t - first, a] = acc[5 * LANES + a] - acc[LANES + a] * mean_y


def statistics(taken, newest, n_windows, floor_x, relative, floor_y, place, res):  # type: ignore[no-untyped-def]
    """What follows from `co_moments`; ``taken``, ``newest`` (the newest x) and ``res`` come as rows of cells.

    Outputs: mean of x, its standard deviation (ddof 1), deviation over mean, slope on y, how far the newest x lies
    above that line, correlation with y, its square. The last two are missing where the deviation of x is not above
    ``floor_x`` plus ``relative`` times its mean, or that of y not above ``floor_y``: they are 0 / 0, but for rounding.
    """
    cells = taken.shape[1]
    for k in range(n_windows):
        n, mean, above = taken[TAKEN * k], taken[TAKEN * k + 1], taken[TAKEN * k + 2]
        xx, yy, xy = taken[TAKEN * k + 3], taken[TAKEN * k + 4], taken[TAKEN * k + 5]
        for o in range(7):
            if place[o] < 0:
                continue
            out = res[place[o] + k]
            if o == 0:
                for i in range(cells):
                    out[i] = mean[i]
            elif o == 1:
                for i in range(cells):
                    out[i] = np.sqrt(xx[i] / (n[i] - 1.0))  # of one bar: 0 / 0
            elif o == 2:
                for i in range(cells):
                    out[i] = np.sqrt(xx[i] / (n[i] - 1.0)) / (mean[i] + TINY)
            elif o == 3:
                for i in range(cells):
                    out[i] = xy[i] / yy[i]
            elif o == 4:
                for i in range(cells):
                    out[i] = newest[i] - mean[i] + xy[i] / yy[i] * above[i]
            else:
                for i in range(cells):
                    floor = floor_x + relative * abs(mean[i])
                    varies = xx[i] > (n[i] - 1.0) * floor * floor and yy[i] > (n[i] - 1.0) * floor_y * floor_y
                    fit = xy[i] / np.sqrt(xx[i] * yy[i]) if varies else NAN
                    out[i] = fit if o == 5 else fit * fit


def changes(x, d, first, n_windows, acc, place, res):  # type: ignore[no-untyped-def]
    """Rises and falls of x, whose differences from bar to bar are ``d``.

    Outputs: sum of rises, of falls and their difference, over the sum of both; share of bars that rise, that fall and
    their difference. A bar without one before it neither rises nor falls.
    """
    counts = place[3] >= 0 or place[4] >= 0 or place[5] >= 0
    for t in range(first, len(x)):
        acc[: 6 * LANES] = 0.0
        begin = 0
        for k in range(n_windows):
            for s in range(t - begin, max(t - WINDOWS[k], -1), -1):
                for a in range(LANES):
                    step = d[s, a]
                    acc[a] += step if step > 0.0 else 0.0
                    acc[LANES + a] += -step if step < 0.0 else 0.0
                    acc[2 * LANES + a] += 1.0 if step == step else 0.0
                for a in range(LANES if counts else 0):
                    acc[3 * LANES + a] += 1.0 if d[s, a] > 0.0 else 0.0
                    acc[4 * LANES + a] += 1.0 if d[s, a] < 0.0 else 0.0
                    acc[5 * LANES + a] += 1.0 if x[s, a] == x[s, a] else 0.0
            begin = WINDOWS[k]
            for a in range(LANES):
                up, down = acc[a], acc[LANES + a]
                total = up + down + TINY if acc[2 * LANES + a] > 0.0 else NAN
                rising, falling, n = acc[3 * LANES + a], acc[4 * LANES + a], acc[5 * LANES + a]
                if place[0] >= 0:
                    res[place[0] + k, t - first, a] = up / total
                if place[1] >= 0:
                    res[place[1] + k, t - first, a] = down / total
                if place[2] >= 0:
                    res[place[2] + k, t - first, a] = (up - down) / total
                if place[3] >= 0:
                    res[place[3] + k, t - first, a] = rising / n
                if place[4] >= 0:
                    res[place[4] + k, t - first, a] = falling / n
                if place[5] >= 0:
                    res[place[5] + k, t - first, a] = (rising - falling) / n


def extremes(high, low, close, first, n_windows, acc, place, res):  # type: ignore[no-untyped-def]
    """The highest high and the lowest low, and where they are.

    Outputs: both; where the close lies between them; the place of each, from 1 at the window's oldest bar on, over
    the length of the window; difference of these. A bar is there that has a close, even where it has no high or low.
    """
    for t in range(first, len(high)):
        acc[:LANES] = -INF
        acc[3 * LANES : 4 * LANES] = INF
        acc[LANES : 3 * LANES] = NAN
        acc[4 * LANES : 6 * LANES] = NAN
        begin = 0
        for k in range(n_windows):
            for s in range(t - begin, max(t - WINDOWS[k], -1), -1):
                for a in range(LANES):
                    h, lo, c = high[s, a], low[s, a], close[s, a]
                    acc[LANES + a] = s if h >= acc[a] else acc[LANES + a]  # of equal ones the oldest
                    acc[4 * LANES + a] = s if lo <= acc[3 * LANES + a] else acc[4 * LANES + a]
                    acc[a] = h if h >= acc[a] else acc[a]
                    acc[3 * LANES + a] = lo if lo <= acc[3 * LANES + a] else acc[3 * LANES + a]
                    acc[2 * LANES + a] = s if h == h or c == c else acc[2 * LANES + a]
                    acc[5 * LANES + a] = s if lo == lo or c == c else acc[5 * LANES + a]
            begin = WINDOWS[k]
            for a in range(LANES):
                top = acc[a] if acc[a] > -INF else NAN
                bottom = acc[3 * LANES + a] if acc[3 * LANES + a] < INF else NAN
                at_top = (acc[LANES + a] - acc[2 * LANES + a] + 1.0) / WINDOWS[k]
                at_bottom = (acc[4 * LANES + a] - acc[5 * LANES + a] + 1.0) / WINDOWS[k]
                if place[0] >= 0:
                    res[place[0] + k, t - first, a] = top
                if place[1] >= 0:
                    res[place[1] + k, t - first, a] = bottom
                if place[2] >= 0:
                    res[place[2] + k, t - first, a] = (close[t, a] - bottom) / (top - bottom + TINY)
                if place[3] >= 0:
                    res[place[3] + k, t - first, a] = at_top
                if place[4] >= 0:
                    res[place[4] + k, t - first, a] = at_bottom
                if place[5] >= 0:
                    res[place[5] + k, t - first, a] = at_top - at_bottom


def order(x, first, n_windows, acc, held, place, res):  # type: ignore[no-untyped-def]
    """Rank of the newest bar, a fraction with ties averaged, and quantiles 0.8 and 0.2, interpolated.

    A bar that is missing is infinite in ``x``. ``held`` (2, 62, LANES) has the bars of a window, sorted, in its rows
    from 1 on, as they were and as they are, between infinities. The oldest bar goes and the newest comes in one pass,
    which chooses each row from its neighbours: what is sorted does not tell how it came about.
    """
    count, below, equal = acc[:LANES], acc[LANES : 2 * LANES], acc[2 * LANES : 3 * LANES]
    for k in range(n_windows):
        w = WINDOWS[k]
        begin = max(first - w + 1, 0)
        was, now = held[0], held[1]
        held[:, 0] = -INF
        held[:, 1:] = INF
        count[:] = 0.0
        for t in range(begin, len(x)):
            new = x[t]
            old = x[t - w] if t - w >= begin else held[0, WINDOWS[-1] + 1]
            for a in range(LANES):
                count[a] += (1.0 if new[a] < INF else 0.0) - (1.0 if old[a] < INF else 0.0)
                below[a] = equal[a] = 0.0
            for i in range(1, w + 1):
                left, here, right, out = was[i - 1], was[i], was[i + 1], now[i]
                for a in range(LANES):
                    lower = left[a] if left[a] < old[a] else here[a]  # without the oldest bar
                    upper = here[a] if here[a] < old[a] else right[a]
                    value = new[a] if new[a] < upper else upper
                    value = value if value > lower else lower
                    out[a] = value
                    below[a] += 1.0 if value < new[a] else 0.0
                    equal[a] += 1.0 if value == new[a] else 0.0
            was, now = now, was
            if t < first:
                continue
            if place[0] >= 0:
                out = res[place[0] + k, t - first]
                for a in range(LANES):
                    out[a] = (below[a] + 0.5 * (equal[a] + 1.0)) / count[a] if new[a] < INF else NAN
            for q in range(1, 3):
                if place[q] >= 0:
                    out = res[place[q] + k, t - first]
                    for a in range(LANES):
                        at = (count[a] - 1.0) * (0.8 if q == 1 else 0.2)
                        i = int(at)
                        lower, upper = was[i + 1, a], was[i + 2, a]
                        value = lower + (upper - lower) * (at - i) if at > i else lower
                        out[a] = value if count[a] > 0.0 else NAN


def store(res, by, divisors, slots, out, column, row, start, n):  # type: ignore[no-untyped-def]
    """Results (columns, T, LANES) over ``divisors[by]`` (T, LANES); column c goes to slot c, nowhere where that is -1.

    ``out`` is flat: slots are ``column`` cells apart and rows ``row`` cells; n symbols are stored from ``start`` on.
    """
    for c in range(len(res)):
        if slots[c] < 0:
            continue
        for t in range(res.shape[1]):
            at = column * slots[c] + row * t + start
            values, divisor, cells = res[c, t], divisors[by[c], t], out[at : at + n]
            for a in range(n):
                value = values[a] / divisor[a]
                cells[a] = value if abs(value) <= LARGEST else NAN


def lagged(values, divisor, lags, slots, first, out, column, row):  # type: ignore[no-untyped-def]
    """``values`` of some rows ago over ``divisor``, both (T, A), from row ``first`` on; ``out`` as in `store`."""
    n = values.shape[1]
    for c in range(len(lags)):
        for t in range(first, len(values)):
            at = column * slots[c] + row * (t - first)
            cells = out[at : at + n]
            if t < lags[c]:
                cells[:] = NAN
                continue
            past, over = values[t - lags[c]], divisor[t]
            for a in range(n):
                value = past[a] / over[a]
                cells[a] = value if abs(value) <= LARGEST else NAN
