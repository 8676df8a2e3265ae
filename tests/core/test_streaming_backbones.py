"""Every backbone that says it streams: bar by bar it gives what one pass gives, and no bar costs more than another."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tests.core.test_conformance import COMPONENTS, first_party

torch = pytest.importorskip("torch", reason="a network needs the train extra")
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

LOOKBACK, FEATURES, BATCH = 24, 5, 2
LONG = 10 * LOOKBACK
DRIFT = 2000

BACKBONES = {c.canonical: first_party().load(c.kind, c.canonical) for c in COMPONENTS if c.kind == "backbone"}
STREAMING = {name: cls for name, cls in BACKBONES.items() if cls.streams}
EACH = pytest.mark.parametrize("name", STREAMING)


class Work(TorchDispatchMode):
    """Every operation that reaches a kernel, with the shapes that it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[str, list[tuple[int, ...]]]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.done.append((str(function), [tuple(value.shape) for value in tensors(args)]))
        return function(*args, **(kwargs or {}))


def make(name: str) -> Any:
    torch.manual_seed(0)
    return STREAMING[name](n_features=FEATURES, lookback=LOOKBACK).eval()


def make_bars() -> Any:
    return torch.randn(BATCH, LONG, FEATURES, generator=torch.Generator().manual_seed(1))


def tensors(tree: Any) -> list[Any]:
    return [leaf for leaf in torch.utils._pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def steps(module: Any, x: Any) -> Iterator[tuple[Any, Any]]:
    """What each step gives, and the state after it."""
    state = module.initial_state(len(x))
    for t in range(x.shape[1]):
        h, state = module.step(x[:, t], state)
        yield h, state


def test_some_of_them_stream_and_some_do_not() -> None:
    assert {"gru", "tcn"} & set(BACKBONES) <= set(STREAMING)
    assert not {"linear", "dlinear"} & set(STREAMING)


@EACH
@torch.no_grad()
def test_steps_equal_one_pass_over_ten_lookbacks(name: str) -> None:
    module, x = make(name), make_bars()
    found = torch.stack([h for h, _ in steps(module, x)], dim=1)
    torch.testing.assert_close(found, module(x), rtol=1e-4, atol=1e-5)


@EACH
@torch.no_grad()
def test_steps_do_not_drift(name: str) -> None:
    """Against one pass in float64, which computes another way: late steps are as exact as early ones.

    Over 10,000 steps the outputs, whose deviation is 1 or less, are off by 6e-6 at the most, and after 1,000 no more.
    """
    module, x = make(name), torch.randn(BATCH, DRIFT, FEATURES, generator=torch.Generator().manual_seed(2))
    found = torch.stack([h for h, _ in steps(module, x)], dim=1)
    off = (found.double() - module.double()(x.double())).abs().amax(dim=(0, 2))  # (L,)
    assert float(off.max()) < 2e-5
    assert float(off[-DRIFT // 4 :].max()) < 4 * float(off[: DRIFT // 4].max())


@EACH
@torch.no_grad()
def test_a_step_after_ten_times_more_history_does_the_same_work(name: str) -> None:
    module, x = make(name), make_bars()
    work = []
    for t, (_, state) in enumerate(steps(module, x)):
        if t in (LOOKBACK - 1, LONG - 2):
            with Work() as seen:
                module.step(x[:, t + 1], copy.deepcopy(state))
            work.append(seen.done)
    assert len(work[0]) > 3
    assert work[0] == work[1]


@EACH
@torch.no_grad()
def test_the_state_keeps_its_size_and_not_the_history(name: str) -> None:
    module, x = make(name), make_bars()
    leaves = [tensors(state) for _, state in steps(module, x)]
    shapes = {tuple(tuple(leaf.shape) for leaf in state) for state in leaves}
    held = {sum(leaf.untyped_storage().nbytes() for leaf in state) for state in leaves[1:]}
    assert len(shapes) == 1
    assert len(held) == 1  # a view of all that came before would have the right shape, and grow


@EACH
@torch.no_grad()
def test_a_state_can_be_kept_and_gone_on_from(name: str) -> None:
    module, x, whole, kept = make(name), make_bars()[:, : LOOKBACK + 5], [], None
    for t, (h, state) in enumerate(steps(module, x)):
        whole.append(h)
        kept = copy.deepcopy(state) if t == LOOKBACK - 1 else kept  # a step may use up the state that it is given
    for t in range(LOOKBACK, LOOKBACK + 5):
        h, kept = module.step(x[:, t], kept)
        assert torch.equal(h, whole[t])
