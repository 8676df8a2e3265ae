"""A folder of pretended installations, for tests about plugins."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest


class Site:
    """Distributions laid out as pip leaves them: the modules, and a ``.dist-info`` with metadata and entry points."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(
        self, dist: str, plugin: str, *, version: str = "0.0.1", entry: str = "", value: str = "", **modules: str
    ) -> Site:
        """Install ``dist``, whose plugin module has the source ``plugin``; ``modules`` are further ones."""
        name = dist.replace("-", "_")
        module = f"{name}_plugin"
        for stem, source in {module: plugin, **modules}.items():
            (self.path / f"{stem}.py").write_text(dedent(source), encoding="utf-8")
        info = self.path / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n\nA test.\n")
        (info / "entry_points.txt").write_text(f"[mnpu.plugins]\n{entry or dist} = {value or module}\n")
        return self

    def mnpu(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the command line with these distributions installed beside the real ones."""
        return self.python("-m", "mnpu", *args, **env)

    def python(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run Python with these distributions installed beside the real ones."""
        paths = os.pathsep.join([str(self.path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        clean = {key: value for key, value in os.environ.items() if not key.startswith("MNPU_") or key == "MNPU_CACHE"}
        return subprocess.run(
            [sys.executable, *args],
            env={**clean, "PYTHONPATH": paths, **env},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty folder of installations, importable in this process too until the test ends."""
    folder = tmp_path / "site"
    folder.mkdir()
    for switch in ("MNPU_PLUGINS", "MNPU_DISABLE_PLUGINS", "MNPU_STRICT_PLUGINS", "MNPU_TRACEBACK"):
        monkeypatch.delenv(switch, raising=False)
    monkeypatch.syspath_prepend(str(folder))
    yield Site(folder)
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]
