"""Mahalanobis distances against SciPy, brute-force refits, scikit-learn's shrinkage, and published mistakes."""

import functools

import numpy as np
import pytest
from joblib import Parallel, delayed
from scipy.spatial.distance import mahalanobis
from scipy.stats import spearmanr
from sklearn.covariance import OAS, LedoitWolf
from sklearn.metrics import roc_auc_score

from abstain import Mahalanobis, RelativeMahalanobis, SelectiveClassifier
from abstain.scores._gaussian import ClassStatistics, ledoit_wolf_shrinkage, oas_shrinkage
from abstain.scores.inputs import HeadInputs
from abstain.warnings import RareClassWarning

KINDS = [Mahalanobis, RelativeMahalanobis]


def classes(rng, n=400, d=6, k=4, spread=2.0, offset=5.0):
    y = rng.integers(0, k, n)
    mixing = rng.normal(size=(d, d))
    return rng.normal(size=(n, d)) @ mixing + spread * rng.normal(size=(k, d))[y] + offset, y


def textbook(X, y, at, *, relative):
    """Maximum likelihood Gaussians, SciPy's distances, one pair at a time."""
    means = np.stack([X[y == k].mean(axis=0) for k in range(y.max() + 1)])
    within = (X - means[y]).T @ (X - means[y]) / len(X)
    total = np.cov(X.T, bias=True)
    precision, background = np.linalg.inv(within), np.linalg.inv(total)
    own = np.array([mahalanobis(x, means[k], precision) ** 2 for x, k in zip(X, at, strict=True)])
    return own - relative * np.array([mahalanobis(x, X.mean(axis=0), background) ** 2 for x in X])


@pytest.mark.parametrize("kind", KINDS)
def test_equals_scipy_at_the_label_and_at_the_nearest_class(kind, rng):
    X, y = classes(rng)
    scorer = kind(shrinkage=0.0).fit(X, y)
    relative = kind is RelativeMahalanobis
    np.testing.assert_allclose(scorer.difficulty(X, y), textbook(X, y, y, relative=relative), atol=1e-9)
    at_each = [textbook(X, y, np.full(len(y), k), relative=relative) for k in range(4)]
    np.testing.assert_allclose(scorer.difficulty(X), np.min(at_each, axis=0), atol=1e-9)
    np.testing.assert_array_equal(scorer.score_samples(X), -scorer.difficulty(X))


def test_means_over_the_training_samples_without_shrinkage(rng):
    X, y = classes(rng)
    np.testing.assert_allclose(Mahalanobis(shrinkage=0.0).fit(X, y).difficulty(X, y).mean(), X.shape[1], rtol=1e-10)
    assert abs(RelativeMahalanobis(shrinkage=0.0).fit(X, y).difficulty(X, y).mean()) < 1e-8


@pytest.mark.parametrize("shrinkage", [0.0, 0.3, "oas"])
@pytest.mark.parametrize(("n", "d", "k"), [(300, 8, 3), (60, 20, 10), (500, 3, 9)])
def test_the_small_form_equals_the_full_one(shrinkage, n, d, k, rng):
    """Both Gaussians in all dimensions, the second one with the covariance of the means added."""
    X, y = classes(rng, n, d, k)
    scorer = RelativeMahalanobis(shrinkage=shrinkage).fit(X, y)
    gaussian, basis = scorer._gaussian(), scorer._solve()[0]
    assert basis.shape[1] == min(k - 1, d)
    statistics = scorer.statistics_
    shrunk = gaussian.root @ gaussian.root.T
    between = (statistics.offsets * statistics.counts[:, None] / n).T @ statistics.offsets
    own = X - (statistics.mean + statistics.offsets)[y]
    far = X - X.mean(axis=0)
    full = np.einsum("ij,ij->i", own @ np.linalg.inv(shrunk), own)
    full -= np.einsum("ij,ij->i", far @ np.linalg.inv(shrunk + between), far)
    np.testing.assert_allclose(scorer.difficulty(X, y), full, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shrinkage", [0.0, 0.3])
def test_leave_one_out_equals_a_refit(kind, shrinkage, rng):
    X, y = classes(rng, n=60, d=5, k=3)
    scorer = kind(shrinkage=shrinkage, loo=True).fit(X, y)
    level = np.diag(scorer._gaussian().level)

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


def test_loo_auto_depends_on_the_samples_there_are(rng):
    X, y = classes(rng, n=2000, d=4)
    scorer = RelativeMahalanobis().fit(X, y)
    np.testing.assert_array_equal(scorer.training_difficulty(X, y), scorer.difficulty(X, y))
    few = RelativeMahalanobis().fit(X[:100], y[:100])
    assert (few.training_difficulty(X[:100], y[:100]) != few.difficulty(X[:100], y[:100])).all()


def test_a_sample_alone_in_its_class_is_the_hardest(rng):
    X, y = classes(rng, n=200)
    y[17] = 9
    scorer = RelativeMahalanobis().fit(X, y)
    with pytest.warns(RareClassWarning, match="1 samples are alone"):
        difficulty = scorer.training_difficulty(X, y)
    assert np.isfinite(difficulty).all()
    assert difficulty[17] == difficulty.max()


def test_shrinkage_equals_that_of_scikit_learn_on_scaled_residuals(rng):
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
    gaussian = Mahalanobis(shrinkage="ledoit_wolf").fit(X, y)._gaussian()
    np.testing.assert_allclose(gaussian.root @ gaussian.root.T, lw.covariance_ * np.outer(scale, scale), rtol=1e-10)
    assert oas_shrinkage(np.eye(3), 50) == ledoit_wolf_shrinkage(np.eye(3), 50, 1.0) == 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_units_of_features_do_not_matter(kind, rng):
    """Shrunk towards a multiple of the identity, one noisy feature in small units would drown all others."""
    X, y = classes(rng, n=100, d=11)
    X[:, 10] = rng.normal(size=100)
    scaled = X * np.r_[np.ones(10), 1e5]
    for method in ("difficulty", "training_difficulty"):
        mine, theirs = (getattr(kind().fit(data, y), method)(data, y) for data in (X, scaled))
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-6)


def test_a_removal_that_leaves_a_singular_covariance_is_an_error(rng):
    """One sample alone has a feature: without it that feature has no variance, and its distance would be -1e17."""
    X, y = rng.normal(size=(400, 6)), np.arange(400) % 2
    X[:, 5] = 0
    X[7, 5] = 1
    for kind in KINDS:
        with pytest.raises(ValueError, match="without 1 of these samples the covariance is singular"):
            kind(shrinkage=0.0, loo=True).fit(X, y).training_difficulty(X, y)
        assert np.isfinite(kind(shrinkage=0.1, loo=True).fit(X, y).training_difficulty(X, y)).all()


def test_a_failed_fit_changes_nothing(rng):
    X, y = rng.normal(size=(9000, 600)).astype(np.float32), np.arange(9000) % 2
    scorer = RelativeMahalanobis().fit(X[:2000], y[:2000])
    before = scorer.difficulty(X[:50])
    X[-1, 3] = np.nan  # in the last block
    for method in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match="NaN"):
            getattr(scorer, method)(X, y)
        np.testing.assert_array_equal(scorer.difficulty(X[:50]), before)
    good = X[:50].copy()
    with pytest.raises(ValueError, match="singular"):
        scorer.set_params(shrinkage=0.0).fit(X[:200, :300], y[:200])
    np.testing.assert_array_equal(scorer.difficulty(good), before)


def test_ledoit_wolf_after_one_pass_is_explained(rng):
    X, y = classes(rng, n=100)
    scorer = RelativeMahalanobis().partial_fit(X, y)
    with pytest.raises(ValueError, match="needs the data twice: use fit"):
        scorer.set_params(shrinkage="ledoit_wolf").difficulty(X)


def test_the_background_scatter_is_divided_by_n(rng):
    """A published implementation forgets it, and measures the plain Mahalanobis distance."""
    X, y = classes(rng, n=3000, spread=1.0)
    difficulty = RelativeMahalanobis(shrinkage=0.0).fit(X, y).difficulty(X, y)
    plain = Mahalanobis(shrinkage=0.0).fit(X, y).difficulty(X, y)
    far = X - X.mean(axis=0)
    forgotten = plain - np.einsum("ij,ij->i", far @ np.linalg.inv(far.T @ far), far)
    assert spearmanr(forgotten, plain)[0] > 0.9999
    assert spearmanr(difficulty, plain)[0] < 0.9
    np.testing.assert_allclose(plain - difficulty, (plain - forgotten) * len(X), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_merges_and_one_fit_agree(kind, rng):
    X, y = classes(rng, n=500)
    whole = kind().fit(X, y)
    blocks = kind()
    for part in np.array_split(np.arange(500), 7):
        blocks.partial_fit(X[part], y[part], classes=range(4))
    parts = [kind().fit(X[i : i + 100], y[i : i + 100]) for i in range(0, 500, 100)]
    before = [part.difficulty(X) for part in parts]
    merged = functools.reduce(lambda a, b: a.merge(b), parts)
    for other in (blocks, merged):
        np.testing.assert_allclose(other.difficulty(X), whole.difficulty(X), rtol=1e-8, atol=1e-8)
    for part, difficulty in zip(parts, before, strict=True):
        np.testing.assert_array_equal(part.difficulty(X), difficulty)


def test_merge_brings_classes_together(rng):
    X, y = classes(rng)
    left, right = y < 2, y >= 2
    merged = RelativeMahalanobis().fit(X[left], y[left]).merge(RelativeMahalanobis().fit(X[right], y[right]))
    np.testing.assert_array_equal(merged.classes_, [0, 1, 2, 3])
    whole = RelativeMahalanobis().fit(X, y)
    np.testing.assert_allclose(merged.difficulty(X, y), whole.difficulty(X, y), rtol=1e-8, atol=1e-8)


def test_workers_fit_slices_of_a_file(rng, tmp_path):
    X, y = classes(rng, n=2000)
    np.save(tmp_path / "X.npy", X.astype(np.float32))
    stored = np.load(tmp_path / "X.npy", mmap_mode="r")
    jobs = (delayed(_fit_slice)(stored[i : i + 500], y[i : i + 500]) for i in range(0, 2000, 500))
    merged = functools.reduce(RelativeMahalanobis.merge, Parallel(n_jobs=2)(jobs))
    np.testing.assert_allclose(
        merged.difficulty(stored), RelativeMahalanobis().fit(stored, y).difficulty(stored), rtol=1e-5, atol=1e-5
    )


def _fit_slice(X, y):
    return RelativeMahalanobis().fit(X, y)


def test_statistics_do_not_depend_on_the_shift(rng):
    X, y = classes(rng, n=100)
    for shift in (np.zeros(6), X[0], X.mean(axis=0)):
        statistics = ClassStatistics.over([(X, y)], 4, shift=shift)
        np.testing.assert_allclose(statistics.mean, X.mean(axis=0))
        np.testing.assert_allclose(statistics.total / 100, np.cov(X.T, bias=True))


@pytest.mark.parametrize(("precision", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_statistics_over_blocks_are_plain_sums(rng, precision, tolerance):
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
def test_singular_covariances(kind, rng):
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


def test_bad_features_are_refused(rng):
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


def test_absent_classes(rng):
    X, y = classes(rng)
    scorer = RelativeMahalanobis(at="predicted").partial_fit(X, y, classes=range(6))
    assert np.isfinite(scorer.difficulty(X, y)).all()
    with pytest.raises(ValueError, match=r"without training samples: \[5\]"):
        scorer.difficulty(X[:1], [5])
    log_proba = np.log(np.full((2, 6), 0.1) + np.eye(6)[[0, 5]] * 0.4)
    hard = scorer.difficulty(HeadInputs(X[:2], log_proba))
    farthest = max(scorer.difficulty(X[1:2], [k])[0] for k in range(4))
    np.testing.assert_allclose(hard[1], farthest)  # alone or in company
    np.testing.assert_allclose(scorer.difficulty(HeadInputs(X[1:2], log_proba[1:])), farthest)
    np.testing.assert_array_equal(np.isnan(scorer.evidence(HeadInputs(X[:2], log_proba))).all(axis=1), [False, True])
    with pytest.raises(ValueError, match="not in classes"):
        RelativeMahalanobis().partial_fit(X, y, classes=[0, 1])


def test_wrong_use_is_explained(rng):
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


def test_normalised_features_depend_on_directions_alone(rng):
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
