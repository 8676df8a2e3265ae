"""Tree-structured Parzen estimators, by optuna (``mnpu-core[search]``).

Source: Bergstra et al. (2011), "Algorithms for hyper-parameter optimization".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mnpu.errors import PluginError
from mnpu.sweep.definition import Axis
from mnpu.sweep.search import Proposal

__all__ = ["Tpe"]


class Tpe:
    """Places where the trials that did well are dense, and the others are not.

    Trials of one batch count as bad for one another until they are told, so that they lie apart.

    Parameters
    ----------
    axes : mapping of str to Axis
    trials : int
    batch, seed : int

    Raises
    ------
    PluginError
        optuna is not installed.
    """

    def __init__(self, axes: Mapping[str, Axis], trials: int, *, batch: int, seed: int) -> None:
        try:
            import optuna
        except ImportError:
            raise PluginError(
                "a search by tpe needs optuna, which is not installed",
                next_step='Run: pip install "mnpu-core[search]". random and asha need nothing more.',
            ) from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._left, self._batch = trials, batch
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._axes = {name: _distribution(axis) for name, axis in axes.items()}
        self._failed = optuna.trial.TrialState.FAIL
        self._asked: list[Any] = []

    def ask(self) -> list[Proposal]:
        """The next batch."""
        count = min(self._batch, self._left)
        self._left -= count
        self._asked = [self._study.ask(self._axes) for _ in range(count)]
        return [Proposal(dict(trial.params)) for trial in self._asked]

    def tell(self, scores: Sequence[tuple[Proposal, float | None]]) -> None:
        """What became of the batch, in its order."""
        for trial, (_, score) in zip(self._asked, scores, strict=True):
            if score is None or score != score:
                self._study.tell(trial, state=self._failed)
            else:
                self._study.tell(trial, score)


def _distribution(axis: Axis) -> Any:
    from optuna import distributions

    if axis.low is None or axis.high is None:
        return distributions.CategoricalDistribution(list(range(len(axis.cases or axis.values or ()))))
    if axis.integer:
        return distributions.IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return distributions.FloatDistribution(axis.low, axis.high, log=axis.log)
