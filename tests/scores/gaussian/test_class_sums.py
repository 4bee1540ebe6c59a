"""Fits of blocks, workers and files that add up."""

import functools

import numpy as np
import pytest
from joblib import Parallel, delayed

from abstain import Mahalanobis, RelativeMahalanobis

KINDS = [Mahalanobis, RelativeMahalanobis]


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


def test_ledoit_wolf_after_one_pass_is_explained(classes, rng):
    X, y = classes(rng, n=100)
    scorer = RelativeMahalanobis().partial_fit(X, y)
    with pytest.raises(ValueError, match="needs the data twice: use fit"):
        scorer.set_params(shrinkage="ledoit_wolf").difficulty(X)


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_merges_and_one_fit_agree(kind, classes, rng):
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


def test_merge_brings_classes_together(classes, rng):
    X, y = classes(rng)
    left, right = y < 2, y >= 2
    merged = RelativeMahalanobis().fit(X[left], y[left]).merge(RelativeMahalanobis().fit(X[right], y[right]))
    np.testing.assert_array_equal(merged.classes_, [0, 1, 2, 3])
    whole = RelativeMahalanobis().fit(X, y)
    np.testing.assert_allclose(merged.difficulty(X, y), whole.difficulty(X, y), rtol=1e-8, atol=1e-8)


def test_workers_fit_slices_of_a_file(rng, tmp_path, classes):
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


@pytest.mark.parametrize(("scale", "precision"), [(1e200, "float64"), (1e25, "float32"), (1e200, "float32")])
def test_squares_that_overflow_are_refused(scale, precision, classes, rng):
    X, y = classes(rng, n=100)
    with pytest.raises(ValueError, match=f"X is too large for its squares to be summed up in {precision}: scale"):
        RelativeMahalanobis(precision=precision).fit(scale * X, y)
