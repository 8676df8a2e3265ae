"""A Sharpe ratio is judged by all that was tried: from rows of the ledger to the words of the report."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import replace
from math import e, sqrt

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mnpu import ledger, report
from mnpu.commands._outcome import outcome_json, print_outcome
from mnpu.execute import Executed
from mnpu.hashing import hash_config
from mnpu.judging import LEAST_STRATEGIES, Judge, judged
from mnpu.metrics.compute import compute
from mnpu.metrics.overfitting import pbo
from mnpu.plugins.registry import Registry
from mnpu.results_io import write_result
from mnpu.rundir import RunDirectory
from mnpu.trials import facts
from mnpu.types import Forecast, GateOutcome, PathOutcome, Positions, Result, Run

T, Q = 1_000, 252.0
TIMES = pd.bdate_range("2015-01-01 21:00", periods=T, tz="UTC").as_unit("ns")
STARTED = pd.Timestamp("2026-01-02", tz="UTC")


def a_result(net, *, recipe="own", name="demo", data="d", number=1, forecast=True, gates=(), config=None):
    """A finished result of some returns; the forecast says only that a model made it."""
    times, zero = TIMES[: len(net)], np.zeros(len(net))
    book = Positions(times, ("A",), zero[:, None], np.ones(len(net), dtype=bool))
    said = Forecast(times, ("A",), (1,), (0.05, 0.5, 0.95), np.tile([-0.1, 0.0, 0.1], (len(net), 1, 1, 1)))
    run = Run(f"{recipe}-{number:03d}", recipe, name, 0, "c" + recipe, data, "e", "f", {}, config or {}, STARTED)
    result = Result("omni", times, times, net, net, np.r_[1.0, np.cumprod(1 + net)], zero, {}, book, book, Q)
    result = replace(result, forecast=said if forecast else None, run=run, gates=gates)
    return replace(result, metrics=compute(result))


def a_row(result, status="finished", **more):
    run = result.run
    ids = {"run_id": run.run_id, "recipe_id": run.recipe_id, "name": run.name, "data_hash": run.data_hash}
    return {**ids, "status": status, "started_at": STARTED, "config_hash": run.config_hash, **facts(result), **more}


def tried(root, nets, *, keep=False, prefix="t", **of):
    """Trials as runs leave them: a row each, and a folder where they are kept."""
    for place, net in enumerate(nets):
        result = a_result(net, recipe=f"{prefix}{place}", config={"seed": place}, **of)
        if keep:
            directory = RunDirectory.create(root, result.run.recipe_id)
            directory.start(result.run, dict(result.run.config))
            write_result(directory.path, result)
            directory.finish()
        ledger.append(root, a_row(result))
    return root


def closed_form(ratio, n, skew, kurtosis, variance, trials):
    """Equations 1 and 2 of Bailey and Lopez de Prado (2014), written down from the paper."""
    z = stats.norm.ppf
    best = sqrt(variance) * ((1 - np.euler_gamma) * z(1 - 1 / trials) + np.euler_gamma * z(1 - 1 / (trials * e)))
    return stats.norm.cdf((ratio - best) * sqrt(n - 1) / sqrt(1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2))


def words_of_report(result, root, folder):
    """What a reader of the Markdown report is told."""
    report.write(judged(result, root), folder, ["md"], Registry.discover())
    return (folder / "report.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def unsettled(monkeypatch):
    """A thousand rows need not survive a power failure."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def noise(rng):
    return rng.normal(0.0, 0.01, (60, T))


def test_the_deflated_ratio_is_that_of_the_paper_over_the_rows_of_the_ledger(tmp_path, noise):
    own = a_result(noise[0] + 0.0008)
    found = judged(own, tried(tmp_path, noise[1:13])).judgement
    rows, _ = ledger.read_rows(tmp_path)
    net = own.net
    ratios = np.array([net.mean() / net.std(ddof=1), *(row["sharpe_bar"] for row in rows)])
    expected = closed_form(
        ratios[0], T, stats.skew(net), stats.kurtosis(net, fisher=False), np.var(ratios, ddof=1), len(ratios)
    )
    assert (found.n_trials, found.n_trials_eff, found.compared) == (13, 13, 0)
    assert found.dsr.value == pytest.approx(expected, abs=1e-12)
    assert found.psr.value == pytest.approx(own.metrics["psr"].value)


def test_the_published_example_comes_out_of_a_ledger(tmp_path):
    """Bailey and Lopez de Prado (2014), page 10: 100 trials, variance 1/2 a year, 1,250 days, ratio 2.5: 0.9004."""
    ratio, apart = 2.5 / sqrt(250), sqrt(0.5 / 250 * 99 / 98)
    values = [ratio, ratio, *[ratio + apart, ratio - apart] * 49]
    shape = {"n": 1250, "skew": -3.0, "kurtosis": 10.0, "periods_per_year": 250.0, "status": "finished"}
    for place, value in enumerate(values):
        ids = {"run_id": f"r{place}-001", "recipe_id": f"r{place}", "name": "example", "data_hash": "d"}
        ledger.append(tmp_path, {**ids, **shape, "sharpe_bar": value})
    ledger.compact(tmp_path)
    row = next(row for row in ledger.read_rows(tmp_path)[0] if row["run_id"] == "r0-001")
    found = Judge(tmp_path).of_row(row)
    assert found.n_trials == 100
    assert found.dsr.value == pytest.approx(0.9004, abs=1e-4)
    assert found.words == "not distinguishable from luck"


def test_fifty_noise_trials_lower_it(tmp_path, noise):
    own = a_result(noise[0] + 0.0010)
    few = judged(own, tried(tmp_path, noise[1:3])).judgement
    many = judged(own, tried(tmp_path, noise[3:53], prefix="more")).judgement
    assert (few.n_trials, many.n_trials) == (3, 53)
    assert many.dsr.value < few.dsr.value


def test_failed_and_killed_trials_count(tmp_path, noise):
    own = a_result(noise[0] + 0.0008)
    tried(tmp_path, noise[1:4])
    before = judged(own, tmp_path).judgement
    failed = {"run_id": "bad-001", "recipe_id": "bad", "name": "demo", "status": "failed", "error": "no room"}
    ledger.append(tmp_path, failed)
    killed = RunDirectory.create(tmp_path, "killed")
    killed.start(replace(own.run, recipe_id="killed", run_id=killed.run_id), {})
    after = judged(own, tmp_path).judgement
    assert (before.n_trials, after.n_trials) == (4, 6)
    assert after.dsr.value < before.dsr.value
    assert {row.recipe_id: row.sharpe for row in after.trials if row.recipe_id in ("bad", "killed")} == {
        "bad": None,
        "killed": None,
    }
    assert next(row.status for row in after.trials if row.recipe_id == "bad") == "failed"


def a_look(root, net, *, of, seed, folder=True):
    """A run that judges on the locked range what trial ``of`` was outside it, with other data, as it reads more."""
    config = {"seed": seed, "split": {"use": "walk_forward", "unlocked": True}}
    result = a_result(net, recipe=f"look-at-{of}", data="d and what was locked", config=config)
    result = replace(result, run=replace(result.run, unlocked=True, config_hash=hash_config(config)))
    if folder:
        RunDirectory.create(root, result.run.recipe_id).start(result.run, {})
    ledger.append(root, a_row(result, unlocked=True))
    return result


def outside(result, seed):
    """The result with the configuration of a recipe that leaves the locked range alone."""
    config = {"seed": seed, "split": {"use": "walk_forward", "unlocked": False}}
    return replace(result, run=replace(result.run, config=config, config_hash=hash_config(config)))


def test_a_look_at_what_was_tried_is_no_further_trial(tmp_path, noise):
    """Its ratio is that of forty bars: as a trial it would raise the variance of all others tenfold."""
    own, other = outside(a_result(noise[0] + 0.0008), 0), outside(a_result(noise[1], recipe="b"), 1)
    for result in (own, other):
        ledger.append(tmp_path, a_row(result))
    alone = judged(own, tmp_path).judgement
    lucky = noise[2][:40] + 0.006
    look = a_look(tmp_path, lucky, of="b", seed=1)
    itself = a_look(tmp_path, lucky, of="own", seed=0)
    after = judged(own, tmp_path).judgement
    assert (after.n_trials, after.dsr.value) == (alone.n_trials, alone.dsr.value) == (2, alone.dsr.value)
    of_row = Judge(tmp_path).of_row(next(r for r in ledger.read_rows(tmp_path)[0] if r["run_id"] == own.run.run_id))
    assert (of_row.n_trials, of_row.dsr.value) == (2, alone.dsr.value)
    assert ledger.before(tmp_path, replace(own.run, recipe_id="new", run_id="new-001")).trials == 2
    assert ledger.before(tmp_path, own.run).looks == 2, "it is a look all the same"
    assert judged(look, tmp_path).judgement.n_trials == 4, "what was tried before a look counts against it"
    assert ledger.before(tmp_path, itself.run).trials == 3


def test_a_look_at_what_nobody_tried_or_remembers_is_a_trial(tmp_path, noise):
    own = outside(a_result(noise[0] + 0.0008), 0)
    ledger.append(tmp_path, a_row(own))
    a_look(tmp_path, noise[2], of="another", seed=7)
    a_look(tmp_path, noise[3], of="own", seed=0, folder=False)
    assert judged(own, tmp_path).judgement.n_trials == 3
    assert ledger.before(tmp_path, own.run).trials == 2


def test_where_only_the_run_itself_has_a_ratio_trials_vary_as_worthless_ones_do(tmp_path, noise):
    """Nine failures and one success: the variance of nothing but the error of the ratio, 1 / (n - 1)."""
    own = a_result(noise[0] + 0.0008)
    for n in range(9):
        ledger.append(tmp_path, {"run_id": f"b{n}-001", "recipe_id": f"b{n}", "name": "demo", "status": "failed"})
    found = judged(own, tmp_path).judgement
    one = facts(own)
    expected = closed_form(one["sharpe_bar"], T, one["skew"], one["kurtosis"], 1 / (T - 1), 10)
    assert found.dsr.value == pytest.approx(expected)


def test_a_repeat_is_the_same_trial(tmp_path, noise):
    own = a_result(noise[0])
    tried(tmp_path, noise[1:3])
    for number in (1, 2):
        ledger.append(tmp_path, a_row(a_result(noise[0], number=number)))
        ledger.append(tmp_path, a_row(a_result(noise[1], recipe="t0", number=number + 1)))
    assert judged(own, tmp_path).judgement.n_trials == 3


def test_deleting_folders_takes_no_trial_back(tmp_path, noise):
    own = a_result(noise[0])
    alike = noise[1] + 0.1 * noise[2:8]
    tried(tmp_path, alike, keep=True)
    before = judged(own, tmp_path).judgement
    assert (before.n_trials, before.n_trials_eff, before.compared) == (7, 2, 7)
    for directory in tmp_path.glob("t*-001"):
        shutil.rmtree(directory)
    after = judged(own, tmp_path).judgement
    assert (after.n_trials, after.n_trials_eff, after.compared) == (7, 7, 0)


def test_more_trials_than_the_ledger_shows_were_there_when_the_run_began(tmp_path, noise):
    own = a_result(noise[0])
    own = replace(own, run=replace(own.run, trials=9))
    found = judged(own, tried(tmp_path, noise[1:4])).judgement
    assert found.n_trials == 9
    assert sum(row.status == "unknown" for row in found.trials) == 5
    assert found.told == "not distinguishable from luck (the Sharpe ratios of 5 of 9 trials are lost)"


def test_rows_that_were_taken_away_count_where_another_run_saw_them(tmp_path, noise):
    own = a_result(noise[0])
    rows = [a_row(own), a_row(a_result(noise[1], recipe="later", number=2), trials=9)]
    for each in rows:
        ledger.append(tmp_path, each)
    assert judged(own, tmp_path).judgement.n_trials == 9  # seven of the nine are gone
    elsewhere = a_row(a_result(noise[2], recipe="far", name="demo", data="other", number=3), trials=40)
    ledger.append(tmp_path, elsewhere)
    assert (
        judged(own, tmp_path).judgement.n_trials == 9
    )  # what a run on other data saw may have been of other questions


def test_trials_that_move_together_count_once_and_ratios_by_cluster(tmp_path, noise):
    own = a_result(noise[0])
    twins = noise[0] + 0.05 * noise[1:5]
    found = judged(own, tried(tmp_path, [*twins, noise[10]], keep=True)).judgement
    letters = {row.recipe_id: row.cluster for row in found.trials}
    assert found.n_trials_eff == 2
    assert len({letters["own"], *(letters[f"t{n}"] for n in range(4))}) == 1
    assert letters["t4"] != letters["own"]
    ratios = [net.mean() / net.std(ddof=1) for net in (noise[0], *twins, noise[10])]
    # a trial of a cluster drawn at random: one half each, and the factor 2 / 1 of a sample
    mean = (np.mean(ratios[:5]) + ratios[5]) / 2
    spread = 2 * (np.mean((np.array(ratios[:5]) - mean) ** 2) + (ratios[5] - mean) ** 2) / 2
    assert (found.sharpe_spread**2) / Q == pytest.approx(spread)


def test_the_question_is_a_name_data_or_decisions(tmp_path, noise):
    own = a_result(noise[0])
    short = noise[1][:500]
    tried(tmp_path, [noise[1]], prefix="decisions", name="x", data="y")
    tried(tmp_path, [short], prefix="name", name="demo", data="y")
    tried(tmp_path, [short], prefix="data", name="x", data="d")
    tried(tmp_path, [short], prefix="other", name="x", data="y")
    assert {row.recipe_id for row in judged(own, tmp_path).judgement.trials} == {"own", "decisions0", "name0", "data0"}


def test_a_trial_of_other_bars_is_annualised_and_taken_back(tmp_path, noise):
    own = a_result(noise[0])
    for n, value in enumerate((0.02, -0.01)):
        row = a_row(a_result(noise[1], recipe=f"h{n}"))
        ledger.append(tmp_path, {**row, "sharpe_bar": value, "periods_per_year": 4 * Q, "decisions": "x"})
    found = judged(own, tmp_path).judgement
    ratios = [facts(own)["sharpe_bar"], 2 * 0.02, 2 * -0.01]
    assert found.sharpe_spread == pytest.approx(np.std(ratios, ddof=1) * sqrt(Q))


def test_a_ledger_that_cannot_be_read_is_said_and_nothing_is_told_from_luck(tmp_path, noise, monkeypatch):
    from mnpu import ledger_files

    own = a_result(noise[0] + 0.01)  # splendid
    monkeypatch.setattr(ledger_files, "FORMAT", 99)
    tried(tmp_path / "runs", noise[1:2])
    monkeypatch.undo()
    text = words_of_report(own, tmp_path / "runs", tmp_path)
    assert "not distinguishable from luck (the ledger cannot be read" in text
    assert "a later version of mnpu-core wrote it" in text


def damage(root, recipe):
    (root / "ledger" / f"{recipe}-001.parquet").write_bytes(b"x")


def test_a_damaged_row_counts_is_named_and_leaves_nothing_to_tell(tmp_path, noise):
    own = a_result(noise[0] + 0.01)  # splendid
    tried(tmp_path, noise[1:4])
    assert judged(own, tmp_path).judgement.words == "distinguishable from luck"
    damage(tmp_path, "t1")
    found = judged(own, tmp_path).judgement
    assert (found.n_trials, found.verdict) == (4, "unknown")
    assert found.told == "not distinguishable from luck (the Sharpe ratio of 1 of 4 trials is lost)"
    assert (found.dsr.value, found.min_trl_dsr.value, found.sharpe_luck, found.sharpe_spread) == (None,) * 4
    assert "t1-001.parquet" in found.notes[0]
    ledger.append(tmp_path, a_row(a_result(noise[2], recipe="t1", number=2)))  # tried again, it has a ratio again
    assert judged(own, tmp_path).judgement.words == "distinguishable from luck"


def test_a_run_does_not_pass_because_the_trial_that_varied_most_is_lost(tmp_path, noise):
    """With the row it is luck; had the row never been, it would pass; with the row damaged it must not."""
    own = a_result(noise[0] + 0.0025)
    nets = [*noise[1:9], noise[9] - 0.01]
    whole, never = (judged(own, tried(tmp_path / name, n)).judgement for name, n in (("a", nets), ("b", nets[:-1])))
    assert (whole.verdict, never.verdict) == ("luck", "skill")
    damage(tmp_path / "a", "t8")
    damaged = judged(own, tmp_path / "a").judgement
    assert damaged.dsr.value is None
    assert not damaged.beyond_luck
    text = words_of_report(own, tmp_path / "a", tmp_path)
    assert "not distinguishable from luck (the Sharpe ratio of 1 of 10 trials is lost)" in text


def test_the_folder_of_a_trial_gives_back_what_its_damaged_row_told(tmp_path, noise):
    own = a_result(noise[0] + 0.0008)
    tried(tmp_path, [noise[1], noise[2] - 0.01], keep=True)
    before = judged(own, tmp_path).judgement
    damage(tmp_path, "t1")
    after = judged(own, tmp_path).judgement
    assert after.dsr.value == pytest.approx(before.dsr.value, abs=1e-12)
    assert after.n_trials == before.n_trials == 3
    shutil.rmtree(tmp_path / "t1-001")
    assert judged(own, tmp_path).judgement.dsr.value is None


def test_a_trial_without_a_ratio_of_its_own_has_lost_none(tmp_path, noise):
    own = a_result(noise[0] + 0.0008)
    tried(tmp_path, [noise[1], noise[2], np.zeros(T)])  # the last one never traded
    ledger.append(tmp_path, {"run_id": "bad-001", "recipe_id": "bad", "name": "demo", "status": "failed"})
    assert judged(own, tmp_path).judgement.dsr.value is not None
    older = {"run_id": "older-001", "recipe_id": "older", "name": "demo", "status": "finished"}
    ledger.append(tmp_path, older)  # it had one, which its version did not keep
    assert judged(own, tmp_path).judgement.dsr.reason == "the Sharpe ratio of 1 of 6 trials is lost"


def test_without_variation_there_is_a_reason_and_no_number(tmp_path):
    found = judged(a_result(np.zeros(T)), tmp_path).judgement
    assert (found.dsr.value, found.dsr.reason) == (None, "the returns do not vary")
    assert found.words == "not distinguishable from luck"


def test_a_compared_model_is_deflated_by_all_models_and_the_judged_one_is_not(tmp_path, noise):
    """The judged one was named beforehand; who takes another has seen them all. Rules were not tried."""
    others = [replace(a_result(noise[n] + 0.0002 * n), name=f"m{n}", run=None) for n in (1, 2)]
    rule = replace(a_result(noise[3], forecast=False), name="rule", run=None)
    own = replace(a_result(noise[0]), comparisons=(*others, rule))
    found = judged(own, tried(tmp_path, noise[4:6])).judgement
    rows, _ = ledger.read_rows(tmp_path)
    tested = [row["sharpe_bar"] for row in rows]
    ratios = {each.name: each.net.mean() / each.net.std(ddof=1) for each in (own, *own.comparisons)}

    def expected(name, net, among):
        shape = stats.skew(net), stats.kurtosis(net, fisher=False)
        return closed_form(ratios[name], T, *shape, np.var(among, ddof=1), len(among))

    everyone = [ratios["omni"], ratios["m1"], ratios["m2"], *tested]
    assert found.dsr_of["omni"].value == pytest.approx(expected("omni", own.net, [ratios["omni"], *tested]))
    assert found.dsr_of["m1"].value == pytest.approx(expected("m1", others[0].net, everyone))
    assert found.dsr_of["rule"].value == pytest.approx(expected("rule", rule.net, everyone))
    assert found.n_trials == 3


def test_a_failed_gate_leaves_nothing_to_tell(tmp_path, noise):
    own = a_result(noise[0] + 0.01, gates=(GateOutcome("negated", False, "the sign stays"),))
    found = judged(own, tmp_path).judgement
    assert found.dsr.value > 0.95
    assert (found.verdict, found.beyond_luck) == ("gates", False)


def test_a_sure_loss_is_called_one(tmp_path, noise):
    assert judged(a_result(noise[0] - 0.002), tmp_path).judgement.words == "loses more than luck explains"


def random_ledger(root, rng, n):
    """Rows of worthless strategies whose returns nobody kept; the best of them, and its returns."""
    best = None
    for first in range(0, n, 100):
        nets = rng.normal(0.0, 0.01, (100, T))
        for place, net in enumerate(nets, start=first):
            result = a_result_light(net, f"r{place}")
            ledger.append(root, result)
            if best is None or result["sharpe_bar"] > best[0]:
                best = (result["sharpe_bar"], net, f"r{place}")
    ledger.compact(root)
    return best


def a_result_light(net, recipe):
    ids = {"run_id": f"{recipe}-001", "recipe_id": recipe, "name": "demo", "data_hash": "d", "status": "finished"}
    moments = {"skew": stats.skew(net), "kurtosis": stats.kurtosis(net, fisher=False), "periods_per_year": Q}
    return {**ids, "sharpe_bar": net.mean() / net.std(ddof=1), "n": len(net), **moments}


def test_of_a_thousand_random_strategies_the_best_does_not_pass_and_a_true_edge_does(tmp_path, rng):
    """From the ledger to the words of the report: PSR alone would be taken in by the best of a thousand."""
    ratio, net, recipe = random_ledger(tmp_path / "runs", rng, 1_000)
    best = judged(a_result(net, recipe=recipe), tmp_path / "runs")
    assert ratio * sqrt(Q) > 1.2
    assert best.judgement.psr.value > 0.99
    assert best.judgement.n_trials == 1_000
    text = words_of_report(best, tmp_path / "runs", tmp_path / "best")
    assert "omni: not distinguishable from luck (DSR " in text
    assert "**Not distinguishable from luck.**" in text
    edge = a_result(rng.normal(0.0024, 0.01, T), recipe="edge")  # 3.8 a year
    text = words_of_report(edge, tmp_path / "runs", tmp_path / "edge")
    assert "omni: distinguishable from luck (DSR " in text
    assert "not distinguishable" not in text


class TestOverfitting:
    def test_too_few_strategies_have_no_number(self, tmp_path, noise):
        own = a_result(noise[0])
        found = judged(own, tried(tmp_path, noise[1:4], keep=True)).judgement
        assert found.pbo.value is None
        assert found.pbo.reason == f"needs {LEAST_STRATEGIES} strategies on the same decisions, has 4"

    def test_it_is_that_of_all_different_strategies_on_the_same_decisions(self, tmp_path, noise):
        own = a_result(noise[0])
        tried(tmp_path, [*noise[1:12], noise[3]], keep=True)  # one of them twice
        tried(tmp_path, [noise[20][:500]], keep=True, prefix="short")
        found = judged(own, tmp_path).judgement
        assert found.n_strategies == 12
        assert found.pbo.value == pytest.approx(pbo(noise[:12]).pbo)
        assert len(found.logits) == 12870  # 16 over 8

    def test_what_only_rounding_parts_is_one_strategy(self, tmp_path, noise):
        own = a_result(noise[0])
        tried(tmp_path, noise[1:6], keep=True)
        tried(tmp_path, noise[:6] * (1 + 4e-16) + 1e-18, keep=True, prefix="again")
        found = judged(own, tmp_path).judgement
        assert found.pbo.reason == f"needs {LEAST_STRATEGIES} strategies on the same decisions, has 6"

    def test_models_compared_with_were_tried_and_rules_were_not(self, tmp_path, noise):
        others = [replace(a_result(noise[20 + n]), name=f"m{n}", run=None) for n in range(3)]
        rule = replace(a_result(noise[30], forecast=False), name="rule", run=None)
        own = replace(a_result(noise[0]), comparisons=(*others, rule))
        found = judged(own, tried(tmp_path, noise[1:9], keep=True)).judgement
        assert found.n_strategies == 12
        assert found.pbo.value == pytest.approx(pbo(np.r_[noise[:9], noise[20:23]]).pbo)

    def test_few_bars_have_no_number(self, tmp_path, noise):
        own = a_result(noise[0][:100])
        found = judged(own, tried(tmp_path, noise[1:12, :100], keep=True)).judgement
        assert found.pbo.reason == "needs 160 bars, has 100"

    def test_a_combinatorial_split_is_judged_on_every_path(self, tmp_path, rng):
        nets = rng.normal(0, 0.01, (LEAST_STRATEGIES, 3, T))
        results = []
        for place, paths in enumerate(nets):
            result = a_result(paths[0], recipe=f"p{place}")
            result = replace(result, paths=tuple(PathOutcome(k, net, result.metrics) for k, net in enumerate(paths)))
            directory = RunDirectory.create(tmp_path, result.run.recipe_id)
            directory.start(result.run, {})
            write_result(directory.path, result)
            ledger.append(tmp_path, a_row(result))
            results.append(result)
        found = judged(results[0], tmp_path).judgement
        expected = np.mean([pbo(nets[:, k]).pbo for k in range(3)])
        assert found.pbo.value == pytest.approx(expected)
        assert found.n_strategies == LEAST_STRATEGIES


def test_one_number_wherever_it_is_shown(tmp_path, noise, mnpu):
    runs = tmp_path / "runs"
    tried(runs, noise[:12], keep=True)
    listed = json.loads(mnpu("runs", "list", "--runs", runs, "--json")[1])["runs"][0]
    shown = json.loads(mnpu("runs", "show", listed["run_id"], "--runs", runs, "--json")[1])["judgement"]
    assert mnpu("report", listed["run_id"], "--runs", runs, "--format", "md", "--out", tmp_path)[0] == 0
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert listed["dsr"] == shown["dsr"]["value"]
    assert listed["pbo"] == shown["pbo"]["value"]
    assert (listed["n_trials"], shown["n_trials"]) == (12, 12)
    assert f"DSR {listed['dsr']:.1%} after 12 trials" in text
    assert f"PBO {listed['pbo']:.1%}" in text
    assert listed["words"] == shown["words"] == "not distinguishable from luck"
    human = mnpu("runs", "list", "--runs", runs)[1].splitlines()
    assert all(line.endswith("not distinguishable from luck") for line in human[1:])
    human = mnpu("runs", "show", listed["run_id"], "--runs", runs)[1]
    assert "not distinguishable from luck (DSR" in human
    assert human.rstrip().endswith("; 0 of 0 honesty gates passed")  # nobody ran any here


def test_what_a_run_prints_at_its_end_says_it_too(tmp_path, noise, capsys):
    result = judged(a_result(noise[0]), tmp_path)
    executed = Executed(tmp_path, result, ())
    print_outcome(executed)
    lines = capsys.readouterr().out.splitlines()
    assert f"omni: {result.judgement.told}." in lines
    assert re.search(r"Sharpe ± se +DSR ", lines[1])
    told = outcome_json(executed)["judgement"]
    assert (told["words"], told["dsr"], told["beyond_luck"]) == (result.judgement.words, result.judgement.dsr, False)


def test_the_table_of_trials_says_what_each_did_otherwise(tmp_path, noise):
    own = a_result(noise[0], config={"seed": 7, "train": {"lr": 0.1}})
    found = judged(own, tried(tmp_path, noise[1:2], keep=True)).judgement
    (other,) = (row for row in found.trials if not row.own)
    assert other.differs == "`seed` 0, `train.lr` (not there)"
    shutil.rmtree(tmp_path / "t0-001")
    (other,) = (row for row in judged(own, tmp_path).judgement.trials if not row.own)
    assert other.differs == "the configuration"
