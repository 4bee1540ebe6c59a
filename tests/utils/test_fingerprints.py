"""Fingerprints: equal rows and only those."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from abstain.utils.fingerprints import repeats, row_fingerprints


@given(arrays(np.float64, (20, 3), elements=st.floats(-4, 4, width=16)))
@settings(max_examples=80, deadline=None)
def test_equal_prints_mean_equal_rows(X):
    prints = row_fingerprints(X)
    same_rows = (X[:, None] == X[None]).all(axis=2)
    np.testing.assert_array_equal(prints[:, None] == prints[None], same_rows)


def test_no_collisions_among_many(rng):
    assert np.unique(row_fingerprints(rng.integers(0, 2, (200_000, 40)))).size > 199_900
    assert np.unique(row_fingerprints(np.arange(100_000.0)[:, None])).size == 100_000


def test_dtype_block_and_shape(rng):
    X = rng.normal(size=(3000, 500)).astype(np.float32)
    whole = row_fingerprints(X)
    np.testing.assert_array_equal(whole, row_fingerprints(X.astype(np.float64)))
    np.testing.assert_array_equal(whole[100:103], row_fingerprints(X[100:103]))
    images = rng.integers(0, 255, (5, 4, 4, 3), dtype=np.uint8)
    assert np.unique(row_fingerprints(images)).size == 5
    assert (
        row_fingerprints(np.array([["a", "b"], ["a", "b"], ["ab", ""]]))[0]
        != row_fingerprints(np.array([["ab", ""]]))[0]
    )


def test_repeats_of_discrete_data_are_expected(rng):
    draw = lambda n: row_fingerprints(rng.integers(0, 4, (n, 4)))  # noqa: E731
    count, reused = repeats(draw(500), draw(500))
    assert count > 300
    assert not reused
    seen = row_fingerprints(rng.normal(size=(500, 4)))
    assert repeats(seen, seen) == (500, True)
    assert repeats(seen, seen[:1]) == (1, False)
