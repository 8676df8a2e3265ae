"""What training showed of itself: losses, gradients, calibration on the way, the loss around the weights, alerts."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from mnpu.report.format import NOT_AVAILABLE, count, number, percent
from mnpu.types import Block, Figure, Line, Result, Section, Table, TrainingRecord

__all__ = ["training"]

_LAYERS = 12  #: More than this and the table names those with the largest gradients.
_LOADS = 8  #: More experts than this and the table gives the smallest and the largest load of each part.
_CURVES = 5  #: Folds that a figure shows one by one.


def training(result: Result) -> Section | None:
    """How the networks were fitted; None where nothing was recorded."""
    record = result.training
    if record is None or record.measurements.empty:
        return None
    rows = record.measurements[record.measurements["member"] == 0]
    judged = _own(rows, result.name)
    members = int(record.measurements["member"].max()) + 1
    blocks: list[Block] = [
        "Every network was fitted anew on each fold, and the epoch with the smallest validation loss was kept. Losses "
        "are the head's, of labels in their standard deviations. What is shown here was measured on training and "
        "validation windows, never on a decision that is judged.",
        *_alerts(record),
        *([f"Of ensembles ({members} members) the first member is shown."] if members > 1 else []),
        _summary(rows),
    ]
    if not judged.empty:
        blocks += _advice(judged)
        blocks += _curves(judged)
        blocks += _layers(judged)
        blocks += _experts(judged)
    landscape = _own(record.landscape[record.landscape["member"] == 0], result.name)
    blocks += _landscape(landscape)
    return Section("Training", tuple(blocks))


def _own(table: pd.DataFrame, strategy: str) -> pd.DataFrame:
    return table[table["strategy"] == strategy]


def _alerts(record: TrainingRecord) -> list[Block]:
    alerts = record.alerts
    if alerts.empty:
        return ["No alert was raised."]
    fits = alerts.groupby(["strategy", "fold", "member", "name"], sort=False)
    epochs = {key: (int(of.min()), int(of.max()), len(of)) for key, of in fits["epoch"]}
    rows = tuple(
        (
            alert["strategy"],
            f"{alert['fold'] + 1}" + (f", member {alert['member'] + 1}" if alert["member"] else ""),
            _epochs(*epochs[alert["strategy"], alert["fold"], alert["member"], alert["name"]]),
            alert["name"].replace("_", " "),
            alert["message"] + (f" (`{alert['layer']}`)" if alert["layer"] else ""),
            f"{alert['threshold']:g}",
            {"log": "", "stop": "stopped", "lower_lr": "lr lowered"}.get(alert["action"], alert["action"]),
        )
        for alert in fits.head(1).to_dict("records")
    )
    said = f"{len(alerts)} alerts were raised" if len(alerts) > 1 else "One alert was raised"
    said += "." if len(rows) == len(alerts) else "; of those that came again in a fit the first is shown."
    return [f"> {said}", Table(("Model", "Fold", "Epoch", "Alert", "What was seen", "Threshold", "Action"), rows)]


def _epochs(first: int, last: int, times: int) -> str:
    return f"{first}" if times == 1 else f"{first} to {last}, {times} times"


def _summary(rows: pd.DataFrame) -> Table:
    """A row for each model and fold: at its best epoch, and over all epochs."""
    columns: dict[str, list[str]] = {}

    def put(name: str, cell: str) -> None:
        columns.setdefault(name, []).append(cell)

    for strategy, fold in rows[["strategy", "fold"]].drop_duplicates().itertuples(index=False, name=None):
        fit = rows[(rows["strategy"] == strategy) & (rows["fold"] == fold)]
        of = fit[fit["layer"] == ""].pivot_table(index="epoch", columns="name", values="value", dropna=False)
        epochs = of[of.index > 0]
        best = epochs["loss_validation"].idxmin()
        put("Model", str(strategy))
        put("Fold", f"{fold + 1}")
        put("Epochs", f"{len(epochs)}")
        put("Best", f"{best}")
        put("Training loss", number(epochs["loss_train"][best], 4))
        put("Validation loss", number(epochs["loss_validation"][best], 4))
        for name, title, show in _SUMMARY:
            value = float(of[name].get(best, math.nan)) if name in of else math.nan
            if show is _rate:
                value = float(epochs[name].median()) if name in epochs else math.nan
            put(title, show(value) if math.isfinite(value) else NOT_AVAILABLE)
    shown = {title: cells for title, cells in columns.items() if set(cells) != {NOT_AVAILABLE}}
    return Table(tuple(shown), tuple(zip(*shown.values(), strict=True)))


def _rate(value: float) -> str:
    return count(value)


def _share(value: float) -> str:
    return percent(value)


def _tiny(value: float) -> str:
    return number(value, 5)


def _small(value: float) -> str:
    return number(value, 4)


_SUMMARY = (
    ("crps", "CRPS", _small),
    ("coverage_0.90", "Coverage of 90%", _share),
    ("pit_ks", "PIT distance", _small),
    ("ece", "ECE", _small),
    ("gradient_norm", "Gradient norm", _small),
    ("update_ratio", "Update ratio", _tiny),
    ("dead_units", "Dead units", _share),
    ("windows_per_second", "Windows/s", _rate),
)


def _advice(judged: pd.DataFrame) -> list[Block]:
    """The critical batch size and the curvature, in a sentence each."""
    said: list[Block] = []
    powers, variances = (_values(judged, name) for name in ("gradient_power", "gradient_variance"))
    if len(powers):
        power, variance = float(powers.mean()), float(variances.mean())
        scale = variance / power if power > 0 else math.inf
        size = (
            f"Its mean over folds and epochs is {count(scale)} windows: batches far below it spend most of a step on "
            "noise, batches far above it spend windows on a direction that is already known"
            if math.isfinite(scale)
            else "Here the gradient cannot be told from the noise, so no batch is too large"
        )
        said.append(
            f"**Gradient noise scale** (tr(Σ)/|G|², McCandlish et al. 2018) is about the batch size above which more "
            f"windows in a step stop paying. {size}."
        )
    top, error, bottom, exact = (_values(judged, f"hessian_{name}") for name in ("top", "top_error", "bottom", "exact"))
    if len(top):
        way = "exact Hessian-vector products" if exact.all() else "differences of gradients"
        said.append(
            f"**Curvature** at the best weights, by {way}: the largest eigenvalue of the Hessian is "
            f"{number(float(top.min()), 2)} to {number(float(top.max()), 2)} over the folds{_within(error)}, the "
            f"smallest {number(float(bottom.min()), 2)}. Plain gradient descent is unstable at learning rates above "
            f"2/{number(float(top.max()), 2)} = {number(2 / float(top.max()), 3) if top.max() > 0 else NOT_AVAILABLE}."
        )
    return said


def _within(error: np.ndarray) -> str:
    """The residual of an eigenvalue by Lanczos bounds its distance to one of the Hessian's."""
    return f", each within {number(float(error.max()), 3)} of one (its residual)" if len(error) else ""


def _values(rows: pd.DataFrame, name: str) -> np.ndarray:
    return rows.loc[(rows["name"] == name) & (rows["layer"] == ""), "value"].to_numpy(dtype=float)


def _by_epoch(rows: pd.DataFrame, name: str) -> pd.Series:
    """Mean over folds of a reading of the whole network, by epoch.

    A fold that has stopped keeps its last reading, as its network does: else the mean would jump where the folds that
    it is of change.
    """
    own = rows[(rows["name"] == name) & (rows["layer"] == "") & (rows["epoch"] > 0) & np.isfinite(rows["value"])]
    return own.pivot_table(index="epoch", columns="fold", values="value").ffill().mean(axis=1)


def _figure(
    rows: pd.DataFrame, title: str, names: dict[str, str], y_label: str, *, scale: float = 1, log_y: bool = False
) -> list[Block]:
    """Readings by epoch, means over the folds; nothing where there are not two epochs."""
    found = {label: scale * _by_epoch(rows, name) for name, label in names.items()}
    lines = tuple(Line(label, s.index.to_numpy(), s.to_numpy()) for label, s in found.items() if len(s) > 1)
    if not lines:
        return []
    positive = all((line.y > 0).all() for line in lines)
    return [Figure(title, lines, y_label=y_label, x_label="epoch", log_y=log_y and positive)]


def _curves(judged: pd.DataFrame) -> list[Block]:
    coverage = sorted({n for n in judged["name"] if n.startswith("coverage_0")}, reverse=True)
    epochs = judged[judged["epoch"] > 0].groupby("fold")["epoch"].max()
    return [
        *(["In the curves, a fold that stopped early keeps its last value."] if epochs.nunique() > 1 else []),
        *_figure(
            judged, "Loss by epoch, mean of the folds", {"loss_validation": "validation", "loss_train": "training"}, ""
        ),
        *_figure(
            judged,
            "Coverage of validation windows by epoch, mean of the folds",
            {name: f"{float(name.removeprefix('coverage_')):.0%} interval" for name in coverage},
            "share inside, %",
            scale=100,
        ),
        *_figure(
            judged,
            "Norms of the gradient and of the update by epoch (logarithmic), mean of the folds",
            {"gradient_norm": "gradient, before clipping", "update_norm": "update"},
            "norm",
            log_y=True,
        ),
    ]


def _layers(judged: pd.DataFrame) -> list[Block]:
    """Gradient and update by layer, in each fold's last epoch, means over folds."""
    epochs = judged[(judged["layer"] != "") & judged["name"].isin(("gradient_norm", "update_ratio"))]
    if epochs.empty:
        return []
    last = epochs[epochs["epoch"] == epochs.groupby("fold")["epoch"].transform("max")]
    table = last.pivot_table(index="layer", columns="name", values="value", aggfunc="mean", sort=False)
    note = f"The gradient's norm (before clipping) and the update relative to the weights, in {len(table)} layers:"
    if len(table) > _LAYERS:
        table = table.loc[table["gradient_norm"].nlargest(_LAYERS).sort_index().index]
        note = f"{note[:-1]}, the {_LAYERS} with the largest gradients:"
    rows = tuple(
        (f"`{layer}`", number(row["gradient_norm"], 4), number(row.get("update_ratio", math.nan), 5))
        for layer, row in table.iterrows()
    )
    return [note, Table(("Layer", "Gradient norm", "Update ratio"), rows)]


def _experts(judged: pd.DataFrame) -> list[Block]:
    """What the backbone reported on itself in the last epoch, such as the load of each expert."""
    own = judged[judged["name"] == "telemetry"]
    if own.empty:
        return []
    last = own[own["epoch"] == own.groupby("fold")["epoch"].transform("max")].copy()
    last["part"] = last["layer"].str.extract(r"^(.*?)\.?(?:load\.\d+|[^.]+)$")[0]
    last["what"] = [
        layer[len(part) :].lstrip(".") for layer, part in zip(last["layer"], last["part"].fillna(""), strict=True)
    ]
    table = last.pivot_table(index="part", columns="what", values="value", aggfunc="mean", sort=False)
    loads = [name for name in table.columns if str(name).startswith("load.")]
    if len(loads) > _LOADS:
        ends = pd.DataFrame({"smallest load": table[loads].min(axis=1), "largest load": table[loads].max(axis=1)})
        table = pd.concat([ends, table.drop(columns=loads)], axis=1)
    rows = tuple((f"`{part}`", *(number(float(v), 3) for v in row)) for part, row in table.iterrows())
    columns = ("Part", *(str(name).replace("load.", "load of ") for name in table.columns))
    return ["What the backbone reports on itself, in each fold's last epoch, means over folds:", Table(columns, rows)]


def _landscape(own: pd.DataFrame) -> list[Block]:
    """A picture of what is finite around the best weights, and a sentence where nothing is."""
    moved = own[(own["a"] != 0) | (own["b"] != 0)]
    known = {
        kind: set(moved.loc[(moved["kind"] == kind) & np.isfinite(moved["loss"]), "fold"]) for kind in ("line", "plane")
    }
    blocks: list[Block] = []
    line, plane = own[own["kind"] == "line"], own[own["kind"] == "plane"]
    blank = [_blank("along a filter-normalised direction", set(line["fold"]) - known["line"])]
    shown = line[line["fold"].isin(known["line"])]
    if not shown.empty:
        lines = tuple(
            Line(f"fold {fold + 1}", part["a"].to_numpy(), part["loss"].to_numpy())
            for fold, part in list(shown.groupby("fold"))[-_CURVES:]
        )
        title = "Training loss around the best weights, along a filter-normalised direction"
        blocks.append(Figure(title, lines, y_label="", x_label="step along the direction"))
    blank.append(_blank("on a plane", set(plane["fold"]) - known["plane"]))
    shown = plane[plane["fold"].isin(known["plane"])]
    if not shown.empty:
        fold = int(shown["fold"].max())
        grid = shown[shown["fold"] == fold].pivot_table(index="b", columns="a", values="loss")
        rows = tuple(Line(f"{b:g}", grid.columns.to_numpy(), grid.loc[b].to_numpy()) for b in grid.index)
        title = f"Training loss on a plane around the best weights, fold {fold + 1}"
        blocks.append(Figure(title, rows, "contour", "step along the second direction", "step along the first"))
    return [*filter(None, blank), *blocks]


def _blank(where: str, folds: set[int]) -> str:
    """Folds of which there is nothing to draw."""
    if not folds:
        return ""
    listed = f"fold{'s' if len(folds) > 1 else ''} {', '.join(str(fold + 1) for fold in sorted(folds))}"
    return (
        f"Around the best weights of {listed} the training loss is not finite {where}, at any step that was looked at: "
        "there is nothing to draw. A smaller `reach` of the instrument may find where it is."
    )
