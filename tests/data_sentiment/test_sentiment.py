"""The sentiment source: every column against a reader who goes through the known texts at each decision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mnpu.errors import ConfigError, DataError
from mnpu.features.compute import compute
from mnpu.features.leaks import choose_cuts, future_perturbation, truncation
from mnpu.features.plan import features_of
from mnpu.plugins.registry import Registry
from mnpu.testing import check_component
from mnpu_data_sentiment import sentiment
from mnpu_data_sentiment.tone import tone
from tests.data_sentiment.world import DAY, brute, chatter, decisions, planned, posts, table, values


def test_the_source_is_found_under_its_name_and_keeps_every_law() -> None:
    registry = Registry.discover()
    assert registry.load("feature_source", "sentiment") is sentiment
    assert [o for o in check_component(registry, "feature_source", "sentiment") if not o.passed] == []
    assert set(features_of(sentiment)) == set(sentiment.__all__)


def test_every_feature_reads_the_series_that_it_is_told() -> None:
    for name in sentiment.__all__:
        (column,) = planned(name, series="wire")
        assert (column.spec.series, column.spec.kind) == (("wire",), "news")


@pytest.mark.parametrize(("name", "wrong"), [("tone", {"half_life": 0}), ("embedding", {"component": 32})])
def test_parameters_are_checked(name: str, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        planned(name, **wrong)


# Against a reader who computes everything anew.


def weights(read: pd.DataFrame, now: pd.Timestamp, half_life: float) -> np.ndarray:
    return 0.5 ** ((now - read["known"]) / DAY / half_life).to_numpy(dtype=float)


def mean_of(read: pd.DataFrame, now: pd.Timestamp, half_life: float) -> float:
    w, s = weights(read, now, half_life), read["text"].map(tone).to_numpy(dtype=float)
    return float((w * s).sum() / w.sum()) if w.sum() >= 1 / 32 else np.nan


def spread_of(read: pd.DataFrame, now: pd.Timestamp) -> float:
    w, s = weights(read, now, 3.0), read["text"].map(tone).to_numpy(dtype=float)
    if w.sum() < 1 / 32 or w.sum() ** 2 / (w**2).sum() < 1.5:
        return np.nan
    return float(np.sqrt(np.average((s - np.average(s, weights=w)) ** 2, weights=w)))


def surprise_of(read: pd.DataFrame, now: pd.Timestamp) -> float:
    s = read["text"].map(tone).to_numpy(dtype=float)
    last = (read["known"] > now - DAY).to_numpy()
    before = (read["known"] > now - 91 * DAY).to_numpy() & ~last
    if not last.any() or before.sum() < 5:
        return np.nan
    return float((s[last].mean() - s[before].mean()) / (max(s[before].std(), 0.1) / np.sqrt(last.sum())))


def volume_of(read: pd.DataFrame, now: pd.Timestamp) -> float:
    if not len(read):
        return np.nan
    counts = [((read["known"] > now - (d + 1) * DAY) & (read["known"] <= now - d * DAY)).sum() for d in range(29)]
    kind = [(now - d * DAY - DAY / 2).day_of_week >= 5 for d in range(29)]
    usual = [count for count, weekend in zip(counts[1:], kind[1:], strict=True) if weekend == kind[0]]
    return float((counts[0] - np.mean(usual)) / np.sqrt(max(np.var(usual), np.mean(usual), 1.0)))


def negative_share_of(read: pd.DataFrame, now: pd.Timestamp) -> float:
    bad = read["text"].map(lambda text: "good" if tone(text) < 0 else "")
    return mean_of(read.assign(text=bad), now, 3.0) / tone("good")


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("name", "one"),
    [
        ("tone", lambda read, now: mean_of(read, now, 3.0)),
        ("tone_momentum", lambda read, now: mean_of(read, now, 1.0) - mean_of(read, now, 10.0)),
        ("tone_surprise", surprise_of),
        ("disagreement", spread_of),
        ("mention_volume", volume_of),
        ("negative_share", negative_share_of),
    ],
)
def test_a_feature_of_symbols_is_what_a_reader_would_have_found(name, one, seed) -> None:
    panel, side = chatter(seed)
    expected = brute(panel, side, one)
    np.testing.assert_allclose(values(name, panel, side), expected, rtol=1e-9, atol=1e-9)
    assert np.isfinite(expected[:, :2]).sum() > 30
    assert np.isnan(expected[:, 2]).all()  # nobody wrote about C


@pytest.mark.parametrize(
    ("name", "one"),
    [
        ("market_tone", lambda read, now: mean_of(read, now, 3.0)),
        ("market_tone_momentum", lambda read, now: mean_of(read, now, 1.0) - mean_of(read, now, 10.0)),
        ("market_disagreement", spread_of),
        ("market_mention_volume", volume_of),
    ],
)
def test_a_feature_of_the_market_counts_every_text_whatever_it_is_about(name, one) -> None:
    panel, side = chatter(3)
    everything = replace(side, symbol=np.full(len(side), "A", dtype=object))
    expected = brute(replace(panel, symbols=("A", "B", "C")), everything, one)[:, :1]
    np.testing.assert_allclose(values(name, panel, side), np.repeat(expected, 3, axis=1), rtol=1e-9, atol=1e-9)


def test_relative_tone_is_tone_less_that_of_the_market() -> None:
    panel, side = chatter(4)
    difference = values("tone", panel, side) - values("market_tone", panel, side)
    np.testing.assert_array_equal(values("relative_tone", panel, side), difference)


def test_attention_is_shared_out_among_all_texts() -> None:
    panel, side = chatter(5)
    read = pd.Series(side.symbol, index=side.knowledge_time)
    share = values("attention_share", panel, side, window=2)
    for t, now in enumerate(panel.times):
        recent = read[(read.index > now - 2 * DAY) & (read.index <= now)]
        expected = [(recent == symbol).mean() if len(recent) else np.nan for symbol in panel.symbols]
        np.testing.assert_allclose(share[t], expected)


def test_the_universe_does_not_change_a_symbol() -> None:
    panel, side = chatter(6)
    alone = decisions(panel.times, ("B",))
    for name in sentiment.__all__:
        np.testing.assert_array_equal(values(name, alone, side)[:, 0], values(name, panel, side)[:, 1], err_msg=name)


def test_the_far_past_changes_no_value_and_need_not_be_read() -> None:
    panel, side = chatter(10)
    late = panel.rows(30, len(panel.times))
    for name in sentiment.__all__:
        whole = values(name, panel, side)[30:]
        np.testing.assert_allclose(values(name, late, side), whole, rtol=1e-12, atol=1e-12, err_msg=name)
    short = {"half_life": 0.25}
    old = side.rows(np.flatnonzero(np.asarray(side.knowledge_time > late.times[0] - 15 * DAY)))
    np.testing.assert_array_equal(values("tone", late, old, **short), values("tone", late, side, **short))


# Boundaries.


def test_a_text_is_seen_at_the_very_moment_of_its_publication() -> None:
    side = posts(("2020-03-03 21:00:00", "A", "good"))
    panel = decisions(["2020-03-03 20:59:59.999999999", "2020-03-03 21:00:00", "2020-03-04 21:00:00"])
    share = values("attention_share", panel, side, window=1)[:, 0]
    np.testing.assert_array_equal(share, [np.nan, 1.0, np.nan])  # 24 hours later it is not within 24 hours
    np.testing.assert_array_equal(values("tone", panel, side)[:, 0], [np.nan, 0.5, 0.5])


def test_a_single_text_is_forgotten_after_five_half_lives() -> None:
    side = posts(("2020-03-02 00:00", "A", "bad"))
    panel = decisions(["2020-03-16 23:59", "2020-03-17 00:00", "2020-03-17 00:01"])
    np.testing.assert_array_equal(values("tone", panel, side, half_life=3)[:, 0], [-0.5, -0.5, np.nan])


def test_two_texts_of_one_moment_are_both_seen() -> None:
    side = posts(("2020-03-03 10:00", "A", "good"), ("2020-03-03 10:00", "A", "bad"))
    panel = decisions(["2020-03-03 10:00"])
    assert values("tone", panel, side)[0, 0] == 0.0
    assert values("disagreement", panel, side)[0, 0] == 0.5
    assert values("novelty", panel, side)[0, 0] == 1.0


def test_one_voice_is_no_disagreement_and_no_agreement() -> None:
    panel = decisions(["2020-03-03 10:00"])
    assert np.isnan(values("disagreement", panel, posts(("2020-03-03 09:00", "A", "good")))[0, 0])
    agreed = posts(("2020-03-03 09:00", "A", "good"), ("2020-03-03 09:30", "A", "great"))
    assert values("disagreement", panel, agreed)[0, 0] == 0.0


def test_a_post_that_is_passed_on_is_no_news_and_counts_once() -> None:
    side = posts(
        ("2020-03-03 09:00", "A", "profit beats estimates"),
        ("2020-03-03 09:00", "A", "rt AT_USER profit beats estimates URL"),
        ("2020-03-03 09:00", "A", "ceo quits"),
    )
    panel = decisions(["2020-03-03 10:00"])
    assert values("novelty", panel, side)[0, 0] == pytest.approx(2 / 3)
    good, bad = tone("profit beats estimates"), tone("ceo quits")
    assert values("novel_tone", panel, side)[0, 0] == pytest.approx((good + bad) / 2)
    assert values("tone", panel, side)[0, 0] == pytest.approx((2 * good + bad) / 3)


def test_a_quiet_week_end_is_not_held_against_a_friday() -> None:
    days = pd.date_range("2020-01-01 12:00", "2020-03-31 12:00", tz="UTC")
    written = [day for day in days if day.day_of_week < 5 for _ in range(4)]
    side = table(written, ["A"] * len(written), ["the quarter"] * len(written))
    panel = decisions(pd.date_range("2020-03-02 21:00", "2020-03-15 21:00", tz="UTC"))
    np.testing.assert_array_equal(values("mention_volume", panel, side)[:, 0], 0.0)
    quiet = side.rows(np.flatnonzero(np.asarray(side.knowledge_time.date) != pd.Timestamp("2020-03-05").date()))
    volume = values("mention_volume", panel, quiet)[:, 0]
    assert volume[3] == pytest.approx(-4 / np.sqrt(4))  # never below Poisson's spread
    assert np.isfinite(volume).all()


def test_volume_is_unknown_while_the_source_is_young_and_after_it_stopped() -> None:
    written = pd.date_range("2020-01-01 12:00", "2020-02-20 12:00", tz="UTC")
    side = table(written, ["A"] * len(written), ["the quarter"] * len(written))
    panel = decisions(["2020-01-30 11:59", "2020-01-30 12:00", "2020-03-20 11:59", "2020-03-20 12:00"])
    finite = np.isfinite(values("mention_volume", panel, side))
    assert finite[:, 0].tolist() == [False, True, True, False]
    assert not finite[:, 1:].any()


def test_a_symbol_without_texts_has_attention_none_and_no_tone() -> None:
    panel, side = chatter(7)
    assert (values("attention_share", panel, side)[:, 2] == 0).all()
    for name in ("tone", "novelty", "embedding", "mention_volume"):
        assert np.isnan(values(name, panel, side)[:, 2]).all()


def test_without_any_text_there_is_no_value_and_a_run_refuses_the_column() -> None:
    panel, side = chatter(8)
    nothing = side.rows(np.empty(0, dtype=np.intp))
    for name in sentiment.__all__:
        assert np.isnan(values(name, panel, nothing)).all(), name
    with pytest.raises(DataError, match="has no value"):
        compute(planned("tone"), panel, replace(side, symbol=np.full(len(side), "ELSE", dtype=object)))


def test_two_share_classes_may_be_filed_under_one_name() -> None:
    panel = replace(decisions(["2020-03-03 10:00"], ("GOOG", "GOOGL")), bases=("GOOG", "GOOG"))
    assert values("tone", panel, posts(("2020-03-03 09:00", "GOOG", "good"))).tolist() == [[0.5, 0.5]]


def test_no_feature_of_busy_texts_sees_the_future(rng: np.random.Generator) -> None:
    panel, side = chatter(9)
    columns = [column for name in sentiment.__all__ for column in planned(name)]
    cuts = choose_cuts(panel, side, count=8, rng=rng)
    assert future_perturbation(columns, panel, side, cuts=cuts, rng=rng) == []
    assert truncation(columns, panel, side, cuts=cuts) == []
