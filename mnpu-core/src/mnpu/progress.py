"""What a long command says while it works: one line a stage, a live one on a terminal."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

__all__ = ["Progress", "Silent"]


@dataclass
class Progress:
    """Stages on standard error, each with the seconds it took, so that standard output stays for results."""

    stream: IO[str] = field(default_factory=lambda: sys.stderr)

    @property
    def live(self) -> bool:
        """Whether a person watches, so that bars may be drawn."""
        return self.stream.isatty()

    @contextmanager
    def stage(self, text: str, *, bar: bool = False) -> Iterator[None]:
        """Announce ``text``, and say how long the body took, here and in the run's log.

        On a terminal a spinner turns meanwhile, unless the body draws a ``bar`` of its own.
        """
        started = time.perf_counter()
        if self.live and not bar:
            from rich.console import Console

            with Console(file=self.stream).status(text):
                yield
        else:
            yield
        seconds = time.perf_counter() - started
        logging.getLogger("mnpu.progress").info("%s: %.2f s", text, seconds)
        self._line(text, seconds)

    @contextmanager
    def bar(self, total: float) -> Iterator[Callable[[float], None]]:
        """A bar of ``total`` steps on a terminal; yields what moves it on by a number of steps."""
        if not self.live:
            yield lambda steps: None
            return
        from rich.console import Console
        from rich.progress import Progress as Bars

        with Bars(console=Console(file=self.stream), transient=True) as bars:
            task = bars.add_task("", total=total)
            yield lambda steps: bars.update(task, advance=steps)

    def say(self, text: str) -> None:
        """One line without a clock."""
        print(text, file=self.stream, flush=True)

    def _line(self, text: str, seconds: float) -> None:
        print(f"{text:<66s} {seconds:6.1f} s", file=self.stream, flush=True)


@dataclass
class Silent(Progress):
    """Says nothing: for tests and for machines."""

    @property
    def live(self) -> bool:
        """Nobody watches."""
        return False

    def say(self, text: str) -> None:
        """Nothing."""

    def _line(self, text: str, seconds: float) -> None:
        """Nothing."""
