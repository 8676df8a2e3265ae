"""Loggers: what they are told is what was trained, they change nothing, and one that fails costs nothing."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from mnpu.errors import PluginError
from mnpu.training import Callback, Checkpoints, Fitted, LoggedFit, logging_to
from mnpu.training.checkpoints import Every
from mnpu.training.loggers import Csv, Logger, MLflow, TensorBoard, WandB
from mnpu.training.loop import Loop
from tests.core.training_world import World, fit, make_world, settings

STEPS = 6


@pytest.fixture
def world(rng: np.random.Generator) -> World:
    return make_world(rng)


def train(world: World, folder: Path, **changed: object) -> Fitted:
    loggers = {"csv": Csv(every_steps=2)}
    callbacks = logging_to(loggers, LoggedFit("run-001", "linear", 0, folder, {"lr": 0.01}))
    options = {"callbacks": callbacks, "train": settings(epochs=3, max_steps_per_epoch=STEPS), **changed}
    return fit(world, **options)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "csv" / "log.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_csv_file_has_the_history_of_the_fit_and_the_steps_between(world: World, tmp_path: Path) -> None:
    fitted = train(world, tmp_path)
    found = rows(tmp_path)
    assert [int(row["step"]) for row in found] == [2, 4, 6, 8, 10, 12, 14, 16, 18]
    ends = [row for row in found if row["loss_validation"]]
    assert [float(row["loss_validation"]) for row in ends] == [epoch.validation for epoch in fitted.history]
    assert [float(row["loss_train"]) for row in ends] == [epoch.train for epoch in fitted.history]
    assert all(float(row["gradient_norm"]) > 0 and float(row["lr"]) == 5e-3 for row in found)


def test_who_logs_changes_no_bit(world: World, tmp_path: Path) -> None:
    alone, logged = train(world, tmp_path, callbacks=[]), train(world, tmp_path)
    mine, other = alone.network.state_dict(), logged.network.state_dict()
    assert all(torch.equal(mine[name], other[name]) for name in mine)


def test_a_log_goes_on_after_a_resumption_without_a_row_twice(world: World, tmp_path: Path) -> None:
    class Stop(Callback):
        def on_step(self, loop: Loop) -> None:
            if loop.step == 11:
                raise InterruptedError

    train(world, tmp_path / "whole")
    checkpoints = Checkpoints(tmp_path / "checkpoints", Every(1, "epoch"))
    logging = logging_to({"csv": Csv(every_steps=2)}, LoggedFit("run-001", "linear", 0, tmp_path / "stopped"))
    with pytest.raises(InterruptedError):
        train(world, tmp_path, callbacks=[*logging, Stop()], checkpoints=checkpoints)
    assert [int(row["step"]) for row in rows(tmp_path / "stopped")] == [2, 4, 6, 8, 10]
    train(world, tmp_path / "stopped", checkpoints=checkpoints)
    assert rows(tmp_path / "stopped") == rows(tmp_path / "whole")


def test_tensorboard_reads_back_what_was_logged(world: World, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs mnpu-core[tensorboard]")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    callbacks = logging_to({"tensorboard": TensorBoard()}, LoggedFit("run-001", "linear", 0, tmp_path))
    fitted = train(world, tmp_path, callbacks=callbacks)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    read = events.Scalars("loss_validation")
    assert [event.step for event in read] == [STEPS, 2 * STEPS, 3 * STEPS]
    assert [event.value for event in read] == pytest.approx([epoch.validation for epoch in fitted.history])


def test_mlflow_reads_back_what_was_logged(world: World, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs mnpu-core[mlflow]")
    place = f"sqlite:///{tmp_path}/mlflow.db"
    logger = MLflow(tracking_uri=place)
    fitted = train(
        world, tmp_path, callbacks=logging_to({"mlflow": logger}, LoggedFit("run-001", "linear", 0, tmp_path))
    )
    client = mlflow.MlflowClient(tracking_uri=place)
    [run] = client.search_runs([client.get_experiment_by_name("mnpu").experiment_id])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "run-001/linear/fold-1")
    read = client.get_metric_history(run.info.run_id, "loss_validation")
    assert [metric.value for metric in read] == [epoch.validation for epoch in fitted.history]


def test_wandb_writes_its_run_on_disk(world: World, tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="needs mnpu-core[wandb]")
    fit_of = LoggedFit("run-001", "linear", 0, tmp_path)
    train(world, tmp_path, callbacks=logging_to({"wandb": WandB(mode="offline")}, fit_of))
    assert list((tmp_path / "wandb").rglob("run-*.wandb"))


@pytest.mark.parametrize(("logger", "package"), [(TensorBoard, "tensorboard"), (WandB, "wandb"), (MLflow, "mlflow")])
def test_a_missing_package_is_named_before_anything_is_trained(
    logger: type, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(PluginError, match=rf'not installed. Run: pip install "mnpu-core\[{package}\]"') as refused:
        logger()
    assert refused.value.exit_code == 5


def test_a_logger_that_fails_is_muted_and_the_fit_goes_on(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Down(Logger):
        def __init__(self) -> None:
            self.calls = 0

        def log(self, values: Mapping[str, float], *, epoch: int, step: int) -> None:
            self.calls += 1
            raise ConnectionError("no network")

    down = Down()
    fitted = train(world, tmp_path, callbacks=logging_to({"down": down}, LoggedFit("r", "linear", 0, tmp_path)))
    assert len(fitted.history) == 3
    assert down.calls == 1
    assert "the logger down failed and is muted (ConnectionError: no network)" in caplog.text
