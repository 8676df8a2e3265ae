"""The kit finds what is wrong with a logger, and asks one of a service without a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

from mnpu.testing.loggers import laws
from mnpu.training.loggers import Csv, LoggedFit, Logger


def broken(logger: type[Logger]) -> dict[str, str]:
    return {outcome.law: outcome.detail for outcome in laws(logger, logger) if not outcome.passed}


def test_a_good_logger_keeps_all_laws_and_writes_nothing_beside_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert broken(Csv) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_logger_that_knows_only_its_own_names_is_told_so() -> None:
    class Picky(Logger):
        def log(self, values: Mapping[str, float], *, epoch: int, step: int) -> None:
            {"loss_train": 0, "lr": 0, "gradient_norm": 0, "loss_validation": 0}.update({n: self.of(n) for n in values})

        def of(self, name: str) -> int:
            return ["loss_train", "lr", "gradient_norm", "loss_validation"].index(name)

    assert broken(Picky).keys() == {"takes every row of a fit, in order", "goes on with a fit that was stopped"}
    assert "telemetry.router.0.load" in broken(Picky)["takes every row of a fit, in order"]


def test_a_logger_that_cannot_write_what_is_not_finite_is_told_so() -> None:
    class Whole(Logger):
        def log(self, values: Mapping[str, float], *, epoch: int, step: int) -> None:
            {name: int(1000 * value) for name, value in values.items()}

    assert "OverflowError" in broken(Whole)["takes every row of a fit, in order"]


def test_a_logger_that_edits_the_numbers_is_told_so() -> None:
    class Edits(Logger):
        def log(self, values: Any, *, epoch: int, step: int) -> None:
            values.pop("lr")

    assert broken(Edits)["takes every row of a fit, in order"].startswith("it changed the numbers that it was told")


def test_a_logger_that_will_not_go_on_is_told_so() -> None:
    class Once(Logger):
        def open(self, fit: LoggedFit) -> None:
            fit.folder.mkdir(parents=True)

    assert broken(Once).keys() == {"goes on with a fit that was stopped"}


def test_a_logger_that_closes_only_what_it_has_written_is_told_so() -> None:
    class Late(Logger):
        def log(self, values: Mapping[str, float], *, epoch: int, step: int) -> None:
            self.file = 1

        def close(self, *, failed: bool) -> None:
            del self.file

    assert broken(Late).keys() == {"closes after an error"}


def test_a_logger_that_changes_how_torch_computes_is_told_so() -> None:
    import torch

    class Louder(Logger):
        def open(self, fit: LoggedFit) -> None:
            torch.set_grad_enabled(False)

    try:
        assert "changes no bit of a training" in broken(Louder)
    finally:
        torch.set_grad_enabled(True)


@pytest.mark.parametrize("every", [-1, True, 1.5, None])
def test_every_steps_is_a_number_of_steps(every: Any) -> None:
    class Odd(Logger):
        every_steps = every

    assert "every_steps is" in broken(Odd)["it opens, logs and closes"]


def test_what_is_no_logger_is_said() -> None:
    class Silent:
        every_steps = 0

        def open(self, fit: LoggedFit) -> None: ...

    assert "it has no log(); subclass" in {o.law: o.detail for o in laws(Silent, Silent)}["it opens, logs and closes"]


def test_a_logger_of_a_service_is_asked_with_what_reaches_no_network() -> None:
    class Service(Logger):
        OFFLINE: ClassVar[Mapping[str, Any]] = {"place": "file://{folder}/here", "workers": 1}

        def __init__(self, *, place: str = "https://example.com", workers: int = 4) -> None:
            if not place.startswith("file:///") or "{" in place or workers != 1:
                raise ConnectionError(place)

    assert broken(Service) == {}
