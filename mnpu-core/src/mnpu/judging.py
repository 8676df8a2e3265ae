"""Whether a Sharpe ratio can be told from luck: the one place that answers, from the ledger, for everything that shows.

A ratio is judged by its deflated ratio: the probability that the true one exceeds what the best of all trials of the
same question would have by luck. At 95 % it is distinguishable. Trials of a question are the recipes that ran under one
name, on the same data, or at the same decisions; failed and killed ones count, and deleting a folder takes no row back.
Trials whose returns are there to compare count once where they move together, all others one by one. Where the ratio of
a trial is lost, nobody knows how much the trials vary, and nothing is told from luck.

Sources: Bailey and Lopez de Prado (2014), "The deflated Sharpe ratio"; Bailey, Borwein, Lopez de Prado and Zhu (2017),
"The probability of backtest overfitting". `docs/decisions/0024` says what was decided beyond them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mnpu.errors import MnpuError
from mnpu.judging_trials import Records, Tried, differs
from mnpu.metrics.bootstrap import stationary_bootstrap_interval
from mnpu.metrics.many import moments, sharpe_bar
from mnpu.metrics.overfitting import BLOCKS, Overfitting, pbo, pbo_over_paths
from mnpu.metrics.significance import (
    CONFIDENCE,
    deflated_sharpe,
    expected_best,
    min_track_record,
    probabilistic_sharpe,
)
from mnpu.metrics.trials import effective_trials, trials_in_clusters
from mnpu.results_returns import Returns, returns_of
from mnpu.trials import facts
from mnpu.types import Judgement, Metric, Result, TrialRow

__all__ = ["LEAST_BLOCK", "LEAST_STRATEGIES", "Judge", "is_beyond_luck", "judged"]

LEAST_STRATEGIES = 10  #: Of fewer, the place of one among the others tells too little: it has ten values at most.
LEAST_CLUSTERED = 5  #: Bars of which a correlation tells anything.
SAME = 10  #: Decimals of a return to which two series are one strategy's.
LEAST_BLOCK = 10  #: Bars of a block of which a Sharpe ratio tells anything.
_PROBABILITY = "probability"


def is_beyond_luck(dsr: float | None) -> bool:
    """Whether a deflated Sharpe ratio can be told from luck."""
    return dsr is not None and dsr >= CONFIDENCE


def judged(result: Result, root: str | Path) -> Result:
    """A result with its judgement, from the ledger of the folder of runs ``root`` as it stands now."""
    return replace(result, judgement=Judge(root).of_result(result))


@dataclass(frozen=True)
class _Field:
    """All trials of a question as one run sees them: itself first, then the others, then those that are lost."""

    others: Sequence[Tried]
    labels: np.ndarray  # (N,)
    compared: np.ndarray  # (N,) bool
    ratios: np.ndarray  # (N,), per bar of this run
    n_effective: int
    variance: float
    lost: int  # ratios that there were, and that nobody knows any more

    @property
    def why_not(self) -> str:
        """Why nothing can be deflated by these trials; empty where it can."""
        ratios = "Sharpe ratio of 1" if self.lost == 1 else f"Sharpe ratios of {self.lost}"
        said = f"the {ratios} of {len(self.labels)} trials {'is' if self.lost == 1 else 'are'} lost"
        return said if self.lost else ""

    @property
    def luck(self) -> float:
        """The ratio per bar that the best of worthless trials is expected to have."""
        return float(np.sqrt(self.variance)) * expected_best(self.n_effective)


class Judge:
    """Judges runs of one folder; the ledger is read once, and so is every trial.

    Parameters
    ----------
    root : path
        Folder of run directories; the ledger lies in it.
    """

    def __init__(self, root: str | Path) -> None:
        self._records = Records(Path(root))
        self._clusters: dict[tuple[str, ...], np.ndarray] = {}
        self._overfitting: dict[tuple[str, ...], Overfitting] = {}

    def of_result(self, result: Result) -> Judgement:
        """The whole judgement of a run: with what each trial did otherwise, and with the interval of the bootstrap."""
        run = result.run
        if run is None:
            return _unknown("no run is attached, so nobody knows what was tried", ())
        ids = {"run_id": run.run_id, "recipe_id": run.recipe_id, "name": run.name, "data_hash": run.data_hash}
        hashes = {name: getattr(run, name) for name in ("config_hash", "code_hash", "env_hash")}
        told = {"trials": run.trials, "started_at": run.started_at, "config": run.config, "status": "this run"}
        told["unlocked"] = run.unlocked
        own = {**facts(result), **ids, **hashes, **told}
        others = {each.name: each.net for each in result.comparisons}
        passed = all(gate.passed for gate in result.gates)
        return self._judge(own, returns_of(result), passed=passed, compared_with=others, detailed=True)

    def of_row(self, row: Mapping[str, Any], *, detailed: bool = False) -> Judgement:
        """The judgement of a run that is in the ledger, by its row.

        Its returns are read where its folder is there; ``detailed`` adds what each trial did otherwise.
        """
        passed = row.get("status", "finished") == "finished" or row.get("sharpe_bar") is None
        wanted = {"recipe_id": "", "name": None, "data_hash": None}
        own = {**wanted, **row}
        return self._judge(own, self._records.returns([row]), passed=passed, compared_with={}, detailed=detailed)

    def _judge(
        self,
        own: Mapping[str, Any],
        returns: Returns | None,
        *,
        passed: bool,
        compared_with: Mapping[str, np.ndarray],
        detailed: bool,
    ) -> Judgement:
        if self._records.problem:
            return _unknown(f"the ledger cannot be read: {self._records.problem}", (self._records.problem,))
        field = self._field(own, returns)
        root_q = np.sqrt(float(own.get("periods_per_year") or np.nan))
        dsr = _deflated(own, field)
        pbo_metric, found, n_strategies = self._pbo(own, returns, field.others)
        return Judgement(
            verdict=_verdict(own, field, dsr, passed),
            n_trials=len(field.labels),
            n_trials_eff=field.n_effective,
            compared=int(field.compared.sum()),
            sharpe_luck=None if field.lost else _known(field.luck * root_q),
            sharpe_spread=None if field.lost or len(field.labels) == 1 else _known(np.sqrt(field.variance) * root_q),
            psr=_metric("psr", _psr(own), _why_not(own)),
            dsr=dsr,
            min_trl_dsr=_track_record(own, field),
            pbo=pbo_metric,
            dsr_of={str(own.get("strategy", "")): dsr} | self._of_others(own, returns, compared_with),
            n_strategies=n_strategies,
            logits=None if found is None else found.logits,
            interval=_interval(returns, root_q) if detailed and returns is not None else None,
            trials=self._rows(own, field, root_q) if detailed else (),
            notes=self._records.tried.problems,
        )

    def _of_others(
        self, own: Mapping[str, Any], returns: Returns | None, compared_with: Mapping[str, np.ndarray]
    ) -> dict[str, Metric]:
        """Deflated ratios of the other strategies of a run: whoever picks one has looked at every model of the run."""
        if not compared_with or returns is None:
            return {}
        models = {name: net for name, net in returns.models.items() if name != own.get("strategy")}
        field = self._field(own, returns, models)
        return {name: _deflated(_moments(net), field) for name, net in compared_with.items()}

    def _field(
        self, own: Mapping[str, Any], returns: Returns | None, models: Mapping[str, np.ndarray] | None = None
    ) -> _Field:
        """The trials of a run's question; with ``models`` these count as more of them, after the others."""
        more = models or {}
        others, lost = self._records.of(own)
        # More were there when the run began, or when another on its data did, and their rows have been taken away.
        alike = [each.last for each in others if all(each.last.get(k) == own.get(k) for k in ("name", "data_hash"))]
        saw = max(int(row.get("trials") or 1) for row in (own, *alike))
        lost += max(saw - 1 - len(others) - lost, 0)
        measured = [self._measured(each) for each in others]
        gone = sum(map(_is_lost, others, measured)) + lost
        ratios = [_ratio(own, own), *(_ratio(each, own) for each in measured)]
        ratios += [*(_ratio(_moments(net), own) for net in more.values()), *[np.nan] * lost]
        known = [None if returns is None else returns.net]
        known += [None if returns is None else _on(self._records.returns(each.rows), returns) for each in others]
        known += more.values()
        own_id = str(own.get("run_id"))
        ids = [own_id, *(str(each.last["run_id"]) for each in others), *(f"{own_id}/{name}" for name in more)]
        labels = np.full(len(ratios), -1)
        labels[: len(known)] = self._labels(known, ids)
        compared = labels >= 0
        labels[~compared] = labels.max() + 1 + np.arange((~compared).sum())
        found = trials_in_clusters(np.array(ratios, dtype=float), labels)
        variance = found.sharpe_variance
        there = np.isfinite(ratios)
        if found.n_effective > 1 and len(np.unique(labels[there])) < 2:
            # Too few ratios are known to vary: that of worthless strategies, by the error of the ratio alone.
            variance = 1.0 / max(float(own.get("n") or 2) - 1.0, 1.0)
        return _Field(others, labels, compared, np.array(ratios, dtype=float), found.n_effective, variance, gone)

    def _measured(self, each: Tried) -> Mapping[str, Any]:
        """What is known of a trial's ratio, by the ledger or else by the returns in its folder; empty if nothing is."""
        if each.measured:
            return each.measured
        known = self._records.returns(each.rows)
        return {} if known is None else {**_moments(known.net), "periods_per_year": known.periods_per_year}

    def _labels(self, known: Sequence[np.ndarray | None], ids: Sequence[str]) -> np.ndarray:
        """Cluster of each trial, -1 where its returns are not there, or those of the judged run, the first, are not."""
        labels = np.full(len(known), -1)
        series = {ids[place]: net for place, net in enumerate(known) if net is not None and np.isfinite(net).all()}
        if ids[0] not in series or len(series) < 2 or len(series[ids[0]]) < LEAST_CLUSTERED:
            return labels
        key = tuple(sorted(series))  # in one order, so that all runs of a question share what is found
        if key not in self._clusters:
            self._clusters[key] = effective_trials(np.stack([series[name] for name in key])).labels
        of = dict(zip(key, self._clusters[key], strict=True))
        return np.array([of.get(name, -1) for name in ids])

    def _pbo(
        self, own: Mapping[str, Any], returns: Returns | None, others: Sequence[Tried]
    ) -> tuple[Metric, Overfitting | None, int]:
        if returns is None or not own.get("decisions"):
            lost = "needs the returns of the run, which are gone"
            reason = lost if returns is None else "needs to know the decisions, which an older version did not keep"
            return Metric("pbo", None, _PROBABILITY, reason=reason), None, 0
        pool = {str(own["recipe_id"]): returns}
        for each in others:
            known = self._records.returns(each.rows)
            if known is None or each.measured.get("decisions") != own["decisions"]:
                continue
            if known.times.equals(returns.times):
                pool[each.recipe_id] = known
        series = _different([pool[recipe] for recipe in sorted(pool)], of_paths=returns.paths is not None)
        bars = len(returns.times)
        if len(series) < LEAST_STRATEGIES:
            reason = f"needs {LEAST_STRATEGIES} strategies on the same decisions, has {len(series)}"
            return Metric("pbo", None, _PROBABILITY, reason=reason), None, len(series)
        if bars < BLOCKS * LEAST_BLOCK:
            reason = f"needs {BLOCKS * LEAST_BLOCK} bars, has {bars}"
            return Metric("pbo", None, _PROBABILITY, reason=reason), None, len(series)
        key = (str(own["decisions"]), *sorted(pool))
        if key not in self._overfitting:
            stacked = np.stack(series)
            of_paths = stacked.ndim == 3  # (N, P, T)
            self._overfitting[key] = pbo_over_paths(stacked.swapaxes(0, 1)) if of_paths else pbo(stacked)
        found = self._overfitting[key]
        return Metric("pbo", found.pbo, _PROBABILITY), found, len(series)

    def _rows(self, own: Mapping[str, Any], field: _Field, root_q: float) -> tuple[TrialRow, ...]:
        """One row a trial, the oldest first, then those that are lost."""
        ours = self._records.config(own)
        every = [Tried(str(own["recipe_id"]), (own,)), *field.others]
        rows = []
        for place, each in enumerate(every):
            row, ratio = each.last, field.ratios[place]
            differing = "" if place == 0 else differs(row, own, (self._records.config(row), ours))
            cluster = int(field.labels[place]) if field.compared[place] else None
            status, sharpe = str(row.get("status") or "unknown"), _known(ratio * root_q)
            told = (each.recipe_id, str(row["run_id"]), str(row.get("name") or ""), each.started_at, status)
            rows.append(TrialRow(*told, sharpe, cluster, differing, place == 0))
        rows.sort(key=lambda row: (row.started_at is None, str(row.started_at), row.recipe_id))
        lost = len(field.labels) - len(every)
        return (*rows, *[TrialRow("", "", "", None, "unknown", None, None, "nobody knows")] * lost)


def _is_lost(each: Tried, measured: Mapping[str, Any]) -> bool:
    """Whether a trial had a ratio that nobody knows any more; one that failed or was killed need not have had any."""
    never = any(row.get("undefined") for row in (*each.rows, measured))
    return each.last.get("status") == "finished" and measured.get("sharpe_bar") is None and not never


def _ratio(row: Mapping[str, Any], own: Mapping[str, Any]) -> float:
    """Sharpe ratio per bar of the judged run: that of a trial of other bars is annualised and taken back."""
    ratio, q, own_q = row.get("sharpe_bar"), row.get("periods_per_year"), own.get("periods_per_year")
    if ratio is None:
        return float("nan")
    return float(ratio) * (np.sqrt(q / own_q) if q and own_q and q != own_q else 1.0)


def _on(trial: Returns | None, own: Returns) -> np.ndarray | None:
    """Returns of a trial at the decisions of the judged run; None where it lacks some."""
    if trial is None:
        return None
    if trial.times.equals(own.times):
        return trial.net
    at = trial.times.get_indexer(own.times)
    return None if (at < 0).any() else trial.net[at]


def _different(pool: Sequence[Returns], *, of_paths: bool) -> list[np.ndarray]:
    """What was tried, each strategy once however many runs had it: (T,), or (P, T) of every path.

    Two runs of one strategy may differ by rounding, as where a cap takes what another recipe had asked less of.
    """
    found: dict[bytes, np.ndarray] = {}
    for each in pool:
        tried = [each.paths] if of_paths else list(each.models.values())
        for series in tried:
            if series is not None and np.isfinite(series).all():
                found.setdefault((np.round(series, SAME) + 0.0).tobytes(), series)  # + 0.0: a zero has one sign
    shapes = [series.shape for series in found.values()]
    usual = max(set(shapes), key=shapes.count) if shapes else None  # a trial with another number of paths stands apart
    return [series for series in found.values() if series.shape == usual]


def _shape(own: Mapping[str, Any]) -> tuple[float, float, float, float] | None:
    values = [own.get(name) for name in ("sharpe_bar", "n", "skew", "kurtosis")]
    if any(value is None for value in values):
        return None
    ratio, n, skew, kurtosis = (float(value) for value in values)  # type: ignore[arg-type]
    return ratio, n, skew, kurtosis


def _psr(own: Mapping[str, Any]) -> float | None:
    shape = _shape(own)
    return None if shape is None else _known(probabilistic_sharpe(*shape))


def _deflated(own: Mapping[str, Any], field: _Field) -> Metric:
    shape = _shape(own)
    if shape is not None and field.lost:
        return _metric("dsr", None, field.why_not)
    value = None if shape is None else _known(deflated_sharpe(*shape, field.variance, field.n_effective))
    return _metric("dsr", value, _why_not(own))


def _moments(net: np.ndarray) -> dict[str, Any]:
    """What a row of the ledger would say of returns; nothing where they have no ratio."""
    known = moments(net) if len(net) > 2 else None
    if known is None or not np.isfinite(sharpe_bar(known)):
        return {"undefined": "the returns do not vary"}
    return {"sharpe_bar": sharpe_bar(known), "n": known.n, "skew": known.skew, "kurtosis": known.kurtosis}


def _track_record(own: Mapping[str, Any], field: _Field) -> Metric:
    name, shape = "min_trl_dsr", _shape(own)
    if shape is None or field.lost:
        return Metric(name, None, "bars", reason=_why_not(own) if shape is None else field.why_not)
    bars = _known(min_track_record(shape[0], *shape[2:], benchmark=field.luck))
    reason = "" if bars is not None else "the ratio is not above what the best by luck would have: no length would do"
    return Metric(name, bars, "bars", reason=reason)


def _verdict(own: Mapping[str, Any], field: _Field, dsr: Metric, passed: bool) -> Any:
    shape = _shape(own)
    if not passed:
        return "gates"
    if dsr.value is None or shape is None:
        return "unknown"
    if is_beyond_luck(dsr.value):
        return "skill"
    ratio, n, skew, kurtosis = shape
    mirrored = deflated_sharpe(-ratio, n, -skew, kurtosis, field.variance, field.n_effective)
    return "loss" if is_beyond_luck(mirrored) else "luck"


def _interval(returns: Returns, root_q: float) -> tuple[float, float] | None:
    try:
        found = stationary_bootstrap_interval(returns.net)
    except MnpuError:  # too few returns, or they do not vary
        return None
    return float(found.low * root_q), float(found.high * root_q)


def _why_not(own: Mapping[str, Any]) -> str:
    if _shape(own) is None:
        return str(own.get("undefined") or "the ledger has no Sharpe ratio per bar of it")
    return "the returns take two values only"


def _metric(name: str, value: float | None, reason: str) -> Metric:
    return Metric(name, value, _PROBABILITY, reason="" if value is not None else reason)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _unknown(reason: str, notes: tuple[str, ...]) -> Judgement:
    psr, dsr, overfit = (Metric(name, None, _PROBABILITY, reason=reason) for name in ("psr", "dsr", "pbo"))
    bars = Metric("min_trl_dsr", None, "bars", reason=reason)
    return Judgement("unknown", 1, 1, 0, None, None, psr, dsr, bars, overfit, notes=notes)
