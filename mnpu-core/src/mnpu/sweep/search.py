"""Which places of a sweep are tried: all of them, some at random, or where trials did well (ASHA; TPE in `tpe`).

A search is asked for trials, and told what became of all of them before it is asked again. What it says depends on its
seed and on what it was told alone, not on time or on the number of workers, so a sweep that was killed is asked again
from its beginning and told what the ledger knows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from mnpu.sweep.definition import Axis, Budget, Sweep
from mnpu.sweep.trials import grid

__all__ = ["Asha", "Grid", "Proposal", "Random", "Searcher", "searcher"]

_REDRAWS = 200


class Proposal(NamedTuple):
    """A place on every axis, and of ASHA what the trial is given."""

    place: Mapping[str, Any]
    budget: int | None = None


class Searcher(Protocol):
    """Chooses trials."""

    def ask(self) -> list[Proposal]:
        """The next trials; none when the search is over."""
        ...

    def tell(self, scores: Sequence[tuple[Proposal, float | None]]) -> None:
        """What became of all that were asked for: higher is better, None for a trial that failed."""
        ...


def searcher(sweep: Sweep) -> Searcher:
    """The search that a sweep asks for."""
    search = sweep.search
    if search.use == "grid":
        return Grid(sweep.axes)
    assert search.trials is not None
    if search.use == "random":
        return Random(sweep.axes, search.trials, seed=search.seed)
    if search.given is not None:
        return Asha(sweep.axes, search.trials, budget=search.given, batch=search.batch, seed=search.seed)
    from mnpu.sweep.tpe import Tpe

    return Tpe(sweep.axes, search.trials, batch=search.batch, seed=search.seed)


class Grid:
    """Every combination, at once."""

    def __init__(self, axes: Mapping[str, Axis]) -> None:
        self._left = [Proposal(place) for place in grid(axes)]

    def ask(self) -> list[Proposal]:
        """All, the first time."""
        asked, self._left = self._left, []
        return asked

    def tell(self, scores: Sequence[tuple[Proposal, float | None]]) -> None:
        """Nothing is made of it."""


class Random:
    """Places drawn evenly from every axis, each once.

    Parameters
    ----------
    axes : mapping of str to Axis
    trials : int
        Fewer where there are no more places.
    seed : int
    """

    def __init__(self, axes: Mapping[str, Axis], trials: int, *, seed: int) -> None:
        draws = Draws(axes, seed)
        drawn = (draws.new() for _ in range(trials))
        self._left = [Proposal(place) for place in drawn if place is not None]

    def ask(self) -> list[Proposal]:
        """All, the first time: none depends on another."""
        asked, self._left = self._left, []
        return asked

    def tell(self, scores: Sequence[tuple[Proposal, float | None]]) -> None:
        """Nothing is made of it."""


class Draws:
    """Places at random, none twice."""

    def __init__(self, axes: Mapping[str, Axis], seed: int) -> None:
        self._axes = axes
        self._rng = np.random.default_rng(seed)
        self._seen: set[tuple[Any, ...]] = set()

    def new(self) -> dict[str, Any] | None:
        """One that was not drawn before; None where there seems to be none."""
        for _ in range(_REDRAWS):
            place = {name: self._draw(axis) for name, axis in self._axes.items()}
            if tuple(place.values()) not in self._seen:
                self._seen.add(tuple(place.values()))
                return place
        return None

    def _draw(self, axis: Axis) -> Any:
        if axis.low is None or axis.high is None:
            return int(self._rng.integers(len(axis.cases or axis.values or ())))
        share = self._rng.random()
        low, high = (axis.low - 0.5, axis.high + 0.5) if axis.integer else (axis.low, axis.high)
        if axis.log:
            drawn = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        else:
            drawn = low + share * (high - low)
        held = min(max(drawn, axis.low), axis.high)
        return round(held) if axis.integer else float(held)


@dataclass
class Rung:
    """What trials with one budget reached, and who went on from it."""

    scores: dict[int, float] = field(default_factory=dict)
    promoted: set[int] = field(default_factory=set)

    def promotable(self, eta: int) -> int | None:
        """The best of the top one in ``eta`` that has not gone on; an earlier trial wins a tie."""
        ranked = sorted(self.scores, key=lambda number: (-self.scores[number], number))
        top = ranked[: len(ranked) // eta]
        free = (number for number in top if number not in self.promoted and math.isfinite(self.scores[number]))
        return next(free, None)


class Asha:
    """Asynchronous successive halving: whoever is among the best one in ``eta`` of its rung goes on with ``eta`` times.

    Source: Li et al. (2020), "A system for massively parallel hyperparameter tuning", algorithm 2. Departs from it in
    one way: ``batch`` trials are chosen together and waited for, so that the choice depends on no clock.

    Parameters
    ----------
    axes : mapping of str to Axis
    trials : int
        Runs, those that go on counted anew: each is fitted from its beginning.
    budget : Budget
    batch, seed : int
    """

    def __init__(self, axes: Mapping[str, Axis], trials: int, *, budget: Budget, batch: int, seed: int) -> None:
        self._draws, self._left, self._batch, self._eta = Draws(axes, seed), trials, batch, budget.eta
        steps = [budget.low]
        while steps[-1] * budget.eta < budget.high:
            steps.append(steps[-1] * budget.eta)
        self.budgets = [*steps, budget.high]
        self.rungs = [Rung() for _ in self.budgets]
        self._places: list[Mapping[str, Any]] = []
        self._asked: list[tuple[int, int]] = []

    def ask(self) -> list[Proposal]:
        """The next batch: those that go on first, the highest rung before the others, and new ones."""
        self._asked = []
        while len(self._asked) < min(self._batch, self._left):
            job = self._promoted() or self._new()
            if job is None:
                break
            self._asked.append(job)
        self._left -= len(self._asked)
        return [Proposal(self._places[number], self.budgets[rung]) for number, rung in self._asked]

    def tell(self, scores: Sequence[tuple[Proposal, float | None]]) -> None:
        """Enter the batch into its rungs; a trial that failed never goes on."""
        for (number, rung), (_, score) in zip(self._asked, scores, strict=True):
            usable = score is not None and math.isfinite(score)
            self.rungs[rung].scores[number] = float(score) if usable and score is not None else -math.inf

    def _promoted(self) -> tuple[int, int] | None:
        for rung in reversed(range(len(self.rungs) - 1)):
            number = self.rungs[rung].promotable(self._eta)
            if number is not None:
                self.rungs[rung].promoted.add(number)
                return number, rung + 1
        return None

    def _new(self) -> tuple[int, int] | None:
        place = self._draws.new()
        if place is None:
            return None
        self._places.append(place)
        return len(self._places) - 1, 0
