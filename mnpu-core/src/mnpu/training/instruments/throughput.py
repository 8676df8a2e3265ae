"""How fast training runs."""

from __future__ import annotations

import time
from collections.abc import Sequence

from mnpu.training.instruments.api import Instrument, Moment, Reading

__all__ = ["Throughput"]


class Throughput(Instrument):
    """Training windows a second, from the end of one epoch's measurements to the end of the next one's steps.

    Validation counts; what other instruments did after an epoch does not. It is the one instrument whose readings
    differ from run to run.
    """

    def __init__(self) -> None:
        self._since, self._steps = 0.0, 0

    def begin(self, moment: Moment) -> None:
        """Start the clock."""
        self._since, self._steps = time.perf_counter(), moment.step

    def epoch(self, moment: Moment) -> Sequence[Reading]:
        """Read the clock."""
        seconds = max(time.perf_counter() - self._since, 1e-9)
        steps, self._steps = moment.step - self._steps, moment.step
        windows = steps * moment.batch_size
        return (Reading("windows_per_second", windows / seconds), Reading("step_seconds", seconds / max(steps, 1)))

    def resume(self) -> None:
        """The next epoch begins now."""
        self._since = time.perf_counter()
