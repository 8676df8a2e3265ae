"""``mnpu report RUN`` writes what the run wrote, from what is on disk, and nothing that looks like more."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mnpu import cli, report
from mnpu.judging import judged
from mnpu.plugins.registry import Registry
from mnpu.results_io import write_result
from mnpu.rundir import RunDirectory
from mnpu.types import GateOutcome
from tests.fakes import make_result


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs"


def kept(runs, *, end="finish", **changes):
    """A run directory as a run leaves it."""
    directory = RunDirectory.create(runs, "abc123")
    result = replace(make_result(60), **changes)
    result = replace(result, run=replace(result.run, run_id=directory.run_id, config={"report": {"formats": ["md"]}}))
    directory.start(result.run, dict(result.run.config))
    result = judged(result, runs)
    write_result(directory.path, result)
    report.write(result, directory.path, ["md"], Registry.discover())
    if end == "finish":
        directory.finish()
    elif end == "fail":
        directory.fail(KeyboardInterrupt())
    return directory


def mnpu(*arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main([*map(str, arguments)])
    return ended.value.code or 0


def test_the_report_is_the_same_when_it_is_written_again(runs, tmp_path):
    directory = kept(runs)
    assert mnpu("report", directory.run_id, "--runs", runs, "--out", tmp_path / "again") == 0
    again = (tmp_path / "again" / "report.md").read_text(encoding="utf-8")
    assert again == (directory.path / "report.md").read_text(encoding="utf-8")


def test_without_a_folder_it_goes_into_the_run(runs, capsys):
    directory = kept(runs)
    (directory.path / "report.md").unlink()
    assert mnpu("report", directory.path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["reports"] == [str(directory.path / "report.md")]
    assert directory.changed_files() == []


def test_an_unknown_run_and_an_unknown_format_are_named(runs, capsys):
    directory = kept(runs)
    assert mnpu("report", "zzz", "--runs", runs) == 2
    assert "zzz" in capsys.readouterr().err
    assert mnpu("report", directory.run_id, "--runs", runs, "--format", "mdd") == 2
    assert "'mdd'" in capsys.readouterr().err


def test_an_interrupted_run_has_no_report(runs, tmp_path, capsys):
    directory = kept(runs, end="fail")
    assert mnpu("report", directory.run_id, "--runs", runs, "--out", tmp_path / "again") == 2
    assert "expected a finished run" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()


def test_a_run_that_failed_a_gate_says_so_first(runs, tmp_path):
    directory = kept(runs, end="fail", gates=(GateOutcome("negated", False, "the sign stays"),))
    assert mnpu("report", directory.run_id, "--runs", runs, "--out", tmp_path / "again") == 0
    assert "This run failed" in (tmp_path / "again" / "report.md").read_text(encoding="utf-8")


def test_no_format_at_all_is_refused(runs, capsys):
    directory = kept(runs)
    for formats in (",", ""):
        assert mnpu("report", directory.run_id, "--runs", runs, "--format", formats) == 2
        assert "names no format, expected names, as in html,md" in capsys.readouterr().err


def test_numbers_that_changed_after_the_run_are_not_passed_off_as_its_own(runs, capsys):
    directory = kept(runs)
    path = directory.path / "metrics.json"
    path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert mnpu("report", directory.run_id, "--runs", runs, "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["changed"] == ["metrics.json"]
    assert err.startswith("warning: metrics.json changed after the run")


def test_a_folder_that_cannot_be_made_is_no_bug(runs, capsys):
    directory = kept(runs)
    blocking = runs / "ledger.txt"
    blocking.write_text("")
    assert mnpu("report", directory.run_id, "--runs", runs, "--out", blocking / "new") == 1
    err = capsys.readouterr().err
    assert "the system refused it" in err
    assert "bug" not in err
