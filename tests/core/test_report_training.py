"""The report's section on training: its numbers are those of the record."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from mnpu.report.markdown import render
from mnpu.report.sections import sections
from mnpu.report.training import training
from mnpu.types import Figure, Result, Table, TrainingRecord
from tests.fakes import make_result


def rows(strategy: str, fold: int, values: dict[str, list[float]]) -> list[tuple[object, ...]]:
    """A reading by epoch, from 1."""
    return [
        (strategy, fold, 0, epoch + 1, 10 * (epoch + 1), name.partition("@")[0], name.partition("@")[2], value)
        for name, of in values.items()
        for epoch, value in enumerate(of)
    ]


def result(*measured: tuple[object, ...], landscape: tuple = (), alerts: tuple = ()) -> Result:
    found = make_result(60)
    return replace(found, training=TrainingRecord.of(measured, landscape, alerts))


@pytest.fixture
def name() -> str:
    return make_result(60).name


LOSSES = {"loss_train": [3.0, 2.0, 1.5], "loss_validation": [2.5, 1.25, 2.0]}


def tables(found: Result) -> list[Table]:
    section = training(found)
    assert section is not None
    return [block for block in section.blocks if isinstance(block, Table)]


def text(found: Result) -> str:
    section = training(found)
    assert section is not None
    return render("t", [section])


def test_without_a_record_there_is_no_section() -> None:
    assert training(make_result(60)) is None
    assert training(result()) is None
    assert "Training" not in [section.title for section in sections(make_result(60))]


def test_each_fit_has_a_row_at_its_best_epoch(name: str) -> None:
    measured = [
        *rows(name, 0, {**LOSSES, "crps": [0.5, 0.4, 0.3], "windows_per_second": [100.0, 1000.0, 2000.0]}),
        *rows("other", 0, {"loss_train": [1.0], "loss_validation": [1.0]}),
    ]
    (table,) = tables(result(*measured))
    first = dict(zip(table.columns, table.rows[0], strict=True))
    assert (first["Model"], first["Fold"], first["Epochs"], first["Best"]) == (name, "1", "3", "2")
    assert (first["Training loss"], first["Validation loss"], first["CRPS"]) == ("2.0000", "1.2500", "0.4000")
    assert first["Windows/s"] == "1,000"  # the median
    assert dict(zip(table.columns, table.rows[1], strict=True))["CRPS"] == "n/a"
    assert "ECE" not in table.columns  # nobody has one


def test_curves_are_means_over_the_folds_each_of_which_keeps_its_last_value(name: str) -> None:
    """The mean may not jump because a fold with other losses has stopped."""
    measured = [
        *rows(name, 0, LOSSES),
        *rows(name, 1, {"loss_train": [5.0, 4.0], "loss_validation": [4.5, 2.75]}),
    ]
    section = training(result(*measured))
    assert section is not None
    figure = next(block for block in section.blocks if isinstance(block, Figure))
    lines = {line.label: list(line.y) for line in figure.lines}
    assert lines == {"validation": [3.5, 2.0, 2.375], "training": [4.0, 3.0, 2.75]}
    assert "a fold that stopped early keeps its last value" in text(result(*measured))
    assert "stopped early" not in text(result(*rows(name, 0, LOSSES)))


def test_alerts_stand_first_with_their_numbers(name: str) -> None:
    alert = (name, 2, 0, 4, 40, "over_fitting", "head.map", 0.7, 0.5, "lower_lr", "it has lost 70%")
    found = result(*rows(name, 2, LOSSES), alerts=(alert,))
    assert tables(found)[0].rows == (
        (name, "3", "4", "over fitting", "it has lost 70% (`head.map`)", "0.5", "lr lowered"),
    )
    assert "One alert was raised" in text(found)
    assert "No alert was raised" in text(result(*rows(name, 2, LOSSES)))


def test_an_alert_that_comes_again_in_a_fit_has_one_row(name: str) -> None:
    again = [
        (name, fold, 0, epoch, 10 * epoch, "noise_scale", "", 3.0, 1.0, "lower_lr", f"epoch {epoch} has noise")
        for fold, epochs in ((0, (1, 2, 4)), (1, (3,)))
        for epoch in epochs
    ]
    found = result(*rows(name, 0, LOSSES), alerts=tuple(again))
    assert [row[1:5] for row in tables(found)[0].rows] == [
        ("1", "1 to 4, 3 times", "noise scale", "epoch 1 has noise"),
        ("2", "3", "noise scale", "epoch 3 has noise"),
    ]
    assert "4 alerts were raised; of those that came again in a fit the first is shown." in text(found)


def test_coverage_is_drawn_in_percent(name: str) -> None:
    section = training(result(*rows(name, 0, {**LOSSES, "coverage_0.90": [0.5, 0.75, 1.0]})))
    assert section is not None
    figure = next(block for block in section.blocks if isinstance(block, Figure) and "Coverage" in block.title)
    assert (figure.y_label[-1], list(figure.lines[0].y)) == ("%", [50.0, 75.0, 100.0])


def test_the_critical_batch_size_is_a_ratio_of_means(name: str) -> None:
    noisy = {**LOSSES, "gradient_power": [0.5, 0.25, 0.75], "gradient_variance": [100.0, 200.0, 300.0]}
    assert "400 windows" in text(result(*rows(name, 0, noisy)))  # 200 / 0.5, not the mean of the ratios
    lost = {**LOSSES, "gradient_power": [-0.5, 0.1, 0.1], "gradient_variance": [100.0, 200.0, 300.0]}
    assert "cannot be told from the noise" in text(result(*rows(name, 0, lost)))


def test_infinite_and_missing_readings_do_not_break_it(name: str) -> None:
    measured = rows(
        name, 0, {**LOSSES, "noise_scale": [math.inf] * 3, "crps": [math.nan] * 3, "gradient_norm": [0.0] * 3}
    )
    assert "n/a" not in text(result(*measured)).partition("Loss by epoch")[0]


def test_of_an_ensemble_the_first_member_is_shown_and_every_alert(name: str) -> None:
    second = [(*row[:2], 1, *row[3:-1], row[-1] + 7) for row in rows(name, 0, LOSSES)]
    alert = (name, 0, 1, 2, 20, "collapse", "", 0.0, 1e-6, "log", "it says the same")
    found = result(*rows(name, 0, LOSSES), *second, alerts=(alert,))
    assert tables(found)[0].rows[0][1] == "1, member 2"
    assert len(tables(found)[1].rows) == 1
    assert "1.2500" in tables(found)[1].rows[0]
    assert "2 members" in text(found)


def test_what_a_backbone_reports_is_a_row_for_each_part(name: str) -> None:
    loads = {f"telemetry@blocks.{i}.{what}": [0.9, 0.9, v] for i in (0, 1) for what, v in PARTS[i].items()}
    table = tables(result(*rows(name, 0, {**LOSSES, **loads})))[-1]
    assert table.columns == ("Part", "load of 0", "load of 1", "collapsed")
    assert table.rows == (("`blocks.0`", "0.250", "0.750", "0.000"), ("`blocks.1`", "1.000", "0.000", "1.000"))


def test_of_many_experts_the_smallest_and_the_largest_load_are_shown(name: str) -> None:
    """A column for each of 32 would run over the edge of the page."""
    shares = [0.0625, *[0.03125] * 30, 0.0]
    loads = {f"telemetry@blocks.0.load.{e}": [share] for e, share in enumerate(shares)}
    table = tables(result(*rows(name, 0, {**LOSSES, **loads, "telemetry@blocks.0.use": [0.5]})))[-1]
    assert table.columns == ("Part", "smallest load", "largest load", "use")
    assert table.rows == (("`blocks.0`", "0.000", "0.062", "0.500"),)


PARTS = [{"load.0": 0.25, "load.1": 0.75, "collapsed": 0.0}, {"load.0": 1.0, "load.1": 0.0, "collapsed": 1.0}]


def test_a_landscape_without_a_finite_loss_around_the_weights_is_said_and_not_drawn(name: str) -> None:
    steps = (-1.0, 0.0, 1.0)
    plane = tuple((name, 0, 0, "plane", a, b, 0.5 if a == b == 0 else math.inf) for a in steps for b in steps)
    lines = tuple((name, fold, 0, "line", a, 0.0, math.inf if fold else a**2) for fold in (0, 1) for a in steps)
    section = training(result(*rows(name, 0, LOSSES), landscape=plane + lines))
    assert section is not None
    shown = [block for block in section.blocks if isinstance(block, Figure) and "best weights" in block.title]
    assert [[line.label for line in figure.lines] for figure in shown] == [["fold 1"]]
    said = text(result(*rows(name, 0, LOSSES), landscape=plane + lines))
    assert "best weights of fold 2 the training loss is not finite along a filter-normalised direction" in said
    assert "best weights of fold 1 the training loss is not finite on a plane" in said
    assert "lowest" not in said


def test_the_curvature_is_told_with_its_error(name: str) -> None:
    measured = [
        row
        for fold, top, error in ((0, 2.0, 0.125), (1, 3.0, 0.5))
        for row in rows(name, fold, {**LOSSES, "hessian_top": [top], "hessian_top_error": [error]})
        + rows(name, fold, {"hessian_bottom": [-1.0], "hessian_exact": [1.0]})
    ]
    said = text(result(*measured))
    assert "is 2.00 to 3.00 over the folds, each within 0.500 of one (its residual), the smallest" in said


def test_a_plane_is_a_surface_and_its_lowest_point_is_told_in_text(name: str) -> None:
    steps = (-1.0, 0.0, 1.0)
    plane = tuple((name, 0, 0, "plane", a, b, 2 * a**2 + (b - 1) ** 2) for a in steps for b in steps)
    line = tuple((name, 0, 0, "line", a, 0.0, a**2) for a in steps)
    found = result(*rows(name, 0, LOSSES), landscape=plane + line)
    section = training(found)
    assert section is not None
    surface = section.blocks[-1]
    assert isinstance(surface, Figure)
    assert surface.kind == "contour"
    assert [line.label for line in surface.lines] == ["-1", "0", "1"]
    assert [list(line.y) for line in surface.lines] == [[6.0, 4.0, 6.0], [3.0, 1.0, 3.0], [2.0, 0.0, 2.0]]
    assert "lowest 0.00 at (0, 1), highest 6.00 at (1, -1)" in text(found)
