"""D15: every trial is counted on the way from a run to the number that a reader sees, and luck does not pass.

The deflated ratio, the probability of overfitting and their faults are judged on arrays in
``tests/core/test_traps_statistics.py``; here a thousand strategies go through the ledger and the catalogue.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mnpu import ledger
from mnpu.errors import MnpuError
from mnpu.sweep.catalogue import read_catalogue
from mnpu.trials import facts
from mnpu.types import Positions, Result, Run
from tests.traps.planting import fails

TRIALS, BARS, Q = 1_000, 1_000, 252.0
TIMES = pd.date_range("2016-01-04", periods=BARS, freq="B", tz="UTC").as_unit("ns")


def a_result(net: np.ndarray) -> Result:
    zero = np.zeros(len(net))
    book = Positions(TIMES, ("A",), np.ones((len(net), 1)), np.ones(len(net), dtype=bool))
    return Result("m", TIMES, TIMES, net, net, np.append(1.0, np.cumprod(1 + net)), zero, {}, book, book, Q)


def a_row(number: int, net: np.ndarray, **more: object) -> dict:
    """What the ledger keeps of a trial of a sweep."""
    made = a_result(net)
    axes = json.dumps({"model": str(number), "seed": 0})
    started = pd.Timestamp("2026-01-02", tz="UTC") + pd.Timedelta(seconds=number)
    own = {"run_id": f"r{number}-001", "recipe_id": f"r{number}", "name": "demo", "data_hash": "d", "seconds": 1.0}
    told = {"status": "finished", "started_at": started, "sweep": "s", "trial": f"t{number}", "axes": axes}
    return {**own, **told, **facts(made), "metric.sharpe": net.mean() / net.std(ddof=1) * Q**0.5, **more}


def kept_in(root: Path, nets: np.ndarray) -> Path:
    """What a sweep leaves."""
    for number, net in enumerate(nets):
        ledger.append(root, a_row(number, net))
    (root / "sweeps").mkdir()
    header = {"name": "s", "axes": ["model", "seed"], "treatment": "model", "blocks": []}
    definition = {**header, "objective": "sharpe", "direction": "maximise", "trials": len(nets)}
    (root / "sweeps" / "s.json").write_text(json.dumps(definition))
    return root


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """A thousand random strategies, and the same with one of them earning an annual ratio of 4."""
    random = 0.01 * np.random.default_rng(11).standard_normal((TRIALS, BARS))
    luck = kept_in(tmp_path_factory.mktemp("luck"), random)
    edge = Path(shutil.copytree(luck, tmp_path_factory.mktemp("edge") / "runs"))
    (edge / "ledger" / "r7-001.parquet").unlink()
    ledger.append(edge, a_row(7, random[7] + 0.01 * 4 / np.sqrt(Q)))
    return {"luck": luck, "edge": edge}


def luck_does_not_pass(folders: dict[str, Path]) -> None:
    """The best of the worthless looks well and has no deflated ratio above 0.95; the true edge has one."""
    best = {}
    for name, folder in folders.items():
        entries = read_catalogue(folder, "s").entries
        best[name] = max(entries, key=lambda entry: entry.values["sharpe"])
    assert best["luck"].values["sharpe"] > 1.2
    assert best["luck"].values["dsr"] < 0.95
    assert best["edge"].axes["model"] == "7"
    assert best["edge"].values["dsr"] > 0.95


def test_the_best_of_a_thousand_does_not_pass_and_an_edge_does(folders) -> None:
    luck_does_not_pass(folders)


def without(lost: Callable[[str, np.ndarray], bool], folders: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """The same folders, as a ledger would have left them that forgets some rows."""
    found = {}
    for name, folder in folders.items():
        found[name] = Path(shutil.copytree(folder, tmp_path / name))
        ratios = {row["run_id"]: row["sharpe_bar"] for row in ledger.read_rows(folder)[0]}
        for path in (found[name] / "ledger").glob("*.parquet"):
            if lost(path.stem, np.array(list(ratios.values())) > ratios[path.stem]):
                path.unlink()
    return found


@pytest.mark.parametrize(
    "lost",
    [lambda run_id, better: better.sum() >= 3, lambda run_id, better: not run_id.startswith(("r7-", "r9"))],
    ids=["all but the best three", "most of them"],
)
def test_a_ledger_that_forgets_is_found(lost, folders, tmp_path) -> None:
    """A search of which the winners alone are shown; or trials that were lost, the best one among them."""
    fails(luck_does_not_pass, without(lost, folders, tmp_path))


def every_trial_is_counted(count: Callable[[Path, Run], int], folder: Path) -> None:
    """Of the same name, or on the same data: the number beside a headline."""
    named, on_data, neither = (
        Run("", "new", name, 0, "c", data, "e", "f", {}, {}, TIMES[0])
        for name, data in (("demo", "other"), ("other", "d"), ("other", "other"))
    )
    assert [count(folder, run) for run in (named, on_data, neither)] == [TRIALS, TRIALS, 0]


def test_a_run_knows_how_many_were_tried_before_it(folders) -> None:
    every_trial_is_counted(lambda *asked: ledger.before(*asked).trials, folders["luck"])
    rows = lambda root, run: [row for row in ledger.read_rows(root)[0] if row["name"] == run.name]
    fails(every_trial_is_counted, lambda root, run: len(rows(root, run)), folders["luck"])  # not on the same data
    fails(every_trial_is_counted, lambda root, run: 0, folders["luck"])


# The ledger only grows.

Append = Callable[[Path, dict], object]


def rows_of(root: Path) -> list[tuple]:
    return [tuple(sorted((k, str(v)) for k, v in row.items())) for row in ledger.read_rows(root)[0]]


def it_only_grows(append: Append, root: Path) -> None:
    """Whatever is added, what was there stays as it was, and the number of trials never falls."""
    other, seen, counts = Run("", "x", "demo", 0, "c", "d", "e", "f", {}, {}, TIMES[0]), [], []
    for number, status in enumerate(["finished", "failed", "finished", "finished"]):
        ids = {"run_id": f"a{number}-001", "recipe_id": f"a{number}"}
        append(root, {**ids, "name": "demo", "status": status, "data_hash": "d"})
        now = rows_of(root)
        assert [row for row in now if row in seen] == seen
        seen, counts = now, [*counts, ledger.before(root, other).trials]
    again = {"run_id": "a1-001", "recipe_id": "a1", "name": "demo", "status": "finished", "sharpe_bar": 9.0}
    with suppress(MnpuError):
        append(root, again)  # a better number for a run that failed
    assert rows_of(root) == seen
    assert counts == [1, 2, 3, 4]


def overwriting(root: Path, row: dict) -> None:
    """The fault: the row of a run replaces an earlier one."""
    (root / "ledger" / f"{row['run_id']}.parquet").unlink(missing_ok=True)
    ledger.append(root, row)


def successes(root: Path, row: dict) -> None:
    """The fault: what failed was never tried."""
    if row["status"] == "finished":
        ledger.append(root, row)


def the_last_alone(root: Path, row: dict) -> None:
    """The fault: one file, which holds what came last."""
    for path in (root / "ledger").glob("*.parquet"):
        path.unlink()
    ledger.append(root, row)


def test_the_ledger_only_grows(tmp_path) -> None:
    it_only_grows(ledger.append, tmp_path / "ours")
    for fault in (overwriting, successes, the_last_alone):
        fails(it_only_grows, fault, tmp_path / fault.__name__)
