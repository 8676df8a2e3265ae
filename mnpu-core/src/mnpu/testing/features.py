"""The laws of a feature source, checked on a small market that is made up on the spot.

Every feature of the source is computed with its defaults. The market holds what a feature meets in reality: a symbol
that is listed late, a hole, a bar without volume, a split; and side series that are published late and revised.
Features that read the same series, with warm-ups of about the same length, are asked together, and each is answered
for by itself; one that writes into its input is asked alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from types import ModuleType
from typing import Any

import numpy as np

from mnpu.errors import ConfigError, MnpuError
from mnpu.features.api import View
from mnpu.features.coarse import CoarseView
from mnpu.features.compute import evaluate, scale_changes
from mnpu.features.leaks import (
    Leak,
    choose_cuts,
    compare,
    future_perturbation,
    identical,
    remembered,
    truncation,
    with_noise_after,
)
from mnpu.features.plan import PlannedFeature, features_of, model_of, plan_function, series_needed
from mnpu.features.vintages import choose_eves, later_vintages, shifted_knowledge
from mnpu.testing import LawOutcome
from mnpu.testing.afresh import functions_afresh
from mnpu.testing.streaming import REMARKS, STREAMING
from mnpu.testing.synthetic import BARS, synthetic_panel, synthetic_side
from mnpu.types import Panel, SideTable

__all__ = ["LAWS", "Market", "laws", "synthetic_panel", "synthetic_side"]

#: The market grows with the longest warm-up: for one up to this, up to twice as long, and so on.
SHORT = (BARS - 60) // 2
CUTS = 6
#: First bars that a feature of longer bars is tried from: those of a week and of a day.
STARTS = 25

#: What is wrong with some of the columns, by name.
Wrong = dict[str, str]


@dataclass(frozen=True)
class Market:
    """What some features are tried on together."""

    columns: tuple[PlannedFeature, ...]
    panel: Panel
    side: SideTable
    seed: int

    def values(self, panel: Panel | None = None, side: SideTable | None = None) -> np.ndarray:
        """The columns, float64 (T, A, F), on this market's data or other."""
        return evaluate(self.columns, panel or self.panel, self.side if side is None else side)

    @cached_property
    def whole(self) -> np.ndarray:
        """The columns on all of this market, computed once."""
        return self.values()

    def of(self, column: int) -> np.ndarray:
        """One of the columns on all of this market, (T, A)."""
        return np.asarray(self.whole[..., column])

    def only(self, columns: Iterable[PlannedFeature]) -> Market:
        """The same data for some of the columns."""
        return replace(self, columns=tuple(columns))

    @property
    def rng(self) -> np.random.Generator:
        """Random numbers, the same for every law."""
        return np.random.default_rng(self.seed)


def laws(module: ModuleType, *, seed: int = 0) -> list[LawOutcome]:
    """Check every law for every feature of a source.

    Parameters
    ----------
    module : module
        The source: a module with functions marked by :func:`mnpu.feature`.
    seed : int, default=0
        Of the made-up market.

    Returns
    -------
    outcomes : list of LawOutcome
        ``law`` reads ``function: what must hold``.
    """
    functions = features_of(module)
    if not functions:
        return [LawOutcome("has features", False, f"{module.__name__} has no function marked with @feature")]
    columns: dict[str, list[PlannedFeature]] = {}
    broken: dict[str, LawOutcome] = {}
    for name, function in functions.items():
        try:
            columns[name] = plan_function(function, {}, source=module.__name__.rpartition(".")[2])
        except MnpuError as error:
            broken[name] = LawOutcome(f"{name}: works with its defaults", False, str(error))
    wrong = _tried([column for some in columns.values() for column in some], seed, module)
    outcomes = []
    for name in functions:
        outcomes += [broken[name]] if name in broken else []
        for column in columns.get(name, ()):
            outcomes += [_outcome(name, law, wrong[law].get(column.name, "")) for law in LAWS]
    return outcomes


def _outcome(name: str, law: str, detail: str) -> LawOutcome:
    return LawOutcome(f"{name}: {law}", not detail or law in REMARKS, detail)


def _tried(columns: Sequence[PlannedFeature], seed: int, module: ModuleType) -> dict[str, Wrong]:
    """What is wrong with the columns, by law."""
    wrong: dict[str, Wrong] = {law: {} for law in LAWS}
    for market in _markets(columns, seed):
        for law, check in LAWS.items():
            wrong[law] |= _checked(check, market)
        told = wrong["does not see the future"].keys() | wrong["is deterministic"].keys()
        honest = market.only([column for column in market.columns if column.name not in told])
        wrong["answers to its data"] |= _checked(partial(_first_sight, module=module), honest)
    return wrong


def _checked(check: Callable[[Market], Wrong], market: Market) -> Wrong:
    try:
        return check(market)
    except MnpuError as error:  # of one of them: each is asked by itself
        if len(market.columns) == 1:
            return {market.columns[0].name: str(error)}
    return {
        name: detail for column in market.columns for name, detail in _checked(check, market.only([column])).items()
    }


def _markets(columns: Sequence[PlannedFeature], seed: int) -> list[Market]:
    """The columns in groups, each with a market for it."""
    groups: dict[Any, list[PlannedFeature]] = {}
    made: dict[Any, Market] = {}
    for column in columns:
        series, kind, bars = tuple(series_needed([column])), column.spec.kind, _bars(column.spec.warmup)
        for frequency in ("1d", "1h"):
            key = (frequency, series, kind if series else "", bars)
            if key not in made:
                made[key] = _market(series, kind, bars, frequency, seed)
            asked, vandal = _asked(made[key].only([column]))
            if asked:  # otherwise it reads days beside its bars
                break
        else:
            key, vandal = ("1d", *key[1:]), False
        groups.setdefault((key, column.name) if vandal else (key, ""), []).append(column)
    # what a vandal writes into is nobody else's
    return [
        (_market(key[1], key[2] or "macro", key[3], key[0], seed) if alone else made[key]).only(some)
        for (key, alone), some in groups.items()
    ]


def _bars(warmup: int) -> int:
    longest = SHORT
    while longest < warmup:
        longest *= 2
    return 2 * longest + 60


def _market(series: Sequence[str], kind: str, bars: int, frequency: str, seed: int) -> Market:
    rng = np.random.default_rng(seed)
    panel = synthetic_panel(rng, bars=bars, frequency=frequency)
    return Market((), panel, synthetic_side(series, panel, rng, kind=kind), seed)


def _asked(market: Market) -> tuple[bool, bool]:
    """Whether the feature can be asked for on bars of this length at all, and whether it writes into what it reads."""
    fields = {name: values.copy() for name, values in market.panel.fields.items()}
    panel = replace(market.panel, fields=fields, tradable=market.panel.tradable.copy())
    side = replace(market.side, value=market.side.value.copy())
    try:
        market.values(panel, side)
    except ConfigError:
        return False, False
    except MnpuError:  # a failure, for the laws to tell
        pass
    return True, bool(_changed(market, panel, side))


def _changed(market: Market, panel: Panel, side: SideTable) -> list[str]:
    """What of copies of the market's data is not as in the market."""
    changed = [name for name, values in panel.fields.items() if not np.array_equal(values, market.panel[name], True)]
    if not np.array_equal(side.value, market.side.value) or not np.array_equal(panel.tradable, market.panel.tradable):
        changed.append("side data or tradability")
    return changed


def _documented(market: Market) -> Wrong:
    """It is listed by the first line of its docstring, and checked by the types of its parameters."""
    wrong: Wrong = {}
    for column in market.columns:
        spec, fields = column.spec, model_of(column.function).model_fields
        untyped = [name for name in spec.params if fields[name].annotation is Any]
        if untyped:
            wrong[column.name] = f"no type for {', '.join(untyped)}"
        elif not spec.description:
            wrong[column.name] = "has no docstring"
    return wrong


def _has_values(market: Market) -> Wrong:
    wrong: Wrong = {}
    for f, column in enumerate(market.columns):
        if np.isinf(market.of(f)).any():
            wrong[column.name] = "has infinite values; return NaN where it is undefined"
        elif not np.isfinite(market.of(f)).any():
            wrong[column.name] = "has no finite value on a market that has everything"
    return wrong


def _told(leaks: Iterable[Leak]) -> Wrong:
    """The first leak of each column."""
    return {leak.column: str(leak) for leak in reversed(list(leaks))}


def _future(market: Market) -> Wrong:
    rng = market.rng
    cuts = choose_cuts(market.panel, market.side, count=CUTS, rng=rng)
    return _told(future_perturbation(market.columns, market.panel, market.side, cuts=cuts, rng=rng))


def _truncation(market: Market) -> Wrong:
    chosen = choose_cuts(market.panel, market.side, count=CUTS, rng=market.rng)
    alike: dict[tuple[int, ...], list[PlannedFeature]] = {}
    for column in market.columns:
        cuts = tuple(sorted({max(cut, column.spec.warmup - 1) for cut in chosen}))
        alike.setdefault(cuts, []).append(column)
    leaks = [truncation(some, market.panel, market.side, cuts=cuts) for cuts, some in alike.items()]
    return _told(leak for found in leaks for leak in found)


def _vintages(market: Market) -> Wrong:
    rng = market.rng
    eves = choose_eves(market.panel, market.side, count=2 * CUTS, rng=rng)
    return _told(later_vintages(market.columns, market.panel, market.side, cuts=eves, rng=rng))


def _publication(market: Market) -> Wrong:
    rng = market.rng
    eves = choose_eves(market.panel, market.side, count=2 * CUTS, rng=rng)
    leaks = future_perturbation(market.columns, market.panel, market.side, cuts=eves, rng=rng)
    return _told([*leaks, *shifted_knowledge(market.columns, market.panel, market.side, cuts=eves, rng=rng)])


def _warmup_enough(market: Market) -> Wrong:
    """The last row of exactly ``warmup`` bars is the value that a longer history gives, unless a state is carried."""
    wrong: Wrong = {}
    alike: dict[int, list[int]] = {}
    for f, column in enumerate(market.columns):
        if not column.spec.state:
            alike.setdefault(column.spec.warmup, []).append(f)
    bars = len(market.panel.times)
    for warmup, numbers in alike.items():
        some = market.only(market.columns[f] for f in numbers)
        for last in (warmup + 1, bars // 2 + 7, bars - 1):
            last_row = some.values(market.panel.rows(last - warmup + 1, last + 1))[-1]
            for alone, f in zip(last_row.T, numbers, strict=True):
                whole = market.of(f)[last]
                if not np.allclose(alone, whole, rtol=1e-9, atol=1e-12, equal_nan=True):
                    told = f"declares {warmup} bars, but {warmup} bars alone give {alone} and the whole history {whole}"
                    wrong.setdefault(market.columns[f].name, told)
    return wrong


def _warmup_kept(market: Market) -> Wrong:
    """A feature of bars has no value before it has seen as many as it says it needs, unless it says that it has.

    Longer bars begin at their own hours, so that fewer bars than in the worst case may do: such a value may be there
    early if it is the one that a longer history gives.
    """
    early = {
        column.name: _early(market.only([column]), market.of(f))
        for f, column in enumerate(market.columns)
        if not column.spec.short_start
    }
    return {name: detail for name, detail in early.items() if detail}


def _early(market: Market, whole: np.ndarray) -> str:
    (column,) = market.columns
    warmup = column.spec.warmup
    early = np.isfinite(whole[: warmup - 1])
    if not early.any():
        return ""
    told = f"declares {warmup} bars and has a value after {int(np.argwhere(early)[0, 0]) + 1}"
    if column.spec.state or not _reads_longer_bars(market):
        return told
    for start in range(1, min(STARTS, len(whole) - warmup)):
        alone = market.values(market.panel.rows(start, start + warmup - 1))[..., 0]
        there, longer = np.isfinite(alone), whole[start : start + warmup - 1]
        if not np.allclose(alone[there], longer[there], rtol=1e-9, atol=1e-12, equal_nan=True):
            return f"{told}, which is not that of a longer history"
    return ""


def _reads_longer_bars(market: Market) -> bool:
    """Whether the feature asks for bars of another length."""
    asked: list[str] = []

    class Watched(View):
        def coarser(self, frequency: str) -> CoarseView:
            asked.append(frequency)
            return super().coarser(frequency)

    (column,) = market.columns
    view = Watched(market.panel, market.side, fields=column.spec.fields, series=column.spec.series)
    with np.errstate(all="ignore"):
        column.function(view, **column.spec.params)
    return bool(asked)


def _scale_free(market: Market) -> Wrong:
    free = [f for f, column in enumerate(market.columns) if column.spec.scale_free]
    if not free:
        return {}
    columns = [market.columns[f] for f in free]
    values = np.stack([market.of(f) for f in free], axis=-1)
    changed = scale_changes(columns, market.panel, market.side, values, range(market.panel.shape[1]))
    wrong: Wrong = {}
    for i, column in enumerate(columns):
        if changed[..., i].any():
            t, a = np.argwhere(changed[..., i])[0]
            wrong[column.name] = (
                f"the value {values[t, a, i]:.6g} of {market.panel.symbols[a]} changes when the prices of each symbol "
                "are multiplied by a number of its own; declare scale_free=False"
            )
    return wrong


def _deterministic(market: Market) -> Wrong:
    again = market.values()
    return {
        column.name: "two computations on the same data differ"
        for f, column in enumerate(market.columns)
        if not np.array_equal(again[..., f], market.of(f), equal_nan=True)
    }


def _input_kept(market: Market) -> Wrong:
    wrong: Wrong = {}
    for column in market.columns:
        fields = {name: values.copy() for name, values in market.panel.fields.items()}
        panel = replace(market.panel, fields=fields, tradable=market.panel.tradable.copy())
        side = replace(market.side, value=market.side.value.copy())
        market.only([column]).values(panel, side)
        changed = _changed(market, panel, side)
        if changed:
            wrong[column.name] = f"changes its input: {', '.join(changed)}"
    return wrong


def _answers(market: Market) -> Wrong:
    deaf = remembered(market.columns, market.panel, market.side, rng=market.rng)
    return dict.fromkeys(deaf, "gives the same values when all data that it reads is replaced")


def _first_sight(market: Market, *, module: ModuleType) -> Wrong:
    """Values are those of a process that saw another future first, unless something is remembered between calls.

    A part of ``answers to its data`` that asks functions of a module imported anew, each group of columns its own.
    """
    functions: Mapping[str, Callable[..., np.ndarray]] = functions_afresh(module)
    asked = [f for f, column in enumerate(market.columns) if column.spec.function in functions]
    if not asked:
        return {}
    cut = market.panel.shape[0] // 2
    future = with_noise_after(market.panel, market.side, cut, market.rng)
    fresh = [replace(market.columns[f], function=functions[market.columns[f].spec.function]) for f in asked]
    other, base = evaluate(fresh, *future)[: cut + 1], market.whole[: cut + 1][..., asked]
    leaks = compare(fresh, market.panel, base, other, cut, "noise", identical)
    return {leak.column: f"remembers the first data that it saw, with its future: {leak}" for leak in leaks}


def _unknown_refused(market: Market) -> Wrong:
    wrong: Wrong = {}
    for column in market.columns:
        try:
            plan_function(column.function, {"no_such_parameter": 1}, source=column.spec.source)
        except ConfigError:
            continue
        wrong[column.name] = "accepts a parameter that it does not have"
    return wrong


#: What must hold, and the check of it, which says what is wrong with which columns.
LAWS: dict[str, Callable[[Market], Wrong]] = {
    "says what it is": _documented,
    "has values": _has_values,
    "does not see the future": _future,
    "is the same on data cut short": _truncation,
    "does not see a later vintage": _vintages,
    "sees nothing before it is published": _publication,
    "needs no more bars than its warm-up": _warmup_enough,
    "has no value before its warm-up": _warmup_kept,
    "is scale-free if it says so": _scale_free,
    "is deterministic": _deterministic,
    "leaves its input alone": _input_kept,
    "answers to its data": _answers,
    "refuses unknown parameters": _unknown_refused,
    **STREAMING,
    **REMARKS,
}
