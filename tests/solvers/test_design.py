"""A design against the dense matrix it stands for."""

import numpy as np
import pytest

from abstain.solvers import forward
from abstain.solvers.design import Design


def dense(features, dense_part, codes, n_codes):
    matrix = np.concatenate([features.astype(float), dense_part], axis=1)
    scale = matrix.std(axis=0)
    standard = (matrix - matrix.mean(axis=0)) / np.where(scale > 0, scale, np.inf)
    return np.concatenate([standard, np.eye(n_codes)[codes], np.ones((len(codes), 1))], axis=1)


@pytest.fixture
def parts(rng):
    features = rng.normal(size=(5000, 200)) * rng.uniform(0.1, 100, 200) + rng.normal(size=200) * 50
    features[:, 7] = 3.25
    return features, rng.normal(size=(5000, 3)), rng.integers(0, 4, 5000)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-9), (np.float32, 2e-3), (np.float16, 0.1)])
def test_outputs_and_gradient(parts, rng, dtype, tolerance):
    features, extra, codes = parts
    features = features.astype(dtype)
    design = Design(features, extra, codes, 4)
    matrix = dense(features, extra, codes, 4)
    parameters = rng.normal(size=(design.size, 2)) * 0.1
    assert design.size == matrix.shape[1] == 208
    np.testing.assert_allclose(forward.outputs(design, [parameters]), matrix @ parameters, atol=tolerance)
    slope = rng.normal(size=(5000, 2))
    gradient = np.zeros((design.size, 2))
    for rows, blocks in design.pieces():
        design.add_gradient(gradient, rows, blocks, slope[rows])
    np.testing.assert_allclose(design.finish_gradient(gradient), matrix.T @ slope, atol=5000 * tolerance / 10)


def test_hidden_layers(parts, rng):
    features, extra, codes = parts
    design = Design(features, extra, codes, 4)
    first = rng.normal(size=(design.size, 6)) * 0.1
    weights, bias = rng.normal(size=(6, 1)), rng.normal(size=1)
    expected = np.maximum(dense(features, extra, codes, 4) @ first, 0) @ weights + bias
    np.testing.assert_allclose(forward.outputs(design, [first, (weights, bias)]), expected, atol=1e-8)


def test_constant_columns_have_no_say(parts, rng):
    features, extra, codes = parts
    design = Design(features, extra, codes, 4)
    parameters = np.zeros((design.size, 1))
    parameters[7] = 1e6
    np.testing.assert_array_equal(forward.outputs(design, [parameters]), 0)


def test_parts_may_be_missing(rng):
    codes = rng.integers(0, 3, 50)
    for design in (
        Design(rng.normal(size=(50, 2))),
        Design(None, rng.normal(size=(50, 2)), codes, 3),
        Design(None, None, codes, 3),
    ):
        assert forward.outputs(design, [np.ones((design.size, 1))]).shape == (50, 1)
    assert Design(rng.normal(size=(50, 2))).size == 3


def test_moments_of_large_offsets(rng):
    X = (rng.normal(size=(20000, 3)) * 1e-2 + 1e3).astype(np.float32)
    design = Design(X)
    np.testing.assert_allclose(design.scale, X.astype(float).std(axis=0), rtol=1e-6)
