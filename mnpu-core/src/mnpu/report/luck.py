"""Whether the result could be luck: what was tried, what luck alone would have made of it, and the active returns."""

from __future__ import annotations

from math import sqrt

import numpy as np

from mnpu.metrics.significance import CONFIDENCE
from mnpu.report.format import NOT_AVAILABLE, count, label_of, metric_cell, number, percent, stamp
from mnpu.report.headline import verdict
from mnpu.types import Block, Figure, Judgement, Line, Metric, Result, Section, Table, TrialRow

__all__ = ["luck", "trials"]

_MOST = 60  #: Trials in the table; the others are counted.
_POINTS = 161
_RANKS = 10


def luck(result: Result) -> Section:
    """The judgement in words and numbers, its picture, and each alternative bar by bar."""
    judgement = result.judgement
    blocks: list[Block] = [_said(result, judgement)]
    if judgement is not None:
        blocks.append(Table(("Measure", "Value", "What it says"), tuple(_numbers(result, judgement))))
        blocks.extend(_pictures(result, judgement))
        blocks.extend(f"> {note}" for note in judgement.notes)
    rows = tuple(
        (other.name, *_paired(result, other)) for other in result.comparisons if len(other.net) == len(result.net)
    )
    if rows:
        blocks.append(
            "The same decisions, bar by bar, against each alternative. A t-statistic between −2 and 2 means that "
            "the difference could be chance."
        )
        blocks.append(Table(("Against", "Active return a year", "t-statistic", "In words"), rows))
    return Section("Could this be luck?", tuple(blocks))


def trials(result: Result) -> Section:
    """Every trial of the question, the newest first."""
    judgement = result.judgement
    if judgement is None or not judgement.trials:
        return Section("Trials", ("Nobody asked the ledger what else was tried.",))
    if judgement.n_trials == 1:
        return Section("Trials", ("This recipe is the only one that was tried at this question so far.",))
    shown = [row for row in judgement.trials if row.own]
    shown += [row for row in reversed(judgement.trials) if not row.own][: _MOST - 1]
    table = Table(
        ("Began", "Outcome", "Sharpe", "Moves with", "Differs in", "Run"),
        tuple(_row(row, judgement) for row in shown),
        highlight=0,
    )
    left = judgement.n_trials - len(shown)
    said = (
        f"{count(judgement.n_trials)} recipes ran under this name, on this data, or at these decisions, whatever "
        "became of them; repeating one does not count. Where their returns could be compared, those that move together "
        f"have one letter and count as one: {_compared(judgement)}"
    )
    more = (f"{count(left)} older ones are not shown.",) if left > 0 else ()
    return Section("Trials", (said, table, *more))


def _said(result: Result, judgement: Judgement | None) -> str:
    metric = result.metrics.get("sharpe")
    if judgement is None or judgement.dsr.value is None or metric is None:
        return f"**{verdict(result)}**"
    tried = (
        "This recipe is the only one that was tried"
        if judgement.n_trials == 1
        else f"{count(judgement.n_trials)} recipes were tried at this question"
    )
    alike = (
        f", which are as good as {count(judgement.n_trials_eff)} independent ones"
        if judgement.n_trials_eff < judgement.n_trials
        else ""
    )
    best = f"without any skill, the best of them would be expected to show {number(judgement.sharpe_luck)}"
    if judgement.n_trials_eff == 1:
        best = "without any skill, it would be expected to show 0"
    error = f" with a standard error of {number(metric.se)}" if metric.se else ""
    words = f"{judgement.words[:1].upper()}{judgement.words[1:]}"
    return (
        f"**{words}.** The net Sharpe ratio is {number(metric.value)}{error}. "
        f"{tried}{alike}; {best}. The true ratio is above that with a probability of "
        f"{percent(judgement.dsr.value)} (the deflated ratio, DSR), and {percent(CONFIDENCE, 0)} is wanted."
    )


def _numbers(result: Result, judgement: Judgement) -> list[tuple[str, str, str]]:
    known = result.metrics
    ends = judgement.interval
    n = known.get("n")
    bars = f"this record has {count(n.value)}" if n is not None else ""
    rows: list[tuple[str, Metric | str | None, str]] = [
        (label_of("sharpe"), known.get("sharpe"), "after costs; the error allows for skew and fat tails (Mertens)"),
        (label_of("sharpe_lo"), known.get("sharpe_lo"), "the same, if returns carry on from bar to bar"),
        (
            "95% interval",
            NOT_AVAILABLE if ends is None else f"{number(ends[0])} to {number(ends[1])}",
            "of the ratio, by the stationary bootstrap",
        ),
        ("PSR", judgement.psr, "probability that the true ratio is above 0, had nothing else been tried"),
        ("Trials", count(judgement.n_trials), _independent(judgement)),
        ("Best by luck", number(judgement.sharpe_luck), "Sharpe expected of the best of so many worthless trials"),
        (label_of("dsr"), judgement.dsr, f"probability that the true ratio is above that; {_wanted()}"),
        (label_of("min_trl"), known.get("min_trl"), bars),
        (label_of("min_trl_dsr"), judgement.min_trl_dsr, bars),
        (
            label_of("pbo"),
            judgement.pbo,
            judgement.pbo.reason
            or f"that the best of {count(judgement.n_strategies)} strategies is no better than their median elsewhere",
        ),
        ("Rank IC ± se", known.get("rank_ic"), _of_forecasts(known.get("rank_ic_t"))),
    ]
    shown = [(label, value, said) for label, value, said in rows if value is not None]
    return [
        (label, value if isinstance(value, str) else metric_cell(value), _reason(value, said))
        for label, value, said in shown
    ]


def _independent(judgement: Judgement) -> str:
    if judgement.n_trials == 1:
        return "nothing else was tried at this question so far"
    n = judgement.n_trials_eff
    return f"as good as {count(n)} independent {'one' if n == 1 else 'ones'}; see below"


def _wanted() -> str:
    return f"{percent(CONFIDENCE, 0)} is wanted"


def _of_forecasts(t: Metric | None) -> str:
    if t is None or t.value is None:
        return "of the forecasts"
    return f"of the forecasts; t = {number(t.value)} with errors of Newey and West"


def _reason(value: Metric | str, said: str) -> str:
    """Why there is no number, in place of what it would say."""
    missing = isinstance(value, Metric) and value.value is None and value.reason
    return value.reason if missing else said  # type: ignore[union-attr]


def _pictures(result: Result, judgement: Judgement) -> list[Block]:
    """The ratio beside what luck alone would show, and where the best of one half came in the other."""
    drawn: list[Block] = []
    metric, luck_at = result.metrics.get("sharpe"), judgement.sharpe_luck
    if metric is not None and metric.value is not None and metric.se and luck_at is not None:
        drawn.append(_against_luck(metric.value, metric.se, judgement))
    if judgement.logits is not None:
        share = 1.0 / (1.0 + np.exp(-judgement.logits))
        heights, _ = np.histogram(share, bins=np.linspace(0.0, 1.0, _RANKS + 1))
        names = [f"{100 * k // _RANKS}\N{EN DASH}{100 * (k + 1) // _RANKS}%" for k in range(_RANKS)]
        title = "Place among all, in one half of the bars, of the strategy that was best in the other"
        line = Line("share of the halves", names, 100 * heights / len(share))
        drawn.append(Figure(title, (line,), "bar", "%", "from the worst to the best"))
    return drawn


def _against_luck(ratio: float, error: float, judgement: Judgement) -> Figure:
    """Density of the best of N worthless trials, of this ratio with its error, and the ratio itself."""
    n, spread = judgement.n_trials_eff, judgement.sharpe_spread
    width = error if n == 1 or not spread else spread
    low, high = min(-3 * width, ratio - 3.5 * error), max(4.5 * width, ratio + 3.5 * error)
    x = np.linspace(low, high, _POINTS)
    z = x / width
    density = n * _bell(z) / width * _normal_cdf(z) ** (n - 1)
    own = _bell((x - ratio) / error) / error
    top = max(density.max(), own.max())
    of = "a worthless strategy" if n == 1 else f"the best of {count(n)} worthless trials"
    return Figure(
        "The Sharpe ratio beside what luck alone would show",
        (
            Line(f"this run: {number(ratio)}", np.array([ratio, ratio]), np.array([0.0, 1.05 * top])),
            Line(of, x, density),
            Line("this run, with its error", x, own),
        ),
        "density",
        x_label="annualised Sharpe ratio",
    )


def _bell(z: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * z * z) / sqrt(2 * np.pi)


def _normal_cdf(z: np.ndarray) -> np.ndarray:
    from statistics import NormalDist

    return np.array([NormalDist().cdf(value) for value in z])


def _compared(judgement: Judgement) -> str:
    if judgement.compared < 2:
        return "no others are there to compare, so every one counts."
    rest = judgement.n_trials - judgement.compared
    by_itself = "it counts by itself" if rest == 1 else "they count one by one"
    alone = f" The returns of {count(rest)} are not there: {by_itself}." if rest else ""
    return f"{count(judgement.n_trials)} are as good as {count(judgement.n_trials_eff)}.{alone}"


def _row(row: TrialRow, judgement: Judgement) -> tuple[str, ...]:
    return (
        NOT_AVAILABLE if row.started_at is None else stamp(row.started_at),
        "this run" if row.own else {"finished": "kept"}.get(row.status, row.status),
        number(row.sharpe),
        "" if row.cluster is None or judgement.compared < 2 else _letter(row.cluster),
        row.differs,
        f"`{row.run_id}`" if row.run_id else NOT_AVAILABLE,
    )


def _letter(cluster: int) -> str:
    """A, B, ..., Z, AA, AB, ..."""
    text = ""
    cluster += 1
    while cluster:
        cluster, rest = divmod(cluster - 1, 26)
        text = chr(65 + rest) + text
    return text


def _paired(result: Result, other: Result) -> tuple[str, str, str]:
    active = np.asarray(result.net) - np.asarray(other.net)
    spread = float(active.std(ddof=1)) if len(active) > 1 else 0.0
    if spread == 0:
        return percent(0.0, 2), NOT_AVAILABLE, "the same returns"
    mean = float(active.mean())
    t = mean / spread * sqrt(len(active))
    words = "no clear difference" if abs(t) < 2 else "better" if t > 0 else "worse"
    return percent(mean * result.periods_per_year, 2, signed=True), number(t, 2, signed=True), words
