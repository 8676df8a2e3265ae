"""A run that is killed goes on where it was, and its result is that of a run which was never stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mnpu.errors import ConfigError

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

MOMENTS = 10


def mnpu(*arguments: str) -> int:
    """The exit code of a command."""
    from mnpu.cli import main

    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the children are forks")
def test_killed_at_ten_random_moments_and_resumed_every_run_has_the_same_bits(
    small_recipe: Path, tmp_path: Path
) -> None:
    watched = "instruments: [norms, calibration, {use: landscape, points: 5}]"  # throughput is never the same
    more = f"checkpoint_every: 4 steps, ema: 0.9, {watched}, loggers: [{{use: csv, every_steps: 2}}]"
    text = small_recipe.read_text(encoding="utf-8").replace("train: {", f"train: {{{more}, ")
    recipe = tmp_path / "killed.yaml"
    recipe.write_text(text, encoding="utf-8")
    script = Path(__file__).with_name("killed.py")
    command = [sys.executable, str(script), str(recipe), str(tmp_path / "runs"), str(MOMENTS), "5"]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    told = json.loads(answer.stdout.splitlines()[-1])
    assert len(told["runs"]) == MOMENTS
    for run in told["runs"]:
        assert run["after"] == "interrupted"
        assert run["files"] > 10
        assert run["differ"] == []
    kept = [run["kept"] for run in told["runs"]]
    assert max(kept) > min(kept)  # some early, some late
    assert told["ended"] == "finished"


def test_a_stopped_run_goes_on_by_the_command(
    small_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mnpu import pipeline
    from mnpu.rundir import list_runs

    def stop(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    runs = tmp_path / "runs"
    small = ["--set", "compare=[]", "--runs", str(runs)]
    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "judge", stop)
        assert mnpu("run", str(small_recipe), *small) == 130
    [stopped] = list_runs(runs)
    assert stopped.status == "failed"
    fits = sorted(path.name for path in (stopped.path / "fits" / "linear").iterdir())
    assert fits == ["fold-00", "fold-01"]
    assert mnpu("run", "--resume", stopped.run_id, "--runs", str(runs)) == 0
    [finished] = list_runs(runs)
    assert (finished.path, finished.status) == (stopped.path, "finished")
    assert not (finished.path / "fits").exists()
    assert finished.changed_files() == []
    assert mnpu("run", "--resume", stopped.run_id, "--runs", str(runs)) == ConfigError.exit_code
