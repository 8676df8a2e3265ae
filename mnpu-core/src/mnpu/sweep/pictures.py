"""Pictures of a sweep: what costs how much and gives what (Pareto), and who is distinguishable from whom."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from mnpu.errors import ConfigError
from mnpu.feature_tools.svg import ACCENT, INK, MUTED, WARM, Drawing, Panel, number, shorten, ticks
from mnpu.sweep.catalogue import Catalogue
from mnpu.sweep.differences import SEED, Comparison, pareto

__all__ = ["critical_differences", "pareto_front", "points"]

#: Metrics of which less is better.
LESS = ("seconds", "cost_total", "crps", "pinball", "pit_ks", "turnover_oneway_ann", "interval_score_0.90", "cvar_0.05")


def direction_of(metric: str) -> str:
    """Which way a metric is better."""
    return "minimise" if metric in LESS else "maximise"


def points(catalogue: Catalogue, x: str, y: str) -> dict[str, dict[str, tuple[float, float]]]:
    """By block, and there by the place on the other axes: means of two metrics over the seeds."""
    kept = catalogue.kept
    rest = [name for name in kept.axes if name not in (SEED, *kept.blocks)]
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for entry in catalogue.entries:
        a, b = entry.values.get(x), entry.values.get(y)
        if a is not None and b is not None and math.isfinite(a) and math.isfinite(b):
            of_block = found.setdefault(" ".join(entry.at(kept.blocks)) or kept.name, {})
            of_block.setdefault(" ".join(entry.at(rest)) or kept.name, []).append((a, b))
    if not found:
        known = sorted({name for entry in catalogue.entries for name in entry.values})
        raise ConfigError(f"no trial has both {x} and {y}", expected=f"metrics among {', '.join(known)}")
    return {
        block: {
            name: (float(np.mean([p[0] for p in ps])), float(np.mean([p[1] for p in ps]))) for name, ps in by.items()
        }
        for block, by in found.items()
    }


def pareto_front(catalogue: Catalogue, *, x: str, y: str) -> str:
    """An SVG of ``y`` against ``x``, a panel a block: a dot each, and a line through those that none beats in both."""
    found = points(catalogue, x, y)
    drawing = Drawing(720, 30 + 300 * len(found), f"{catalogue.kept.name}: {y} against {x}")
    for i, (block, own) in enumerate(found.items()):
        _front(drawing, 62 + 300 * i, block, own, (x, y))
    return drawing.save()


def _front(
    drawing: Drawing, top: float, block: str, own: Mapping[str, tuple[float, float]], of: tuple[str, str]
) -> None:
    """One block's panel."""
    front = pareto(own, better=[direction_of(name) for name in of])
    shown, logarithmic = _scaled(own)
    xs, ys = [p[0] for p in shown.values()], [p[1] for p in shown.values()]
    panel = Panel(drawing, 70, top, 610, 205, _around(xs), _around(ys))
    how = f"{of[1]} against {of[0]}{' (logarithmic)' if logarithmic else ''}, means over the seeds"
    panel.heading(block, f"{how}; the line joins what no other is better than in both")
    panel.frame_y()
    panel.frame_x([(at, number(10**at if logarithmic else at)) for at in ticks(*panel.x, 7)])
    panel.zero()
    drawing.path([(panel.px(shown[name][0]), panel.py(shown[name][1])) for name in front], WARM, width=1.6)
    taken = [(panel.px(a) - 4, panel.py(b) - 4, panel.px(a) + 4, panel.py(b) + 4) for a, b in shown.values()]
    for name, (a, b) in sorted(shown.items(), key=lambda pair: pair[0] not in front):  # who is best has the first say
        best = name in front
        note = f"{name}: {of[0]} {number(own[name][0], 4)}, {of[1]} {number(own[name][1], 4)}"
        drawing.dot(panel.px(a), panel.py(b), 4.5 if best else 3, WARM if best else ACCENT, note=note)
        if best or len(shown) <= 14:
            _name(drawing, panel, (panel.px(a), panel.py(b)), shorten(name, 34), taken)


def _name(
    drawing: Drawing, panel: Panel, dot: tuple[float, float], name: str, taken: list[tuple[float, float, float, float]]
) -> None:
    """A dot's name beside it, where it lies on no other name and no dot, as far as there is such a place."""
    width, (x, y) = 6.2 * len(name), dot
    places = []
    for right, below in ((True, -5), (True, 13), (False, -5), (False, 13), (True, -17), (True, 25)):
        left = x + 7 if right else x - 7 - width
        places.append((left, y + below - 9, left + width, y + below + 2))
    inside = [box for box in places if panel.left <= box[0] and box[2] <= panel.left + panel.width + 10]
    free = (box for box in inside if not any(_meet(box, other) for other in taken))
    box = next(free, inside[0] if inside else places[0])
    taken.append(box)
    drawing.text(box[0], box[3] - 2, name, size=10, colour=INK)


def _meet(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def critical_differences(comparison: Comparison) -> str:
    """An SVG of mean ranks on a line, a bar over those that are not distinguishable."""
    k, names = len(comparison.treatments), comparison.treatments
    half = (k + 1) // 2
    height = 110 + 12 * len(comparison.groups) + 22 * half
    drawing = Drawing(760, height, f"Mean ranks by {comparison.metric}")
    left, width, line = 190.0, 380.0, 78.0

    def at(rank: float) -> float:
        return left + (rank - 1.0) / max(k - 1.0, 1.0) * width

    few = f"{len(comparison.datasets)} data sets, p = {comparison.p:.2g} that all are alike"
    drawing.text(20, 22, f"Mean ranks by {comparison.metric}, 1 is the best", size=12.5, bold=True)
    drawing.text(
        20, 37, f"Bars join what is not distinguishable at {comparison.alpha:g} (Nemenyi); {few}", colour=MUTED
    )
    shown = min(comparison.distance, k - 1.0)
    drawing.line(at(1), 54, at(1 + shown), 54, INK, width=1.6)
    drawing.text(at(1 + shown) + 6, 58, f"distance {comparison.distance:.2f}", size=10, colour=MUTED)
    drawing.line(at(1), line, at(k), line, INK)
    for rank in range(1, k + 1):
        drawing.line(at(rank), line - 4, at(rank), line, INK)
        drawing.text(at(rank), line - 7, str(rank), size=10, colour=MUTED, anchor="middle")
    below = line + 10 + 12 * len(comparison.groups)
    for i, group in enumerate(comparison.groups):
        height_of = line + 9 + 12 * i
        ends = comparison.ranks[group[0]], comparison.ranks[group[-1]]
        drawing.line(at(ends[0]) - 3, height_of, at(ends[1]) + 3, height_of, WARM, width=4)
    for i, (name, rank) in enumerate(zip(names, comparison.ranks.tolist(), strict=True)):
        first = i < half
        y = below + 22 * (i if first else k - 1 - i) + 12
        edge = left - 12 if first else left + width + 12
        drawing.line(at(rank), line, at(rank), y, ACCENT)
        drawing.line(at(rank), y, edge, y, ACCENT)
        label = f"{shorten(name, 22)}  {rank:.2f}" if first else f"{rank:.2f}  {shorten(name, 22)}"
        drawing.text(edge + (-5 if first else 5), y + 4, label, anchor="end" if first else "start")
    return drawing.save()


def _scaled(found: Mapping[str, tuple[float, float]]) -> tuple[dict[str, tuple[float, float]], bool]:
    """With the first number's logarithm where it spans more than a factor of twenty."""
    xs = [x for x, _ in found.values()]
    if min(xs) > 0 and max(xs) / min(xs) > 20:
        return {name: (math.log10(x), y) for name, (x, y) in found.items()}, True
    return dict(found), False


def _around(values: list[float]) -> tuple[float, float]:
    room = 0.08 * (max(values) - min(values)) or abs(values[0]) * 0.1 or 1.0
    return min(values) - room, max(values) + room
