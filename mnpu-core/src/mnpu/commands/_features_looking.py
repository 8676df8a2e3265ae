"""What ``features stats`` and ``features plot`` share: which decisions to look at, and saying which they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from mnpu.feature_tools.look import Look
    from mnpu.progress import Progress

__all__ = ["about_range", "counting", "looking_options", "range_payload"]

Command = TypeVar("Command", bound=Callable[..., Any])


def looking_options(command: Command) -> Command:
    """Add ``--horizon --since --until --all --threshold``."""
    options = (
        click.option("--horizon", type=int, metavar="BARS", help="One of the target's horizons. [default: the first]"),
        click.option("--since", metavar="DATE", help="Look at decisions from this date on."),
        click.option(
            "--until",
            default="test",
            show_default=True,
            metavar="WHEN",
            help="Look no further than: test (the first test range), train (the end of the first training range), or "
            "a date by which the outcomes are known.",
        ),
        click.option("--all", "everything", is_flag=True, help="Look at all decisions, those of test ranges too."),
        click.option(
            "--threshold",
            type=click.FloatRange(0.0, 1.0, min_open=True),
            default=0.7,
            show_default=True,
            metavar="RHO",
            help="Absolute rank correlation from which columns make a cluster.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def about_range(looked: Look) -> list[str]:
    """What was looked at, and what its numbers may not be used for."""
    from mnpu.feature_tools.pictures import caption

    lines = [f"{caption(looked)}."]
    if looked.n_test:
        lines.append(
            f"warning: {looked.n_test:,} of them are seen by the recipe's test ranges (from"
            f" {looked.test_from:%Y-%m-%d}): features chosen by these numbers have no test any more."
        )
    elif looked.test_from is None:
        lines.append("warning: the recipe's split has no room in the data, so nothing is kept for a test.")
    lines.append("Whatever is chosen by an information coefficient is chosen in sample over this range.")
    return lines


def range_payload(looked: Look) -> Mapping[str, Any]:
    """The same for machines."""
    return {
        "first": looked.times[0],
        "last": looked.times[-1],
        "decisions": len(looked.times),
        "symbols": len(looked.frame.symbols),
        "range": looked.range,
        "test_from": looked.test_from,
        "decisions_seen_by_a_test": looked.n_test,
        "selection_is_in_sample": True,
        "target": looked.labels.name,
        "horizon_bars": looked.bars,
    }


@contextmanager
def counting(progress: Progress, text: str, total: int) -> Iterator[Callable[[str], None]]:
    """A stage whose steps are counted: a bar where a person watches, one line with its seconds in any case."""
    with progress.stage(text, bar=True):
        if not progress.live:
            yield lambda name: None
            return
        from rich.console import Console
        from rich.progress import Progress as Bars

        with Bars(console=Console(file=progress.stream), transient=True) as bars:
            task = bars.add_task(text, total=total)
            yield lambda name: bars.update(task, advance=1)
