"""``docs/sqlite_schema.md`` describes the schema that is there, column by column."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mnpu.data.migrations import APPLICATION_ID, SCHEMA_VERSION

PAGE = Path(__file__).parents[2] / "docs" / "sqlite_schema.md"


def documented():
    tables, name = {}, None
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("## "):
            name = line[3:].strip()
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if name and re.fullmatch(r"`\w+`", cells[0]) and len(cells) == 5:
            column, kind, null, key, _ = cells
            tables.setdefault(name, []).append((column.strip("`"), kind, null == "yes", int(key or 0)))
    return tables


@pytest.fixture
def connection(demo_store):
    with closing(sqlite3.connect(demo_store)) as opened:
        yield opened


def test_every_column_is_documented_with_its_type_and_its_place_in_the_key(connection):
    real = {}
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
        real[table] = [(name, kind, not (required or key), key) for _, name, kind, required, _, key in columns]
    assert documented() == real


def test_the_pragmas_are_as_documented(connection):
    text = PAGE.read_text("utf-8")
    assert connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    assert connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION
    assert f"`0x{APPLICATION_ID:X}`" in text
    assert f"| `user_version` | `{SCHEMA_VERSION}` |" in text


def test_tables_are_strict_where_sqlite_knows_it(connection):
    if sqlite3.sqlite_version_info < (3, 37):
        pytest.skip("this SQLite has no STRICT tables")
    flags = {row[1]: row[4:6] for row in connection.execute("PRAGMA table_list").fetchall() if row[1] in documented()}
    assert flags == {table: (1, 1) for table in documented()}
