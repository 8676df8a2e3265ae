"""The gross cap, the chain, and the conformance laws of guardrails."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mnpu.guard import Chain, GrossCap
from mnpu.testing.guardrails import laws
from mnpu.types import Book, Positions

AT = pd.Timestamp("2020-01-02 21:00", tz="UTC")


def book_of(held, tradable=None) -> Book:
    held = np.asarray(held, dtype=float)
    tradable = np.ones(held.shape, bool) if tradable is None else np.asarray(tradable, bool)
    return Book(held, tradable, 1.0, 1.0, AT, tuple("ABCDEF"[: held.shape[-1]]))


@pytest.mark.parametrize("gross", [0.0, 0.3, 1.0, 2.0])
def test_the_gross_cap_keeps_every_law(gross):
    assert [outcome for outcome in laws(lambda: GrossCap(gross)) if not outcome.passed] == []


def test_the_gross_cap_scales_all_weights_alike():
    allowed = GrossCap(1.0).limit(np.array([1.2, -0.8]), book_of([0.0, 0.0]))
    assert allowed == pytest.approx([0.6, -0.4])


def test_a_suspended_symbol_keeps_its_weight_and_the_others_make_room():
    allowed = GrossCap(1.0).limit(np.array([0.0, 0.8, -0.4]), book_of([0.4, 0.0, 0.0], [False, True, True]))
    assert allowed == pytest.approx([0.4, 0.4, -0.2])


def test_gross_stays_at_the_larger_of_both_books_where_a_sale_cannot_be_made():
    # A cannot be sold, so buying B for the same money would add risk that neither book had.
    allowed = GrossCap(2.0).limit(np.array([0.0, 0.5]), book_of([0.5, 0.0], [False, True]))
    assert allowed == pytest.approx([0.5, 0.0])


def test_a_book_that_cannot_meet_the_cap_goes_as_near_as_it_can_and_says_so():
    book = book_of([0.9, 0.0], [False, True])
    decided = Chain([GrossCap(0.5)]).decide(np.array([0.9, 0.3]), book)
    assert decided.weights == pytest.approx([0.9, 0.0])
    assert decided.state == "REDUCING"
    reasons = {violation.code: violation for violation in decided.violations}
    assert reasons["GROSS_ABOVE_CAP"].value == pytest.approx(1.2)
    assert reasons["LIMIT_UNREACHABLE"].value == pytest.approx(0.9)


@given(arrays(float, (4, 3), elements=st.floats(-2, 2)), st.floats(0, 3))
def test_a_legal_book_is_returned_unchanged(proposed, gross):
    legal = np.abs(proposed).sum(axis=1) <= gross
    allowed = GrossCap(gross).limit(proposed, book_of(np.zeros((4, 3))))
    assert np.array_equal(allowed[legal], proposed[legal])


def test_a_chain_is_applied_in_order_and_collects_the_reasons():
    decided = Chain([GrossCap(1.0), GrossCap(0.5)]).decide(np.array([2.0, 0.0]), book_of([0.0, 0.0]))
    assert decided.weights == pytest.approx([0.5, 0.0])
    assert [violation.limit for violation in decided.violations] == [1.0, 0.5]
    assert decided.state == "ACTIVE"


def test_an_empty_chain_still_fails_closed():
    decided = Chain().decide(np.array([np.nan, 0.4]), book_of([0.1, 0.2]))
    assert decided.weights == pytest.approx([0.1, 0.2])
    assert decided.state == "HALTED"
    assert [violation.code for violation in decided.violations] == ["PROPOSAL_NOT_FINITE"]


def test_all_of_time_at_once_equals_each_decision_from_cash(rng):
    times = pd.date_range("2020-01-01", periods=30, tz="UTC").as_unit("ns")
    weights = rng.standard_normal((30, 4)) * 0.4
    chain = Chain([GrossCap(1.2)])
    applied = chain.apply(Positions(times, tuple("ABCD"), weights, np.ones(30, bool)), np.ones((30, 4), bool))
    each = [chain.decide(w, book_of(np.zeros(4))) for w in weights]
    assert applied.weights == pytest.approx(np.stack([decided.weights for decided in each]))
    assert len(applied.violations) == sum(len(decided.violations) for decided in each) > 0
    changed = {t for t, decided in zip(times, each, strict=True) if decided.violations}
    assert {violation.time for violation in applied.violations} == changed


class AddsRisk(GrossCap):
    """Buys more."""

    def limit(self, proposed, book):
        return np.where(book.tradable, proposed * 1.01, book.weights)


class TradesTheSuspended(GrossCap):
    """Forgets that a suspended symbol cannot be traded."""

    def limit(self, proposed, book):
        return super().limit(proposed, replace(book, tradable=np.ones_like(book.tradable)))


class HalvesAgainAndAgain(GrossCap):
    """Is never content."""

    def limit(self, proposed, book):
        return np.where(book.tradable, super().limit(proposed, book) / 2, book.weights)


class SaysNothing(GrossCap):
    """Changes without a reason."""

    def explain(self, proposed, allowed, book):
        return []


class LetsNanThrough(GrossCap):
    """Clips, which leaves NaN as it is."""

    def limit(self, proposed, book):
        return np.where(book.tradable, np.clip(proposed, -0.1, 0.1), book.weights)


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # numpy functions on tensors, in the faulty
@pytest.mark.parametrize(
    ("faulty", "law"),
    [
        (AddsRisk, "Keeps each weight between the drifted, the proposed, and zero"),
        (TradesTheSuspended, "Leaves a symbol that is not tradable at its drifted weight"),
        (HalvesAgainAndAgain, "Allows what it has allowed"),
        (SaysNothing, "Gives a reason for each change, with a code, and none without a cause"),
        (LetsNanThrough, "Buys nothing new on an unreadable proposal, and says so"),
    ],
)
def test_a_guardrail_with_a_planted_fault_breaks_its_law(faulty, law):
    broken = {outcome.law: outcome.detail for outcome in laws(faulty) if not outcome.passed}
    assert law in broken
    assert broken[law]
