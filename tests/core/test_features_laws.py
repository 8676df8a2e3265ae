"""The conformance laws: our own source passes, and each law fails for the fault that it is there for."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pytest
from pydantic import Field

from mnpu.errors import PluginError
from mnpu.features import View, feature, price
from mnpu.features.trailing import delayed, trailing_mean
from mnpu.testing.features import LAWS, laws, synthetic_panel, synthetic_side


def source(*functions: Callable[..., Any]) -> ModuleType:
    module = ModuleType("strangers_source")
    for function in functions:
        setattr(module, function.__name__, function)
    return module


def failed(*functions: Callable[..., Any]) -> set[str]:
    return {outcome.law.partition(": ")[2] for outcome in laws(source(*functions)) if not outcome.passed}


def test_the_price_source_keeps_every_law() -> None:
    outcomes = laws(price)
    assert [outcome for outcome in outcomes if not outcome.passed] == []
    assert len(outcomes) == len(LAWS) * len(price.__all__)


def test_ten_lines_of_a_stranger_keep_every_law() -> None:
    @feature(fields=("close",), warmup=lambda p: p["window"], unit="fraction")
    def distance(view: View, *, window: Annotated[int, Field(ge=1)] = 20) -> np.ndarray:
        """Close against its mean over the last ``window`` bars."""
        return view["close"] / trailing_mean(view["close"], window) - 1

    assert failed(distance) == set()


def test_a_pandas_rolling_mean_keeps_every_law_within_the_tolerance() -> None:
    @feature(fields=("close",), warmup=20, unit="fraction")
    def rolling(view: View) -> np.ndarray:
        """Close against its rolling mean, by pandas."""
        close = pd.DataFrame(np.array(view["close"]))
        return (close / close.rolling(20).mean() - 1).to_numpy()

    assert failed(rolling) == set()


def test_peeking_fails_the_two_laws_of_time() -> None:
    @feature(fields=("close",), unit="fraction")
    def peek(view: View) -> np.ndarray:
        """The next bar's return."""
        ahead = np.full(view.shape, np.nan)
        ahead[:-1] = view["close"][1:] / view["close"][:-1] - 1
        return ahead

    assert {"does not see the future", "is the same on data cut short"} <= failed(peek)


def test_a_warm_up_that_is_too_short_is_noticed() -> None:
    @feature(fields=("close",), warmup=10, unit="fraction")
    def forgetful(view: View) -> np.ndarray:
        """Needs twenty bars and says ten."""
        return view["close"] / trailing_mean(view["close"], 20) - 1

    assert failed(forgetful) == {"needs no more bars than its warm-up", "streams the batch values"}


def test_an_average_over_all_of_the_past_has_no_warm_up_that_is_enough() -> None:
    @feature(fields=("close",), warmup=50, unit="fraction")
    def expanding(view: View) -> np.ndarray:
        """Close against the mean of everything before."""
        close = pd.DataFrame(np.array(view["close"]))
        return (close / close.expanding(50).mean() - 1).to_numpy()

    assert failed(expanding) == {"needs no more bars than its warm-up", "streams the batch values"}


def test_a_value_before_the_warm_up_is_noticed() -> None:
    @feature(fields=("close",), warmup=20, unit="fraction")
    def eager(view: View) -> np.ndarray:
        """Begins with as many bars as there are."""
        close = pd.DataFrame(np.array(view["close"]))
        return (close / close.rolling(20, min_periods=1).mean() - 1).to_numpy()

    assert "has no value before its warm-up" in failed(eager)


@pytest.mark.parametrize(("frequency", "bars"), [("1w", 20), ("1d", 96)])
def test_longer_bars_keep_every_law_on_bars_that_are_shorter(frequency: str, bars: int) -> None:
    """Days are read beside hours, weeks beside days; where the data begin decides how many bars really do."""

    @feature(fields=("close",), warmup=bars, unit="fraction")
    def trend(view: View) -> np.ndarray:
        """Close against the mean of the last three finished bars of another length."""
        longer = view.coarser(frequency)
        return view["close"] / longer.at_decisions(trailing_mean(longer["close"], 3)) - 1

    @feature(fields=("close",), warmup=bars, unit="fraction")
    def running(view: View) -> np.ndarray:
        """Close against that of the longer bar that has not ended."""
        longer = view.coarser(frequency)
        row = np.minimum(np.searchsorted(longer.times.asi8, view.times.asi8), len(longer.times) - 1)
        return view["close"] / longer["close"][row] - 1

    @feature(fields=("close",), warmup=bars, unit="fraction")
    def eager(view: View) -> np.ndarray:
        """Begins with as many longer bars as there are."""
        longer = view.coarser(frequency)
        close = pd.DataFrame(np.array(longer["close"]))
        return view["close"] / longer.at_decisions(close.rolling(3, min_periods=1).mean().to_numpy()) - 1

    assert failed(trend) == set()
    assert "does not see the future" in failed(running)
    assert failed(eager) == {"has no value before its warm-up"}


@pytest.mark.parametrize(("kind", "name"), [("macro", "x"), ("fundamental", "x"), ("calendar", "x/forecast")])
def test_the_final_vintage_of_what_is_newest_is_noticed(kind: str, name: str) -> None:
    def newest(view: View, *, final: bool) -> np.ndarray:
        values = np.full(view.shape, np.nan)
        for a, symbol in enumerate(view.filed(name) if kind == "fundamental" else [""] * view.shape[1]):
            known = view.known(name, symbol=symbol)
            told = pd.Series(known.values[:, 0]).groupby(known.event_time.asi8).transform("last")
            values[:, a] = view.at_decision(known, told.to_numpy() if final else known.values[:, 0])
        return values

    @feature(series=(name,), kind=kind, unit="index")
    def honest(view: View) -> np.ndarray:
        """As it was told."""
        return newest(view, final=False)

    @feature(series=(name,), kind=kind, unit="index")
    def hindsight(view: View) -> np.ndarray:
        """As it was told in the end."""
        return newest(view, final=True)

    assert failed(honest) == set()
    assert {"does not see a later vintage", "sees nothing before it is published"} <= failed(hindsight)


def test_an_answer_from_memory_is_noticed() -> None:
    memory: dict[pd.Timestamp, np.ndarray] = {}

    @feature(fields=("close",), unit="fraction")
    def sticky(view: View) -> np.ndarray:
        """The next return, kept since it was first seen."""
        if not memory:
            ahead = view["close"][1:] / view["close"][:-1] - 1
            memory.update(zip(view.times, ahead, strict=False))
        return np.array([memory.get(time, np.full(view.shape[1], np.nan)) for time in view.times])

    assert "answers to its data" in failed(sticky)


def test_a_level_that_calls_itself_scale_free_is_noticed() -> None:
    @feature(fields=("close",), unit="currency")
    def level(view: View) -> np.ndarray:
        """The close itself."""
        return np.array(view["close"])

    assert failed(level) == {"is scale-free if it says so"}


def test_chance_is_noticed() -> None:
    rng = np.random.default_rng(0)

    @feature(unit="noise")
    def dice(view: View) -> np.ndarray:
        """Noise."""
        return rng.normal(size=view.shape)

    assert "is deterministic" in failed(dice)


def test_writing_through_the_back_door_is_noticed() -> None:
    @feature(fields=("close",), unit="fraction")
    def vandal(view: View) -> np.ndarray:
        """Scales the panel in place."""
        close = view["close"].base
        close.flags.writeable = True
        close *= 2
        return np.zeros(view.shape)

    assert "leaves its input alone" in failed(vandal)


def test_swallowing_any_parameter_is_refused_at_once() -> None:
    with pytest.raises(PluginError, match=r"expected \(view, \*, parameter=default"):

        @feature(unit="fraction")
        def open_minded(view: View, **anything: Any) -> np.ndarray:
            """Takes whatever comes."""
            return np.zeros(view.shape)


def test_a_parameter_without_a_type_is_noticed() -> None:
    @feature(unit="fraction")
    def vague(view: View, *, window=3) -> np.ndarray:  # type: ignore[no-untyped-def]
        """Takes anything."""
        return np.zeros(view.shape)

    assert failed(vague) == {"says what it is"}


def test_a_feature_without_defaults_says_so() -> None:
    @feature(fields=("close",))
    def demanding(view: View, *, window: int) -> np.ndarray:
        """Needs a window."""
        return np.zeros(view.shape)

    (outcome,) = laws(source(demanding))
    assert outcome.law == "demanding: works with its defaults"
    assert "window" in outcome.detail


def test_a_module_without_features_is_not_a_source() -> None:
    (outcome,) = laws(source())
    assert not outcome.passed


def test_a_crash_is_an_outcome_not_a_traceback() -> None:
    @feature(fields=("close",))
    def broken(view: View) -> np.ndarray:
        """Divides by a word."""
        return view["close"] / "x"

    outcomes = laws(source(broken))
    assert any("raised" in outcome.detail and not outcome.passed for outcome in outcomes)


def test_what_is_carried_keeps_every_law_and_what_it_forgets_is_noticed() -> None:
    def mean(view: View, forgets: bool) -> np.ndarray:
        values = np.full(view.shape, np.nan)
        carried = np.full(view.shape[1], np.nan) if forgets else view.state[0]
        for t in range(view.first, view.shape[0]):
            close = view["close"][t]
            begun = np.where(np.isnan(carried), close, 0.8 * carried + 0.2 * close)
            carried[:] = np.where(np.isnan(close), carried, begun)
            values[t] = close / carried - 1
        return values

    @feature(fields=("close",), state=1, unit="fraction")
    def exponential(view: View) -> np.ndarray:
        """Close against its exponential mean."""
        return mean(view, forgets=False)

    @feature(fields=("close",), state=1, unit="fraction")
    def forgetful(view: View) -> np.ndarray:
        """Begins anew with every step."""
        return mean(view, forgets=True)

    assert failed(exponential) == set()
    assert failed(forgetful) == {"streams the batch values"}


def test_windows_that_are_short_at_the_start_keep_every_law_if_they_say_so() -> None:
    @feature(fields=("close",), warmup=20, short_start=True, unit="fraction")
    def eager(view: View) -> np.ndarray:
        """Begins with as many bars as there are."""
        close = pd.DataFrame(np.array(view["close"]))
        return (close / close.rolling(20, min_periods=1).mean() - 1).to_numpy()

    assert failed(eager) == set()


def test_a_kernel_that_is_not_what_the_function_says_is_noticed() -> None:
    def ratios(view: View, columns: Any, out: np.ndarray) -> None:
        for row, (name, _) in zip(out, columns, strict=True):
            bars = 6 if name == "wrong" else 5
            row[:] = (view["close"] / delayed(view["close"], bars))[view.first :]

    @feature(fields=("close",), warmup=7, short_start=True, unit="ratio", kernel=ratios)
    def right(view: View) -> np.ndarray:
        """Close against that of five bars ago."""
        return view["close"] / delayed(view["close"], 5)

    @feature(fields=("close",), warmup=7, short_start=True, unit="ratio", kernel=ratios)
    def wrong(view: View) -> np.ndarray:
        """Close against that of five bars ago, it says."""
        return view["close"] / delayed(view["close"], 5)

    outcomes = {outcome.law for outcome in laws(source(right, wrong)) if not outcome.passed}
    assert outcomes == {"wrong: has a kernel that equals its definition"}


@pytest.mark.parametrize(("kind", "name"), [("macro", "x"), ("fundamental", "x"), ("calendar", "x/actual")])
@pytest.mark.parametrize(("memory", "enough"), [(5, True), (1, False), (None, True)])
def test_a_memory_that_is_too_short_is_noticed(kind: Any, name: str, memory: int | None, enough: bool) -> None:
    @feature(series=(name,), kind=kind, unit="fraction", memory=memory)
    def growth(view: View) -> np.ndarray:
        """Change over the last four observations."""
        if kind == "fundamental":
            return view.by_symbol(name, lambda past: past[:, -1] / past[:, 0] - 1, 5)
        known = view.known(name, 5)
        values = view.at_decision(known, known.values[:, -1] / known.values[:, 0] - 1)
        return np.repeat(values[:, None], view.shape[1], axis=1)

    assert failed(growth) - {"streams the batch values"} == (
        set() if enough else {"needs no more side data than its memory"}
    )
    remarks = [outcome.law for outcome in laws(source(growth)) if outcome.passed and outcome.detail]
    assert remarks == (["growth: steps in a time that does not grow"] if memory is None else [])


def test_a_memory_in_days_counts_from_when_something_was_known() -> None:
    def posts(view: View) -> np.ndarray:
        texts = view.texts("posts")
        return view.within(texts, np.ones(len(texts)), pd.Timedelta(days=20))

    @feature(series=("posts",), kind="news", unit="posts", memory=pd.Timedelta(days=20))
    def enough(view: View) -> np.ndarray:
        """Posts of twenty days."""
        return posts(view)

    @feature(series=("posts",), kind="news", unit="posts", memory=pd.Timedelta(days=9))
    def short(view: View) -> np.ndarray:
        """Posts of twenty days, from nine."""
        return posts(view)

    assert failed(enough) == set()
    assert failed(short) == {"needs no more side data than its memory"}


def test_an_error_of_one_feature_leaves_the_others_their_answers() -> None:
    @feature(fields=("close",), unit="fraction")
    def broken(view: View) -> np.ndarray:
        """Divides by a word."""
        return view["close"] / "x"

    @feature(fields=("close",), warmup=2, unit="fraction")
    def sound(view: View) -> np.ndarray:
        """Return of a bar."""
        return view["close"] / delayed(view["close"], 1) - 1

    wrong = {outcome.law.partition(":")[0] for outcome in laws(source(broken, sound)) if not outcome.passed}
    assert wrong == {"broken"}


@pytest.mark.parametrize("frequency", ["1d", "1h"])
def test_the_made_up_market_holds_what_a_feature_meets_in_reality(frequency: str) -> None:
    panel = synthetic_panel(np.random.default_rng(0), frequency=frequency)
    assert panel.times.is_monotonic_increasing
    assert panel.times.is_unique
    assert not panel.tradable[0, 0]
    assert panel.tradable[-1].all()
    assert (np.diff(panel.tradable[:, 1].astype(int)) == -1).any()
    assert (panel["volume"] == 0).sum() == 1
    assert set(np.unique(panel["split_factor"])) == {1.0, 2.0}
    assert np.isnan(panel["close"][~panel.tradable]).all()
    listed = panel.tradable
    assert (panel["high"] >= panel["low"])[listed].all()


def test_the_made_up_series_are_late_and_revised() -> None:
    panel = synthetic_panel(np.random.default_rng(0))
    side = synthetic_side(("x", "y"), panel, np.random.default_rng(0))
    assert side.knowledge_time.is_monotonic_increasing
    assert (side.knowledge_time > side.event_time).all()
    prints = pd.DataFrame({"series": side.series, "event": side.event_time, "value": side.value})
    assert (prints.groupby(["series", "event"])["value"].nunique() == 2).all()
    assert set(side.info) == {"x", "y"}
