"""Fixtures that every test may use."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings

from mnpu.types import DatasetInfo, Panel

# The same examples every time, on machines of any speed. To look for new ones: pytest --hypothesis-profile=default
settings.register_profile(
    "known", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("known")


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests keep goes into a folder of their own, and what others keep is not read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNPU_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def demo_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the bundled data, built once for all tests; use ``store_copy`` to change one."""
    from mnpu.data.build import init_store

    path = tmp_path_factory.mktemp("store") / "market.db"
    init_store(path)
    return path


@pytest.fixture
def mnpu(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[object, str, str]]:
    """Exit code, stdout and stderr of a command line."""
    from mnpu.cli import main

    def run(*args: object) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def demo_folder(demo_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same store as a folder of Parquet files; nobody may change it."""
    from mnpu.data.parquet import export_parquet
    from mnpu.data.store import Store

    return export_parquet(Store.open(demo_store), tmp_path_factory.mktemp("parquet") / "market").path


@pytest.fixture(scope="session", params=["sqlite", "parquet"])
def any_store(request: pytest.FixtureRequest, demo_store: Path) -> Path:
    """The store of the bundled data in every form that there is: what holds for one holds for all."""
    return demo_store if request.param == "sqlite" else request.getfixturevalue("demo_folder")


@pytest.fixture
def store_copy(demo_store: Path, tmp_path: Path) -> Path:
    """A store that a test may change."""
    return Path(shutil.copy(demo_store, tmp_path / "copy.db"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the extra reference data, which no package holds; set MNPU_SHARED_DATA where it lies elsewhere."""
    root = Path(os.environ.get("MNPU_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (root / "messy").is_dir():
        pytest.skip("the extra reference data is not here; set MNPU_SHARED_DATA to its folder")
    return root


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same in every run."""
    return np.random.default_rng(20240229)


@pytest.fixture(scope="session")
def make_panel() -> Callable[..., Panel]:
    """A panel of made-up prices: ``make_panel(close, times=..., open=...)``, all arrays (T, A)."""

    def make(
        close: np.ndarray, *, times: pd.DatetimeIndex | None = None, calendar: str = "XNYS", **fields: np.ndarray
    ) -> Panel:
        close = np.asarray(close, dtype="float64")
        n_times, n_assets = close.shape
        if times is None:
            days = pd.bdate_range("2015-01-05", periods=n_times).as_unit("ns")
            times = (days + pd.Timedelta(hours=16)).tz_localize("America/New_York").tz_convert("UTC")
        frequency = "1d" if calendar == "XNYS" else "1h"
        info = DatasetInfo("made_up", "nobody", frequency, "close", "none", "", calendar, "USD", "none")
        columns: Mapping[str, np.ndarray] = {"close": close, "split_factor": np.ones_like(close), **fields}
        return Panel(
            times=times,
            sessions=times.tz_convert("America/New_York").tz_localize(None).to_numpy().astype("datetime64[D]"),
            symbols=tuple(f"S{a}" for a in range(n_assets)),
            fields=columns,
            tradable=np.isfinite(close),
            datasets=(info,) * n_assets,
            frequency=frequency,
            calendar=calendar,
            periods_per_year=252.0,
        )

    return make
