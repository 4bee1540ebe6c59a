"""Binned calibration against a loop over bins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abstain.metrics import expected_calibration_error, reliability_curve


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=60), st.integers(1, 20))
@settings(max_examples=100, deadline=None)
def test_ece_by_definition(rows, n_bins):
    correct, confidence = (np.array(c) for c in zip(*rows, strict=True))
    index = np.minimum(np.floor(confidence * n_bins), n_bins - 1)
    gaps = [
        (index == b).mean() * abs(correct[index == b].mean() - confidence[index == b].mean()) for b in np.unique(index)
    ]
    assert expected_calibration_error(correct, confidence, n_bins=n_bins) == pytest.approx(sum(gaps), abs=1e-12)


def test_many_blocks_agree_with_one(rng):
    confidence = rng.random(200_000)
    correct = rng.random(200_000) < confidence
    mean, frequency, share = reliability_curve(correct, confidence, n_bins=10)
    index = (confidence * 10).astype(int)
    np.testing.assert_allclose(mean, [confidence[index == b].mean() for b in range(10)])
    np.testing.assert_allclose(frequency, [correct[index == b].mean() for b in range(10)])
    assert share.sum() == pytest.approx(1)


def test_weights_are_repetitions(rng):
    confidence, weight = rng.random(50), rng.integers(0, 3, 50)
    correct = rng.random(50) < confidence
    weighted = expected_calibration_error(correct, confidence, sample_weight=weight)
    assert weighted == pytest.approx(
        expected_calibration_error(np.repeat(correct, weight), np.repeat(confidence, weight))
    )


@pytest.mark.parametrize("scores", [[2.0, -1.0], [0.5, 1.1], [-0.1, 0.5], [0.5, np.nan]], ids=str)
def test_scores_are_not_probabilities(scores):
    with pytest.raises(ValueError, match="Pass probabilities"):
        expected_calibration_error([1, 0], scores)


def test_reliability_by_definition(rng):
    confidence, weight = rng.random(60), rng.random(60)
    correct, index = rng.random(60) < confidence, np.floor(40 * confidence)
    found = reliability_curve(correct, confidence, n_bins=40, sample_weight=weight)
    bins = [index == b for b in np.unique(index)]
    assert min(inside.sum() for inside in bins) == 1  # and those without a sample are left out
    for values, curve in ((confidence, found[0]), (correct, found[1])):
        np.testing.assert_allclose(curve, [np.average(values[inside], weights=weight[inside]) for inside in bins])
    np.testing.assert_allclose(found[2], [weight[inside].sum() / weight.sum() for inside in bins])
