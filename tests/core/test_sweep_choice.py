"""What a choice among trials is worth: every number from loops and formulas that are written here."""

from __future__ import annotations

import json
import math
from statistics import NormalDist

import numpy as np
import pytest

from mnpu import ledger
from mnpu.errors import ConfigError
from mnpu.sweep.agenda import section
from mnpu.sweep.catalogue import read_catalogue
from mnpu.sweep.choice import choices
from mnpu.sweep.look import look
from tests.core.test_sweep_catalogue import ALL, a_result, a_sweep


def ratio(net):
    return net.mean() / net.std(ddof=1)


def deflated(net, variance, n):
    z = NormalDist()
    euler = 0.5772156649015329
    luck = math.sqrt(variance) * ((1 - euler) * z.inv_cdf(1 - 1 / n) + euler * z.inv_cdf(1 - 1 / (n * math.e)))
    own = ratio(net)
    centred = (net - net.mean()) / net.std()
    skew, kurtosis = (centred**3).mean(), (centred**4).mean()
    error = math.sqrt((1 - skew * own + (kurtosis - 1) / 4 * own**2) / (len(net) - 1))
    return z.cdf((own - luck) / error)


@pytest.fixture
def nets(rng):
    """Four independent ideas, and twins of the first that nearly repeat it."""
    ideas = rng.normal(0.0004, 0.01, (4, 120))
    return np.concatenate([ideas, ideas[:1] + rng.normal(0, 1e-4, (3, 120))])


def test_the_best_is_deflated_by_the_ideas_and_by_all(tmp_path, nets):
    a_sweep(tmp_path, [(f"m{n}", a_result(net, ALL)) for n, net in enumerate(nets)])
    [found] = choices(read_catalogue(tmp_path, "s"))
    ratios = np.array([ratio(net) for net in nets])
    best = int(np.argmax(ratios))
    assert found.best.axes["model"] == f"m{best}"
    assert (found.trials, found.judgement.n_trials, found.judgement.n_trials_eff) == (7, 7, 4)
    assert found.dsr_all == pytest.approx(deflated(nets[best], ratios.var(ddof=1), 7), abs=1e-9)
    weights = np.array([1 / 4, 1, 1, 1, 1 / 4, 1 / 4, 1 / 4]) / 4  # each idea weighs the same
    spread = weights @ (ratios - weights @ ratios) ** 2 * 4 / 3
    assert found.judgement.dsr.value == pytest.approx(deflated(nets[best], spread, 4), abs=1e-9)
    assert found.best.values["dsr"] == found.judgement.dsr.value


def test_a_trial_that_failed_was_tried(tmp_path, nets):
    a_sweep(tmp_path, [(f"m{n}", a_result(net, ALL)) for n, net in enumerate(nets)])
    axes = json.dumps({"model": "bad", "seed": 0})
    ledger.append(tmp_path, {"run_id": "x-001", "status": "failed", "sweep": "s", "trial": "x", "axes": axes})
    [found] = choices(read_catalogue(tmp_path, "s"))
    ratios = np.array([ratio(net) for net in nets])
    assert found.trials == 8
    assert found.dsr_all == pytest.approx(deflated(nets[np.argmax(ratios)], ratios.var(ddof=1), 8), abs=1e-9)


def test_models_without_chance_are_one_idea_for_all_seeds(tmp_path, nets):
    a_sweep(tmp_path, [(f"m{n}", a_result(nets[0], ALL)) for n in range(3)])
    [found] = choices(read_catalogue(tmp_path, "s"))
    assert (found.judgement.n_trials, found.judgement.n_trials_eff) == (3, 1)


def test_without_their_folders_trials_count_one_by_one(tmp_path, nets):
    a_sweep(tmp_path, [(f"m{n}", a_result(net, ALL)) for n, net in enumerate(nets)], keep=False)
    [found] = choices(read_catalogue(tmp_path, "s"))
    assert found.judgement.n_trials_eff == 7
    assert found.judgement.dsr.value == pytest.approx(found.dsr_all, abs=1e-9)
    assert found.luck


def test_one_trial_was_no_choice(tmp_path, nets):
    a_sweep(tmp_path, [("x", a_result(nets[0], ALL))])
    [found] = choices(read_catalogue(tmp_path, "s"))
    assert found.judgement.pbo.value is None
    assert "strategies on the same decisions" in found.judgement.pbo.reason
    assert found.judgement.dsr.value == pytest.approx(deflated_alone(nets[0]), abs=1e-9)


def deflated_alone(net):
    return deflated(net, 0.0, 2)


def test_people_are_told_wherever_the_numbers_stand(tmp_path, nets, mnpu):
    a_sweep(tmp_path, [(f"m{n}", a_result(net, ALL)) for n, net in enumerate(nets)])
    for words in (["show", "s"], ["compare", "s"]):
        code, out, _ = mnpu("sweep", *words, "--runs", tmp_path)
        assert code == 0
        assert "the best of 7 by sharpe" in out
        assert "chosen on these numbers" in out
        assert "not distinguishable from luck" in out
        assert "amount to 4 independent ones" in out
        told = json.loads(mnpu("sweep", *words, "--runs", tmp_path, "--json")[1])["choices"]
        assert told[0]["best"]["judgement"]["n_trials_eff"] == 4
        assert told[0]["luck"]
    assert "chosen on these numbers" in section(read_catalogue(tmp_path, "s"))


def test_without_a_locked_range_there_is_nothing_to_look_at(tmp_path, nets):
    a_sweep(tmp_path, [("x", a_result(nets[0], ALL))])
    with pytest.raises(ConfigError, match=r"no range is locked in sweep 's'"):
        look(tmp_path, "s")
