"""D18: rows that stand beside one another are about the same symbols at the same times, and none is left out.

Warm-ups within a run are in ``tests/core/test_same_decisions.py``, trimming in ``test_sweep_catalogue.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from mnpu import ledger
from mnpu.errors import MnpuError
from mnpu.sweep.catalogue import read_catalogue
from mnpu.trials import facts
from tests.core.test_sweep_catalogue import ALL, a_result, a_sweep
from tests.traps.planting import fails


@pytest.fixture
def folder(tmp_path, rng):
    """Three models, of which one warms up ten bars longer and one lacks a cell near the end."""
    nets = rng.normal(0.001, 0.01, (3, 120))
    late, holed = ALL.copy(), ALL.copy()
    late[:10] = False
    holed[115, 2] = False
    cells = {"early": ALL, "late": late, "holed": holed}
    a_sweep(tmp_path, [(name, a_result(net, own)) for net, (name, own) in zip(nets, cells.items(), strict=True)])
    return tmp_path


def rows_are_of_one_set(rows: Sequence[tuple[str, float]]) -> None:
    """Equal hashes of (symbol, decision time), and as many returns in each."""
    assert len(rows) == 3
    assert len({decisions for decisions, _ in rows}) == 1
    assert len({n for _, n in rows}) == 1


def test_rows_of_a_catalogue_are_of_one_set(folder) -> None:
    entries = read_catalogue(folder, "s").entries
    rows_are_of_one_set([(entry.decisions, entry.facts["n"]) for entry in entries])
    as_they_were_run = [(row["decisions"], row["n"]) for row in ledger.read_rows(folder)[0]]
    fails(rows_are_of_one_set, as_they_were_run)
    fails(rows_are_of_one_set, [(entry.decisions, entry.facts["n"]) for entry in entries[:2]])


def the_hash_is_of_the_set(hashed: Callable[[np.ndarray], str]) -> None:
    """A cell more or less, anywhere, is another set; so is another time of the same number of decisions."""
    seen = {hashed(ALL)}
    for t, a in ((0, 0), (60, 1), (119, 2)):
        cells = ALL.copy()
        cells[t, a] = False
        seen.add(hashed(cells))
    assert len(seen) == 4


def test_the_hash_is_of_the_set() -> None:
    net = np.full(120, 0.001)
    the_hash_is_of_the_set(lambda cells: facts(a_result(net, cells))["decisions"])
    fails(the_hash_is_of_the_set, lambda cells: str(int(cells.sum())))  # how many
    fails(the_hash_is_of_the_set, lambda cells: str(np.flatnonzero(cells.any(axis=1)).tolist()))  # the times alone


def test_rows_that_share_too_little_are_no_table(tmp_path, rng) -> None:
    early, late = ALL.copy(), ALL.copy()
    early[60:], late[:50] = False, False
    nets = rng.normal(0.001, 0.01, (2, 120))
    a_sweep(tmp_path, [("early", a_result(nets[0], early)), ("late", a_result(nets[1], late))])
    with pytest.raises(MnpuError, match="of their decisions in common"):
        read_catalogue(tmp_path, "s")


def runs_beside_one_another_say_so(hashes: Callable[[Sequence[str]], Sequence[str]], folder, mnpu, monkeypatch) -> None:
    """``mnpu runs compare``: a warning where the sets differ, and none where they do not."""
    true = ledger.read_rows
    rows = true(folder)[0]
    seen = hashes([row["decisions"] for row in rows])
    other = [{**row, "decisions": decisions} for row, decisions in zip(rows, seen, strict=True)]
    monkeypatch.setattr(ledger, "read_rows", lambda root: (other, []))
    ids = [row["run_id"] for row in rows]
    for pair, same in ((ids[:2], False), ((ids[0], ids[0]), True)):
        code, out, _ = mnpu("runs", "compare", *pair, "--runs", folder)
        assert code == 0
        assert ("not about the same decisions" in out) is not same
        assert json.loads(mnpu("runs", "compare", *pair, "--runs", folder, "--json")[1])["same_decisions"] is same


def test_runs_that_are_compared_say_that_their_decisions_differ(folder, mnpu, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        runs_beside_one_another_say_so(lambda own: own, folder, mnpu, patch)
    with monkeypatch.context() as patch:  # the fault: the hash is of something else
        fails(runs_beside_one_another_say_so, lambda own: ["same"] * len(own), folder, mnpu, patch)


# No batch is dropped where decisions are counted.


def every_usable_window_is_forecast(size: int, world, fitted) -> None:
    from mnpu import training
    from mnpu.data.windows import window_index
    from tests.core.training_world import FOLD

    time, symbol = window_index(
        world.frame.values, None, world.frame.tradable, rows=FOLD.test, lookback=8, min_present=0.8
    )
    said = training.forecast(fitted, world.frame, rows=FOLD.test, batch_size=size)
    expected = np.zeros(world.frame.tradable.shape, dtype=bool)
    expected[time, symbol] = True
    assert np.array_equal(said.available, expected)


def test_no_rest_of_a_batch_is_dropped(rng, monkeypatch) -> None:
    pytest.importorskip("torch", reason="training needs mnpu-core[train]")
    from mnpu.training import forecasting
    from mnpu.training.batches import OrderedBatches, Windows, gather
    from tests.core.training_world import fit, make_world, settings

    world = make_world(rng)
    fitted = fit(world, train=settings(epochs=1, max_steps_per_epoch=3))
    for size in (7, 512, 10_000):  # 170 bars of six symbols: none of them divides 1,020
        every_usable_window_is_forecast(size, world, fitted)

    windows = gather(rng.standard_normal((50, 2, 3)).astype("float32"), np.arange(9, 50), np.zeros(41, int), lookback=5)
    validated = [int(t) for batch in OrderedBatches(windows, 8) for t in batch.time]
    assert validated == list(range(9, 50))

    class Whole(forecasting.Inputs):
        """The fault: only whole batches are forecast."""

        def __init__(self, *args, batch_size: int, **kwargs) -> None:
            super().__init__(*args, batch_size=batch_size, **kwargs)
            n = len(self.time) // batch_size * batch_size
            kept: Windows = self._windows
            self.time, self.symbol = self.time[:n], self.symbol[:n]
            self._windows = Windows(kept.rows, kept.first[:n], None, kept.time[:n], kept.symbol[:n], kept.lookback)

    monkeypatch.setattr(forecasting, "Inputs", Whole)
    fails(every_usable_window_is_forecast, 512, world, fitted)
