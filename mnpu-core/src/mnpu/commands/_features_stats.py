"""Describe the columns of a pipeline: coverage, age, distribution, and what they foretold before the test ranges."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnpu.commands._features_looking import about_range, counting, looking_options, range_payload
from mnpu.commands._shared import config_options, emit, json_option, plain, table

if TYPE_CHECKING:
    from mnpu.feature_tools.look import Look
    from mnpu.feature_tools.profile import Profile, Profiles
    from mnpu.metrics.information import Estimate

__all__ = ["stats"]

LEGIBLE = 40  #: Columns of which the years are printed too.


@click.command("stats")
@config_options
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="NAME",
    help="Only this column, all columns of this feature, or those that match, as in price.*. Repeatable.",
)
@looking_options
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write statistics.json, Parquet tables and pictures of all columns into DIR.",
)
@json_option
def stats(
    file: Path,
    overlays: tuple[Path, ...],
    sets: tuple[str, ...],
    columns: tuple[str, ...],
    horizon: int | None,
    since: str | None,
    until: str,
    everything: bool,
    threshold: float,
    out: Path | None,
    as_json: bool,
) -> None:
    """Describe each column of the pipeline that FILE declares, and what it foretold.

    Coverage, age, distribution, autocorrelation, clusters, and the information coefficient against the target, with
    intervals that allow for overlapping outcomes. Only decisions before the first test range are looked at, unless
    --all or --until say otherwise. Nothing is trained.
    """
    from mnpu.config.load import load_config
    from mnpu.feature_tools.look import look
    from mnpu.feature_tools.profile import profile
    from mnpu.plugins.registry import Registry
    from mnpu.progress import Progress, Silent

    loaded = load_config(file, overlays=overlays, sets=sets)
    progress = Silent() if as_json else Progress()
    looked = look(
        loaded,
        Registry.discover(),
        columns=columns,
        horizon=horizon,
        since=since,
        until=until,
        everything=everything,
        progress=progress,
    )
    n = len(looked.frame.names)
    with counting(progress, f"measuring {n} columns", n) as each:
        found = profile(looked, threshold=threshold, each=each)
    facts = payload(looked, found)
    files = [] if out is None else _write(out, looked, found, facts)
    emit(as_json, {**facts, "files": files}, lambda: _print(looked, found, files))


def payload(looked: Look, found: Profiles) -> dict[str, Any]:
    """Everything that was measured, as plain data."""
    groups = [[looked.frame.names[f] for f in group] for group in found.clusters.groups]
    return {
        "looked_at": range_payload(looked),
        "columns": [
            {**_described(column), "cluster": int(number) + 1}
            for column, number in zip(found.columns, found.clusters.number, strict=True)
        ],
        "clusters": {"threshold": found.threshold, "groups": groups},
        "intervals_without_zero": {"found": found.outside[0], "expected_by_chance": found.outside[1]},
    }


def _described(column: Profile) -> dict[str, Any]:
    about = column.information
    spread = column.distribution
    return {
        "column": column.name,
        "unit": column.unit,
        "scope": column.scope,
        "coverage": {"share": column.coverage.share, "by_year": column.coverage.by_year},
        "staleness_bars": column.staleness,
        "age_days": column.ages,
        "distribution": spread,
        "autocorrelation": dict(zip(_lags(), column.autocorrelation, strict=True)),
        "information": {
            "method": about.method,
            "ic": about.ic,
            "rank_ic": about.rank_ic,
            "icir": about.icir,
            "ic_by_year": about.ic_by_year,
            "rank_ic_by_year": about.rank_ic_by_year,
        },
        "warnings": column.warnings,
    }


def _lags() -> tuple[int, ...]:
    from mnpu.features.statistics import LAGS

    return LAGS


# What is written.


def _write(out: Path, looked: Look, found: Profiles, facts: Mapping[str, Any]) -> list[Path]:
    import pandas as pd

    from mnpu.errors import MnpuError
    from mnpu.feature_tools.pictures import overview

    names = list(looked.frame.names)
    frames = {
        "columns.parquet": pd.DataFrame([_row(column) for column in found.columns]).assign(
            cluster=found.clusters.number + 1
        ),
        "years.parquet": pd.DataFrame([row for column in found.columns for row in _year_rows(column)]),
        "decisions.parquet": _by_decision(looked, found),
        "correlations.parquet": pd.DataFrame(found.correlations, columns=names).assign(column=names),
    }
    paths = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, frame in frames.items():
            frame.to_parquet(out / name, index=False)
            paths.append(out / name)
        text = json.dumps(plain(facts), indent=2, ensure_ascii=False, allow_nan=False)
        for name, content in {"statistics.json": f"{text}\n", **overview(looked, found)}.items():
            (out / name).write_text(content, encoding="utf-8", newline="\n")
            paths.append(out / name)
    except OSError as error:
        reason = error.strerror or str(error)
        raise MnpuError(f"cannot write ({reason})", where=str(out), next_step="Choose another --out DIR.") from error
    return paths


def _row(column: Profile) -> dict[str, Any]:
    stale, spread, about = column.staleness, column.distribution, column.information
    described = (
        {}
        if spread is None
        else {
            **{name: getattr(spread, name) for name in ("n", "mean", "sd", "skew", "kurtosis", "zeros", "extremes")},
            "commonest": spread.commonest,
            **{f"q{100 * level:g}": value for level, value in spread.quantiles.items()},
        }
    )
    return {
        "column": column.name,
        "unit": column.unit,
        "scope": column.scope,
        "coverage": column.coverage.share,
        **(
            {}
            if stale is None
            else {f"stale_{name}": getattr(stale, name) for name in ("mean", "median", "p95", "most")}
        ),
        "age_days_median": max((age.median for age in column.ages), default=None),
        **described,
        **{f"acf{lag}": r for lag, r in zip(_lags(), column.autocorrelation, strict=True)},
        "method": about.method,
        **_estimate("ic", about.ic),
        **_estimate("rank_ic", about.rank_ic),
        "icir": about.icir,
        "warnings": "; ".join(column.warnings),
    }


def _estimate(name: str, estimate: Estimate) -> dict[str, Any]:
    return {
        name: estimate.value,
        f"{name}_se": estimate.se,
        f"{name}_low": estimate.low,
        f"{name}_high": estimate.high,
        f"{name}_n": estimate.n,
        f"{name}_reason": estimate.reason,
    }


def _year_rows(column: Profile) -> list[dict[str, Any]]:
    about = column.information
    return [
        {
            "column": column.name,
            "year": year,
            "coverage": column.coverage.by_year.get(year),
            **_estimate("ic", about.ic_by_year[year]),
            **_estimate("rank_ic", ranked),
        }
        for year, ranked in about.rank_ic_by_year.items()
    ]


def _by_decision(looked: Look, found: Profiles) -> Any:
    """The coefficients of every decision, one row for each decision and column that has a cross-section."""
    import numpy as np
    import pandas as pd

    from mnpu.data.clock import from_ns

    pairs = [(column.name, column.information.series) for column in found.columns]
    across = [name for name, own in pairs if own is not None]
    series = [own for _, own in pairs if own is not None]
    both = np.concatenate(series) if series else np.zeros((0, 2))
    return pd.DataFrame(
        {
            "column": pd.Categorical(np.repeat(across, len(looked.times))),
            "time": from_ns(np.tile(looked.times.asi8, len(across))),
            "ic": both[:, 0],
            "rank_ic": both[:, 1],
        }
    )


# What is printed.


def _print(looked: Look, found: Profiles, files: Sequence[Path]) -> None:
    click.echo("\n".join(about_range(looked)))
    click.echo(f"target: {looked.labels.name}, {looked.bars} bar{'s' if looked.bars > 1 else ''}\n")
    columns = (
        "column",
        "coverage",
        "stale",
        "acf 1",
        "acf 20",
        "mean",
        "sd",
        "skew",
        "rank IC",
        "95 %",
        "t",
        "cluster",
    )
    rows = [(*_cells(column), number + 1) for column, number in zip(found.columns, found.clusters.number, strict=True)]
    click.echo(table(columns, rows, right=columns[1:]))
    if any(column.information.method == "time" for column in found.columns):
        click.echo("* over time: the same for all symbols, or too few symbols for a cross-section")
    if len(found.columns) <= LEGIBLE:
        _print_years(found)
    _print_clusters(looked, found)
    for column in found.columns:
        for said in column.warnings:
            click.echo(f"warning: {column.name}: {said}")
    for reason in dict.fromkeys(c.information.rank_ic.reason for c in found.columns if c.information.rank_ic.reason):
        click.echo(f"no interval: {reason}")
    outside, expected = found.outside
    click.echo(
        f"\n{outside} of {len(found.columns)} columns have an interval without zero;"
        f" about {expected:.1f} would if none foretold anything."
    )
    for path in files:
        click.echo(f"file: {path}")


def _cells(column: Profile) -> tuple[str, ...]:
    spread, about = column.distribution, column.information
    rank = about.rank_ic
    mark = "*" if about.method == "time" else ""
    return (
        column.name,
        f"{100 * column.coverage.share:.1f} %",
        "-" if column.staleness is None else f"{column.staleness.mean:.1f}",
        _number(column.autocorrelation[0], ".3f"),
        _number(column.autocorrelation[2], ".3f"),
        _number(spread.mean if spread else None, ".3g"),
        _number(spread.sd if spread else None, ".3g"),
        _number(spread.skew if spread else None, ".2f"),
        _number(rank.value, "+.4f") + mark,
        "-" if rank.low is None else f"{rank.low:+.4f} to {rank.high:+.4f}",
        _number(rank.t, "+.1f"),
    )


def _print_years(found: Profiles) -> None:
    years = list(found.columns[0].information.rank_ic_by_year)
    rows = []
    for column in found.columns:
        by_year = column.information.rank_ic_by_year
        rows.append((column.name, *(_year(by_year[y]) for y in years)))
    headings = ("rank IC by year", *(f"{year} " for year in years))
    click.echo(f"\n{table(headings, rows, right=headings[1:])}")
    click.echo("! the year's interval leaves zero out; few: too few decisions for an interval")


def _year(estimate: Estimate) -> str:
    if estimate.value is None or estimate.low is None:
        return "few " if estimate.n else "- "
    return f"{estimate.value:+.3f}{'!' if estimate.excludes_zero else ' '}"


def _print_clusters(looked: Look, found: Profiles) -> None:
    several = [(k, group) for k, group in enumerate(found.clusters.groups) if len(group) > 1]
    if not several:
        return
    click.echo(f"\nclusters of columns that say much the same (mean rank correlation at least {found.threshold:g}):")
    for k, group in several:
        click.echo(f"  {k + 1}: {', '.join(looked.frame.names[f] for f in group)}")


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"
