"""Limits that cannot be meant: settings under which nothing could ever be held, found before anything is run.

Small books are proposed to a new account in a quiet market where everything is known and trades: the same weight of
every symbol, long; every second one short; and each symbol alone. Rules that each allow one of them, and none of them
together, contradict each other, and the pair is named.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from mnpu.errors import ConfigError
from mnpu.types import Book

__all__ = ["refuse_blind", "refuse_contradictions", "refuse_long"]

#: Gross of the books that are proposed: small, so that no cap but one at zero stands against them.
GROSS = 1e-3
#: More symbols alone than this are not tried.
ALONE = 50


def refuse_contradictions(
    chain: Callable[[Sequence[Any]], Any],
    rules: Sequence[tuple[str, Any]],
    symbols: Sequence[str],
    *,
    long_only: bool = False,
) -> None:
    """Raise ConfigError where no book that could be proposed would ever be held, though each rule allows one.

    A rule that allows nothing by itself, as a switch that is on or a cap of zero, is taken to be meant.

    Parameters
    ----------
    chain : callable
        Makes a chain of some rules.
    rules : sequence of (str, Guardrail)
        With their names.
    symbols : sequence of str
    long_only : bool, default=False
        Whether only long books are proposed.
    """

    def allow(some: Sequence[Any], universe: Sequence[str] = symbols, only: bool = long_only) -> bool:
        part = chain(some)
        book = _quiet(tuple(universe), max(part.lookback, 1))
        return any(np.abs(part.limit(one, book)).max(initial=0.0) > 1e-9 for one in _books(len(universe), only))

    if not len(symbols) or allow([rule for _, rule in rules]):
        return
    for name, rule in rules:
        if allow([rule]):
            continue
        if long_only and allow([rule], only=False):
            _refuse(f"{name} ({_said(rule)})", "a policy that is long only")
        if len(symbols) == 1 and allow([rule], (*symbols, "another")):
            _refuse(f"{name} ({_said(rule)})", "a universe of one symbol")
        return
    for (one, first), (other, second) in combinations(rules, 2):
        if not allow([first, second]):
            _refuse(f"{one} ({_said(first)})", f"{other} ({_said(second)})")
    _refuse(rules[0][0], " and ".join(name for name, _ in rules[1:]))


def refuse_blind(rules: Sequence[tuple[str, Any]], fields: Collection[str], dataset: str) -> None:
    """Raise ConfigError where a rule needs volumes, without which nothing may grow, and the data have none."""
    blind = [name for name, rule in rules if "volume" in getattr(rule, "needs", ())]
    if blind and "volume" not in fields:
        raise ConfigError(
            f"{', '.join(blind)} needs volumes, and {dataset} has none, so nothing could ever be held",
            where="guardrails",
            expected="a dataset with a volume",
            next_step="Take another dataset, or leave the guardrail out.",
        )


def refuse_long(rules: Sequence[tuple[str, Any]], bars: int, start: object) -> None:
    """Raise ConfigError where a rule lets nothing grow before it knows more bars than all data have."""
    for name, rule in rules:
        wanted = getattr(rule, "lookback", 0) * getattr(rule, "min_history", 0.0)
        if wanted > bars:
            raise ConfigError(
                f"{name} wants {wanted:,.0f} bars before a decision, and the data have {bars:,} in all, so nothing "
                "could ever be held",
                where="guardrails",
                expected="a window that the data can fill",
                next_step=f"Shorten it, or begin before {start} (data.start).",
            )


def _books(n: int, long_only: bool) -> Iterator[np.ndarray]:
    """Proposals (n,), all of the same gross."""
    yield np.full(n, GROSS / n)
    if not long_only and n > 1:
        pairs = np.where(np.arange(n) % 2, -1.0, 1.0)
        pairs[n - n % 2 :] = 0.0  # as much short as long
        yield pairs * GROSS / np.abs(pairs).sum()
    for i in range(min(n, ALONE)):
        yield np.where(np.arange(n) == i, GROSS, 0.0)


def _quiet(symbols: tuple[str, ...], bars: int) -> Book:
    """An account of which everything is known: in cash, in a market where all trades and hardly moves."""
    n, levels = len(symbols), (0.25, 0.5, 0.75)
    moves = 1e-9 * np.where(np.arange(bars) % 2, -1.0, 1.0)
    return Book(
        weights=np.zeros(n),
        tradable=np.ones(n, dtype=bool),
        equity=1.0,
        peak=1.0,
        time=pd.Timestamp("2000-01-03", tz="UTC"),
        symbols=symbols,
        day_equity=1.0,
        day=10_959,
        past=np.broadcast_to(moves[:, None], (bars, n)),
        periods_per_year=252.0,
        volume=np.full(n, 1e30),
        age=np.zeros(n),
        quantiles=np.broadcast_to(1e-9 * np.array([-1.0, 0.0, 1.0]), (n, 3)),
        levels=levels,
        switches=frozenset(),
    )


def _said(rule: Any) -> str:
    """The settings of a rule that are numbers, and the first few of those that are tables of numbers."""
    said = []
    for key, value in vars(rule).items():
        if key == "lookback" or isinstance(value, bool):
            continue
        if isinstance(value, int | float):
            said.append(f"{key} {value:g}")
        elif isinstance(value, Mapping) and any(isinstance(x, int | float) for x in value.values()):
            said.append(f"{key} " + " and ".join(f"{name} {x:g}" for name, x in list(value.items())[:4]))
    return ", ".join(said)


def _refuse(one: str, other: str) -> NoReturn:
    raise ConfigError(
        f"{one} contradicts {other}: nothing could ever be held",
        where="guardrails",
        expected="limits that some book meets",
        next_step="Change one of the two.",
    )
