"""Macroeconomic features, one number for the whole market, joined by the moment each value became known.

A feature is computed from the observations *as known at a publication*, revisions included, and a decision sees the
newest publication at or before it. Release lags and maximum ages belong to the series and are declared where they are
stored (``mnpu data info``); a value whose newest observation is older than its series' maximum age is NaN.
Rates and yields are fractions per year, also where the sources quote percent.
"""

from __future__ import annotations

from mnpu_data_macro.prices import gold_momentum, oil_momentum, vix_change, vix_level, vix_term
from mnpu_data_macro.rates import (
    credit_spread,
    credit_spread_change,
    policy_rate,
    policy_rate_change,
    yield_change,
    yield_curvature,
    yield_level,
    yield_slope,
)
from mnpu_data_macro.surprises import (
    announced_revision,
    days_since_release,
    days_to_release,
    employment_surprise,
    growth_surprise,
    inflation_surprise,
    release_age,
    surprise_zscore,
)
from mnpu_data_macro.vintages import core_inflation_gap, growth, revision, revision_momentum, vintage_surprise

__all__ = [
    "announced_revision",
    "core_inflation_gap",
    "credit_spread",
    "credit_spread_change",
    "days_since_release",
    "days_to_release",
    "employment_surprise",
    "gold_momentum",
    "growth",
    "growth_surprise",
    "inflation_surprise",
    "oil_momentum",
    "policy_rate",
    "policy_rate_change",
    "release_age",
    "revision",
    "revision_momentum",
    "surprise_zscore",
    "vintage_surprise",
    "vix_change",
    "vix_level",
    "vix_term",
    "yield_change",
    "yield_curvature",
    "yield_level",
    "yield_slope",
]
