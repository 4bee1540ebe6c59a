"""Difficulty as weights."""

import numpy as np
import pytest

from abstain.scores import difficulty_weights
from abstain.scores.weights import effective_size
from abstain.warnings import SparseWeightsWarning


def test_scales(rng):
    difficulty = rng.normal(scale=5.0, size=1001)
    rank = difficulty_weights(difficulty, scale="rank")
    np.testing.assert_allclose([rank.mean(), rank.min()], [0.53, 0.24], atol=0.01)
    robust = difficulty_weights(difficulty)
    np.testing.assert_allclose([robust.mean(), robust.min()], [0.25, 0.05], atol=0.02)
    raw = difficulty_weights(difficulty, scale="raw", temperature=12.5)
    np.testing.assert_allclose(raw, np.exp((difficulty - difficulty.max()) / 12.5))
    for weights in (rank, robust, raw):
        assert (np.argsort(weights, kind="stable")[-1] == np.argmax(difficulty)) or weights.max() == weights[
            np.argmax(difficulty)
        ]
        assert (np.diff(weights[np.argsort(difficulty)]) >= 0).all()
    np.testing.assert_allclose(difficulty_weights(3 * difficulty + 7), robust)


def test_raw_weights_of_wide_difficulty_fall_on_few_samples(rng):
    """The paper's temperature has the units of the difficulty: with a spread of 12 one sample has all the weight."""
    with pytest.warns(SparseWeightsWarning, match="of 2000"):
        weights = difficulty_weights(rng.normal(scale=12.3, size=2000), scale="raw")
    assert effective_size(weights) < 20


def test_effective_size_and_degenerate_difficulty():
    assert effective_size(np.ones(7)) == pytest.approx(7)
    assert effective_size(np.array([1.0, 0, 0])) == pytest.approx(1)
    np.testing.assert_allclose(difficulty_weights(np.zeros(5)), np.exp(-1.5))
    for name, value in (("scale", "x"), ("temperature", 0.0)):
        with pytest.raises(ValueError, match=name):
            difficulty_weights([1.0, 2.0], **{name: value})


def test_ties_share_a_rank():
    np.testing.assert_array_equal(difficulty_weights([3.0, 1.0, 3.0, 3.0], scale="rank")[[0, 2]], np.exp(-0.375 / 0.7))
