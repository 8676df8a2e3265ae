"""D6: what is learnt from shares no instant with what is tested, and nothing is shuffled.

Folds around their tests and the null tests with overlapping labels are in ``tests/core/test_cross_validation.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mnpu.config import load_config
from mnpu.data import splits
from mnpu.data.splits import walk_forward
from mnpu.errors import MnpuError
from mnpu.types import Fold, Labels, Split
from tests.core.test_splits import labels_of
from tests.traps.planting import fails

Splitter = Callable[[pd.DatetimeIndex, Labels], Split]
DAYS = lambda n: pd.DateOffset(days=n)


def ours(times: pd.DatetimeIndex, labels: Labels) -> Split:
    return walk_forward(times, labels, train=DAYS(150), validation=DAYS(130), test=DAYS(100))


def a_case(seed: int) -> tuple[pd.DatetimeIndex, Labels]:
    """Bars of irregular length, and labels of three symbols, one of which settles some of them weeks later."""
    rng = np.random.default_rng(seed)
    gaps = rng.choice([60, 600, 1440, 4320], size=500)
    start = pd.Timestamp("2001-01-01", tz="UTC")
    times = pd.DatetimeIndex(start + pd.to_timedelta(gaps.cumsum(), unit="min")).as_unit("ns")
    labels = labels_of(times, tuple(sorted(rng.choice(np.arange(1, 7), size=2, replace=False).tolist())), n_symbols=3)
    slow = labels.end[0].to_series().reset_index(drop=True)
    for t in rng.choice(len(times) - 60, size=25, replace=False):
        slow[t] = times[t + int(rng.integers(10, 25))]
    return times, replace(labels, end=(pd.DatetimeIndex(slow).as_unit("ns"), *labels.end[1:]))


def rows_of(fold: Fold, part: str) -> np.ndarray:
    """The rows of a part of a fold, whether it is a range or, as in the fault below, any set of rows."""
    rows = getattr(fold, part)
    return np.asarray(rows) if len(rows) != 2 else np.arange(*rows)


def no_label_is_shared(split_of: Splitter) -> None:
    """No label of an earlier part ends at or after the first decision of a later one, and an embargo lies between."""
    for seed in range(12):
        times, labels = a_case(seed)
        longest = max(
            int(times.searchsorted(end[t])) - t for end in labels.end for t in range(len(times)) if end[t] is not pd.NaT
        )
        split = split_of(times, labels)
        assert split.embargo_bars >= longest
        for fold in split.folds:
            for earlier, later in (("train", "validation"), ("validation", "test"), ("train", "test")):
                before, after = rows_of(fold, earlier), rows_of(fold, later)
                left_out = before.max() + 1 + np.arange(split.embargo_bars)  # the embargo comes on top of the purge
                ends = [end[t] for end in labels.end for t in (*before, *left_out)]
                assert pd.NaT not in ends
                assert max(ends) < times[after.min()]


def test_walking_forward_shares_no_label() -> None:
    no_label_is_shared(ours)


def without(monkeypatch, name: str, fault: Callable) -> None:
    monkeypatch.setattr(splits, name, fault)
    fails(no_label_is_shared, ours)


def test_a_split_that_forgets_to_purge_is_found(monkeypatch) -> None:
    without(monkeypatch, "purged", lambda times, until, boundary: boundary)


def test_a_split_without_an_embargo_is_found(monkeypatch) -> None:
    without(monkeypatch, "longest_label", lambda times, until: 0)


def test_a_purge_that_counts_rows_and_not_time_is_found(monkeypatch) -> None:
    """As many rows as the horizon: right for bars of one length and one symbol, and wrong for who settles late."""
    monkeypatch.setattr(splits, "longest_label", lambda times, until: 0)
    without(monkeypatch, "purged", lambda times, until, boundary: boundary - 7)


def test_a_purge_of_the_first_horizon_alone_is_found(monkeypatch) -> None:
    true = splits.last_use
    monkeypatch.setattr(splits, "longest_label", lambda times, until: 24)
    short = lambda times, labels: true(times, replace(labels, end=labels.end[1:]))
    without(monkeypatch, "last_use", short)


def test_a_random_split_is_found() -> None:
    """Rows drawn at random, as the earlier project did: nearly every tested label is learnt from."""

    def shuffled(times: pd.DatetimeIndex, labels: Labels) -> Split:
        rows = np.random.default_rng(1).permutation(400)
        fold = Fold(0, tuple(rows[:250]), tuple(rows[250:320]), tuple(rows[320:]))  # type: ignore[arg-type]
        return Split((fold,), purge_bars=0, embargo_bars=99, times=times)

    fails(no_label_is_shared, shuffled)


RECIPE = """
name: shuffled
data: {{store: "sqlite:///market.db", symbols: [A, B, C, D], start: 2008-01-01, end: 2014-12-31}}
features: [{{use: price.log_return, window: 5}}]
target: {{use: forward_return, horizons: [5]}}
split: {split}
model: {{lookback: 8, backbone: {{use: linear}}}}
policy: {{use: rank_long_short}}
"""


def checked(tmp_path, split: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(split=split))
    load_config(path)


@pytest.mark.parametrize(
    "split",
    [
        "{use: random, test: 0.2, validation: 6mo}",
        "{use: shuffle, folds: 5, validation: 6mo}",
        "{use: kfold, folds: 5, validation: 6mo}",
        "{use: walk_forward, train: 2y, validation: 6mo, test: 1y, shuffle: true}",
        "{use: walk_forward, train: 2y, validation: 6mo, test: 1y, purge: 0}",
        "{use: purged_kfold, folds: 5, validation: 6mo, shuffle: true}",
    ],
)
def test_a_recipe_cannot_ask_for_a_random_split(split: str, tmp_path) -> None:
    checked(tmp_path, "{use: walk_forward, train: 2y, validation: 6mo, test: 1y}")
    with pytest.raises(MnpuError, match="split"):
        checked(tmp_path, split)
