"""A layer of experts beside one dense network of the active size, a loop over experts, and every expert dense."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.rows import Row

__all__ = ["measure"]

WIDTH, HIDDEN, EXPERTS, CHOICES = 128, 256, 8, 2
REPEATS = {512: 60, 8192: 11}  # by tokens of a batch
DENSE, LOOP, ALL = "one dense MLP of the active size", "a loop with index_select", "every expert, dense"
#: By tokens and peer: the share of the peer's time that a layer may take. Of few tokens, calls are a part of the time.
TARGETS = {(8192, DENSE): 1 / 0.9, (8192, ALL): 1 / 5, (8192, LOOP): 1.0, (512, LOOP): 1.0}


def measure(workspace: Path) -> list[Row]:
    """Medians of a forward and backward pass on one thread, alternating; the layer includes router and both losses.

    Parameters
    ----------
    workspace : path
        Not used: the peers are plain torch.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [row for tokens in REPEATS for row in _rows(tokens)]
    finally:
        torch.set_num_threads(threads)


def _rows(tokens: int) -> list[Row]:
    cases = _cases(tokens)
    times: dict[str, list[float]] = {name: [] for name in cases}
    for repeat in range(REPEATS[tokens] + 1):
        for name, run in cases.items():
            began = time.perf_counter()
            run()
            if repeat:  # the first pass fills the allocator
                times[name].append(1e3 * (time.perf_counter() - began))
    taken = {name: round(median(values), 2) for name, values in times.items()}
    ours = taken.pop("mnpu")
    case = f"{EXPERTS} experts, top {CHOICES}, D {WIDTH}, {tokens:,} tokens, forward and backward"
    return [
        Row("experts", case, "ms", ours, peer, theirs, round(theirs / ours, 2), round(theirs * share, 2))
        for peer, theirs in taken.items()
        if (share := TARGETS.get((tokens, peer)))
    ]


def _cases(tokens: int) -> dict[str, Callable[[], None]]:
    """Passes by name, each of which must agree with the definition before it is timed."""
    import torch
    from torch import nn

    from mnpu_models_moe.experts import Experts, all_experts
    from mnpu_models_moe.load import Load
    from mnpu_models_moe.moe_transformer import Mixture
    from mnpu_models_moe.routing import Router

    torch.manual_seed(0)
    layer = Mixture(
        Router(WIDTH, EXPERTS, CHOICES, capacity_factor=None, jitter=0.0),
        Experts(EXPERTS, WIDTH, HIDDEN),
        Load(EXPERTS, CHOICES, collapse_below=0.25),
    )
    own = layer.experts
    hidden = CHOICES * HIDDEN
    dense = nn.Sequential(nn.Linear(WIDTH, hidden), nn.GELU(), nn.Linear(hidden, WIDTH))
    x = torch.randn(1, tokens, WIDTH)

    def ours(x: Any) -> Any:
        return layer(x)[0]

    def every(x: Any) -> Any:
        routes = layer.router(x[0])
        return all_experts(x[0], routes.gates, routes.chosen, own.w1, own.b1, own.w2, own.b2)

    def loop(x: Any) -> Any:
        routes, y = layer.router(x[0]), torch.zeros_like(x[0])
        for e in range(EXPERTS):
            token, choice = torch.where(routes.chosen == e)
            inner = torch.nn.functional.gelu(torch.addmm(own.b1[e], x[0].index_select(0, token), own.w1[e]))
            y = y.index_add(0, token, torch.addmm(own.b2[e], inner, own.w2[e]) * routes.gates[token, choice, None])
        return y

    for other in (every, loop):
        torch.testing.assert_close(ours(x)[0], other(x), atol=1e-6, rtol=1e-5)

    def both(network: Callable[[Any], Any], parameters: list[Any]) -> Callable[[], None]:
        def run() -> None:
            for parameter in parameters:
                parameter.grad = None
            network(x.clone().requires_grad_()).sum().backward()

        return run

    sparse = list(layer.parameters())
    return {
        "mnpu": both(ours, sparse),
        DENSE: both(dense, list(dense.parameters())),
        LOOP: both(loop, sparse),
        ALL: both(every, sparse),
    }
