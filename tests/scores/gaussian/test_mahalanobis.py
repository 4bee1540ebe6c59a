"""Mahalanobis distances against SciPy, brute-force refits, scikit-learn's shrinkage, and published mistakes."""

import numpy as np
import pytest
from made import made_view
from scipy.linalg import null_space
from scipy.spatial.distance import mahalanobis
from scipy.stats import spearmanr

from abstain import Mahalanobis, RelativeMahalanobis, SelectiveClassifier
from abstain.scores.gaussian.statistics import oas_shrinkage
from abstain.warnings import RareClassWarning

KINDS = [Mahalanobis, RelativeMahalanobis]


def textbook(X, y, at, *, relative):
    """Maximum likelihood Gaussians, SciPy's distances, one pair at a time."""
    means = np.stack([X[y == k].mean(axis=0) for k in range(y.max() + 1)])
    within = (X - means[y]).T @ (X - means[y]) / len(X)
    total = np.cov(X.T, bias=True)
    precision, background = np.linalg.inv(within), np.linalg.inv(total)
    own = np.array([mahalanobis(x, means[k], precision) ** 2 for x, k in zip(X, at, strict=True)])
    return own - relative * np.array([mahalanobis(x, X.mean(axis=0), background) ** 2 for x in X])


@pytest.mark.parametrize("kind", KINDS)
def test_equals_scipy_at_the_label_and_at_the_nearest_class(kind, classes, rng):
    X, y = classes(rng)
    scorer = kind(shrinkage=0.0).fit(X, y)
    relative = kind is RelativeMahalanobis
    np.testing.assert_allclose(scorer.difficulty(X, y), textbook(X, y, y, relative=relative), atol=1e-9)
    at_each = [textbook(X, y, np.full(len(y), k), relative=relative) for k in range(4)]
    np.testing.assert_allclose(scorer.difficulty(X), np.min(at_each, axis=0), atol=1e-9)
    np.testing.assert_array_equal(scorer.score_samples(X), -scorer.difficulty(X))


def test_means_over_the_training_samples_without_shrinkage(classes, rng):
    X, y = classes(rng)
    np.testing.assert_allclose(Mahalanobis(shrinkage=0.0).fit(X, y).difficulty(X, y).mean(), X.shape[1], rtol=1e-10)
    assert abs(RelativeMahalanobis(shrinkage=0.0).fit(X, y).difficulty(X, y).mean()) < 1e-8


@pytest.mark.parametrize("shrinkage", [0.0, 0.3, "oas"])
@pytest.mark.parametrize(("n", "d", "k"), [(300, 8, 3), (60, 20, 10), (500, 3, 9)])
def test_the_small_form_equals_the_full_one(shrinkage, n, d, k, classes, rng):
    """Both Gaussians in all dimensions, the second one with the covariance of the means added."""
    X, y = classes(rng, n, d, k)
    scorer = RelativeMahalanobis(shrinkage=shrinkage).fit(X, y)
    statistics = scorer.statistics_
    weight = oas_shrinkage(statistics.correlation, n - k) if shrinkage == "oas" else shrinkage
    shrunk = (1 - weight) * statistics.within / n + weight * np.diag(statistics.variances)
    between = (statistics.offsets * statistics.counts[:, None] / n).T @ statistics.offsets
    own = X - (statistics.mean + statistics.offsets)[y]
    far = X - X.mean(axis=0)
    full = np.einsum("ij,ij->i", own @ np.linalg.inv(shrunk), own)
    full -= np.einsum("ij,ij->i", far @ np.linalg.inv(shrunk + between), far)
    np.testing.assert_allclose(scorer.difficulty(X, y), full, rtol=1e-7, atol=1e-7)
    # what no two means differ in is not measured: it would cancel, and take the digits with it
    aside = null_space(statistics.offsets @ np.linalg.inv(shrunk)).sum(axis=1)
    assert aside.any() == (k - 1 < d)
    np.testing.assert_allclose(scorer.difficulty(X + 1e6 * aside, y), full, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_units_of_features_do_not_matter(kind, classes, rng):
    """Shrunk towards a multiple of the identity, one noisy feature in small units would drown all others."""
    X, y = classes(rng, n=100, d=11)
    X[:, 10] = rng.normal(size=100)
    scaled = X * np.r_[np.ones(10), 1e5]
    for method in ("difficulty", "training_difficulty"):
        mine, theirs = (getattr(kind().fit(data, y), method)(data, y) for data in (X, scaled))
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-6)


def test_the_background_scatter_is_divided_by_n(classes, rng):
    """A published implementation forgets it, and measures the plain Mahalanobis distance."""
    X, y = classes(rng, n=3000, spread=1.0)
    difficulty = RelativeMahalanobis(shrinkage=0.0).fit(X, y).difficulty(X, y)
    plain = Mahalanobis(shrinkage=0.0).fit(X, y).difficulty(X, y)
    far = X - X.mean(axis=0)
    forgotten = plain - np.einsum("ij,ij->i", far @ np.linalg.inv(far.T @ far), far)
    assert spearmanr(forgotten, plain)[0] > 0.9999
    assert spearmanr(difficulty, plain)[0] < 0.9
    np.testing.assert_allclose(plain - difficulty, (plain - forgotten) * len(X), rtol=1e-6)


def ill_conditioned(rng, n=8000, d=64, k=20):
    """Condition 1e6, one feature with a mean of 40: the digest's table, smaller."""
    y = rng.integers(0, k, n)
    scale = np.logspace(0, -3, d)
    rotation = np.linalg.qr(rng.normal(size=(d, d)))[0]
    X = (rng.normal(size=(n, d)) + 0.7 * rng.normal(size=(k, d))[y]) * scale @ rotation
    X[:, 0] += 40
    return X.astype(np.float32), y


def test_float32_features_keep_the_digits_of_float64(rng):
    """The digest: float64 sums and a float32 projection of centred rows err by .0015, float32 products by .064."""
    X, y = ill_conditioned(rng)
    exact = RelativeMahalanobis().fit(X.astype(np.float64), y).difficulty(X.astype(np.float64), y)
    for precision, worst in (("float64", 0.003), ("float32", 0.1)):
        scorer = RelativeMahalanobis(precision=precision).fit(X, y)
        found = scorer.difficulty(X, y)
        assert np.abs(found - exact).max() < worst
        assert spearmanr(found, exact)[0] > 0.99999
    naive = X.T @ X / np.float32(len(X)) - np.outer(X.mean(axis=0), X.mean(axis=0))
    assert np.linalg.eigvalsh(naive).min() < 0  # what raw float32 moments would do


@pytest.mark.parametrize("kind", KINDS)
def test_singular_covariances(kind, classes, rng):
    X, y = classes(rng, n=30, d=40, k=3)
    with pytest.raises(ValueError, match=r"singular: rank 27 of 40 features, from 27 samples"):
        kind(shrinkage=0.0).fit(X, y)
    assert np.isfinite(kind().fit(X, y).difficulty(X)).all()
    constant = np.column_stack([X[:, :3], np.ones(30)])
    with pytest.raises(ValueError, match="singular"):
        kind(shrinkage=0.0).fit(constant, y)
    assert np.isfinite(kind().fit(constant, y).training_difficulty(constant, y)).all()
    np.testing.assert_array_equal(kind().fit(np.ones((10, 2)), np.arange(10) % 2).difficulty(np.ones((3, 2))), 0)


def test_one_sample_a_class_has_no_covariance(rng):
    X = rng.normal(size=(20, 3))
    with pytest.warns(RareClassWarning, match="no class has two samples"):
        scorer = Mahalanobis().fit(X, np.arange(20))
    expected = (np.square(X - X[5]) / X.var(axis=0)).sum(axis=1)
    np.testing.assert_allclose(scorer.difficulty(X, np.full(20, 5)), expected, atol=1e-12)


def test_one_sample_a_class_needs_no_shrinkage(rng):
    X, y = rng.normal(size=(20, 3)) + 5, rng.permutation(20)
    with pytest.warns(RareClassWarning, match="no class has two samples"):
        scorer = Mahalanobis(shrinkage=0.0).fit(X, y)
    expected = (np.square(X - X[y == 5]) / X.var(axis=0)).sum(axis=1)
    np.testing.assert_allclose(scorer.difficulty(X, np.full(20, 5)), expected, atol=1e-12)


def test_one_pair_in_a_class_tells_variances_alone(rng):
    """One degree of freedom: by the formula of Chen et al. the diagonal has all the weight."""
    X, y = rng.normal(size=(3, 6)), np.array([0, 0, 1])
    apart = (X[0] - X[1]) / 2
    expected = np.square(X - X[2]) @ (3 / (2 * np.square(apart)))
    np.testing.assert_allclose(Mahalanobis().fit(X, y).difficulty(X, np.ones(3, int)), expected, rtol=1e-9, atol=1e-9)


def test_bad_features_are_refused(classes, rng):
    X, y = classes(rng)
    half = X.astype(np.float16)
    half[3, 2] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        RelativeMahalanobis().fit(half, y)
    scorer = RelativeMahalanobis().fit(X.astype(np.float16), y)
    with pytest.raises(ValueError, match="infinity"):
        scorer.difficulty(half)
    half[3, 2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        scorer.difficulty(half)


def test_absent_classes(classes, rng):
    X, y = classes(rng)
    scorer = RelativeMahalanobis(at="predicted").partial_fit(X, y, classes=range(6))
    assert np.isfinite(scorer.difficulty(X, y)).all()
    with pytest.raises(ValueError, match=r"without training samples: \[5\]"):
        scorer.difficulty(X[:1], [5])
    log_proba = np.log(np.full((2, 6), 0.1) + np.eye(6)[[0, 5]] * 0.4)
    hard = scorer.difficulty(made_view(X[:2], log_proba))
    farthest = max(scorer.difficulty(X[1:2], [k])[0] for k in range(4))
    np.testing.assert_allclose(hard[1], farthest)  # alone or in company
    np.testing.assert_allclose(scorer.difficulty(made_view(X[1:2], log_proba[1:])), farthest)
    np.testing.assert_array_equal(np.isnan(scorer.columns(made_view(X[:2], log_proba))).all(axis=1), [False, True])
    with pytest.raises(ValueError, match="not in classes"):
        RelativeMahalanobis().partial_fit(X, y, classes=[0, 1])


def test_wrong_use_is_explained(classes, rng):
    X, y = classes(rng)
    with pytest.raises(ValueError, match='at="predicted" needs the predictions'):
        RelativeMahalanobis(at="predicted").fit(X, y).score_samples(X)
    with pytest.raises(ValueError, match="partial_fit sees the data once"):
        Mahalanobis(shrinkage="ledoit_wolf").partial_fit(X, y)
    twice = Mahalanobis(shrinkage="ledoit_wolf").fit(X, y)
    with pytest.raises(ValueError, match="merge sees the data once"):
        twice.merge(twice)
    with pytest.raises(ValueError, match="normalize"):
        Mahalanobis().fit(X, y).merge(Mahalanobis(normalize=True).fit(X, y))
    with pytest.raises(ValueError, match="labels are of other kinds"):
        Mahalanobis().fit(X, y).merge(Mahalanobis().fit(X, y.astype(str)))
    with pytest.raises(TypeError, match="must be a Mahalanobis"):
        Mahalanobis().fit(X, y).merge(RelativeMahalanobis().fit(X, y))
    with pytest.raises(ValueError, match="5 features, not on 6"):
        Mahalanobis().fit(X, y).merge(Mahalanobis().fit(X[:, :5], y))
    for name, value in (("shrinkage", 2.0), ("at", "own"), ("precision", "float16")):
        with pytest.raises(ValueError, match=name):
            Mahalanobis(**{name: value}).fit(X, y)


def test_normalised_features_depend_on_directions_alone(classes, rng):
    X, y = classes(rng)
    scorer = Mahalanobis(normalize=True).fit(X, y)
    np.testing.assert_allclose(scorer.difficulty(X), scorer.difficulty(7 * X), rtol=1e-8)


@pytest.mark.parametrize("labels", [np.array([10, 20, 30, 40]), np.array(["a", "b", "c", "d"])])
def test_predicted_class_behind_a_classifier_of_any_labels(labels, problem):
    """The distance is to the class that the classifier predicts, whatever its labels are called."""
    X, y, X_new, *_ = problem
    clf = SelectiveClassifier(scorer=RelativeMahalanobis(at="predicted"), cv=2, random_state=0).fit(X, labels[y])
    scorer = clf.scorer_
    np.testing.assert_array_equal(scorer.classes_, labels)
    expected = scorer.score_samples(X_new, clf.predict(X_new))
    np.testing.assert_allclose(clf.score_samples(X_new), expected, rtol=1e-9)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_rows_whose_squares_overflow_are_far_and_finite(rng):
    X, y = rng.normal(size=(60, 3)).astype(np.float32), np.arange(60) % 2
    scorer = Mahalanobis().fit(X, y)
    for far in (np.float32(1e25), np.float32(3e38)):
        score = scorer.score_samples(np.vstack([X[:5], np.full((1, 3), far)]))
        assert np.isfinite(score).all()
        assert score.argmin() == 5
