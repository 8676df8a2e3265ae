"""Run a recipe to the end, then again and again with a SIGKILL at a random moment, each time resumed to the end.

``python killed.py RECIPE FOLDER MOMENTS SEED`` prints what was found as JSON. A moment is a call of a Python function
while networks are fitted, so a seed gives the same moments on any machine. Every run is a forked child: the imports are
paid once, and a child computes alone.
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

import torch._dynamo  # noqa: F401  # the first optimizer would import it: a long time in which nothing is trained

import mnpu.training.fitting
import mnpu.training.resuming  # noqa: F401
from mnpu import pipeline
from mnpu.config import load_config
from mnpu.execute import execute
from mnpu.plugins.registry import Registry
from mnpu.progress import Silent
from mnpu.resuming import FITS
from mnpu.rundir import RunDirectory, list_runs

BEGIN, END = pipeline.fit_and_forecast.__code__, pipeline.decisions.__code__
STARTED = re.compile(rb'"started_at": "[^"]*"|\| Started \|[^\n]*')


class Counting:
    """Counts calls while networks are fitted; ends the process without a word at one of them."""

    def __init__(self, last: int | None = None) -> None:
        self.calls, self.last, self.counts = 0, last, False

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event != "call":
            return
        if frame.f_code is END:
            sys.setprofile(None)
        self.counts = self.counts or frame.f_code is BEGIN
        self.calls += self.counts
        if self.calls == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


def child(work: Callable[[], int]) -> tuple[int, int]:
    """Do ``work`` in a child: the signal that ended it, and the number that it gave."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.write(writing, str(work()).encode())
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as told:
        number = told.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"a run failed with {os.WEXITSTATUS(status)}")
    return (os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0), int(number or 0)


def run(recipe: Path, runs: Path, *, last: int | None = None, resume: RunDirectory | None = None) -> int:
    """Run or resume; the number of calls that it took."""
    counting = Counting(last)
    sys.setprofile(counting if resume is None else None)
    execute(load_config(recipe), Registry.discover(), runs=runs, progress=Silent(), resume=resume)
    sys.setprofile(None)
    return counting.calls


def files(folder: Path) -> dict[str, str]:
    """Hashes of a run's files, but for what tells the time."""
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    return {
        name: hashlib.sha256(STARTED.sub(b"", content)).hexdigest()
        for name, content in found.items()
        if name not in ("run.json", "log.jsonl")
    }


def main(recipe: Path, folder: Path, moments: int, seed: int) -> dict[str, Any]:
    """What the whole run left, and for each moment: the state after the kill, and how the resumed run differs."""
    _, calls = child(lambda: run(recipe, folder / "whole"))
    [whole] = list_runs(folder / "whole")
    expected, rng, told = files(whole.path), random.Random(seed), []
    for _ in range(moments):
        moment = rng.randrange(1, calls)
        runs = folder / str(moment)
        ended, _ = child(lambda runs=runs, moment=moment: run(recipe, runs, last=moment))  # type: ignore[misc]
        [killed] = list_runs(runs)
        after = killed.status
        kept = sorted({path.name for path in (killed.path / FITS).rglob("*")})
        resolved = killed.path / "resolved.yaml"
        child(lambda resolved=resolved, runs=runs, killed=killed: run(resolved, runs, resume=killed))  # type: ignore[misc]
        found = files(killed.path)
        differ = [name for name in sorted({*expected, *found}) if expected.get(name) != found.get(name)]
        told.append(
            {
                "moment": moment,
                "signal": ended,
                "after_kill": after,
                "fits": kept,
                "status": killed.status,
                "differ": differ,
            }
        )
    return {"calls": calls, "files": sorted(expected), "runs": told}


if __name__ == "__main__":
    answer = main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    print(json.dumps(answer))
