"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def demo_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the bundled data, built once for all tests; copy it before changing it."""
    from mnpu.data.build import init_store

    path = tmp_path_factory.mktemp("store") / "market.db"
    init_store(path)
    return path


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same in every run."""
    return np.random.default_rng(20240229)
