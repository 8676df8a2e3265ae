"""Where the course of a fit is written for people who watch it: a CSV file, TensorBoard, Weights & Biases, MLflow.

A logger is a component of its own kind, so that a third party can ship one: `Logger` is what it overrides. It is told
numbers and decides nothing: one that fails is muted with a warning, and the fit goes on with the same bits.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from mnpu.errors import PluginError
from mnpu.training.callbacks import Callback

if TYPE_CHECKING:
    from mnpu.training.loop import Loop

__all__ = ["Csv", "LoggedFit", "Logger", "Logging", "MLflow", "TensorBoard", "WandB", "logging_to"]

log = logging.getLogger("mnpu.training")

Steps = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True)
class LoggedFit:
    """One fit, as a logger is told of it.

    Attributes
    ----------
    run_id, strategy : str
    fold : int
        From 0.
    folder : Path
        Where files of this fit and this logger belong; it may not exist yet.
    settings : mapping
        The ``train`` block.
    step : int
        Steps that were taken before: not zero where the fit was resumed, and later ones may have been logged already.
    """

    run_id: str
    strategy: str
    fold: int
    folder: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    step: int = 0

    @property
    def name(self) -> str:
        """Run, strategy and fold, the fold counted from 1."""
        return f"{self.run_id}/{self.strategy}/fold-{self.fold + 1}"


class Logger:
    """Base of all loggers; it writes nothing.

    Attributes
    ----------
    every_steps : int
        Steps between two rows within an epoch; 0 for a row an epoch.
    OFFLINE : mapping
        Parameters with which it reaches no network, for one that writes to a service: the conformance kit asks it with
        these. ``{folder}`` in a text stands for the path of an empty folder.

    Notes
    -----
    Each fit has a logger of its own: ``open`` comes first, then rows in the order of their steps, then ``close``, once,
    also where the fit fails or ``log`` has raised. Numbers may be NaN or infinite.
    """

    OFFLINE: ClassVar[Mapping[str, Any]] = {}

    every_steps: int = 0

    def open(self, fit: LoggedFit) -> None:
        """A fit begins, or goes on; where this raises, nothing follows."""

    def log(self, values: Mapping[str, float], *, epoch: int, step: int) -> None:
        """Write numbers by name: ``loss_train``, ``lr`` and ``gradient_norm``; after an epoch more.

        ``epoch`` counts those that have ended, ``step`` the steps of the whole fit.
        """

    def close(self, *, failed: bool) -> None:
        """The fit has ended."""


class Csv(Logger):
    """A file ``log.csv`` in the run directory, with a row for every epoch.

    Parameters
    ----------
    every_steps : int, default=0
        A row for every so many steps, too.

    Notes
    -----
    Columns: epoch, step, loss_train (the epoch's mean, or the last batch's), loss_validation, lr, gradient_norm.
    """

    COLUMNS = ("epoch", "step", "loss_train", "loss_validation", "lr", "gradient_norm")

    def __init__(self, *, every_steps: Steps = 0) -> None:
        self.every_steps = every_steps

    def open(self, fit: LoggedFit) -> None:
        """Begin the file; rows of steps that will be taken again are removed."""
        fit.folder.mkdir(parents=True, exist_ok=True)
        path = fit.folder / "log.csv"
        kept: list[dict[str, str]] = []
        if fit.step and path.exists():
            with path.open(newline="", encoding="utf-8") as old:
                whole = [row for row in csv.DictReader(old) if None not in row.values() and row["step"].isdigit()]
            kept = [row for row in whole if int(row["step"]) <= fit.step]
        self._file = path.open("w", newline="", encoding="utf-8", buffering=1)
        self._writer = csv.DictWriter(self._file, self.COLUMNS, extrasaction="ignore", restval="")
        self._writer.writeheader()
        self._writer.writerows(kept)

    def log(self, values: Mapping[str, float], *, epoch: int, step: int) -> None:
        """Add a row."""
        self._writer.writerow({"epoch": epoch, "step": step, **values})

    def close(self, *, failed: bool) -> None:
        """Close the file."""
        self._file.close()


class TensorBoard(Logger):
    """Scalars for TensorBoard: ``tensorboard --logdir runs/RUN/logs``.

    Parameters
    ----------
    every_steps : int, default=0
        Scalars of every so many steps, too.
    """

    REQUIRES: ClassVar[Mapping[str, str]] = {"tensorboard": "mnpu-core[tensorboard]"}

    def __init__(self, *, every_steps: Steps = 0) -> None:
        _require("tensorboard", self.REQUIRES)
        self.every_steps = every_steps

    def open(self, fit: LoggedFit) -> None:
        """Begin an event file; TensorBoard hides what it had seen of steps that will be taken again."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(fit.folder), purge_step=fit.step + 1 if fit.step else None)

    def log(self, values: Mapping[str, float], *, epoch: int, step: int) -> None:
        """Add a scalar for each number."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self, *, failed: bool) -> None:
        """Flush the event file."""
        self._writer.close()


class WandB(Logger):
    """A run of Weights & Biases for every fit, in one group for each run.

    Parameters
    ----------
    project : str, default="mnpu"
    mode : {"online", "offline", "disabled"}, default="online"
        ``offline`` writes into the run directory, for ``wandb sync``.
    every_steps : int, default=0
        A row for every so many steps, too.
    """

    REQUIRES: ClassVar[Mapping[str, str]] = {"wandb": "mnpu-core[wandb]"}
    OFFLINE: ClassVar[Mapping[str, Any]] = {"mode": "offline"}

    def __init__(
        self,
        *,
        project: Name = "mnpu",
        mode: Literal["online", "offline", "disabled"] = "online",
        every_steps: Steps = 0,
    ) -> None:
        _require("wandb", self.REQUIRES)
        self.project, self.mode, self.every_steps = project, mode, every_steps

    def open(self, fit: LoggedFit) -> None:
        """Begin its run, or go on with it."""
        import wandb

        fit.folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=self.project,
            mode=self.mode,
            name=fit.name,
            id=fit.name.replace("/", "-"),
            group=fit.run_id,
            resume="allow",
            reinit="create_new",  # a run that is open in this process is another's
            settings=wandb.Settings(console="off", init_timeout=30),  # what is printed is not ours to send
            dir=str(fit.folder),
            config=dict(fit.settings),
        )

    def log(self, values: Mapping[str, float], *, epoch: int, step: int) -> None:
        """Add a row."""
        self._run.log({"epoch": epoch, **values}, step=step)

    def close(self, *, failed: bool) -> None:
        """Finish its run."""
        self._run.finish(exit_code=int(failed))


class MLflow(Logger):
    """A run of MLflow for every fit, in an experiment.

    Parameters
    ----------
    experiment : str, default="mnpu"
    tracking_uri : str or None
        Where MLflow keeps it, as ``http://host:5000`` or ``sqlite:///mlflow.db``; None for what MLFLOW_TRACKING_URI
        says, or else for MLflow's own default: ``mlflow.db`` in the working directory.
    every_steps : int, default=0
        Metrics of every so many steps, too.
    """

    REQUIRES: ClassVar[Mapping[str, str]] = {
        "mlflow": "mnpu-core[mlflow]",
        "sqlalchemy": "mnpu-core[mlflow]",  # the slim MLflow brings no store of its own
        "alembic": "mnpu-core[mlflow]",
    }
    OFFLINE: ClassVar[Mapping[str, Any]] = {"tracking_uri": "sqlite:///{folder}/mlflow.db"}

    def __init__(self, *, experiment: Name = "mnpu", tracking_uri: Name | None = None, every_steps: Steps = 0) -> None:
        _require("mlflow", self.REQUIRES)
        self.experiment, self.tracking_uri, self.every_steps = experiment, tracking_uri, every_steps

    def open(self, fit: LoggedFit) -> None:
        """Begin its run, or go on with the one of the same name."""
        from mlflow import MlflowClient

        self._client = MlflowClient(tracking_uri=self.tracking_uri)
        found = self._client.get_experiment_by_name(self.experiment)
        where = found.experiment_id if found else self._client.create_experiment(self.experiment)
        begun = self._client.search_runs([where], f"tags.`mnpu.fit` = '{fit.name}'", max_results=1)
        if begun:
            self._run = begun[0].info.run_id
            self._client.update_run(self._run, status="RUNNING")
            return
        self._run = self._client.create_run(where, run_name=fit.name, tags={"mnpu.fit": fit.name}).info.run_id
        for name, value in fit.settings.items():
            self._client.log_param(self._run, name, value)

    def log(self, values: Mapping[str, float], *, epoch: int, step: int) -> None:
        """Add a metric for each number."""
        for name, value in values.items():
            self._client.log_metric(self._run, name, value, step=step)

    def close(self, *, failed: bool) -> None:
        """End its run."""
        self._client.set_terminated(self._run, "FAILED" if failed else "FINISHED")


class Logging(Callback):
    """Tells one logger of one fit.

    Parameters
    ----------
    logger : Logger
    name : str
        Its registered name, for warnings.
    fit : LoggedFit
    """

    def __init__(self, logger: Logger, name: str, fit: LoggedFit) -> None:
        self._logger, self._called, self._fit = logger, name, fit
        self._listens = self._failed = False

    def on_fit_start(self, loop: Loop) -> None:
        """Open it; where several processes train, the first one logs."""
        if loop.backend.rank > 0:
            return
        self._listens = True
        self._listens = self._try(loop, lambda: self._logger.open(replace(self._fit, step=loop.step)))

    def on_step(self, loop: Loop) -> None:
        """A row within an epoch, if it is wanted."""
        every = self._logger.every_steps
        if every and loop.step % every == 0 and loop.step % loop.training.steps:
            self._log(loop, {"loss_train": float(loop.loss)})

    def on_epoch(self, loop: Loop) -> None:
        """The row of an epoch."""
        epoch = loop.history[-1]
        telemetry = {f"telemetry.{name}": float(value) for name, value in epoch.telemetry.items()}
        self._log(loop, {"loss_train": epoch.train, "loss_validation": epoch.validation, **telemetry})

    def on_fit_end(self, loop: Loop) -> None:
        """Close it."""
        self._close(loop, failed=False)

    def on_error(self, loop: Loop, error: BaseException) -> None:
        """Close it and say that the fit failed."""
        self._close(loop, failed=True)

    def _log(self, loop: Loop, values: Mapping[str, float]) -> None:
        whole = {**values, "lr": loop.lr, "gradient_norm": float(loop.gradient_norm)}
        if not self._try(loop, lambda: self._logger.log(whole, epoch=len(loop.history), step=loop.step)):
            self._close(loop, failed=True)  # it has been opened, so that it may hold what must be let go

    def _close(self, loop: Loop, *, failed: bool) -> None:
        self._try(loop, lambda: self._logger.close(failed=failed))
        self._listens = False

    def _try(self, loop: Loop, tell: Callable[[], None]) -> bool:
        """Tell the logger something if it listens; False where it raised, which is said once."""
        if not self._listens:
            return True
        from mnpu.training.reproducible import unchanged_streams  # torch: a logger is described without it

        try:
            with unchanged_streams(cuda=loop.backend.device == "cuda"):
                tell()
        except Exception as error:  # a stranger's service that is down must not cost the user a training
            if not self._failed:
                log.warning("the logger %s failed and is muted (%s: %s)", self._called, type(error).__name__, error)
            self._failed = True
            return False
        return True


def logging_to(loggers: Mapping[str, Logger], fit: LoggedFit) -> Sequence[Callback]:
    """A callback for each logger, with a folder of its own under that of ``fit``."""
    return [
        Logging(logger, name, LoggedFit(fit.run_id, fit.strategy, fit.fold, fit.folder / name, fit.settings))
        for name, logger in ((name.replace("/", "~"), logger) for name, logger in loggers.items())
    ]


def _require(logger: str, needs: Mapping[str, str]) -> None:
    """Raise what to install where a logger's package is missing: when the recipe is read, not after an hour."""
    for package, requirement in needs.items():
        if find_spec(package) is None:
            raise PluginError(
                f"the logger {logger} needs {package}, which is not installed",
                next_step=f'Run: pip install "{requirement}"',
            )
