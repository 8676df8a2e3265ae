"""A store of an older version is refused with the command that upgrades it, which keeps every row or does nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from click.testing import CliRunner

from mnpu.commands.data import command
from mnpu.data import migrations
from mnpu.data.migrations import create_schema, migrate
from mnpu.data.store import Store
from mnpu.errors import DataError

ROWS = {
    "meta": [("source", "a test")],
    "datasets": [("d", "v", "1d", "close", "none", "", "XNYS", "USD", "none", "")],
    "assets": [("d", "AAA", 10, 20, 2)],
    "prices": [
        ("d", "AAA", 10, 10, None, None, None, 1.5, None, 7.0),
        ("d", "AAA", 20, 25, 1.0, 2.0, 0.5, 1.25, None, 0.0),
    ],
    "corporate_actions": [("d", "AAA", 20, 15, "split", 2.0, "somebody")],
    "series": [("cpi", "monthly", "index", "observed", "", 99, "s", "l", "n", 0)],
    "observations": [("cpi", 1, 2, 100.0, "left-censored"), ("cpi", 1, 5, 100.5, "observed")],
}


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        create_schema(connection, version=1)
        for table, rows in ROWS.items():
            connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
    return path


def everything(path):
    with closing(sqlite3.connect(path)) as connection:
        return {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in ROWS}


def test_an_older_store_is_refused_with_the_command_that_upgrades_it(old):
    with pytest.raises(
        DataError, match=rf"schema version 1, expected version 3\. Upgrade it with: mnpu data migrate {old}"
    ):
        Store.open(old)


def test_an_upgrade_keeps_every_row_and_says_what_it_can_about_the_new_columns(old):
    done = migrate(old)
    assert (done.before, done.after) == (1, 3)
    rows = everything(old)
    for table in ("meta", "datasets"):
        assert rows[table] == ROWS[table]
    assert rows["assets"] == [("d", "AAA", 10, 20, 2, "", "USD", "XNYS", "AAA", None, None, None)]
    assert rows["prices"] == [(*row, "declared") for row in ROWS["prices"]]
    assert rows["corporate_actions"] == [("d", "AAA", 20, 15, "split", "", 2.0, None, "somebody", "declared")]
    assert rows["series"] == [(*ROWS["series"][0], "macro")]
    assert rows["observations"] == [(row[0], "", *row[1:]) for row in ROWS["observations"]]
    assert Store.open(old).side(["cpi"]).value.tolist() == [100.0, 100.5]


def test_an_upgrade_from_version_2_keeps_actions_and_events(tmp_path):
    path = tmp_path / "two.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        create_schema(connection, version=2)
        connection.execute(
            "INSERT INTO datasets VALUES ('d', 'v', '1d', 'close', 'none', '', 'XNYS', 'USD', 'none', '')"
        )
        connection.execute(
            "INSERT INTO assets (dataset, symbol, first_bar, last_bar, n_bars) VALUES ('d', 'A', 1, 2, 2)"
        )
        connection.execute("INSERT INTO series VALUES ('e', '', '', 'observed', '', 9, '', '', '', 0, 'calendar')")
        paid = ("d", "A", 20, 15, "dividend", None, 0.5, "somebody", "observed")
        connection.execute("INSERT INTO corporate_actions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", paid)
        event = ("e", 9, 4, None, 1.0, None, None, "", "declared")
        connection.execute("INSERT INTO calendar_events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", event)
    done = migrate(path)
    assert (done.before, done.after) == (2, 3)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM corporate_actions").fetchall() == [(*paid[:5], "", *paid[5:])]
        assert connection.execute("SELECT * FROM calendar_events").fetchall() == [(*event, 0)]


def test_an_upgraded_store_has_the_schema_of_a_new_one(old, tmp_path):
    migrate(old)
    with closing(sqlite3.connect(":memory:")) as new:
        create_schema(new)
        told = "SELECT type, name FROM sqlite_master ORDER BY 1, 2"
        with closing(sqlite3.connect(old)) as upgraded:
            assert upgraded.execute(told).fetchall() == new.execute(told).fetchall()
            for (table,) in new.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')").fetchall():
                columns = f"PRAGMA table_info({table})"
                assert upgraded.execute(columns).fetchall() == new.execute(columns).fetchall()
            assert upgraded.execute("PRAGMA foreign_key_check").fetchall() == []


def test_an_upgrade_that_fails_half_way_leaves_the_store_as_it_was(old, monkeypatch):
    before = everything(old)
    real = migrations._statements

    def broken(version):
        yield from list(real(version))[:6]
        yield "INSERT INTO no_such_table VALUES (1)"

    monkeypatch.setattr(migrations, "_statements", broken)
    with pytest.raises(DataError, match="no such table"):
        migrate(old)
    assert everything(old) == before
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)


def test_a_second_upgrade_changes_nothing(old):
    migrate(old)
    data = old.read_bytes()
    assert (migrate(old).before, old.read_bytes()) == (3, data)


def test_a_store_that_somebody_writes_into_is_not_upgraded(old, monkeypatch):
    monkeypatch.setattr(migrations, "WAIT_SECONDS", 0.0)
    with closing(sqlite3.connect(old, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(migrations.MnpuError, match="locked by another process"):
            migrate(old)


def test_the_command_says_what_it_did(old):
    first = CliRunner().invoke(command, ["migrate", str(old)])
    assert (first.exit_code, first.output) == (0, f"{old} from version 1 to 3\n")
    again = CliRunner().invoke(command, ["migrate", str(old)])
    assert (again.exit_code, again.output) == (0, f"{old} is at version 3\n")


@pytest.mark.parametrize("is_new", [False, True])
def test_a_store_with_a_rotten_page_is_not_called_up_to_date(old, is_new):
    if is_new:
        migrate(old)
    with closing(sqlite3.connect(old)) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'observations'").fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    data = bytearray(old.read_bytes())
    data[(root - 1) * size : (root - 1) * size + 200] = b"\xa5" * 200
    old.write_bytes(data)
    with pytest.raises(DataError, match=r"is damaged|cannot be read as a store"):
        migrate(old)
    assert old.read_bytes() == data


def test_a_store_that_cannot_be_written_is_still_said_to_be_up_to_date(old):
    migrate(old)
    old.chmod(0o444)
    assert migrate(old).after == migrations.SCHEMA_VERSION
