"""What weights may have seen: for any folds, what is allowed shares no outcome with what judges."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.errors import ConfigError
from mnpu.training.calibrating import carve
from mnpu.training.seen import Limits, Seen
from mnpu.types import Fold, Labels

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

N = 120
TIMES = pd.date_range("2001-01-01 21:00", periods=N, freq="D", tz="UTC").as_unit("ns")
HALF = pd.Timedelta(hours=12)


def made_labels(horizons: tuple[int, ...]) -> Labels:
    """Half a day after the close of a bar: none ends at a decision; the last ones never end."""
    ends = tuple(
        pd.DatetimeIndex([TIMES[t + h] - HALF if t + h < N else pd.NaT for t in range(N)], tz="UTC") for h in horizons
    )
    return Labels(np.zeros((N, 1, len(horizons))), TIMES, ends, horizons, "made")


LABELS = st.lists(st.integers(1, 12), min_size=1, max_size=2, unique=True).map(lambda h: made_labels(tuple(sorted(h))))


@st.composite
def folds(draw: st.DrawFn, labels: Labels) -> Fold:
    """Purged as `Fold` says, and with a gap or none beyond that."""
    purge = max(labels.horizons)
    start, train, validation = draw(st.integers(0, 20)), draw(st.integers(1, 25)), draw(st.integers(8, 25))
    first = start + train + purge + draw(st.integers(0, 5))
    test = first + validation + purge + draw(st.integers(0, 5))
    return Fold(0, (start, start + train), (first, first + validation), (test, test + 5))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Labels, Fold, Labels, Fold, tuple[int, int] | None]:
    """Labels and fold of weights, and those of a fit that may begin with them, with the rows that calibrate it."""
    theirs, ours = draw(LABELS), draw(LABELS)
    donor, fold = draw(folds(theirs)), draw(folds(ours))
    share = draw(st.sampled_from([None, 0.2, 0.35]))
    if share is None or round((fold.validation[1] - fold.validation[0]) * share) < 1:
        return theirs, donor, ours, fold, None
    try:
        own, rows = carve(fold, ours, times=TIMES, share=share)
    except ConfigError:  # too short to be carved
        return theirs, donor, ours, fold, None
    return theirs, donor, ours, own, rows


def instants(rows: tuple[int, int], labels: Labels) -> set[pd.Timestamp]:
    """Each decision of the rows and each end of their labels."""
    ends = {end[t] for end in labels.end for t in range(*rows) if not pd.isna(end[t])}
    return {TIMES[t] for t in range(*rows)} | ends


@given(pairs())
@settings(max_examples=300, deadline=None)
def test_weights_are_refused_exactly_where_an_outcome_was_seen_that_is_not_known_yet(drawn) -> None:
    theirs, donor, _, fold, rows = drawn
    judged = TIMES[(rows or fold.test)[0]]
    trained = instants(donor.train, theirs)
    leaks = any(t > TIMES[fold.validation[0]] for t in trained)
    leaks |= any(t > judged for t in trained | instants(donor.validation, theirs))
    reason = Limits.of(fold, rows, TIMES).exceeded_by(Seen.of(donor, theirs, TIMES))
    assert bool(reason) == leaks


@given(pairs())
@settings(max_examples=300, deadline=None)
def test_no_row_that_judges_was_trained_or_chosen_on(drawn) -> None:
    theirs, donor, _, fold, rows = drawn
    if Limits.of(fold, rows, TIMES).exceeded_by(Seen.of(donor, theirs, TIMES)):
        return
    learnable = {t for t in range(N) if not pd.isna(theirs.end[0][t])}  # a label that never ends is never learnt
    assert max(learnable & {*range(*donor.train), *range(*donor.validation)}) < (rows or fold.test)[0]
    assert max(learnable & {*range(*donor.train)}) < fold.validation[0]


@given(pairs())
@settings(max_examples=200, deadline=None)
def test_a_fit_may_begin_with_the_weights_of_the_same_fold(drawn) -> None:
    _, _, ours, fold, rows = drawn
    assert Limits.of(fold, rows, TIMES).exceeded_by(Seen.of(fold, ours, TIMES)) == ""


@given(st.lists(pairs(), min_size=2, max_size=4))
@settings(max_examples=200, deadline=None)
def test_along_a_chain_of_fits_nothing_is_forgotten(chain) -> None:
    """Each begins with the weights before it, where it may; all they have seen is known where the last is judged."""
    carried, used = None, []
    for theirs, donor, ours, fold, rows in chain:
        for labels, one, kept in ((theirs, donor, None), (ours, fold, rows)):
            limits = Limits.of(one, kept, TIMES)
            if carried is not None and limits.exceeded_by(carried):
                carried, used = None, []
            used = [*used, *instants(one.train, labels), *instants(one.validation, labels)]
            carried = Seen.of(one, labels, TIMES).with_(carried)
            assert carried.until == max(used)
            assert max(used) <= limits.judged_from


@given(pairs())
@settings(max_examples=50, deadline=None)
def test_what_was_seen_is_written_exactly(drawn) -> None:
    seen = Seen.of(drawn[1], drawn[0], TIMES)
    assert Seen.from_dict(seen.to_dict()) == seen
