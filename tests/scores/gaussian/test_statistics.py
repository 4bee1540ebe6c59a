"""Class statistics against plain sums, and shrinkage against scikit-learn's."""

import numpy as np
import pytest
from sklearn.covariance import OAS, LedoitWolf

from abstain import Mahalanobis
from abstain.scores.gaussian.statistics import ClassStatistics, ledoit_wolf_shrinkage, oas_shrinkage


def test_shrinkage_equals_that_of_scikit_learn_on_scaled_residuals(classes, rng):
    X, y = classes(rng, n=80, d=12)
    means = np.stack([X[y == k].mean(axis=0) for k in range(4)])
    scale = (X - means[y]).std(axis=0)
    residual = (X - means[y]) / scale
    within = residual.T @ residual / len(X)
    oas = OAS(assume_centered=True).fit(residual)
    np.testing.assert_allclose(oas_shrinkage(within, len(X)), oas.shrinkage_, rtol=1e-10)
    lw = LedoitWolf(assume_centered=True).fit(residual)
    assert 0 < lw.shrinkage_ < 0.5
    fourth = np.square(np.square(residual).sum(axis=1)).sum()
    np.testing.assert_allclose(ledoit_wolf_shrinkage(within, len(X), fourth), lw.shrinkage_, rtol=1e-10)
    new, at = rng.normal(size=(200, 12)), rng.integers(0, 4, 200)
    own = (new - means[at]) / scale
    expected = np.einsum("ij,ij->i", own @ np.linalg.inv(lw.covariance_), own)
    scorer = Mahalanobis(shrinkage="ledoit_wolf").fit(X, y)
    np.testing.assert_allclose(scorer.difficulty(new, at), expected, rtol=1e-10)
    assert oas_shrinkage(np.eye(3), 50) == ledoit_wolf_shrinkage(np.eye(3), 50, 1.0) == 1.0


def test_statistics_do_not_depend_on_the_shift(classes, rng):
    X, y = classes(rng, n=100)
    for shift in (np.zeros(6), X[0], X.mean(axis=0)):
        statistics = ClassStatistics.over([(X, y)], 4, shift=shift)
        np.testing.assert_allclose(statistics.mean, X.mean(axis=0))
        np.testing.assert_allclose(statistics.total / 100, np.cov(X.T, bias=True))


def test_sums_about_any_shifts_add_up_to_those_of_all_samples(classes, rng):
    X, y = classes(rng, n=100)
    whole = ClassStatistics.over([(X, y)], 4)
    one = ClassStatistics.over([(X[:30], y[:30])], 4, shift=X[1])
    for shift in (np.zeros(6), X[0], X[1], X.mean(axis=0)):
        other = ClassStatistics.over([(X[30:], y[30:])], 4, shift=shift)
        for merged in (one.merge(other), other.merge(one)):
            for name in ("counts", "mean", "offsets", "within", "total"):
                np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), atol=1e-9, err_msg=name)


@pytest.mark.parametrize(("precision", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_statistics_over_blocks_are_plain_sums(rng, precision, tolerance, classes):
    X, y = classes(rng, n=101)
    X, y = X.astype(np.float32)[:, ::-1], np.where(y == 3, 1, y)  # not contiguous; a class is absent
    blocks = [(X[i : i + 30], y[i : i + 30]) for i in range(0, 101, 30)]
    statistics = ClassStatistics.over(blocks, 4, precision=precision)
    wide, indicator = X.astype(np.float64), np.eye(4)[y]
    counts = indicator.sum(axis=0)
    means = indicator.T @ wide / np.maximum(counts, 1)[:, None]
    within, far = wide - means[y], wide - wide.mean(axis=0)
    np.testing.assert_array_equal(statistics.counts, counts)
    np.testing.assert_allclose(statistics.mean, wide.mean(axis=0), rtol=tolerance)
    np.testing.assert_allclose(statistics.within, within.T @ within, rtol=tolerance, atol=tolerance * 101)
    np.testing.assert_allclose(statistics.total, far.T @ far, rtol=tolerance, atol=tolerance * 101)
    np.testing.assert_array_equal(statistics.scatter, statistics.scatter.T)


def test_shrinkage_does_not_depend_on_the_unit(rng):
    rows = rng.normal(size=(40, 5)) * np.geomspace(1, 9, 5)
    oas = OAS(assume_centered=True).fit(rows).shrinkage_
    lw = LedoitWolf(assume_centered=True).fit(rows).shrinkage_
    assert 0 < min(oas, lw) < max(oas, lw) < 1
    for unit in (1e-6, 1e-3, 1.0, 1e6):
        scaled = unit * rows
        fourth = np.square(np.square(scaled).sum(axis=1)).sum()
        np.testing.assert_allclose(oas_shrinkage(scaled.T @ scaled / 40, 40), oas, rtol=1e-9)
        np.testing.assert_allclose(ledoit_wolf_shrinkage(scaled.T @ scaled / 40, 40, fourth), lw, rtol=1e-9)


@pytest.mark.parametrize("n", [2, 3, 6, 12])
def test_shrinkage_of_few_rows_is_that_of_scikit_learn(n, rng):
    rows = rng.normal(size=(n, 8))
    fourth = np.square(np.square(rows).sum(axis=1)).sum()
    lw = LedoitWolf(assume_centered=True).fit(rows).shrinkage_
    assert ledoit_wolf_shrinkage(rows.T @ rows / n, n, fourth) == pytest.approx(lw)
    assert oas_shrinkage(rows.T @ rows / n, n) == pytest.approx(OAS(assume_centered=True).fit(rows).shrinkage_)


@pytest.mark.parametrize("offset", [0.0, 1e-3, 1e3])
def test_variances_by_definition_and_of_constants(offset, classes, rng):
    """Within classes; of all samples where that is nothing; and 1 where nothing varies, up to rounding."""
    X, y = classes(rng, n=200)
    X += offset - X.mean(axis=0)
    X[:, 0], X[:, 1] = y, offset / 3
    statistics = ClassStatistics.over([(X, y)], 4, shift=np.zeros(6))
    means = np.stack([X[y == k].mean(axis=0) for k in range(4)])
    within = (X - means[y]).var(axis=0)
    np.testing.assert_allclose(statistics.variances, [y.var(), 1.0, *within[2:]], rtol=1e-6)
