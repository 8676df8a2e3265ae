"""A run's log is JSON lines, each with the run's id, and opening it is what costs."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from mnpu import log


def lines(path):
    """What was said between the first line and the end."""
    said = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert said[0]["event"] == "started"
    return [line for line in said[1:] if line["event"] != "finished"]


def test_every_line_is_json_with_the_run_and_the_time(tmp_path):
    path = tmp_path / "log.jsonl"
    with log.to_file(path, run_id="a-001") as events:
        events.info("fold_fitted", fold=np.int64(3), loss=np.float64(0.5), at_bar=pd.Timestamp("2020-01-01", tz="UTC"))
        events.warning("é\nline", path=path)
    first, second = lines(path)
    assert first["run_id"] == second["run_id"] == "a-001"
    assert (first["event"], first["level"], first["fold"], first["loss"]) == ("fold_fitted", "info", 3, 0.5)
    assert pd.Timestamp(first["at"]).tzinfo is not None
    assert second["event"] == "é\nline"


def test_numbers_that_json_does_not_know_are_text(tmp_path):
    def refuse(constant):
        raise AssertionError(constant)

    with log.to_file(tmp_path / "log.jsonl") as events:
        events.warning(
            "alert", value=float("inf"), low=np.float64("-inf"), all=[np.nan, {"x": np.array([1.0, np.nan])}]
        )
    line = [json.loads(text, parse_constant=refuse) for text in (tmp_path / "log.jsonl").read_text().splitlines()][1]
    assert (line["value"], line["low"], line["all"]) == ("inf", "-inf", ["nan", {"x": [1.0, "nan"]}])


def test_lines_are_there_as_soon_as_they_are_said(tmp_path):
    with log.to_file(tmp_path / "log.jsonl") as events:
        events.info("begun")
        assert lines(tmp_path / "log.jsonl")[0]["event"] == "begun"


def test_a_failure_is_logged_and_raised_on(tmp_path):
    with pytest.raises(ZeroDivisionError), log.to_file(tmp_path / "log.jsonl"):
        _ = 1 / 0
    (line,) = lines(tmp_path / "log.jsonl")
    assert (line["level"], line["error"], line["message"]) == ("error", "ZeroDivisionError", "division by zero")


def test_a_log_says_how_it_ended(tmp_path):
    with log.to_file(tmp_path / "log.jsonl"):
        pass
    assert json.loads(tmp_path.joinpath("log.jsonl").read_text().splitlines()[-1])["event"] == "finished"


def test_what_the_standard_loggers_say_is_kept_while_the_log_is_open(tmp_path):
    with log.to_file(tmp_path / "log.jsonl", run_id="a-001"):
        logging.getLogger("mnpu.progress").info("fitting")
        logging.getLogger("mnpu.plugins").warning("%s is muted", "observer")
    logging.getLogger("mnpu.plugins").warning("too late")
    first, line = lines(tmp_path / "log.jsonl")
    assert (first["event"], first["level"]) == ("fitting", "info")
    assert (line["event"], line["logger"], line["run_id"]) == ("observer is muted", "mnpu.plugins", "a-001")


def test_importing_the_log_does_not_import_structlog():
    code = "import sys, mnpu.log; print('structlog' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
