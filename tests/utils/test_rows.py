"""Sums of rows are those of NumPy, and have the same digits whatever stands beside a row."""

import numpy as np
import pytest

from abstain.outputs import ClassOutputs
from abstain.utils.rows import row_sums, rows_not_once, rows_with_nan


@pytest.mark.parametrize("n_columns", [1, 2, 3, 4, 5, 8, 31, 128, 129, 1000, 4096, 4097, 9000])
def test_sums_are_right_and_do_not_depend_on_the_batch(n_columns, rng):
    values = rng.random((29, n_columns)) ** 9
    whole = row_sums(values)
    np.testing.assert_allclose(whole, values.sum(axis=1), rtol=1e-13)
    for i in range(29):
        assert row_sums(values[i : i + 1])[0] == whole[i]
        assert row_sums(values[i:])[0] == whole[i]
    for other in (np.asfortranarray(values), np.repeat(values, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(row_sums(other), whole)
        assert row_sums(other[5:6])[0] == whole[5]
    moved = np.empty(values.size + 1)[1:].reshape(values.shape)  # elsewhere in memory
    moved[:] = values
    np.testing.assert_array_equal(row_sums(moved), whole)


def test_probabilities_in_another_order_of_memory_are_normalised_alike(rng):
    proba = rng.dirichlet(np.ones(1000), 40) * (1 + 1e-9 * rng.normal(size=(40, 1)))
    whole = ClassOutputs(np.asfortranarray(proba)).values
    np.testing.assert_array_equal(whole, ClassOutputs(proba).values)
    np.testing.assert_array_equal(whole[3:4], ClassOutputs(proba[3:4]).values)


def test_rows_with_gaps_are_found(rng):
    values = rng.normal(size=(7, 3))
    values[1, 0], values[3], values[5, 2] = np.inf, -np.inf, -np.inf
    assert not rows_with_nan(values).any()
    values[2, 1] = values[6, 2] = np.nan
    assert np.flatnonzero(rows_with_nan(values)).tolist() == [2, 6]
    assert rows_with_nan(np.empty((0, 3))).shape == (0,)


@pytest.mark.parametrize("n_columns", [1, 3, 4, 5, 9])
def test_rows_where_none_or_several_entries_reach_a_floor_are_found(n_columns, rng):
    values = rng.integers(0, 9, (300, n_columns)).astype(float)
    floor = values.max(axis=1) - rng.integers(0, 2, 300)
    floor[::50] = np.inf
    by_hand = [i for i in range(300) if sum(value >= floor[i] for value in values[i]) != 1]
    assert rows_not_once(values, floor).tolist() == by_hand
    once = np.setdiff1d(np.arange(300), by_hand)
    assert rows_not_once(values[once], floor[once]).size == 0


@pytest.mark.parametrize("n_columns", [3, 6])
def test_none_in_one_row_does_not_make_up_for_several_in_another(n_columns):
    values = np.zeros((2, n_columns))
    values[0, :2] = 1.0
    assert rows_not_once(values, np.array([1.0, np.inf])).tolist() == [0, 1]
