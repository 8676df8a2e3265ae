"""The same, with the four packages really installed: ``pip install tests/faulty/packages/*`` comes first."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import distributions

import pytest

from tests.faulty.checks import BROKEN, CHECKS

NAMES = {*BROKEN, "mnpu-faulty-name"}
INSTALLED = NAMES & {dist.metadata["Name"] for dist in distributions()}

pytestmark = pytest.mark.skipif(
    INSTALLED != NAMES and "MNPU_FAULTY_INSTALLED" not in os.environ,
    reason=f"not installed: {', '.join(sorted(NAMES - INSTALLED))} (nox -s faulty installs them)",
)


def mnpu(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command line of this environment."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MNPU_")}
    return subprocess.run(
        [sys.executable, "-m", "mnpu", *args],
        env={**clean, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_command_line_survives(check):
    check(mnpu)
