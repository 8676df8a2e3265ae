"""What supports the numbers: what the guardrails changed, and the honesty gates."""

from __future__ import annotations

from collections import Counter, defaultdict

from mnpu.report.format import NOT_AVAILABLE, count, number, percent, stamp
from mnpu.types import Result, Section, Table, Violation

__all__ = ["gates", "guardrails"]

_EXAMPLES = 5


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
