"""A search says the same whenever it is asked again, and looks where it should."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mnpu.sweep.definition import Axis, Budget, Search, Sweep
from mnpu.sweep.search import Asha, Grid, Random, Rung, searcher

AXES = {
    "lr": Axis(low=1e-4, high=1e-1, log=True),
    "depth": Axis(low=1, high=6, integer=True),
    "head": Axis(values=["quantile", "gaussian"]),
}


def driven(search, score, most=1000):
    """All proposals with their scores, asked and told until the end."""
    found = []
    while asked := search.ask():
        scores = [(proposal, score(proposal)) for proposal in asked]
        search.tell(scores)
        found += scores
        assert len(found) <= most
    return found


def test_a_grid_has_every_combination_once():
    axes = {"a": Axis(values=[1, 2, 3]), "b": Axis(cases={"x": {}, "y": {}})}
    found = [tuple(proposal.place.values()) for proposal, _ in driven(Grid(axes), lambda p: 0.0)]
    assert found == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]


def test_random_draws_evenly_on_the_scale_of_each_axis():
    places = [proposal.place for proposal in Random(AXES, 4000, seed=1).ask()]
    logs = np.log10([place["lr"] for place in places])
    assert (logs.min() >= -4, logs.max() <= -1) == (True, True)
    assert logs.mean() == pytest.approx(-2.5, abs=0.05)
    depths = np.bincount([place["depth"] for place in places], minlength=7)[1:] / 4000
    assert depths == pytest.approx(np.full(6, 1 / 6), abs=0.03)
    assert all(type(place["depth"]) is int for place in places)


def test_random_draws_no_place_twice_and_ends_where_there_are_no_more():
    axes = {"a": Axis(values=[1, 2, 3]), "b": Axis(values=[1, 2])}
    places = [tuple(proposal.place.values()) for proposal in Random(axes, 50, seed=0).ask()]
    assert len(places) == len(set(places)) == 6


def test_a_rung_promotes_the_best_one_in_eta():
    rung = Rung({number: score for number, score in enumerate([0.1, 0.9, 0.5, 0.9, -math.inf])})
    assert rung.promotable(3) == 1
    rung.promoted.add(1)
    assert rung.promotable(3) is None, "one of five in three"
    rung.scores[5] = 0.0
    assert rung.promotable(3) == 3


def test_asha_gives_more_to_whoever_does_well():
    """Brute force: among those of a rung, the promoted are the best, and each rung has at most one in eta of it."""
    budget = Budget(low=1, high=9, eta=3)
    search = Asha(AXES, 120, budget=budget, batch=6, seed=0)
    found = driven(search, lambda p: -abs(math.log10(p.place["lr"]) + 2) + 0.001 * p.budget)
    assert search.budgets == [1, 3, 9]
    assert len(found) == 120
    sizes = [sum(p.budget == b for p, _ in found) for b in search.budgets]
    assert sizes[0] > sizes[1] > sizes[2] > 3
    for lower, upper in zip(search.rungs[:-1], search.rungs[1:], strict=True):
        assert set(upper.scores) == lower.promoted
        assert len(lower.promoted) <= len(lower.scores) // 3
        ranked = sorted(lower.scores.values(), reverse=True)
        assert np.mean([lower.scores[n] for n in lower.promoted]) > np.mean(ranked[: len(ranked) // 2])
    assert max(found, key=lambda pair: pair[1])[0].budget == 9


def test_asha_never_promotes_what_failed():
    search = Asha(AXES, 40, budget=Budget(low=1, high=4, eta=2), batch=4, seed=0)
    found = driven(search, lambda p: None if p.place["head"] == 0 else 1.0)
    assert {p.place["head"] for p, _ in found if p.budget > 1} == {1}


def test_asha_ends_where_there_are_no_more_places():
    search = Asha({"a": Axis(values=[1, 2, 3, 4])}, 100, budget=Budget(low=1, high=4, eta=2), batch=3, seed=0)
    assert len(driven(search, lambda p: p.place["a"])) <= 7


@pytest.mark.parametrize("use", ["grid", "random", "asha", "tpe"])
def test_the_same_answers_lead_to_the_same_questions(use):
    if use == "tpe":
        pytest.importorskip("optuna", reason="a search by tpe needs mnpu-core[search]")
    axes = AXES if use != "grid" else {"head": AXES["head"]}
    sweep = Sweep(name="s", base="b", axes=axes, search=Search(use=use, trials=None if use == "grid" else 30, seed=4))

    def score(proposal):
        return -abs(math.log10(proposal.place.get("lr", 1)) + 2)

    assert driven(searcher(sweep), score) == driven(searcher(sweep), score)


def test_tpe_ends_up_where_it_is_good():
    pytest.importorskip("optuna", reason="a search by tpe needs mnpu-core[search]")
    from mnpu.sweep.tpe import Tpe

    found = driven(
        Tpe(AXES, 60, batch=4, seed=0),
        lambda p: None if p.place["depth"] == 6 else -abs(math.log10(p.place["lr"]) + 2) - p.place["head"],
    )
    assert len(found) == 60
    late = [p.place for p, _ in found[40:]]
    drawn = [p.place for p in Random(AXES, 60, seed=0).ask()]
    distance = [np.mean([abs(math.log10(place["lr"]) + 2) for place in places]) for places in (late, drawn)]
    assert distance[0] < distance[1] / 1.5
    assert np.mean([place["head"] for place in late]) < 0.3


def test_without_optuna_tpe_says_what_to_install(monkeypatch):
    import sys

    from mnpu.errors import PluginError
    from mnpu.sweep.tpe import Tpe

    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(PluginError, match=r'pip install "mnpu-core\[search\]"'):
        Tpe(AXES, 3, batch=1, seed=0)
