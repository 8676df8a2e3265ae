"""A pytest plugin for an environment without torch: leaves out the test files that import it, and says which.

``pytest -p tests.house.without_torch tests/core``. It refuses to run where torch is installed.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

NEEDS_TORCH = re.compile(
    r"^\s*(?:from|import) "
    r"(?:torch|lightning|safetensors|mnpu\.nn|mnpu\.training|mnpu import training|\.training_world)\b",
    re.M,
)


def pytest_configure(config: pytest.Config) -> None:
    if find_spec("torch") is not None:
        raise pytest.UsageError("torch is installed here, so nothing would be proven")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    return True if _needs_torch(collection_path) else None


def _needs_torch(path: Path) -> bool:
    return path.suffix == ".py" and NEEDS_TORCH.search(path.read_text(encoding="utf-8")) is not None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    kept = [item for item in items if item.get_closest_marker("torch") is None]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    # Looked up anew: what collects may be other processes.
    asked = [config.invocation_params.dir / arg for arg in config.args]
    found = sorted(path.name for folder in asked for path in folder.rglob("*.py") if _needs_torch(path))
    if found:
        terminalreporter.write_line(f"left out, because they import torch: {', '.join(found)}")
