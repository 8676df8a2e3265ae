"""Rows of a benchmark are kept by topic, and a missed target ends with exit code 1."""

from __future__ import annotations

import json

import pytest

from tests.bench import __main__ as command
from tests.bench import data, peers, startup
from tests.bench.rows import EARLIER, Row, keep


def row(topic="startup", mnpu=80.0, target=150.0):
    return Row(topic, "mnpu --help", "ms", mnpu, "kedro --help", 351.0, round(351 / mnpu, 2), target)


def test_a_topic_replaces_its_own_rows_only(tmp_path):
    (tmp_path / "docs").mkdir()
    keep([row("startup", 80.0), row("simulate", 5.0)], tmp_path)
    keep([row("startup", 90.0)], tmp_path)
    held = {kept["topic"]: kept["mnpu"] for kept in json.loads((tmp_path / "bench.json").read_text())}
    assert held == {"simulate": 5.0, "startup": 90.0}
    assert (
        "| mnpu --help | ms | 90.0 | kedro --help | 351.0 | 3.9 | 150.0 |"
        in (tmp_path / "docs/benchmarks.md").read_text()
    )


@pytest.mark.parametrize(("took", "code"), [(149.9, 0), (150.1, 1)])
def test_a_missed_target_ends_with_one(monkeypatch, tmp_path, took, code):
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "TOPICS", {"startup": lambda workspace: [row(mnpu=took)]})
    assert command.main([]) == code


def test_an_unknown_topic_is_named(capsys):
    assert command.main(["latency"]) == 2
    assert "no topic named latency" in capsys.readouterr().err


def test_a_peer_that_cannot_be_installed_is_shown_with_its_earlier_figure(monkeypatch, tmp_path):
    monkeypatch.setattr(startup, "_installed", lambda name, workspace: None)
    monkeypatch.setattr(startup, "_milliseconds", lambda command: 100.0)
    rows = startup.measure(tmp_path)
    assert {(r.peer, r.peer_value) for r in rows} >= {(f"kedro --help ({EARLIER})", 351.0)}
    assert all(r.mnpu == 100.0 and r.ratio == round(r.peer_value / 100.0, 2) for r in rows)


def test_a_target_of_the_data_topic_is_a_share_of_what_the_first_peer_takes(monkeypatch, tmp_path):
    monkeypatch.setattr(peers, "_python_with", lambda *environment: tmp_path)
    monkeypatch.setattr(peers, "ask", lambda python, script, work, *rest: [{"read_pandas": 80.0}.get(work, 60.0), 7.0])
    rows = data._beside("read", 15.0, data.READ, tmp_path, tmp_path, result=7.0, faster=4.0)
    assert [(r.peer_value, r.target, r.missed) for r in rows] == [(80.0, 20.0, False), *[(60.0, 20.0, False)] * 2]
    with pytest.raises(AssertionError, match=r"pandas\.read_sql found 7\.0, MNPU 8\.0"):
        data._beside("read", 15.0, data.READ, tmp_path, tmp_path, result=8.0, faster=4.0)


def test_a_peer_of_the_data_topic_that_cannot_be_installed_has_its_earlier_figure(monkeypatch, tmp_path):
    monkeypatch.setattr(peers, "_python_with", lambda *environment: None)
    [row, _] = data._beside("join", 3.0, data.JOIN, tmp_path, tmp_path, result=1.0, faster=8.0)
    assert (row.peer, row.peer_value) == (f"pandas.merge_asof ({EARLIER})", 38.3)
