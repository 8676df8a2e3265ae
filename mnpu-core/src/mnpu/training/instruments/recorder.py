"""Let instruments look at a fit, keep what they say, and act on alerts.

Losses, the learning rate and what the backbone reports on itself (the load of its experts) are always recorded. A
recorder belongs to one fit: each member of an ensemble has its own. It only watches, unless an alert's action says
otherwise: the bits of the training are the same with it and without it.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mnpu.training.callbacks import Callback
from mnpu.training.instruments.alerts import Alert, AlertSettings, Judge
from mnpu.training.instruments.api import Instrument, Moment, Reading, Surface
from mnpu.types.training import TrainingRecord

if TYPE_CHECKING:
    from torch import Tensor

    from mnpu.training.loop import Loop

__all__ = ["Recorder"]

log = logging.getLogger("mnpu.training")


class Recorder(Callback):
    """What the instruments of one fit read, and the alerts that followed.

    Parameters
    ----------
    instruments : mapping of str to Instrument
        By name; each is this recorder's own.
    alerts : AlertSettings or None
    strategy : str
        Name of the forecaster.
    fold : int
        Number of the fold.
    member : int
        Number in the ensemble, 0 without one. What it recorded is kept by its ``name``, which tells members apart.
    seed : int
        Of the random numbers that instruments draw.

    Notes
    -----
    Where several processes train one network, no process has the whole gradient or all windows: the instruments are
    left out then, and losses, learning rate and telemetry recorded.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        *,
        alerts: AlertSettings | None = None,
        strategy: str = "",
        fold: int = 0,
        member: int = 0,
        seed: int = 0,
    ) -> None:
        self.name = f"instruments-{member:02d}" if member else "instruments"
        self.instruments, self.strategy, self.fold, self.member = dict(instruments), strategy, fold, member
        self.seed = seed
        self.factor = 1.0 if alerts is None else alerts.factor
        self.judge = None if alerts is None else Judge(alerts)
        self._rows: list[tuple[Any, ...]] = []
        self._surfaces: list[tuple[Any, ...]] = []
        self._alerts: list[tuple[Any, ...]] = []
        self._restored: dict[str, dict[str, list[float]]] = {}

    def record(self) -> TrainingRecord:
        """Everything so far."""
        named = [
            [(self.strategy, self.fold, *row) for row in rows] for rows in (self._rows, self._surfaces, self._alerts)
        ]
        return TrainingRecord.of(*named)

    def on_fit_start(self, loop: Loop) -> None:
        """Tell every instrument what it will look at."""
        self._moment = Moment(
            network=loop.network,
            training=loop.training.windows,
            validation=loop.validation.windows,
            batch_size=loop.training.of_step,
            steps_per_epoch=loop.training.steps,
            seed=self.seed,
            epoch=loop.epoch,
            step=loop.step,
        )
        if loop.backend.world > 1:
            self.instruments = {}
        for instrument in self.instruments.values():
            instrument.begin(self._moment)
        for name, state in self._restored.items():
            if name in self.instruments:
                self.instruments[name].restore(state)
        self._restored = {}
        self._steppers = [i for i in self.instruments.values() if i.every_step]

    def on_gradients(self, loop: Loop) -> None:
        """Let those look at the gradient whose turn it is."""
        for instrument in self._steppers:
            if loop.step % instrument.every_step == 0:
                self._moment.step = loop.step + 1
                instrument.before_update(self._moment)

    def on_step(self, loop: Loop) -> None:
        """Let the same look at the weights."""
        for instrument in self._steppers:
            if (loop.step - 1) % instrument.every_step == 0:
                self._moment.step = loop.step
                instrument.after_update(self._moment)

    def on_validation(self, loop: Loop, first: int, summaries: Tensor) -> None:
        """Let instruments have what the loop has computed."""
        moment = self._moment
        moment.epoch, moment.step = len(loop.history) + 1, loop.step
        for instrument in self.instruments.values():
            instrument.validated(moment, first, summaries)

    def on_epoch(self, loop: Loop) -> None:
        """Read every instrument, judge the readings, act."""
        moment, epoch = self._moment, loop.history[-1]
        moment.epoch, moment.step = len(loop.history), loop.step
        readings = [
            Reading("loss_train", epoch.train),
            Reading("loss_validation", epoch.validation),
            Reading("lr", loop.lr),
            *(Reading("telemetry", float(value), name) for name, value in epoch.telemetry.items()),
        ]
        for instrument in self.instruments.values():
            readings += instrument.epoch(moment)
        self._keep(readings, moment)
        if self.judge is not None:
            for alert in self.judge.judge(readings, loop.history):
                self._act(alert, loop)
        for instrument in self.instruments.values():
            instrument.resume()

    def on_fit_end(self, loop: Loop) -> None:
        """Let instruments look at the best weights; those of the last epoch are put back."""
        if not self.instruments:
            return
        moment = self._moment
        last = copy.deepcopy(loop.network.state_dict())
        loop.network.load_state_dict(loop.best)
        try:
            said = [s for instrument in self.instruments.values() for s in instrument.end(moment)]
        finally:
            loop.network.load_state_dict(last)
        moment.epoch = 0
        self._keep([s for s in said if isinstance(s, Reading)], moment)
        for surface in (s for s in said if isinstance(s, Surface)):
            self._surfaces += [
                (self.member, surface.kind, a, b, surface.losses[i][j])
                for i, a in enumerate(surface.a)
                for j, b in enumerate(surface.b)
            ]

    def on_error(self, loop: Loop, error: BaseException) -> None:
        """Say where the gradient stopped being finite, if that is what has happened."""
        if self.judge is None or not isinstance(error, Exception) or not loop.history:
            return
        moment = self._moment
        moment.epoch, moment.step = len(loop.history), loop.step
        readings = [r for i in self._steppers for r in i.epoch(moment) if r.name == "gradient_nan"]
        for alert in self.judge.judge(readings, loop.history):
            self._say(alert, loop.where)

    def state(self) -> Mapping[str, Any]:
        """All of it, for a checkpoint."""
        return {
            "rows": _plain(self._rows),
            "surfaces": _plain(self._surfaces),
            "alerts": _plain(self._alerts),
            "judge": {} if self.judge is None else self.judge.state(),
            "instruments": {name: _plain(instrument.state()) for name, instrument in self.instruments.items()},
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._rows = [(*row[:5], float(row[5])) for row in state["rows"]]
        self._surfaces = [(*row[:2], *map(float, row[2:])) for row in state["surfaces"]]
        self._alerts = [(*row[:5], float(row[5]), float(row[6]), *row[7:]) for row in state["alerts"]]
        if self.judge is not None and state["judge"]:
            self.judge.load_state(state["judge"])
        self._restored = dict(state["instruments"])

    def _keep(self, readings: Sequence[Reading], moment: Moment) -> None:
        self._rows += [(self.member, moment.epoch, moment.step, r.name, r.layer, float(r.value)) for r in readings]

    def _act(self, alert: Alert, loop: Loop) -> None:
        moment = self._moment
        self._alerts.append(
            (
                self.member,
                moment.epoch,
                moment.step,
                alert.name,
                alert.layer,
                float(alert.value),
                float(alert.threshold),
                alert.action,
                alert.message,
            )
        )
        self._say(alert, loop.where)
        if alert.action == "stop":
            loop.stop(f"alert {alert.name}: {alert.message}")
        elif alert.action == "lower_lr":
            loop.lower_lr(self.factor)

    def _say(self, alert: Alert, where: str) -> None:
        moment = self._moment
        facts = {
            "alert": alert.name,
            "strategy": self.strategy,
            "fold": self.fold,
            "member": self.member,
            "epoch": moment.epoch,
            "step": moment.step,
            "layer": alert.layer,
            "value": float(alert.value),
            "threshold": float(alert.threshold),
            "action": alert.action,
        }
        at = f" in {alert.layer}" if alert.layer else ""
        log.warning("%s, epoch %d: %s%s", where, moment.epoch, alert.message, at, extra={"facts": facts})


def _plain(cell: Any) -> Any:
    """JSON has no infinity: such a number is text until it is read."""
    if isinstance(cell, Mapping):
        return {name: _plain(value) for name, value in cell.items()}
    if isinstance(cell, (list, tuple)):
        return [_plain(value) for value in cell]
    return str(cell) if isinstance(cell, float) and not math.isfinite(cell) else cell
