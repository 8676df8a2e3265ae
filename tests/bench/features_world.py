"""The panel that the topic ``features`` measures on, and what is computed of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mnpu.features.plan import PlannedFeature, plan
from mnpu.plugins.registry import Registry
from mnpu.types import DatasetInfo, Panel, SideTable

__all__ = ["FIELDS", "INDICATORS", "Use", "alpha158", "indicators", "keep", "nothing", "panel_of", "prices"]

FIELDS = ("open", "high", "low", "close", "volume")
SYMBOLS, BARS = 383, 1_259

#: Those that TA-Lib is asked for, in the same order; see ``indicators_talib``.
INDICATORS: tuple[tuple[str, dict[str, object]], ...] = (
    ("sma", {"window": 20}),
    ("ema", {"window": 20}),
    ("wma", {"window": 20}),
    ("dema", {"window": 20}),
    ("tema", {"window": 20}),
    ("kama", {"window": 10}),
    ("bbands_upper", {}),
    ("bbands_lower", {}),
    ("sar", {}),
    ("rsi", {}),
    ("cmo", {}),
    ("macd", {}),
    ("macd_signal", {}),
    ("macd_hist", {}),
    ("ppo", {}),
    ("mom", {"window": 10}),
    ("roc", {"window": 10}),
    ("trix", {"window": 15}),
    ("adx", {}),
    ("adxr", {}),
    ("dx", {}),
    ("plus_di", {}),
    ("minus_di", {}),
    ("atr", {}),
    ("natr", {}),
    ("trange", {}),
    ("cci", {}),
    ("willr", {}),
    ("ultosc", {}),
    ("stoch_k", {}),
    ("stoch_d", {}),
    ("aroon_down", {}),
    ("aroon_up", {}),
    ("mfi", {}),
    ("obv", {}),
    ("ad", {}),
)


class Use:
    """An entry of a recipe."""

    def __init__(self, use: str, **params: object) -> None:
        self.use, self.tag, self.params = use, "", params


def alpha158() -> list[PlannedFeature]:
    """All of Alpha158."""
    return plan([Use("alpha158.*")], Registry.discover())


def indicators() -> list[PlannedFeature]:
    """36 technical indicators."""
    return plan([Use(f"technical.{name}", **params) for name, params in INDICATORS], Registry.discover())


def prices(symbols: int = SYMBOLS, bars: int = BARS) -> Panel:
    """Daily bars of US stocks, 2013 to 2018, where the shared data is there; else as many that are made up."""
    root = Path(os.environ.get("MNPU_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
    path = root / "prices-daily" / "sp500_2013_2018.parquet"
    if not path.exists() or (symbols, bars) != (SYMBOLS, BARS):
        return panel_of(_made_up(symbols, bars))
    frame = pd.read_parquet(path)
    wide = frame.pivot(index="timestamp", columns="symbol", values=list(FIELDS))
    rows = {name: np.ascontiguousarray(wide[name], dtype=float) for name in FIELDS}  # as a store gives them
    return panel_of(rows, pd.DatetimeIndex(wide.index))


def panel_of(fields: dict[str, np.ndarray], days: pd.DatetimeIndex | None = None) -> Panel:
    """A panel of arrays (T, A)."""
    bars, symbols = fields["close"].shape
    times = pd.bdate_range("2013-02-08", periods=bars, tz="UTC") if days is None else days
    times = (times + pd.Timedelta(hours=21)).as_unit("ns")
    info = DatasetInfo("bench", "", "1d", "close", "none", "", "XNYS", "USD", "none")
    return Panel(
        times=times,
        sessions=times.tz_localize(None).to_numpy().astype("datetime64[D]"),
        symbols=tuple(f"S{a:04}" for a in range(symbols)),
        fields=fields,
        tradable=np.isfinite(fields["close"]),
        datasets=(info,) * symbols,
        frequency="1d",
        calendar="XNYS",
        periods_per_year=252.0,
    )


def nothing() -> SideTable:
    """No side data."""
    none = pd.DatetimeIndex([], tz="UTC").as_unit("ns")
    empty = np.empty(0, dtype=object)
    return SideTable(none, none, empty, empty, np.empty(0), {})


def _made_up(symbols: int, bars: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, (bars, symbols)), axis=0))
    opened = close * np.exp(rng.normal(0, 0.005, close.shape))
    reach = np.exp(np.abs(rng.normal(0, 0.005, (2, *close.shape))))
    high, low = np.maximum(opened, close) * reach[0], np.minimum(opened, close) / reach[1]
    volume = np.exp(12 + 0.3 * rng.normal(size=close.shape))
    return dict(zip(FIELDS, (opened, high, low, close, volume), strict=True))


def keep(panel: Panel, folder: Path) -> None:
    """The panel for the peers."""
    days: Sequence[object] = panel.sessions.astype("datetime64[ns]")
    np.savez(folder / "panel.npz", **{name: panel[name] for name in FIELDS}, days=np.asarray(days))
