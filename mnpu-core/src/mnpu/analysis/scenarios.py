"""What a book would lose: in crises that the data holds, in shocks at once, and where liquidity dries up.

Three books are asked: the final one, the typical one (the median loss over all books that were held) and the worst one.
Losses are positive, fractions of equity, of a book that does nothing meanwhile.

What this is not: a probability, or a bound. Crises are those that happened, to symbols that the data has; betas and
deviations are those of calm times too; guardrails that would have cut the book on the way are not asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from mnpu.analysis.benchmarks import betas, universe_returns
from mnpu.analysis.capacity import Liquidity
from mnpu.analysis.replay import Replay
from mnpu.analysis.sensitivity import scaled
from mnpu.metrics.returns import drawdown, sharpe

__all__ = ["CRISES", "Crisis", "CrisisRow", "Loss", "crises", "liquidity_losses", "shocks", "spread_row"]

SIGMAS, WINDOW, FEWEST = 3.0, 252, 60


class Crisis(NamedTuple):
    """Days, both ends included: returns of the bars that end in them. ``crypto``: asked of markets of coins alone."""

    name: str
    first: str
    last: str
    crypto: bool = False


#: From the day of a high to that of the low after it, as they stand in the histories of the S&P 500 and of Bitcoin.
CRISES = (
    Crisis("Black Monday 1987", "1987-10-14", "1987-10-19"),
    Crisis("Gulf war 1990", "1990-07-17", "1990-10-11"),
    Crisis("Russia and LTCM 1998", "1998-07-20", "1998-10-08"),
    Crisis("Dot-com 2000 to 2002", "2000-03-27", "2002-10-09"),
    Crisis("Quant quake 2007", "2007-08-06", "2007-08-09"),
    Crisis("Financial crisis 2007 to 2009", "2007-10-10", "2009-03-09"),
    Crisis("Lehman 2008", "2008-09-15", "2008-11-20"),
    Crisis("Flash crash and Greece 2010", "2010-04-26", "2010-07-02"),
    Crisis("Euro and US rating 2011", "2011-07-25", "2011-10-03"),
    Crisis("Franc 2015", "2015-01-15", "2015-01-15"),
    Crisis("China 2015", "2015-08-18", "2015-08-25"),
    Crisis("Volatility funds 2018", "2018-01-29", "2018-02-08"),
    Crisis("Crypto winter 2018", "2017-12-17", "2018-12-15", crypto=True),
    Crisis("Fourth quarter 2018", "2018-09-21", "2018-12-24"),
    Crisis("Covid 2020", "2020-02-20", "2020-03-23"),
    Crisis("Crypto 2021", "2021-05-12", "2021-05-23", crypto=True),
    Crisis("Rates 2022", "2022-01-04", "2022-10-12"),
    Crisis("Luna 2022", "2022-05-05", "2022-05-12", crypto=True),
    Crisis("FTX 2022", "2022-11-06", "2022-11-09", crypto=True),
)


class Loss(NamedTuple):
    """Loss of each book in one scenario, fraction of equity, a gain below 0; ``worst_at`` when the worst was held."""

    scenario: str
    final: float | None
    typical: float | None
    worst: float | None
    worst_at: pd.Timestamp | None
    note: str = ""


class CrisisRow(NamedTuple):
    """A crisis in the data: what the strategy itself lost in it, if it was judged then, and what its books would.

    ``universe``: loss of the equal-weighted universe. ``covered``: share of the final book's gross weight in symbols
    with prices at both ends; the rest counts as 0.
    """

    crisis: str
    first: str
    last: str
    universe: float
    strategy: float | None
    strategy_drawdown: float | None
    final: float
    typical: float
    worst: float
    covered: float


def crises(replay: Replay, known: Sequence[Crisis] = CRISES) -> list[CrisisRow]:
    """Replay the crises of which the panel holds the bars from beginning to end, in their order.

    Those of coins are asked where the market never closes.
    """
    coins = replay.panel.calendar == "CRYPTO"
    asked = [crisis for crisis in known if coins or not crisis.crypto]
    return [row for crisis in asked if (row := _crisis(replay, crisis)) is not None]


def _crisis(replay: Replay, crisis: Crisis) -> CrisisRow | None:
    panel = replay.panel
    days = pd.DatetimeIndex(panel.sessions)
    inside = np.asarray((days >= crisis.first) & (days <= crisis.last))
    if days[0] >= pd.Timestamp(crisis.first) or days[-1] < pd.Timestamp(crisis.last) or not inside.any():
        return None
    moved, market = universe_returns(replay)
    there = np.isfinite(moved[inside])
    both = there[0] & there[-1]
    if not both.any():
        return None
    earned = np.where(both, np.prod(1.0 + np.nan_to_num(moved[inside]), axis=0) - 1.0, 0.0)
    losses = -(replay.held @ earned)
    own = replay.net[_held_in(replay, crisis)]
    curve = np.concatenate([[1.0], np.cumprod(1.0 + own)])
    size = np.abs(replay.held[-1])
    return CrisisRow(
        crisis.name,
        crisis.first,
        crisis.last,
        universe=float(1.0 - np.prod(1.0 + np.nan_to_num(market[inside]))),
        strategy=float(1.0 - curve[-1]) if len(own) else None,
        strategy_drawdown=float(drawdown(curve).min()) if len(own) else None,
        final=float(losses[-1]),
        typical=float(np.median(losses)),
        worst=float(losses.max()),
        covered=float(size[both].sum() / size.sum()) if size.sum() > 0 else 1.0,
    )


def _held_in(replay: Replay, crisis: Crisis) -> np.ndarray:
    """The rows whose whole holding period lies in a crisis, if the strategy was judged through all of it."""
    days = replay.fill_times.tz_convert("UTC").tz_localize(None).normalize()
    ends = np.append(days[1:], days[-1:])
    none: np.ndarray = np.zeros(len(days), dtype=bool)
    if days[0] > pd.Timestamp(crisis.first) or days[-1] < pd.Timestamp(crisis.last):
        return none
    rows = (ends >= np.datetime64(crisis.first)) & (ends <= np.datetime64(crisis.last))
    rows[-1] = False
    return np.asarray(rows)


def shocks(replay: Replay, *, falls: Sequence[float] = (0.05, 0.10, 0.20), sigmas: float = SIGMAS) -> list[Loss]:
    """Losses at once: every symbol alike, the market with betas, correlations that go to one, every position wrong.

    Parameters
    ----------
    replay : Replay
    falls : sequence of float
        By how much the market falls; its rise is asked too, for who is short.
    sigmas : float, default=3.0
        Bars' deviations by which positions move in the last three scenarios.

    Notes
    -----
    With the deviations ``s_i`` and correlations of the past 252 bars: as they were, ``sqrt(w' S w)``; all one,
    ``|sum_i w_i s_i|``, which a hedged book survives; each position against the book, ``sum_i |w_i| s_i``, which none
    does. Where nothing is known of a symbol, its deviation counts as the largest of the others.
    """
    held, beta = replay.held, betas(replay)
    found = []
    for fall in falls:
        found.append(_loss(replay, f"every symbol −{fall:.0%}", held.sum(axis=1) * fall))
        found.append(_loss(replay, f"market −{fall:.0%}, by beta", (held * beta).sum(axis=1) * fall))
    rise = max(falls)
    found.append(_loss(replay, f"market +{rise:.0%}, by beta", -(held * beta).sum(axis=1) * rise))
    found.append(_loss(replay, f"largest position −{rise:.0%}", np.abs(held).max(axis=1) * rise, "against the book"))
    usual, deviations = _deviations(replay)
    moves = f"{sigmas:g} deviations of a bar"
    found.append(_loss(replay, "correlations as they were", sigmas * usual, moves))
    found.append(_loss(replay, "correlations of one", sigmas * np.abs((held * deviations).sum(axis=1)), moves))
    found.append(_loss(replay, "every position wrong", sigmas * (np.abs(held) * deviations).sum(axis=1), moves))
    return found


def _deviations(replay: Replay) -> tuple[np.ndarray, np.ndarray]:
    """Deviation of each book (T,) and of each symbol (T, A), from the bars up to each decision."""
    moved, _ = universe_returns(replay)
    rolled = pd.DataFrame(moved).rolling(WINDOW, min_periods=FEWEST).std().to_numpy()
    own = replay.at_decisions(rolled)
    largest = np.nanmax(np.where(np.isfinite(own), own, -np.inf), axis=1, keepdims=True)
    own = np.where(np.isfinite(own), own, np.where(np.isfinite(largest), largest, 0.0))
    usual = np.zeros(len(own))
    for t in range(len(own)):
        stop = replay.first + t + 1
        past = np.nan_to_num(moved[max(stop - WINDOW, 0) : stop])
        usual[t] = float(np.std(past @ replay.held[t], ddof=1)) if len(past) >= FEWEST else np.nan
    return usual, own


def liquidity_losses(
    replay: Replay, market: Liquidity, *, capital: float, impact: float = 1.0, thinner: float = 2.0
) -> list[Loss]:
    """What it costs to close the book at once at a capital: as volumes were, and with them divided by ``thinner``.

    Half the spread and commission, and the square-root impact of each position; a position without a known volume costs
    as much as its symbol's smallest known one would, or is named in the note where there is none.
    """
    rate, found = replay.rates.bps / 1e4, []
    size = np.abs(replay.held)
    smallest = np.nanmin(np.where(np.isfinite(market.volume), market.volume, np.inf), axis=0)
    volume = np.where(np.isfinite(market.volume), market.volume, smallest)
    usual = np.where(np.isfinite(market.volatility), market.volatility, np.nanmax(market.volatility, initial=0.0))
    never = [symbol for symbol, v in zip(replay.symbols, smallest, strict=True) if not np.isfinite(v)]
    note = f"without volume, and free of impact: {', '.join(never)}" if never else ""
    for words, divided in (("as it was", 1.0), (f"divided by {thinner:g}", thinner)):
        moved = impact * usual * size**1.5 * np.sqrt(capital * divided / volume)
        lost = np.minimum((moved + size * rate).sum(axis=1), 1.0)
        found.append(_loss(replay, f"closing the book, liquidity {words}", lost, note))
    return found


def spread_row(replay: Replay, *, times: float = 5.0) -> tuple[Loss, float | None, float | None]:
    """Closing the book at a spread ``times`` as wide; and the Sharpe ratio with its error, had it always been so."""
    wide = scaled(replay.rates, times, only=("half_spread_bps",))
    lost = np.abs(replay.held).sum(axis=1) * wide.bps / 1e4
    ratio = sharpe(replay.simulate(rates=wide).net, replay.periods_per_year)
    note = "" if ratio.value is None else f"had it always been so: net Sharpe ratio {ratio.value:.2f} ± {ratio.se:.2f}"
    return _loss(replay, f"closing the book, spread times {times:g}", lost, note), ratio.value, ratio.se


def _loss(replay: Replay, name: str, losses: np.ndarray, note: str = "") -> Loss:
    known = np.isfinite(losses)
    if not known.any():
        return Loss(name, None, None, None, None, note or "too few bars")
    worst = int(np.nanargmax(losses))
    final = float(losses[-1]) if known[-1] else None
    return Loss(name, final, float(np.median(losses[known])), float(losses[worst]), replay.times[worst], note)
