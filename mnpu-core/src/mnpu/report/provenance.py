"""Where the numbers come from: data and when it was known, costs, folds, and what is needed to do it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mnpu.report.format import NOT_AVAILABLE, count, date, number, percent, period, stamp
from mnpu.types import DatasetInfo, FeatureSpec, Fold, Panel, Result, Run, Section, SeriesInfo, Split, Table, table_of

__all__ = ["costs", "data", "features", "folds", "reproducibility"]

_BARS = {"1w": "weekly", "1d": "daily", "1h": "hourly"}
_STAMPS = {"session_date": "the session's date", "open": "the bar's open", "close": "the bar's close"}
_ADJUSTED = {"none": "as traded", "split": "splits", "split+dividend": "splits and dividends"}


def data(result: Result) -> Section:
    """Which datasets and series were read, how they were adjusted, and when each value became known."""
    blocks: list[str | Table] = []
    own = _dataset_notes(result)
    told = [note for note in result.notes if not any(said and said in note for said in own.values())]
    if told:
        blocks.append("\n".join(f"- {note}" for note in told))
    if result.panel is not None:
        blocks.append(
            f"{_universe(result.panel)} on the {result.panel.calendar} calendar: {', '.join(result.panel.symbols)}. "
            "A bar becomes known at its close, and no earlier."
        )
        blocks.extend(_datasets(result))
    if result.series:
        blocks.append(
            "Side series are joined by the moment they could be read, not by the period they describe. A value older "
            "than its maximum age counts as missing."
        )
        blocks.append(
            Table(
                ("Series", "Frequency", "Known", "Release lag", "Maximum age", "Source"),
                tuple(_series_row(info) for info in result.series),
            )
        )
    return Section("What the data was, and when it was known", tuple(blocks) or ("The run recorded no data.",))


def features(result: Result) -> Section:
    """What the network saw."""
    if not result.features:
        return Section("Features", ("No feature was computed.",))
    rows = tuple(
        (
            f"`{spec.name}`",
            spec.description.replace("``", "`"),
            spec.unit or NOT_AVAILABLE,
            count(spec.warmup),
            "yes" if spec.scale_free else "no",
            _reads(spec),
            _known(spec),
        )
        for spec in result.features
    )
    return Section(
        "Features",
        (
            "A scale-free feature does not change when all prices of a symbol are multiplied by a constant; only such "
            "features may be computed on prices that a vendor adjusted afterwards. What it reads is known at the bar's "
            "close, or when its series say.",
            Table(("Feature", "What it is", "Unit", "Warm-up, bars", "Scale-free", "Reads", "Known"), rows),
        ),
    )


def costs(result: Result) -> Section:
    """What trading cost, by kind, and how decisions became fills."""
    config: Mapping[str, Any] = result.run.config if result.run else {}
    years = len(result.net) / result.periods_per_year
    rates = config.get("costs") or {}
    rows: list[tuple[str, ...]] = []
    for kind, paid in result.costs.items():
        rate = rates.get(f"{kind}_bps")
        total = float(np.nansum(paid))
        rows.append(
            (
                kind.replace("_", " "),
                NOT_AVAILABLE if rate is None else number(float(rate), 1),
                percent(total),
                percent(total / years if years else None, 2),
            )
        )
    every = sum(float(np.nansum(paid)) for paid in result.costs.values())
    if len(rows) > 1:
        rows.append(("all costs", "", percent(every), percent(every / years if years else None, 2)))
    fill = str(config.get("fill", "")).replace("_", " ")
    fills = (
        f"A decision is filled at the {fill.replace('next', 'next bar’s')}" if fill else "A decision is filled after it"
    )
    sent = pd.DatetimeIndex(result.fill_times)
    example = f": the first was made at {stamp(result.times[0])} and filled at {stamp(sent[0])}" if len(sent) else ""
    turnover = float(np.nansum(result.turnover_oneway))
    return Section(
        "Costs and fills",
        (
            f"{fills}, never at the price that it was made on{example}.",
            "Costs are charged on the traded value, measured against the book as prices left it. One-way turnover "
            f"came to {number(turnover, 1)} times the equity in {number(years, 1)} years.",
            Table(("Cost", "Rate, bps", "Sum, of equity", "A year, of equity"), tuple(rows), _last(rows)),
        )
        if rows
        else (f"{fills}{example}.", "> **No cost was charged.** Net and gross returns are the same."),
    )


def folds(result: Result) -> Section:
    """Which period each fit saw, and which it was judged on."""
    if result.folds is None or not result.folds.folds:
        return Section("Folds", ("Nothing was fitted, so there are no folds.",))
    split = result.folds
    rows = tuple(
        (
            str(i),
            *(
                "; ".join(_dates(result, split, rows) for rows in ranges)
                for ranges in (fold.training, (fold.validation,), fold.testing)
            ),
        )
        for i, fold in enumerate(split.folds, start=1)
    )
    crossed = (
        (
            "> **Cross-validation, not a history that anyone could have traded.** Folds learn from what is later than "
            "their test, so the numbers say how a method does on such data, and no network of this run may be served.",
        )
        if any(fold.crossed for fold in split.folds)
        else ()
    )
    return Section(
        "Folds",
        (
            f"{len(rows)} folds; each refits the network, its scaling included. {split.purge_bars} bars are left out "
            f"before validation and test so that no label reaches into them, and {split.embargo_bars} more as embargo.",
            *crossed,
            Table(("Fold", "Train", "Validation", "Test"), rows),
        ),
    )


def reproducibility(result: Result) -> Section:
    """Identity of the run: equal hashes give equal numbers."""
    if result.run is None:
        return Section("Doing it again", ("> **No run is attached**, so this result cannot be reproduced from here.",))
    run = result.run
    identity = (
        ("Run", f"`{run.run_id}`"),
        ("Recipe", f"`{run.recipe_id}`"),
        ("Configuration", f"`{run.config_hash}`"),
        ("Data", f"`{run.data_hash}`"),
        ("Code", f"`{run.code_hash}`"),
        ("Environment", f"`{run.env_hash}`"),
        ("Seed", str(run.seed)),
        ("Started", stamp(run.started_at)),
        ("Recipes tried so far", count(result.judgement.n_trials if result.judgement else run.trials)),
        *_locked(run),
    )
    versions = ", ".join(f"{name} {version}" for name, version in sorted(run.versions.items()))
    return Section(
        "Doing it again",
        (
            "The recipe is the configuration, the data, the code and the environment together; the same recipe gives "
            "the same numbers. `mnpu run resolved.yaml` repeats this run.",
            Table(("What", "Value"), identity),
            f"Versions: {versions}." if versions else "No version was recorded.",
            "This report describes a simulation of the past. It is not investment advice, and past results say little "
            "about future ones.",
        ),
    )


def _universe(panel: Panel) -> str:
    n = len(panel.symbols)
    return f"{n} {'symbol' if n == 1 else 'symbols'}, {_BARS.get(panel.frequency, panel.frequency)} bars"


def _last(rows: list[tuple[str, ...]]) -> int | None:
    return len(rows) - 1 if len(rows) > 1 else None


def _datasets(result: Result) -> list[str | Table]:
    assert result.panel is not None
    unique = {info.name: info for info in result.panel.datasets}
    rows = tuple(_dataset_row(info, result) for info in unique.values())
    blocks: list[str | Table] = [
        Table(("Dataset", "Vendor", "Symbols", "Stamp means", "Adjusted for", "Adjusted as of", "Licence"), rows)
    ]
    late = [info for info in unique.values() if info.adjustment != "none"]
    if late:
        said = "; ".join(
            f"`{info.name}` with the knowledge of {info.adjusted_as_of or 'an unknown date'}" for info in late
        )
        blocks.append(f"> **Prices adjusted afterwards.** {said}. Returns are right, price levels were never quoted.")
    notes = _dataset_notes(result)
    if notes:
        blocks.append("\n".join(f"- `{name}`: {note}" for name, note in notes.items()))
    return blocks


def _dataset_notes(result: Result) -> dict[str, str]:
    return {info.name: info.note for info in result.panel.datasets if info.note} if result.panel is not None else {}


def _dataset_row(info: DatasetInfo, result: Result) -> tuple[str, ...]:
    assert result.panel is not None
    n = sum(other.name == info.name for other in result.panel.datasets)
    return (
        f"`{info.name}`",
        info.vendor,
        str(n),
        _STAMPS.get(info.stamp, info.stamp),
        _ADJUSTED.get(info.adjustment, info.adjustment),
        info.adjusted_as_of or NOT_AVAILABLE,
        info.licence,
    )


def _series_row(info: SeriesInfo) -> tuple[str, ...]:
    return (
        f"`{info.series}`",
        info.frequency,
        info.basis,
        info.release_lag or "as observed",
        _days(info.max_age),
        info.source,
    )


def _reads(spec: FeatureSpec) -> str:
    """Tables and what is read of them: ``prices: high, low``."""
    columns = [name for name in spec.fields if name != "split_factor"]
    read = {"prices": columns, "corporate_actions": ["splits"], table_of(spec.kind): list(spec.series)}
    return "; ".join(f"{table}: {', '.join(read[table])}" for table in spec.tables) or "the date"


def _known(spec: FeatureSpec) -> str:
    """When it is known: at the close of a bar, or by the lag and the basis of its series, each said once."""
    said = [f"{lag} ({basis})" if lag else basis for lag, basis in zip(spec.release_lags, spec.bases, strict=True)]
    prices = ["the bar's close"] if spec.fields or not spec.series else []
    return "; ".join(dict.fromkeys([*prices, *said])) or NOT_AVAILABLE


def _locked(run: Run) -> list[tuple[str, str]]:
    """What is locked, whether this run has seen it, and how often it was looked at."""
    if not run.locked:
        return []
    seen = "this run was judged on it" if run.unlocked else "this run has not read it"
    return [
        ("Locked range", f"{run.locked.partition(' ')[0].replace('..', ' to ')}; {seen}"),
        ("Looks at it so far", count(run.looks)),
    ]


def _days(age: pd.Timedelta) -> str:
    if pd.isna(age):
        return NOT_AVAILABLE
    days = age / pd.Timedelta(days=1)
    return f"{number(days, 0)} days" if days >= 2 else f"{number(age / pd.Timedelta(hours=1), 0)} hours"


def _dates(result: Result, split: Split, bars: tuple[int, int]) -> str:
    """The dates of a half-open range of bars, or the bars where their dates are not recorded."""
    start, stop = bars
    if stop <= start:
        return NOT_AVAILABLE
    if split.times is not None and stop <= len(split.times):
        return f"{date(split.times[start])} to {date(split.times[stop - 1])}"
    offset = start - _first_tested(split.folds)
    if offset >= 0 and stop - _first_tested(split.folds) <= len(result.times):
        return period(result.times[offset : offset + stop - start])
    return f"bars {start:,} to {stop - 1:,}"


def _first_tested(all_folds: tuple[Fold, ...]) -> int:
    return min(fold.test[0] for fold in all_folds)
