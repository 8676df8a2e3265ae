"""A database of another shape, read in place of a store."""

from __future__ import annotations

import logging
import pickle
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mnpu.data.store import Store
from mnpu.errors import ConfigError, DataError

PAGE = Path(__file__).parents[2] / "docs/reference/import-mapping.md"


@pytest.fixture
def mapping(tmp_path):
    """The mapping of the reference beside a database such as it reads."""
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.executescript(
            """
            CREATE TABLE assets (id INTEGER, ticker TEXT);
            CREATE TABLE bars (asset_id INTEGER, day TEXT, close REAL);
            CREATE TABLE indicators (name TEXT, day TEXT, published TEXT, value);
            INSERT INTO assets VALUES (1, 'AAA'), (2, 'BBB');
            INSERT INTO bars VALUES (1, '2024-03-08', 10), (1, '2024-03-11', 11), (2, '2024-03-11', 5),
                (2, '2024-03-09', 4);
            INSERT INTO indicators VALUES ('cpi', '2024-01-01', '2024-02-13 13:30', 3.1),
                ('cpi', '2024-01-01', '2024-03-12 12:30', 3), ('cpi', '2024-02-01', NULL, 3.2);
            """
        )
        connection.commit()
    (text,) = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.M | re.S)
    path = tmp_path / "other.yaml"
    path.write_text(text)
    return path


def test_it_serves_a_panel_and_side_data_and_writes_nothing(mapping, caplog):
    before = sorted(mapping.parent.iterdir()), (mapping.parent / "other.db").read_bytes()
    store = Store.open(f"sqlite:///{mapping}")
    with caplog.at_level(logging.WARNING, logger="mnpu.data"):
        panel = store.panel(["AAA", "BBB"], start="2024-03-08", end="2024-03-11")
    assert "1 calendar, 1 unknown" in caplog.text
    np.testing.assert_array_equal(panel["close"], [[10, np.nan], [11, 5]])
    assert panel.times[1] == pd.Timestamp("2024-03-11 20:00", tz="UTC")
    side = store.side(["cpi"])
    assert side.value.tolist() == [3.1, 3.0]
    assert side.knowledge_time[0] == pd.Timestamp("2024-02-13 13:30", tz="UTC")
    assert store.info().datasets[0].info.name == "theirs"
    assert (sorted(mapping.parent.iterdir()), (mapping.parent / "other.db").read_bytes()) == before


def test_another_process_reads_for_itself(mapping):
    store = Store.open(mapping)
    assert store.symbols() == ("AAA", "BBB")
    assert pickle.loads(pickle.dumps(store)).symbols() == ("AAA", "BBB")


def test_info_shows_it(mapping):
    from click.testing import CliRunner

    from mnpu.commands import data

    shown = CliRunner().invoke(data.command, ["info", str(mapping)], catch_exceptions=False)
    assert "theirs" in shown.output


def test_a_query_that_does_not_fit_is_an_error(mapping):
    mapping.write_text(mapping.read_text().replace("FROM indicators", "FROM indikators"))
    with pytest.raises(DataError, match="no such table: indikators"):
        Store.open(mapping).symbols()
    mapping.write_text("imports: []\n")
    with pytest.raises(ConfigError, match="imports"):
        Store.open(mapping)


def test_the_same_mapping_can_be_imported(mapping, tmp_path):
    from mnpu.data.importing.mapping import load_mapping
    from mnpu.data.importing.run import import_files

    summary = import_files(load_mapping(mapping), tmp_path / "new" / "market.db")
    assert (summary.total("n_taken"), summary.total("n_refused")) == (5, 2)
