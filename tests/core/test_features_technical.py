"""Technical indicators against TA-Lib, bar by bar, on symbols with late listings and holes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mnpu.errors import ConfigError
from mnpu.features import View, technical
from mnpu.features.compute import evaluate
from mnpu.features.evaluation import fresh_states
from mnpu.features.plan import plan_function
from mnpu.testing.features import synthetic_panel, synthetic_side
from mnpu.types import Panel

talib = pytest.importorskip("talib", reason="the indicators' reference")

BARS = 400
Bars = dict[str, np.ndarray]


def level(values: np.ndarray, bars: Bars) -> np.ndarray:
    return values / bars["close"] - 1


def difference(values: np.ndarray, bars: Bars) -> np.ndarray:
    return values / bars["close"]


def plain(values: np.ndarray, _bars: Bars) -> np.ndarray:
    return values


def hlc(name: str, *args: Any) -> Callable[[Bars], Any]:
    return lambda b: getattr(talib, name)(b["high"], b["low"], b["close"], *args)


def closes(name: str, *args: Any) -> Callable[[Bars], Any]:
    return lambda b: getattr(talib, name)(b["close"], *args)


def part(of: Callable[[Bars], Any], number: int) -> Callable[[Bars], np.ndarray]:
    return lambda b: of(b)[number]


#: What a feature of ours is at its defaults: TA-Lib's answer, and how it is put relative to the close.
REFERENCE: dict[str, tuple[Callable[[Bars], np.ndarray], Callable[[np.ndarray, Bars], np.ndarray]]] = {
    "ad": (lambda b: talib.AD(b["high"], b["low"], b["close"], b["volume"]), plain),
    "adosc": (lambda b: talib.ADOSC(b["high"], b["low"], b["close"], b["volume"], 3, 10), plain),
    "adx": (hlc("ADX", 14), plain),
    "adxr": (hlc("ADXR", 14), plain),
    "aroon_down": (part(lambda b: talib.AROON(b["high"], b["low"], 14), 0), plain),
    "aroon_up": (part(lambda b: talib.AROON(b["high"], b["low"], 14), 1), plain),
    "aroonosc": (lambda b: talib.AROONOSC(b["high"], b["low"], 14), plain),
    "atr": (hlc("ATR", 14), difference),
    "bbands_lower": (part(closes("BBANDS", 20, 2.0, 2.0), 2), level),
    "bbands_upper": (part(closes("BBANDS", 20, 2.0, 2.0), 0), level),
    "bop": (lambda b: talib.BOP(b["open"], b["high"], b["low"], b["close"]), plain),
    "cci": (hlc("CCI", 14), plain),
    "cmo": (closes("CMO", 14), plain),
    "dema": (closes("DEMA", 20), level),
    "dx": (hlc("DX", 14), plain),
    "ema": (closes("EMA", 20), level),
    "highest": (closes("MAX", 20), level),
    "kama": (closes("KAMA", 10), level),
    "linearreg": (closes("LINEARREG", 14), level),
    "linearreg_slope": (closes("LINEARREG_SLOPE", 14), difference),
    "lowest": (closes("MIN", 20), level),
    "macd": (part(closes("MACD", 12, 26, 9), 0), difference),
    "macd_hist": (part(closes("MACD", 12, 26, 9), 2), difference),
    "macd_signal": (part(closes("MACD", 12, 26, 9), 1), difference),
    "mfi": (lambda b: talib.MFI(b["high"], b["low"], b["close"], b["volume"], 14), plain),
    "midprice": (lambda b: talib.MIDPRICE(b["high"], b["low"], 14), level),
    "minus_di": (hlc("MINUS_DI", 14), plain),
    "mom": (closes("MOM", 10), difference),
    "natr": (hlc("NATR", 14), plain),
    "obv": (lambda b: talib.OBV(b["close"], b["volume"]), plain),
    "plus_di": (hlc("PLUS_DI", 14), plain),
    "ppo": (closes("PPO", 12, 26, 1), plain),
    "roc": (closes("ROC", 10), plain),
    "rsi": (closes("RSI", 14), plain),
    "sar": (lambda b: talib.SAR(b["high"], b["low"], 0.02, 0.2), level),
    "sma": (closes("SMA", 20), level),
    "stddev": (closes("STDDEV", 20), difference),
    "stoch_d": (part(hlc("STOCH", 5, 3, 0, 3, 0), 1), plain),
    "stoch_k": (part(hlc("STOCH", 5, 3, 0, 3, 0), 0), plain),
    "stochf_d": (part(hlc("STOCHF", 5, 3, 0), 1), plain),
    "stochf_k": (part(hlc("STOCHF", 5, 3, 0), 0), plain),
    "stochrsi_d": (part(closes("STOCHRSI", 14, 5, 3, 0), 1), plain),
    "stochrsi_k": (part(closes("STOCHRSI", 14, 5, 3, 0), 0), plain),
    "tema": (closes("TEMA", 20), level),
    "trange": (hlc("TRANGE"), difference),
    "trix": (closes("TRIX", 15), plain),
    "tsf": (closes("TSF", 14), level),
    "ultosc": (hlc("ULTOSC", 7, 14, 28), plain),
    "willr": (hlc("WILLR", 14), plain),
    "wma": (closes("WMA", 20), level),
}
#: These follow from others of ours by arithmetic, see below.
DERIVED = {"bbands_percent", "bbands_width"}
#: What hangs on a state and on nothing else holds still over a missing bar.
CARRIED = sorted(
    name
    for name in REFERENCE
    if plan_function(getattr(technical, name), {}, source="technical")[0].spec.state
    and name not in ("kama", "stochrsi_k", "stochrsi_d", "adxr")
)


@pytest.fixture(scope="module")
def panel() -> Panel:
    return synthetic_panel(np.random.default_rng(5), bars=BARS)


def value(name: str, panel: Panel, **params: Any) -> np.ndarray:
    [column] = plan_function(getattr(technical, name), params, source="technical")
    return evaluate([column], panel, synthetic_side((), panel, np.random.default_rng(0)))[..., 0]


def bars_of(panel: Panel, symbol: int) -> tuple[Bars, np.ndarray]:
    """The bars that a symbol has, and their rows."""
    rows = np.flatnonzero(panel.tradable[:, symbol])
    names = ("open", "high", "low", "close", "volume")
    return {name: np.ascontiguousarray(panel[name][rows, symbol]) for name in names}, rows


def agree(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Equal wherever TA-Lib has a value; ours may be there earlier, as single lines of several are."""
    there = np.isfinite(theirs)
    assert there.sum() > 100
    scale = np.nanmax(np.abs(theirs))
    np.testing.assert_allclose(ours[there], theirs[there], rtol=1e-8, atol=1e-11 * scale)


def test_every_indicator_has_a_reference() -> None:
    assert set(REFERENCE) | DERIVED == set(technical.__all__)
    assert len(technical.__all__) >= 36


@pytest.mark.parametrize("name", REFERENCE)
def test_it_is_what_talib_says_from_the_symbols_first_bar_on(name: str, panel: Panel) -> None:
    reference, relative = REFERENCE[name]
    ours = value(name, panel)
    for symbol in (0, 2, 3):  # the first is listed late, the others are whole
        bars, rows = bars_of(panel, symbol)
        agree(ours[rows, symbol], relative(reference(bars), bars))
        assert np.isnan(np.delete(ours[:, symbol], rows)).all()


@pytest.mark.parametrize("name", CARRIED)
def test_a_carried_average_is_that_of_the_bars_that_are_there(name: str, panel: Panel) -> None:
    reference, relative = REFERENCE[name]
    bars, rows = bars_of(panel, 1)
    assert len(rows) == BARS - 3
    ours = value(name, panel)[:, 1]
    agree(ours[rows], relative(reference(bars), bars))
    assert np.isnan(np.delete(ours, rows)).all()


def test_a_missing_bar_is_in_a_window_until_it_leaves_it(panel: Panel) -> None:
    hole = np.flatnonzero(~panel.tradable[:, 1])
    ours = value("sma", panel)[:, 1]
    assert np.flatnonzero(np.isnan(ours[19:])).tolist() == [*range(hole[0] - 19, hole[-1] + 1)]


def test_the_place_in_the_bands_and_their_width(panel: Panel) -> None:
    close = panel["close"][:, 2]
    upper, middle, lower = talib.BBANDS(np.ascontiguousarray(close), 20, 2.0, 2.0)
    np.testing.assert_allclose(value("bbands_percent", panel)[:, 2], (close - lower) / (upper - lower), rtol=1e-8)
    np.testing.assert_allclose(value("bbands_width", panel)[:, 2], (upper - lower) / middle, rtol=1e-8)


@pytest.mark.parametrize("name", sorted(set(REFERENCE) - {"obv", "ad", "adosc"}))
def test_a_market_that_never_moves_divides_nothing_by_zero(name: str, panel: Panel) -> None:
    still = {field: np.where(panel.tradable, 7.0, np.nan) for field in ("open", "high", "low", "close", "volume")}
    values = value(name, replace(panel, fields={**panel.fields, **still}))
    assert not np.isinf(values).any()
    assert set(np.unique(values[np.isfinite(values)].round(9))) <= {0.0, 100.0}  # aroon: the latest extreme is now


@pytest.mark.parametrize("name", ["rsi", "stochf_k", "willr", "cci", "mfi", "bop", "dx", "bbands_percent"])
def test_what_a_market_that_never_moves_cannot_say_is_missing(name: str, panel: Panel) -> None:
    still = {field: np.full(panel.shape, 7.0) for field in ("open", "high", "low", "close", "volume")}
    assert np.isnan(value(name, replace(panel, fields={**panel.fields, **still}))).all()


@pytest.mark.parametrize("name", sorted(technical.__all__))
def test_bars_that_come_one_by_one_give_the_same(name: str, panel: Panel) -> None:
    [column] = plan_function(getattr(technical, name), {}, source="technical")
    side = synthetic_side((), panel, np.random.default_rng(0))
    states = fresh_states([column], len(panel.symbols))
    whole = evaluate([column], panel, side)[..., 0]
    evaluate([column], panel.rows(0, 120), side, states=states)
    for t in range(120, 160):  # the hole of the second symbol is among them
        rows = panel.rows(max(t + 1 - column.spec.warmup, 0), t + 1)
        newest = evaluate([column], rows, side, first=len(rows.times) - 1, states=states)[-1, :, 0]
        np.testing.assert_allclose(newest, whole[t], rtol=1e-9, atol=1e-12)


def test_windows_out_of_order_or_out_of_range_are_refused() -> None:
    for name, params, told in (
        ("macd", {"fast": 26, "slow": 12}, "fast is 26"),
        ("ultosc", {"middle": 40}, "middle is 40"),
        ("sma", {"window": 1}, "at least 2"),
        ("sar", {"step": 1.5}, "1.5"),
    ):
        with pytest.raises(ConfigError, match=told):
            plan_function(getattr(technical, name), params, source="technical")


def test_a_view_without_a_state_says_so(panel: Panel) -> None:
    with pytest.raises(Exception, match="reads a state"):
        technical.ema(View(panel, synthetic_side((), panel, np.random.default_rng(0))))
