"""The laws of a policy, checked on made-up forecasts with gaps, late listings and suspensions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mnpu.errors import ConfigError
from mnpu.testing import LawOutcome
from mnpu.types import Forecast, PolicyContext, Positions

__all__ = ["laws", "mirrored", "synthetic_decisions"]

#: Rows beyond the lookback, symbols, and rows at which the future is replaced.
BARS, SYMBOLS, CUTS = 40, 8, 5
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
TOLERANCE = 1e-9


def laws(factory: Callable[..., Any], *, seed: int = 0) -> list[LawOutcome]:
    """Check every law of a policy, built by ``factory()``.

    Parameters
    ----------
    factory : callable
        Gives a new policy each time.
    seed : int, default=0
        Of the made-up decisions.

    Returns
    -------
    outcomes : list of LawOutcome
        Policies with ``uses_forecast = False`` are held to ignoring it, others to mirroring it.
    """
    policy = factory()
    missing = [name for name in ("lookback", "long_only", "min_symbols") if not hasattr(policy, name)]
    law = "states lookback, long_only and min_symbols"
    if missing:
        return [LawOutcome(law, False, f"no {', '.join(missing)}")]
    forecast, context = synthetic_decisions(BARS + policy.lookback, max(SYMBOLS, policy.min_symbols), seed=seed)
    of_forecast = [_mirrors, _depends_on_forecast] if getattr(policy, "uses_forecast", True) else [_ignores_forecast]
    every = [_is_well_formed, _keeps_its_promises, _refuses_too_few, _ignores_the_future, _looks_back_as_stated]
    checks = [*every, *of_forecast, _leaves_input_alone, _repeats_itself]
    return [LawOutcome(law, True), *(_outcome(check, factory, forecast, context) for check in checks)]


def synthetic_decisions(rows: int, symbols: int, *, seed: int = 0) -> tuple[Forecast, PolicyContext]:
    """A forecast and its context with a late listing, a suspension, missing forecasts and missing returns.

    Parameters
    ----------
    rows, symbols : int
    seed : int, default=0

    Returns
    -------
    forecast : Forecast
        Two horizons, five levels, symmetric around a random median.
    context : PolicyContext
    """
    rng = np.random.default_rng(seed)
    times = pd.date_range("2020-01-01 21:00", periods=rows, freq="D", tz="UTC").as_unit("ns")
    names = tuple(f"S{i}" for i in range(symbols))
    tradable = np.ones((rows, symbols), dtype=bool)
    tradable[: rows - BARS // 2, 0] = False  # listed late
    tradable[rows - 8 : rows - 5, 1] = False  # suspended
    returns = np.where(tradable, 0.01 * rng.standard_normal((rows, symbols)), np.nan)
    centre = 0.01 * rng.standard_normal((rows, symbols, 2, 1))
    width = 0.02 + 0.01 * rng.random((rows, symbols, 2, 1))
    quantiles = centre + width * np.linspace(-1.0, 1.0, len(LEVELS))
    quantiles[rng.random((rows, symbols)) < 0.02] = np.nan
    forecast = Forecast(times, names, (1, 5), LEVELS, quantiles)
    return forecast, PolicyContext(times, names, returns, tradable, 252.0)


def mirrored(forecast: Forecast) -> Forecast:
    """The forecast of the opposite: quantiles negated, in reverse order."""
    return replace(forecast, quantiles=-forecast.quantiles[..., ::-1])


def _outcome(check: Callable[..., str], factory: Callable[..., Any], *inputs: Any) -> LawOutcome:
    law = (check.__doc__ or "").partition("\n")[0].rstrip(".")
    try:
        detail = check(factory, *inputs)
    except Exception as error:  # foreign code on trial: whatever it raises is a broken law, not a broken kit
        detail = f"raised {type(error).__name__}: {error}"
    return LawOutcome(law, not detail, detail)


def _is_well_formed(factory: Callable[..., Any], forecast: Forecast, context: PolicyContext) -> str:
    """Gives one finite weight for each cell and one rebalance flag for each row."""
    decided = factory()(forecast, context)
    if decided.weights.shape != context.tradable.shape or decided.rebalance.shape != (len(context.times),):
        return f"weights {decided.weights.shape}, rebalance {decided.rebalance.shape} for {context.tradable.shape}"
    bad = int((~np.isfinite(decided.weights)).sum())
    return f"{bad} weights are not finite" if bad else ""


def _keeps_its_promises(factory: Callable[..., Any], forecast: Forecast, context: PolicyContext) -> str:
    """Holds only what is tradable, within its gross, and nothing short if long-only."""
    policy = factory()
    weights = policy(forecast, context).weights
    if (weights[~context.tradable] != 0).any():
        return "a weight that is not zero where a symbol is not tradable"
    most, promised = float(np.abs(weights).sum(axis=1).max()), getattr(policy, "gross", np.inf)
    if most > promised + TOLERANCE:
        return f"gross {most:.6g} where gross={promised:g} was promised"
    return f"weight {weights.min():.6g} in a long-only policy" if policy.long_only and (weights < 0).any() else ""


def _refuses_too_few(factory: Callable[..., Any], forecast: Forecast, context: PolicyContext) -> str:
    """Refuses fewer symbols than it needs, and accepts as many."""
    policy = factory()
    if not hasattr(policy, "check"):
        return "" if policy.min_symbols <= 1 else f"needs {policy.min_symbols} symbols but has no check(symbols)"
    policy.check(context.symbols[: policy.min_symbols])
    try:
        policy.check(context.symbols[: policy.min_symbols - 1])
    except ConfigError:
        return ""
    return f"check() accepts {policy.min_symbols - 1} symbols"


def _ignores_the_future(factory: Callable[..., Any], forecast: Forecast, context: PolicyContext) -> str:
    """Does not change when the future does."""
    before = factory()(forecast, context)
    rows = len(context.times)
    rng = np.random.default_rng(1)
    for cut in np.linspace(rows - BARS, rows - 2, CUTS).astype(int):
        quantiles, returns, tradable = forecast.quantiles.copy(), context.returns.copy(), context.tradable.copy()
        quantiles[cut + 1 :] = np.sort(rng.standard_normal(quantiles[cut + 1 :].shape), axis=-1)
        returns[cut + 1 :] = rng.standard_normal(returns[cut + 1 :].shape)
        tradable[cut + 1 :] = rng.random(tradable[cut + 1 :].shape) < 0.5
        after = factory()(replace(forecast, quantiles=quantiles), replace(context, returns=returns, tradable=tradable))
        if not _same(before, after, slice(cut + 1)):
            return f"row {cut} or an earlier one changed when the rows after {cut} were replaced"
    return ""


def _looks_back_as_stated(factory: Callable[..., Any], forecast: Forecast, context: PolicyContext) -> str:
    """Gives the same last row from the last ``lookback`` rows alone."""
    policy = factory()
    rows = len(context.times)
    for stop in range(rows - BARS // 2, rows + 1):
        start = stop - policy.lookback
        alone = policy(forecast.rows(start, stop), _rows(context, start, stop))
        whole = policy(forecast.rows(0, stop), _rows(context, 0, stop))
        difference = np.abs(alone.weights[-1] - whole.weights[-1]).max()
        if difference > TOLERANCE or alone.rebalance[-1] != whole.rebalance[-1]:
            return f"with {policy.lookback} rows the last one differs by {difference:.3g}"
    return ""


def _mirrors(factory: Callable[..., Any], forecast: Forecast, context: PolicyContext) -> str:
    """Mirrors its bet when the forecast is mirrored.

    A long-only policy may instead lean to the other side.
    """
    # A forecast without an opinion gives the neutral book: flat, or the benchmark of a long-only policy.
    width = forecast.width()[..., None, None] * np.linspace(-0.5, 0.5, len(forecast.levels))
    no_opinion = replace(forecast, quantiles=np.broadcast_to(width, forecast.quantiles.shape).copy())
    neutral = factory()(no_opinion, context).weights
    bet = factory()(forecast, context).weights - neutral
    opposite = factory()(mirrored(forecast), context).weights - neutral
    worst = float(np.abs(bet + opposite).max())
    if worst > TOLERANCE and factory().long_only:  # what cannot be sold short is not the other bet turned round
        leaning = float((np.nan_to_num(forecast.median()) * (bet - opposite)).sum())
        return "" if leaning > 0 else f"it leans against its forecast, by {leaning:.3g}"
    return f"the two bets do not cancel, by up to {worst:.3g}" if worst > TOLERANCE else ""


def _depends_on_forecast(factory: Callable[..., Any], forecast: Forecast, context: PolicyContext) -> str:
    """Changes when the forecasts are shuffled in time."""
    before = factory()(forecast, context).weights
    order = np.random.default_rng(2).permutation(len(context.times))
    after = factory()(replace(forecast, quantiles=forecast.quantiles[order]), context).weights
    return "the book does not depend on the forecast: say uses_forecast = False" if np.allclose(before, after) else ""


def _ignores_forecast(factory: Callable[..., Any], forecast: Forecast, context: PolicyContext) -> str:
    """Ignores the forecast, as it says."""
    same = _same(factory()(forecast, context), factory()(mirrored(forecast), context), slice(None))
    return "" if same else "the book changes with the forecast although uses_forecast is False"


def _leaves_input_alone(factory: Callable[..., Any], forecast: Forecast, context: PolicyContext) -> str:
    """Leaves its input alone."""
    given = (forecast.quantiles, context.returns, context.tradable)
    copies = [array.copy() for array in given]
    factory()(forecast, context)
    changed = [not np.array_equal(a, b, equal_nan=a.dtype != bool) for a, b in zip(given, copies, strict=True)]
    return "it wrote into its input" if any(changed) else ""


def _repeats_itself(factory: Callable[..., Any], forecast: Forecast, context: PolicyContext) -> str:
    """Gives the same answer again, from the same or from a new instance."""
    policy = factory()
    first, second, other = policy(forecast, context), policy(forecast, context), factory()(forecast, context)
    same = _same(first, second, slice(None)) and _same(first, other, slice(None))
    return "" if same else "two calls with the same input differ"


def _same(one: Positions, other: Positions, rows: slice) -> bool:
    return np.array_equal(one.weights[rows], other.weights[rows]) and np.array_equal(
        one.rebalance[rows], other.rebalance[rows]
    )


def _rows(context: PolicyContext, start: int, stop: int) -> PolicyContext:
    return replace(
        context,
        times=context.times[start:stop],
        returns=context.returns[start:stop],
        tradable=context.tradable[start:stop],
    )
