"""Check a store: what is wrong, what is missing, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnpu.commands._shared import emit, json_option, open_store, plain, table

if TYPE_CHECKING:
    from mnpu.validation.check import Checked

__all__ = ["check"]


@click.command()
@click.argument("store", metavar="[STORE]", default="market.db")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data-check"),
    show_default=True,
    metavar="DIR",
    help="Where findings.parquet, coverage.svg and log.jsonl are written.",
)
@json_option
@click.pass_context
def check(ctx: click.Context, store: str, out: Path, as_json: bool) -> None:
    """Run every installed validator on STORE; exit with 3 if a finding is an error.

    STORE is a file, a folder with a market.db, or an URL such as sqlite:///market.db.
    """
    from mnpu import log
    from mnpu.plugins.loader import load_plugins
    from mnpu.plugins.registry import Registry
    from mnpu.validation.check import check_store
    from mnpu.validation.findings import log_findings

    held = open_store(store)
    registry = Registry(load_plugins())
    components = registry.components("validator")
    names = [c.name for c in components]
    validators = {
        (c.name if names.count(c.name) == 1 else c.canonical): registry.build("validator", c.canonical, {})
        for c in components
    }
    checked = check_store(held, validators, say=lambda name: click.echo(f"checking {name}", err=True))
    files = _write(checked, out)
    with log.to_file(out / "log.jsonl", store=str(held.path)):
        for r in checked.reported:
            log_findings([r.finding], table=r.table, validator=r.validator)
    emit(as_json, _payload(checked, files), lambda: _print(checked, files))
    if checked.errors:
        raise SystemExit(3)


def _write(checked: Checked, out: Path) -> list[Path]:
    from mnpu.errors import MnpuError
    from mnpu.validation.check import findings_frame
    from mnpu.validation.coverage import coverage_svg

    findings, picture = out / "findings.parquet", out / "coverage.svg"
    try:
        out.mkdir(parents=True, exist_ok=True)
        findings_frame(checked).to_parquet(findings, index=False)
        picture.write_text(coverage_svg(checked.coverage, title=f"What {checked.path.name} holds"), encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise MnpuError(f"cannot write ({reason})", where=str(out), next_step="Choose another --out DIR.") from error
    return [findings, picture]


def _payload(checked: Checked, files: list[Path]) -> dict[str, object]:
    return {
        "path": checked.path,
        "n_errors": len(checked.errors),
        "n_warnings": len(checked.reported) - len(checked.errors),
        "findings": [
            {
                "table": r.table,
                "validator": r.validator,
                "rule": r.finding.rule,
                "severity": r.finding.severity,
                "count": r.finding.count,
                "sample": r.finding.sample,
                "hint": r.finding.hint,
                "rows": [plain(record) for record in r.finding.records],
            }
            for r in checked.reported
        ],
        "coverage": [
            {"table": c.name, "rows": len(c.labels), "n_refused": int(c.refused.sum()), "share": c.share}
            for c in checked.coverage
        ],
        "files": files,
    }


def _print(checked: Checked, files: list[Path]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    if checked.reported:
        found = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in ("", "table", "validator", "rows", "rule and what to do", "first"):
            found.add_column(name, justify="right" if name == "rows" else "left", overflow="fold")
        for r in checked.reported:
            style = "red" if r.finding.severity == "error" else "yellow"
            rule = Text.assemble(r.finding.rule, (f"\n{r.finding.hint}", "dim"))
            cells = (Text(r.table), Text(r.validator), Text(f"{r.finding.count}"), rule, Text(r.finding.sample))
            found.add_row(Text(r.finding.severity, style=style), *cells)
        console.print(found)
    rows = [
        (c.name, f"{len(c.labels):,}", f"{int(c.there.sum()):,}", f"{100 * c.share:.1f} %", f"{int(c.refused.sum()):,}")
        for c in checked.coverage
    ]
    headings = ("table", "names", "rows", "of those expected", "in error")
    click.echo(table(headings, rows, right=headings[1:]))
    n_errors, n_warnings = len(checked.errors), len(checked.reported) - len(checked.errors)
    verdict = "A run on this data would stop." if n_errors else "Nothing here stops a run."
    click.echo(f"\n{n_errors} errors, {n_warnings} warnings. {verdict}\n{', '.join(map(str, files))}")
