"""Difficulty of training samples, each left out, against brute-force refits."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from abstain import Mahalanobis, RelativeMahalanobis
from abstain.warnings import RareClassWarning

KINDS = [Mahalanobis, RelativeMahalanobis]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shrinkage", [0.0, 0.3])
def test_leave_one_out_equals_a_refit(kind, shrinkage, classes, rng):
    X, y = classes(rng, n=60, d=5, k=3)
    scorer = kind(shrinkage=shrinkage, loo=True).fit(X, y)
    means = np.stack([X[y == k].mean(axis=0) for k in range(3)])
    level = np.diag((X - means[y]).var(axis=0))

    def refitted(i):
        rest = np.arange(len(y)) != i
        A, b = X[rest], y[rest]
        means = np.stack([A[b == k].mean(axis=0) for k in range(3)])
        within = (A - means[b]).T @ (A - means[b]) / len(A)
        shrunk = (1 - shrinkage) * within + shrinkage * level
        own, far = X[i] - means[y[i]], X[i] - A.mean(axis=0)
        q = own @ np.linalg.solve(shrunk, own)
        if kind is RelativeMahalanobis:
            q -= far @ np.linalg.solve(shrunk + np.cov(A.T, bias=True) - within, far)
        return q

    np.testing.assert_allclose(scorer.training_difficulty(X, y), [refitted(i) for i in range(60)], rtol=1e-9)


@pytest.mark.parametrize(("shrinkage", "in_sample", "left_out"), [(1e-6, 0.775, 0.97), (0.1, 0.97, 0.99)])
def test_leave_one_out_finds_flipped_labels(shrinkage, in_sample, left_out, rng):
    """The digest's toy, 200 samples of 300 features, 10 % flipped: .775 and .992 (ridge 1e-6), .935 and .999 (0.1)."""
    found = {False: [], "auto": []}
    for _ in range(4):
        y = np.arange(200) % 20
        X = rng.normal(size=(200, 300)) + 0.5 * rng.normal(size=(20, 300))[y]
        flipped = rng.random(200) < 0.1
        labels = np.where(flipped, (y + rng.integers(1, 20, 200)) % 20, y)
        for loo, areas in found.items():
            scorer = RelativeMahalanobis(loo=loo, shrinkage=shrinkage).fit(X, labels)
            areas.append(roc_auc_score(flipped, scorer.training_difficulty(X, labels)))
    assert np.mean(found[False]) == pytest.approx(in_sample, abs=0.04)
    assert np.mean(found["auto"]) > left_out - 0.02
    assert np.mean(found["auto"]) > np.mean(found[False])


def test_loo_auto_depends_on_the_samples_there_are(classes, rng):
    X, y = classes(rng, n=2000, d=4)
    scorer = RelativeMahalanobis().fit(X, y)
    np.testing.assert_array_equal(scorer.training_difficulty(X, y), scorer.difficulty(X, y))
    few = RelativeMahalanobis().fit(X[:100], y[:100])
    assert (few.training_difficulty(X[:100], y[:100]) != few.difficulty(X[:100], y[:100])).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("counts", "d", "left_out"),
    [((50, 50), 2, False), ((51, 49), 2, True), ((75, 75), 3, False), ((75, 74), 3, True), ((75, 75), 4, True)],
)
def test_samples_are_left_out_where_fewer_than_fifty_are_there_a_feature_or_in_a_class(kind, counts, d, left_out, rng):
    X, y = rng.normal(size=(sum(counts), d)), np.repeat([0, 1], counts)
    scorer = kind().fit(X, y)
    expected = kind(loo=left_out).fit(X, y).training_difficulty(X, y)
    np.testing.assert_array_equal(scorer.training_difficulty(X, y), expected)
    assert (expected != scorer.difficulty(X, y)).any() == left_out


def test_a_sample_alone_in_its_class_is_the_hardest(classes, rng):
    X, y = classes(rng, n=200)
    y[17] = 9
    scorer = RelativeMahalanobis().fit(X, y)
    with pytest.warns(RareClassWarning, match="1 samples are alone"):
        difficulty = scorer.training_difficulty(X, y)
    assert np.isfinite(difficulty).all()
    assert difficulty[17] == difficulty.max()


def test_a_removal_that_leaves_a_singular_covariance_is_an_error(rng):
    """One sample alone has a feature: without it that feature has no variance, and its distance would be -1e17."""
    X, y = rng.normal(size=(400, 6)), np.arange(400) % 2
    X[:, 5] = 0
    X[7, 5] = 1
    for kind in KINDS:
        with pytest.raises(ValueError, match="without 1 of these samples the covariance is singular"):
            kind(shrinkage=0.0, loo=True).fit(X, y).training_difficulty(X, y)
        assert np.isfinite(kind(shrinkage=0.1, loo=True).fit(X, y).training_difficulty(X, y)).all()
