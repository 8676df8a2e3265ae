"""The feature cache: columns that were computed before are mapped, copied or continued, and only the rest computed.

One entry holds the columns of one pipeline on one panel. If all of it is what is asked for, the file is mapped, and
that is all. Else a new entry is written: a column that an entry holds for the same data is copied; one that an entry
holds for the first rows of the data is copied and continued; any other is computed.

A column is continued only if that gives the very numbers that computing it anew would. Its new rows come with a few
old ones (``SEAM``), computed from as little history as its warm-up says, and these must be what was kept, to the last
bit and in full precision where the column is a plain function. A column that carries a state goes on from what it
carried, and must give the same on recent rows whether it is interrupted or not. Otherwise all of it is computed.

Whatever goes wrong with an entry or its folder, the columns are computed. See `mnpu.features.keys` for what values
depend on and `mnpu.features.entries` for the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mnpu.data.cache import checksum
from mnpu.engine import Engine, LocalEngine
from mnpu.features.entries import START, SUFFIX, Column, Draft, Entry, open_entry
from mnpu.features.evaluation import Target, Work, fresh_states, jobs, run
from mnpu.features.keys import Data, digest, identities, slot
from mnpu.features.plan import PlannedFeature
from mnpu.features.seams import SEAM, Continued, continuations, go_on
from mnpu.types import Panel, SideTable

__all__ = ["Request", "kept"]

#: Entries that are looked through for columns, the newest first.
_ENTRIES = 16

Accept = Callable[[Work], None]


@dataclass(frozen=True)
class Request:
    """What is asked for: the columns on a panel, where the work runs, and who is told how many columns are done.

    ``accept`` looks at the finished columns and raises where they must not be used, and so not be kept.
    """

    planned: Sequence[PlannedFeature]
    panel: Panel
    side: SideTable
    engine: Engine
    advance: Callable[[float], None]
    accept: Accept


@dataclass(frozen=True)
class Source:
    """Where the first rows of a column come from: an entry and its number there."""

    entry: Entry
    number: int

    @property
    def column(self) -> Column:
        """What the entry says of it."""
        return self.entry.columns[self.number]


@dataclass
class _Build:
    """A new entry while it is made; ``columns`` is what its table will say."""

    request: Request
    work: Work
    draft: Draft
    columns: list[Column]
    last: dict[int, np.ndarray] = field(default_factory=dict)


def kept(request: Request, home: Path) -> np.ndarray | None:
    """The values of all columns, float32 (F, T, A), read-only, from the cache at ``home`` as far as they are there.

    None where the cache cannot be used, and nothing was computed.
    """
    planned, panel, side = request.planned, request.panel, request.side
    known = identities(planned)
    if not any(known) or 0 in panel.shape:
        return None
    shared = slot(panel)
    place = home / f"{shared[:16]}-{digest([[c.name for c in planned], panel.shape[0]])[:16]}{SUFFIX}"
    with _entries(home, f"{shared[:16]}-*{SUFFIX}", place, panel) as entries:
        fields = {name for column in planned for name in column.spec.fields}
        data = Data(panel, side, fields=fields, lengths=[entry.rows for entry in entries])
        rows = panel.shape[0]
        wanted = [
            Column(column.name, identity or "", data.key(column, rows), data.side_key(column))
            for column, identity in zip(planned, known, strict=True)
        ]
        found = _whole(entries, place, wanted, request)
        if found is not None:
            return found
        sources = _sources(entries, wanted, planned, data)
        try:
            draft = Draft(place, (len(planned), *panel.shape))
        except OSError:  # no room, no right, no such folder
            return None
        with draft:
            return _built(request, draft, wanted, sources)


@contextmanager
def _entries(home: Path, pattern: str, place: Path, panel: Panel) -> Iterator[list[Entry]]:
    """The entries that may hold columns of this data, open: the pipeline's own first, then the newest."""
    paths = []
    with suppress(OSError):
        paths = sorted(home.glob(pattern), key=_age)
    with ExitStack() as stack:
        opened = [stack.enter_context(open_entry(path)) for path in sorted(paths, key=lambda p: p != place)[:_ENTRIES]]
        yield [e for e in opened if e is not None and 0 < e.rows <= panel.shape[0] and e.symbols == panel.shape[1]]


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:
        return 0.0


def _whole(entries: Sequence[Entry], place: Path, wanted: Sequence[Column], request: Request) -> np.ndarray | None:
    """All columns of the pipeline's own entry, if it holds just them for just this data."""
    for entry in entries:
        if entry.path != place or entry.rows != request.panel.shape[0]:
            continue
        if [_keys(column) for column in entry.columns] != [_keys(column) for column in wanted]:
            return None
        if not all(column.identity for column in wanted):
            return None
        values = entry.map()
        sums = _here(request.engine).map(_sum, range(len(values)), shared=values)
        if [column.sum for column in entry.columns] != list(sums):
            return None
        entry.touch()
        request.advance(len(wanted))
        return values
    return None


def _keys(column: Column) -> tuple[str, str, str, str]:
    return column.name, column.identity, column.data, column.side


def _sum(values: np.ndarray, f: int) -> str:
    return checksum(values[f])


def _here(engine: Engine) -> Engine:
    """The engine itself if it works in this process, where the open files are."""
    return engine if engine.shares_memory else LocalEngine()


def _sources(
    entries: Sequence[Entry], wanted: Sequence[Column], planned: Sequence[PlannedFeature], data: Data
) -> list[Source | None]:
    """For each column the entry that holds most of its rows."""
    found: list[Source | None] = [None] * len(wanted)
    for entry in sorted(entries, key=lambda entry: entry.rows):
        numbers = {(c.name, c.identity): number for number, c in enumerate(entry.columns) if c.identity}
        for f, column in enumerate(wanted):
            number = numbers.get((column.name, column.identity))
            if number is None:
                continue
            held = entry.columns[number]
            if entry.rows == data.rows:
                fits = (held.data, held.side) == (column.data, column.side)
            else:
                fits = held.data == data.key(planned[f], entry.rows)
            if fits:
                found[f] = Source(entry, number)
    return found


def _built(
    request: Request, draft: Draft, wanted: Sequence[Column], sources: Sequence[Source | None]
) -> np.ndarray | None:
    """Fill a new entry, publish it, and hand out what it holds."""
    planned, panel = request.planned, request.panel
    held = draft.array() if request.engine.shares_memory else None
    target = Target((len(planned), *panel.shape), "float32", str(draft.path), START, held)
    work = Work(planned, panel, request.side, target, fresh_states(planned, panel.shape[1]), last=SEAM)
    build = _Build(request, work, draft, list(wanted))
    missing = _continued(build, _copied(build, sources))
    todo = jobs(planned, panel.shape[0], columns=missing)
    build.last.update(run(work, todo, engine=request.engine, advance=request.advance))
    request.accept(work)
    sums = list(request.engine.map(_sum_of, range(len(planned)), shared=work))
    if [identity or "" for identity in identities(planned)] != [column.identity for column in wanted]:
        return draft.read()  # files changed meanwhile, and some may have been loaded after that
    with suppress(OSError):  # no room any longer: what was computed is right all the same
        draft.publish([_noted(build, f, total) for f, total in enumerate(sums)])
    return draft.read()


def _sum_of(work: Work, f: int) -> str:
    return checksum(work.target.array[f])


def _noted(build: _Build, f: int, total: str) -> Column:
    """What the table says of a column: its sum, and what continuing it will need."""
    last, state = build.last.get(f), build.work.states.get(build.request.planned[f].name)
    draft = build.draft
    return replace(
        build.columns[f],
        sum=total,
        last=None if last is None else draft.add(last),
        state=None if state is None else draft.add(state),
    )


def _copied(build: _Build, sources: Sequence[Source | None]) -> dict[int, Continued]:
    """Copy what entries hold; returns what is to be done about each column of which they hold only the first rows.

    Columns that were copied as a whole are done, and those of which nothing is there stay missing.
    """
    rows, found = build.request.panel.shape[0], {}
    numbers = [f for f, source in enumerate(sources) if source is not None]
    engine = _here(build.request.engine)
    for f, good in zip(numbers, engine.map(_copy, numbers, shared=(build.draft, sources)), strict=True):
        source, column = sources[f], build.request.planned[f]
        assert source is not None
        last, state = source.entry.small(source.column.last), source.entry.small(source.column.state)
        whole = good and (last is None) == (source.column.last is None) and (state is None) == (not column.spec.state)
        if not whole:
            continue
        found[f] = Continued(f, source.entry.rows, last, state)
        if source.entry.rows == rows:
            _keep(build, found[f])
    return found


def _copy(shared: tuple[Draft, Sequence[Source | None]], f: int) -> bool:
    """Copy what an entry holds of a column, if it is what was written."""
    draft, sources = shared
    source = sources[f]
    assert source is not None
    values = source.entry.read(source.number)
    if values is None:
        return False
    draft.put(f, values)
    return True


def _keep(build: _Build, done: Continued) -> None:
    """A column is complete: note what continuing it will need."""
    if done.last is not None:
        build.last[done.number] = done.last
    if done.state is not None:
        build.work.states[build.request.planned[done.number].name] = done.state


def _continued(build: _Build, found: dict[int, Continued]) -> list[int]:
    """Continue the columns of which only the first rows are there; returns the numbers of those still missing."""
    request, rows = build.request, build.request.panel.shape[0]
    done = {f for f, old in found.items() if old.rows == rows}
    request.advance(len(done))
    tasks = continuations(request.planned, request.panel, [old for f, old in found.items() if f not in done])
    rest: dict[int, list[int]] = {}
    for results in request.engine.map(go_on, tasks, shared=build.work):
        for each in results:
            _keep(build, each)
            done.add(each.number)
            rest.setdefault(each.rows, []).append(each.number)
        request.advance(len(results))
    todo = [job for t, some in rest.items() for job in jobs(request.planned, rows, first=t, columns=some)]
    run(build.work, todo, engine=request.engine)
    return [f for f in range(len(request.planned)) if f not in done]
