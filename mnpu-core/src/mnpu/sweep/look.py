"""The look at the locked range: what was chosen outside it is judged on it, once, and the ledger counts it.

A look is a run like any other: it may be killed and goes on, two that are asked for at once are one, and it has a row
in the ledger with how many looks at its range there had been. It is no trial of the sweep.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mnpu.errors import ConfigError, MnpuError
from mnpu.sweep.catalogue import Catalogue, Entry, looks_of, read_catalogue
from mnpu.sweep.choice import Choice, Look, choices
from mnpu.sweep.trial import run_trial

__all__ = ["look"]


def look(runs: Path, name: str, *, block: str = "", run_id: str = "", again: bool = False) -> Look:
    """Judge the best trial of a block on the locked range, or tell what a look before has found.

    Parameters
    ----------
    runs : Path
    name : str
        Of the sweep.
    block : str
        Which block's; the sweep's only one by default.
    run_id : str
        Another trial of the sweep than the best.
    again : bool, default=False
        Whether another look may be taken after one: of another trial, or of one that failed.

    Raises
    ------
    ConfigError
        No range is locked, the sweep is not finished, several blocks and none is named, or a look was spent already.
    MnpuError
        The look failed; it counts all the same.
    """
    catalogue = read_catalogue(runs, name)
    choice = _block(catalogue, choices(catalogue), block, run_id)
    chosen = _chosen(catalogue, choice, run_id)
    if not choice.locked:
        raise ConfigError(
            f"no range is locked in sweep '{name}'",
            expected="split.locked in its recipe, as 1y or a date",
            next_step="Add it to the sweep's set: and give it another name; these trials have read all of the data.",
        )
    if catalogue.missing:
        raise ConfigError(
            f"{catalogue.missing} trials of sweep '{name}' are still to be run",
            expected="a choice that is made: the range is looked at once",
            next_step="Run it to its end with: mnpu sweep run FILE.",
        )
    spent = next((one for one in choice.looks if one.place != chosen.place), None)
    if spent is not None and not again:
        raise ConfigError(
            f"the locked range was looked at by {spent.place} (run {spent.run_id})",
            expected=f"one look in {choice.block}, before a choice of another trial",
            next_step="--again takes another one. It counts, and is not out of sample.",
        )
    outcome = run_trial(_job(catalogue, chosen, again))
    if outcome["status"] != "finished":
        raise MnpuError(
            f"the look failed ({outcome['error']})",
            where=f"{name}: {chosen.place}",
            next_step="--again takes it again; both count.",
        )
    found = choices(read_catalogue(runs, name))
    return next(one for each in found for one in each.looks if one.run_id == outcome["run_id"])


def _block(catalogue: Catalogue, found: list[Choice], block: str, run_id: str) -> Choice:
    if not found:
        raise ConfigError(f"no trial of sweep '{catalogue.kept.name}' has a {catalogue.kept.objective}")
    if run_id and not block:
        own = [catalogue.block_of(entry.axes) for entry in catalogue.entries if entry.run_id == run_id]
        block = own[0] if own else ""
    named = [choice for choice in found if choice.block == block] if block else found
    if len(named) == 1:
        return named[0]
    names = ", ".join(f"'{choice.block}'" for choice in found)
    raise ConfigError(
        f"there is no block '{block}'" if block else f"sweep '{catalogue.kept.name}' has {len(found)} blocks",
        expected=f"one of {names}",
        next_step="Name it with --block.",
    )


def _chosen(catalogue: Catalogue, choice: Choice, run_id: str) -> Entry:
    if not run_id:
        return choice.best
    for entry in catalogue.entries:
        if entry.run_id == run_id and catalogue.block_of(entry.axes) == choice.block:
            return entry
    raise ConfigError(
        f"{run_id} is no finished trial of {choice.block}",
        expected=f"a run of sweep '{catalogue.kept.name}'",
        next_step=f"See them: mnpu sweep show {catalogue.kept.name}.",
    )


def _job(catalogue: Catalogue, chosen: Entry, again: bool) -> dict[str, Any]:
    runs = catalogue.runs.resolve()
    told = {"sweep": looks_of(catalogue.kept.name), "key": chosen.trial, "axes": dict(chosen.axes)}
    recipe = {"base": str(runs / chosen.run_id / "resolved.yaml"), "sets": ["split.unlocked=true"]}
    how = {"objective": catalogue.kept.objective, "wait": True, "again": again, "unlock": True}
    return {**told, **recipe, **how, "runs": str(runs)}
