"""Which decision lends its values to which: whole blocks, other symbols, never training rows."""

from __future__ import annotations

import numpy as np
import pytest

from mnpu.errors import ConfigError
from mnpu.feature_tools.donors import exchange


def windows(n_times, n_symbols, *, first=100):
    time = np.repeat(np.arange(first, first + n_times), n_symbols)
    return time, np.tile(np.arange(n_symbols), n_times)


def test_a_block_takes_the_rows_of_one_other_block_in_order(rng):
    time, symbol = windows(60, 5)
    donors = exchange(time, symbol, block=10, rng=rng)
    for k in range(6):
        own = (time >= 100 + 10 * k) & (time < 110 + 10 * k)
        shift = time[donors[own]] - time[own]
        assert len(set(shift.tolist())) == 1  # in order, so that what moved slowly still does
        assert abs(shift[0]) >= 10


def test_within_a_block_every_symbol_takes_from_one_other_symbol(rng):
    time, symbol = windows(48, 7)
    donors = exchange(time, symbol, block=12, rng=rng)
    for k in range(4):
        own = (time >= 100 + 12 * k) & (time < 112 + 12 * k)
        lenders = {a: set(symbol[donors[own & (symbol == a)]].tolist()) for a in range(7)}
        assert all(len(found) == 1 and a not in found for a, found in lenders.items())
        assert set().union(*lenders.values()) == set(range(7))


def test_one_symbol_takes_from_itself_at_another_time(rng):
    time, symbol = windows(40, 1)
    donors = exchange(time, symbol, block=10, rng=rng)
    assert (np.abs(time[donors] - time) >= 10).all()


def test_a_missing_lender_is_replaced_by_one_of_the_same_decision(rng):
    time, symbol = windows(80, 6)
    kept = rng.random(len(time)) > 0.3
    kept[time == 130] = False  # a decision at which nobody can be forecast
    time, symbol = time[kept], symbol[kept]
    donors = exchange(time, symbol, block=8, rng=rng)
    assert ((donors >= 0) & (donors < len(time))).all()
    rows = np.unique(time)
    lender = {t: set(time[donors[time == t]].tolist()) for t in rows.tolist()}
    assert all(len(found) == 1 for found in lender.values())  # all symbols of a decision borrow from one decision


def test_the_same_seed_gives_the_same_exchange():
    time, symbol = windows(50, 4)
    one, same, other = (exchange(time, symbol, block=5, rng=np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_too_few_decisions_are_refused():
    time, symbol = windows(39, 3)
    with pytest.raises(ConfigError, match=r"fold 2: 39 decisions make 3 blocks of 10, expected at least 4"):
        exchange(time, symbol, block=10, rng=np.random.default_rng(0), where="fold 2")
