"""The loops of the point-in-time join, in plain Python over arrays; ``asof`` compiles them and says what they mean.

In all of them releases come in the order of ``known``, ``NEVER`` stands for no period yet, and of two rows for the
newest period the later one counts unless ``first`` is asked for. ``until`` is the last instant at which the newest
value is valid. ``out_row`` gets the row of the release that is seen, -1 where there is none.
"""

from __future__ import annotations

import numpy as np

NEVER = np.iinfo(np.int64).min
FOREVER = np.iinfo(np.int64).max


def panel(at, who, event, known, value, first, max_age, out, out_row):  # type: ignore[no-untyped-def]
    """The state of every code at each of the increasing instants ``at``."""
    n_codes = out.shape[1]
    newest = np.full(n_codes, NEVER, dtype=np.int64)
    until = np.full(n_codes, NEVER, dtype=np.int64)
    held = np.full(n_codes, np.nan)
    row = np.full(n_codes, -1, dtype=np.int32)
    k = 0
    for i in range(len(at)):
        t = at[i]
        while k < len(known) and known[k] <= t:
            c = who[k]
            if event[k] > newest[c] or (event[k] == newest[c] and not first):
                newest[c] = event[k]
                until[c] = event[k] + max_age if event[k] < FOREVER - max_age else FOREVER
                held[c] = value[k]
                row[c] = k
            k += 1
        for c in range(n_codes):
            void = t > until[c]
            out[i, c] = np.nan if void else held[c]
            out_row[i, c] = -1 if void else row[c]


def rows_by_time(at, code, who, event, known, value, n_codes, first, max_age, out, out_row):  # type: ignore[no-untyped-def]
    """Rows in order of time: one walk along both sides. False, and nothing to be used, where they are not."""
    newest = np.full(n_codes + 1, NEVER, dtype=np.int64)  # the last one is that of code -1, which never has any
    until = np.full(n_codes + 1, NEVER, dtype=np.int64)
    held = np.full(n_codes + 1, np.nan)
    row = np.full(n_codes + 1, -1, dtype=np.int32)
    k = 0
    last = NEVER
    for i in range(len(at)):
        t = at[i]
        if t < last:
            return False
        last = t
        while k < len(known) and known[k] <= t:
            c = who[k]
            if event[k] > newest[c] or (event[k] == newest[c] and not first):
                newest[c] = event[k]
                until[c] = event[k] + max_age if event[k] < FOREVER - max_age else FOREVER
                held[c] = value[k]
                row[c] = k
            k += 1
        c = code[i]
        void = t > until[c]
        out[i] = np.nan if void else held[c]
        out_row[i] = -1 if void else row[c]
    return True


def rows_by_code(at, code, who, event, known, value, n_codes, first, max_age, out, out_row):  # type: ignore[no-untyped-def]
    """Rows in order of code, then time: one walk for each code. False, and nothing to be used, where they are not."""
    start = np.zeros(n_codes + 1, dtype=np.int64)  # releases by code, each code's in the order of knowledge
    for k in range(len(who)):
        start[who[k] + 1] += 1
    for c in range(n_codes):
        start[c + 1] += start[c]
    knowns = np.empty_like(known)
    events = np.empty_like(event)
    order = np.empty(len(known), dtype=np.int32)
    free = start[:-1].copy()
    for k in range(len(who)):
        j = free[who[k]]
        knowns[j] = known[k]
        events[j] = event[k]
        order[j] = k
        free[who[k]] = j + 1
    here = -2
    last = NEVER
    j = np.int64(0)
    stop = np.int64(0)
    newest = NEVER
    until = NEVER
    row = np.int32(-1)
    held = np.nan
    for i in range(len(at)):
        t = at[i]
        c = code[i]
        if c != here:
            if c < here:
                return False
            here = c
            newest = NEVER
            until = NEVER
            j = start[c] if c >= 0 else np.int64(0)
            stop = start[c + 1] if c >= 0 else np.int64(0)
        elif t < last:
            return False
        last = t
        while j < stop and knowns[j] <= t:
            if events[j] > newest or (events[j] == newest and not first):
                newest = events[j]
                until = newest + max_age if newest < FOREVER - max_age else FOREVER
                row = order[j]
                held = value[row]
            j += 1
        void = t > until
        out[i] = np.nan if void else held
        out_row[i] = -1 if void else row
    return True


def replay(code, place, last, periods, value, out, out_newest):  # type: ignore[no-untyped-def]
    """Windows after each release; rows come by code, then knowledge, and ``last`` marks the end of a release."""
    n = out.shape[1]
    state = np.zeros(len(periods))
    seen = np.zeros(len(periods), dtype=np.bool_)
    slots = np.zeros(n, dtype=np.int64)  # places of the newest periods known, oldest first
    filled = 0
    k = 0
    for i in range(len(code)):
        if i == 0 or code[i] != code[i - 1]:
            filled = 0
        p = place[i]
        state[p] = value[i]
        if not seen[p]:
            seen[p] = True
            if filled < n or p > slots[0]:
                if filled < n:
                    j = filled
                    filled += 1
                else:  # the oldest leaves
                    for m in range(n - 1):
                        slots[m] = slots[m + 1]
                    j = n - 1
                while j > 0 and slots[j - 1] > p:
                    slots[j] = slots[j - 1]
                    j -= 1
                slots[j] = p
        if last[i]:
            for m in range(filled):
                out[k, n - filled + m] = state[slots[m]]
            out_newest[k] = periods[slots[filled - 1]]
            k += 1
