"""The loops behind `mnpu.features.recursive`, in plain Python over arrays; they are compiled at their first use.

Rows are bars, columns symbols. ``state`` has a row for each number that is carried, and is brought on in place. A
missing bar leaves the state as it is. The loops over symbols write one array each, so that they become vectors.
"""

from __future__ import annotations

import numpy as np

__all__ = ["adaptive", "directional", "latest", "mean_deviation", "money", "parabolic", "smooth"]


def smooth(values, skip, n_seed, scale, n_out, take, drop, state, out):  # type: ignore[no-untyped-def]
    """The sum of the first ``n_seed`` values times ``scale``; then ``s + (take * value - drop * s)`` with each value.

    The first ``skip`` values are left out, of all but the count.

    ``state`` is the count of values and ``s``; ``out`` (T, A) has ``s`` from value ``n_out`` on.
    """
    count, held = state[0], state[1]
    for a in range(len(count)):
        if count[a] != count[a]:
            count[a] = 0.0
            held[a] = 0.0
    for t in range(len(values)):
        new, row = values[t], out[t]
        for a in range(len(new)):
            x, c, s = new[a], count[a] + 1.0, held[a]
            summed = s + x if c > skip else 0.0
            seed = summed * scale if c == skip + n_seed else summed
            after = seed if c <= skip + n_seed else s + (take * x - drop * s)
            missing = x != x
            row[a] = np.nan if missing or c < n_out else after
            held[a] = s if missing else after
            count[a] = c - 1.0 if missing else c


def latest(values, state, out):  # type: ignore[no-untyped-def]
    """The value of the last bar before each that had one."""
    held = state[0]
    for t in range(len(values)):
        new, row = values[t], out[t]
        for a in range(len(new)):
            row[a] = held[a]
        for a in range(len(new)):
            x, s = new[a], held[a]
            held[a] = s if x != x else x


def directional(high, low, close, state, out):  # type: ignore[no-untyped-def]
    """True range, and movement up and down since the last complete bar, ``out`` (3, T, A); ``state`` is that bar."""
    last_high, last_low, last_close = state[0], state[1], state[2]
    for t in range(len(high)):
        h, w, c = high[t], low[t], close[t]
        rng, up, down = out[0, t], out[1, t], out[2, t]
        for a in range(len(h)):
            top = last_close[a] if last_close[a] > h[a] else h[a]
            bottom = last_close[a] if last_close[a] < w[a] else w[a]
            rng[a] = top - bottom + (last_close[a] - c[a]) * 0.0
        for a in range(len(h)):
            rise, fall = h[a] - last_high[a], last_low[a] - w[a]
            up[a] = (rise if rise > fall and rise > 0.0 else 0.0) + rng[a] * 0.0
        for a in range(len(h)):
            rise, fall = h[a] - last_high[a], last_low[a] - w[a]
            down[a] = (fall if fall > rise and fall > 0.0 else 0.0) + rng[a] * 0.0
        for a in range(len(h)):
            new, held = c[a], last_close[a]
            last_close[a] = new if h[a] + w[a] + new == h[a] + w[a] + new else held
        for a in range(len(h)):
            new, held = h[a], last_high[a]
            last_high[a] = new if new + w[a] + c[a] == new + w[a] + c[a] else held
        for a in range(len(h)):
            new, held = w[a], last_low[a]
            last_low[a] = new if h[a] + new + c[a] == h[a] + new + c[a] else held


def parabolic(high, low, step, most, state, out):  # type: ignore[no-untyped-def]
    """Wilder's parabolic stop and reverse, ``out`` (T, A).

    ``state``: bars, 1 long or -1 short, the extreme point, the stop, the acceleration, the last high and low.
    """
    count, side, extreme, stop, factor, last_high, last_low = (
        state[0],
        state[1],
        state[2],
        state[3],
        state[4],
        state[5],
        state[6],
    )
    for t in range(len(high)):
        for a in range(high.shape[1]):
            up, down = high[t, a], low[t, a]
            out[t, a] = np.nan
            if up + down != up + down:
                continue
            if count[a] != count[a]:
                count[a], last_high[a], last_low[a] = 1.0, up, down
                continue
            if count[a] == 1.0:
                fall = last_low[a] - down
                short = fall > 0.0 and fall > up - last_high[a]
                side[a] = -1.0 if short else 1.0
                extreme[a] = down if short else up
                stop[a] = last_high[a] if short else last_low[a]
                factor[a] = step
                last_high[a], last_low[a] = up, down
                count[a] = 2.0
            if side[a] > 0.0:
                if down <= stop[a]:
                    side[a] = -1.0
                    out[t, a] = max(extreme[a], last_high[a], up)
                    factor[a], extreme[a] = step, down
                    stop[a] = max(out[t, a] + step * (down - out[t, a]), last_high[a], up)
                else:
                    out[t, a] = stop[a]
                    if up > extreme[a]:
                        extreme[a], factor[a] = up, min(factor[a] + step, most)
                    stop[a] = min(stop[a] + factor[a] * (extreme[a] - stop[a]), last_low[a], down)
            elif up >= stop[a]:
                side[a] = 1.0
                out[t, a] = min(extreme[a], last_low[a], down)
                factor[a], extreme[a] = step, up
                stop[a] = min(out[t, a] + step * (up - out[t, a]), last_low[a], down)
            else:
                out[t, a] = stop[a]
                if down < extreme[a]:
                    extreme[a], factor[a] = down, min(factor[a] + step, most)
                stop[a] = max(stop[a] + factor[a] * (extreme[a] - stop[a]), last_high[a], up)
            last_high[a], last_low[a] = up, down


def adaptive(values, gain, before, state, out):  # type: ignore[no-untyped-def]
    """Average with a gain of its own at each bar, from the value ``before`` the first one on."""
    held = state[0]
    for t in range(len(values)):
        row = out[t]
        for a in range(len(row)):
            s, begin = held[a], before[t, a]
            s = s if s == s else begin
            row[a] = s + gain[t, a] * (values[t, a] - s)
        for a in range(len(row)):
            new, old = row[a], held[a]
            held[a] = new if new == new else old


def mean_deviation(values, mean, window, out):  # type: ignore[no-untyped-def]
    """Mean absolute distance of the ``window`` bars up to each row from its ``mean``."""
    for t in range(len(values)):
        row, middle = out[t], mean[t]
        for a in range(len(row)):
            row[a] = 0.0 if t >= window - 1 else np.nan
        for k in range(window if t >= window - 1 else 0):
            past = values[t - k]
            for a in range(len(row)):
                row[a] += abs(past[a] - middle[a])
        for a in range(len(row)):
            row[a] /= window


def money(high, low, close, volume, same, out):  # type: ignore[no-untyped-def]
    """Typical price times volume, ``out`` (2, T, A): of bars on which the typical price rose, and of those it moved.

    A change smaller than ``same`` of the price is none.
    """
    for t in range(len(high)):
        up, moved = out[0, t], out[1, t]
        before = t - 1 if t else 0
        for a in range(len(up)):
            price = (high[t, a] + low[t, a] + close[t, a]) / 3.0
            change = price - (high[before, a] + low[before, a] + close[before, a]) / 3.0
            flow = price * volume[t, a] + change * 0.0 if t else np.nan
            moved[a] = flow if abs(change) > same * price else flow * 0.0
        for a in range(len(up)):
            change = high[t, a] + low[t, a] + close[t, a] - (high[before, a] + low[before, a] + close[before, a])
            flow = moved[a]
            up[a] = flow if change > 0.0 else flow * 0.0
