"""Where the return came from: symbols, sides, groups, the market, timing against selection, and costs.

Every decomposition sums to the return it explains, in each bar and, by `linking`, over all of them. It divides what
*was* earned: it is arithmetic, not evidence, and says nothing about which part would be earned again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mnpu.analysis.linking import Linking, linked
from mnpu.analysis.replay import Replay
from mnpu.simulation.execution import KINDS

__all__ = [
    "UNGROUPED",
    "Part",
    "by_decision",
    "by_group",
    "by_side",
    "by_symbol",
    "contributions",
    "group_of",
    "gross_to_net",
]

OF_HOLDING = KINDS[3:]  #: Kinds of cost that are paid at the end of a bar, not with a trade.
UNGROUPED = "(no group)"  #: Of symbols that no group is given for.


class Part(NamedTuple):
    """One part of a return.

    ``contribution``: to the compound return, linked. ``mean_ann``: mean per bar times bars per year. ``net_weight`` and
    ``gross_weight``: mean over all bars, None where the part holds nothing.
    """

    name: str
    contribution: float
    mean_ann: float
    net_weight: float | None = None
    gross_weight: float | None = None


def contributions(replay: Replay) -> np.ndarray:
    """What each symbol added to the gross return of each bar, (T, A): weight times return.

    A loss beyond the account is nobody's: in such a bar the contributions are scaled to the -1 that was lost.
    """
    raw = replay.held * replay.returns
    total = raw.sum(axis=1)
    return raw * np.where(total < -1.0, -1.0 / np.where(total < -1.0, total, 1.0), 1.0)[:, None]


def by_symbol(replay: Replay, *, linking: Linking = "carino") -> list[Part]:
    """Gross return by symbol, in the order of the symbols."""
    return _parts(replay, replay.symbols, contributions(replay), replay.held, np.abs(replay.held), linking)


def by_side(replay: Replay, *, linking: Linking = "carino") -> list[Part]:
    """Gross return of what was held long and of what was held short."""
    long, short = np.maximum(replay.held, 0.0), np.minimum(replay.held, 0.0)
    earned = contributions(replay)
    sides = (earned * (replay.held > 0), earned * (replay.held < 0))
    values = np.stack([side.sum(axis=1) for side in sides], axis=1)
    weights = np.stack([long.sum(axis=1), short.sum(axis=1)], axis=1)
    return _parts(replay, ("long", "short"), values, weights, np.abs(weights), linking)


def group_of(symbols: Sequence[str], groups: Mapping[str, str]) -> list[str]:
    """The group of each symbol, such as its sector; `UNGROUPED` where the map names none."""
    return [groups.get(symbol, UNGROUPED) for symbol in symbols]


def by_group(replay: Replay, groups: Mapping[str, str], *, linking: Linking = "carino") -> list[Part]:
    """Gross return by group of symbols, such as sectors, in the order of their names.

    Parameters
    ----------
    replay : Replay
    groups : mapping of symbol to group
        One for all of time: who changes sector has the one that the map gives.
    """
    of = group_of(replay.symbols, groups)
    names = sorted(set(of))
    one = np.array([[name == own for name in names] for own in of], dtype=float)  # (A, G)
    return _parts(replay, names, contributions(replay) @ one, replay.held @ one, np.abs(replay.held) @ one, linking)


def by_decision(replay: Replay, market: np.ndarray, *, linking: Linking = "carino") -> list[Part]:
    """Gross return split by what was decided: how much market on average and when, which symbols on average and when.

    With net exposure ``n_t``, market return ``m_t`` and bars for time averages (of the whole period, which nobody knew
    at its start)::

        market            mean(n) m_t                            holding the average exposure all the time
        timing            (n_t - mean(n)) m_t                    more or less of it
        tilt              sum_i mean(w_i) (r_it - m_t)           the average choice of symbols
        selection         sum_i (w_it - mean(w_i)) (r_it - m_t)  changing it

    Parameters
    ----------
    replay : Replay
    market : float64 ndarray (T,)
        Return of a benchmark over the same bars; a bar in which it is NaN has no market part.

    Notes
    -----
    The split of an average from its changes is that of Lo, Where do alphas come from? (2008), with the market taken
    out. Exposure here is net weight, a beta of one for all.
    """
    moved = np.nan_to_num(market)
    exposure, mean = replay.held.sum(axis=1), replay.held.mean(axis=0)
    raw = replay.held * replay.returns
    scale = np.divide(contributions(replay).sum(axis=1), raw.sum(axis=1), out=np.ones(len(raw)), where=raw.any(axis=1))
    relative = replay.returns - moved[:, None]
    parts = np.stack(
        [
            exposure.mean() * moved,
            (exposure - exposure.mean()) * moved,
            relative @ mean,
            ((replay.held - mean) * relative).sum(axis=1),
        ],
        axis=1,
    )
    return _parts(replay, ("market", "timing", "tilt", "selection"), parts * scale[:, None], None, None, linking)


def gross_to_net(replay: Replay, *, linking: Linking = "carino") -> list[Part]:
    """Net return as gross return less each kind of cost; a rest is there only where the account was lost.

    The cost of a trade is charged on the equity before it, so it also costs what it would have earned in that bar; what
    is paid for holding is charged at the bar's end: ``net = gross - cost (1 + gross) - holding``.
    """
    kinds = [-values * (1.0 if kind in OF_HOLDING else 1.0 + replay.gross) for kind, values in replay.costs.items()]
    rest = replay.net - replay.gross - sum(kinds, np.zeros(len(replay.net)))
    values = np.stack([replay.gross, *kinds, rest], axis=1)
    names = ("gross", *(f"cost: {kind}" for kind in replay.costs), "rest")
    found = _linked(replay, names, values, None, None, replay.net, linking)
    return found if np.abs(rest).max(initial=0.0) > 1e-12 else [part for part in found if part.name != "rest"]


def _parts(
    replay: Replay,
    names: Sequence[str],
    values: np.ndarray,
    net_weight: np.ndarray | None,
    gross_weight: np.ndarray | None,
    linking: Linking,
) -> list[Part]:
    return _linked(replay, names, values, net_weight, gross_weight, values.sum(axis=1), linking)


def _linked(
    replay: Replay,
    names: Sequence[str],
    values: np.ndarray,
    net_weight: np.ndarray | None,
    gross_weight: np.ndarray | None,
    total: np.ndarray,
    linking: Linking,
) -> list[Part]:
    over_all = linked(values, total, method=linking)
    mean = values.mean(axis=0) * replay.periods_per_year
    weights = [None if w is None else w.mean(axis=0) for w in (net_weight, gross_weight)]
    return [
        Part(name, float(over_all[k]), float(mean[k]), *(None if w is None else float(w[k]) for w in weights))
        for k, name in enumerate(names)
    ]
