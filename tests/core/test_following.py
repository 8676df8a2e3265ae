"""Adaptive calibration decision by decision: against a loop by the book, and against what could be known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.errors import DataError
from mnpu.training.calibrating import adapt
from mnpu.training.following import NEVER, Follower, Outcomes
from mnpu.types import Forecast, Labels

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
HORIZONS = (1, 4)
T, A = 60, 3


def world(seed: int) -> tuple[Forecast, Labels]:
    """Forecasts with gaps, and labels that end at any bar within their horizon and one, in any order."""
    rng = np.random.default_rng(seed)
    times = pd.date_range("2020-01-01", periods=T, freq="D", tz="UTC").as_unit("ns")
    quantiles = np.sort(rng.standard_normal((T, A, len(HORIZONS), len(LEVELS))), axis=-1)
    quantiles[rng.random((T, A)) < 0.1] = np.nan
    values = 2 * rng.standard_normal((T, A, len(HORIZONS)))
    values[rng.random(values.shape) < 0.1] = np.nan
    ends = []
    for h in HORIZONS:
        rows = np.arange(T) + rng.integers(1, h + 2, T)
        ends.append(pd.DatetimeIndex([times[row] if row < T else pd.NaT for row in rows]).as_unit("ns"))
    labels = Labels(values, times, tuple(ends), HORIZONS, "made_up")
    return Forecast(times, ("A", "B", "C"), HORIZONS, LEVELS, quantiles), labels


def by_the_book(forecast: Forecast, labels: Labels, rows: tuple[int, int], rate: float, memory: int) -> np.ndarray:
    """Every decision anew from the start of the range: quadratic, and nothing is carried from one to the next."""
    made = np.full_like(forecast.quantiles, np.nan)
    for t in range(*rows):
        for i in range(len(HORIZONS)):
            shifts = _shifts(forecast, labels, made, rows[0], t, i, rate, memory)
            for a in range(A):
                made[t, a, i] = _uncrossed([q + d for q, d in zip(forecast.quantiles[t, a, i], shifts, strict=True)])
    return made


def _shifts(forecast, labels, made, start, now, i, rate, memory) -> list[float]:
    levels, scores = list(LEVELS), []
    for s in range(start, now):
        end = labels.end[i][s]
        if end is pd.NaT or end > forecast.times[now]:
            break  # in the order of the decisions
        known = [a for a in range(A) if not np.isnan([labels.values[s, a, i], forecast.quantiles[s, a, i, 0]]).any()]
        if not known:
            continue
        scores.append([labels.values[s, a, i] - forecast.quantiles[s, a, i] for a in known])
        for j, tau in enumerate(LEVELS):
            below = sum(labels.values[s, a, i] <= made[s, a, i, j] for a in known) / len(known)
            levels[j] = min(max(levels[j] + rate * (tau - below), -rate), 1 + rate)
    remembered = [score for day in scores[-memory:] for score in day]
    n = len(remembered)
    if not n:
        return [0.0] * len(LEVELS)
    shifts = []
    for j, (tau, level) in enumerate(zip(LEVELS, levels, strict=True)):
        ordered = sorted(score[j] for score in remembered)
        up, down = math.ceil((n + 1) * level - 1e-9), math.floor((n + 1) * level + 1e-9)
        up, down = ordered[max(min(up, n), 1) - 1], ordered[max(min(down, n), 1) - 1]
        shifts.append((up + down) / 2 if tau == 0.5 else up if tau > 0.5 else down)
    return shifts


def _uncrossed(quantiles: list[float]) -> list[float]:
    q = list(quantiles)
    for j in (3, 4):
        q[j] = max(q[j], q[j - 1]) if q[j] == q[j] else q[j]
    for j in (1, 0):
        q[j] = min(q[j], q[j + 1]) if q[j] == q[j] else q[j]
    return q


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), rate=st.sampled_from([0.01, 0.2]), memory=st.sampled_from([1, 7, 250]))
def test_every_decision_is_calibrated_as_by_the_book(seed, rate, memory):
    forecast, labels = world(seed)
    made = adapt(forecast, labels, (5, 55), since=5, rate=rate, memory=memory).quantiles
    np.testing.assert_allclose(made, by_the_book(forecast, labels, (5, 55), rate, memory), rtol=1e-12, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), now=st.integers(6, 54))
def test_what_has_not_ended_at_a_decision_changes_nothing_of_it(seed, now):
    forecast, labels = world(seed)
    rng = np.random.default_rng(seed)
    ended = np.stack([np.asarray(end <= forecast.times[now]) for end in labels.end], axis=1)  # NaT has not
    values = np.where(ended[:, None], labels.values, 50 * rng.standard_normal(labels.values.shape))
    later = forecast.quantiles.copy()
    later[now + 1 :] = 9.0
    first = adapt(forecast, labels, (5, 55), since=5, memory=9).quantiles
    other = adapt(replace(forecast, quantiles=later), replace(labels, values=values), (5, 55), since=5, memory=9)
    assert np.array_equal(first[: now + 1], other.quantiles[: now + 1], equal_nan=True)


def test_an_outcome_counts_from_the_decision_at_which_its_label_ends():
    forecast, labels = world(1)
    s, i = 20, 1
    at = int(forecast.times.get_indexer([labels.end[i][s]])[0])
    early = all(labels.end[i][k] <= labels.end[i][s] for k in range(5, s))
    values = labels.values.copy()
    values[s, :, i] = 99.0
    first = adapt(forecast, labels, (5, 55), since=5).quantiles
    other = adapt(forecast, replace(labels, values=values), (5, 55), since=5).quantiles
    assert early  # no decision before it is still waited for
    assert np.array_equal(first[:at], other[:at], equal_nan=True)
    assert not np.array_equal(first[at, :, i], other[at, :, i], equal_nan=True)


def test_a_follower_that_is_given_the_last_bars_alone_says_what_one_with_all_of_them_says():
    forecast, labels = world(2)
    everything = Outcomes.of(labels, forecast.times.asi8)
    longest = max(HORIZONS) + 1
    one, other = (Follower(LEVELS, len(HORIZONS), memory=7) for _ in range(2))
    for t in range(T):
        instant = int(forecast.times.asi8[t])
        few = everything.rows(max(t - longest, 0), t + 1)
        given = one.decide(instant, forecast.quantiles[t], everything)
        assert np.array_equal(given, other.decide(instant, forecast.quantiles[t], few), equal_nan=True)
        assert max(len(waiting) for waiting in other._waiting) <= longest + 1  # what it holds does not grow


def test_a_decision_whose_bars_are_gone_is_an_error():
    forecast, labels = world(3)
    everything = Outcomes.of(labels, forecast.times.asi8)
    open_ended = replace(everything, ended_at=np.full_like(everything.ended_at, NEVER))
    follower = Follower(LEVELS, len(HORIZONS))
    follower.decide(int(forecast.times.asi8[0]), forecast.quantiles[0], open_ended)
    with pytest.raises(DataError, match="has not ended, and its bars are gone"):
        follower.decide(int(forecast.times.asi8[9]), forecast.quantiles[9], open_ended.rows(4, 10))
