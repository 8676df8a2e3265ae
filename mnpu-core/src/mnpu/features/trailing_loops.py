"""The loops behind `mnpu.features.trailing`, in plain Python over arrays; they are compiled at their first use.

They merge the same blocks in the same order as the numpy version there, so both give the same numbers to the last
bit. The summaries of blocks are kept for as many rows as something looks back on them, for a strip of symbols at a
time, so that all of it fits in a processor's nearest cache.

``places`` (P, 2) says where they are kept: at row ``t`` that of place p lies at row ``places[p, 0] + (t & places[p,
1])`` of the workspace of ``n_work`` rows. ``steps`` (S, 6) says what is merged at each row: place and lag of the older
block, place of the newer one, place of the result, bars of each. The first ``n_build`` steps build blocks of 2, 4, 8
... bars, the others join some of them to a window, which then lies in place ``joined``.
"""

from __future__ import annotations

import numpy as np

__all__ = ["extremes_and_sums", "moments"]

#: Symbols of a strip; a constant, so that the compiler sees that the parts of a summary do not overlap.
STRIP = 64


def extremes_and_sums(values, window, n_work, n_build, places, steps, joined, kind, first, out):  # type: ignore[no-untyped-def]
    """Sum (kind 0), largest (1) or smallest (2) of the ``window`` bars up to each row from ``first`` on.

    ``values`` (T, A), ``out`` (T - first, A); rows with fewer bars are NaN.
    """
    n_rows, n_symbols = values.shape
    work = np.zeros((n_work, STRIP))
    for left in range(0, n_symbols, STRIP):
        n = min(STRIP, n_symbols - left)
        for t in range(max(first - window + 1, 0), n_rows):
            top, source = work[t & places[0, 1]], values[t, left : left + n]
            for a in range(n):
                top[a] = source[a]
            wanted = t >= first and t >= window - 1
            for s in range(len(steps) if wanted else n_build):
                p, q, r = steps[s, 0], steps[s, 2], steps[s, 3]
                old = work[places[p, 0] + ((t - steps[s, 1]) & places[p, 1])]
                new = work[places[q, 0] + (t & places[q, 1])]
                to = work[places[r, 0] + (t & places[r, 1])]
                if kind == 0:
                    for a in range(n):
                        to[a] = old[a] + new[a]
                elif kind == 1:
                    for a in range(n):
                        to[a] = old[a] if old[a] >= new[a] or old[a] != old[a] else new[a]
                else:
                    for a in range(n):
                        to[a] = old[a] if old[a] <= new[a] or old[a] != old[a] else new[a]
            if t >= first:
                result, row = work[places[joined, 0] + (t & places[joined, 1])], out[t - first, left : left + n]
                for a in range(n):
                    row[a] = result[a] if wanted else np.nan


def moments(one, two, window, n_work, n_build, places, steps, joined, kind, first, out):  # type: ignore[no-untyped-def]
    """Several numbers about the ``window`` bars up to each row from ``first`` on, ``out`` (K, T - first, A).

    Of values ``one`` (T, A): kind 0: mean and squared deviations; 1: sum, and sum weighted 1, 2, ... from the oldest
    bar; 2: the largest, and the latest row that has it; 3: mean, deviations to the powers 2, 3 and 4. Of pairs of
    ``one`` and ``two``: 4: two means, squared deviations of each, and their products.
    """
    n_parts, n_symbols = len(out), one.shape[1]
    work = np.zeros((n_work, n_parts * STRIP))
    for left in range(0, n_symbols, STRIP):
        n = min(STRIP, n_symbols - left)
        for t in range(max(first - window + 1, 0), len(one)):
            top, source, other = work[t & places[0, 1]], one[t, left : left + n], two[t, left : left + n]
            for a in range(n):
                top[a] = source[a]
            if kind == 1:
                for a in range(n):
                    top[STRIP + a] = source[a]
            elif kind == 2:
                for a in range(n):
                    top[STRIP + a] = t + (source[a] - source[a])
            else:
                for k in range(1, n_parts):
                    for a in range(n):
                        top[k * STRIP + a] = source[a] - source[a]  # zero, or NaN
            if kind == 4:
                for a in range(n):
                    top[a] += other[a] - other[a]  # half a pair is none
                    top[STRIP + a] = other[a] + (source[a] - source[a])
            wanted = t >= first and t >= window - 1
            for s in range(len(steps) if wanted else n_build):
                p, q, r = steps[s, 0], steps[s, 2], steps[s, 3]
                old = work[places[p, 0] + ((t - steps[s, 1]) & places[p, 1])]
                new = work[places[q, 0] + (t & places[q, 1])]
                to = work[places[r, 0] + (t & places[r, 1])]
                m_old, m_new = steps[s, 4], steps[s, 5]
                total = float(m_old + m_new)
                share_old, share = m_old / total, m_new / total
                both = m_old * m_new / total
                if kind == 0:
                    for a in range(n):
                        gap = new[a] - old[a]
                        to[a] = old[a] + gap * share
                        to[STRIP + a] = old[STRIP + a] + new[STRIP + a] + gap * gap * both
                elif kind == 1:
                    for a in range(n):
                        to[a] = old[a] + new[a]
                        to[STRIP + a] = old[STRIP + a] + (new[STRIP + a] + m_old * new[a])
                elif kind == 2:
                    for a in range(n):
                        older = 1.0 if old[a] > new[a] else 0.0
                        to[STRIP + a] = new[STRIP + a] + older * (old[STRIP + a] - new[STRIP + a])
                    for a in range(n):
                        x, y = old[a], new[a]
                        to[a] = (x if x > y else y) + (x - x)  # NaN where either is
                elif kind == 3:
                    for a in range(n):
                        gap = new[a] - old[a]
                        s2, r2 = old[STRIP + a], new[STRIP + a]
                        s3, r3 = old[2 * STRIP + a], new[2 * STRIP + a]
                        g2 = gap * gap
                        to[a] = old[a] + gap * share
                        to[STRIP + a] = s2 + r2 + g2 * both
                        to[2 * STRIP + a] = (
                            s3
                            + r3
                            + gap * g2 * (both * (share_old - share))
                            + 3.0 * gap * (share_old * r2 - share * s2)
                        )
                        to[3 * STRIP + a] = (
                            old[3 * STRIP + a]
                            + new[3 * STRIP + a]
                            + g2 * g2 * (both * (share_old * share_old - share_old * share + share * share))
                            + 6.0 * g2 * (share_old * share_old * r2 + share * share * s2)
                            + 4.0 * gap * (share_old * r3 - share * s3)
                        )
                else:
                    for a in range(n):
                        gap, gap2 = new[a] - old[a], new[STRIP + a] - old[STRIP + a]
                        to[a] = old[a] + gap * share
                        to[STRIP + a] = old[STRIP + a] + gap2 * share
                        to[2 * STRIP + a] = old[2 * STRIP + a] + new[2 * STRIP + a] + gap * gap * both
                        to[3 * STRIP + a] = old[3 * STRIP + a] + new[3 * STRIP + a] + gap2 * gap2 * both
                        to[4 * STRIP + a] = old[4 * STRIP + a] + new[4 * STRIP + a] + gap * gap2 * both
            if t >= first:
                result = work[places[joined, 0] + (t & places[joined, 1])]
                for k in range(n_parts):
                    row = out[k, t - first, left : left + n]
                    for a in range(n):
                        row[a] = result[k * STRIP + a] if wanted else np.nan
