"""A column that a fold has not seen is left out of that fold, loudly, or stops the run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mnpu.data.unseen import unseen_columns, unseen_notes
from mnpu.errors import DataError
from mnpu.types import Fold, Split

from .training_world import World, make_world


@pytest.fixture
def world(rng: np.random.Generator) -> World:
    return make_world(rng)


@pytest.fixture
def split(world: World) -> Split:
    folds = (Fold(0, (0, 100), (100, 120), (120, 150)), Fold(1, (0, 150), (150, 170), (170, 200)))
    return Split(folds, purge_bars=0, embargo_bars=0, times=world.frame.times)


def late(world: World, first: int, value: float | None = None):
    values = world.frame.values.copy()
    values[:first, :, 1] = np.nan
    if value is not None:
        values[first:, :, 1] = value
    return replace(world.frame, values=values)


def test_what_every_fold_has_seen_is_left_out_of_none(world: World, split: Split) -> None:
    assert unseen_columns(world.frame, split) == {}


def test_a_column_that_begins_late_is_left_out_of_the_folds_before(world: World, split: Split) -> None:
    name = world.frame.names[1]
    unseen = unseen_columns(late(world, 120), split)
    assert unseen == {0: (name,)}
    (note,) = unseen_notes(unseen)
    assert note.startswith(f"{name} has fewer than two different values in the training range of fold 1 and")


def test_one_value_is_as_good_as_none(world: World, split: Split) -> None:
    with pytest.raises(DataError, match=r"fewer than two different values in the training range of any fold"):
        unseen_columns(late(world, 90, value=0.5), split)


def test_the_frame_of_a_fold_holds_the_other_columns_as_they_were(world: World) -> None:
    names = [name for name in world.frame.names if name != world.frame.names[1]]
    less = world.frame.only(names)
    assert less.names == tuple(names)
    np.testing.assert_array_equal(less.values, np.delete(world.frame.values, 1, axis=-1))
    assert world.frame.only(world.frame.names) is world.frame
