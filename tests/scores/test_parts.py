"""Fits in parts are fits of all, whoever reads the rows, and however many workers there are."""

import joblib
import numpy as np
import pytest
from sklearn.decomposition import PCA

from abstain import LinearProbe, Mahalanobis, RelativeMahalanobis
from abstain.scores import fit_in_parts
from abstain.utils import slices


@pytest.fixture
def matrix(rng, tmp_path):
    y = rng.integers(5, size=600)
    X = (rng.normal(size=(5, 8))[y] * 2 + rng.normal(size=(600, 8)) + 50).astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    return X, np.array(list("abcde"))[y], tmp_path / "X.npy"


@pytest.mark.parametrize("scorer", [Mahalanobis(precision="float64"), RelativeMahalanobis(precision="float64")])
@pytest.mark.parametrize("n_parts", [1, 2, 7, 600])
def test_parts_add_up_to_the_whole(scorer, n_parts, matrix):
    X, y, path = matrix
    whole = scorer.fit(X, y).score_samples(X)
    for given in (X, path, str(path), np.load(path, mmap_mode="r")):
        found = fit_in_parts(scorer, given, y, n_parts=n_parts)
        assert found is not scorer
        np.testing.assert_allclose(found.score_samples(X), whole, rtol=1e-7, atol=1e-7)


def test_order_of_memory_and_slices_of_maps_do_not_matter(matrix, tmp_path):
    X, y, path = matrix
    np.save(tmp_path / "F.npy", np.asfortranarray(X))
    whole = RelativeMahalanobis().fit(X, y).score_samples(X)
    found = fit_in_parts(RelativeMahalanobis(), tmp_path / "F.npy", y, n_parts=3)
    np.testing.assert_allclose(found.score_samples(X), whole, rtol=1e-3, atol=1e-3)
    some = np.load(path, mmap_mode="r")[100:400]
    found = fit_in_parts(RelativeMahalanobis(), some, y[100:400], n_parts=3)
    expected = RelativeMahalanobis().fit(X[100:400], y[100:400])
    np.testing.assert_allclose(found.score_samples(X), expected.score_samples(X), rtol=1e-3, atol=1e-3)


def test_workers_are_sent_a_place_and_not_the_rows(matrix):
    _, _, path = matrix
    whole = np.load(path, mmap_mode="r")
    place = slices.place_of(whole, slice(3, 9))
    assert isinstance(place, slices.Slice)
    np.testing.assert_array_equal(place.read(), whole[3:9])
    assert isinstance(slices.place_of(whole[1:], slice(3, 9)), np.ndarray)  # its offset is not that of its rows


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_workers_of_joblib(backend, matrix):
    X, y, path = matrix
    with joblib.parallel_config(backend=backend):
        found = fit_in_parts(RelativeMahalanobis(), path, y, n_jobs=2)
    np.testing.assert_allclose(
        found.score_samples(X), RelativeMahalanobis().fit(X, y).score_samples(X), rtol=1e-3, atol=1e-3
    )


def test_workers_of_a_cluster(matrix):
    distributed = pytest.importorskip("distributed", reason="needs dask: pip install distributed")
    X, y, path = matrix
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        found = fit_in_parts(RelativeMahalanobis(), path, y, n_jobs=2)
        probe = LinearProbe(n_jobs=2).fit(np.load(path, mmap_mode="r"), y)
    np.testing.assert_allclose(
        found.score_samples(X), RelativeMahalanobis().fit(X, y).score_samples(X), rtol=1e-3, atol=1e-3
    )
    np.testing.assert_allclose(probe.coef_, LinearProbe().fit(X, y).coef_, atol=1e-4)


def test_wrong_use_is_explained(matrix):
    X, y, _ = matrix
    with pytest.raises(TypeError, match="must have partial_fit and merge"):
        fit_in_parts(PCA(), X, y)
    with pytest.raises(TypeError, match="must have partial_fit and merge"):
        fit_in_parts(RelativeMahalanobis, X, y)
    with pytest.raises(ValueError, match="y must have a label for each row of X, 600; got 599"):
        fit_in_parts(RelativeMahalanobis(), X, y[1:])
    with pytest.raises(ValueError, match="n_parts"):
        fit_in_parts(RelativeMahalanobis(), X, y, n_parts=0)


def test_maps_that_a_worker_would_read_otherwise_are_no_maps(matrix, tmp_path):
    X, y, path = matrix
    private = np.load(path, mmap_mode="c")
    private[:] = private[:, ::-1] * 2
    replaced = np.load(path, mmap_mode="r")
    assert slices.map_of(private) is None
    assert slices.map_of(np.asarray(replaced)) is replaced
    for given in (private, replaced):
        expected = LinearProbe().fit(np.array(given), y).coef_
        if given is replaced:  # the map shows the file as it was
            np.save(tmp_path / "other.npy", X[:, ::-1] * 3)
            (tmp_path / "other.npy").replace(path)
        with joblib.parallel_config(backend="loky"):
            np.testing.assert_allclose(LinearProbe(n_jobs=2).fit(given, y).coef_, expected, atol=1e-5)
        np.testing.assert_allclose(LinearProbe().fit(given, y).coef_, expected, atol=1e-5)
    path.unlink()
    np.testing.assert_allclose(LinearProbe().fit(replaced, y).coef_, expected, atol=1e-5)
