"""Whether a Sharpe ratio is more than luck, with what the answer rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from mnpu.types.measures import Metric

__all__ = ["Judgement", "TrialRow", "Verdict"]

Verdict = Literal["luck", "skill", "loss", "gates", "unknown"]

#: What is said beside a Sharpe ratio. Nothing that cannot be judged is told from luck.
_WORDS: Mapping[Verdict, str] = {
    "luck": "not distinguishable from luck",
    "unknown": "not distinguishable from luck",
    "skill": "distinguishable from luck",
    "loss": "loses more than luck explains",
    "gates": "says nothing: an honesty gate failed",
}


@dataclass(frozen=True)
class TrialRow:
    """One recipe that was tried at the same question.

    Attributes
    ----------
    recipe_id, run_id, name : str
        Of the last run of the recipe.
    started_at : Timestamp or None
    status : str
        As the run ended: ``finished``, ``failed``; ``interrupted`` or ``running`` where only its folder tells of it,
        ``unknown`` where a row of the ledger is lost.
    sharpe : float or None
        Annualised; None for a trial that has none, which counts all the same.
    cluster : int or None
        Trials of one number move together, and count as one; None where the returns are not there to compare.
    differs : str
        What it did otherwise than the run that is judged.
    own : bool
        Whether it is the run that is judged.
    """

    recipe_id: str
    run_id: str
    name: str
    started_at: pd.Timestamp | None
    status: str
    sharpe: float | None
    cluster: int | None
    differs: str
    own: bool = False


@dataclass(frozen=True)
class Judgement:
    """Whether the Sharpe ratio of a run can be told from luck, after all that was tried.

    Attributes
    ----------
    verdict : str
        ``skill`` where the deflated ratio reaches 95 % and every honesty gate passed, ``loss`` where that of the
        mirrored strategy does, ``luck`` elsewhere; ``gates`` where one failed, ``unknown`` where it cannot be judged.
    n_trials, n_trials_eff : int
        Recipes tried, this one among them, and how many independent ones they amount to.
    compared : int
        Trials whose returns could be compared for that; the others count as independent.
    sharpe_luck : float or None
        Annualised ratio that the best of so many worthless trials is expected to have.
    sharpe_spread : float or None
        Annualised standard deviation of the ratios of the trials, by clusters.
    psr, dsr, min_trl_dsr, pbo : Metric
        Probability of a ratio above 0; above that of the best by luck; bars to show the latter at 95 %; probability
        that the best of the tried strategies is no better than their median. Where the ratio of a trial is lost, the
        best by luck is not known: neither are the second, the third, ``sharpe_luck`` and ``sharpe_spread``.
    dsr_of : mapping of str to Metric
        The deflated ratio of each strategy of the run, the judged one first.
    n_strategies : int
        Different strategies on these very decisions, which ``pbo`` chooses among.
    logits : float64 ndarray (C,) or None
        Of the best of one half of the bars in the other, for every half, where there is a ``pbo``.
    interval : (float, float) or None
        Annualised ends of the 95 % interval of the stationary bootstrap.
    trials : tuple of TrialRow
        The oldest first.
    notes : tuple of str
        What could not be read.
    """

    verdict: Verdict
    n_trials: int
    n_trials_eff: int
    compared: int
    sharpe_luck: float | None
    sharpe_spread: float | None
    psr: Metric
    dsr: Metric
    min_trl_dsr: Metric
    pbo: Metric
    dsr_of: Mapping[str, Metric] = field(default_factory=dict)
    n_strategies: int = 0
    logits: np.ndarray | None = None
    interval: tuple[float, float] | None = None
    trials: tuple[TrialRow, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What is said beside the Sharpe ratio."""
        return _WORDS[self.verdict]

    @property
    def told(self) -> str:
        """The words with the numbers that they rest on, in one line."""
        if self.dsr.value is None:
            return f"{self.words} ({self.dsr.reason})"
        trials = "1 trial" if self.n_trials == 1 else f"{self.n_trials} trials"
        if self.n_trials_eff < self.n_trials:
            trials += f", as good as {self.n_trials_eff}"
        pbo = f"PBO {self.pbo.value:.1%}" if self.pbo.value is not None else f"PBO {self.pbo.reason}"
        return f"{self.words} (DSR {self.dsr.value:.1%} after {trials}, 95% is wanted; {pbo})"

    @property
    def beyond_luck(self) -> bool:
        """Whether the ratio can be told from luck, for better."""
        return self.verdict == "skill"
