"""Train a recipe, then again and again with a SIGKILL at a random moment, and go on from there each time.

``python killed.py RECIPE FOLDER MOMENTS SEED`` prints what was found as JSON: the fits of every resumed run beside
those of a run that was let alone, and for the last moment all that the finished run wrote. A moment is a call of a
Python function while networks are fitted, so a seed gives the same moments on any machine. Every run is a forked
child: the imports are paid once, and a child computes alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

# What would be imported while networks are fitted: a long time in which nothing is trained.
import numba.core.registry  # noqa: F401
import scipy.stats  # noqa: F401
import torch._dynamo  # noqa: F401

import mnpu.training.fitting
import mnpu.training.resuming  # noqa: F401
from mnpu import pipeline
from mnpu.config import load_config
from mnpu.execute import execute
from mnpu.folds import FITS
from mnpu.plugins.registry import Registry
from mnpu.progress import Silent
from mnpu.rundir import RunDirectory, list_runs

BEGIN, END = pipeline.fit_and_forecast_paths.__code__, pipeline.decisions.__code__
#: When a run was begun, and the hashes of files that say so.
STARTED = re.compile(rb'"started_at": "[^"]*"|\| [Ss]tarted \|[^\n]*|"(MODEL_CARD.md|origin.json|self)": "[^"]*"')


class Counting:
    """Counts calls while networks are fitted; ends the process without a word at one of them.

    ``leave`` ends it when the last network is fitted, too.
    """

    def __init__(self, last: int | None, *, leave: Callable[[int], None] | None) -> None:
        self.calls, self.last, self.leave, self.counts = 0, last, leave, False

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event != "call":
            return
        if frame.f_code is END:
            sys.setprofile(None)
            if self.leave is not None:
                self.leave(self.calls)
        self.counts = self.counts or frame.f_code is BEGIN
        self.calls += self.counts
        if self.calls == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


def child(recipe: Path, runs: Path, *, last: int | None = None, resume: Path | None = None, whole: bool = False) -> int:
    """Run or resume in a child, to the last fit or the ``whole`` run; the calls of all fits, 0 if it was killed."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:

        def leave(calls: int) -> None:
            os.write(writing, str(calls).encode())
            os._exit(0)

        try:
            sys.setprofile(Counting(last, leave=None if whole else leave))
            directory = None if resume is None else RunDirectory(resume)
            loaded = load_config(recipe if resume is None else resume / "resolved.yaml")
            execute(loaded, Registry.discover(), runs=runs, progress=Silent(), resume=directory)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as told:
        number = told.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"a run failed with {os.WEXITSTATUS(status)}")
    return int(number or 0)


def files(folder: Path) -> dict[str, str]:
    """Hashes of a run's files, but for what tells the time."""
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    return {
        name: hashlib.sha256(STARTED.sub(b"", content)).hexdigest()
        for name, content in found.items()
        if name not in ("run.json", "log.jsonl")
    }


def main(recipe: Path, folder: Path, moments: int, seed: int) -> dict[str, Any]:
    """For each moment: the state after the kill, what was kept then, and in which files the resumed run differs."""
    child(recipe, folder / "first")  # puts the features into the cache, so that all others do the same work
    calls = child(recipe, folder / "alone")
    child(recipe, folder / "whole", whole=True)
    [alone], [whole] = list_runs(folder / "alone"), list_runs(folder / "whole")
    rng, told = random.Random(seed), []
    for number in range(moments):
        moment, last = rng.randrange(1, calls), number == moments - 1
        child(recipe, folder / str(number), last=moment)
        [killed] = list_runs(folder / str(number))
        after, kept = killed.status, len(files(killed.path / FITS))
        child(recipe, folder / str(number), resume=killed.path, whole=last)
        expected, found = (files(run.path if last else run.path / FITS) for run in (whole if last else alone, killed))
        differ = [name for name in sorted({*expected, *found}) if expected.get(name) != found.get(name)]
        told.append({"moment": moment, "after": after, "kept": kept, "files": len(expected), "differ": differ})
    return {"calls": calls, "runs": told, "ended": killed.status}


if __name__ == "__main__":
    answer = main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    print(json.dumps(answer))
