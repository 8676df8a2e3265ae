"""What supports the numbers: calibration of the forecasts, what the guardrails changed, the honesty gates."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np

from mnpu.metrics import forecast as metrics
from mnpu.report.format import NOT_AVAILABLE, count, number, percent, stamp
from mnpu.types import Figure, Forecast, Line, Result, Section, Table, Violation

__all__ = ["calibration", "coverage", "gates", "guardrails"]

_EXAMPLES = 5


def coverage(forecast: Forecast, labels: np.ndarray, horizon: int = 0) -> list[tuple[float, float, int]]:
    """Nominal and observed coverage of each central interval of one horizon.

    Parameters
    ----------
    forecast : Forecast
    labels : ndarray (T, A, H)
        What was forecast; NaN is left out.
    horizon : int, default=0
        Index of the horizon.

    Returns
    -------
    rows : list of (nominal, observed, n)
        From the narrowest interval to the widest. ``observed`` is NaN if n = 0.
    """
    alone = replace(
        forecast, horizons=(forecast.horizons[horizon],), quantiles=forecast.quantiles[:, :, [horizon]], evidence=None
    )
    outcome = labels[:, :, [horizon]]
    n = int((alone.available & np.isfinite(outcome[:, :, 0])).sum())
    nominal = [forecast.levels[-1 - low] - level for low, level in enumerate(forecast.levels) if level < 0.5]
    observed = [metric.value for metric in metrics.coverage(alone, outcome).values()]
    rows = [(share, float("nan") if seen is None else seen, n) for share, seen in zip(nominal, observed, strict=True)]
    return rows[::-1]


def calibration(result: Result) -> Section:
    """How often outcomes fell inside the interval that claimed to hold them."""
    if result.forecast is None or result.labels is None:
        return Section("Calibration", (f"`{result.name}` makes no forecast, so there is nothing to calibrate.",))
    lines: list[Line] = []
    rows: list[tuple[str, ...]] = []
    for i, horizon in enumerate(result.forecast.horizons):
        measured = coverage(result.forecast, result.labels, i)
        bars = f"{horizon} bar" if horizon == 1 else f"{horizon} bars"
        x = np.array([0.0, *(nominal for nominal, _, _ in measured), 1.0])
        y = np.array([0.0, *(observed for _, observed, _ in measured), 1.0])
        lines.append(Line(bars, 100 * x, 100 * y))
        rows.extend(
            (bars, percent(nominal, 0), percent(observed), percent(observed - nominal, 1, signed=True), count(n))
            for nominal, observed, n in measured
        )
    return Section(
        "Calibration",
        (
            "A forecast is a distribution. An honest one puts 90% of the outcomes inside its 90% interval: above the "
            "diagonal it is too wide, below it is too sure of itself. Outcomes of nearby days and of symbols that move "
            "together are not independent, so the number of forecasts overstates the evidence.",
            Figure("Observed against nominal coverage", tuple(lines), "calibration", "observed, %", "nominal, %"),
            Table(("Horizon", "Interval", "Observed", "Difference", "Forecasts"), tuple(rows)),
        ),
    )


def guardrails(result: Result) -> Section:
    """What the guardrails changed: counts by rule and code, and the first examples."""
    violations = result.positions.violations
    configured = result.run.config.get("guardrails") if result.run else None
    if not violations:
        named = ", ".join(f"`{rule['use']}`" for rule in configured or ())
        said = "No guardrail was configured." if configured == [] else "No guardrail changed a book"
        if configured != []:
            said += f": the limits of {named} were never exceeded." if named else "."
        return Section("Guardrails", (said,))
    touched = len({violation.time for violation in violations})
    share = percent(touched / max(1, len(result.times)))
    counts = Counter((v.rule, v.code, v.action) for v in violations)
    decisions: dict[tuple[str, str, str], set[object]] = defaultdict(set)
    for v in violations:
        decisions[v.rule, v.code, v.action].add(v.time)
    rows = tuple(
        (*key, count(n), percent(len(decisions[key]) / max(1, len(result.times)))) for key, n in counts.most_common()
    )
    first = sorted(violations, key=lambda v: (v.time, v.rule, v.code, v.symbol))[:_EXAMPLES]
    return Section(
        "Guardrails",
        (
            f"Guardrails changed the proposed book at {touched:,} of {len(result.times):,} decisions ({share}). "
            "They may reduce risk and never add it.",
            Table(("Rule", "Code", "Action", "Changes", "Share of decisions"), rows),
            f"The first {len(first)} of {len(violations):,} changes:"
            if len(first) < len(violations)
            else "Every change:",
            Table(("Time", "Symbol", "Code", "Limit", "Value", "Action"), tuple(_example(v) for v in first)),
        ),
    )


def gates(result: Result) -> Section:
    """Whether the result depends on the forecasts, and the features on the past alone."""
    if not result.gates:
        return Section("Honesty gates", ("> **No gate was run**, so nothing shows that the result needs the model.",))
    rows = tuple(
        (gate.name.replace("_", " "), "pass" if gate.passed else "FAIL", gate.detail or NOT_AVAILABLE)
        for gate in result.gates
    )
    n_passed = sum(gate.passed for gate in result.gates)
    return Section(
        "Honesty gates",
        (
            f"{n_passed} of {len(rows)} passed. Before guardrails and costs, spoiled forecasts must change the "
            "outcome, mirrored ones must reverse it, and no feature may change when the future is replaced.",
            Table(("Gate", "Outcome", "What was compared"), rows),
        ),
    )


def _example(violation: Violation) -> tuple[str, ...]:
    return (
        stamp(violation.time),
        violation.symbol or "book",
        violation.code,
        number(violation.limit, 3),
        number(violation.value, 3),
        violation.action,
    )
