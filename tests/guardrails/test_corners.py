"""Accounts that are unknown or lost, clocks that go back, switches nobody can read, universes of none and of one."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from mnpu.errors import ConfigError, DataError
from mnpu.guard import Chain
from mnpu.testing.guardrails import random_books
from mnpu_guardrails.brakes import DailyLoss, Drawdown, KillSwitch
from mnpu_guardrails.exposure import Exposure
from mnpu_guardrails.leverage import Leverage
from mnpu_guardrails.liquidity import Liquidity
from mnpu_guardrails.turnover import Turnover
from tests.guardrails.test_brakes import book_of, stepped
from tests.guardrails.test_rules import RULES

EVERY = list(RULES)


def all_of_them() -> Chain:
    return Chain([RULES[name][0]("scale") for name in EVERY if name != "kill_switch"])


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("equity", np.nan, "ACCOUNT_NOT_FINITE"),
        ("equity", np.inf, "ACCOUNT_NOT_FINITE"),
        ("peak", np.nan, "ACCOUNT_NOT_FINITE"),
        ("day_equity", np.nan, "ACCOUNT_NOT_FINITE"),
        ("equity", 0.0, "ACCOUNT_UNDER_WATER"),
        ("equity", -0.2, "ACCOUNT_UNDER_WATER"),
    ],
)
@pytest.mark.parametrize(
    "chain", [Chain(), Chain([Drawdown(), DailyLoss()]), all_of_them()], ids=["none", "two", "all"]
)
def test_nothing_grows_in_an_account_that_is_unknown_or_lost(chain, field, value, code):
    proposed, book = random_books(300, 5, seed=4)
    broken = getattr(book, field).copy()
    broken[::2] = value
    allowed = chain.limit(proposed, replace(book, **{field: broken}))
    assert (np.abs(allowed[::2]) <= np.abs(book.weights[::2]) + 1e-9).all()
    assert (allowed[::2] * book.weights[::2] >= 0).all()
    assert allowed[1::2] == pytest.approx(chain.limit(proposed, book)[1::2], abs=1e-12)
    one = replace(book, **{field: broken}).row(0)
    decided = chain.decide(proposed[0], one)
    assert decided.state == "HALTED"
    assert code in {violation.code for violation in decided.violations}


def test_an_unknown_equity_neither_sets_nor_releases_a_brake():
    chain = Chain([Drawdown(0.1, 0.2, 0.05), DailyLoss(0.03)])
    kept = {"drawdown": np.array([0.5, 0.0, 1.0]), "daily_loss": np.array([8.0])}
    for equity in (np.nan, np.inf):
        book = book_of(equity=equity, day=7, day_equity=1.0, memory=kept)
        after = chain.remember(np.zeros(2), np.zeros(2), book)
        assert after["drawdown"].tolist() == [0.5, 0.0, 1.0]
        assert after["daily_loss"].tolist() == [8.0]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_held_book_that_is_not_finite_is_an_error(value):
    with pytest.raises(DataError, match="drifted weight is not finite"):
        Chain([Exposure()]).decide(np.zeros(2), book_of([value, 0.1]))


def test_a_clock_that_goes_back_gives_no_new_day():
    chain = Chain([Turnover(None, 0.6)])
    memory = {}
    bought = []
    for day in (6, 5, 6, 7):
        book = book_of(day=day, memory=memory)
        allowed = chain.limit(np.array([0.4, 0.0]), book)
        memory = chain.remember(np.array([0.4, 0.0]), allowed, book)
        bought.append(allowed[0])
    assert bought == pytest.approx([0.4, 0.2, 0.0, 0.4])
    rule = Chain([DailyLoss(0.03)])
    lost = book_of(equity=0.9, day=6, day_equity=1.0)
    memory = rule.remember(np.zeros(2), np.zeros(2), lost)
    for day, state in ((6, "REDUCING"), (5, "REDUCING"), (7, "ACTIVE")):
        assert rule.decide(np.zeros(2), book_of(day=day, day_equity=1.0, memory=memory)).state == state


@pytest.mark.parametrize("day", [-40000, -2, -1, 0, 1])
def test_a_day_before_1970_is_a_day_like_any_other(day):
    chain = Chain([DailyLoss(0.03), Turnover(None, 0.5)])
    calm = book_of(day=day, day_equity=1.0, memory={})
    assert chain.limit(np.array([0.3, 0.0]), calm) == pytest.approx([0.3, 0.0])
    memory = chain.remember(np.zeros(2), np.array([0.3, 0.0]), replace(calm, equity=0.9))
    assert chain.decide(np.array([0.3, 0.0]), replace(calm, memory=memory)).state == "REDUCING"
    tomorrow = replace(calm, day=day + 1, memory=memory)
    assert chain.decide(np.array([0.3, 0.0]), tomorrow).state == "ACTIVE"
    assert chain.limit(np.array([0.5, 0.0]), tomorrow) == pytest.approx([0.5, 0.0])


@pytest.mark.parametrize("volume", [-5.0, -np.inf, 0.0])
def test_a_volume_below_zero_opens_nothing(volume):
    rule = Liquidity(capital=1.0, days=1, participation=0.1)
    book = book_of(volume=np.full(2, volume))
    assert rule.limit(np.array([0.5, -0.5]), book).tolist() == [0.0, 0.0]


def test_an_unknown_volume_has_a_code_of_its_own():
    chain = Chain([Liquidity(capital=1.0, days=1, participation=0.1)])
    decided = chain.decide(np.array([0.5, 0.5]), book_of([0.1, 0.0], volume=np.array([np.nan, 1.0])))
    assert decided.weights == pytest.approx([0.1, 0.1])
    assert [(v.code, v.symbol) for v in decided.violations] == [
        ("LIQUIDITY_VOLUME_UNKNOWN", "A"),
        ("LIQUIDITY_DAYS", "B"),
    ]


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("name", [*RULES, "all"])
def test_no_symbol_and_one_symbol(name, n):
    proposed, book = random_books(60, n, seed=2)
    known = all_of_them() if name == "all" else None
    rule = a_leverage(n) if name == "leverage" else RULES[name][0]("scale") if known is None else known
    if n == 0 or name in ("exposure", "leverage", "all"):
        book = replace(book, symbols=tuple(f"S{i}" for i in range(n)))
    allowed = rule.limit(proposed, book)
    assert allowed.shape == (60, n)
    assert np.isfinite(allowed).all()
    assert (np.abs(allowed) <= np.maximum(np.abs(proposed), np.abs(book.weights)) + 1e-9).all()
    one = Chain([rule]) if known is None else known
    assert one.decide(proposed[0], book.row(0)).weights == pytest.approx(allowed[0], abs=1e-9)


def a_leverage(n):
    return Leverage(0.8, 0.3, {"S0": 0.9} if n else None, 0.3)


@pytest.mark.parametrize("name", EVERY)
def test_where_nothing_trades_nothing_moves(name):
    proposed, book = random_books(100, 5, seed=3)
    shut = replace(book, tradable=np.zeros_like(book.tradable))
    for rule in (RULES[name][0]("scale"), all_of_them()):
        assert np.array_equal(rule.limit(proposed, shut), book.weights)


class Gone:
    """A switch whose folder cannot be read."""

    def __init__(self, error):
        self.error = error

    def lstat(self):
        raise self.error


@pytest.mark.parametrize(
    "error", [PermissionError(), NotADirectoryError(), OSError("stale handle"), ValueError("null byte"), RuntimeError()]
)
def test_a_switch_that_cannot_be_looked_for_is_on(error, monkeypatch):
    monkeypatch.setattr("pathlib.Path.lstat", lambda self: Gone(error).lstat())
    assert Chain([KillSwitch("STOP")]).switches() == {"STOP"}


def test_a_switch_that_is_a_link_to_nothing_is_on(tmp_path):
    os.symlink(tmp_path / "nowhere", tmp_path / "STOP")
    assert KillSwitch(str(tmp_path / "STOP")).switches() == [str(tmp_path / "STOP")]


def test_a_switch_on_which_nobody_looked_lets_nothing_grow():
    decided = Chain([KillSwitch("STOP")]).decide(np.array([0.5, 0.1]), book_of([0.2, 0.2]))
    assert decided.weights.tolist() == [0.2, 0.1]
    assert decided.state == "REDUCING"
    assert [violation.code for violation in decided.violations] == ["BOOK_UNKNOWN_SWITCHES"]


def test_the_rule_itself_looks_at_no_file(tmp_path):
    switch = tmp_path / "STOP"
    chain = Chain([KillSwitch(str(switch))])
    book = book_of([0.2, 0.2], switches=frozenset())
    before = chain.decide(np.array([0.5, 0.1]), book)
    switch.touch()
    after = chain.decide(np.array([0.5, 0.1]), book)
    assert (before.weights == after.weights).all()
    assert before.state == after.state == "ACTIVE"


def test_a_backtest_is_stopped_by_no_file(tmp_path):
    (tmp_path / "STOP").touch()
    prices = [[100.0], [101.0], [99.0], [102.0]]
    free, with_switch = (
        stepped(c, prices, [1.0]) for c in ([Drawdown()], [Drawdown(), KillSwitch(str(tmp_path / "STOP"))])
    )
    assert np.array_equal(free.targets.weights, with_switch.targets.weights)
    engaged = stepped([KillSwitch(engaged=True)], prices, [1.0])
    assert np.abs(engaged.targets.weights).max() == 0


@pytest.mark.parametrize(
    ("then", "weights", "state", "action"),
    [
        ("close", [0.0, 0.0], "HALTED", "scale"),
        ("reduce", [0.2, 0.1], "HALTED", "scale"),
        ("warn", [0.5, 0.1], "ACTIVE", "warn"),
    ],
)
def test_what_a_switch_does(then, weights, state, action):
    chain = Chain([KillSwitch("STOP", then=then)])
    decided = chain.decide(np.array([0.5, 0.1]), book_of([0.2, 0.2], switches=frozenset({"STOP"})))
    assert (decided.weights.tolist(), decided.state) == (weights, state)
    assert [(v.code, v.action) for v in decided.violations] == [("KILL_SWITCH_ON", action)]
    free = chain.decide(np.array([0.5, 0.1]), book_of([0.2, 0.2], switches=frozenset({"OTHER"})))
    assert (free.weights.tolist(), free.state) == ([0.5, 0.1], "ACTIVE")


def test_a_reset_of_a_rule_that_is_not_there_is_refused():
    chain = Chain([Drawdown(), Turnover(), Turnover()])
    assert chain.reset(book_of(memory={"turnover 2": np.array([1.0, 0.3])}), ["turnover 2"])["turnover 2"].tolist() == [
        0,
        0,
    ]
    with pytest.raises(ConfigError, match=r"no guardrail kil_switch.*drawdown, turnover, turnover 2"):
        chain.reset(book_of(memory={}), ["kil_switch"])
