"""Many files of the ledger become one, and no row is lost or doubled: killed at any moment, by several at once."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from multiprocessing import get_context

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu import ledger, ledger_files
from mnpu.errors import MnpuError
from mnpu.types import Run

START = pd.Timestamp("2026-01-02 03:04:05.000000001", tz="UTC")


def row(run_id, **facts):
    return {"run_id": run_id, "recipe_id": run_id.rpartition("-")[0], "name": "demo", "started_at": START, **facts}


def run(recipe_id):
    return Run("", recipe_id, "demo", 0, "c", "d", "e", "f", {}, {}, START)


def told(root):
    """What every row says, None left out."""
    rows, broken = ledger.read_rows(root)
    assert broken == []
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def files(root):
    return sorted(path.name for path in (root / "ledger").iterdir())


@pytest.fixture
def some(tmp_path):
    for n in range(5):
        ledger.append(tmp_path, row(f"r{n}-001", seed=n, **{"metric.sharpe": n / 7}))
    ledger.append(tmp_path, row("r0-001", status="failed", error="again"), attempt=1)
    return tmp_path


def test_rows_are_the_same_in_one_file(some):
    before = told(some)
    assert ledger.compact(some) == (6, 6)
    assert told(some) == before
    assert len(files(some)) == 1
    assert ledger.compact(some) == (6, 0), "there is nothing to do"


def test_it_goes_on_after_it(some):
    ledger.compact(some)
    ledger.append(some, row("s-001"))
    assert ledger.compact(some) == (7, 2)
    assert len(files(some)) == 1
    assert ledger.before(some, run("new")).trials == 6


def test_a_row_that_was_put_together_is_not_written_again(some):
    ledger.compact(some)
    before = told(some), files(some)
    with pytest.raises(MnpuError, match="in the ledger already"):
        ledger.append(some, row("r3-001", status="other"))
    assert (told(some), files(some)) == before


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=4),
    st.just(START),
)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES), min_size=1, max_size=6), cut=st.integers()
)
def test_whatever_rows_hold_they_say_the_same_afterwards(tmp_path_factory, rows, cut):
    root = tmp_path_factory.mktemp("any")
    seen = 0
    for n, values in enumerate(rows):
        ledger.append(root, row(f"r{n}-001", **values))
        if n == cut % len(rows):
            before = told(root)
            ledger.compact(root)
            assert told(root) == before
        assert len(told(root)) > seen, "it only grows"
        seen = len(told(root))
    before = told(root)
    ledger.compact(root)
    assert told(root) == before


def calls(monkeypatch, stop):
    """Raise at the ``stop``-th call that changes the disk; the number of calls is the list's length."""
    made = []

    def counted(function):
        def call(*args, **kwargs):
            made.append(function)
            if len(made) == stop:
                raise KeyboardInterrupt
            return function(*args, **kwargs)

        return call

    for name in ("link", "fsync"):
        monkeypatch.setattr(ledger_files.os, name, counted(getattr(ledger_files.os, name)))
    monkeypatch.setattr(ledger_files.Path, "unlink", counted(ledger_files.Path.unlink))
    return made


def test_stopped_before_any_of_its_steps_nothing_is_lost(some, tmp_path_factory, monkeypatch):
    before = told(some)
    ledger.compact(some)
    ledger.append(some, row("s-001"))
    after = told(some)
    assert len(after) == len(before) + 1
    root = shutil.copytree(some, tmp_path_factory.mktemp("count") / "runs")
    with monkeypatch.context() as patch:
        made = calls(patch, stop=0)
        ledger.compact(root)
    assert len(made) >= 5
    for stop in range(1, len(made) + 1):
        root = shutil.copytree(some, tmp_path_factory.mktemp("stop") / "runs")
        with monkeypatch.context() as patch:
            calls(patch, stop)
            with pytest.raises(KeyboardInterrupt):
                ledger.compact(root)
        assert told(root) == after
        ledger.compact(root)
        assert told(root) == after
        assert len([name for name in files(root) if not name.startswith(".")]) == 1


def test_killed_at_random_moments_nothing_is_lost(tmp_path):
    rows = [row(f"r{n:03d}-001", seed=n) for n in range(60)]
    moments = random.Random(20240229)
    code = (
        "import sys; from mnpu import ledger; print('ready', flush=True)\n"
        "for n in range(200): ledger.append(sys.argv[1], dict(run_id=f'{sys.argv[2]}-{n:03d}'));"
        " ledger.compact(sys.argv[1])"
    )
    for each in rows:
        ledger.append(tmp_path, each)
    count = len(rows)
    for turn in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), f"k{turn}"], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout.readline() == "ready\n"
            time.sleep(moments.uniform(0, 0.4))
            process.kill()
        found = told(tmp_path)
        assert len(found) >= count
        assert {each["run_id"] for each in rows} <= {each["run_id"] for each in found}
        count = len(found)
    ledger.compact(tmp_path)
    assert len(told(tmp_path)) == count


def test_a_row_that_was_put_together_is_still_known_as_what_it_was(some):
    """Whoever has just appended it may find it among others already, and another row of its name is another one."""
    own = row("w0-001", seed=1, ratio=float("nan"), n=3)
    ledger.append(some, own)
    ledger.append(some, row("w0-002", n=2.5))
    ledger.compact(some)
    held = ledger_files.holds_as
    assert held(some / "ledger", "w0-001", ledger_files.encode(own))
    assert not held(some / "ledger", "w0-001", ledger_files.encode({**own, "seed": 2}))
    with pytest.raises(MnpuError, match="is in the ledger already"):
        ledger.append(some, {**own, "seed": 2})


def _write(root, worker):
    for n in range(15):
        ledger.append(root, row(f"w{worker}-{n:03d}", seed=n))
        if n % 5 == worker % 5:
            ledger.compact(root)


def _watch(root, queue, stop):
    counts, lost = [], 0
    while not stop.is_set():
        found = ledger_files.find(root / "ledger")
        counts.append(len(found.rows))
        lost += len(found.damaged)
    queue.put((counts, lost))


def test_many_at_once_append_compact_and_read(tmp_path):
    context = get_context("spawn")
    queue, stop = context.Queue(), context.Event()
    watcher = context.Process(target=_watch, args=(tmp_path, queue, stop))
    writers = [context.Process(target=_write, args=(tmp_path, n)) for n in range(3)]
    for process in (watcher, *writers):
        process.start()
    for process in writers:
        process.join(120)
        assert process.exitcode == 0
    stop.set()
    counts, lost = queue.get(timeout=60)
    watcher.join()
    assert counts == sorted(counts), "whoever reads meanwhile never sees fewer rows than before"
    assert lost == 0
    ids = [each["run_id"] for each in told(tmp_path)]
    assert ids == sorted(f"w{worker}-{n:03d}" for worker in range(3) for n in range(15))


@pytest.mark.parametrize("together", [False, True])
def test_what_a_later_version_wrote_is_refused_and_kept(some, together):
    if together:
        ledger.compact(some)
    path = next(path for path in (some / "ledger").iterdir())
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.replace_schema_metadata({b"mnpu.ledger.format": b"3"}), path)
    before = path.read_bytes()
    for ask in (ledger.read_rows, ledger.compact, lambda root: ledger.before(root, run("new")).trials):
        with pytest.raises(MnpuError, match=r"has format 3 of the ledger.*Upgrade mnpu-core"):
            ask(some)
    assert path.read_bytes() == before


def test_rows_from_before_there_was_a_number_are_read(some):
    pq.write_table(pa.table({"run_id": ["old-001"], "recipe_id": ["old"]}), some / "ledger" / "old-001.parquet")
    assert ledger.compact(some)[0] == 7
    assert any(each["run_id"] == "old-001" for each in told(some))


def test_a_file_cut_short_counts_as_the_trials_that_it_held(some):
    ledger.compact(some)
    ledger.append(some, row("s-001"))
    [path] = (some / "ledger").glob("+*.parquet")
    path.write_bytes(path.read_bytes()[:-30])
    rows, broken = ledger.read_rows(some)
    assert [each["run_id"] for each in rows] == ["s-001"]
    assert path.name in broken[0]
    assert ledger.before(some, run("new")).trials == 7, "too many rather than too few"
    ledger.compact(some)
    assert path.exists(), "what cannot be read is left to whoever can repair it"


def test_a_single_row_cut_short_counts_as_one_trial(some):
    path = some / "ledger" / "r3-001.parquet"
    path.write_bytes(path.read_bytes()[:-30])
    assert ledger.before(some, run("new")).trials == 5
    assert ledger.before(some, run("r3")).trials == 4, "a repeat of it is no other trial"


@pytest.mark.skipif(sys.platform == "win32", reason="no limits there")
def test_without_room_nothing_is_lost(some):
    code = (
        "import resource, signal, sys; from mnpu import ledger; from mnpu.errors import MnpuError\n"
        "import pyarrow.parquet\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "for work in (lambda: ledger.compact(sys.argv[1]), lambda: ledger.append(sys.argv[1], {'run_id': 'z-001'})):\n"
        "    try: work()\n"
        "    except MnpuError as error: print(error)\n"
    )
    before = told(some), files(some)
    said = subprocess.run([sys.executable, "-c", code, str(some)], capture_output=True, text=True, check=True).stdout
    assert said.count("cannot be written (File too large)") == 2
    assert (told(some), files(some)) == before


def test_the_command_says_what_it_did(some, mnpu):
    assert mnpu("runs", "compact", "--runs", some)[1] == "6 rows; 6 files became one.\n"
