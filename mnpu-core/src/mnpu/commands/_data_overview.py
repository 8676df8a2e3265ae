"""Parts of ``mnpu data info`` that sum up: how far each kind of side data reaches, and what was imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mnpu.commands._shared import table

if TYPE_CHECKING:
    from mnpu.data.importing.record import ImportRecord
    from mnpu.data.store import SeriesSummary

__all__ = ["imports_payload", "imports_table", "kinds_payload", "kinds_table"]


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
            f"{r.imported_at:%Y-%m-%d %H:%M}",
            r.file,
            r.target,
            *(f"{n:,}" for n in (r.n_read, r.n_taken, r.n_present, r.n_refused)),
        )
        for r in imports
    ]
    refused = sum(r.n_refused for r in imports)
    note = f"\n{refused:,} rows were refused: each import left them in its quarantine folder." if refused else ""
    return table(headings, rows, right=headings[3:]) + note
