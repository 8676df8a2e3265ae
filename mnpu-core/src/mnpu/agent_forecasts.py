"""Where an agent's forecasts come from: the network whose turn it is, and a calibration that follows its outcomes.

Where the recipe calibrates at each decision, every network of the agent has a follower from the bar on at which its
calibration range begins, whether or not it may decide yet: the run's forecasts had one too. A new agent brings its
followers through the history, as the run was brought through its data; after that a bar costs the same however many
came before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mnpu.assembly import Parts
from mnpu.data.targets.by_fold import labels_as_learnt
from mnpu.data.targets.so_far import labels_so_far, lookback_of
from mnpu.errors import DataError
from mnpu.types import FeatureFrame, Forecast, Labels, Panel

if TYPE_CHECKING:
    from mnpu.training import Fitted, Follower, Outcomes

__all__ = ["FoldModel", "Forecasts", "forecasts_of"]

FOREVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class FoldModel:
    """A fitted network and the first decision that it may make."""

    since: pd.Timestamp
    fitted: Fitted


def forecasts_of(parts: Parts, models: Sequence[FoldModel], history: Panel) -> Forecasts:
    """The forecasts of an agent that begins after ``history``.

    Raises
    ------
    ConfigError
        The recipe calibrates at each decision, and its labels cannot be computed as bars arrive.
    DataError
        It calibrates so, and the history begins after what the calibration follows, or the bundles do not say when,
        or what their labels took from the training range.
    """
    calibration = parts.config.model.calibration
    adaptive = calibration is not None and calibration.use == "adaptive"
    return Following(parts, models, history) if adaptive else Forecasts(parts, models)


class Forecasts:
    """One row after the other, each by the newest network that may decide.

    Attributes
    ----------
    rows : int
        Feature rows at the end of the history that `past` takes.
    window : int
        Feature rows that `newest` takes.
    bars : int
        Bars that `newest` takes.
    """

    def __init__(self, parts: Parts, models: Sequence[FoldModel]) -> None:
        self._models, self._before = models, parts.strategies[0].policy.lookback - 1
        self.window = parts.config.model.lookback + self._before + 1
        self.rows, self.bars = self.window, 1

    def past(self, frame: FeatureFrame, history: Panel) -> list[Forecast]:
        """Forecasts of the history's last rows, which the policy looks back over."""
        stop = len(frame.times)
        return [self._by_turn(frame, t) for t in range(stop - self._before, stop)]

    def newest(self, frame: FeatureFrame, bars: Panel) -> Forecast:
        """The forecast of the last row of ``frame``, when ``bars`` are the newest."""
        return self._by_turn(frame, len(frame.times) - 1)

    def _by_turn(self, frame: FeatureFrame, t: int) -> Forecast:
        due = [model.fitted for model in self._models if model.since <= frame.times[t]]
        return _said(due[-1], frame, t) if due else self._nobody(frame, t)

    def _nobody(self, frame: FeatureFrame, t: int) -> Forecast:
        """Before the first test range no network may decide; what a later one calls a class is not known either."""
        from mnpu import training  # torch lives only here

        fitted = self._models[0].fitted
        made = training.forecast(fitted, _columns(fitted, frame), rows=(t, t)).rows(t, t + 1)
        return replace(made.final, thresholds=None)


class Following(Forecasts):
    """Forecasts that are calibrated at each decision, from the outcomes that are known by then.

    Parameters
    ----------
    parts, models
        As of the agent.
    history : Panel
        From the first bar on that the calibration ranges of the networks in use need.
    """

    def __init__(self, parts: Parts, models: Sequence[FoldModel], history: Panel) -> None:
        super().__init__(parts, models)
        self._target, self._fill = parts.target, parts.config.fill
        self._lookback = lookback_of(parts.target, parts.config.target.use)
        self._ahead = int(models[-1].fitted.horizons[-1]) + 1  # the fill is one bar after the decision
        self.bars = self._lookback + self._ahead + 1
        made_at = history.instants
        oldest = int(made_at[-self._before]) if self._before else int(made_at[-1]) + 1
        self._followed = [one for one in _followed(parts, models) if one.until > oldest]
        _refuse_unlearnt(parts, models)
        self.rows = max(self.window, self._first_rows(parts, history))

    def past(self, frame: FeatureFrame, history: Panel) -> list[Forecast]:
        """Forecasts of the history's last rows; every follower is brought through the history for it."""
        from mnpu import training  # torch lives only here

        stop, made_at = len(frame.times), frame.times.as_unit("ns").asi8
        labels = self._labels(history)
        wanted = range(stop - self._before, stop)
        forecasts: dict[int, Forecast] = {}
        for one in self._followed:
            start, outcomes = int(np.searchsorted(made_at, one.begins)), self._outcomes(one, labels, history)
            said = training.forecast(one.fitted, _columns(one.fitted, frame), rows=(start, stop))
            for t in range(start, stop):
                quantiles = one.follower.decide(int(made_at[t]), said.quantiles[t], outcomes)
                if t in wanted and one.since <= made_at[t] < one.until:
                    forecasts[t] = replace(said.rows(t, t + 1).final, quantiles=quantiles[None])
        return [forecasts[t] if t in forecasts else self._nobody(frame, t) for t in wanted]

    def newest(self, frame: FeatureFrame, bars: Panel) -> Forecast:
        """The forecast of the last row; every follower learns what has ended by it."""
        t, now = len(frame.times) - 1, int(bars.instants[-1])
        self._followed = [one for one in self._followed if now < one.until]
        begun = [one for one in self._followed if one.begins <= now]
        made = None
        labels = self._labels(bars) if begun else None
        for one in begun:
            assert labels is not None
            said = _said(one.fitted, frame, t)
            quantiles = one.follower.decide(now, said.quantiles[0], self._outcomes(one, labels, bars))
            if one.since <= now:
                made = replace(said, quantiles=quantiles[None])
        return self._nobody(frame, t) if made is None else made

    def _labels(self, bars: Panel) -> Labels:
        """The labels of ``bars``, as far as they have ended at the last, before any fold has learnt."""
        return labels_so_far(self._target, bars, self._fill, ahead=self._ahead)

    def _outcomes(self, one: _Followed, labels: Labels, bars: Panel) -> Outcomes:
        """What came of the decisions at ``bars`` by one network's labels; the first only serve the look-back."""
        from mnpu import training  # torch lives only here

        own = labels_as_learnt(self._target, labels, one.fitted.labels_learnt)
        return training.Outcomes.of(own, bars.instants).rows(self._lookback, len(bars.instants))

    def _first_rows(self, parts: Parts, history: Panel) -> int:
        """Feature rows since the first window that a follower looks at."""
        made_at, lookback = history.instants, parts.config.model.lookback
        begun = [one.begins for one in self._followed if one.begins <= made_at[-1]]
        if not begun:
            return 0
        first = int(np.searchsorted(made_at, min(begun)))
        need = max(max(feature.spec.warmup for feature in parts.planned) + lookback, self._lookback)
        if first < need or made_at[first] != min(begun):
            raise DataError(
                f"the history begins with the bar at {history.times[0]}, {first} bars before what is followed",
                where="agent",
                expected=f"every bar since {need} bars before {np.datetime64(min(begun), 's')}, from where on adaptive "
                "calibration learns what came of each forecast",
                next_step="Pass more bars.",
            )
        return len(made_at) - first + lookback - 1


@dataclass(frozen=True)
class _Followed:
    """A network with its follower, the instants (ns) at which it begins and may decide, and when the next one may."""

    fitted: Fitted
    follower: Follower
    begins: int
    since: int
    until: int


def _followed(parts: Parts, models: Sequence[FoldModel]) -> list[_Followed]:
    from mnpu import training  # torch lives only here

    settings = parts.config.model.calibration
    assert settings is not None
    chosen, found = training.adaptive_settings(settings), []
    later = [*(_ns(model.since) for model in models[1:]), FOREVER]
    for model, until in zip(models, later, strict=True):
        fitted = model.fitted
        if fitted.follows_from is None:
            raise DataError(
                f"the bundle that decides since {model.since:%Y-%m-%d} does not say when its calibration begins",
                where="agent",
                expected="a bundle of this version",
                next_step="Run the recipe again.",
            )
        follower = training.Follower(fitted.levels, len(fitted.horizons), **chosen)
        found.append(_Followed(fitted, follower, _ns(fitted.follows_from), _ns(model.since), until))
    return found


def _refuse_unlearnt(parts: Parts, models: Sequence[FoldModel]) -> None:
    for model in models:
        if hasattr(parts.target, "as_learnt") and model.fitted.labels_learnt is None:
            raise DataError(
                f"the bundle that decides since {model.since:%Y-%m-%d} does not say what {parts.config.target.use} "
                "took from its training range",
                where="agent",
                expected="a bundle of this version, of a target that tells it in Labels.learnt",
                next_step="Run the recipe again.",
            )


def _ns(time: pd.Timestamp) -> int:
    return int(time.as_unit("ns").value)


def _columns(fitted: Fitted, frame: FeatureFrame) -> FeatureFrame:
    return frame.only([name for name in frame.names if name in fitted.names])


def _said(fitted: Fitted, frame: FeatureFrame, t: int) -> Forecast:
    """What a network says of row ``t`` alone."""
    from mnpu import training  # torch lives only here

    return training.forecast(fitted, _columns(fitted, frame), rows=(t, t + 1)).rows(t, t + 1).final
