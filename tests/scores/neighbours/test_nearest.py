"""Nearest neighbours against brute force, and faiss against scikit-learn."""

import pickle
import sys
import tracemalloc

import numpy as np
import pytest
from made import made_view
from scipy.spatial.distance import cdist
from sklearn.preprocessing import StandardScaler

from abstain import NearestNeighbours, SelectiveClassifier
from abstain.scores.neighbours import search
from abstain.scores.neighbours.search import build_index

needs_faiss = pytest.mark.faiss
ENGINES = ["sklearn", pytest.param("faiss", marks=needs_faiss)]


@pytest.fixture
def sample(rng):
    y = rng.integers(0, 3, 300)
    X = rng.normal(size=(300, 5)) * [1, 10, 1, 1, 100] + 3 * np.eye(5)[y]
    return X[:200], y[:200], X[200:], y[200:]


def inputs(X, predicted, k=3):
    return made_view(X, np.log(np.full((len(X), k), 0.1) + 0.7 * np.eye(k)[predicted]))


def usual(rows):
    """What a distance counts at least: that which 5 % of the rows have a neighbour within."""
    return np.quantile(np.sort(cdist(rows, rows), axis=1)[:, 1], 0.05)


@pytest.mark.parametrize("engine", ENGINES)
def test_measures_by_brute_force(engine, sample):
    X, y, X_new, predicted = sample
    scaler = StandardScaler().fit(X)
    distance = cdist(scaler.transform(X_new), scaler.transform(X))
    nearest = np.argsort(distance, axis=1)[:, :7]
    view = inputs(X_new, predicted)
    scorer = NearestNeighbours(7, engine=engine).fit(X, y)
    expected = np.take_along_axis(distance, nearest, axis=1).mean(axis=1)
    np.testing.assert_allclose(scorer.difficulty(X_new), expected, rtol=1e-5)
    agreement = NearestNeighbours(7, measure="agreement", engine=engine).fit(X, y)
    np.testing.assert_allclose(agreement.score_samples(view), (y[nearest] == predicted[:, None]).mean(axis=1))
    same = y[None] == predicted[:, None]
    trust = NearestNeighbours(measure="ratio", engine=engine).fit(X, y)
    nearest = [np.where(mask, distance, np.inf).min(axis=1) for mask in (~same, same)]
    ratio = np.divide(*np.maximum(nearest, usual(scaler.transform(X))))
    np.testing.assert_allclose(trust.score_samples(view), np.log(ratio), rtol=1e-4, atol=1e-5)


@needs_faiss
@pytest.mark.parametrize("measure", ["distance", "ratio", "agreement"])
def test_engines_agree(measure, rng):
    X = rng.normal(size=(500, 40)).astype(np.float32) + 100
    y = rng.integers(0, 4, 500)
    view = inputs(X[:50] + 0.1, y[:50], 4)
    scores = [
        NearestNeighbours(measure=measure, engine=engine).fit(X, y).score_samples(view)
        for engine in ("faiss", "sklearn")
    ]
    np.testing.assert_allclose(*scores, rtol=1e-6, atol=1e-6)


@needs_faiss
@pytest.mark.parametrize("index", ["ivf", "hnsw"])
def test_approximate_search_is_close(index, rng):
    X = rng.normal(size=(3000, 8)).astype(np.float32)
    exact = build_index(X).search(X[:100], 5)[0]
    found = build_index(X, kind=index).search(X[:100], 5)[0]
    assert np.mean(np.abs(found - exact) < 1e-5) > 0.9


class OnGPU:
    """What faiss has made of an index for a GPU: it searches, and cannot be told how."""

    def __init__(self, index):
        self.train, self.add, self.search = index.train, index.add, index.search


@needs_faiss
@pytest.mark.parametrize("index", ["flat", "ivf"])
def test_an_index_is_told_how_to_search_before_it_goes_to_a_gpu(index, rng, monkeypatch):
    import faiss

    X = rng.normal(size=(3000, 8)).astype(np.float32)
    expected = build_index(X, kind=index).search(X[:50], 5)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_all_gpus", OnGPU, raising=False)
    for found, wanted in zip(build_index(X, kind=index).search(X[:50], 5), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_distances_between_near_rows_are_exact(rng):
    """The expansion of squares would lose them: the rows lie 1e-3 apart and 1e3 from the origin."""
    rows = (1000 + rng.normal(size=(20, 6))).astype(np.float32)
    queries = rows + np.float32(2e-3)
    found, position = build_index(rows, engine="sklearn").search(queries, 1)
    np.testing.assert_array_equal(position[:, 0], np.arange(20))
    np.testing.assert_allclose(found[:, 0], np.linalg.norm((queries - rows).astype(np.float64), axis=1), rtol=1e-6)


def test_more_neighbours_than_samples(rng):
    X = rng.normal(size=(4, 2))
    scorer = NearestNeighbours(10, scale=False).fit(X, [0, 0, 1, 1])
    assert scorer.n_neighbors_ == 4
    np.testing.assert_allclose(scorer.difficulty(X[:1]), cdist(X[:1], X).mean(), rtol=1e-6)


def test_one_class_and_classes_that_were_not_seen(rng):
    X = rng.normal(size=(10, 2))
    scorer = NearestNeighbours(measure="ratio").fit(X, np.zeros(10))
    np.testing.assert_array_equal(scorer.score_samples(inputs(X, np.zeros(10, dtype=int))), 0)
    two = NearestNeighbours(measure="ratio").fit(X, np.arange(10) % 2)
    view = inputs(X[:2], np.array([2, 0]))
    assert np.isfinite(two.score_samples(view)).all()
    np.testing.assert_array_equal(np.isnan(two.columns(view)), [[False, True, True, True], [False] * 4])
    assert two.score_samples(view)[0] < 0


def test_constant_and_half_precision_features(rng):
    X = np.column_stack([rng.normal(size=(50, 2)), np.full(50, 7.0)]).astype(np.float16)
    assert np.isfinite(NearestNeighbours().fit(X, np.zeros(50)).score_samples(X)).all()
    X[3, 1] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        NearestNeighbours().fit(X, np.zeros(50))


def test_cosine_order(rng):
    X = rng.normal(size=(60, 4))
    scorer = NearestNeighbours(1, scale=False, normalize=True).fit(X, np.zeros(60))
    np.testing.assert_allclose(scorer.difficulty(3 * X), 0, atol=1e-6)


def test_copies_of_training_samples_are_not_infinitely_near(sample):
    X, y, X_new, predicted = sample
    scorer = NearestNeighbours(measure="ratio").fit(X, y)
    usual = scorer.score_samples(inputs(X_new, predicted))
    assert np.abs(scorer.score_samples(inputs(X, y))).max() < 2 * np.abs(usual).max()


def test_an_offset_does_not_eat_the_digits(rng):
    X = rng.normal(size=(50, 3)) * 0.01
    far = NearestNeighbours(1, scale=False).fit(X + 1e5, np.zeros(50)).difficulty(X + 1e5 + 0.001)
    np.testing.assert_allclose(
        far, NearestNeighbours(1, scale=False).fit(X, np.zeros(50)).difficulty(X + 0.001), rtol=1e-3
    )


@needs_faiss
def test_an_index_built_by_faiss_is_used_without_it(sample, monkeypatch):
    X, y, *_ = sample
    scorer = NearestNeighbours(engine="faiss").fit(X, y)
    stored = pickle.dumps(scorer)
    expected = scorer.score_samples(X)
    monkeypatch.setitem(sys.modules, "faiss", None)
    np.testing.assert_allclose(pickle.loads(stored).score_samples(X), expected, rtol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_pickles(engine, sample):
    X, y, X_new, predicted = sample
    scorer = NearestNeighbours(measure="ratio", engine=engine).fit(X, y)
    again = pickle.loads(pickle.dumps(scorer))
    view = inputs(X_new, predicted)
    np.testing.assert_array_equal(again.score_samples(view), scorer.score_samples(view))


def test_wrong_use_is_explained(sample):
    X, y, *_ = sample
    with pytest.raises(ValueError, match='measure="ratio" compares with the predictions'):
        NearestNeighbours(measure="ratio").fit(X, y).score_samples(X)
    with pytest.raises(ValueError, match="approximate search"):
        NearestNeighbours(index="ivf", engine="sklearn").fit(X, y)
    for name, value in (("n_neighbors", 0), ("measure", "x"), ("engine", "x"), ("index", "x")):
        with pytest.raises(ValueError, match=name):
            NearestNeighbours(**{name: value}).fit(X, y)


def test_faiss_that_is_missing_is_named(sample, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"package 'faiss'.*pip install 'faiss-cpu>="):
        NearestNeighbours(engine="faiss").fit(*sample[:2])


def test_the_index_goes_by_size(monkeypatch):
    monkeypatch.setattr(search, "RowIndex", lambda rows, kind, engine: kind)
    for n, kind in ((200_000, "flat"), (200_001, "ivf"), (5_000_001, "hnsw")):
        rows = np.broadcast_to(np.float32(0), (n, 2))
        assert build_index(rows, "auto", "faiss") == kind
        assert build_index(rows, engine="faiss") == "flat"


@needs_faiss
@pytest.mark.parametrize("columns", [1, 2, 4])
def test_few_columns_are_searched_by_a_tree(columns, rng):
    """Comparison with every row takes more than ten times as long there."""
    rows = rng.normal(size=(60_000, columns)).astype(np.float32)
    assert build_index(rows, engine="auto").engine == "sklearn"


def test_fit_keeps_one_copy_of_the_samples(rng):
    """A file is read block by block into one copy; all else that is needed on the way is not larger than that."""
    X, y = rng.normal(size=(10_000, 200)).astype(np.float32), np.arange(10_000) % 3
    NearestNeighbours(engine="sklearn").fit(X[:50], y[:50])  # what is loaded only once does not count
    tracemalloc.start()
    scorer = NearestNeighbours(engine="sklearn").fit(X, y)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert scorer.n_features_in_ == 200
    assert kept < 1.1 * X.nbytes
    assert peak < 2.2 * X.nbytes


def test_trust_score_behind_a_classifier(problem):
    X, y, X_new, *_ = problem
    scorer = NearestNeighbours(measure="ratio", engine="sklearn")
    clf = SelectiveClassifier(scorer=scorer, cv=2, random_state=0).fit(X, np.array(list("abcd"))[y])
    scaler = StandardScaler().fit(X)
    rows = scaler.transform(X)
    distance = cdist(scaler.transform(X_new), rows)
    same = np.array(list("abcd"))[y][None] == clf.predict(X_new)[:, None]
    ratio = np.divide(*np.maximum([np.where(m, distance, np.inf).min(axis=1) for m in (~same, same)], usual(rows)))
    np.testing.assert_allclose(clf.score_samples(X_new), np.log(ratio), rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("engine", ["sklearn", "faiss"])
def test_rows_whose_squares_overflow_are_far_and_finite(engine, rng):
    if engine == "faiss":
        pytest.importorskip("faiss", reason="needs the faiss extra")
    X, y = rng.normal(size=(60, 3)).astype(np.float32), np.arange(60) % 2
    scorer = NearestNeighbours(engine=engine, n_neighbors=5).fit(X, y)
    for size in (1e18, 1e20, 1e30, 1e38):
        score = scorer.score_samples(np.vstack([X[:5], np.full((1, 3), size, dtype=np.float32)]))
        assert np.isfinite(score).all()
        assert score.argmin() == 5
    with pytest.raises(ValueError, match="X is too large"):
        NearestNeighbours(engine=engine, scale=False).fit(1e20 * X, y)
