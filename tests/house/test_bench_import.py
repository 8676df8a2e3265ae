"""The benchmark of importing measures what it says."""

from tests.bench.data_import import import_seconds, make_bars


def test_a_small_import_is_measured(tmp_path):
    frame = make_bars(tmp_path, n_symbols=3, n_bars=40)
    assert len(frame) == 120
    for name in ("bars.parquet", "bars.csv"):
        assert import_seconds(tmp_path, name, repeats=1) > 0
