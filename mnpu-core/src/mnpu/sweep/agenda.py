"""The research agenda: what sweeps found so far, and what they leave open, as sections of a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mnpu.atomic import write_atomically
from mnpu.errors import ConfigError, MnpuError
from mnpu.judging import is_beyond_luck
from mnpu.sweep.catalogue import Catalogue, read_catalogue
from mnpu.sweep.choice import choices, said
from mnpu.sweep.differences import Comparison, compared

__all__ = ["feed", "section"]

_PAGE = """# Research agenda

What was tried, what it showed, and what it leaves open. Sections of sweeps are written by `mnpu sweep agenda`; what
stands outside their marks is kept.
"""


def feed(page: Path, runs: Path, names: Sequence[str]) -> Path:
    """Write or replace the sections of some sweeps.

    Raises
    ------
    ConfigError
        There is no such sweep, or a section of the page begins and does not end.
    """
    text = page.read_text(encoding="utf-8") if page.exists() else _PAGE
    for name in names:
        text = _with_section(text, name, section(read_catalogue(runs, name)), page)
    try:
        return write_atomically(page, text.encode())
    except OSError as error:
        raise MnpuError(f"cannot be written ({error.strerror or error})", where=str(page)) from error


def _with_section(text: str, name: str, body: str, page: Path) -> str:
    begin, end = f"<!-- sweep {name}: begin -->", f"<!-- sweep {name}: end -->"
    block = f"{begin}\n\n{body}\n{end}"
    if text.count(begin) != text.count(end) or text.count(begin) > 1:
        raise ConfigError(f"the marks of sweep '{name}' do not match", where=str(page), expected=f"{begin} and {end}")
    if begin in text:
        return re.sub(re.escape(begin) + ".*?" + re.escape(end), lambda _: block, text, flags=re.S)
    return text.rstrip("\n") + f"\n\n{block}\n"


def section(catalogue: Catalogue) -> str:
    """One sweep as Markdown: how much was tried, the comparison, what may be luck, and what is open."""
    kept = catalogue.kept
    lines = [f"## {kept.name}", ""]
    lines += [
        f"{len(catalogue.entries)} of {kept.trials} trials finished and {len(catalogue.failed)} failed, over "
        f"{', '.join(f'`{axis}`' for axis in kept.axes)}. Rows are compared on equal decisions.",
        "",
    ]
    found: Comparison | None
    try:
        found = compared(catalogue, metric=kept.objective, direction=kept.direction)
    except ConfigError as error:
        found = None
        lines += [f"Nothing is compared: {error.what}.", ""]
    if found is not None:
        lines += [*_table(found), "", *_said(found), ""]
    lines += [*_luck(catalogue), ""]
    for choice in choices(catalogue):
        lines.append(f"* {' '.join(said(choice, objective=kept.objective, sweep=kept.name))}")
    lines += [f"* {note}" for note in (*catalogue.notes, *_open(catalogue, found))]
    return "\n".join(lines).rstrip() + "\n"


def _table(found: Comparison) -> list[str]:
    head = f"| {found.metric} | {' | '.join(found.datasets)} | mean rank |"
    rule = "|---|" + "---:|" * (len(found.datasets) + 1)
    rows = []
    for i, name in enumerate(found.treatments):
        cells = [
            f"{score:+.2f}" + ("" if np.isnan(spread) else f" ± {spread:.2f}")
            for score, spread in zip(found.scores[:, i], found.spread[:, i], strict=True)
        ]
        rows.append(f"| `{name}` | {' | '.join(cells)} | {found.ranks[i]:.2f} |")
    return [head, rule, *rows]


def _said(found: Comparison) -> list[str]:
    alike = f"p = {found.p:.2g} that all rank alike over {len(found.datasets)} data sets"
    if float(np.ptp(found.ranks)) < found.distance:
        return [f"No two are distinguishable: {alike}, and mean ranks would have to be {found.distance:.2f} apart."]
    last = max((group[-1] for group in found.groups if group[0] == 0), default=0)
    worse = ", ".join(f"`{name}`" for name in found.treatments[last + 1 :])
    return [f"`{found.treatments[0]}` is distinguishable from {worse} ({alike}; distance {found.distance:.2f})."]


def _luck(catalogue: Catalogue) -> list[str]:
    known = [entry for entry in catalogue.entries if entry.values.get("dsr") is not None]
    if not known:
        return ["No trial has a deflated Sharpe ratio."]
    passed = [entry for entry in known if is_beyond_luck(entry.values["dsr"])]
    best = max(known, key=lambda entry: entry.values["dsr"] or 0.0)
    place = ", ".join(f"{axis} {value}" for axis, value in best.axes.items())
    told = f"the best has {best.values['dsr']:.2f} ({place}, run `{best.run_id}`)"
    if not passed:
        return [f"No trial is distinguishable from luck: of the deflated Sharpe ratios {told}, and 0.95 is wanted."]
    have = "has" if len(passed) == 1 else "have"
    return [f"{len(passed)} of {len(known)} trials {have} a deflated Sharpe ratio of 0.95 or more; {told}."]


def _open(catalogue: Catalogue, found: Comparison | None) -> list[str]:
    """What somebody could do next."""
    asked = []
    if catalogue.missing:
        asked.append(f"Open: {catalogue.missing} trials are still to be run.")
    if catalogue.failed:
        first = catalogue.failed[0]
        asked.append(f"Open: {len(catalogue.failed)} failed, the first with: {first['error'].splitlines()[0]}")
    if found is not None and float(np.ptp(found.ranks)) < found.distance:
        need = int(np.ceil(len(found.datasets) * (found.distance / max(float(np.ptp(found.ranks)), 1e-9)) ** 2))
        if need < 1000:
            asked.append(f"Open: such a difference of ranks would show over about {need} data sets.")
    return asked
