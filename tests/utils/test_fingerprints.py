"""Rows are known again whatever they come in, and chance is told from reuse."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from abstain.utils.fingerprints import RowPrints

N = 500


def rounded(X):
    return np.array([[float(f"{value:.6g}") for value in row] for row in X])


def as_frame(X):
    return pytest.importorskip("pandas", reason="needs the test extra").DataFrame(X)


CONTAINERS = {
    "the same": lambda X: X.copy(),
    "float32": lambda X: X.astype(np.float32),
    "six digits": rounded,
    "lists": lambda X: X.tolist(),
    "sparse": csr_array,
    "frame": as_frame,
    "Fortran order": np.asfortranarray,
    "big-endian": lambda X: X.astype(">f8"),
}


@pytest.mark.parametrize("into", CONTAINERS.values(), ids=CONTAINERS.keys())
@pytest.mark.parametrize("out_of", CONTAINERS.values(), ids=CONTAINERS.keys())
def test_rows_are_known_whatever_they_come_in(into, out_of, rng):
    X, others = rng.normal(size=(N, 20)) * np.geomspace(1e-3, 1e3, 20), rng.normal(size=(N, 20))
    prints = RowPrints(into(X))
    assert prints.compare(out_of(X)) == (N, True)
    assert prints.compare(out_of(others)) == (0, False)
    assert prints.compare(out_of(np.concatenate([X[:10], others[10:]]))) == (10, True)


@pytest.mark.parametrize("columns", ["text", "text and bool", "text and missing"])
def test_rows_of_frames_are_compared_by_value(columns, rng):
    pd = pytest.importorskip("pandas", reason="needs the test extra")
    frame = pd.DataFrame({"name": rng.choice(list("abcdef"), N), "x": rng.integers(0, 10_000, N)})
    if columns == "text and bool":
        frame["flag"] = rng.random(N) < 0.5
    if columns == "text and missing":
        frame["hole"] = np.where(rng.random(N) < 0.5, np.nan, 1.0)
    back = frame.copy()
    for name in set(frame) - {"name"}:
        back[name] = back[name].astype(float)
    assert RowPrints(frame).compare(back) == (N, True)
    other = frame.assign(name="z")
    assert RowPrints(frame).compare(other) == (0, False)


def test_texts_and_paths_are_rows(tmp_path):
    texts = [f"text {i}" for i in range(N)]
    paths = [tmp_path / f"{i}.png" for i in range(N)]
    for rows in (texts, np.array(texts), paths):
        assert RowPrints(rows).compare(rows[:100]) == (100, True)
        assert RowPrints(rows).compare([f"other {i}" for i in range(N)]) == (0, False)
    assert RowPrints(paths).compare([str(path) for path in paths]) == (N, True)


def test_what_cannot_be_compared_says_so(rng):
    class Data:
        def __len__(self):
            return 3

        def __getitem__(self, i):
            raise AssertionError("a data set was read")

    for rows in (Data(), [[1, 2], [3]], [object(), object()]):
        assert RowPrints(rows).compare(rows) is None
    assert RowPrints(rng.normal(size=(9, 2))).compare(rng.normal(size=(9, 3))) is None


@pytest.mark.parametrize("seed", range(40))
def test_repeats_of_discrete_data_are_expected(seed):
    rng = np.random.default_rng(seed)
    draw = lambda n: rng.integers(0, 3, size=(n, 4))  # noqa: E731
    seen, new = draw(200 + 10 * seed), draw(500)
    for rows in (seen, np.unique(seen, axis=0)):  # also if copies were cleared away before fitting
        count, reused = RowPrints(rows).compare(new)
        assert count > 300
        assert not reused
    one = rng.normal(size=(2000, 1)), rng.normal(size=(2000, 1))  # near by chance, on a line
    assert not RowPrints(one[0]).compare(one[1]).reused


def test_copies_within_the_training_data_hide_nothing(rng):
    X, others = rng.normal(size=(N, 8)), rng.normal(size=(N, 8))
    twice = RowPrints(np.concatenate([X, X]))
    assert twice.compare(np.concatenate([X[:250], others[:250]])) == (250, True)
    assert twice.compare(others) == (0, False)


def test_one_blank_row_is_no_reuse(rng):
    X, new = rng.normal(size=(400, 8)), rng.normal(size=(200, 8))
    X[0], new[:30] = 0, 0
    assert RowPrints(X).compare(new) == (30, False)


def test_one_row_in_common_is_no_reuse_where_as_many_pairs_could_be_equal_elsewhere(rng):
    X, new = rng.normal(size=(400, 8)), rng.normal(size=(200, 8))
    new[0] = X[0]
    assert RowPrints(X).compare(new) == (1, False)


def test_memory_is_three_numbers_a_row(rng):
    import tracemalloc

    X = rng.normal(size=(20_000, 400)).astype(np.float32)
    tracemalloc.start()
    prints = RowPrints(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert prints.points.nbytes == 24 * len(X)
    assert peak < 1.2 * X.nbytes


def test_one_row_is_reuse_where_no_other_repeats(rng):
    """Of millions of pairs of new rows none is equal: that one in four thousand equals the row seen is no chance."""
    X = rng.normal(size=(4000, 3))
    assert RowPrints(X[7:8]).compare(X) == (1, True)


@pytest.mark.parametrize("row", ["a text", [1.0, 2.0]], ids=str)
def test_a_list_of_one_row_is_a_table(row):
    assert RowPrints([row]).compare([row]).found == 1


def test_images_in_memory_are_not_read(rng):
    images = list(rng.random((5, 4, 4)))
    assert RowPrints(images).points is None
    assert RowPrints(images).compare(images) is None


FAR = {
    "missing as -1e9": lambda rng, n: np.where(rng.random((n, 4)) < 0.02, -1e9, rng.normal(size=(n, 4))),
    "the same in float32": lambda rng, n: FAR["missing as -1e9"](rng, n).astype(np.float32),
    "heavy tails": lambda rng, n: np.exp(3 * rng.normal(size=(n, 2))),
    "one column": lambda rng, n: rng.standard_cauchy((n, 1)),
    "constants beside one column": lambda rng, n: np.column_stack([np.ones((n, 5)), rng.normal(size=n)]),
    "few digits": lambda rng, n: rng.integers(30, size=(n, 3)),
}


@pytest.mark.parametrize("kind", FAR)
def test_few_far_values_hide_no_reuse(kind, rng):
    """Columns are scaled by what is typical of them: one extreme value would make all other rows look alike."""
    seen, fresh = FAR[kind](rng, 1500), FAR[kind](rng, 400)
    prints = RowPrints(seen)
    assert not prints.compare(fresh).reused
    assert prints.compare(np.concatenate([fresh[:200], seen[:200]])).reused
    assert prints.compare(seen).reused
