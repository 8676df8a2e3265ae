"""Loggers: what they are told is what was trained, they change nothing, and one that fails costs nothing."""

from __future__ import annotations

import csv
import json
import random
import struct
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


def both(logger: Logger, folder: Path) -> list[Callback]:
    """The logger and a CSV file, told of the same fit."""
    told = LoggedFit("run-001", "linear", 0, folder, {"lr": 0.01, "pretrain": None})
    return list(logging_to({"csv": Csv(every_steps=2), "other": logger}, told))


def test_mlflow_reads_back_what_the_csv_file_says(world: World, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs mnpu-core[mlflow]")
    place = f"sqlite:///{tmp_path}/mlflow.db"
    train(world, tmp_path, callbacks=both(MLflow(tracking_uri=place, every_steps=2), tmp_path))
    client = mlflow.MlflowClient(tracking_uri=place)
    [run] = client.search_runs([client.get_experiment_by_name("mnpu").experiment_id])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "run-001/linear/fold-1")
    assert run.data.params == {"lr": "0.01", "pretrain": "None"}
    for name in ("loss_train", "loss_validation", "lr", "gradient_norm"):
        read = [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, name)]
        assert read == [(int(row["step"]), float(row[name])) for row in rows(tmp_path) if row[name]]


def test_mlflow_goes_on_with_its_run_and_says_that_a_fit_failed(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs mnpu-core[mlflow]")
    place = f"sqlite:///{tmp_path}/mlflow.db"
    client = mlflow.MlflowClient(tracking_uri=place)
    for step, failed in ((0, True), (4, False)):
        logger = MLflow(tracking_uri=place)
        logger.open(LoggedFit("run-001", "linear", 0, tmp_path, {"lr": 0.01}, step))
        logger.log({"loss_train": 1.0}, epoch=1, step=step + 2)
        logger.close(failed=failed)
        [run] = client.search_runs([client.get_experiment_by_name("mnpu").experiment_id])
        assert run.info.status == ("FAILED" if failed else "FINISHED")
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "loss_train")] == [2, 6]


def wandb_rows(folder: Path) -> list[dict[str, float]]:
    """The history of the one offline run in ``folder``: records in frames of LevelDB's log format, blocks of 32 KiB."""
    import wandb
    from wandb.proto import wandb_internal_pb2

    wandb.teardown()  # its process may still be writing
    [path] = folder.rglob("run-*.wandb")
    content, place, whole, found = path.read_bytes(), 7, b"", []
    while place + 7 <= len(content):
        if 2**15 - place % 2**15 < 7:  # the rest of a block that holds no header
            place += 2**15 - place % 2**15
            continue
        length, kind = struct.unpack_from("<HB", content, place + 4)
        whole += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or its last part
            record, whole = wandb_internal_pb2.Record.FromString(whole), b""
            if record.WhichOneof("record_type") == "history":
                items = {i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in record.history.item}
                found.append({**items, "step": items["_step"]})
    return found


def test_wandb_offline_holds_what_the_csv_file_says(world: World, tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="needs mnpu-core[wandb]")
    train(world, tmp_path, callbacks=both(WandB(mode="offline", every_steps=2), tmp_path))
    read, written = wandb_rows(tmp_path / "other"), rows(tmp_path)
    names = ("epoch", "step", "loss_train", "loss_validation", "lr", "gradient_norm")
    assert [{n: row[n] for n in names if n in row} for row in read] == [
        {n: float(row[n]) for n in names if row[n]} for row in written
    ]


def test_wandb_leaves_a_run_alone_that_is_open_already(tmp_path: Path) -> None:
    wandb = pytest.importorskip("wandb", reason="needs mnpu-core[wandb]")
    own = wandb.init(mode="offline", project="mine", dir=str(tmp_path))
    logger = WandB(mode="offline")
    logger.open(LoggedFit("run-001", "linear", 0, tmp_path / "fit"))
    logger.log({"loss_train": 1.0}, epoch=1, step=6)
    logger.close(failed=False)
    own.log({"mine": 2.0})
    own.finish()
    assert [row["step"] for row in wandb_rows(tmp_path / "fit")] == [6]
    assert [row["mine"] for row in wandb_rows(tmp_path / "wandb")] == [2.0]


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


def test_the_slim_mlflow_without_a_store_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from mnpu.training import loggers

    monkeypatch.setattr(loggers, "find_spec", lambda name: None if name == "sqlalchemy" else object())
    with pytest.raises(PluginError, match=r"the logger mlflow needs sqlalchemy, .* pip install \"mnpu-core\[mlflow\]"):
        MLflow()


class Told(Logger):
    """Keeps what it is told, and raises where it is asked to."""

    every_steps = 2

    def __init__(self, raises: str = "", at: int = 1) -> None:
        self.calls: list[str] = []
        self.steps: list[int] = []
        self._raises, self._at = raises, at

    def _hear(self, what: str) -> None:
        self.calls.append(what)
        if what.startswith(self._raises or "-") and self.calls.count(what) == self._at:
            raise ConnectionError("no network")

    def open(self, fit: LoggedFit) -> None:
        self._hear("open")

    def log(self, values: Mapping[str, float], *, epoch: int, step: int) -> None:
        self.steps.append(step)
        self._hear("log")

    def close(self, *, failed: bool) -> None:
        self._hear("failed" if failed else "close")


def told(world: World, folder: Path, logger: Told, *others: Callback) -> Told:
    callbacks = logging_to({"told": logger}, LoggedFit("r", "linear", 0, folder))
    train(world, folder, callbacks=[*others, *callbacks])
    return logger


def test_a_logger_is_told_rows_in_their_order_between_open_and_close(world: World, tmp_path: Path) -> None:
    logger = told(world, tmp_path, Told())
    assert logger.calls == ["open", *["log"] * 9, "close"]
    assert logger.steps == [2, 4, 6, 8, 10, 12, 14, 16, 18]


@pytest.mark.parametrize(
    ("raises", "at", "calls"),
    [
        ("open", 1, ["open"]),
        ("log", 3, ["open", "log", "log", "log", "failed"]),
        ("close", 1, ["open", *["log"] * 9, "close"]),
    ],
)
def test_a_logger_that_raises_is_named_once_and_closed_if_it_was_open(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture, raises: str, at: int, calls: list[str]
) -> None:
    assert told(world, tmp_path, Told(raises, at)).calls == calls
    assert caplog.text.count("the logger told failed and is muted (ConnectionError: no network)") == 1


def test_a_logger_is_closed_once_when_the_fit_fails_and_not_at_all_before_it_is_open(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Fails(Callback):
        def on_step(self, loop: Loop) -> None:
            if loop.step == 3:
                raise InterruptedError

    class NeverBegins(Callback):
        def on_fit_start(self, loop: Loop) -> None:
            raise InterruptedError

    for other, calls in ((Fails(), ["open", "log", "failed"]), (NeverBegins(), [])):
        logger = Told()
        with pytest.raises(InterruptedError):
            told(world, tmp_path, logger, other)
        assert logger.calls == calls
    assert "muted" not in caplog.text


def test_a_logger_that_draws_random_numbers_changes_no_bit(world: World, tmp_path: Path) -> None:
    class Draws(Told):
        def _hear(self, what: str) -> None:
            random.random(), np.random.random(), torch.rand(3)

    class Numbers(Callback):
        def __init__(self) -> None:
            self.drawn: list[float] = []

        def on_epoch_over(self, loop: Loop) -> None:
            self.drawn += [random.random(), np.random.random(), float(torch.rand(1))]

    alone, beside = Numbers(), Numbers()
    told(world, tmp_path, Told(), alone)
    told(world, tmp_path, Draws(), beside)
    assert alone.drawn == beside.drawn


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
