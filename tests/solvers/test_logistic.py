"""Many small logistic regressions at once are those that scikit-learn fits one by one."""

import tracemalloc

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from abstain.solvers.logistic import fit_logistic, fit_ridged, platt_targets


@pytest.mark.parametrize("rising", [True, False])
@pytest.mark.parametrize("size", [0.1, 1.0, 30.0, 1e3, 1e6])
@pytest.mark.parametrize("n", [3, 20, 500])
def test_a_fit_with_bounds_is_where_no_step_gains(n, size, rising, rng):
    """At the minimum slopes are zero, or point out at a bound; columns that agree, or that a line parts, are legal."""
    odds = size * rng.normal(size=n)
    for columns in (odds[:, None], np.column_stack([odds, odds**2]), np.column_stack([odds, 2 * odds, -odds])):
        true = rng.random(n) < expit(np.where(rng.random(n) < 0.5, odds, -odds) / size)
        target, weight = platt_targets(true), rng.uniform(0.1, 1, n)
        weights, intercept = fit_logistic(columns, target, weight, rising=rising)
        pull = weight / weight.sum() * (expit(columns @ weights + intercept) - target)
        slopes = pull @ (columns - columns.mean(axis=0)) / columns.std(axis=0)
        assert pull.sum() == pytest.approx(0, abs=1e-5)
        if rising:
            assert (weights > 0).all()
            assert (slopes >= -1e-5).all()
            slopes = slopes[weights * columns.std(axis=0) > 2e-6]
        np.testing.assert_allclose(slopes, 0, atol=1e-5)


@pytest.mark.parametrize("scale", [0.3, 3.0, 50.0])
def test_each_is_that_of_scikit_learn(scale, rng):
    columns = rng.normal(size=(200, 3)) * [1.0, 0.5, 2.0]
    true = rng.random(200) < expit(scale * columns[:, 0] - 1)
    weight, fold, without = rng.random(200), np.arange(200) % 5, np.array([0, 3, 3, 9])
    ridges = np.array([1.0, 0.5, 1e-3, 1e3])
    coefficients, intercepts = fit_ridged(columns, true, weight, ridges, fold=fold, without=without)
    for i, ridge in enumerate(ridges):
        model = LogisticRegression(C=1 / ridge, tol=1e-12, max_iter=10_000, solver="newton-cholesky")
        model.fit(columns, true, sample_weight=weight * (fold != without[i]))
        np.testing.assert_allclose(coefficients[:, i], model.coef_[0], rtol=1e-5, atol=1e-7)
        assert intercepts[i] == pytest.approx(model.intercept_[0], rel=1e-5, abs=1e-7)


def test_classes_that_a_line_parts_end_where_the_ridge_holds_them(rng):
    columns = np.concatenate([rng.normal(-5, 1, 40), rng.normal(5, 1, 40)])[:, None]
    true = np.arange(80) >= 40
    for ridge in (1e-6, 1.0):
        (slope,), (intercept,) = (part.ravel() for part in fit_ridged(columns, true, np.ones(80), np.array([ridge])))
        pull = columns[:, 0] @ (expit(slope * columns[:, 0] + intercept) - true)
        assert pull == pytest.approx(-ridge * slope, rel=1e-3)


def test_a_fit_without_samples_or_of_one_constant_column_is_finite():
    columns, true = np.ones((30, 2)), np.arange(30) % 3 == 0
    fold = {"fold": np.zeros(30), "without": np.array([1, 0])}  # the second is left without any
    coefficients, intercepts = fit_ridged(columns, true, np.ones(30), np.ones(2), **fold)
    assert np.isfinite(coefficients).all()
    assert coefficients[:, 0].sum() + intercepts[0] == pytest.approx(np.log(0.5), rel=1e-6)
    assert coefficients[:, 1].tolist() == [0.0, 0.0]


def test_blocks_change_nothing_and_keep_the_memory_of_one(rng):
    """Many fits go through in more blocks of samples than a few."""
    columns, true = rng.normal(size=(5000, 3)), rng.random(5000) < 0.4
    weight, ridges = rng.random(5000), np.array([1.0, 10.0])
    whole = fit_ridged(columns, true, weight, ridges)
    for mine, other in zip(fit_ridged(columns, true, weight, np.tile(ridges, 150)), whole, strict=True):
        np.testing.assert_allclose(mine, np.tile(other, 150), rtol=1e-9)
    columns, true, ridges = rng.normal(size=(200_000, 2)), rng.random(200_000) < 0.4, np.full(35, 1.0)
    tracemalloc.start()
    fit_ridged(columns, true, np.ones(200_000), ridges, max_iter=2)
    assert tracemalloc.get_traced_memory()[1] < 2e7  # the outputs of all fits would be 56 MB
    tracemalloc.stop()
