"""Rows of a table are about the same decisions, or there is no table (trap D18); and what is told of luck."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from mnpu import ledger
from mnpu.errors import ConfigError, MnpuError
from mnpu.metrics.significance import deflated_sharpe
from mnpu.results_io import write_result
from mnpu.rundir import RunDirectory
from mnpu.sweep.agenda import feed
from mnpu.sweep.catalogue import read_catalogue
from mnpu.trials import facts
from mnpu.types import Forecast, Positions, Result, Run

TIMES = pd.date_range("2020-01-01", periods=120, tz="UTC").as_unit("ns")
SYMBOLS = ("A", "B", "C")
HEADER = {"name": "s", "axes": ["model", "seed"], "treatment": "model", "blocks": []}


def a_result(net, cells):
    zero, n = np.zeros(len(net)), len(net)
    book = Positions(TIMES[-n:], SYMBOLS, np.full((n, 3), 0.1), np.ones(n, dtype=bool))
    quantiles = np.where(cells[:, :, None, None], np.array([-0.01, 0.0, 0.01]), np.nan)
    forecast = Forecast(book.times, SYMBOLS, (5,), (0.05, 0.5, 0.95), quantiles)
    equity = np.r_[1.0, np.cumprod(1 + net)]
    labels = np.where(cells[:, :, None], 0.001, np.nan)
    return Result(
        "m", book.times, book.times, net, net, equity, zero, {}, book, book, 252.0, forecast=forecast, labels=labels
    )


def a_sweep(root, results, *, keep=True):
    """Runs and rows as a sweep leaves them; without their folders where they are not to be kept."""
    for n, (model, result) in enumerate(results):
        directory = RunDirectory.create(root, f"r{n}")
        started = pd.Timestamp("2026-01-02", tz="UTC") + pd.Timedelta(minutes=n)
        run = Run(directory.run_id, f"r{n}", "demo", 0, "c", "d", "e", "f", {}, {}, started)
        directory.start(run, {})
        if keep:
            write_result(directory.path, result)
        axes = json.dumps({"model": model, "seed": n})
        row = {"run_id": directory.run_id, "recipe_id": f"r{n}", "name": "demo", "status": "finished", "data_hash": "d"}
        told = {"started_at": started, "seconds": 2.0, "sweep": "s", "trial": f"t{n}", "axes": axes, **facts(result)}
        ledger.append(root, {**row, **told, "metric.sharpe": result.net.mean() / result.net.std(ddof=1) * 252**0.5})
    (root / "sweeps").mkdir()
    kept = {**HEADER, "objective": "sharpe", "direction": "maximise", "trials": len(results)}
    (root / "sweeps" / "s.json").write_text(json.dumps(kept))


@pytest.fixture
def nets(rng):
    return rng.normal(0.001, 0.01, (4, 120))


ALL = np.ones((120, 3), dtype=bool)


def test_rows_with_equal_decisions_are_as_the_ledger_has_them(tmp_path, nets):
    a_sweep(tmp_path, [("x", a_result(nets[0], ALL)), ("y", a_result(nets[1], ALL))], keep=False)
    found = read_catalogue(tmp_path, "s")
    assert len({entry.decisions for entry in found.entries}) == 1
    assert found.notes == []
    assert [entry.axes["model"] for entry in found.entries] == ["x", "y"]


def test_a_longer_warm_up_trims_all_rows_to_what_all_have(tmp_path, nets):
    """The numbers are those of the last 110 returns, from numpy alone."""
    late, shorter = ALL.copy(), ALL[4:]
    late[:10] = False
    a_sweep(
        tmp_path,
        [("x", a_result(nets[0], ALL)), ("y", a_result(nets[1], late)), ("z", a_result(nets[2][4:], shorter))],
    )
    found = read_catalogue(tmp_path, "s")
    assert len({entry.decisions for entry in found.entries}) == 1, "D18: one set for all rows of a table"
    assert found.notes == ["s: 3 rows are trimmed to the 110 decisions that all have (91.7%)."]
    for entry, net in zip(found.entries, nets, strict=False):
        part = net[10:]
        assert entry.values["sharpe"] == pytest.approx(part.mean() / part.std(ddof=1) * np.sqrt(252))
        assert entry.values["total_return_net"] == pytest.approx(np.prod(1 + part) - 1)
        assert entry.facts["n"] == 110


def test_a_hole_in_the_middle_keeps_the_longest_stretch(tmp_path, nets):
    holed = ALL.copy()
    holed[12, 1] = False
    a_sweep(tmp_path, [("x", a_result(nets[0], ALL)), ("y", a_result(nets[1], holed))])
    found = read_catalogue(tmp_path, "s")
    assert [entry.facts["n"] for entry in found.entries] == [107, 107]


def test_rows_that_share_too_little_are_refused_and_the_odd_one_is_named(tmp_path, nets):
    other = ALL.copy()
    other[:40, 2] = False
    a_sweep(tmp_path, [("x", a_result(nets[0], ALL)), ("y", a_result(nets[1], other))])
    with pytest.raises(
        MnpuError, match=r"s: the rows have 67% of their decisions in common.*r1-001 \(model=y seed=1\)"
    ):
        read_catalogue(tmp_path, "s")


def test_rows_that_would_have_to_be_trimmed_and_whose_runs_are_gone_are_refused(tmp_path, nets):
    late = ALL.copy()
    late[:3] = False
    a_sweep(tmp_path, [("x", a_result(nets[0], ALL)), ("y", a_result(nets[1], late))], keep=False)
    with pytest.raises(MnpuError, match="they are to be trimmed"):
        read_catalogue(tmp_path, "s")


def test_rows_stand_in_the_order_of_the_axes_whoever_ended_first(tmp_path, nets):
    """Seed n is the n-th row of the ledger, so ten and two would stand in the order of text."""
    order = [("y", 0), ("x", 1), ("y", 2), ("x", 3)]
    a_sweep(tmp_path, [(model, a_result(net, ALL)) for (model, _), net in zip(order, nets, strict=True)], keep=False)
    found = [(entry.axes["model"], entry.axes["seed"]) for entry in read_catalogue(tmp_path, "s").entries]
    assert found == [("y", "0"), ("y", "2"), ("x", "1"), ("x", "3")]


def test_a_deflated_ratio_counts_every_trial_of_the_data_failed_ones_too(tmp_path, nets):
    results = [a_result(net, ALL) for net in nets]
    a_sweep(tmp_path, [(f"m{n}", result) for n, result in enumerate(results)])
    ledger.append(tmp_path, {"run_id": "f-001", "recipe_id": "f", "name": "x", "data_hash": "d", "status": "failed"})
    ledger.append(tmp_path, {"run_id": "r0-009", "recipe_id": "r0", "name": "demo", "sharpe_bar": 0.0}, attempt=1)
    ratios = np.array([net.mean() / net.std(ddof=1) for net in nets])
    one = facts(results[1])
    for entry in read_catalogue(tmp_path, "s").entries[1:2]:
        spread = np.var([0.0, *ratios[1:]], ddof=1)
        expected = deflated_sharpe(ratios[1], 120, one["skew"], one["kurtosis"], spread, 5)
        assert entry.values["dsr"] == pytest.approx(expected)


def test_a_sweep_that_is_not_there_is_named_with_those_that_are(tmp_path, nets):
    a_sweep(tmp_path, [("x", a_result(nets[0], ALL))])
    with pytest.raises(ConfigError, match=r"no sweep 't' in .*There are: s\."):
        read_catalogue(tmp_path, "t")


def test_the_agenda_replaces_its_own_sections_only(tmp_path, nets):
    a_sweep(tmp_path, [("x", a_result(nets[0], ALL)), ("y", a_result(nets[1], ALL))], keep=False)
    page = tmp_path / "agenda.md"
    feed(page, tmp_path, ["s"])
    first = page.read_text()
    assert "| `x` |" in first
    assert "2 of 2 trials finished and 0 failed" in first
    page.write_text("Mine.\n\n" + first + "\nMine, too.\n")
    feed(page, tmp_path, ["s"])
    assert page.read_text() == "Mine.\n\n" + first + "\nMine, too.\n"
    page.write_text(first.replace("<!-- sweep s: end -->", ""))
    with pytest.raises(ConfigError, match="the marks of sweep 's' do not match"):
        feed(page, tmp_path, ["s"])


def test_the_commands_answer_machines(tmp_path, nets, mnpu):
    a_sweep(tmp_path, [("x", a_result(nets[0], ALL)), ("y", a_result(nets[1], ALL))], keep=False)
    shown = json.loads(mnpu("sweep", "show", "s", "--runs", tmp_path, "--json")[1])
    assert [trial["axes"]["model"] for trial in shown["trials"]] == ["x", "y"]
    compared = json.loads(mnpu("sweep", "compare", "s", "--runs", tmp_path, "--json")[1])["comparison"]
    assert sorted(compared["treatments"]) == ["x", "y"]
    drawn = json.loads(mnpu("sweep", "plot", "s", "--runs", tmp_path, "--out", tmp_path / "p", "--json")[1])
    assert [path.rpartition("/")[2] for path in drawn["pictures"]] == ["s-pareto.svg", "s-ranks.svg"]
    code, _, err = mnpu("sweep", "show", "s", "--metric", "sharp", "--runs", tmp_path)
    assert (code, "no trial has sharp, expected one of " in err) == (2, True)
    for words in (["list"], ["show", "s"], ["compare", "s"]):
        code, out, _ = mnpu("sweep", *words, "--runs", tmp_path)
        assert (code, bool(out)) == (0, True)
