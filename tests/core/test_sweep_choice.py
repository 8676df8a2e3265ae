"""What a choice among trials is worth: every number from loops and formulas that are written here."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from mnpu import ledger
from mnpu.errors import ConfigError
from mnpu.sweep.agenda import section
from mnpu.sweep.catalogue import read_catalogue
from mnpu.sweep.choice import choices, cscv_blocks
from mnpu.sweep.look import look
from mnpu.types import Metric, PathOutcome
from tests.core.test_sweep_catalogue import ALL, a_result, a_sweep


def ratio(net):
    return net.mean() / net.std(ddof=1)


def overfitted(nets, blocks):
    """CSCV by brute force: halves whose best is no better than the median in the other half."""
    cut = np.split(np.arange(nets.shape[1]), np.linspace(0, nets.shape[1], blocks + 1).round().astype(int)[1:-1])
    bad = []
    for half in itertools.combinations(range(blocks), blocks // 2):
        inside = np.concatenate([cut[k] for k in half])
        outside = np.concatenate([cut[k] for k in range(blocks) if k not in half])
        best = np.argmax([ratio(net[inside]) for net in nets])
        others = np.array([ratio(net[outside]) for net in nets])
        rank = (others < others[best]).sum() + 1
        bad.append(rank / (len(nets) + 1) <= 0.5)
    return np.mean(bad)


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


def test_the_best_is_deflated_by_the_ideas_and_by_all_and_its_choice_is_judged(tmp_path, nets):
    a_sweep(tmp_path, [(f"m{n}", a_result(net, ALL)) for n, net in enumerate(nets)])
    [found] = choices(read_catalogue(tmp_path, "s"))
    ratios = np.array([ratio(net) for net in nets])
    best = int(np.argmax(ratios))
    assert found.best.axes["model"] == f"m{best}"
    assert (found.trials, found.effective, found.bars, found.reason) == (7, 4, 120, "")
    assert found.dsr_all == pytest.approx(deflated(nets[best], ratios.var(ddof=1), 7), abs=1e-9)
    weights = np.array([1 / 4, 1, 1, 1, 1 / 4, 1 / 4, 1 / 4]) / 4  # each idea weighs the same
    spread = weights @ (ratios - weights @ ratios) ** 2 * 4 / 3
    assert found.dsr == pytest.approx(deflated(nets[best], spread, 4), abs=1e-9)
    assert found.pbo_blocks == 16
    assert found.pbo == pytest.approx(overfitted(nets, 16), abs=1e-12)


def test_a_trial_that_failed_was_tried(tmp_path, nets):
    a_sweep(tmp_path, [(f"m{n}", a_result(net, ALL)) for n, net in enumerate(nets)])
    axes = json.dumps({"model": "bad", "seed": 0})
    ledger.append(tmp_path, {"run_id": "x-001", "status": "failed", "sweep": "s", "trial": "x", "axes": axes})
    [found] = choices(read_catalogue(tmp_path, "s"))
    ratios = np.array([ratio(net) for net in nets])
    assert found.trials == 8
    assert found.dsr_all == pytest.approx(deflated(nets[np.argmax(ratios)], ratios.var(ddof=1), 8), abs=1e-9)


def test_trials_are_judged_on_the_bars_that_all_have(tmp_path, nets):
    late = ALL.copy()
    late[:12] = False
    results = [a_result(net, late if n == 2 else ALL) for n, net in enumerate(nets[:4])]
    a_sweep(tmp_path, [(f"m{n}", result) for n, result in enumerate(results)])
    [found] = choices(read_catalogue(tmp_path, "s"))
    assert found.bars == 108
    assert found.pbo == pytest.approx(overfitted(nets[:4, 12:], 16), abs=1e-12)


def test_twins_are_nothing_to_choose_among(tmp_path, nets):
    """A model without chance has the same returns for every seed: ties would count as overfitted."""
    a_sweep(tmp_path / "one", [(f"m{n}", a_result(nets[0], ALL)) for n in range(3)])
    [found] = choices(read_catalogue(tmp_path / "one", "s"))
    assert (found.pbo, found.effective, found.reason) == (None, 1, "there is nothing to choose among")
    a_sweep(tmp_path / "two", [(f"m{n}", a_result(nets[k], ALL)) for n, k in enumerate((0, 1, 2, 1, 0))])
    [found] = choices(read_catalogue(tmp_path / "two", "s"))
    assert found.pbo == pytest.approx(overfitted(nets[:3], 16), abs=1e-12)


def test_every_path_of_a_split_is_asked(tmp_path, nets, rng):
    paths = rng.normal(0.0004, 0.01, (3, 4, 120))
    results = []
    for n in range(4):
        own = tuple(PathOutcome(k, paths[k, n], {"sharpe": Metric("sharpe", ratio(paths[k, n]), "")}) for k in range(3))
        results.append((f"m{n}", replace(a_result(paths[0, n], ALL), paths=own)))
    a_sweep(tmp_path, results)
    [found] = choices(read_catalogue(tmp_path, "s"))
    assert found.pbo_paths == pytest.approx(sorted(overfitted(path, 16) for path in paths), abs=1e-12)
    assert found.pbo == pytest.approx(overfitted(paths[0], 16), abs=1e-12)


@pytest.mark.parametrize(("bars", "blocks"), [(3, 0), (4, 2), (7, 2), (31, 14), (32, 16), (33, 16), (5000, 16)])
def test_as_many_blocks_as_there_is_room_for(bars, blocks):
    assert cscv_blocks(bars) == blocks


def test_what_cannot_be_known_is_said_and_is_no_praise(tmp_path, nets):
    a_sweep(tmp_path, [("x", a_result(nets[0], ALL)), ("y", a_result(nets[1], ALL))], keep=False)
    [found] = choices(read_catalogue(tmp_path, "s"))
    assert found.luck
    assert found.dsr is None
    assert "holds no result" in found.reason


def test_one_trial_was_no_choice(tmp_path, nets):
    a_sweep(tmp_path, [("x", a_result(nets[0], ALL))])
    [found] = choices(read_catalogue(tmp_path, "s"))
    assert (found.pbo, found.reason) == (None, "there is nothing to choose among")
    assert found.dsr == pytest.approx(deflated_alone(nets[0]), abs=1e-9)


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
        assert "16 blocks of 120 bars" in out
        told = json.loads(mnpu("sweep", *words, "--runs", tmp_path, "--json")[1])["choices"]
        assert told[0]["pbo_blocks"] == 16
    assert "chosen on these numbers" in section(read_catalogue(tmp_path, "s"))


def test_without_a_locked_range_there_is_nothing_to_look_at(tmp_path, nets):
    a_sweep(tmp_path, [("x", a_result(nets[0], ALL))])
    with pytest.raises(ConfigError, match=r"no range is locked in sweep 's'"):
        look(tmp_path, "s")
