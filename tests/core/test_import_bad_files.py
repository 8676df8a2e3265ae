"""Files that are not what they seem: each is read rightly or refused with what to do, and lines are the file's."""

from __future__ import annotations

import csv
import gzip
import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from mnpu.data.importing.mapping import load_mapping
from mnpu.data.importing.run import import_files
from mnpu.data.importing.sink import create_store
from mnpu.errors import ConfigError

MAPPING = """imports:
  - files: {name}
    table: prices
    dataset: {{name: mine, vendor: me, frequency: 1h, stamp: close, calendar: CRYPTO, currency: USD, licence: none}}
    time: {{zone: UTC}}
    csv: {{{style}}}
"""
TEXT = "time,symbol,close\n2024-01-01 01:00:00,AÄ,1.0\n2024-01-01 02:00:00,AÄ,2.0\n"


@pytest.fixture
def given(tmp_path):
    """Import bytes as a file; its outcome."""

    def give(content=None, name="bars.csv", style=""):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        (tmp_path / "mapping.yaml").write_text(MAPPING.format(name=name, style=style))
        return import_files(load_mapping(tmp_path / "mapping.yaml"), tmp_path / "market.db").files[0]

    return give


def refused_lines(outcome):
    with outcome.quarantine.open(encoding="utf-8", newline="") as stream:
        return sorted((int(row["line"]), row["rule"]) for row in csv.DictReader(stream))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_wide_encoding_is_named_and_what_is_advised_works(given, encoding):
    refused = given(TEXT.encode(encoding))
    assert f"is encoded in {encoding.upper()}" in str(refused.error)
    assert f"csv: {{encoding: {encoding}}}" in refused.error.next_step
    assert given(style=f"encoding: {encoding}").n_taken == 2


def test_what_is_no_file_is_told_where_it_is_asked_for(tmp_path):
    (tmp_path / "mapping.yaml").write_text(MAPPING.format(name="'*.csv'", style=""))
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    for name, told in (("folder.csv", "is no regular file"), ("loop.csv", "does not exist"), ("no.csv", "does not")):
        with pytest.raises(ConfigError, match=told):
            import_files(load_mapping(tmp_path / "mapping.yaml"), tmp_path / "market.db", files=[tmp_path / name])


def test_a_header_of_another_encoding_is_told_with_what_to_say(given):
    content = TEXT.replace("close", "clöse,close").replace(",1.0", ",x,1.0").replace(",2.0", ",x,2.0")
    refused = given(content.encode("latin-1"))
    assert "its header is no text in utf-8" in str(refused.error)
    assert given(style="encoding: latin-1").n_taken == 2


@pytest.mark.parametrize("content", [b"time,symbol,close\n", b"time,symbol,close", b"time,symbol,close\r\n"])
def test_a_header_alone_is_a_file_without_rows(given, content):
    outcome = given(content)
    assert outcome.error is None
    assert outcome.n_read == 0


def test_a_pipe_is_refused_before_anyone_waits_for_it(given, tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    os.mkfifo(tmp_path / "bars.csv")
    assert "no regular file" in str(given().error)


@pytest.mark.parametrize("row_break", ["\n", "\r\n"])
def test_lines_are_those_of_the_file_where_cells_hold_line_breaks(given, row_break):
    rows = ["time,symbol,close,note"]  # line 1
    for hour, (close, note) in enumerate(
        [("1", '"two\nlines"'), ("oops", "x"), ("bad", '"a\nb\r\nc"'), ("1", '"\n",ragged'), ("1", "y"), ("worse", "z")]
    ):
        rows.append(f"2024-01-01 0{hour}:00:00,AA,{close},{note}")
    outcome = given(row_break.join(rows).encode(), style="quoted_newlines: true")
    # Counted by hand: rows begin at lines 2, 4, 5, 8, 10 and 11.
    assert refused_lines(outcome) == [(4, "number"), (5, "number"), (8, "ragged"), (11, "number")]


def test_lines_go_on_from_one_piece_of_the_file_to_the_next(given):
    row = '2024-01-01 01:00:00,AA,1,"' + "x" * 100 + '\n"\n'
    n = 40_000  # 5 MB, in pieces of 2 MiB
    content = "time,symbol,close,note\n" + row * n + "2024-01-01 02:00:00,AA,oops,z\n"
    assert refused_lines(given(content.encode(), style="quoted_newlines: true")) == [(2 + 2 * n, "number")]


@pytest.mark.parametrize("style", ["", "quoted_newlines: true"])
def test_a_row_without_an_end_is_named(given, style):
    refused = given(b"time,symbol,close\n2024-01-01 01:00:00,AA,1" + b"0" * (5 << 20), style=style)
    assert "holds a row of more than 2 MiB" in str(refused.error)


@pytest.mark.parametrize("content", [b"x" * (17 << 20), b"a,b,c" + b"d" * 200_000 + b"\n1,2,3\n"])
def test_a_header_without_an_end_is_told(given, content):
    assert "its header" in str(given(content).error)


def test_nothing_reads_on_after_a_file_was_given_up(tmp_path):
    """The reader's own thread would call into an interpreter that has ended."""
    (tmp_path / "bars.csv.gz").write_bytes(gzip.compress(TEXT.encode() + b"1" * (64 << 20), 1))
    (tmp_path / "mapping.yaml").write_text(MAPPING.format(name="bars.csv.gz", style=""))
    arguments = ["data", "import", "mapping.yaml", "--store", "market.db"]
    command = [sys.executable, "-c", "from mnpu.cli import main; main()", *arguments]
    ended = [subprocess.run(command, cwd=tmp_path, capture_output=True, check=False) for _ in range(2)]
    assert [(one.returncode, b"more than 2 MiB" in one.stderr) for one in ended] == [(3, True)] * 2


def test_a_store_that_somebody_made_meanwhile_is_used(tmp_path):
    assert create_store(tmp_path / "market.db")
    made = (tmp_path / "market.db").read_bytes()
    assert not create_store(tmp_path / "market.db")
    assert [path.name for path in tmp_path.iterdir()] == ["market.db"]
    assert (tmp_path / "market.db").read_bytes() == made


def test_a_number_that_is_no_time_leaves_the_others_exact(given, tmp_path):
    exact = [1704067200000000001, 1704070800123456789]
    odd = [2**63 - 1, -(2**63), 2**63, 10**30]
    rows = "".join(f"{ns},AA,1\n" for ns in [*exact, *odd])
    outcome = given(f"time,symbol,close\n{rows}".encode(), style="")
    assert (outcome.n_taken, outcome.n_refused) == (2, 4)
    assert refused_lines(outcome) == [(line, "time") for line in (4, 5, 6, 7)]
    with closing(sqlite3.connect(tmp_path / "market.db")) as connection:
        assert [ns for (ns,) in connection.execute("SELECT event_time FROM prices ORDER BY 1")] == exact


def test_rows_that_contradict_one_another_are_told_with_both_values(given):
    head = "time,symbol,close,volume\n"
    row = "2024-01-01 01:00:00,AA,{},{}\n"
    outcome = given((head + "".join(row.format(*cells) for cells in [(1, 5), (1, 5), (2, 5), (3, "")])).encode())
    assert (outcome.n_taken, outcome.n_present, outcome.n_refused) == (1, 1, 2)
    with outcome.quarantine.open(encoding="utf-8", newline="") as stream:
        reasons = [row["reason"].split(": ", 1)[1] for row in csv.DictReader(stream)]
    assert reasons == ["close is 2.0, was 1.0 before", "close is 3.0, was 1.0 before, volume is nan, was 5.0 before"]


@pytest.mark.parametrize("mark", ["\ufeff", "\u200b", "\u202e", "\x85", "\0"])
def test_a_symbol_that_only_looks_like_another_is_refused(given, mark):
    outcome = given(f"time,symbol,close\n2024-01-01 01:00:00,A{mark}A,1\n2024-01-01 01:00:00,AA,1\n".encode())
    if mark == "\0":  # so near the top, it is no text at all
        assert "zero bytes" in str(outcome.error)
    else:
        assert refused_lines(outcome) == [(2, "name")]
