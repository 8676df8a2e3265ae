"""The card of a fitted network: what it is, what it learnt from, how it did, and what it must not be used for.

After Mitchell et al. (2019), "Model cards for model reporting" (arXiv:1810.03993): their sections, in the words of
this field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnpu.training import Fitted
    from mnpu.training.fitted import Epoch
    from mnpu.types import Metric, Result, Split

__all__ = ["model_card"]

#: Measured first; the others are in metrics.json.
_SHOWN = (
    *("rank_ic", "pinball", "coverage_0.90"),
    *("sharpe", "cagr", "max_drawdown", "turnover_oneway_ann", "breakeven_bps"),
)


def model_card(fitted: Fitted, result: Result) -> str:
    """The card as Markdown.

    Parameters
    ----------
    fitted : Fitted
        One fold's network.
    result : Result
        Of the run that it was part of, with ``run``, ``folds``, ``features`` and ``gates``.
    """
    parts = [
        f"# {result.run.name if result.run else result.name}, fold {fitted.fold.number + 1}",
        _network(fitted, result),
        "## What it learnt from",
        _data(fitted, result),
        "## How it did",
        _outcome(fitted, result),
        "## What it is for, and what not",
        _limits(result),
        "## Where it comes from",
        _origin(result),
    ]
    return "\n\n".join(parts) + "\n"


def _network(fitted: Fitted, result: Result) -> str:
    model: dict[str, Any] = dict(result.run.config.get("model", {})) if result.run else {}
    parts = [("forecaster", _use(model["forecaster"]))] if model.get("forecaster") else []
    parts = parts or [
        ("backbone", _use(model.get("backbone"))),
        ("head", _use(model.get("head"))),
        ("parameters", f"{fitted.n_parameters:,}" + (f", in {len(fitted.members)} members" if fitted.members else "")),
        ("began", _beginning(fitted, model)),
    ]
    rows = [
        ("forecasts", f"{len(fitted.levels)} quantiles of the target, {_listed(fitted.horizons)} bars ahead"),
        ("target", _use(result.run.config.get("target") if result.run else None) + _taken(fitted)),
        *parts,
        ("calibration", _calibration(fitted)),
        ("window", f"{fitted.lookback} bars, {fitted.min_present:.0%} of its cells known"),
        ("inputs", f"{len(fitted.names)} columns: {', '.join(fitted.names)} (features.json)"),
    ]
    return _table(("", ""), rows)


def _taken(fitted: Fitted) -> str:
    """What the labels took from the training range, a group for each horizon."""
    if fitted.labels_learnt is None:
        return ""
    each = "; ".join(_listed([f"{n:.4g}" for n in row]) for row in fitted.labels_learnt)
    return f", which took {each} from the training range"


def _beginning(fitted: Fitted, model: Mapping[str, Any]) -> str:
    source = model.get("warm_start")
    weights = "with random weights" if source is None else f"with the weights of {_path(source)}"
    if not fitted.pretraining:
        return weights
    first, last = fitted.pretraining[0], fitted.pretraining[-1]
    epochs = f"{len(fitted.pretraining)} epochs of pre-training without labels"
    return f"{weights}, then {epochs} (loss {first:.4g} to {last:.4g})"


def _path(source: Any) -> str:
    path = source.get("path", "") if isinstance(source, Mapping) else source
    return f"`{Path(str(path)).name}`"  # a card travels, the folder above does not


def _calibration(fitted: Fitted) -> str:
    if fitted.follows_from is not None:
        return (
            "adaptive: shifts of its quantiles anew at each decision, from outcomes since "
            f"{fitted.follows_from:%Y-%m-%d}; not in the weights"
        )
    if fitted.calibration is None:
        return "none kept with the network"
    hot = fitted.calibration.temperatures
    classes = f", and temperatures of its classes {_listed([round(t, 3) for t in hot])}" if hot else ""
    return f"shifts of its quantiles, found on outcomes before {fitted.calibration.since:%Y-%m-%d}{classes}"


def _data(fitted: Fitted, result: Result) -> str:
    folds, fold = result.folds, fitted.fold
    lines = []
    if folds is not None and folds.times is not None:
        times = folds.times
        ranges = [("training", rows) for rows in fold.training]
        ranges.append(("validation", fold.validation))
        ranges += [("calibration", rows) for rows in _calibration_rows(fitted, folds)]
        ranges += [("test", rows) for rows in fold.testing]
        spans = [
            (name, f"{times[rows[0]]:%Y-%m-%d}", f"{times[min(rows[1], len(times)) - 1]:%Y-%m-%d}")
            for name, rows in ranges
        ]
        lines.append(_table(("range", "from", "until"), spans))
    symbols = result.positions.symbols
    shown = ", ".join(symbols[:12]) + (f" and {len(symbols) - 12} more" if len(symbols) > 12 else "")
    lines.append(
        f"{len(symbols)} symbols: {shown}. Scaling and weights come from the training range alone; the validation "
        + ("range decided when training stopped." if fitted.history else "range gave the width of the forecasts.")
    )
    lines += [f"* {note}" for note in result.notes]
    return "\n\n".join(lines[:2]) + ("\n\n" + "\n".join(lines[2:]) if lines[2:] else "")


def _calibration_rows(fitted: Fitted, folds: Split) -> list[tuple[int, int]]:
    """What was kept back from the fold's validation range, if anything was."""
    if fitted.calibration is not None:
        return [fitted.calibration.rows]
    if fitted.follows_from is None or folds.times is None:
        return []
    whole = next(fold for fold in folds.folds if fold.number == fitted.fold.number)
    return [(int(folds.times.searchsorted(fitted.follows_from)), whole.validation[1])]


def _kept(fitted: Fitted) -> str:
    """Which epoch's weights these are."""
    if not fitted.members:
        return f"Epoch {_best(fitted.history)} of {len(fitted.history)} was kept:"
    each = ", ".join(f"{_best(history)} of {len(history)}" for history in fitted.members)
    return f"Of its members the epochs {each} were kept. Of the first one:"


def _best(history: Sequence[Epoch]) -> int:
    """Number of the epoch with the smallest validation loss, from 1."""
    return min(range(len(history)), key=lambda i: history[i].validation) + 1


def _outcome(fitted: Fitted, result: Result) -> str:
    best = fitted.best
    first = "Fitted at once, without epochs; its quantiles come from errors on the validation range."
    if best is not None:
        first = (
            f"{_kept(fitted)} loss {best.train:.4g} in training, {best.validation:.4g} in validation (scaled targets)."
        )
    named = [name for name in _SHOWN if name in result.metrics] or list(result.metrics)[:8]
    rows = [_metric(metric) for name in named for metric in _with_luck(result, name)]
    passed = [gate for gate in result.gates if gate.passed]
    failed = [f"{gate.name}: {gate.detail}" for gate in result.gates if not gate.passed]
    gates = f"Honesty gates: {len(passed)} of {len(result.gates)} passed." + "".join(f"\n* failed {f}" for f in failed)
    whole = (
        "Out of sample, net of costs, over the whole run: each fold's model forecasts its own test range only, so "
        "this one made one part of these numbers. All of them are in metrics.json."
    )
    table = _table(("metric", "value", "standard error", "unit"), rows)
    return "\n\n".join([first, whole, table, _luck(result), gates])


def _luck(result: Result) -> str:
    """What stands beside every Sharpe ratio."""
    if result.judgement is None:
        return "The Sharpe ratio was not judged: take it as not distinguishable from luck."
    return f"The Sharpe ratio, when the run ended: {result.judgement.told}."


def _limits(result: Result) -> str:
    fill = result.run.config.get("fill", "") if result.run else ""
    return "\n".join(
        [
            "* For research on the data, bar length and costs that the recipe declares"
            + (f", with orders filled at `{fill}`." if fill else "."),
            "* Decisions after the training range only: loading it to score earlier ones is refused.",
            "* Inputs must be the same columns, computed by the same features; forecasts of other symbols, other bar "
            "lengths or another market were never measured.",
            "* A distribution is as good as its past: look at coverage and calibration before relying on it.",
            "* It is no advice to buy or sell anything.",
        ]
    )


def _origin(result: Result) -> str:
    run = result.run
    if run is None:
        return "Not part of a run."
    rows = [
        ("run", run.run_id),
        ("recipe", run.recipe_id),
        ("seed", str(run.seed)),
        ("started", f"{run.started_at:%Y-%m-%d %H:%M} UTC"),
        ("recipes tried until then", str(run.trials)),
        ("configuration, data, code, environment", ", ".join(h[:12] for h in _hashes(run))),
        ("versions", ", ".join(f"{name} {version}" for name, version in run.versions.items())),
    ]
    use = "`mnpu bundle verify FOLDER` checks every byte; `mnpu run resolved.yaml` does the run again."
    return f"{_table(('', ''), rows)}\n\n{use}"


def _hashes(run: Any) -> tuple[str, ...]:
    return run.config_hash, run.data_hash, run.code_hash, run.env_hash


def _metric(metric: Metric) -> tuple[str, str, str, str]:
    value = metric.reason if metric.value is None else f"{metric.value:.4g}"
    return metric.name, value, "" if metric.se is None else f"{metric.se:.2g}", metric.unit


def _with_luck(result: Result, name: str) -> tuple[Metric, ...]:
    """A metric; the Sharpe ratio with its deflated one and the PBO."""
    if name != "sharpe" or result.judgement is None:
        return (result.metrics[name],)
    return result.metrics[name], result.judgement.dsr, result.judgement.pbo


def _use(block: Any) -> str:
    if not isinstance(block, dict):
        return ""
    params = ", ".join(f"{name}: {value}" for name, value in block.items() if name != "use" and value is not None)
    return f"`{block.get('use', '')}`" + (f" ({params})" if params else "")


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(str(value) for value in values)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    return "\n".join([*lines, *(f"| {' | '.join(str(c).replace('|', '/') for c in row)} |" for row in rows)])
