"""Parts of ``mnpu data info`` that sum up: how far each kind of side data reaches, and what was imported."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import click

from mnpu.commands._shared import table

if TYPE_CHECKING:
    from mnpu.data.importing.record import ImportRecord
    from mnpu.data.store import SeriesSummary

__all__ = ["echo_series", "imports_payload", "indented", "imports_table", "kinds_payload", "kinds_table"]


WIDTH = 100  #: characters of a line that are expected to fit
MANY = 60  #: series of a kind, beyond which their names alone are shown


def indented(text: str) -> str:
    """A paragraph under a heading; a symbol such as ``BRK-A`` is not broken."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def echo_series(series: Sequence[SeriesSummary], *, shorten: bool = False) -> None:
    """Every series, one table for each kind; of a kind with very many, only the names where ``shorten``."""
    for kind, group in groupby(sorted(series, key=lambda s: s.info.kind), key=lambda s: s.info.kind):
        some = list(group)
        if shorten and len(some) > MANY:
            click.echo(f"{kind}: {len(some)} series. See when they are known with: mnpu data info --series PATTERN")
            for first, names in groupby((s.info.series for s in some), key=lambda name: name.split(" ")[0]):
                click.echo(indented(f"{first}: {'; '.join(name.partition(' ')[2] for name in names)}"))
        else:
            click.echo(_series_table(kind, some, width=WIDTH if shorten else None))
            click.echo(indented(f"from {'; '.join(dict.fromkeys(_origin(s) for s in some))}"))
        click.echo()


def _series_table(kind: str, series: Sequence[SeriesSummary], *, width: int | None = None) -> str:
    """A line for each series; columns that one can do without give way to a ``width``."""
    headings = (kind, "unit", "every", "known", "max age", "rows", "revised", "missing", "first", "last")
    rows = [
        (
            s.info.series,
            s.info.unit,
            s.info.frequency,
            _known(s),
            f"{s.info.max_age.days} d",
            f"{s.n_observations:,}",
            f"{s.n_revisions:,}",
            f"{s.n_missing:,}",
            f"{s.first_event:%Y-%m-%d}",
            f"{s.last_event:%Y-%m-%d}",
        )
        for s in series
    ]
    empty = [i for i in (1, 6, 7) if all(row[i] in ("", "0") for row in rows)]  # nothing to say in a whole column
    kept = [i for i in range(len(headings)) if i not in empty]
    while True:
        right = [headings[i] for i in kept if i in (4, 5, 6, 7)]
        drawn = table([headings[i] for i in kept], [[row[i] for i in kept] for row in rows], right=right)
        spare = [i for i in (2, 7, 6, 1) if i in kept]
        if not spare or width is None or max(map(len, drawn.splitlines())) <= width:
            return drawn
        kept.remove(spare[0])


def _known(s: SeriesSummary) -> str:
    """The declared rule, with places as short as they are known: ``event day + 1 day, 09:00 New_York``."""
    return s.info.release_lag.replace("America/", "").replace("Europe/", "") or s.info.basis


def _origin(s: SeriesSummary) -> str:
    return f"{s.info.source} ({s.info.licence})" if s.info.licence else s.info.source


def kinds_payload(series: Sequence[SeriesSummary]) -> list[dict[str, object]]:
    """For each kind of side data: series, rows, and the span of what they describe."""
    kinds = sorted({s.info.kind for s in series})
    return [_kind(kind, [s for s in series if s.info.kind == kind]) for kind in kinds]


def _kind(kind: str, series: Sequence[SeriesSummary]) -> dict[str, object]:
    return {
        "kind": kind,
        "n_series": len(series),
        "n_observations": sum(s.n_observations for s in series),
        "n_revisions": sum(s.n_revisions for s in series),
        "bases": sorted({s.info.basis for s in series}),
        "first_event": min(s.first_event for s in series),
        "last_event": max(s.last_event for s in series),
        "last_known": max(s.last_known for s in series),
    }


def kinds_table(series: Sequence[SeriesSummary]) -> str:
    """The same for people."""
    headings = ("kind", "series", "rows", "revised", "known", "first", "last")
    rows = [
        (
            str(k["kind"]),
            f"{k['n_series']:,}",
            f"{k['n_observations']:,}",
            f"{k['n_revisions']:,}",
            ", ".join(k["bases"]),  # type: ignore[arg-type]
            f"{k['first_event']:%Y-%m-%d}",
            f"{k['last_event']:%Y-%m-%d}",
        )
        for k in kinds_payload(series)
    ]
    return table(headings, rows, right=("series", "rows", "revised"))


def imports_payload(imports: Sequence[ImportRecord]) -> list[dict[str, object]]:
    """Every import as plain data."""
    return [{name: getattr(record, name) for name in record.__dataclass_fields__} for record in imports]


def imports_table(imports: Sequence[ImportRecord]) -> str:
    """Every import for people: what came in, and what went into quarantine."""
    headings = ("imported", "file", "table", "rows", "new", "present", "refused")
    rows = [
        (
            f"{r.imported_at:%Y-%m-%d}",
            r.file,
            r.target,
            *(f"{n:,}" for n in (r.n_read, r.n_taken, r.n_present, r.n_refused)),
        )
        for r in imports
    ]
    refused = sum(r.n_refused for r in imports)
    note = f"\n{refused:,} rows were refused: each import left them in its quarantine folder." if refused else ""
    return table(headings, rows, right=headings[3:]) + note
