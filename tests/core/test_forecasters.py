"""Whole models against other libraries, closed forms and loops."""

from __future__ import annotations

import numpy as np
import pytest

from mnpu.errors import ConfigError, DataError, MnpuError, PluginError
from mnpu.forecasters import Regression, Windows
from mnpu.forecasters.ridge import Ridge
from mnpu.testing.forecasters import laws
from mnpu.types import LEVELS

pytest.importorskip("safetensors", reason="needs mnpu-core[train]")


def windows(rng, n, *, lookback=3, columns=4, horizons=2, weights=None, noise=0.5):
    rows = rng.standard_normal((n, lookback * columns)).astype(np.float32)
    weights = rng.standard_normal((lookback * columns, horizons)) if weights is None else weights
    y = rows @ weights + noise * rng.standard_normal((n, horizons))
    return Windows(rows, np.arange(n), lookback, y.astype(np.float32))


def two_ranges(rng, **shape):
    weights = rng.standard_normal((shape.get("lookback", 3) * shape.get("columns", 4), shape.get("horizons", 2)))
    return windows(rng, 400, weights=weights, **shape), windows(rng, 300, weights=weights, **shape)


# --- windows


def test_windows_are_views_of_runs_of_bars():
    bars = np.arange(20, dtype=np.float32).reshape(10, 2)  # ten bars, two columns
    rows = np.lib.stride_tricks.as_strided(bars, (8, 6), (8, 4))
    some = Windows(rows, np.array([0, 5]), 3)
    np.testing.assert_array_equal(some.whole(), [bars[0:3].ravel(), bars[5:8].ravel()])
    np.testing.assert_array_equal(some.last(), [bars[2], bars[7]])
    assert [len(part) for part in some.chunks(1)] == [1, 1]
    np.testing.assert_array_equal(some.take(np.array([1])).last(), [bars[7]])


# --- ridge


@pytest.mark.parametrize("inputs", ["last", "window"])
@pytest.mark.parametrize("alpha", [0.0, 3.0, 1e4])
def test_ridge_is_that_of_scikit_learn(rng, inputs, alpha):
    linear_model = pytest.importorskip("sklearn.linear_model")
    training, validation = two_ranges(rng)
    model = Ridge(inputs=inputs, alpha=alpha)
    model.fit(training, validation)
    x = training.last() if inputs == "last" else training.whole()
    held = validation.last() if inputs == "last" else validation.whole()
    theirs = linear_model.Ridge(alpha=alpha, solver="svd").fit(x.astype(float), training.targets)
    np.testing.assert_allclose(model.predict(validation), theirs.predict(held.astype(float)), rtol=0, atol=1e-9)


def test_the_width_is_that_of_errors_where_it_has_not_learnt(rng):
    training, validation = two_ranges(rng)
    model = Ridge(inputs="window", alpha=1.0)
    model.fit(training, validation)
    x = np.column_stack([np.ones(400), training.whole().astype(float)])
    penalty = np.diag([0.0, *np.ones(12)])
    weights = np.linalg.solve(x.T @ x + penalty, x.T @ training.targets)
    numbers = np.column_stack([np.ones(300), validation.whole().astype(float)]) @ weights
    errors = np.sort(validation.targets - numbers, axis=0)
    expected = numbers[:, :, None] + np.quantile(errors, LEVELS, axis=0).T
    np.testing.assert_allclose(model.forecast(validation), expected, atol=1e-8)


def test_the_penalty_is_the_best_one_of_the_validation_range(rng):
    training = windows(rng, 60, lookback=5, columns=10, horizons=1, noise=4.0)
    validation = windows(rng, 500, lookback=5, columns=10, horizons=1, weights=np.zeros((50, 1)), noise=4.0)
    model = Ridge(inputs="window")
    model.fit(training, validation)
    by_hand = []
    for power in (1.0, 0.5, 0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0):
        one = Ridge(inputs="window", alpha=60 * 10.0**power)
        one.fit(training, validation)
        by_hand.append((np.mean((validation.targets - one.predict(validation)) ** 2), one))
    best = min(by_hand, key=lambda pair: pair[0])[1]
    assert best is by_hand[0][1]  # nothing of the training range holds there: the largest penalty
    np.testing.assert_allclose(model.predict(validation), best.predict(validation), atol=1e-12)


def test_columns_that_do_not_vary_get_no_weight(rng):
    training, validation = two_ranges(rng)
    training.rows[:, -1] = 1.0
    training.rows[:, -2] = training.rows[:, -3]  # and twins share theirs
    model = Ridge(alpha=0.0)
    model.fit(training, validation)
    weights = model.models[0].weights
    assert abs(weights[-1]) < 1e-9
    assert weights[-2] == pytest.approx(weights[-3], abs=1e-9)


def test_chunks_change_nothing(rng, monkeypatch):
    from mnpu.forecasters import point, ridge

    training, validation = two_ranges(rng)
    outcomes = []
    for size in (4096, 7):
        monkeypatch.setattr(ridge, "CHUNK", size)
        monkeypatch.setattr(point, "CHUNK", size)
        model = Ridge(inputs="window", alpha=2.0)
        model.fit(training, validation)
        outcomes.append(model.forecast(validation))
    np.testing.assert_allclose(outcomes[0], outcomes[1], atol=1e-9)


# --- trees


def test_trees_are_those_of_the_library(rng):
    lightgbm = pytest.importorskip("lightgbm")
    from mnpu.forecasters.lightgbm import LightGBM

    training, validation = two_ranges(rng, horizons=1)
    model = LightGBM(trees=30, columns=1.0, min_leaf=20, lr=0.1, patience=30)
    model.fit(training, validation, seed=3)
    theirs = lightgbm.LGBMRegressor(
        n_estimators=30, learning_rate=0.1, num_leaves=15, min_child_samples=20, n_jobs=1, verbose=-1, random_state=3
    ).fit(training.last(), training.targets[:, 0])
    errors = [np.mean((validation.targets[:, 0] - stage) ** 2) for stage in _stages(theirs, validation.last(), 30)]
    best = 1 + int(np.argmin(errors))
    expected = theirs.predict(validation.last(), num_iteration=best)
    np.testing.assert_allclose(model.predict(validation)[:, 0], expected, atol=1e-9)


def _stages(model, x, n):
    return [model.predict(x, num_iteration=k) for k in range(1, n + 1)]


def test_trees_stop_where_the_validation_error_does(rng):
    pytest.importorskip("lightgbm")
    from mnpu.forecasters.lightgbm import LightGBM

    training, other = windows(rng, 300, horizons=1), windows(rng, 300, horizons=1)  # another law: nothing to learn
    model = LightGBM(trees=200, patience=5, min_leaf=5, lr=0.3)
    model.fit(training, other)
    assert model.models[0].booster.num_trees() <= 3


def test_a_missing_library_names_the_line_that_brings_it(monkeypatch):
    import sys

    from mnpu.forecasters.lightgbm import LightGBM

    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(PluginError, match=r'pip install "mnpu-core\[lightgbm\]"') as caught:
        LightGBM()
    assert caught.value.exit_code == 5


def test_changed_trees_are_refused(rng):
    pytest.importorskip("lightgbm")
    from mnpu.forecasters.lightgbm import LightGBM

    training, validation = two_ranges(rng)
    model = LightGBM(trees=3, min_leaf=20)
    model.fit(training, validation)
    files = {**model.save(), "trees-1.txt": b"tree\nnot at all"}
    with pytest.raises(DataError, match="the trees cannot be read"):
        LightGBM().load(files)


# --- what a stranger writes


def test_any_regression_of_scikit_learn_is_a_forecaster_in_a_few_lines(rng):
    linear_model = pytest.importorskip("sklearn.linear_model")

    class Elastic(Regression):
        """Elastic net on the last bar."""

        def estimator(self, *, seed, threads):
            return linear_model.ElasticNet(alpha=0.01, random_state=seed)

    assert [outcome for outcome in laws(Elastic) if not outcome.passed] == []


def test_what_pickle_alone_could_keep_is_refused_by_name(rng):
    tree = pytest.importorskip("sklearn.tree")

    class Tree(Regression):
        def estimator(self, *, seed, threads):
            return tree.DecisionTreeRegressor(random_state=seed)

    training, validation = two_ranges(rng)
    model = Tree()
    model.fit(training, validation)
    with pytest.raises(MnpuError, match="tree_ of DecisionTreeRegressor is a Tree, expected numbers, text or arrays"):
        model.save()


def test_only_what_was_learnt_is_read_back(rng):
    linear_model = pytest.importorskip("sklearn.linear_model")

    class Least(Regression):
        def estimator(self, *, seed, threads):
            return linear_model.LinearRegression()

    training, validation = two_ranges(rng)
    model = Least()
    model.fit(training, validation)
    files = {**model.save(), "regressions.json": b'{"0.predict": 3}'}
    with pytest.raises(DataError, match=r"regressions: it holds '0.predict', expected what 2 regressions have learnt"):
        Least().load(files)
    with pytest.raises(DataError, match=r"errors\.safetensors is not there, or not readable"):
        Least().load({})


def test_levels_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match=r"forecaster.levels: levels are \[0.5, 0.9\], expected strictly increasing"):
        Ridge(levels=(0.5, 0.9))


def test_forecasts_that_are_not_numbers_are_refused(rng):
    class Broken(Regression):
        def estimator(self, *, seed, threads):
            class Nothing:
                def fit(self, x, y):
                    return self

                def predict(self, x):
                    return np.full(len(x), np.nan)

            return Nothing()

    training, validation = two_ranges(rng)
    with pytest.raises(DataError, match="Broken: the regression's forecasts are not finite"):
        Broken().fit(training, validation)


# --- the laws find what breaks them


class InSample(Regression):
    """Remembers every window, and takes its own word for its errors."""

    def estimator(self, *, seed, threads):
        class Nearest:
            def fit(self, x, y):
                self.x_, self.y_ = np.asarray(x), np.asarray(y)
                return self

            def predict(self, x):
                nearest = [((self.x_ - row) ** 2).sum(axis=1).argmin() for row in x]
                return self.y_[nearest]

        return Nearest()

    def fit(self, training, validation, *, seed=0, threads=1):
        super().fit(training.take(slice(0, 300)), training.take(slice(0, 300)), seed=seed, threads=threads)


class Forgetful(Ridge):
    def load(self, files):
        super().load(files)
        self.errors = self.errors * 1.5


class Crossing(Ridge):
    def forecast(self, windows):
        return super().forecast(windows)[..., ::-1]


class Gossip(Ridge):
    def forecast(self, windows):
        quantiles = super().forecast(windows)
        return quantiles - quantiles.mean(axis=0) if len(quantiles) else quantiles


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (InSample, "keeps its levels on windows that it has not seen"),
        (Forgetful, "survives saving and loading, without pickle"),
        (Crossing, "quantiles never cross"),
        (Gossip, "a window's forecast does not depend on its neighbours"),
    ],
)
def test_the_laws_find_it(broken, law):
    assert law in [outcome.law for outcome in laws(broken) if not outcome.passed]
