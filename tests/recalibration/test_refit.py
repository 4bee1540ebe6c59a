"""Errors by a second calibrator: they add up, do not grow by chance, and find what is there."""

import numpy as np
import pytest

from abstain.calibration import Isotonic, Temperature, refit_decomposition
from abstain.metrics import expected_calibration_error


def binary(rng, n, power):
    p = rng.random(n)
    return rng.random(n) < p**power, np.column_stack([1 - p, p])


def test_parts_add_up(rng):
    y, proba = binary(rng, 600, 2)
    found = refit_decomposition(y, proba, random_state=0)
    assert found.log_loss == pytest.approx(found.calibration_log_loss + found.refinement_log_loss)
    assert found.brier == pytest.approx(found.calibration_brier + found.refinement_brier)
    assert "calibration" in str(found)


def test_true_probabilities_have_no_error_where_bins_have_one():
    errors, binned = [], []
    for seed in range(20):
        y, proba = binary(np.random.default_rng(seed), 200, 1)
        errors.append(refit_decomposition(y, proba, random_state=0).l1)
        binned.append(2 * expected_calibration_error(y, proba[:, 1]))
    assert np.mean(errors) < 0.5 * np.mean(binned)


def test_a_known_error_is_found_and_not_exceeded():
    y, proba = binary(np.random.default_rng(0), 20_000, 2)
    true = 2 * np.abs(proba[:, 1] ** 2 - proba[:, 1]).mean()  # both columns are off
    found = refit_decomposition(y, proba, calibrator=Isotonic(), random_state=0)
    assert 0.9 * true <= found.l1 <= true + 0.02
    assert found.l2 == pytest.approx(found.l1 / np.sqrt(2), rel=0.05)


def test_overconfidence_has_a_sign(rng):
    logits = rng.normal(size=(4000, 4))
    y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)

    def softmax(z):
        return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)

    assert refit_decomposition(y, softmax(3 * logits), random_state=0).overconfidence > 0.1
    assert refit_decomposition(y, softmax(0.3 * logits), random_state=0).overconfidence < -0.1


def test_the_calibrator_is_one_without_an_estimator(rng):
    y, proba = binary(rng, 60, 1)
    with pytest.raises(TypeError, match="calibrator must be"):
        refit_decomposition(y, proba, calibrator=Temperature)
