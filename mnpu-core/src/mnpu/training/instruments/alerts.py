"""Alerts: what is wrong with a fit, judged by thresholds on what the instruments read.

::

    readings of an epoch ─judge─▶ alerts ─▶ log, console, report; and log | stop | lower_lr

Each alert asks one question of one epoch's readings; an instrument that is not there leaves it unasked. An alert speaks
once a fit, when its condition first holds, so that a log is not flooded; ``lower_lr`` acts each time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mnpu.training.fitted import Epoch
from mnpu.training.instruments.api import Reading

__all__ = ["Alert", "AlertSettings", "Judge", "Rule"]


class Rule(Protocol):
    """One alert's block of a recipe."""

    @property
    def threshold(self) -> float:
        """Where it begins."""

    @property
    def action(self) -> str:
        """``log``, ``stop`` or ``lower_lr``."""


class AlertSettings(Protocol):
    """The ``train.alerts`` block of a recipe: a rule or None (off) for each alert, by its name."""

    @property
    def factor(self) -> float:
        """What ``lower_lr`` multiplies the learning rate by."""


@dataclass(frozen=True)
class Alert:
    """One thing that is wrong: ``value`` passed ``threshold`` in ``layer`` (empty for the whole)."""

    name: str
    value: float
    threshold: float
    action: str
    message: str
    layer: str = ""


@dataclass(frozen=True)
class _Found:
    value: float
    message: str
    layer: str = ""
    threshold: float | None = None  # where another one than the recipe's applies


class Judge:
    """Hold the readings of each epoch against the thresholds.

    Parameters
    ----------
    settings : AlertSettings
    """

    def __init__(self, settings: AlertSettings) -> None:
        self.settings = settings
        self._said: set[str] = set()
        self._miscalibrated = 0

    def judge(self, readings: Sequence[Reading], history: Sequence[Epoch]) -> list[Alert]:
        """The alerts of an epoch whose losses are the last ones of ``history``.

        An alert that has spoken before comes again only if its action is ``lower_lr``.
        """
        seen = {(r.name, r.layer): r.value for r in readings}
        found = []
        for name, question in _QUESTIONS.items():
            rule: Rule | None = getattr(self.settings, name)
            if rule is None:
                continue
            answer = question(seen, rule.threshold, history)
            if name == "miscalibration":
                # A network that has just begun is not calibrated: it must stay so for a look more. An epoch in which
                # nobody looked says neither.
                if ("coverage_gap", "") in seen:
                    self._miscalibrated = self._miscalibrated + 1 if answer else 0
                answer = answer if self._miscalibrated > 1 else None
            if answer is None or (name in self._said and rule.action != "lower_lr"):
                continue
            self._said.add(name)
            limit = rule.threshold if answer.threshold is None else answer.threshold
            found.append(Alert(name, answer.value, limit, rule.action, answer.message, answer.layer))
        return found

    def state(self) -> dict[str, Any]:
        """What it has said."""
        return {"said": sorted(self._said), "miscalibrated": self._miscalibrated}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self._said, self._miscalibrated = set(state["said"]), int(state["miscalibrated"])


_Seen = Mapping[tuple[str, str], float]


def _nan(seen: _Seen, threshold: float, history: Sequence[Epoch]) -> _Found | None:
    count = seen.get(("gradient_nan", ""), 0.0)
    layer = next((layer for (name, layer) in seen if name == "gradient_nan" and layer), "")
    if count > threshold:
        return _Found(count, f"the gradient was not finite in {count:.0f} of the steps looked at", layer)
    return None


def _exploding(seen: _Seen, threshold: float, history: Sequence[Epoch]) -> _Found | None:
    value = seen.get(("gradient_norm_max", ""), 0.0)
    layer = max(_layers(seen, "gradient_norm").items(), key=lambda pair: pair[1], default=("", 0.0))[0]
    if value > threshold:
        return _Found(value, f"the gradient's norm reached {value:.3g}, before clipping", layer)
    return None


def _vanishing(seen: _Seen, threshold: float, history: Sequence[Epoch]) -> _Found | None:
    layer, value = min(_layers(seen, "gradient_norm").items(), key=lambda pair: pair[1], default=("", math.inf))
    return _Found(value, f"the gradient's norm is {value:.3g}", layer) if value < threshold else None


def _noise(seen: _Seen, threshold: float, history: Sequence[Epoch]) -> _Found | None:
    value = seen.get(("noise_scale_batches", ""), 0.0)
    if value <= threshold:
        return None
    size = "cannot be told from noise" if math.isinf(value) else f"has a noise scale of {value:.3g} batches"
    return _Found(value, f"the gradient {size}: a larger batch would make better use of each step")


def _miscalibration(seen: _Seen, threshold: float, history: Sequence[Epoch]) -> _Found | None:
    value = seen.get(("coverage_gap", ""), 0.0)
    if value > threshold:
        return _Found(value, f"intervals miss their nominal coverage on validation windows by up to {value:.3f}")
    return None


def _collapse(seen: _Seen, threshold: float, history: Sequence[Epoch]) -> _Found | None:
    telemetry = history[-1].telemetry
    for name, value in telemetry.items():
        if value and name.rpartition(".")[2] == "collapsed":
            part = name.removesuffix("collapsed")
            use, below = telemetry.get(f"{part}use", value), telemetry.get(f"{part}collapse_below", 0.0)
            return _Found(float(use), "a part of the network is no longer used", name, float(below))
    spread = seen.get(("forecast_spread", ""), math.inf)
    if spread < threshold:
        return _Found(spread, "the forecast is the same whatever the network sees")
    return None


def _dead(seen: _Seen, threshold: float, history: Sequence[Epoch]) -> _Found | None:
    value = seen.get(("dead_units", ""), 0.0)
    layer = max(_layers(seen, "dead_units").items(), key=lambda pair: pair[1], default=("", 0.0))[0]
    return _Found(value, f"{value:.0%} of the units have no gradient", layer) if value > threshold else None


def _over_fitting(seen: _Seen, threshold: float, history: Sequence[Epoch]) -> _Found | None:
    best = min(history, key=lambda epoch: epoch.validation)
    gained, lost = history[0].train - history[-1].train, history[-1].validation - best.validation
    if gained <= 0 or best.train <= history[-1].train or lost <= threshold * gained:
        return None
    return _Found(
        lost / gained,
        f"since its best epoch the validation loss has lost {lost / gained:.0%} of what the training loss has gained",
    )


def _layers(seen: _Seen, name: str) -> dict[str, float]:
    return {layer: value for (n, layer), value in seen.items() if n == name and layer}


_QUESTIONS: Mapping[str, Callable[[_Seen, float, Sequence[Epoch]], _Found | None]] = {
    "nan": _nan,
    "exploding_gradients": _exploding,
    "vanishing_gradients": _vanishing,
    "noise_scale": _noise,
    "miscalibration": _miscalibration,
    "collapse": _collapse,
    "dead_units": _dead,
    "over_fitting": _over_fitting,
}
