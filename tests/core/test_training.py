"""Fit and forecast: they learn what is there, see nothing that they must not, repeat themselves, and clean up."""

from __future__ import annotations

import random
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mnpu import training
from mnpu.errors import ConfigError, DataError, MnpuError
from mnpu.nn.linear import Linear
from mnpu.nn.omni import Omni
from mnpu.nn.quantile import Quantile
from mnpu.training import Fitted
from mnpu.training.batches import OrderedBatches, ShuffledBatches, gather
from mnpu.training.reproducible import n_threads
from mnpu.training.rows import copy_rows
from mnpu.types import Fold, Forecast
from tests.core.training_world import FOLD, World, fit, make_world, rank_ic, settings


@pytest.fixture
def world(rng: np.random.Generator) -> World:
    return make_world(rng)


def forecast(fitted: Fitted, world: World, **options: int) -> Forecast:
    return training.forecast(fitted, world.frame, rows=FOLD.test, **options)


def weights(fitted: Fitted) -> dict[str, Tensor]:
    return fitted.network.state_dict()


def same(a: Fitted, b: Fitted) -> bool:
    return all(torch.equal(weights(a)[name], weights(b)[name]) for name in weights(a))


def test_windows_are_the_slices_of_their_symbol(rng: np.random.Generator) -> None:
    scaled = rng.standard_normal((30, 4, 3)).astype("float32")
    time, symbol = np.array([4, 29, 4, 17]), np.array([0, 3, 2, 1])
    windows = gather(scaled, time, symbol, lookback=5, y=np.arange(4.0)[:, None])
    batch = windows.batch(torch.tensor([2, 0, 1]))
    for row, (t, a) in enumerate([(4, 2), (4, 0), (29, 3)]):
        np.testing.assert_array_equal(batch.x[row].numpy(), scaled[t - 4 : t + 1, a])
    assert batch.y[:, 0].tolist() == [2.0, 0.0, 1.0]
    assert (batch.time.tolist(), batch.symbol.tolist()) == ([4, 4, 29], [2, 0, 3])


@pytest.mark.parametrize("threads", [1, 2])
def test_batches_that_are_written_over_the_last_one_are_the_same(rng: np.random.Generator, threads: int) -> None:
    scaled = rng.standard_normal((50, 3, 4)).astype("float32")
    time, symbol = (index.ravel() for index in np.indices((50, 3)))
    windows = gather(scaled, time[time >= 6], symbol[time >= 6], lookback=7, y=np.zeros((44 * 3, 1)))
    batches = ShuffledBatches(windows, 16, max_steps=None, seed=1)
    with n_threads(threads):
        for fresh, written in zip(batches.of_epoch(2, skip=1), batches.of_epoch(2, skip=1, reuse=True), strict=True):
            assert torch.equal(fresh.x, written.x)
            for row in range(16):
                t, a = int(written.time[row]), int(written.symbol[row])
                np.testing.assert_array_equal(written.x[row].numpy(), scaled[t - 6 : t + 1, a])


@pytest.mark.parametrize("width", [1, 5, 127, 128, 130, 1000, 1025, 3001])  # of 4 bytes; pieces are 128 of them
@pytest.mark.parametrize("step", [1, 3, 4000])
def test_rows_are_copied_as_numpy_takes_them_and_nothing_else_is_written(
    rng: np.random.Generator, width: int, step: int
) -> None:
    flat = rng.standard_normal(20 * step + width).astype("float32")
    rows = np.lib.stride_tricks.sliding_window_view(flat, width)[::step]
    first = rng.integers(0, len(rows), 37)
    first[:2] = 0, len(rows) - 1
    into = torch.full((40, width), 7.0)
    source = torch.from_numpy(flat).as_strided(rows.shape, (step, 1))
    found = copy_rows(source, torch.from_numpy(first), into)
    np.testing.assert_array_equal(found.numpy(), rows[first])
    assert found.data_ptr() == into.data_ptr()
    assert (into[37:] == 7).all()


def test_no_rows_and_empty_rows_are_copied_too() -> None:
    none, rows = torch.zeros(0, dtype=torch.int64), torch.zeros(4, 3)
    assert copy_rows(rows, none, torch.zeros(2, 3)).shape == (0, 3)
    assert copy_rows(rows[:, :0], none.new_tensor([1, 2]), torch.zeros(2, 0)).shape == (2, 0)


def test_an_epoch_shows_no_window_twice_and_the_next_has_another_order(rng: np.random.Generator) -> None:
    windows = gather(
        rng.standard_normal((50, 2, 1)).astype("float32"), np.arange(10, 40), np.zeros(30, int), lookback=3
    )
    batches = ShuffledBatches(windows, 8, max_steps=None, seed=1)
    first, second = ([batch.time for batch in batches] for _ in range(2))
    assert [len(times) for times in first] == [8, 8, 8]
    assert len(torch.cat(first).unique()) == 24
    assert torch.cat(first).tolist() != torch.cat(second).tolist()
    again = [batch.time for batch in ShuffledBatches(windows, 8, max_steps=2, seed=1)]
    assert torch.cat(again).tolist() == torch.cat(first)[:16].tolist()
    assert [len(batch.time) for batch in OrderedBatches(windows, 20)] == [20, 10]


@pytest.mark.parametrize("backbone", [Linear, Omni])
def test_a_planted_signal_is_recovered(backbone: type, world: World) -> None:
    fitted = fit(world, backbone=backbone)
    learnt = forecast(fitted, world)
    assert rank_ic(learnt.median(), world.labels.values[..., 0]) > 0.6
    start = training.forecast(
        fit(world, backbone=backbone, train=settings(epochs=1, lr=1e-9)), world.frame, rows=FOLD.test
    )
    assert _pinball(learnt, world) < 0.8 * _pinball(start, world)


@pytest.mark.parametrize("backbone", [Linear, Omni])
def test_where_there_is_no_signal_none_is_found(backbone: type, rng: np.random.Generator) -> None:
    world = make_world(rng, signal=0.0)
    found = rank_ic(forecast(fit(world, backbone=backbone), world).median(), world.labels.values[..., 0])
    assert abs(found) < 4 / np.sqrt(170 * 6)  # four standard errors of a rank correlation


def test_intervals_cover_fresh_outcomes(world: World) -> None:
    quantiles = forecast(fit(world), world).quantiles[slice(*FOLD.test), :, 0]
    truth = world.labels.values[slice(*FOLD.test), :, 0]
    inside = ((truth >= quantiles[..., 0]) & (truth <= quantiles[..., -1])).mean()
    assert 0.85 < inside < 0.95


def test_the_same_arguments_give_the_same_bits(world: World) -> None:
    first, second = fit(world), fit(world)
    assert same(first, second)
    np.testing.assert_array_equal(forecast(first, world).quantiles, forecast(second, world).quantiles)


def test_the_seed_and_the_fold_choose_the_weights(world: World) -> None:
    assert not same(fit(world), fit(world, seed=8))
    assert not same(fit(world), fit(world, fold=replace(FOLD, number=4)))


def test_a_test_period_ten_times_as_large_changes_nothing_that_is_fitted(world: World) -> None:
    values = world.frame.values.copy()
    values[FOLD.test[0] :] *= 10
    labels = world.labels.values.copy()
    labels[FOLD.test[0] :] *= 10
    changed = World(replace(world.frame, values=values), replace(world.labels, values=labels))
    before, after = fit(world), fit(changed)
    assert same(before, after)
    assert before.scaler.to_dict() == after.scaler.to_dict()
    np.testing.assert_array_equal(before.target_scale, after.target_scale)


def test_purged_labels_and_bars_before_the_training_range_are_never_seen(world: World) -> None:
    fold = Fold(number=0, train=(100, 600), validation=(605, 725), test=(730, 900))
    values, labels = world.frame.values.copy(), world.labels.values.copy()
    values[:100] = 1e3
    labels[:100] = 1e3
    labels[600:605] = 1e3
    labels[725:730] = 1e3
    changed = World(replace(world.frame, values=values), replace(world.labels, values=labels))
    assert same(fit(world, fold=fold), fit(changed, fold=fold))


def test_the_first_training_window_begins_with_the_training_range(world: World) -> None:
    labels = world.labels.values.copy()
    fold = Fold(number=0, train=(100, 600), validation=(605, 725), test=(730, 900))
    labels[100:107] = 1e3  # windows of 8 bars that end here would begin before the range
    changed = World(world.frame, replace(world.labels, values=labels))
    assert same(fit(world, fold=fold), fit(changed, fold=fold))
    labels[107] = 1e3
    assert not same(fit(world, fold=fold), fit(changed, fold=fold))


def test_the_weights_of_the_best_epoch_are_kept(world: World) -> None:
    """Far too high a rate makes later epochs worse; the kept weights reproduce the smallest validation loss."""
    fitted = fit(world, backbone=Omni, train=settings(lr=1.0, epochs=8, patience=8))
    losses = [epoch.validation for epoch in fitted.history]
    assert losses.index(min(losses)) < len(losses) - 1
    validated = training.forecast(fitted, world.frame, rows=FOLD.validation)
    computed = _pinball(validated, world, rows=FOLD.validation) / fitted.target_scale[0]
    assert computed == pytest.approx(min(losses), rel=1e-5)


def test_it_stops_when_validation_has_not_improved_for_patience_epochs(rng: np.random.Generator) -> None:
    history = fit(make_world(rng, signal=0.0), train=settings(epochs=40, patience=2, lr=0.02)).history
    losses = [epoch.validation for epoch in history]
    assert len(history) < 40
    assert losses.index(min(losses)) == len(losses) - 3


def test_steps_of_an_epoch_can_be_limited(world: World) -> None:
    seen: list[int] = []

    class Counting(Quantile):
        def loss(self, h: Tensor, y: Tensor) -> Tensor:
            seen.append(len(y)) if self.training else None
            return super().loss(h, y)

    fit(world, head=Counting, train=settings(epochs=2, max_steps_per_epoch=3))
    assert seen == [128] * 6


def test_forecasts_do_not_depend_on_the_batch_size(world: World) -> None:
    fitted = fit(world, backbone=Omni)
    together, alone = forecast(fitted, world, batch_size=4096), forecast(fitted, world, batch_size=1)
    np.testing.assert_allclose(together.quantiles, alone.quantiles, atol=1e-6 * fitted.target_scale[0])


def test_the_last_lookback_rows_are_enough_for_the_last_decision(world: World) -> None:
    fitted = fit(world, backbone=Omni)
    whole = forecast(fitted, world)
    for stop in (740, 799, 900):
        cut = slice(stop - 8, stop)
        frame = replace(
            world.frame,
            times=world.frame.times[cut],
            values=world.frame.values[cut],
            tradable=world.frame.tradable[cut],
        )
        last = training.forecast(fitted, frame, rows=(7, 8))
        np.testing.assert_allclose(last.quantiles[-1], whole.quantiles[stop - 1], atol=1e-8)


def test_forecasts_are_in_units_of_the_label_and_scale_with_it(world: World) -> None:
    larger = World(world.frame, replace(world.labels, values=1024 * world.labels.values))
    small, large = forecast(fit(world), world), forecast(fit(larger), larger)
    np.testing.assert_allclose(large.quantiles, 1024 * small.quantiles, rtol=1e-4, atol=1e-3)


def test_there_is_no_forecast_where_no_window_is_usable(world: World) -> None:
    values, tradable = world.frame.values.copy(), world.frame.tradable.copy()
    values[800:, 2] = np.nan  # present cells fall below 80 % from the second missing bar of 8 on
    tradable[850, 4] = False
    gappy = replace(world.frame, values=values, tradable=tradable)
    available = training.forecast(fit(world), gappy, rows=FOLD.test).available
    expected = np.zeros((900, 6), dtype=bool)
    expected[730:] = True
    expected[801:, 2] = False
    expected[850, 4] = False
    np.testing.assert_array_equal(available, expected)


def test_gaps_in_training_reach_the_network_as_masks(world: World) -> None:
    values = world.frame.values.copy()
    values[50:300:7, :, 1] = np.nan
    gappy = World(replace(world.frame, values=values), world.labels)
    fitted = fit(gappy)
    assert fitted.scaler.n_columns == 5
    assert fitted.network.backbone.n_features == 5
    assert np.isfinite(forecast(fitted, gappy).quantiles[slice(*FOLD.test)]).all()


def test_every_horizon_has_its_own_quantiles(rng: np.random.Generator) -> None:
    world = make_world(rng, horizons=2)
    labels = world.labels.values * np.array([1.0, -3.0])
    world = World(world.frame, replace(world.labels, values=labels))
    result = forecast(fit(world), world)
    assert result.quantiles.shape == (900, 6, 2, 7)
    assert (np.diff(result.quantiles[slice(*FOLD.test)], axis=-1) >= 0).all()
    assert [rank_ic(result.median(h), labels[..., h]) > 0.6 for h in (0, 1)] == [True, True]


def test_decisions_of_the_training_range_are_refused(world: World) -> None:
    with pytest.raises(DataError, match="would be scored with a scaler fitted up to"):
        training.forecast(fit(world), world.frame, rows=(599, 700))


def test_other_columns_are_refused(world: World) -> None:
    renamed = replace(world.frame, names=("a", *world.frame.names[1:]))
    with pytest.raises(DataError, match="expected those of the fit"):
        training.forecast(fit(world), renamed, rows=FOLD.test)


def test_a_fold_without_windows_says_which_setting_to_change(world: World) -> None:
    with pytest.raises(DataError, match=r"fold 4: no usable window in the training range .* model.lookback, 700 bars"):
        fit(world, lookback=700)
    begin, end = (f"{world.frame.times[row]:%Y-%m-%d}" for row in (FOLD.train[0], FOLD.train[1] - 1))
    with pytest.raises(DataError, match=f"in the training range {begin} to {end}: the range is shorter"):
        fit(world, lookback=700)
    sparse = world.frame.values.copy()
    sparse[..., 1] = np.nan
    sparse[0, :, 1] = 1.0
    with pytest.raises(DataError, match=r"fold 4: no usable window .* model.min_present asks for 80%"):
        fit(World(replace(world.frame, values=sparse), world.labels))


def test_a_target_without_values_is_refused(world: World) -> None:
    nothing = replace(world.labels, values=np.full_like(world.labels.values, np.nan))
    with pytest.raises(DataError, match=r"fold 4: no usable window .* forward_return has no value"):
        fit(World(world.frame, nothing))


def test_a_target_without_spread_is_refused(world: World) -> None:
    constant = replace(world.labels, values=np.zeros_like(world.labels.values))
    with pytest.raises(DataError, match="fold 4: the target forward_return has a standard deviation of"):
        fit(World(world.frame, constant))


def test_a_feature_without_values_in_training_is_refused_by_name(world: World) -> None:
    values = world.frame.values.copy()
    values[:600, :, 2] = np.nan
    with pytest.raises(DataError, match=r"fold 4: noise.f2 has no value in the training range 2000-01-03"):
        fit(World(replace(world.frame, values=values), world.labels))


def test_a_loss_that_is_not_a_number_ends_the_fit(world: World) -> None:
    class Broken(Quantile):
        def loss(self, h: Tensor, y: Tensor) -> Tensor:
            return super().loss(h, y) * torch.nan

    with pytest.raises(MnpuError, match=r"fold 4: the training loss is nan in epoch 1.*Lower train.lr"):
        fit(world, head=Broken)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"device": "tpu"}, "runtime.device is 'tpu'"),
        ({"train": settings(precision=64)}, "train.precision is 64, expected 32, bf16 or 16"),
        ({"train": settings(precision=16)}, "train.precision is 16 on a cpu, expected 32 or bf16"),
        ({"train": settings(optimizer="sdg")}, "train.optimizer is 'sdg', expected one of adamw, adam, sgd, lion"),
    ],
)
def test_impossible_settings_are_refused_by_name(world: World, changed: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit(world, **changed)


def test_an_interrupt_ends_the_fit_as_an_interrupt_and_can_be_repeated(world: World) -> None:
    class Interrupted(Quantile):
        def loss(self, h: Tensor, y: Tensor) -> Tensor:
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(world, head=Interrupted)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("outcome", ["finished", "failed"])
def test_a_fit_leaves_the_process_as_it_was(world: World, outcome: str) -> None:
    class Broken(Quantile):
        def loss(self, h: Tensor, y: Tensor) -> Tensor:
            return super().loss(h, y) * torch.nan

    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    before = _process_state()
    if outcome == "finished":
        fit(world, threads=2, train=settings(epochs=1, max_steps_per_epoch=2))
    else:
        with pytest.raises(MnpuError):
            fit(world, head=Broken, threads=2)
    assert _process_state() == before


def test_a_fit_is_silent_and_leaves_no_files(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fit(world, progress=True)  # standard error is no terminal here
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def _process_state() -> list[object]:
    return [
        torch.random.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),
        random.getstate(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
        torch.backends.cudnn.benchmark,
        torch.is_grad_enabled(),
        signal.getsignal(signal.SIGTERM),
    ]


def _pinball(forecast: Forecast, world: World, *, rows: tuple[int, int] = FOLD.test) -> float:
    quantiles, truth = forecast.quantiles[slice(*rows), :, 0], world.labels.values[slice(*rows), :, 0]
    error = truth[..., None] - quantiles
    levels = np.array(forecast.levels)
    return float(np.where(error > 0, levels * error, (levels - 1) * error).mean())
