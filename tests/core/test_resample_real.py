"""Longer bars against those that the vendor published beside the shorter ones, and what the differences are."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mnpu.data.calendars import get_calendar
from mnpu.data.clock import utc
from mnpu.data.resample import resample_bars

NAMES = ("open", "high", "low", "close", "volume")


@pytest.fixture(scope="module")
def shared() -> Path:
    root = Path(os.environ.get("MNPU_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (root / "prices-hourly").is_dir():
        pytest.skip("the extra reference data is not here; set MNPU_SHARED_DATA to its folder")
    return root


def of_symbol(path: Path, symbol: str) -> pd.DataFrame:
    table = pd.read_parquet(path)
    table = table[table["symbol"].str.startswith(symbol)]
    return table.set_index(utc(table["timestamp"]))[list(NAMES)]


def put_together(bars: pd.DataFrame, calendar: str, fine: str, coarse: str) -> pd.DataFrame:
    columns = {name: bars[name].to_numpy() for name in NAMES}
    closes, made = resample_bars(bars.index, columns, calendar=calendar, frequency=coarse, source_frequency=fine)
    return pd.DataFrame(made, index=closes)


def differing(made: pd.DataFrame, published: pd.DataFrame) -> dict[str, pd.Index]:
    """Rows of each column that differ by more than rounding."""
    assert made.index.equals(published.index)
    return {name: made.index[~np.isclose(made[name], published[name], rtol=1e-9, atol=0.0)] for name in NAMES}


def test_hours_of_bitcoin_equal_the_published_hours_out_of_five_minutes(shared):
    made = put_together(of_symbol(shared / "crypto-intraday/binance_btc_perp_5m.parquet", "BTC"), "CRYPTO", "5m", "1h")
    published = of_symbol(shared / "crypto-intraday/binance_perp_1h.parquet", "BTC")
    assert len(made) == 9977
    assert published.index.difference(made.index).tolist() == [pd.Timestamp("2026-02-19 18:00", tz="UTC")]
    wrong = differing(made, published.loc[made.index])
    # The two files disagree about four hours, in volume and once in the low.
    assert {name: len(rows) for name, rows in wrong.items()} == {
        "open": 0,
        "high": 0,
        "low": 1,
        "close": 0,
        "volume": 4,
    }


def test_days_of_the_euro_equal_the_published_days_which_are_utc_days(shared):
    hours = of_symbol(shared / "fx/eurusd_hour.parquet", "EURUSD")
    assert get_calendar("FX").contains(hours.index).all()
    made = put_together(hours, "CRYPTO", "1h", "1d")
    made.index = pd.DatetimeIndex(get_calendar("CRYPTO").sessions(made.index)).as_unit("ns").tz_localize("UTC")
    published = of_symbol(shared / "fx/fx_daily.parquet", "EURUSD")
    both = made.index.intersection(published.index)
    assert len(both) == 3736
    wrong = differing(made.loc[both], published.loc[both])
    assert len(wrong["open"]) == len(wrong["close"]) == 0
    # The vendor's high is the middle of two extremes, of bid and of ask, that need not fall into one hour.
    for name in ("high", "low"):
        assert len(wrong[name]) < 0.07 * len(both)
        assert (made.loc[both, name] / published.loc[both, name] - 1).abs().max() < 3e-4


@pytest.mark.parametrize("symbol", ["SPY", "AAPL"])
def test_days_of_a_stock_equal_the_published_days_but_for_trades_after_early_closes(shared, symbol):
    hours = of_symbol(shared / "prices-hourly/lean_us_hour_unadjusted.parquet", symbol)
    calendar = get_calendar("XNYS")
    late = ~calendar.contains(hours.index)
    assert late.sum() == 47  # trades reported after a close at 13:00
    made = put_together(hours[~late], "XNYS", "1h", "1d")
    made.index = pd.DatetimeIndex(calendar.sessions(made.index)).as_unit("ns").tz_localize("UTC")
    published = of_symbol(shared / "prices-daily/lean_us_unadjusted.parquet", symbol)
    assert len(made) == len(published) == 5849
    wrong = differing(made, published)
    assert len(wrong["open"]) == 0
    early = pd.DatetimeIndex(np.unique(calendar.sessions(hours.index[late]))).as_unit("ns").tz_localize("UTC")
    for name in ("high", "low", "close", "volume"):
        assert set(wrong[name]) <= set(early), name


def test_stock_hours_lie_on_the_bars_of_the_calendar(shared):
    hours = of_symbol(shared / "prices-hourly/lean_us_hour_unadjusted.parquet", "SPY")
    calendar = get_calendar("XNYS")
    inside = hours.index[calendar.contains(hours.index)]
    closes = calendar.bar_closes(np.unique(calendar.sessions(inside)), "1h")
    assert inside.isin(closes).all()
    assert len(closes) - len(inside) < 100  # hours without a trade
